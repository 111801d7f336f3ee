"""kazoo itself, over sockets: what it tells of connections, good and bad."""

from __future__ import annotations

import asyncio
import struct
import time
from contextlib import asynccontextmanager

import pytest
from served import Served
from zoo import PATIENCE, Hand, until

from meshfast.registry import link
from meshfast.registry.link import Ensemble
from meshfast.registry.url import encode
from meshfast.registry.zookeeper import ZooKeeper

CART = "com.x.Cart"
PATH = f"/dubbo/{CART}/providers"


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """However busy the machine is, a handshake that is going on is waited for."""
    monkeypatch.setattr(link, "HANDSHAKE", PATIENCE)


async def turning(times, predicate):
    """Turns the clock on until it is so."""
    deadline = time.monotonic() + PATIENCE
    while not predicate():
        assert time.monotonic() < deadline, "it never came"
        await times.turn(0.1)


def node(i):
    return encode(f"dubbo://10.0.0.{i}:20880/{CART}")


@asynccontextmanager
async def followed(server, secret="", session=15.0):
    """A registry at a server, what it told last, and the clock of its attempts."""
    told, times = {}, Hand()
    address = f"zookeeper://{secret}127.0.0.1:{server.port}"
    registry = ZooKeeper("main", address, told.__setitem__, session=session, times=times)
    try:
        registry.want([CART])
        registry.start()
        yield registry, told, times
    finally:
        await registry.close()
        server.close()


def count(told):
    return sum(len(offer.instances) for offer in told.get(CART, ()))


def test_it_follows_a_server():
    async def run():
        server = Served()
        server.tree[PATH] = [node(1)]
        async with followed(server, "user:pass@") as (registry, told, times):
            await until(lambda: count(told) == 1)
            assert registry.state.connected and registry.state.sessions == 1
            server.change(PATH, [node(1), node(2)])
            await until(lambda: count(told) == 2)
            server.hang_up()
            await until(lambda: times.waits and not registry.state.connected)
            assert not registry.state.connected and count(told) == 2
            server.tree[PATH] = [node(3)]
            await turning(times, lambda: registry.state.connected)
            assert registry.state.sessions == 1 and server.sessions == [0, 1]  # resumed
            await turning(times, lambda: count(told) == 1)
            assert server.auth and b"user:pass" in server.auth[0]

    asyncio.run(run())


def test_a_session_that_the_server_does_not_know():
    async def run():
        server = Served()
        async with followed(server) as (registry, told, times):
            await until(lambda: CART in told)
            server.expired = True
            server.hang_up()
            await until(lambda: times.waits and not registry.state.connected)
            await turning(times, lambda: registry.state.sessions == 2 and registry.state.connected)
            assert server.sessions == [0, 1, 0]

    asyncio.run(run())


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        struct.pack(">i", -1),
        struct.pack(">i", 3) + b"abc",
        struct.pack(">i", 0),
        struct.pack(">iiiq", 37, 0, 15000, 5) + struct.pack(">i", 2**31 - 1) + b"p" * 17,
        struct.pack(">iiiq", 37, 0, 15000, 5) + struct.pack(">i", 16) + b"p" * 16 + b"\0" + b"\0\0\0\4nope",
    ],
    ids=["nothing", "http", "negative", "short", "empty", "long", "then_nonsense"],
)
def test_a_server_that_says_nonsense_is_left_and_tried_again(says):
    async def run():
        server = Served(says)
        async with followed(server) as (registry, told, times):
            for n in range(3):
                await until(lambda n=n: len(times.waits) > n)
                await times.turn(31)
            await until(lambda: registry.state.error and not registry.state.connected)
            assert told == {}

    asyncio.run(run())


def test_a_server_that_says_nothing_is_left_long_before_a_session_would_end(monkeypatch):
    async def run():
        server = Served(silent=True)
        async with followed(server, session=600.0) as (registry, told, times):
            await until(lambda: times.waits and registry.state.error)
            assert "time-out" in registry.state.error
            server.silent = False
            monkeypatch.setattr(link, "HANDSHAKE", PATIENCE)
            await turning(times, lambda: registry.state.connected)

    monkeypatch.setattr(link, "HANDSHAKE", 0.05)
    asyncio.run(run())


def test_nobody_there():
    async def run():
        server = Served()
        server.close()
        told, times = {}, Hand()
        registry = ZooKeeper("main", f"127.0.0.1:{server.port}", told.__setitem__, times=times)
        registry.start()
        await until(lambda: times.waits)
        assert "refused" in registry.state.error and not registry.state.connected
        await registry.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "text, hosts, secret",
    [
        ("zookeeper://10.0.0.1:2181", "10.0.0.1:2181", ""),
        ("10.0.0.1", "10.0.0.1:2181", ""),
        ("zookeeper://a:1,b,[::1]:3,[::2]/", "a:1,b:2181,[::1]:3,[::2]:2181", ""),
        ("zookeeper://u:p@10.0.0.1:1", "10.0.0.1:1", "u:p"),
        ("zookeeper://u:p%40q@a:1?backup=b:2,c:3", "a:1,b:2,c:3", "u:p@q"),
    ],
)
def test_addresses_of_ensembles(text, hosts, secret):
    assert Ensemble.parse(text) == Ensemble(hosts, secret)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "zookeeper://",
        "nacos://a:1",
        "a:0",
        "a:65536",
        "a:x",
        "a b:1",
        "::1:2181",
        "a/b:1",
        "u@a:1",
        ",",
        "a:" + "9" * 9999,
    ],
)
def test_addresses_that_are_none(text):
    with pytest.raises(ValueError):
        Ensemble.parse(text)
