"""The endpoint's socket: with kazoo, and with bytes that no client sends."""

from __future__ import annotations

import socket
import struct
import time

import pytest
from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import BadVersionError, NodeExistsError, NoNodeError, NotEmptyError, SystemZookeeperError
from kazoo.protocol.states import EventType
from kazoo.security import make_digest_acl_credential
from zookeepers import PATIENCE, Raw, Served, served

from meshfast.endpoint import jute
from meshfast.endpoint.codes import Err
from meshfast.endpoint.jute import Op
from meshfast.endpoint.limits import Limits
from meshfast.endpoint.zookeeper import Server
from meshfast.loop import new_event_loop


def until(what, check):
    deadline = time.monotonic() + PATIENCE
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


@pytest.fixture(params=["asyncio", "epoll", "io_uring"])
def endpoint(request):
    try:
        loop = None if request.param == "asyncio" else new_event_loop(request.param)
    except OSError as error:
        pytest.skip(f"no {request.param}: {error}")
    with served(loop=loop) as one:
        yield one


def raw(endpoint: Served, **greeting) -> Raw:
    client = Raw(endpoint.port)
    client.greet(**greeting)
    return client


class Kazoo:
    """kazoo, started and ended."""

    def __init__(self, port, **named):
        self.client = KazooClient(f"127.0.0.1:{port}", timeout=30.0, **named)

    def __enter__(self):
        self.client.start(PATIENCE)
        return self.client

    def __exit__(self, *_):
        self.client.stop()
        self.client.close()


def test_kazoo_finds_its_way(endpoint):
    with Kazoo(endpoint.port) as client, Kazoo(endpoint.port) as other:
        events = []
        assert client.create("/dubbo/x/providers/a", b"1", ephemeral=True, makepath=True) == "/dubbo/x/providers/a"
        assert client.create("/dubbo/x/n-", b"", sequence=True) == "/dubbo/x/n-0000000001"
        assert other.get("/dubbo/x/providers/a", watch=events.append)[0] == b"1"
        assert other.get_children("/dubbo/x", watch=events.append) == ["providers", "n-0000000001"]
        assert other.exists("/dubbo/y", watch=events.append) is None
        client.set("/dubbo/x/providers/a", b"2", version=0)
        client.create("/dubbo/y", b"")
        client.delete("/dubbo/x/n-0000000001")
        until("three events", lambda: len(events) == 3)
        assert [event.type for event in events] == [EventType.CHANGED, EventType.CREATED, EventType.CHILD]
        for error, call in (
            (BadVersionError, lambda: other.set("/dubbo/y", b"", version=5)),
            (NodeExistsError, lambda: other.create("/dubbo/y")),
            (NoNodeError, lambda: other.get("/nothing")),
            (NotEmptyError, lambda: other.delete("/dubbo/x")),
        ):
            with pytest.raises(error):
                call()
        assert other.get("/zookeeper/config")[0] == b"" and other.get_acls("/dubbo")[0][0].id.id == "anyone"
        client.add_auth("digest", "me:secret")
        client.stop()
        until("its node to go", lambda: other.exists("/dubbo/x/providers/a") is None)
    assert endpoint.do(lambda: endpoint.server.operations["create"]) >= 6


def test_kazoo_comes_back_with_its_watches(endpoint):
    with Kazoo(endpoint.port) as client, Kazoo(endpoint.port) as other:
        seen, states = [], []
        client.add_listener(states.append)
        client.create("/mine", b"1", ephemeral=True)
        client.ChildrenWatch("/")(lambda names: seen.append(set(names)) or True)
        session = client.client_id
        for number in range(3):
            endpoint.do(lambda: [c.leave() for c in [*endpoint.server.connections] if c.session_id == session[0]])
            other.create(f"/n{number}")
            until("the new node", lambda name=f"n{number}": seen[-1] >= {name, "mine"})
        assert client.client_id == session and KazooState.LOST not in states
        assert endpoint.do(lambda: endpoint.server.sessions.resumed) >= 3


def test_a_session_is_taken_over_and_only_by_its_password(endpoint):
    first = raw(endpoint)
    first.create("/mine", flags=1)
    id, password = first.session.session, first.session.password
    stranger = Raw(endpoint.port)
    assert stranger.greet(session=id) == jute.ConnectReply(0, 0, 0, bytes(16)) and stranger.ended()
    second = raw(endpoint, session=id, password=password)
    assert second.session == first.session and first.ended()
    assert second.ask(Op.EXISTS, jute.Exists("/mine", False))[1].stat.owner == id
    second.close()
    third = raw(endpoint, session=id, password=password)
    assert third.ask(Op.CLOSE)[0] == 0 and third.ended()
    unknown = Raw(endpoint.port)
    assert unknown.greet(session=id, password=password) == jute.ConnectReply(0, 0, 0, bytes(16)) and unknown.ended()
    for client in (first, stranger, third, unknown):
        client.close()


def test_who_has_seen_a_later_transaction_begins_anew(endpoint):
    first = raw(endpoint)
    first.told()
    later = Raw(endpoint.port)
    reply = later.greet(session=first.session.session, password=first.session.password, zxid=first.zxid + 1)
    assert reply.session == 0 and later.ended()
    again = raw(endpoint, zxid=first.zxid + 1)
    assert again.session.session
    for client in (first, later, again):
        client.close()


def test_an_old_client_gets_no_flag(endpoint):
    client = Raw(endpoint.port)
    client.sock.sendall(jute.packed(jute.Connect(0, 0, 10_000, 0, None)))
    packet = client.packet()
    assert packet is not None and jute.read(jute.ConnectReply, packet)[1] == len(packet)
    client.close()


def test_a_silent_session_expires_and_its_connection_ends():
    now = [0.0]
    with served(clock=lambda: now[0]) as endpoint:
        silent, lively = raw(endpoint), raw(endpoint)
        silent.create("/silent", flags=1)
        lively.ask(Op.EXISTS, jute.Exists("/silent", True))
        now[0] = 29.0
        lively.told()
        now[0] = 31.0
        endpoint.do(endpoint.server.sessions.expire)
        assert silent.ended()
        assert [event.type for _, event in lively.told()] == [2]
        silent.close()
        lively.close()


def test_events_come_before_the_answer_that_followed_them(endpoint):
    client = raw(endpoint)
    client.ask(Op.EXISTS, jute.Exists("/a", True))
    client.create("/a")
    assert [event for _, event in client.events] == [jute.Event(1, 3, "/a")]
    client.close()


def test_many_questions_at_once_are_answered_in_order(endpoint):
    client = raw(endpoint)
    questions = [jute.packed(jute.Header(n, Op.CREATE), jute.Create(f"/{n}", b"", jute.ANYONE, 0)) for n in range(2000)]
    client.sock.sendall(b"".join(questions))
    for n in range(2000):
        assert client.answer(n, Op.CREATE) == (0, jute.Created(f"/{n}"))
    client.close()


def test_what_is_not_there(endpoint):
    client = raw(endpoint)
    for op in (14, 22, 103, 104, 7, 16, 102):
        assert client.ask(op)[0] == Err.UNIMPLEMENTED
    assert client.ask(Op.EXISTS, jute.Nothing())[0] == Err.MARSHALLING
    assert client.ask(Op.ADD_WATCH, jute.AddWatch("/", 5))[0] == Err.MARSHALLING
    assert client.ask(4711)[0] == Err.UNIMPLEMENTED and client.ended()
    client.close()
    assert endpoint.do(lambda: endpoint.server.unknown["other"] == 1 and endpoint.server.unknown["multi"] == 1)


def test_who_one_is(endpoint):
    client = raw(endpoint)
    rules = (jute.Acl(31, "auth", ""),)
    assert client.ask(Op.CREATE, jute.Create("/a", b"", rules, 0))[0] == Err.INVALID_ACL
    assert client.ask(Op.AUTH, jute.Auth(0, "digest", b"me:secret"), -4)[0] == 0
    assert client.ask(Op.WHO_AM_I)[1].all == (jute.Identity("ip", "127.0.0.1"), jute.Identity("digest", "me"))
    assert client.ask(Op.CREATE, jute.Create("/a", b"", rules, 0))[0] == 0
    assert client.ask(Op.GET_ACL, jute.GetAcl("/a"))[1].acl[0].id == make_digest_acl_credential("me", "secret")
    assert client.ask(Op.AUTH, jute.Auth(0, "cert", b""), -4)[0] == Err.AUTH_FAILED and client.ended()
    client.close()


@pytest.mark.parametrize("word, said", [(b"ruok", b"imok"), (b"srvr", b"Zookeeper version: ")])
def test_words_of_four_letters(endpoint, word, said):
    with socket.create_connection(("127.0.0.1", endpoint.port), PATIENCE) as sock:
        sock.sendall(word)
        answer = b""
        while more := sock.recv(4096):
            answer += more
    assert answer.startswith(said)


@pytest.mark.parametrize("head", [0x100000, -1, 0x7FFFFFFF, 3])
@pytest.mark.parametrize("greeted", [False, True])
def test_lengths_that_cannot_be_end_the_connection(endpoint, head, greeted):
    client = raw(endpoint) if greeted else Raw(endpoint.port)
    client.sock.sendall(struct.pack(">i", head) + b"abc")
    assert client.ended()
    client.close()
    refused = endpoint.do(lambda: dict(endpoint.server.used.refused))
    assert refused == {"malformed" if head == 3 else "packet": 1}


def test_the_largest_packet_is_taken(endpoint):
    client = raw(endpoint)
    record = jute.Create("/a", b"", jute.ANYONE, 0)
    room = 0xFFFFF - len(jute.write(jute.Header(1, 1))) - len(jute.write(record))
    assert client.create("/a", b"x" * room)[0] == 0
    assert len(client.ask(Op.GET_DATA, jute.GetData("/a", False))[1].data) == room
    client.close()


def test_a_connection_that_does_not_greet_ends():
    with served(Limits(greeting=0.01)) as endpoint:
        client = Raw(endpoint.port)
        assert client.ended() and endpoint.do(lambda: endpoint.server.used.refused["greeting"]) == 1
        client.close()


def test_too_many_connections_and_sessions():
    with served(Limits(connections=3, sessions=2)) as endpoint:
        clients = [raw(endpoint) for _ in range(2)]
        third = Raw(endpoint.port)
        third.sock.sendall(jute.packed(jute.Connect(0, 0, 10_000, 0, b"")))
        assert third.ended()
        waiting = Raw(endpoint.port)
        until("it to be there", lambda: endpoint.do(lambda: len(endpoint.server.connections)) == 3)
        more = Raw(endpoint.port)
        assert more.ended()
        assert clients[0].ask(Op.CLOSE)[0] == 0
        assert waiting.greet().session
        for client in (*clients, third, more, waiting):
            client.close()
        assert endpoint.do(lambda: dict(endpoint.server.used.refused)) == {"sessions": 1, "connections": 1}


def test_kazoo_is_told_of_a_limit():
    with served(Limits(nodes=2)) as endpoint, Kazoo(endpoint.port) as client:
        client.create("/a")
        client.create("/b")
        with pytest.raises(SystemZookeeperError):
            client.create("/c")


def test_no_more_is_read_from_who_reads_nothing(endpoint):
    """Its answers wait; nobody else does; then it reads, and gets all of them."""
    client, other = raw(endpoint), raw(endpoint)
    client.create("/big", b"x" * 500_000)
    question = jute.packed(jute.Header(1, Op.GET_DATA), jute.GetData("/big", False))
    client.sock.sendall(question * 200)
    mine = lambda: next(c for c in endpoint.server.connections if c.session_id == client.session.session)  # noqa: E731
    until("it to be held", lambda: endpoint.do(lambda: mine()._full))
    assert other.create("/small")[0] == 0
    assert endpoint.do(lambda: mine()._transport.get_write_buffer_size()) < 1_000_000
    for _ in range(200):
        code, body = client.answer(1, Op.GET_DATA)
        assert code == 0 and len(body.data) == 500_000
    client.close()
    other.close()


def test_who_ends_without_reading_is_not_waited_for():
    with served(Limits(farewell=0.01, pause=64 << 20, output=64 << 20)) as endpoint:
        client = raw(endpoint)
        client.create("/big", b"x" * 1_000_000)
        questions = jute.packed(jute.Header(1, Op.GET_DATA), jute.GetData("/big", False)) * 20
        client.sock.sendall(questions + jute.packed(jute.Header(2, Op.CLOSE)))
        until("it to be given up", lambda: endpoint.do(lambda: endpoint.server.used.refused["farewell"]) == 1)
        until("its end", lambda: endpoint.do(lambda: not endpoint.server.connections))
        assert endpoint.do(lambda: len(endpoint.server.sessions)) == 0 and client.ended()
        client.close()


def test_who_does_not_read_its_events_is_closed():
    with served(Limits(output=100_000)) as endpoint:
        client, other = raw(endpoint), raw(endpoint)
        client.ask(Op.ADD_WATCH, jute.AddWatch("/", 1))
        name = "/" + "n" * 50_000
        gone = lambda: endpoint.do(lambda: endpoint.server.used.refused["output"])  # noqa: E731
        for _ in range(10_000):
            assert other.create(name)[0] == other.ask(Op.DELETE, jute.Delete(name, -1))[0] == 0
            if gone():
                break
        assert gone() == 1 and client.ended()
        assert endpoint.do(lambda: endpoint.server.used.now["watches"]) == 0
        client.close()
        other.close()


def test_ends_in_the_middle_leave_nothing(endpoint):
    for cut in (0, 2, 5, 20):
        client = Raw(endpoint.port)
        client.sock.sendall(jute.packed(jute.Connect(0, 0, 10_000, 0, bytes(16)))[:cut])
        client.close()
    client = raw(endpoint)
    client.ask(Op.GET_CHILDREN, jute.GetChildren("/", True))
    client.sock.sendall(jute.packed(jute.Header(1, Op.EXISTS), jute.Exists("/", True))[:9])
    client.close()
    until("them to be forgotten", lambda: endpoint.do(lambda: not endpoint.server.connections))
    assert endpoint.do(lambda: endpoint.server.used.now["watches"]) == 0


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:0", "tcp://192.0.2.1:2181", "unix:///tmp/x", "unix://@x"])
def test_only_loopback(endpoint, address):
    with pytest.raises(ValueError, match="loopback|UNIX"):
        endpoint.wait(Server().start(address))
