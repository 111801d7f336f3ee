"""What is registered when: wanted, healthy and ready, in each registry apart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import wraps

from meshfast.alive import ENDED, LEAVING, REFUSED, Health
from meshfast.model import Listener, Sidecar
from meshfast.registers import Advertise, RegistrationSpec
from meshfast.registration import LOOK, SOON, Configured, Registrations, configured
from meshfast.registry import Registration, Standing
from meshfast.registry.times import Times

APP = "127.0.0.1:20881"


def offer(service="com.x.Cart", behind=APP, **fields):
    return Registration(service, address="10.0.0.7:20880", behind=behind, **fields)


class Hand(Times):
    """A clock turned by hand."""

    def __init__(self):
        self.seconds = 100.0
        self.due: list = []

    class Later:
        def __init__(self, at, call):
            self.at, self.call = at, call

        def cancel(self):
            self.call = None

    def now(self):
        return self.seconds

    def later(self, seconds, call, *args):
        one = self.Later(self.seconds + seconds, lambda: call(*args))
        self.due.append(one)
        return one

    async def turn(self, seconds):
        end = self.seconds + seconds
        await calm()
        while found := [one for one in self.due if one.call and one.at <= end]:
            one = min(found, key=lambda one: one.at)
            self.due.remove(one)
            self.seconds = max(self.seconds, one.at)
            one.call()
            await calm()
        self.seconds = end


async def calm():
    for _ in range(30):
        await asyncio.sleep(0)


class Writer:
    """A registry that writes at once while it is ``there``."""

    def __init__(self, name="main"):
        self.name, self.there = name, True
        self.repaired = self.conflicts = 0
        self.stands: dict = {}
        self.wanted: dict = {}
        self.said: list = []
        self.before: set = set()
        self.gone = asyncio.Event()
        self.gone.set()

    def put(self, one):
        if self.wanted.get(one.key) != one:
            self.said.append(("put", one.service))
            self.wanted[one.key] = one
            self.settle()

    def drop(self, key):
        if self.wanted.pop(key, None) or key in self.before:
            self.said.append(("drop", key.service))
            self.before.discard(key)
            self.settle()

    def sweep(self, keys):
        self.said.append(("sweep", sorted(key.service for key in keys)))
        self.before &= set(keys)

    def settle(self):
        if self.there:
            self.stands = dict(self.wanted)
            self.gone.set()
        else:
            self.gone.clear()

    def standing(self, key):
        if key in self.stands:
            return Standing("registered")
        return Standing("pending") if key in self.wanted else None

    async def left(self):
        await self.gone.wait()


class World:
    def __init__(self):
        self.times = Hand()
        self.found: dict = {}  # by address: what a look finds
        self.looks: list = []
        self.ended: dict = {}
        self.closed: list = []
        self.writer, self.other = Writer(), Writer("other")
        self.registrations = Registrations(self.times, self.asking)
        self.registrations.write_to({"main": self.writer})

    def asking(self, address, protocol, ended):
        world = self

        class Asks:
            async def look(self):
                world.looks.append(address)
                found = world.found.get(address, "")
                if isinstance(found, Exception):
                    raise found
                return found

            def close(self):
                world.closed.append(address)

        self.ended[address] = ended
        return Asks()

    @property
    def stands(self):
        return sorted(key.service for key in self.writer.stands)


def world(test):
    @wraps(test)
    def run():
        async def inside():
            one = World()
            await test(one)
            one.registrations.close()

        asyncio.run(inside())

    del run.__wrapped__
    return run


@world
async def test_wanted_healthy_and_ready(w):
    w.registrations.want(1, offer())
    await calm()
    assert w.looks == [APP] and w.stands == []
    w.registrations.ready()
    assert w.stands == ["com.x.Cart"]
    assert w.writer.said == [("put", "com.x.Cart"), ("sweep", ["com.x.Cart"])]
    w.registrations.unwant(1)
    assert w.stands == [] and w.closed == [APP]
    await w.times.turn(10 * LOOK)
    assert w.looks == [APP]  # nobody wants to know


@world
async def test_one_port_is_looked_at_once_for_all_its_services(w):
    for i in range(5):
        w.registrations.want(i, offer(f"com.x.S{i}"))
    w.registrations.want("other", offer("com.x.Other", "127.0.0.1:9"))
    w.found["127.0.0.1:9"] = REFUSED
    w.registrations.ready()
    await w.times.turn(LOOK - 0.5)
    assert sorted(w.looks) == [APP, "127.0.0.1:9"] and len(w.stands) == 5
    await w.times.turn(LOOK)
    assert len(w.looks) == 4


@world
async def test_who_refuses_is_gone_at_once_and_comes_back_by_two_good_looks(w):
    w.registrations.want(1, offer())
    w.registrations.ready()
    await w.times.turn(LOOK)
    w.found[APP] = REFUSED
    await w.times.turn(LOOK)
    assert w.stands == [] and w.registrations.withdrawn == 1
    w.found[APP] = ""
    await w.times.turn(LOOK)
    assert w.stands == []
    await w.times.turn(LOOK)
    assert w.stands == ["com.x.Cart"]


@world
async def test_the_end_of_its_connection_has_it_looked_at_now(w):
    w.registrations.want(1, offer())
    w.registrations.ready()
    await calm()
    w.found[APP] = REFUSED
    w.ended[APP]()
    await calm()
    assert w.stands == []


@world
async def test_a_connection_that_ends_twice_is_soon_known_to_fail(w):
    w.registrations.want(1, offer())
    w.registrations.ready()
    await calm()
    w.found[APP] = ENDED
    w.ended[APP]()
    await calm()
    assert w.stands == ["com.x.Cart"]  # one failure
    await w.times.turn(SOON)
    assert w.stands == []


@world
async def test_it_returns_once_in_ten_seconds(w):
    w.registrations.want(1, offer())
    w.registrations.ready()
    await calm()
    for _ in range(30):
        w.found[APP] = REFUSED
        await w.times.turn(LOOK)
        w.found[APP] = ""
        await w.times.turn(2 * LOOK)
    puts = w.writer.said.count(("put", "com.x.Cart"))
    assert 2 <= puts <= 1 + 30 * 3 * LOOK / Health.BETWEEN


@world
async def test_a_look_that_goes_wrong_is_a_failure(w):
    w.registrations.want(1, offer())
    w.registrations.ready()
    await calm()
    w.found[APP] = RuntimeError("?")
    await w.times.turn(2 * LOOK)
    assert w.stands == [] and "RuntimeError" in next(w.registrations.shown()).health
    w.found[APP] = ""
    await w.times.turn(10 * LOOK)
    assert w.stands == ["com.x.Cart"]


@world
async def test_before_it_is_known_nothing_is_said(w):
    """What the process before registered stays until the application is known to be dead, or nobody wants it."""
    one, other = offer(), offer("com.x.Gone")
    w.writer.before = {one.key, other.key}
    w.found[APP] = "no answer in 1 s"
    w.registrations.want(1, one)
    w.registrations.ready()
    await calm()
    assert w.writer.before == {one.key} and w.writer.said == [("sweep", ["com.x.Cart"])]
    await w.times.turn(LOOK)
    assert w.writer.before == set() and w.writer.said[-1] == ("drop", "com.x.Cart")


@world
async def test_registries_are_independent(w):
    w.other.there = False
    w.registrations.write_to({"main": w.writer, "other": w.other})
    w.registrations.want(1, offer())
    w.registrations.ready()
    await calm()
    shown = next(w.registrations.shown())
    assert {name: found.state for name, found in shown.registries.items()} == {
        "main": "registered", "other": "pending",
    }  # fmt: skip
    assert (shown.healthy, shown.health) == (True, "")


@world
async def test_a_registry_that_comes_later_gets_all_of_it(w):
    w.registrations.want(1, offer())
    w.registrations.ready()
    await calm()
    w.registrations.write_to({"other": w.other})
    assert [key.service for key in w.other.stands] == ["com.x.Cart"]
    w.registrations.write_to({"other": w.other})
    assert w.other.said == [("sweep", ["com.x.Cart"]), ("put", "com.x.Cart")]


@world
async def test_the_first_who_wants_it_counts_and_the_last_takes_it_along(w):
    w.registrations.ready()
    w.registrations.want(1, offer(parameters={"a": "1"}))
    w.registrations.want(2, offer(parameters={"a": "2"}))
    await calm()
    [one] = w.writer.stands.values()
    assert one.parameters == {"a": "1"}
    w.registrations.unwant(1)
    [one] = w.writer.stands.values()
    assert one.parameters == {"a": "2"} and ("drop", "com.x.Cart") not in w.writer.said
    w.registrations.unwant(2)
    assert w.stands == []


@world
async def test_everything_leaves_at_once_and_for_good(w):
    w.other.there = True
    w.registrations.write_to({"main": w.writer, "other": w.other})
    w.registrations.want(1, offer())
    w.registrations.ready()
    await calm()
    assert await w.registrations.leave(5.0) is True
    assert w.stands == [] and not w.other.stands and w.closed == [APP]
    w.registrations.want(2, offer("com.x.Late"))
    w.registrations.ready()
    w.registrations.write_to({"main": Writer()})
    await w.times.turn(10)
    assert w.stands == []


@world
async def test_a_registry_that_is_away_holds_up_no_stop(w):
    w.registrations.want(1, offer())
    w.registrations.ready()
    await calm()
    w.writer.there = False
    assert await w.registrations.leave(0.0) is True
    assert await World().registrations.leave(5.0) is False  # nothing was there


@world
async def test_what_was_registered_stays_until_it_is_known_what_is_wanted(w):
    """Of an application that is asked what it offers."""
    one = offer()
    w.writer.before = {one.key}
    w.registrations.sure(False)
    w.registrations.write_to({"main": w.writer})
    w.registrations.ready()
    assert w.writer.before == {one.key} and w.writer.said == []
    w.registrations.want("a", one)
    w.registrations.sure(True)
    w.registrations.sure(True)
    assert w.writer.before == {one.key} and w.writer.said == [("sweep", [one.service])]


@world
async def test_the_configuration_says_what_is_wanted(w):
    listeners = (Listener("in", "0.0.0.0:20880", "inbound", forward=APP),)
    spec = RegistrationSpec("com.x.Cart", "g", "1.0", "dubbo", "in", {"methods": "add"})
    side = Sidecar(
        app="shop", labels={"env": "dev1", "release": "v9"}, listeners=listeners, registrations=(spec,),
        advertise=Advertise("10.0.0.7"),
    )  # fmt: skip
    [(of, one)] = configured(side, {"in": "0.0.0.0:20880"}).items()
    assert one == Registration(
        "com.x.Cart", "g", "1.0", "dubbo", "10.0.0.7:20880",
        {"env": "dev1", "application": "shop", "methods": "add"}, ("interface", "instance"), APP,
    )  # fmt: skip
    assert of == Configured(one.key)
    alone = replace(side, advertise=Advertise("10.0.0.7", levels=("instance",)))
    [one] = configured(alone, {"in": "0.0.0.0:20880"}).values()
    assert one.levels == ("instance",)
    six = Sidecar(app="shop", listeners=listeners, registrations=(spec,), advertise=Advertise("fd00::7"))
    [one] = configured(six, {"in": "[::]:20880"}).values()
    assert one.address == "[fd00::7]:20880"
    bound = Sidecar(app="shop", listeners=listeners, registrations=(spec,))
    [one] = configured(bound, {"in": "tcp://10.0.0.9:20880"}).values()
    assert one.address == "10.0.0.9:20880"


@world
async def test_a_new_configuration_takes_back_only_its_own(w):
    w.registrations.ready()
    w.registrations.want("sdk", offer("com.x.Sdk"))
    mine = {Configured(one.key): one for one in (offer("com.x.A"), offer("com.x.B"))}
    w.registrations.only(mine, Configured)
    await calm()
    assert w.stands == ["com.x.A", "com.x.B", "com.x.Sdk"]
    w.registrations.only(dict(list(mine.items())[:1]), Configured)
    assert w.stands == ["com.x.A", "com.x.Sdk"]
    w.registrations.only({}, Configured)
    assert w.stands == ["com.x.Sdk"]


def test_health_by_what_is_found():
    health = Health()
    assert health.up is None and not health.take("slow", 0) and health.up is None
    assert health.take("slow", 2) and health.up is False
    assert not health.take("", 4) and health.take("", 6) and health.up is True
    assert not health.take("slow", 8) and not health.take("", 10) and not health.take("slow", 12)
    assert health.take(LEAVING, 13) and health.up is False
    assert not health.take("", 14) and not health.take("", 15) and health.take("", 16)  # ten seconds after the last
    assert Health().take("", 0)
