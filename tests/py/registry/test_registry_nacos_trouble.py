"""A Nacos that is away, hangs, forgets, flaps, asks who one is or talks nonsense: what was listed stays, and one list
takes nothing from another.
"""

from __future__ import annotations

import json

import pytest
from etcd_world import CART, STOCK, offer
from nacos_world import World, world
from played_nacos import BEAT, CONFIGS, LIST, LOGIN, NAMES, Played
from test_registry_nacos_beats import AT, NAME
from zoo import calm, until

from meshfast.registry import gateway, nacosapi
from meshfast.registry.nacosapi import hosts_of
from meshfast.registry.nacosclient import RENEWED

HTML = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 13\r\n\r\n<html></html>"


def ok(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


NONSENSE = [
    b"", b"\x00\xff" * 500, HTML, ok(b""), ok(b"[]"), ok(b"{"), ok(b'{"hosts": 3, "count": "x"}'), ok(b"{}" * 3),
    ok(b"[" * 5000), b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", b"HTTP/1.1 " + b"a" * 100_000,
    b"HTTP/1.1 503 Starting\r\nContent-Length: 0\r\n\r\n", ok(b'{"count":1,"doms":[3],"hosts":{}}'),
]  # fmt: skip


@pytest.mark.parametrize("answer", NONSENSE, ids=lambda each: repr(each[:24]))
@pytest.mark.parametrize("path", [NAMES, LIST])
def test_nonsense_takes_nothing_away(path, answer):
    @world
    async def run(w: World):
        w.put(1)
        await w.begin(CART)
        await w.hear("10.0.0.1")
        w.server.instead[path] = answer
        w.put(2)
        w.registry.want([CART, STOCK])
        state = w.registry.state
        await w.passing(lambda: not state.connected or state.refused)
        assert w.hosts() == ["10.0.0.1"] or (path == NAMES and w.hosts() == ["10.0.0.1", "10.0.0.2"])
        assert state.error or state.refused
        w.server.instead.clear()
        await w.passing(lambda: state.connected and w.hosts() == ["10.0.0.1", "10.0.0.2"] and STOCK in w.now)

    run()


@pytest.mark.parametrize("answer", NONSENSE[1:6], ids=lambda each: repr(each[:24]))
def test_nonsense_to_a_beat(answer):
    """It is said again, and nothing is registered anew."""

    @world
    async def run(w: World):
        one = offer()
        await w.begin()
        w.registry.put(one)
        await until(lambda: w.standing(one) == "registered")
        w.server.instead[BEAT] = answer
        known = w.server.count("PUT", BEAT)
        await w.passing(lambda: w.server.count("PUT", BEAT) > known + 3)
        w.server.instead.clear()
        sent = w.registry.beats.sent
        await w.passing(lambda: w.registry.beats.sent > sent)
        assert list(w.server.of(NAME)) == [AT] and w.standing(one) == "registered"

    run()


@world
async def test_one_instance_that_cannot_be_read(w: World):
    w.put(1)
    w.put(2, port="none")
    w.put(3, metadata=["a"])
    w.put(4, ip="no host")
    w.put(5, weight=1e300, more={"weight": "10", "a&b": "c", "d": "e;f"})
    w.server.put(f"providers:{CART}::", "10.0.0.6", 20880, {"interface": STOCK, "protocol": "dubbo"})
    await w.begin(CART)
    await w.hear("10.0.0.1", "10.0.0.5")
    assert w.registry.state.refused == {"shape": 3, "other_service": 1}
    (_, five) = w.now[CART][0].instances
    assert five.parameters["weight"] == "1000000" and not {"a&b", "d"} & five.parameters.keys()


def test_what_a_list_has_twice():
    both = [{"ip": "::1", "port": 1, "healthy": False}, {"ip": "::1", "port": 1, "clusterName": "B", "weight": None}]
    found, wrong = hosts_of(json.dumps([*both, 3, None, {}]).encode())
    assert wrong == 3 and list(found) == ["[::1]:1"]
    assert (found["[::1]:1"].cluster, found["[::1]:1"].weight, found["[::1]:1"].there) == ("B", 1.0, True)


@world
async def test_a_list_that_is_too_long(w: World):
    old = gateway.MOST_ANSWER
    gateway.MOST_ANSWER = 4096
    try:
        w.put(1)
        await w.begin(CART)
        await w.hear("10.0.0.1")
        for i in range(2, 40):
            w.put(i)
        w.put(1, STOCK)
        w.registry.want([CART, STOCK])
        await w.hears("10.0.0.1", service=STOCK)
        await w.passing(lambda: w.registry.state.refused)
        assert w.hosts() == ["10.0.0.1"] and w.registry.state.connected
    finally:
        gateway.MOST_ANSWER = old
    await w.passing(lambda: len(w.hosts()) == 39)


@world
async def test_more_names_than_are_read(w: World):
    old = nacosapi.MOST_NAMES
    nacosapi.MOST_NAMES = nacosapi.PAGE
    try:
        for i in range(nacosapi.PAGE + 100):
            w.put(1, f"com.x.S{i:04}")
        await w.begin("com.x.S0001", "com.x.S0550")
        await w.hears("10.0.0.1", service="com.x.S0001")
        await w.hears(service="com.x.S0550")
        assert w.registry.state.refused == {"names": 100}
    finally:
        nacosapi.MOST_NAMES = old


@world
async def test_a_server_that_forgot_everything(w: World):
    """It is told as it is: what is to be made of it is for who asks (empty protection)."""
    w.put(1)
    await w.begin(CART)
    await w.hear("10.0.0.1")
    await w.server.stop()
    await w.passing(lambda: not w.registry.state.connected)
    assert w.hosts() == ["10.0.0.1"]
    w.server.services.clear()
    await w.server.start()
    await w.hears()
    w.put(1)
    await w.hears("10.0.0.1")


@world
async def test_flapping(w: World):
    """Each state is told at most once, in order, and the last one is the last."""
    await w.begin(CART)
    await w.hear()
    for i in range(1, 40):
        w.put(i)
        await w.times.turn(0.3)
        if i % 2:
            w.drop(i)
    await w.hears(*sorted(f"10.0.0.{i}" for i in range(2, 40, 2)))
    listings = [listing for service, listing in w.told if service == CART]
    assert all(a != b for a, b in zip(listings, listings[1:], strict=False))


@world
async def test_a_server_that_hangs_is_left_for_another(w: World):
    w.servers.append(Played())
    w.put(1)
    for each in w.servers:
        each.services = w.server.services
    await w.begin(CART, session=3.0)  # a probe is asked each second of the clock, and may take one
    await w.hear("10.0.0.1")
    one = next(each for each in w.servers if each.asked)
    other = next(each for each in w.servers if each is not one)
    for path in (LIST, NAMES, CONFIGS):
        one.instead[path] = "hang"
    w.put(2)
    await w.hears("10.0.0.1", "10.0.0.2")
    assert other.count("GET", LIST)


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
async def test_a_nacos_of_another_version(w: World):
    w.server.instead[NAMES] = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
    await w.begin(CART)
    await until(lambda: "api.compatibility.client.enabled" in w.error)


@world
async def test_a_user(w: World):
    w.server.users["shop"] = "a:b&c"
    w.put(1)
    await w.begin(CART, secret="shop:a%3Ab%26c@")
    await w.hear("10.0.0.1")
    assert w.server.count("POST", LOGIN) == 1
    w.server.tokens.clear()  # as after a restart
    w.put(2)
    await w.hears("10.0.0.1", "10.0.0.2")
    assert w.server.count("POST", LOGIN) == 2 and w.registry.state.sessions == 1
    assert "a:b&c" not in w.error


@world
async def test_a_token_is_renewed_in_time(w: World):
    w.server.users["shop"] = "secret"
    w.server.ttl = 100
    w.put(1)
    await w.begin(CART, secret="shop:secret@")
    await w.hear("10.0.0.1")
    await w.times.turn(RENEWED * w.server.ttl + 1.5)
    await w.passing(lambda: w.server.count("POST", LOGIN) == 2, 0.1)
    assert not w.registry.state.refused


@pytest.mark.parametrize(
    ("secret", "says"), [("", "it asks for a user"), ("shop:other@", "unknown user!"), ("none:x@", "unknown user!")]
)
def test_who_may_not(secret, says):
    @world
    async def run(w: World):
        w.server.users["shop"] = "secret"
        await w.begin(CART, secret=secret)
        await until(lambda: says in w.error)
        assert "other" not in w.error and CART not in w.now

    run()


@world
async def test_what_may_not_be_read(w: World):
    """The rest is; it is tried again."""
    w.put(1)
    w.put(1, STOCK)
    w.server.instead[CONFIGS] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno"
    await w.begin(CART, STOCK)
    await w.hear("10.0.0.1")
    await w.hear("10.0.0.1", service=STOCK)
    await w.passing(lambda: w.registry.state.refused.get("unreadable", 0) >= 2)
    known = w.server.count("GET", CONFIGS)
    w.server.instead.clear()
    await w.passing(lambda: w.server.count("GET", CONFIGS) >= known + 2)
    assert w.registry.state.connected


@world
async def test_the_end_while_it_is_asked(w: World):
    w.put(1)
    w.server.instead[LIST] = "hang"
    await w.begin(CART)
    await until(lambda: w.server.count("GET", LIST))
    await w.registry.close()
    await calm()
    assert CART not in w.now
