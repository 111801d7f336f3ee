"""Answers of a ZooKeeper that are too long, or never whole: they cost neither memory nor what others have written."""

from __future__ import annotations

import asyncio
import struct
import threading

import pytest
import served
from served import Served
from test_registry_kazoo import CART, PATH, count, followed, node, turning
from zoo import PATIENCE, until

from meshfast.registry import link, zookeeper
from meshfast.registry.url import encode

STOCK = "com.x.Stock"
LONG = f"/dubbo/{STOCK}/providers"
MOST = 100_000


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    monkeypatch.setattr(link, "HANDSHAKE", PATIENCE)
    monkeypatch.setattr(zookeeper, "MOST_ANSWER", MOST, raising=False)


def test_a_list_that_is_too_long_costs_only_itself():
    async def run():
        server = Served()
        server.tree[PATH] = [node(1)]
        server.tree[LONG] = ["x" * 1000 for _ in range(MOST // 1000)]
        async with followed(server) as (registry, told, times):
            registry.want([CART, STOCK])
            await until(lambda: count(told) == 1 and registry.state.refused)
            assert registry.state.refused == {"unreadable": 1} and not told.get(STOCK)
            server.change(PATH, [node(1), node(2)])
            await until(lambda: count(told) == 2)
            assert server.sessions == [0] and registry.state.connected
            server.tree[LONG] = [encode(f"dubbo://10.0.0.3:20880/{STOCK}")]
            await turning(times, lambda: bool(told.get(STOCK)))

    asyncio.run(run())


class Says(Served):
    """Answers what is asked for a list so, and then ``then``."""

    def __init__(self, head, then=lambda sock: None):
        self.head, self.then, self.over = head, then, threading.Event()
        super().__init__()

    def close(self):
        self.over.set()
        super().close()

    def _answer(self, sock, packet):
        if struct.unpack(">ii", packet[:8])[1] != 8:
            return super()._answer(sock, packet)
        sock.sendall(self.head)
        self.then(sock)
        return True


@pytest.mark.parametrize("xid", [-1, -2, -4])
def test_what_nobody_asked_for_ends_the_connection(xid):
    async def run():
        server = Says(struct.pack(">i", 2**31 - 1) + struct.pack(">iqi", xid, 1, 0))
        async with followed(server) as (registry, told, times):
            await until(lambda: times.waits and not registry.state.connected)
            assert "the limit is" in registry.state.error and not registry.state.connected

    asyncio.run(run())


def test_a_greeting_that_is_too_long():
    async def run():
        server = Served(says=struct.pack(">i", 2**31 - 1) + bytes(64))
        async with followed(server) as (registry, told, times):
            await until(lambda: times.waits and not registry.state.connected)
            assert not registry.state.connected

    asyncio.run(run())


def test_an_answer_that_never_ends_is_given_up():
    """Each byte comes in time, and the whole never does."""

    async def run():
        def trickle(sock):
            while not server.over.wait(0.01):
                sock.sendall(b"\0")

        server = Says(struct.pack(">i", MOST), trickle)
        async with followed(server, session=2.0) as (registry, told, times):
            await until(lambda: times.waits and not registry.state.connected)
            assert "time-out" in registry.state.error and not registry.state.connected

    asyncio.run(run())


def test_an_answer_as_long_as_may_be_is_read():
    async def run():
        server = Served()
        server.tree[PATH] = [node(1)]
        spare = MOST - len(served._text(b"")) - 16 - 4 - len(served._text(node(1).encode()))
        server.tree[PATH].append("x" * spare)
        async with followed(server) as (registry, told, _):
            await until(lambda: count(told) == 1)

    asyncio.run(run())
