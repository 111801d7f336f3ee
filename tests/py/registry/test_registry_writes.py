"""Registrations: written, kept standing, taken away."""

from __future__ import annotations

import asyncio
import random

import pytest
from kazoo.exceptions import NoAuthError
from written import CART, FOLDER, offer, world
from zoo import calm, until

from meshfast.registry.registered import besides, key_of, node, same, url
from meshfast.registry.url import decode, encode, provider
from meshfast.registry.writes import AGAIN, CHECK, IN_FLIGHT, SPREAD


def test_a_registration_reads_as_dubbo_writes_it():
    one = offer(group="g", version="1.0", parameters={"env": "dev1", "methods": "add,left"})
    text = decode(node(one, "1700000000000"))
    assert text == (
        "dubbo://10.0.0.7:20880/com.x.Cart?application=shop&deprecated=false&dubbo=2.0.2&dynamic=true&env=dev1"
        "&generic=false&group=g&interface=com.x.Cart&meshfast=1&meshfast.behind=20881&methods=add,left"
        "&prefer.serialization=hessian2&release=3.3.6&side=provider&timestamp=1700000000000&version=1.0"
    )
    found = provider(node(one, "1"), CART)
    assert found and (found.group, found.version, found.instance.address) == ("g", "1.0", "10.0.0.7:20880")
    assert key_of("/dubbo/x/providers/" + node(one, "1")) == one.key


def test_what_says_where_it_is_cannot_be_overruled():
    one = offer(parameters={"group": "x", "version": "2", "interface": "y", "side": "consumer", "meshfast": "0"})
    found = url(one, "1").parameters
    assert "group" not in found and "version" not in found
    assert (found["interface"], found["side"], found["meshfast"]) == (CART, "provider", "1")


def test_a_path_of_its_own_is_where_it_is_called():
    one = offer(parameters={"path": "api/cart"})
    assert decode(node(one, "1")).startswith("dubbo://10.0.0.7:20880/api/cart?") and "path=" not in decode(node(one))
    found = provider(node(one, "1"), CART)
    assert found and found.service == CART and found.instance.parameters["path"] == "api/cart"
    assert same(node(one, "1"), one) and key_of("/x/" + node(one, "1")) == one.key


def test_the_same_but_for_its_time():
    one = offer()
    assert same(node(one, "1"), one) and same(node(one, "2"), one)
    assert not same(node(offer(parameters={"env": "x"}), "1"), one)
    assert not same("%zz", one) and not same("consumer%3A%2F%2Fh%2Fx", one)
    fixed = offer(parameters={"timestamp": "5"})
    assert same(node(fixed), fixed) and not same(node(one, "6"), fixed)


@pytest.mark.parametrize("name", ["", "%zz", "a", "consumer%3A%2F%2F10.0.0.7%2Fx", encode("dubbo://10.0.0.7:1/x?a=b")])
def test_what_no_sidecar_wrote_is_nobodys(name):
    assert key_of("/dubbo/x/providers/" + name) is None


def test_an_application_that_registers_itself_besides():
    one = offer()

    def name(address, more="", service=CART):
        return encode(f"dubbo://{address}/{service}?interface={service}&application=shop{more}")

    others = [name("10.0.0.8:20881"), name("10.0.0.7:20882"), name("10.0.0.7:20881", "&group=g"), node(one, "1"), "%zz"]
    assert besides(others, one) == []
    assert besides([*others, name("10.0.0.7:20881"), name("127.0.0.1:20881")], one) == [
        "10.0.0.7:20881", "127.0.0.1:20881",
    ]  # fmt: skip
    assert besides([name("127.0.0.9:20881"), name("host.x:20881")], one) == ["127.0.0.9:20881"]  # this machine
    assert besides([name("10.0.0.7:20880")], one) == ["10.0.0.7:20880"]  # at the sidecar's address, without its mark


@world
async def test_it_stands_until_it_is_dropped(w):
    one = offer()
    w.registry.put(one)
    assert w.state(one) == "pending"
    w.registry.start()
    await w.put(one)
    assert len(w.nodes) == 1 and w.nodes[0].startswith("dubbo://10.0.0.7:20880/com.x.Cart?")
    assert w.zoo.nodes[w.paths[0]] == b"10.0.0.7" and w.zoo.owners[w.paths[0]] == w.zoo.client.session[0]
    w.registry.put(offer())
    w.registry.drop(offer("com.x.Other").key)
    await w.rest()
    assert len([each for each in w.zoo.changes if "/providers/" in each[1]]) == 1
    w.registry.drop(one.key)
    assert w.state(one) == "leaving"
    await w.registry.left()
    assert w.nodes == [] and w.zoo.nodes.get(FOLDER) is not None
    await w.rest()
    assert w.registry.standing(one.key) is None


@world
async def test_parameters_change_without_a_gap(w):
    w.registry.start()
    await w.put(offer())
    before = w.paths
    w.zoo.changes.clear()
    await w.put(offer(parameters={"env": "dev1"}))
    assert [what for what, _ in w.zoo.changes] == ["put", "drop"] and w.zoo.changes[1][1] == before[0]
    assert "env=dev1" in w.nodes[0] and len(w.nodes) == 1


@world
async def test_parameters_change_without_a_gap_while_a_node_is_looked_at(w):
    """The look at the one before must not take it away."""
    w.registry.start()
    w.zoo.slow = True
    w.registry.put(offer())
    await until(lambda: w.zoo.client and [each[0] for each in w.zoo.client.waiting] == ["create"])
    w.zoo.client.answer()
    await until(lambda: [each[0] for each in w.zoo.client.waiting] == ["children"])  # who else is registered
    w.registry.put(offer(parameters={"env": "dev1"}))
    w.zoo.slow = False
    w.zoo.client.answer()
    await w.rest()
    assert [what for what, path in w.zoo.changes if "/providers/" in path] == ["put", "put", "drop"]
    assert "env=dev1" in w.nodes[0] and len(w.nodes) == 1


@world
async def test_it_leaves_though_nobody_is_there_just_now(w):
    w.registry.start()
    one = offer()
    await w.put(one)
    w.zoo.lose("suspended")
    await calm()
    w.registry.drop(one.key)
    leaving = asyncio.ensure_future(w.registry.left())
    await calm()
    assert not leaving.done() and w.nodes
    w.zoo.again()
    await leaving
    assert w.nodes == []


@world
async def test_a_reconnect_changes_nothing(w):
    w.registry.start()
    for i in range(5):
        await w.put(offer(f"com.x.S{i}"))
    w.zoo.changes.clear()
    for _ in range(3):
        w.zoo.lose("suspended")
        await calm()
        w.zoo.again()
        await w.times.turn(SPREAD + CHECK)
    assert w.zoo.changes == [] and w.registry.repaired == 0


@world
async def test_a_session_that_ended_is_followed_by_another(w):
    w.registry.start()
    one = offer()
    await w.put(one)
    before = w.paths
    w.zoo.mode = "expired"
    w.zoo.expire(w.zoo.client.session[0])
    assert w.nodes == []
    w.zoo.lose()
    await w.times.turn(1)
    await until(lambda: w.paths == before)
    assert w.state(one) == "registered" and w.zoo.owners[before[0]] == w.zoo.client.session[0]


@world
async def test_a_node_of_the_session_before_is_made_anew(w):
    """Its owner has ended, and the server will take it away when it knows."""
    w.registry.start()
    await w.put(offer())
    before, old = w.paths, w.zoo.client.session[0]
    w.zoo.mode = "expired"
    w.zoo.lose()
    await w.times.turn(1)
    await until(lambda: w.zoo.owners.get(before[0]) not in (None, old))
    w.zoo.expire(old)
    assert w.paths == before


@world
async def test_what_others_do_to_it_is_mended(w):
    w.registry.start()
    await w.put(offer())
    [path] = w.paths
    w.zoo.drop(path)
    await w.times.turn(CHECK)
    await until(lambda: path in w.zoo.nodes and w.registry.repaired == 1)
    w.zoo.put(path, b"", 99)
    await w.times.turn(CHECK)
    await until(lambda: w.zoo.owners.get(path) == w.zoo.client.session[0] and w.registry.repaired == 2)


@world
async def test_what_is_not_allowed_is_told_and_tried_again(w):
    w.registry.start()
    await calm()
    one, other = offer(), offer("com.x.Other")
    w.registry.put(one)
    await w.rest()
    [path] = w.paths
    w.registry.drop(one.key)
    await w.rest()
    fixed = offer(parameters={"timestamp": "1"})
    w.zoo.errors[f"{FOLDER}/{node(fixed)}"] = NoAuthError()
    w.registry.put(fixed)
    await w.put(other)  # which it does not keep from standing
    assert w.state(fixed) == "pending" and "NoAuthError" in w.registry.standing(fixed.key).error
    w.zoo.errors.clear()
    await w.times.turn(AGAIN)
    await until(lambda: w.state(fixed) == "registered")
    assert w.registry.standing(fixed.key).error == ""


@world
async def test_an_application_beside_is_told(w):
    w.registry.start()
    url = encode(f"dubbo://10.0.0.7:20881/{CART}?application=shop&interface={CART}")
    await w.put(offer())
    assert w.registry.standing(offer().key).conflicts == ()
    w.zoo.put(f"{FOLDER}/{url}")
    await w.times.turn(CHECK)
    await until(lambda: w.registry.standing(offer().key).conflicts == ("10.0.0.7:20881",))
    assert w.registry.conflicts == 1 and len(w.paths) == 2  # it is not ours to take away


@world
async def test_few_at_once_and_spread_after_a_reconnect(w):
    w.registry.start()
    await w.rest()
    w.zoo.slow = True
    offers = [offer(f"com.x.S{i}") for i in range(300)]
    for each in offers:
        w.registry.put(each)
    most = 0
    while w.zoo.client.waiting or len(w.nodes) < 300:
        await w.rest()
        most = max(most, len(w.zoo.client.waiting))
        w.zoo.client.answer()
    assert most == IN_FLIGHT
    w.zoo.slow = False
    assert w.times.seconds == 100.0  # the first are written at once
    await until(lambda: all(w.state(each) == "registered" for each in offers))
    await w.rest()
    w.zoo.lose("suspended")
    await calm()
    w.zoo.asked.clear()
    w.zoo.again()
    await w.rest()
    assert len(w.zoo.asked) <= 1
    await w.times.turn(1)
    await w.rest()
    assert len(w.zoo.asked) <= 52
    await w.times.turn(10)
    await w.rest()
    assert len({path for what, path in w.zoo.asked if what == "exists"}) == 300


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_what_is_wanted_stands_in_the_end(seed):
    @world
    async def run(w):
        dice = random.Random(seed)
        wanted: dict = {}
        w.registry.start()
        for _ in range(200):
            what = dice.randrange(12)
            one = offer(f"com.x.S{dice.randrange(6)}", parameters={"env": f"e{dice.randrange(2)}"})
            if what < 4:
                w.registry.put(one)
                wanted[one.key] = one
            elif what < 7:
                w.registry.drop(one.key)
                wanted.pop(one.key, None)
            elif what == 7 and w.zoo.client.live:
                w.zoo.lose("suspended")
            elif what == 8 and w.registry._link.client is None and not w.zoo.client.stopped:
                w.zoo.again()
            elif what == 9 and w.zoo.client.live:
                w.zoo.mode = dice.choice(["up", "expired"])
                if w.zoo.mode == "expired":
                    w.zoo.expire(w.zoo.client.session[0])
                w.zoo.lose()
            elif what == 10:
                w.zoo.slow = not w.zoo.slow
            elif w.zoo.client.live:
                w.zoo.client.answer()
            if dice.randrange(3) == 0:
                await calm()
            if dice.randrange(8) == 0:
                await w.times.turn(dice.random() * 20)
        w.zoo.slow, w.zoo.mode = False, "up"
        await w.times.turn(60)
        if not w.zoo.client.live and not w.zoo.client.stopped:
            w.zoo.again()
        w.zoo.client.answer()
        await w.rest()
        await w.times.turn(60)
        for _ in range(100):
            await w.rest()
        assert len(w.paths) == len(wanted)
        for one in wanted.values():
            assert any(same(each.rpartition("/")[2], one) for each in w.paths if one.service in each)
            assert w.state(one) == "registered"
        assert set(w.zoo.owners.values()) <= {w.zoo.client.session[0]}
        await w.registry.left()

    run()
