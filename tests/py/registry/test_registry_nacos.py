"""A Nacos that is followed: what stands in it is told, and what changes; nothing is asked more often than needed."""

from __future__ import annotations

import json

from etcd_world import CART, STOCK
from nacos_world import World, world
from played_nacos import CONFIGS, LIST, NAMES

from meshfast.registry import EVERY


@world
async def test_what_stands_is_told_and_what_changes(w: World):
    w.put(1)
    await w.begin(CART, STOCK)
    await w.hear("10.0.0.1")
    await w.hear(service=STOCK)
    w.put(2)
    await w.hears("10.0.0.1", "10.0.0.2")
    w.drop(1)
    await w.hears("10.0.0.2")
    w.put(3, STOCK)
    await w.hears("10.0.0.3", service=STOCK)
    w.registry.want([CART])
    w.put(4, STOCK)
    w.put(4)
    await w.hears("10.0.0.2", "10.0.0.4")
    assert w.hosts(STOCK) == ["10.0.0.3"]
    state = w.registry.state
    assert (state.connected, state.sessions, state.error, state.refused) == (True, 1, "", {})


@world
async def test_groups_versions_and_labels(w: World):
    w.put(1, more={"version": "1.0.0", "group": "gray", "env": "dev1", "weight": "50"}, weight=2.0, clusterName="HZ")
    w.put(2)
    w.server.put(f"consumers:{CART}:1.0.0:", "10.0.0.9", 0, {"side": "consumer"})
    w.server.put("providers:com.x.Cart2::", "10.0.0.9", 1, {"interface": "com.x.Cart2", "protocol": "dubbo"})
    await w.begin(CART)
    await w.hear("10.0.0.1", "10.0.0.2")
    gray, plain = sorted(w.now[CART], key=lambda one: one.version, reverse=True)
    assert (gray.group, gray.version, plain.group, plain.version) == ("gray", "1.0.0", "", "")
    (one,) = gray.instances
    assert (one.address, one.protocol, one.application) == ("10.0.0.1:20880", "dubbo", "shop")
    assert [one.parameters[name] for name in ("env", "weight", "nacos.cluster")] == ["dev1", "100", "HZ"]
    assert "protocol" not in one.parameters and "category" not in one.parameters


@world
async def test_who_is_not_enabled_or_not_healthy_is_not_there(w: World):
    w.put(1)
    w.put(2, enabled=False)
    w.put(3, healthy=False)
    await w.begin(CART)
    await w.hear("10.0.0.1")
    w.put(2)
    w.put(3)
    await w.hears("10.0.0.1", "10.0.0.2", "10.0.0.3")
    w.put(1, healthy=False)
    await w.hears("10.0.0.2", "10.0.0.3")


@world
async def test_an_application(w: World):
    metadata = {"dubbo.metadata.revision": "r1", "dubbo.metadata.storage-type": "remote", "env": "dev1"}
    info = {"app": "shop", "revision": "r1", "services": {
        "x": {"name": CART, "protocol": "dubbo", "path": CART, "port": 20001, "params": {"a": "b"}},
    }}  # fmt: skip
    w.server.configs["", "mapping", CART] = b"shop"
    w.server.configs["", "r1", "shop"] = json.dumps(info).encode()
    w.server.put("shop", "10.0.0.9", 20000, metadata)
    await w.begin(CART)
    await w.passing(lambda: w.now.get(CART))
    (one,) = w.now[CART][0].instances
    assert (one.address, one.application, one.parameters["env"]) == ("10.0.0.9:20001", "shop", "dev1")
    w.server.put("shop", "10.0.0.9", 20000, metadata, healthy=False)
    await w.passing(lambda: w.now[CART] == ())
    w.server.put("shop", "10.0.0.8", 20000, metadata | {"dubbo.metadata.revision": "r2"})
    w.server.configs["", "r2", "shop"] = json.dumps(info).encode()
    await w.hears("10.0.0.8")


@world
async def test_a_mapping_that_comes_later(w: World):
    await w.begin(CART)
    await w.hear()
    metadata = {"dubbo.metadata.revision": "r1", "dubbo.metadata.storage-type": "remote"}
    info = {"app": "shop", "services": {"x": {"name": CART, "protocol": "tri", "path": CART, "port": 50051}}}
    w.server.configs["", "r1", "shop"] = json.dumps(info).encode()
    w.server.put("shop", "10.0.0.9", 20000, metadata)
    w.server.configs["", "mapping", CART] = b"shop"
    await w.hears("10.0.0.9")


@world
async def test_all_that_there_are(w: World):
    for i in range(1, 1300):
        w.put(i, f"com.x.S{i % 650}")
    w.server.configs["", "mapping", "com.x.Mapped"] = b"nobody"
    await w.begin(EVERY)
    await w.passing(lambda: len(w.now) == 650)
    assert all(len(found[0].instances) == 2 for name, found in w.now.items() if name != "com.x.S0")
    w.put(1500, "com.x.New")
    await w.passing(lambda: "com.x.New" in w.now)
    w.server.services.pop(("", "DEFAULT_GROUP@@providers:com.x.New::"))
    await w.passing(lambda: w.now["com.x.New"] == ())


@world
async def test_a_namespace_and_a_group(w: World):
    w.put(1)
    other = w.server.services.pop(("", f"DEFAULT_GROUP@@providers:{CART}::"))
    w.server.services["prod", f"SHOPS@@providers:{CART}::"] = other
    w.put(2)
    await w.begin(CART, namespace="prod", group="SHOPS")
    await w.hear("10.0.0.1")


@world
async def test_what_is_asked_in_a_minute(w: World):
    """Of one service that is followed: its instances and the names each second, its mapping each fifth; of one that is
    followed no longer nothing."""
    w.put(1)
    w.put(1, STOCK)
    await w.begin(CART, STOCK)
    await w.hear("10.0.0.1")
    await w.hear("10.0.0.1", service=STOCK)
    w.registry.want([CART])
    w.server.asked.clear()
    for _ in range(60):
        known = w.server.count("GET", LIST)
        await w.passing(lambda: w.server.count("GET", LIST) > known, 0.1)  # noqa: B023
    assert {asked["serviceName"] for _, where, asked in w.server.asked if where == LIST} == {
        f"DEFAULT_GROUP@@providers:{CART}::"
    }
    probes = 12  # of a session of 15 s
    assert 50 <= w.server.count("GET", NAMES) <= 70 + 2 * probes
    assert 10 <= w.server.count("GET", CONFIGS) <= 16


@world
async def test_a_service_between_two_pages_is_not_gone(w: World):
    """It moves while they are read, and is on none of them."""
    w.put(1)
    await w.begin(CART)
    await w.hear("10.0.0.1")
    name = "", f"DEFAULT_GROUP@@providers:{CART}::"
    answer = w.server._answer

    def hidden(method, path, asked, token):
        if path != NAMES:
            return answer(method, path, asked, token)
        kept = w.server.services.pop(name)
        try:
            return answer(method, path, asked, token)
        finally:
            w.server.services[name] = kept

    w.server._answer = hidden
    w.put(2, STOCK)  # the names are others
    known = w.server.count("GET", NAMES)
    await w.passing(lambda: w.server.count("GET", NAMES) > known + 5, 0.2)
    w.put(2)
    await w.hears("10.0.0.1", "10.0.0.2")
    assert [len(found) for service, found in w.told if service == CART] == [1, 1]
