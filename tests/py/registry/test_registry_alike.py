"""Names in a registry are anybody's: what one is called takes nothing from another."""

from __future__ import annotations

import asyncio
import struct

import pytest
import served
from served import Served
from test_registry_applications import REMOTE, instance, mapped, written
from test_registry_instance import service
from test_registry_kazoo import CART as HERE
from test_registry_kazoo import PATH, count, followed, node, turning
from zoo import PATIENCE, calm, until
from zoo_world import CART, STOCK, world

from meshfast.registry import EVERY, link
from meshfast.registry.etcdjson import Event, KeyValue
from meshfast.registry.etcdwatch import Fires

#: What a ZooKeeper says of a request where the connection or the session is gone.
LOST, EXPIRED = -4, -112


@world
async def test_an_application_that_is_called_as_a_folder_of_the_registry(w):
    """What it offers would stand where the mapping of another's service does."""
    mapped(w, CART, "shop")
    mapped(w, STOCK, "mapping")
    for i, app in enumerate(("shop", "store")):
        instance(w, i + 1, app=app, metadata=REMOTE)
        written(w, service(), app=app)
    instance(w, 9, app="mapping", revision=CART, metadata=REMOTE)
    w.registry.start()
    w.registry.want([CART, STOCK])
    await calm()
    assert w.hosts() == ["10.0.0.1"]
    mapped(w, CART, "shop,store")
    await calm()
    assert w.hosts() == ["10.0.0.1", "10.0.0.2"]


@world
async def test_an_application_that_is_called_as_a_folder_hides_no_new_service(w):
    mapped(w, STOCK, "mapping")
    w.registry.start()
    w.registry.want([EVERY])
    await calm()
    mapped(w, CART, "shop")
    instance(w, 1, metadata=REMOTE)
    written(w, service())
    await calm()
    assert w.hosts() == ["10.0.0.1"]


@world
async def test_what_is_read_no_longer_is_forgotten_by_one_alone(w):
    mapped(w, CART, "shop")
    mapped(w, STOCK, "mapping")
    instance(w, 9, app="mapping", revision=CART, metadata=REMOTE)
    w.registry.start()
    w.registry.want([CART, STOCK])
    await calm()
    w.registry.want([CART])
    await calm()
    instance(w, 1, app="store", metadata=REMOTE)
    written(w, service(), app="store")
    mapped(w, CART, "shop,store")
    await calm()
    assert w.hosts() == ["10.0.0.1"]
    w.registry.want([])
    await calm()
    assert not any(w.registry._reads._watched.values())


def test_two_follow_a_key_of_an_etcd():
    """One has read it before a change, and the other after: both are told."""
    fires, told = Fires(), []
    fires.follow("/a", False, lambda event: told.append("first"))(5)
    known = fires.follow("/a", False, lambda event: told.append("second"))
    fires.event(Event(KeyValue(key=b"/a", mod_revision=6)))
    known(7)
    assert told == ["first", "second"]
    fires.event(Event(KeyValue(key=b"/a", mod_revision=8)))
    assert told == ["first", "second"]


@pytest.mark.parametrize("code", [LOST, EXPIRED])
def test_a_server_that_says_that_the_connection_is_lost_and_goes_on(code, monkeypatch):
    class Once(Served):
        left = 1

        def _answer(self, sock, packet):
            xid, kind = struct.unpack(">ii", packet[:8])
            if kind != 8 or not self.left:
                return super()._answer(sock, packet)
            self.left -= 1
            sock.sendall(served._text(struct.pack(">iqi", xid, 1, code)))
            return True

    async def run():
        server = Once()
        server.tree[PATH] = [node(1)]
        async with followed(server) as (registry, told, times):
            await until(lambda: not server.left)
            await turning(times, lambda: count(told) == 1)
            assert registry.state.connected and HERE in told

    monkeypatch.setattr(link, "HANDSHAKE", PATIENCE)
    asyncio.run(run())
