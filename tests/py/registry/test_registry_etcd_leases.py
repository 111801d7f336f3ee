"""Registrations in an etcd: keys that live by a lease, which the next process goes on with."""

from __future__ import annotations

import pytest
from etcd_world import CART, World, offer, world
from written import Folder
from zoo import calm, until

from meshfast.registry.lease import Lease
from meshfast.registry.url import decode
from meshfast.registry.writes import CHECK, SPREAD


def keys(w: World) -> list[str]:
    return sorted(each for each in w.server.keys if "/providers/" in each)


async def registered(w: World, one) -> None:
    await w.passing(lambda: w.standing(one) == "registered")


@world
async def test_a_key_that_lives_by_a_lease(w: World):
    one = offer()
    await w.begin(leased=True, session=9.0)
    w.registry.put(one)
    await registered(w, one)
    (key,) = keys(w)
    assert decode(key.rpartition("/")[2]).startswith(f"dubbo://10.0.0.7:20880/{CART}?")
    ((lease, seconds),) = w.server.leases.items()
    assert seconds == 9 and w.server.keys[key][1] == lease
    before = len(w.server.kept)
    for n in range(1, 5):
        await w.times.turn(3.0)
        await until(lambda: len(w.server.kept) == before + n)  # noqa: B023
    w.registry.drop(one.key)
    await w.registry.left()
    assert keys(w) == [] and w.registry.standing(one.key) is None


@world
async def test_the_end_takes_the_lease_along(w: World):
    one = offer()
    await w.begin(leased=True)
    w.registry.put(one)
    await registered(w, one)
    await w.registry.close()
    assert not w.server.leases and not keys(w)


@world
async def test_who_only_reads_has_no_lease(w: World):
    await w.begin(CART)
    await w.hear()
    await w.times.turn(60.0)
    await w.registry.close()
    assert not w.server.leases and {path for path, _ in w.server.asked} == {"/v3/kv/range", "/v3/watch"}


@world
async def test_a_key_that_is_gone_is_written_again(w: World):
    one = offer()
    await w.begin(leased=True)
    w.registry.put(one)
    await registered(w, one)
    (key,) = keys(w)
    w.server.drop(key)
    await w.passing(lambda: keys(w) == [key], seconds=CHECK / 4)
    assert w.registry.repaired == 1
    w.server.put(key, b"", 5)  # another's lease
    await w.passing(lambda: w.server.keys.get(key, (b"", 5))[1] != 5, seconds=CHECK / 4)
    assert w.registry.repaired == 2


@pytest.mark.parametrize("seen", ["by the probe", "by a write"])
def test_a_lease_that_has_ended(seen):
    @world
    async def run(w: World):
        one, other = offer(), offer("com.x.Other")
        await w.begin(leased=True)
        w.registry.put(one)
        await registered(w, one)
        (lease,) = w.server.leases
        w.server.expire(lease)
        assert not keys(w)
        if seen == "by a write":
            w.registry.put(other)
        await w.connected(sessions=2)
        await w.passing(lambda: len(keys(w)) == (2 if seen == "by a write" else 1))
        assert lease not in w.server.leases and len(w.server.leases) == 1

    run()


@world
async def test_a_server_that_was_away_keeps_the_lease(w: World):
    one = offer()
    await w.begin(leased=True)
    w.registry.put(one)
    await registered(w, one)
    events = len(w.server.history)
    await w.server.stop()
    await w.server.start()
    await w.times.turn(SPREAD + 10)
    await w.passing(lambda: w.registry.state.connected)
    await calm()
    assert len(w.server.history) == events and len(w.server.leases) == 1 and w.registry.state.sessions == 1


@world
async def test_the_next_process_goes_on_with_it(w: World):
    folder, one, two = Folder(), offer(), offer("com.x.Old")
    first = Lease(folder)
    await w.begin(leased=True, lease=first)
    w.registry.put(one)
    w.registry.put(two)
    await registered(w, one)
    await registered(w, two)
    await first.kept()
    (lease,) = w.server.leases
    crashed = w.registries.pop()
    crashed._link._current.close()  # without a word to the server
    await calm()
    before = len(w.server.history)
    assert len(keys(w)) == 2
    second = Lease(folder)
    await w.begin(leased=True, lease=second)
    w.registry.put(one)
    await registered(w, one)
    assert len(w.server.history) == before and list(w.server.leases) == [lease]
    w.registry.sweep([one.key])
    await w.passing(lambda: len(keys(w)) == 1)
    w.registries.insert(0, crashed)


@world
async def test_a_lease_that_ended_between_two_processes(w: World):
    folder, one = Folder(), offer()
    first = Lease(folder)
    await w.begin(leased=True, lease=first)
    w.registry.put(one)
    await registered(w, one)
    await first.kept()
    crashed = w.registries.pop()
    crashed._link._current.close()
    (lease,) = w.server.leases
    w.server.expire(lease)
    await w.begin(leased=True, lease=Lease(folder))
    w.registry.put(one)
    await registered(w, one)
    assert len(keys(w)) == 1 and list(w.server.leases) != [lease]
    w.registries.insert(0, crashed)


@world
async def test_another_registry_of_the_same_name_is_not_gone_on_with(w: World):
    """Sessions of a ZooKeeper at the same address are no leases."""
    folder = Folder()
    first = Lease(folder)
    await w.begin(leased=True, lease=first)
    one = offer()
    w.registry.put(one)
    await registered(w, one)
    await first.kept()
    assert b"etcd://" in folder.files["lease.json"]
    assert Lease(folder).take("main", f"127.0.0.1:{w.server.port}/dubbo") is None


@world
async def test_writes_that_are_refused(w: World):
    w.server.denied = ("/dubbo/com.x.Cart",)
    one = offer()
    await w.begin(leased=True)
    w.registry.put(one)
    await w.passing(lambda: w.registry.standing(one.key).error)
    assert w.standing(one) == "pending" and "permission denied" in w.registry.standing(one.key).error
    w.server.denied = ()
    await registered(w, one)


@world
async def test_what_the_application_registers_besides_is_seen(w: World):
    one = offer(behind="10.0.0.7:20881")
    w.server.put("/dubbo/com.x.Cart/providers/dubbo%3A%2F%2F10.0.0.7%3A20881%2Fcom.x.Cart%3Finterface%3Dcom.x.Cart")
    await w.begin(leased=True)
    w.registry.put(one)
    await w.passing(lambda: w.registry.conflicts)
    assert w.registry.standing(one.key).conflicts == ("10.0.0.7:20881",)
