"""An etcd that is followed: what stands in it is told, and what changes; nothing is read that need not be."""

from __future__ import annotations

import json

import pytest
from etcd_world import CART, STOCK, World, world
from zoo import calm, until

from meshfast.registry import EVERY, etcdnodes
from meshfast.registry.etcd import Etcd


@world
async def test_what_stands_is_told_and_what_changes(w: World):
    w.put(1)
    w.server.put("/dubbo/com.x.Cart/providers")  # dubbo-go makes folders
    await w.begin(CART, STOCK)
    await w.hear("10.0.0.1")
    await w.hear(service=STOCK)
    w.put(2)
    await w.hear("10.0.0.1", "10.0.0.2")
    w.server.drop(w.key(1))
    await w.hear("10.0.0.2")
    w.put(3, STOCK)
    await w.hear("10.0.0.3", service=STOCK)
    w.registry.want([CART])
    w.put(4, STOCK)
    w.put(4)
    await w.hear("10.0.0.2", "10.0.0.4")
    assert w.hosts(STOCK) == ["10.0.0.3"]
    state = w.registry.state
    assert (state.connected, state.sessions, state.error, state.refused) == (True, 1, "", {})


@world
async def test_all_that_there_are(w: World):
    for i in range(1, 600):
        w.put(i, f"com.x.S{i % 300}")
    w.server.put("/dubbo/config/dubbo/dubbo.properties", b"a=b")
    w.server.put("/dubbo/shop/0123", b"{}")
    await w.begin(EVERY)
    await until(lambda: len(w.now) == 300)
    assert all(len(found[0].instances) == 2 for name, found in w.now.items() if name != "com.x.S0")
    w.put(700, "com.x.New")
    await w.passing(lambda: "com.x.New" in w.now)
    w.server.drop(w.key(700, "com.x.New"))
    await until(lambda: w.now["com.x.New"] == ())


@world
async def test_nothing_is_read_for_what_changes_nothing(w: World):
    w.put(1)
    await w.begin(CART)
    await w.hear("10.0.0.1")
    await until(lambda: w.server.count("/v3/kv/range") == 4)  # who it is, the list, and whether there is a mapping
    w.put(1)  # written again, as who looks after it does
    for i in range(20):
        w.put(i, "com.x.Other")
        w.server.put("/dubbo/config/a/b", b"x")
    w.put(2)
    await w.hear("10.0.0.1", "10.0.0.2")
    assert w.server.count("/v3/kv/range") == 5


@world
async def test_a_change_while_a_list_is_read_is_not_missed(w: World):
    w.put(1)
    left = [2, 3]

    def change(body):
        if body.get("keys_only") and body.get("range_end") and left:
            w.put(left.pop(0), more="&late=1")

    await w.begin()
    await w.connected()
    answer = w.server._range
    w.server._range = lambda key, body: (answer(key, body), change(body))[0]  # after what is answered was looked up
    w.registry.want([CART])
    await w.hear("10.0.0.1", "10.0.0.2", "10.0.0.3")


@world
async def test_applications_of_dubbo_go(w: World):
    metadata = {"dubbo.metadata.revision": "r1", "dubbo.metadata.storage-type": "remote", "env": "dev1"}
    node = {"ID": "10.0.0.9:20000", "ServiceName": "shop", "Host": "10.0.0.9", "Port": 20000, "Enable": True}
    node |= {"Healthy": True, "Metadata": metadata}
    info = {"app": "shop", "revision": "r1", "services": {
        "x": {"name": CART, "protocol": "dubbo", "path": CART, "port": 20001, "params": {"a": "b"}},
    }}  # fmt: skip
    w.server.put(f"/dubbo/mapping/{CART}", b"shop")
    w.server.put("/services/shop/10.0.0.9:20000", json.dumps(node).encode())
    w.server.put("/dubbo/shop/r1", json.dumps(info).encode())
    await w.begin(CART)
    await until(lambda: w.now.get(CART))
    (one,) = w.now[CART][0].instances
    assert (one.address, one.application, one.parameters["env"]) == ("10.0.0.9:20001", "shop", "dev1")
    w.server.put("/services/shop/10.0.0.9:20000", json.dumps(node | {"Healthy": False}).encode())
    await until(lambda: w.now[CART] == ())


@world
async def test_long_lists_come_in_pages_of_one_moment(w: World):
    names = [i for i in range(1, 1001)]
    for i in names:
        w.put(i)
    pages = []

    def change(body):
        if "range_end" in body and len(pages) < 4:
            pages.append(body)
            w.put(2000 + len(pages))

    await w.begin()
    await w.connected()
    w.server.before_page = change
    w.registry.want([CART])
    await w.passing(lambda: CART in w.now and len(w.hosts()) == 1004)
    assert [each["limit"] for each in pages] == [str(etcdnodes.PAGE)] * 4
    assert "revision" not in pages[0] and len({each["revision"] for each in pages[1:]}) == 1


@world
async def test_a_list_that_is_compacted_meanwhile_is_read_again(w: World):
    for i in range(1, 601):
        w.put(i)
    times = []

    def compact(body):
        if "revision" in body and len(times) < 2:
            times.append(body)
            w.put(1000 + len(times))
            w.server.compact()

    w.server.before_page = compact
    await w.begin(CART)
    await w.passing(lambda: len(w.hosts()) == 602)
    assert len(times) == 2


@world
async def test_answers_in_any_pieces(w: World):
    w.server.pieces = 1
    w.put(1)
    await w.begin(CART)
    await w.hear("10.0.0.1")
    w.put(2)
    await w.hear("10.0.0.1", "10.0.0.2")


@world
async def test_below_another_root(w: World):
    w.server.put(w.key(1).replace("/dubbo/", "/a/b/", 1))
    w.put(2)
    await w.begin(CART, root="/a/b")
    await w.hear("10.0.0.1")


def test_an_address_that_is_none():
    for address in ("zookeeper://h:1", "etcd://", "etcd://user@h", "etcd://h:port"):
        with pytest.raises(ValueError):
            Etcd("main", address, print)


@world
async def test_a_name_that_is_no_text(w: World):
    """Keys are any bytes in etcd."""
    w.put(1)
    await w.begin(CART)
    await w.hear("10.0.0.1")
    w.server.put(f"/dubbo/{CART}/providers/%zz")
    w.server.put(f"/dubbo/{CART}/providers/")
    w.server.put(f"/dubbo/{CART}/providers/a/b/c")
    w.server.put("//")
    w.put(2)
    await w.hear("10.0.0.1", "10.0.0.2")
    await calm()
    assert sum(w.registry.state.refused.values()) >= 1
