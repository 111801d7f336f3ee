"""Registrations in a Nacos: instances that stand as long as they beat, which the next process goes on with."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from etcd_world import CART, offer
from nacos_world import World, world
from played_nacos import BEAT, CONFIGS, INSTANCE, LIST
from written import Folder
from zoo import calm, until

from meshfast.registry.lease import Lease
from meshfast.registry.writes import CHECK

NAME = f"providers:{CART}::"
AT = "10.0.0.7:20880"


async def registered(w: World, one) -> None:
    await w.passing(lambda: w.standing(one) == "registered")


async def begun(w: World, *offers, **options) -> None:
    """In no time."""
    await w.begin(**options)
    for one in offers:
        w.registry.put(one)
    await until(lambda: all(w.standing(one) == "registered" for one in offers))


def crash(w: World):
    """As a process that is killed: without a word to the server. It must be taken back to be closed."""
    crashed = w.registries.pop()
    crashed._link._current.close()
    return crashed


@world
async def test_an_instance_that_beats(w: World):
    one = offer()
    await begun(w, one)
    assert list(w.server.of(NAME)) == [AT]
    there = w.server.of(NAME)[AT]["metadata"]
    assert (there["protocol"], there["path"], there["category"]) == ("dubbo", CART, "providers")
    assert (there["meshfast"], there["meshfast.behind"], there["application"]) == ("1", "20881", "shop")
    for n in range(1, 5):
        await w.times.turn(5.0)
        await until(lambda: w.registry.beats.sent == n)  # noqa: B023
    w.registry.drop(one.key)
    await w.registry.left()
    assert not w.server.of(NAME) and w.registry.standing(one.key) is None
    await w.times.turn(60.0)
    assert w.server.count("PUT", BEAT) == 4 and not w.server.of(NAME)


@world
async def test_as_often_as_the_server_says(w: World):
    """Within limits: a thousand times a second is no interval."""
    beats = w.server.count

    async def beaten(n: int) -> None:
        await until(lambda: w.registry.beats.sent == n)
        assert beats("PUT", BEAT) == n

    w.server.interval = 20_000
    await begun(w, offer())
    await w.times.turn(5.0)
    await beaten(1)
    await w.times.turn(19.9)
    assert beats("PUT", BEAT) == 1
    await w.times.turn(0.2)
    await beaten(2)
    w.server.interval = 1
    await w.times.turn(20.0)
    await beaten(3)
    await w.times.turn(0.5)
    assert beats("PUT", BEAT) == 3
    await w.times.turn(1.0)
    await beaten(4)


@world
async def test_the_end_takes_it_along(w: World):
    await begun(w, offer())
    await w.registry.close()
    assert not w.server.of(NAME)


@pytest.mark.parametrize("code", [10200, 20404, 21003])
def test_one_that_is_gone_is_registered_again(code):
    """By the beat itself, by what it is answered with, or when it is looked at."""

    @world
    async def run(w: World):
        w.server.beats_of_unknown = code
        await begun(w, offer())
        before = dict(w.server.of(NAME))
        w.server.drop(NAME, AT)
        await w.passing(lambda: dict(w.server.of(NAME)) == before)

    run()


@world
async def test_one_that_somebody_changed_is_written_again(w: World):
    await begun(w, offer())
    before = dict(w.server.of(NAME))
    w.server.put(NAME, "10.0.0.7", 20880, before[AT]["metadata"] | {"application": "other"})
    await w.passing(lambda: dict(w.server.of(NAME)) == before, seconds=CHECK / 4)
    assert w.registry.repaired == 1
    more = before[AT]["metadata"] | {"note": "an operator's"}  # which is nobody else's affair
    w.server.put(NAME, "10.0.0.7", 20880, more, enabled=False)
    lists = w.server.count("GET", LIST)
    await w.passing(lambda: w.server.count("GET", LIST) > lists + 4, seconds=CHECK / 4)
    assert w.server.of(NAME)[AT]["metadata"] == more and w.registry.repaired == 1


@world
async def test_a_server_that_says_for_a_while_what_was_before(w: World):
    """Of another URL at the same address: what it is told by then is not taken away for the one before."""
    await begun(w, offer())
    old = json.dumps({"hosts": list(w.server.of(NAME).values())}).encode()
    w.server.instead[LIST] = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(old), old)
    other = replace(offer(), parameters={"application": "shop", "env": "dev2"})
    w.registry.put(other)
    await registered(w, other)
    await until(lambda: w.server.of(NAME)[AT]["metadata"].get("env") == "dev2")
    await w.registry.left()
    assert w.server.count("DELETE", INSTANCE) == 0
    w.server.instead.clear()
    await w.times.turn(60.0)
    assert w.server.of(NAME)[AT]["metadata"].get("env") == "dev2"


@world
async def test_another_url_takes_the_place_of_the_one_before(w: World):
    """At no moment is nobody there."""
    await begun(w, offer())
    w.server.asked.clear()
    other = replace(offer(), parameters={"application": "shop", "env": "dev2"})
    w.registry.put(other)
    await w.passing(lambda: w.server.of(NAME)[AT]["metadata"].get("env") == "dev2")
    await registered(w, other)
    await w.times.turn(40.0)
    assert w.server.count("DELETE", INSTANCE) == 0 and w.server.count("POST", INSTANCE) == 1


@world
async def test_two_protocols_at_one_address(w: World):
    one = offer()
    two = offer(protocol="tri")
    await begun(w, one)
    w.registry.put(two)
    await w.passing(lambda: "one instance for each address" in w.registry.standing(two.key).error)
    assert w.standing(one) == "registered"
    assert w.server.of(NAME)[AT]["metadata"]["protocol"] == "dubbo"


@world
async def test_an_application(w: World):
    one = offer(levels=("instance",))
    await begun(w, one)
    (there,) = w.server.of("shop").values()
    revision = there["metadata"]["dubbo.metadata.revision"]
    assert w.server.configs["", "mapping", CART] == b"shop"
    assert b'"protocol":"dubbo"' in w.server.configs["", revision, "shop"]
    assert not w.server.of(NAME)
    posts = w.server.count("POST", INSTANCE), w.server.count("POST", CONFIGS)
    assert posts == (1, 2)
    await w.times.turn(CHECK * 12)  # looked at again and again, the mapping too
    await w.passing(lambda: w.server.count("PUT", BEAT) > 60)
    assert posts == (w.server.count("POST", INSTANCE), w.server.count("POST", CONFIGS))
    w.registry.drop(one.key)
    await w.registry.left()
    assert not w.server.of("shop")


@world
async def test_a_mapping_that_others_write_just_then(w: World):
    w.server.configs["", "mapping", CART] = b"first"
    names = iter((b"first,second", b"first,second,third"))

    def before(asked):
        if asked["group"] == "mapping" and (name := next(names, None)):
            w.server.configs["", "mapping", CART] = name

    w.server.before_publish = before
    await begun(w, offer(levels=("instance",)))
    assert w.server.configs["", "mapping", CART] == b"first,second,third,shop"


@pytest.mark.parametrize("level", ["interface", "instance"])
def test_the_next_process_goes_on_with_it(level):
    """What stands is not written anew, and what is wanted no longer goes."""

    @world
    async def run(w: World):
        folder, one, two = Folder(), offer(levels=(level,)), offer("com.x.Old", levels=(level,))
        first = Lease(folder)
        await begun(w, one, two, lease=first)
        await first.kept()
        crashed = crash(w)
        await calm()
        before = json_of(w)
        w.server.asked.clear()
        await w.begin(lease=Lease(folder))
        w.registry.put(one)
        w.registry.sweep([one.key, two.key])
        w.registry.put(two)
        await registered(w, one)
        await registered(w, two)
        assert json_of(w) == before
        assert w.server.count("POST", INSTANCE) == w.server.count("DELETE", INSTANCE) == 0
        assert w.registry.state.sessions == 0
        known = w.server.count("PUT", BEAT)
        await w.passing(lambda: w.server.count("PUT", BEAT) > known)
        w.registries.insert(0, crashed)

    run()


def json_of(w: World) -> str:
    return repr({key: found for key, found in w.server.services.items() if found})


@world
async def test_what_the_process_before_left_goes(w: World):
    folder, one, two = Folder(), offer(), offer("com.x.Old")
    first = Lease(folder)
    await begun(w, one, two, lease=first)
    await first.kept()
    crashed = crash(w)
    await w.begin(lease=Lease(folder))
    w.registry.put(one)
    w.registry.sweep([one.key])
    await registered(w, one)
    await w.passing(lambda: not w.server.of("providers:com.x.Old::"))
    assert w.server.of(NAME)
    w.registries.insert(0, crashed)


@world
async def test_a_registry_that_takes_over_from_another(w: World):
    """The one before is closed, and takes away nothing that the new one has."""
    one, two = offer(), offer("com.x.Old")
    await begun(w, one, two)
    before = w.registry
    await begun(w, one)
    await before.close()
    assert list(w.server.of(NAME)) == [AT] and not w.server.of("providers:com.x.Old::")
    await w.registry.close()
    assert not w.server.of(NAME)


@world
async def test_no_beat_is_missed_for_a_connection(w: World):
    """All beat as soon as there is one again."""
    offers = [offer(f"com.x.S{i}") for i in range(30)]
    await begun(w, *offers)
    await w.server.stop()
    await w.passing(lambda: not w.registry.state.connected)
    w.server.services.clear()
    await w.server.start()
    known = w.server.count("PUT", BEAT)
    await w.passing(lambda: w.registry.state.connected, 0.5)
    await until(lambda: sum(map(bool, w.server.services.values())) == 30)
    assert w.server.count("PUT", BEAT) >= known


@world
async def test_an_application_that_registers_itself(w: World):
    """Beside its sidecar, which is told; in its place, which is left alone."""
    one = offer()
    w.server.put(NAME, "10.0.0.7", 20881, {"interface": CART, "protocol": "dubbo", "application": "shop"})
    await begun(w, one)
    await w.passing(lambda: w.registry.standing(one.key).conflicts == ("10.0.0.7:20881",))
    assert w.registry.conflicts == 1
    two = offer("com.x.Two")
    w.server.put("providers:com.x.Two::", "10.0.0.7", 20880, {"interface": "com.x.Two", "protocol": "dubbo"})
    w.registry.put(two)
    await w.passing(lambda: "registers itself at that address" in w.registry.standing(two.key).error)
    assert "meshfast" not in w.server.of("providers:com.x.Two::")[AT]["metadata"]


@world
async def test_nothing_comes_back_after_it_was_taken_away(w: World):
    """A beat that is under way is waited for, and then it goes."""
    one = offer()
    await begun(w, one)
    w.server.instead[BEAT] = "hang"
    known = w.server.count("PUT", BEAT)
    await w.passing(lambda: w.server.count("PUT", BEAT) > known)
    deletes = w.server.count("DELETE", INSTANCE)
    w.registry.drop(one.key)
    await w.times.turn(2.0)
    await calm()
    assert w.server.count("DELETE", INSTANCE) == deletes
    await w.server.stop()  # the beat ends with its connection
    w.server.instead.clear()
    await w.server.start()
    await w.passing(lambda: not w.server.of(NAME))
    await w.registry.left()
