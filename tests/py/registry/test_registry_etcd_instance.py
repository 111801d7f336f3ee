"""Instances of applications in an etcd: written as dubbo-go does there, by the same code as in a ZooKeeper."""

from __future__ import annotations

import json
from base64 import b64decode

import pytest
from etcd_world import CART, World, offer, world
from written import Folder
from zoo import calm

from meshfast.registry.application import Place, instance_of_go, marked, stamp_of
from meshfast.registry.instance import info, node
from meshfast.registry.lease import Lease
from meshfast.registry.writes import CHECK

PLACE = "/services/shop/10.0.0.7:20880"
MAPPING = f"/dubbo/mapping/{CART}"
#: What dubbo-go 3.3.2 reads of an instance: the fields of its DefaultServiceInstance.
OF_GO = {"ID", "ServiceName", "Host", "Port", "Enable", "Healthy", "Metadata", "Address"}


def alone(service: str = CART, **fields):
    return offer(service, levels=("instance",), **fields)


async def registered(w: World, *those) -> None:
    for one in those:
        w.registry.put(one)
    for one in those:
        await w.passing(lambda: w.standing(one) == "registered")  # noqa: B023


def value(w: World, key: str) -> bytes:
    return w.server.keys[key][0]


def lease(w: World, key: str) -> int:
    return w.server.keys[key][1]


@world
async def test_what_is_written(w: World):
    """The instance by the lease, what is read before it for good."""
    await w.begin(leased=True)
    await registered(w, alone(), alone("com.x.Other"))
    assert json.loads(value(w, PLACE)).keys() == OF_GO
    found = node(value(w, PLACE))
    assert (found.application, found.host, found.port, found.remote) == ("shop", "10.0.0.7", 20880, True)
    (own,) = w.server.leases
    assert lease(w, PLACE) == own
    for folder in ("/dubbo/metadata/shop", "/dubbo/shop"):
        said = info(value(w, f"{folder}/{found.revision}"))
        assert said.services.keys() == {CART, "com.x.Other"} and lease(w, f"{folder}/{found.revision}") == 0
    assert value(w, MAPPING) == b"shop" and lease(w, MAPPING) == 0
    assert not any("/providers/" in key for key in w.server.keys)


@world
async def test_it_is_found_there(w: World):
    """By who follows the registry, and until it is withdrawn."""
    one = alone()
    await w.begin(CART, leased=True)
    await registered(w, one)
    await w.hear("10.0.0.7")
    w.registry.drop(one.key)
    await w.hear()
    assert PLACE not in w.server.keys and value(w, MAPPING) == b"shop"


@world
async def test_another_offer_keeps_the_lease(w: World):
    """The same key is put anew, and nobody finds none."""
    await w.begin(leased=True)
    await registered(w, alone())
    before = node(value(w, PLACE)).revision
    stamp = stamp_of(value(w, PLACE))
    await registered(w, alone("com.x.Other"))
    await w.passing(lambda: node(value(w, PLACE)).revision != before)
    (own,) = w.server.leases
    assert lease(w, PLACE) == own and stamp_of(value(w, PLACE)) == stamp
    assert [kind for _, kind, key, _ in w.server.history if key == PLACE] == ["PUT", "PUT"]


@world
async def test_another_leases_key_changes_hands_at_once(w: World):
    """It is put by the new one, and the end of the old one does not take it along."""
    await w.begin(leased=True)
    await registered(w, alone())
    w.server.leases[5] = 15
    w.server.put(PLACE, value(w, PLACE), 5)
    (own,) = w.server.leases.keys() - {5}
    await w.passing(lambda: lease(w, PLACE) == own, seconds=CHECK / 4)
    w.server.expire(5)
    assert lease(w, PLACE) == own and w.registry.repaired == 1
    assert not any(kind == "DELETE" for _, kind, _, _ in w.server.history)


@world
async def test_a_key_that_goes_just_when_it_is_taken_over(w: World):
    """Nothing is written over what another made of it meanwhile, and it stands in the end."""

    def gone(body: dict) -> None:
        if body["compare"][0].get("result") == "GREATER":
            w.server.before_txn = lambda body: None
            w.server.drop(PLACE)

    one = alone()
    w.server.leases[5] = 15
    w.server.put(PLACE, instance_of_go(Place("shop", "10.0.0.7:20880"), ["dubbo"], "r", {"meshfast": "1"}), 5)
    w.server.before_txn = gone
    await w.begin(leased=True)
    w.registry.put(one)
    await w.passing(lambda: w.registry.standing(one.key).error)
    assert PLACE not in w.server.keys
    await w.passing(lambda: w.standing(one) == "registered")
    assert lease(w, PLACE) != 5


@pytest.mark.parametrize("others", ["", "pos"], ids=["made", "changed"])
def test_a_mapping_that_others_write_just_then(others):
    @world
    async def run(w: World):
        def meanwhile(body: dict) -> None:
            if MAPPING in keys_of(body):
                w.server.before_txn = lambda body: None
                w.server.put(MAPPING, b"pos,cms")

        if others:
            w.server.put(MAPPING, others.encode())
        w.server.before_txn = meanwhile
        await w.begin(leased=True)
        await registered(w, alone())
        assert value(w, MAPPING) == b"pos,cms,shop"

    run()


def keys_of(body: dict) -> list[str]:
    return [b64decode(each["key"]).decode() for each in body["compare"]]


@world
async def test_what_no_sidecar_wrote_is_left_alone(w: World):
    theirs = json.dumps({"ServiceName": "shop", "Host": "10.0.0.7", "Port": 20880, "Metadata": {}}).encode()
    w.server.put(PLACE, theirs)
    one = alone()
    await w.begin(leased=True)
    w.registry.put(one)
    await w.passing(lambda: w.registry.standing(one.key).error)
    assert "registers itself" in w.registry.standing(one.key).error and value(w, PLACE) == theirs


@world
async def test_the_next_process_goes_on_with_it(w: World):
    """With the lease and what was registered by the key: it stays as it is."""
    folder, one, two = Folder(), alone(), alone("com.x.Other")
    first = Lease(folder)
    await w.begin(leased=True, lease=first)
    await registered(w, one, two)
    await first.kept()
    crashed = w.registries.pop()
    crashed._link._current.close()  # without a word to the server
    await calm()
    before = w.server.history[:]
    await w.begin(leased=True, lease=Lease(folder))
    await registered(w, one, two)
    assert w.server.history == before and len(w.server.leases) == 1
    w.registry.drop(one.key)
    w.registry.drop(two.key)
    await w.passing(lambda: PLACE not in w.server.keys)
    w.registries.insert(0, crashed)


@world
async def test_a_lease_that_has_ended(w: World):
    await w.begin(leased=True)
    await registered(w, alone())
    (old,) = w.server.leases
    w.server.expire(old)
    assert PLACE not in w.server.keys
    await w.connected(sessions=2)
    await w.passing(lambda: PLACE in w.server.keys)
    (own,) = w.server.leases
    assert own != old and lease(w, PLACE) == own


@pytest.mark.parametrize(
    "data", [b'"ServiceName"', b'["ServiceName"]', b'{"ServiceName":1}', b'{"ServiceName":1,"Metadata":3}']
)
def test_what_no_sidecar_wrote(data):
    assert not marked(data) and stamp_of(data) == ""


def test_an_address_of_version_6():
    found = json.loads(instance_of_go(Place("shop", "[::1]:20880"), ["tri"], "r", {}, "5"))
    assert (found["Host"], found["Port"], found["Address"]) == ("::1", 20880, "[::1]:20880")
