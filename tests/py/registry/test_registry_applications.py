"""Applications that registered themselves: found by the mapping, told by what their metadata says."""

from __future__ import annotations

import asyncio
import json

import pytest
from test_registry_instance import METADATA, curator, metadata_info, service
from zoo import calm
from zoo_world import CART, STOCK, world

from meshfast.registry.applications import SELDOM, SOON
from meshfast.registry.instance import info_of
from meshfast.registry.url import Refused

REMOTE = METADATA | {"dubbo.metadata.storage-type": "remote"}


class Asked:
    """Stands for the applications that are asked: what they answer by revision; an exception is raised."""

    def __init__(self, w):
        self.answers: dict = {}
        self.calls: list = []
        self.most = self.now = 0
        self.gate = asyncio.Event()
        self.gate.set()
        w.registry._applications._ask = self

    async def __call__(self, protocol, host, port, application, revision):
        self.calls.append((host, port, application, revision))
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.gate.wait()
        finally:
            self.now -= 1
        found = self.answers.get(revision, OSError("refused"))
        if isinstance(found, Exception):
            raise found
        return info_of(found)


def instance(w, i, revision="r1", app="shop", metadata=METADATA, above="/services", **more):
    host = f"10.0.{i >> 8}.{i & 255}"
    data = curator(
        metadata | {"dubbo.metadata.revision": revision, "dubbo.endpoints": ""}, name=app, address=host, **more
    )
    w.zoo.put(f"{above}/{app}/{host}:20880", data)


def written(w, *services, revision="r1", app="shop", above="/dubbo/metadata"):
    data = json.dumps(metadata_info(*services, revision=revision)).encode()
    w.zoo.put(f"{above}/{app}/{revision}", data)


def mapped(w, service, apps):
    w.zoo.put(f"/dubbo/mapping/{service}", apps.encode())


@world
async def test_metadata_of_the_registry(w):
    mapped(w, CART, "shop")
    instance(w, 1, metadata=REMOTE)
    instance(w, 2, metadata=REMOTE | {"weight": "7"})
    written(w, service(group="red", version="1.0.0"), service(STOCK))
    w.registry.start()
    w.registry.want([CART])
    await calm()
    [(told, [offer])] = w.told
    assert told == CART and (offer.group, offer.version) == ("red", "1.0.0") and w.hosts() == ["10.0.0.1", "10.0.0.2"]
    assert [i.parameters["weight"] for i in offer.instances] == ["50", "7"]
    assert {i.application for i in offer.instances} == {"shop"} and w.registry.state.refused == {}


@pytest.mark.parametrize("above", ["/dubbo/metadata", "/dubbo"], ids=["java", "go"])
def test_instances_below_the_root(above):
    """Where they are if a registry's address names it; what dubbo-go writes beside them is none."""

    @world
    async def play(w):
        mapped(w, CART, "shop")
        instance(w, 1, metadata=REMOTE, above="/dubbo")
        written(w, service(), above=above)
        w.registry.start()
        w.registry.want([CART])
        await calm()
        assert w.hosts() == ["10.0.0.1"] and w.registry.state.refused == {}
        instance(w, 2, metadata=REMOTE)
        instance(w, 3, metadata=REMOTE, above="/dubbo")
        await calm()
        assert sorted(w.hosts()) == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
        w.zoo.drop("/dubbo/shop/10.0.0.1:20880")
        await calm()
        assert sorted(w.hosts()) == ["10.0.0.2", "10.0.0.3"] and w.registry.state.refused == {}

    play()


@pytest.mark.parametrize("above", ["/dubbo/metadata", "/dubbo"], ids=["java", "go"])
def test_metadata_that_is_written_after_its_instance(above):
    @world
    async def run(w):
        mapped(w, CART, "shop")
        instance(w, 1, metadata=REMOTE)
        w.registry.start()
        w.registry.want([CART])
        await calm()
        assert w.now[CART] == ()  # what it offers is not written yet
        written(w, service(), above=above)
        await calm()
        assert w.hosts() == ["10.0.0.1"]
        w.zoo.asked.clear()
        instance(w, 2, metadata=REMOTE)
        written(w, above=above)  # it is known, whatever becomes of it
        await calm()
        assert w.hosts() == ["10.0.0.1", "10.0.0.2"] and not [p for _, p in w.zoo.asked if p.endswith("r1")]

    run()


@world
async def test_metadata_that_the_application_is_asked_for(w):
    asked = Asked(w)
    asked.answers["r1"] = metadata_info(service(port=20880))
    mapped(w, CART, "shop")
    instance(w, 1)
    instance(w, 2)
    w.registry.start()
    w.registry.want([CART, STOCK])
    await calm()
    assert w.hosts() == ["10.0.0.1", "10.0.0.2"] and w.now[STOCK] == ()
    assert asked.calls == [("10.0.0.1", 20881, "shop", "r1")]  # once a revision
    instance(w, 3)
    await calm()
    assert len(asked.calls) == 1 and w.hosts()[2:] == ["10.0.0.3"]


@world
async def test_both_levels_are_one_listing(w):
    w.offer(1, more="&weight=1")
    w.offer(3)
    mapped(w, CART, "shop")
    instance(w, 1, metadata=REMOTE | {"weight": "2"})
    instance(w, 2, metadata=REMOTE | {"weight": "2"})
    written(w, service())
    w.registry.start()
    w.registry.want([CART])
    await calm()
    [offer] = w.now[CART]
    assert [(i.address, i.parameters.get("weight")) for i in offer.instances] == [
        ("10.0.0.1:20880", "1"),
        ("10.0.0.2:20880", "2"),
        ("10.0.0.3:20880", None),
    ]
    w.zoo.drop(w.path(1, more="&weight=1"))
    await calm()
    assert w.now[CART][0].instances[0].parameters["weight"] == "2"


@world
async def test_a_service_of_several_applications_is_told_by_group(w):
    for app, i in (("shop", 1), ("cart", 2)):
        instance(w, i, app=app, metadata=REMOTE)
        written(w, service(group=app), app=app)
    mapped(w, CART, "shop,cart")
    w.registry.start()
    w.registry.want([CART])
    await calm()
    assert [(o.group, [i.address for i in o.instances]) for o in w.now[CART]] == [
        ("cart", ["10.0.0.2:20880"]),
        ("shop", ["10.0.0.1:20880"]),
    ]


@world
async def test_a_new_revision_is_told_when_it_is_known(w):
    asked = Asked(w)
    asked.answers["r1"] = metadata_info(service(params={"timeout": "1"}))
    mapped(w, CART, "shop")
    instance(w, 1)
    w.registry.start()
    w.registry.want([CART])
    await calm()
    instance(w, 1, revision="r2")
    await calm()
    assert len(w.told) == 1 and len(asked.calls) == 2  # nobody answers for r2 yet
    asked.answers["r2"] = metadata_info(service(params={"timeout": "2"}))
    await w.times.turn(SOON)
    assert len(w.told) == 2 and w.now[CART][0].instances[0].parameters["timeout"] == "2"


@world
async def test_a_revision_that_nobody_tells_costs_no_other(w):
    asked = Asked(w)
    asked.answers["r1"] = metadata_info(service())
    mapped(w, CART, "shop")
    instance(w, 1)
    instance(w, 2, revision="gone")
    instance(w, 3, revision="gone")
    w.registry.start()
    w.registry.want([CART])
    await calm()
    assert w.hosts() == ["10.0.0.1"] and w.registry.state.refused == {}
    await w.times.turn(2 * SOON)
    assert [each[0] for each in asked.calls if each[3] == "gone"] == ["10.0.0.2", "10.0.0.3", "10.0.0.2"]  # in turn
    assert w.registry.state.refused == {"metadata": 1}
    calls = len(asked.calls)
    await w.times.turn(10 * SELDOM)
    assert 9 <= len(asked.calls) - calls <= 21 and w.registry.state.refused == {"metadata": 1}
    asked.answers["gone"] = metadata_info(service())
    await w.times.turn(SELDOM)
    assert w.hosts() == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]


@world
async def test_who_answers_nonsense_is_asked_again(w):
    asked = Asked(w)
    asked.answers["r1"] = Refused("shape")
    mapped(w, CART, "shop")
    instance(w, 1)
    w.registry.start()
    w.registry.want([CART])
    await calm()
    assert w.now[CART] == ()
    asked.answers["r1"] = metadata_info(service(), 7)
    await w.times.turn(SOON)
    assert w.hosts() == ["10.0.0.1"] and w.registry.state.refused == {"shape": 1}


@world
async def test_triple_alone_cannot_be_asked(w):
    asked = Asked(w)
    params = {"dubbo.metadata-service.url-params": '{"port":"50051","protocol":"tri"}'}
    mapped(w, CART, "shop")
    instance(w, 1, metadata=METADATA | params)
    instance(w, 2, metadata=METADATA | params)
    w.registry.start()
    w.registry.want([CART])
    await calm()
    assert w.now[CART] == () and asked.calls == [] and w.registry.state.refused == {"metadata_protocol": 1}


@world
async def test_an_instance_that_cannot_be_read_takes_nothing_along(w):
    written(w, service())
    mapped(w, CART, "shop")
    instance(w, 1, metadata=REMOTE)
    w.zoo.put("/services/shop/x", b"\xff\xfe nonsense")
    w.zoo.put("/services/shop/y", curator(REMOTE, name="other"))
    w.registry.start()
    w.registry.want([CART])
    await calm()
    assert w.hosts() == ["10.0.0.1"] and w.registry.state.refused == {"json": 1, "other_application": 1}
    w.zoo.put("/services/shop/10.0.0.1:20880", b"nonsense")  # it is there still
    await calm()
    assert w.hosts() == ["10.0.0.1"]
    instance(w, 1, metadata=REMOTE, enabled=False)
    await calm()
    assert w.now[CART] == ()
    instance(w, 1, metadata=REMOTE)
    await calm()
    assert w.hosts() == ["10.0.0.1"]


@world
async def test_instances_and_applications_come_and_go(w):
    for app, i in (("shop", 1), ("cart", 2)):
        instance(w, i, app=app, metadata=REMOTE)
        written(w, service(), app=app)
    mapped(w, CART, "shop")
    w.registry.start()
    w.registry.want([CART])
    await calm()
    assert w.hosts() == ["10.0.0.1"]
    mapped(w, CART, "shop,cart")
    await calm()
    assert w.hosts() == ["10.0.0.1", "10.0.0.2"]
    w.zoo.drop("/services/shop/10.0.0.1:20880")
    await calm()
    assert w.hosts() == ["10.0.0.2"]
    mapped(w, CART, "shop")
    await calm()
    assert w.now[CART] == ()
    w.zoo.drop("/services/shop")
    instance(w, 3, metadata=REMOTE)
    await calm()
    assert w.hosts() == ["10.0.0.3"]
    w.zoo.drop(f"/dubbo/mapping/{CART}")
    await calm()
    assert w.now[CART] == ()
