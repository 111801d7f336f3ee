"""A ZooKeeper's providers, told whole whenever they change."""

from __future__ import annotations

import asyncio
import sys

import pytest
from kazoo.exceptions import NoAuthError
from zoo import calm, until
from zoo_world import CART, STOCK, world

from meshfast.registry import EVERY
from meshfast.registry import providers as limits
from meshfast.registry.reads import AGAIN
from meshfast.registry.url import encode
from meshfast.registry.zookeeper import ZooKeeper


@world
async def test_what_is_wanted_is_told_whole(w):
    w.offer(1)
    w.offer(2, more="&group=red&version=1.0.0")
    w.registry.want([CART, STOCK])
    w.registry.start()
    await calm()
    assert [(o.service, o.group, o.version, [i.address for i in o.instances]) for o in w.now[CART]] == [
        (CART, "", "", ["10.0.0.1:20880"]),
        (CART, "red", "1.0.0", ["10.0.0.2:20880"]),
    ]
    assert w.now[STOCK] == () and w.now[CART][0].instances[0].application == "shop"
    assert w.registry.state.connected and w.registry.state.sessions == 1


@world
async def test_changes_are_told_and_nothing_else(w):
    w.offer(1)
    w.registry.start()
    w.registry.want([CART])
    await calm()
    w.offer(2)
    await calm()
    assert w.hosts() == ["10.0.0.1", "10.0.0.2"] and len(w.told) == 2
    w.zoo.drop(w.path(1))
    await calm()
    assert w.hosts() == ["10.0.0.2"]
    w.offer(3, STOCK)  # nobody asked
    w.zoo.put("/dubbo/com.x.Cart/consumers/x")
    await calm()
    assert len(w.told) == 3


@world
async def test_a_service_comes_and_goes_and_comes(w):
    w.registry.start()
    w.registry.want([CART])
    await calm()
    assert w.told == [(CART, ())]
    for i in range(3):
        w.offer(1)
        await calm()
        assert w.hosts() == ["10.0.0.1"]
        w.zoo.drop("/dubbo/com.x.Cart")
        await calm()
        assert w.now[CART] == () and len(w.told) == 3 + 2 * i


@world
async def test_many_changes_between_two_turns_are_one(w):
    w.registry.start()
    w.registry.want([CART])
    await calm()
    for i in range(1, 100):
        w.offer(i)
    await calm()
    assert len(w.now[CART][0].instances) == 99 and len(w.told) <= 4


@world
async def test_what_is_no_longer_wanted_is_not_told(w):
    w.registry.start()
    w.registry.want([CART, STOCK])
    await calm()
    w.registry.want([STOCK])
    w.offer(1)
    await calm()
    assert w.now[CART] == ()
    w.registry.want([STOCK, CART])
    await calm()
    assert w.hosts() == ["10.0.0.1"]


@world
async def test_every_service_that_there_is(w):
    w.offer(1)
    for reserved in ("config/x", "mapping/com.x.Mapped", "metadata/x"):
        w.zoo.put(f"/dubbo/{reserved}")
    w.zoo.put("/dubbo/a%20b")  # no service is named so
    w.registry.start()
    w.registry.want([EVERY])
    await calm()
    assert set(w.now) == {CART}  # of others nobody knows that they are services
    w.registry.want([EVERY, "com.x.Mapped"])
    await calm()
    assert w.now["com.x.Mapped"] == ()
    w.offer(2, STOCK)
    await calm()
    assert w.hosts(STOCK) == ["10.0.0.2"]
    w.zoo.drop("/dubbo/com.x.Cart")
    await calm()
    assert w.now[CART] == ()
    w.registry.want([STOCK])
    w.offer(3, "com.x.New")
    await calm()
    assert "com.x.New" not in w.now


@world
async def test_what_cannot_be_read_takes_nothing_along(w):
    w.offer(1)
    for node in ("nonsense", "%zz", encode("rmi://h:1/com.x.Cart"), encode("dubbo://10.0.0.3:1/com.x.Other")):
        w.zoo.put(f"/dubbo/{CART}/providers/{node}")
    w.zoo.put(f"/dubbo/{CART}/providers/" + encode(f"override://0.0.0.0/{CART}?category=configurators"))
    w.registry.start()
    w.registry.want([CART, "no service"])
    await calm()
    assert w.hosts() == ["10.0.0.1"]
    counted = {"protocol": 2, "escape": 1, "other_service": 1, "service": 1}
    assert w.registry.state.refused == counted
    w.offer(2)
    await calm()
    assert w.hosts() == ["10.0.0.1", "10.0.0.2"] and w.registry.state.refused == counted  # each once


@world
async def test_a_node_that_may_not_be_read_is_tried_again(w):
    w.zoo.errors[f"/dubbo/{CART}/providers"] = NoAuthError()
    w.offer(1)
    w.offer(2, STOCK)
    w.registry.start()
    w.registry.want([CART, STOCK])
    await calm()
    assert w.hosts(STOCK) == ["10.0.0.2"] and CART not in w.now  # which is not the same as nobody
    assert w.registry.state.refused == {"unreadable": 1}
    w.zoo.errors.clear()
    await w.times.turn(AGAIN)
    assert w.hosts() == ["10.0.0.1"]


@world
async def test_what_was_read_stays_while_it_cannot_be(w):
    w.offer(1)
    w.registry.start()
    w.registry.want([CART])
    await calm()
    w.zoo.errors[f"/dubbo/{CART}/providers"] = RuntimeError("xids do not match")
    w.offer(2)
    await calm()
    assert w.hosts() == ["10.0.0.1"]
    w.zoo.errors.clear()
    await w.times.turn(AGAIN)
    assert w.hosts() == ["10.0.0.1", "10.0.0.2"]


@world
async def test_of_too_many_instances_some_are_told(w):
    w.registry.start()
    w.registry.want([CART])
    for i in range(limits.MOST_INSTANCES + 7):
        w.offer(i)
    await until(lambda: CART in w.now and len(w.now[CART][0].instances) == limits.MOST_INSTANCES)
    assert w.registry.state.refused["instances"] == 7


@world
async def test_nothing_is_told_after_the_end(w):
    w.registry.start()
    w.registry.want([CART])
    await calm()
    w.offer(1)
    await w.registry.close()
    await calm()
    assert len(w.told) == 1 and w.zoo.stops == 1


@world
async def test_a_root_of_its_own(w):
    other = ZooKeeper("b", "h", w.tell, root="x/y", times=w.times, connect=w.zoo.connect)
    w.zoo.put(f"/x/y/{CART}/providers/" + encode(f"dubbo://10.0.0.9:1/{CART}"))
    other.start()
    other.want([EVERY])
    await calm()
    assert w.hosts() == ["10.0.0.9"]
    await other.close()


def test_without_kazoo_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "kazoo.client", None)
    with pytest.raises(ImportError, match=r"pip install 'meshfast\[zookeeper\]'"):
        ZooKeeper("main", "zookeeper://h:2181", print)


@world
async def test_a_long_list_is_not_read_for_each_change(w):
    for i in range(5000):
        w.offer(i)
    w.registry.start()
    w.registry.want([CART])
    await until(lambda: CART in w.now)
    w.zoo.asked.clear()
    for i in range(50):
        w.offer(6000 + i)
        await calm()
    assert len(w.zoo.asked) <= 1 and len(w.told) == 1
    await w.times.turn(0.3)
    assert len(w.now[CART][0].instances) == 5050 and len(w.zoo.asked) <= 3 and len(w.told) <= 3


def test_who_is_told_and_fails_keeps_back_no_other():
    @world
    async def run(w):
        failed = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failed.append(context["exception"]))

        def tell(service, listing):
            w.tell(service, listing)
            if service == CART:
                raise RuntimeError("of no use")

        w.registry._tell = tell
        w.registry.start()
        w.registry.want([CART, STOCK])
        await calm()
        assert set(w.now) == {CART, STOCK} and len(failed) == 1

    run()
