"""Many applications and what they cost: who is asked, when, and how often."""

from __future__ import annotations

import pytest
from test_registry_applications import REMOTE, Asked, instance, mapped, written
from test_registry_fuzz import steps
from test_registry_instance import METADATA, metadata_info, service
from zoo import calm
from zoo_world import CART, STOCK, world

from meshfast.registry import EVERY
from meshfast.registry.applications import ASKED


@world
async def test_a_first_answer_is_not_of_a_few(w):
    written(w, service())
    mapped(w, CART, "shop")
    for i in range(1, 200):
        instance(w, i, metadata=REMOTE)
    w.zoo.slow = True
    w.registry.start()
    w.registry.want([CART])
    while not w.told:
        await calm()
        w.zoo.client.answer()
    await calm()
    assert [len(listing[0].instances) for _, listing in w.told] == [199]


@world
async def test_a_hung_application_does_not_hold_back_what_is_known(w):
    asked = Asked(w)
    asked.gate.clear()
    written(w, service())
    mapped(w, CART, "shop")
    instance(w, 1, metadata=REMOTE)
    instance(w, 2, revision="r2")
    w.registry.start()
    w.registry.want([CART])
    await calm()
    assert w.hosts() == ["10.0.0.1"] and len(asked.calls) == 1


@world
async def test_few_applications_are_asked_at_once(w):
    asked = Asked(w)
    asked.gate.clear()
    apps = [f"app{i}" for i in range(3 * ASKED)]
    asked.answers["r1"] = metadata_info(service())
    for i, app in enumerate(apps):
        instance(w, i + 1, app=app)
    mapped(w, CART, ",".join(apps))
    w.registry.start()
    w.registry.want([CART])
    await calm()
    assert len(asked.calls) == ASKED and w.told == []
    asked.gate.set()
    await calm()
    await calm()
    assert asked.most <= ASKED and len(w.hosts()) == 3 * ASKED


@world
async def test_what_is_no_longer_wanted_is_not_asked(w):
    asked = Asked(w)
    asked.gate.clear()
    mapped(w, CART, "shop")
    instance(w, 1)
    w.registry.start()
    w.registry.want([CART])
    await calm()
    assert asked.now == 1
    w.registry.want([])
    await calm()
    assert asked.now == 0 and w.registry._applications._revisions == {} and not any(w.registry._reads._watched.values())
    asked.gate.set()
    w.zoo.asked.clear()
    instance(w, 1, revision="r2")
    mapped(w, CART, "cart")
    await w.times.turn(100)
    assert w.zoo.asked == [] and w.told == []


@world
async def test_every_service_of_the_mapping(w):
    written(w, service(), service(STOCK))
    for each in (CART, STOCK):
        mapped(w, each, "shop")
    instance(w, 1, metadata=REMOTE)
    w.registry.start()
    w.registry.want([EVERY])
    await calm()
    assert w.hosts() == w.hosts(STOCK) == ["10.0.0.1"]
    w.zoo.drop(f"/dubbo/mapping/{STOCK}")
    await calm()
    assert w.now[STOCK] == ()


@world
async def test_what_was_missed_while_away_is_read_again(w):
    written(w, service())
    written(w, service(group="new"), revision="r2")
    mapped(w, CART, "shop")
    instance(w, 1, metadata=REMOTE)
    w.registry.start()
    w.registry.want([CART])
    await calm()
    w.zoo.lose()
    await calm()
    instance(w, 1, metadata=REMOTE, revision="r2")
    instance(w, 2, metadata=REMOTE)
    await w.times.turn(10)
    assert [(o.group, [i.address for i in o.instances]) for o in w.now[CART]] == [
        ("", ["10.0.0.2:20880"]),
        ("new", ["10.0.0.1:20880"]),
    ]


@pytest.mark.parametrize("kind", ["remote", "asked", "triple"])
def test_an_application_twice_as_large_takes_twice_the_steps(kind):
    params = {"dubbo.metadata-service.url-params": '{"port":"50051","protocol":"tri"}'}
    metadata = {"remote": REMOTE, "asked": METADATA, "triple": METADATA | params}[kind]

    def load(n):
        @world
        async def run(w):
            asked = Asked(w)
            asked.answers["r1"] = metadata_info(service())
            written(w, service())
            mapped(w, CART, "shop")
            for i in range(1, n + 1):
                instance(w, i, metadata=metadata)
            w.registry.start()
            w.registry.want([CART])
            await calm()
            assert sum(len(offer.instances) for offer in w.now[CART]) == (0 if kind == "triple" else n)
            assert len(w.told) <= 2

        run()

    assert steps(lambda: load(400)) <= 2.5 * steps(lambda: load(200))
