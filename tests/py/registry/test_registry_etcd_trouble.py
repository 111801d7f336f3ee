"""Streams that are cut, histories that are compacted, servers that are away, hang or talk nonsense: what was listed
stays, nothing is missed, and one list takes nothing from another.
"""

from __future__ import annotations

import random

import pytest
from etcd_world import CART, STOCK, World, world
from played_etcd import Played
from zoo import calm, until

from meshfast.registry import etcdnodes, gateway
from meshfast.registry.etcdwatch import CUTS, STEADY
from meshfast.registry.link import LAST_WAIT

HTML = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 13\r\n\r\n<html></html>"


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def starts(server: Played) -> list[int]:
    """Of watches of the root, in order."""
    asked = [body["create_request"] for path, body in server.asked if path == "/v3/watch"]
    return [each.get("start_revision", 0) for each in asked if each["key"] == "L2R1YmJvLw=="]


@world
async def test_a_stream_that_ends_is_gone_on_with(w: World):
    w.put(1)
    await w.begin(CART)
    await w.hear("10.0.0.1")
    w.put(2)
    await w.hear("10.0.0.1", "10.0.0.2")
    await w.times.turn(STEADY)
    before = w.server.count("/v3/kv/range")
    seen = w.server.revision
    w.server.cut()
    w.server.drop(w.key(1))  # while nobody hears it
    await w.hear("10.0.0.2")
    assert starts(w.server) == [0, seen]  # the last revision may have had more
    assert w.server.count("/v3/kv/range") == before + 1
    assert w.registry.state.connected and w.registry.state.sessions == 1


@world
async def test_what_was_compacted_is_read_anew(w: World):
    w.put(1)
    w.put(1, STOCK)
    await w.begin(CART, STOCK)
    await w.hear("10.0.0.1")
    await w.hear("10.0.0.1", service=STOCK)
    for stream in w.server.streams:
        stream.end = ""  # it hears nothing any more
    w.put(2)
    w.put(3, STOCK)
    w.server.compact()
    w.server.cut()
    await until(lambda: not w.registry.state.connected)
    assert "compacted" in w.error
    assert w.hosts() == ["10.0.0.1"]
    await w.passing(lambda: w.hosts() == ["10.0.0.1", "10.0.0.2"] and w.hosts(STOCK) == ["10.0.0.1", "10.0.0.3"])
    assert w.registry.state.connected and w.registry.state.sessions == 1


@world
async def test_a_stream_that_ends_again_and_again(w: World):
    await w.begin(CART)
    await w.hear()
    for _ in range(CUTS - 1):
        count = len(starts(w.server))
        w.server.cut()
        await until(lambda: len(starts(w.server)) > count)  # noqa: B023
        await until(lambda: len(w.server.streams) == 2)
        await calm()
        assert w.registry.state.connected
    w.server.cut()
    await until(lambda: not w.registry.state.connected)
    assert "again and again" in w.error
    await w.connected()


NONSENSE = [
    b"", b"\x00\xff" * 500, b"HTTP/1.1 200 OK\r\n\r\n", HTML, ok(b"[]"), ok(b"{"), ok(b'{"kvs": 3}'), ok(b"{}" * 3),
    ok(b'{"kvs":[{"key":"!"}]}'), ok(b"[" * 5000), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"HTTP/1.1 " + b"a" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("answer", NONSENSE, ids=lambda each: repr(each[:24]))
@pytest.mark.parametrize("path", ["/v3/kv/range", "/v3/watch", "/v3/lease/keepalive"])
def test_nonsense_takes_nothing_away(path, answer):
    @world
    async def run(w: World):
        w.put(1)
        await w.begin(CART, leased=True)
        await w.hear("10.0.0.1")
        w.server.instead[path] = answer
        w.server.cut()
        w.put(2)
        w.registry.want([CART, STOCK])
        state = w.registry.state
        await w.passing(lambda: not state.connected or state.refused)
        assert w.hosts() == ["10.0.0.1"] or path != "/v3/kv/range"
        assert state.error or state.refused
        w.server.instead.clear()
        await w.passing(lambda: state.connected and w.hosts() == ["10.0.0.1", "10.0.0.2"] and STOCK in w.now)

    run()


@world
async def test_a_server_that_hangs_is_left_for_another(w: World):
    w.servers.append(Played())
    await w.servers[1].start()
    w.put(1)
    for each in w.servers:
        each.keys = w.server.keys
    await w.begin(CART, session=3.0)  # a probe is asked each second of the clock, and may take one
    await w.hear("10.0.0.1")
    one = next(each for each in w.servers if each.streams)
    other = next(each for each in w.servers if each is not one)
    for path in ("/v3/kv/range", "/v3/watch"):
        one.instead[path] = "hang"
    other.put(w.key(2))
    await w.passing(lambda: w.hosts() == ["10.0.0.1", "10.0.0.2"])
    assert other.streams


@world
async def test_a_server_that_is_away(w: World):
    w.put(1)
    await w.begin(CART)
    await w.hear("10.0.0.1")
    await w.server.stop()
    await until(lambda: not w.registry.state.connected)
    w.times.waits.clear()
    for _ in range(30):
        before = len(w.times.waits)
        await w.passing(lambda: len(w.times.waits) > before)  # noqa: B023
    assert len(w.told) == 1 and w.error and max(w.times.waits) <= LAST_WAIT
    w.put(2)
    await w.server.start()
    await w.passing(lambda: w.hosts() == ["10.0.0.1", "10.0.0.2"])
    assert w.registry.state.connected


@world
async def test_one_of_three_is_there(w: World):
    for _ in range(2):
        gone = Played()
        await gone.start()
        await gone.stop()
        w.servers.append(gone)
    w.put(1)
    await w.begin(CART)
    await w.passing(lambda: w.hosts() == ["10.0.0.1"])
    for gone in w.servers[1:]:
        gone.port = 0


@world
async def test_another_cluster_is_another_session(w: World):
    w.put(1)
    await w.begin(CART)
    await w.hear("10.0.0.1")
    await w.server.stop()
    w.server.keys.clear()
    w.server.history.clear()
    w.server.revision, w.server.cluster = 1, 78
    w.put(2)
    await w.server.start()
    await w.passing(lambda: w.hosts() == ["10.0.0.2"])
    assert w.registry.state.sessions == 2


@world
async def test_a_list_that_is_too_long_costs_itself_alone(w: World):
    old = gateway.MOST_ANSWER
    gateway.MOST_ANSWER = 4096
    try:
        w.put(1)
        w.put(2)
        w.server.put(f"/dubbo/{STOCK}/providers/{'x' * 5000}")
        await w.begin(CART, STOCK)
        await w.hear("10.0.0.1", "10.0.0.2")  # in smaller pages
        await w.passing(lambda: w.registry.state.refused)
        assert w.registry.state.refused == {"too_long": 1}
        w.server.drop(f"/dubbo/{STOCK}/providers/{'x' * 5000}")
        w.put(3, STOCK)
        await w.hear("10.0.0.3", service=STOCK)
        assert w.registry.state.sessions == 1
    finally:
        gateway.MOST_ANSWER = old


@world
async def test_a_line_that_does_not_end(w: World):
    old = gateway.MOST_LINE
    gateway.MOST_LINE = 100_000
    try:
        w.put(1)
        await w.begin(CART)
        await w.hear("10.0.0.1")
        for stream in w.server.streams:
            stream.lines.put_nowait(b"x" * 200_000)
        await until(lambda: not w.registry.state.connected)
        assert "line of more than" in w.error
        await w.connected()
    finally:
        gateway.MOST_LINE = old


@world
async def test_lists_beyond_the_limit_of_names(w: World):
    old = etcdnodes.MOST_NAMES
    etcdnodes.MOST_NAMES = 300
    try:
        for i in range(1, 1001):
            w.put(i)
        await w.begin(CART)
        await w.passing(lambda: CART in w.now)
        assert len(w.hosts()) == 2 * etcdnodes.PAGE
    finally:
        etcdnodes.MOST_NAMES = old


@world
async def test_a_prefix_that_may_not_be_read(w: World):
    """A user that is given Dubbo's folder alone follows what is there."""
    w.server.denied = ("/services",)
    w.put(1)
    w.server.put(f"/dubbo/mapping/{CART}", b"shop")
    await w.begin(CART)
    await w.hear("10.0.0.1")
    w.put(2)
    await w.hear("10.0.0.1", "10.0.0.2")
    assert w.registry.state.refused["unreadable"] >= 1
    w.server.denied = ()
    await w.passing(lambda: any(each.begin == "/services/" for each in w.server.streams))
    assert w.registry.state.sessions == 1


@world
async def test_users(w: World):
    w.server.users = {"who": "pass:word"}
    w.put(1)
    await w.begin(CART, secret="who:pass%3Aword@")
    await w.hear("10.0.0.1")
    w.server.tokens.clear()  # it forgets who does not ask
    w.put(2)
    await w.hear("10.0.0.1", "10.0.0.2")
    assert w.server.count("/v3/auth/authenticate") == 2 and w.registry.state.sessions == 1


@pytest.mark.parametrize(("secret", "error"), [("", "it asks for a user"), ("who:other@", "authentication failed")])
def test_users_that_are_not_let_in(secret, error):
    @world
    async def run(w: World):
        w.server.users = {"who": "word"}
        await w.begin(CART, secret=secret)
        await w.passing(lambda: w.error)
        assert error in w.error and "other" not in w.error
        w.server.users = {}
        await w.connected()  # etcd asks nobody any more

    run()


@pytest.mark.parametrize(("answer", "error"), [
    (b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.", "to an HTTPS server"),
    (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNot Found", "HTTP status 404: Not Found"),
    (ok(b"the lease has expired"), "no answer of etcd's gateway"),
])  # fmt: skip
def test_what_is_no_etcd_says_what_it_is(answer, error):
    """Nor does a word in it end a lease."""

    @world
    async def run(w: World):
        w.server.instead["/v3/kv/range"] = answer
        await w.begin(CART, leased=True)
        await w.passing(lambda: w.error)
        assert error in w.error
        w.server.instead.clear()
        await w.connected()
        (lease,) = w.server.leases
        w.server.instead["/v3/lease/keepalive"] = answer
        await w.passing(lambda: not w.registry.state.connected)
        w.server.instead.clear()
        await w.connected()
        assert list(w.server.leases) == [lease] and w.registry.state.sessions == 1

    run()


@world
async def test_what_was_asked_when_it_ended_is_no_error(w: World):
    w.put(1)
    await w.begin(CART)
    await w.hear("10.0.0.1")
    w.server.instead["/v3/kv/range"] = "hang"
    w.registry.want([CART, STOCK])
    await until(lambda: w.server.count("/v3/kv/range") == 6)
    w.server.instead.clear()
    await w.server.stop()
    await until(lambda: not w.registry.state.connected)
    await w.server.start()
    await w.passing(lambda: STOCK in w.now)
    assert w.registry.state.refused == {}


def test_any_bytes_at_all():
    """Of any answers, cut and changed anywhere, none ends the loop or takes away what is listed."""

    @world
    async def run(w: World):
        dice = random.Random(5)
        w.put(1)
        await w.begin(CART)
        await w.hear("10.0.0.1")
        for _ in range(60):
            good = bytearray(ok(b'{"result":{"header":{"revision":9},"created":true,"events":[{"kv":{"key":"YQ"}}]}}'))
            for _ in range(dice.randrange(1, 6)):
                good[dice.randrange(len(good))] = dice.randrange(256)
            w.server.instead = {dice.choice(["/v3/kv/range", "/v3/watch"]): bytes(good[: dice.randrange(len(good))])}
            w.server.cut()
            before = len(w.server.asked)
            await w.passing(lambda: len(w.server.asked) > before)  # noqa: B023
        w.server.instead.clear()
        w.put(2)
        await w.passing(lambda: w.hosts() == ["10.0.0.1", "10.0.0.2"])

    run()
