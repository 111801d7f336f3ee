"""Whatever happens, and in whatever order it is seen: in the end what is told is what stands there."""

from __future__ import annotations

import random

import pytest
from test_registry_applications import METADATA, REMOTE, Asked, instance, mapped, written
from test_registry_instance import metadata_info, service
from zoo import Zoo, calm
from zoo_world import CART, STOCK, World, world

from meshfast.registry import EVERY

APPS = ("shop", "cart")


def services(revision):
    """What a revision is, wherever it is told."""
    return service(), service(STOCK, group=revision)


def all_known(asked):
    asked.answers |= {each: metadata_info(*services(each)) for each in ("r1", "r2")}


def step(w, asked, dice):
    """Something happens: to the tree, to the connection, or to what is wanted."""
    name, app, i = dice.choice((CART, STOCK)), dice.choice(APPS), dice.randint(1, 6)
    revision = dice.choice(("r1", "r2"))
    match dice.randrange(14):
        case 0 | 1:
            w.offer(i, name, more=dice.choice(("", "&version=1.0.0", "&weight=7")))
        case 2:
            for node in list(w.zoo.children(f"/dubbo/{name}/providers"))[:1]:
                w.zoo.drop(f"/dubbo/{name}/providers/{node}")
        case 3:
            w.zoo.drop(dice.choice((f"/dubbo/{name}", f"/services/{app}", f"/dubbo/mapping/{name}")))
        case 4 | 5:
            instance(w, i, revision, app, dice.choice((METADATA, REMOTE)))
        case 6:
            for node in list(w.zoo.children(f"/services/{app}"))[:1]:
                w.zoo.drop(f"/services/{app}/{node}")
        case 7:
            mapped(w, name, dice.choice(("shop", "cart", "shop,cart", "")))
        case 8:
            written(w, *services(revision), revision=revision, app=app)
        case 9:
            asked.answers["r1"] = dice.choice((OSError("away"), metadata_info(*services("r1"))))
        case 10:
            w.zoo.put(f"/services/{app}/x", b"nonsense")
        case 11:
            if w.registry.state.connected:
                w.zoo.lose(dice.choice(("ended", "suspended")))
        case 12:
            w.registry.want(dice.choice(([CART], [CART, STOCK], [EVERY])))
        case 13:
            w.zoo.slow = not w.zoo.slow
            if not w.zoo.slow:
                w.zoo.client.answer()
    if not w.registry.state.connected and w.zoo.clients and not w.zoo.client.stopped and dice.random() < 0.5:
        w.zoo.again()


@pytest.mark.parametrize("seed", range(50))
def test_in_the_end_what_stands_there_is_told(seed):
    @world
    async def run(w):
        dice = random.Random(seed)
        asked = Asked(w)
        all_known(asked)
        w.registry.start()
        w.registry.want([CART, STOCK])
        for _ in range(dice.randint(5, 60)):
            step(w, asked, dice)
            match dice.randrange(4):
                case 0:
                    await calm()
                case 1:
                    await w.times.turn(dice.random() * 3)
        all_known(asked)
        for app in APPS:  # else one registry may know by one instance what no other can find
            for revision in ("r1", "r2"):
                written(w, *services(revision), revision=revision, app=app)
        w.zoo.slow = False
        w.zoo.client.answer()
        w.registry.want([CART, STOCK])
        await w.times.turn(1)
        if not w.registry.state.connected:
            w.zoo.again()
        for _ in range(40):  # what is spread, tried again, asked again
            await w.times.turn(1)
        fresh = World()
        fresh.zoo.nodes, fresh.zoo._children = w.zoo.nodes, w.zoo._children
        Asked(fresh).answers |= asked.answers
        fresh.registry.start()
        fresh.registry.want([CART, STOCK])
        await fresh.times.turn(30)
        await fresh.registry.close()
        assert w.now == fresh.now

    run()


def test_the_zoo_itself_is_right():
    zoo = Zoo()
    zoo.put("/a/b/c", b"x")
    assert zoo.children("/a") == ["b"] and zoo.nodes["/a/b/c"] == b"x"
    zoo.drop("/a")
    assert zoo.children("/") == [] and set(zoo.nodes) == {"/"}
