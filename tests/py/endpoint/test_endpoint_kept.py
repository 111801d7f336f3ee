"""Sessions, and what they made, over a restart."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from kazoo.client import KazooState
from test_endpoint import Kazoo, until
from test_endpoint_dubbo import Played, client_of, offer, providers, url
from zookeepers import Raw

from meshfast.endpoint import jute
from meshfast.endpoint.codes import Refused
from meshfast.endpoint.dubbo import Endpoint
from meshfast.endpoint.jute import Op
from meshfast.endpoint.limits import Limits
from meshfast.errors import SourceError


class Memory:
    """A state directory that is none."""

    def __init__(self, data: bytes | None = None, error: Exception | None = None) -> None:
        self.data, self.error, self.writes = data, error, 0
        self.full: Exception | None = None

    def read(self, name: str) -> bytes | None:
        if self.error:
            raise self.error
        return self.data

    def write(self, name: str, data: bytes) -> None:
        if self.full:
            raise self.full
        self.data = data
        self.writes += 1


def crashed(state: Memory) -> Memory:
    """What is there when a process ends now."""
    return Memory(state.data)


def test_kazoo_goes_on_after_a_restart():
    state = Memory()
    played = Played(state=state)
    played.list("x.Hello", offer("x.Hello", {}))
    states, seen = [], []
    with Kazoo(played.port) as client:
        client.add_listener(states.append)
        path = f"/dubbo/x.Hello/providers/{url()}"
        client.create(path, b"", ephemeral=True, makepath=True)
        client.ChildrenWatch("/dubbo/x.Hello/providers")(lambda names: seen.append(list(names)) or True)
        session, shown = client.client_id, seen[-1]
        played.close()
        played = Played(state=state)  # the port that was may be another's by now
        client.set_hosts(f"127.0.0.1:{played.port}")
        until("it to come back", lambda: played.do(lambda: played.server.sessions.resumed))
        until("it to know", lambda: client.state == KazooState.CONNECTED)
        assert client.client_id == session and KazooState.LOST not in states
        assert client.exists(path).ephemeralOwner == session[0]
        assert played.do(lambda: [one.session for one in played.whole.wanted.values()]) == [session[0]]
        assert played.do(lambda: played.shown.interests["x.Hello"]) == 1
        played.list("x.Hello", offer("x.Hello", {}), offer("x.Hello", {}, version="2"))
        until("it to hear", lambda: len(seen[-1]) == 2)
        assert all(names for names in seen) and shown[0] in seen[-1]
    played.close()


def test_after_a_crash_lists_are_as_they_were():
    state = Memory()
    played = Played(state=state)
    played.list("x.Hello", offer("x.Hello", {}))
    client = client_of(played)
    shown = providers(client, "x.Hello")
    client.create("/mine", flags=1)
    until("it to be written", lambda: state.data is not None and b"/mine" in state.data)
    after = Played(state=crashed(state))
    again = Raw(after.port)
    assert again.greet(session=client.session.session, password=client.session.password, zxid=client.zxid).session
    watches = jute.SetWatches(client.zxid, (), (), ("/dubbo/x.Hello/providers",))
    assert again.ask(Op.SET_WATCHES, watches, -8)[0] == 0
    assert [event.type for _, event in again.events] == [4]  # it looks again, and nothing is other
    assert providers(again, "x.Hello") == shown and after.do(lambda: after.whole.waits) == 0
    assert again.ask(Op.CLOSE)[0] == 0
    until("the end to be written", lambda: b"/mine" not in after.whole.keeper._state.data)
    for one in (again, client, after, played):
        one.close()


def test_who_does_not_come_back_expires():
    state = Memory()
    played = Played(state=state)
    client = client_of(played)
    client.create("/dubbo")
    client.create("/dubbo/x.Hello")
    client.create("/dubbo/x.Hello/providers")
    client.create(f"/dubbo/x.Hello/providers/{url()}", flags=1)
    client.close()
    played.close()
    after = Played(state=state)
    assert after.do(lambda: len(after.whole.wanted)) == 1
    after.now[0] = 31.0
    after.do(after.server.sessions.expire)
    assert after.do(lambda: len(after.whole.wanted)) == 0
    assert after.do(lambda: after.server.tree.children("/dubbo/x.Hello"))[0] == ("providers",)
    after.close()


@pytest.mark.parametrize("seed", range(8))
def test_all_nodes_are_as_they_were(seed):
    rand = random.Random(seed)
    played = Played(state=Memory())
    client = client_of(played)
    tree = played.server.tree
    names = ["a", "b", "c", "dubbo", "x.Hello", "providers", "mapping", url()]

    def work() -> None:
        for _ in range(400):
            path = "/" + "/".join(rand.choice(names) for _ in range(rand.randrange(1, 5)))
            try:
                match rand.randrange(6):
                    case 0:
                        tree.delete(path, -1)
                    case 1:
                        tree.set(path, rand.choice([None, b"", b"xyz"]), -1)
                    case 2:
                        played.whole.asked(client.session.session, Op.EXISTS, path)
                    case _:
                        op = rand.choice([Op.CREATE2, Op.CREATE_CONTAINER])
                        tree.create(op, path, b"1", jute.ANYONE, rand.choice([0, 0, 1, 2, 3]), client.session.session)
            except Refused:
                pass

    def picture(one: Played) -> dict[str, Any]:
        found = {}
        for path, node in one.server.tree.paths():
            if node.ours:
                found[path] = sorted(node.children or ()), node.unlisted, node.data
            elif path != "/":
                found[path] = node.stat(), sorted(node.children or ()), node.unlisted, node.data, node.acl, node.listed
        return found

    played.do(work)
    before, used, wanted = played.do(lambda: (picture(played), dict(played.server.used.now), dict(played.whole.wanted)))
    state = Memory(played.do(lambda: played.whole.keeper._encoded()))
    after = Played(state=state)
    assert after.do(lambda: picture(after)) == before and len(before) > 15
    assert after.do(lambda: dict(after.server.used.now)) == used
    assert after.do(lambda: dict(after.whole.wanted)) == wanted
    assert after.do(lambda: after.whole.keeper._encoded()) is not None
    after.do(lambda: [after.server.sessions.end(one) for one in list(after.server.sessions)])
    played.do(lambda: [played.server.sessions.end(one) for one in list(played.server.sessions)])
    assert after.do(lambda: sorted(picture(after))) == played.do(lambda: sorted(picture(played)))
    for one in (client, played, after):
        one.close()


@pytest.mark.parametrize(
    "state",
    [
        Memory(error=SourceError("its checksum differs")),
        Memory(error=OSError(13, "Permission denied")),
        *(Memory(data) for data in (b"", b"{", b"[]", b'{"zxid":1}', b"[" * 100_000, b'{"zxid":-1,"sessions":[[]]}')),
    ],
)
def test_what_cannot_be_read_is_not_used(state, caplog):
    played = Played(state=state)
    client = client_of(played)
    assert client.create("/a")[0] == 0 and "not used" in caplog.text
    client.close()
    played.close()


def test_what_would_be_too_much_or_is_no_node_is_left_out():
    played = Played(state=Memory())
    client = client_of(played)
    for number in range(5):
        client.create(f"/n{number}")
    kept = msgspec.json.decode(played.do(lambda: played.whole.keeper._encoded()))
    node = kept["nodes"][0]
    kept["nodes"] += [[path, *node[1:]] for path in ("/", "a", "/a/", "/zookeeper/config", "/deep/er")]
    kept["nodes"] += [["/owned", *node[1:3], 4711, *node[4:]]]
    kept["sessions"][0][3] = {"/dubbo/x/providers": True, "/none": True, "/" + "x" * 5000 + "/y/providers": True}
    after = Played(Limits(nodes=3), Memory(msgspec.json.encode(kept)))
    paths = after.do(lambda: {path for path, node in after.server.tree.paths() if not node.ours})
    assert len(paths) == 4 and paths < {"/", "/deep/er", *(f"/n{number}" for number in range(5))}
    for one in (client, played, after):
        one.close()


def test_a_state_that_cannot_be_written_is_told(caplog):
    state = Memory()
    played = Played(state=state)
    state.full = OSError(28, "No space left on device")
    client = client_of(played)
    until("it to fail", lambda: played.do(lambda: played.whole.keeper.failed))
    state.full = None
    client.create("/a")
    until("it to be written", lambda: state.data is not None and b'"/a"' in state.data)
    assert "not kept over a restart" in caplog.text
    client.close()
    played.close()


def test_changes_during_a_write_are_written_after_it():
    state = Memory()
    played = Played(state=state)
    client = client_of(played)
    for number in range(300):
        client.create(f"/n{number}")
    until("the last to be written", lambda: state.data is not None and b"/n299" in state.data)
    assert state.writes < 50
    client.close()
    played.close()


def test_nothing_is_kept_where_nothing_is_said():
    assert Endpoint("tcp://127.0.0.1:0", None, "127.0.0.1:1").keeper is None  # type: ignore[arg-type]
