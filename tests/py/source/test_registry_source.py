"""Policy from files, instances from registries: both live, and neither takes away what the other says."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from config_mesh import entry, rule, to, virtual
from registered import MAIN, World, instance, offer, places, play

from meshfast.errors import ConfigError
from meshfast.source import Bad, Good, Moved, registry

HELLO, OTHER = "com.x.Hello", "com.x.Other"
A, B, C, D = (f"10.0.0.{i}:20880" for i in range(1, 5))
POLICY = virtual([HELLO], {"route": [to("v1")]})
SUBSETS = rule(HELLO, "v1")


def test_instances_of_a_registry_are_under_the_policy_of_files(tmp_path: Path) -> None:
    async def body(it: World) -> None:
        it.write(POLICY, SUBSETS)
        it.says["main"] = {HELLO: (offer(HELLO, instance(A, v="v1"), instance(B, v="v2")),)}
        event = await it.next()
        assert isinstance(event, Good) and places(event, HELLO) == [A, B]
        assert it.main.wanted == {HELLO}
        (service,) = event.mesh.services
        assert [t.text for t in service.rules[0].targets] == ["v1"]
        (v1,) = event.mesh.clusters[HELLO].subsets
        assert [v1.has(one) for one in event.mesh.clusters[HELLO].endpoints] == [True, False]

        it.main.list(HELLO, offer(HELLO, A, C))
        event = await it.next()
        assert isinstance(event, Moved) and event.by == "registries" and places(event, HELLO) == [A, C]
        it.write(POLICY, SUBSETS, virtual([OTHER], {"route": [to(host=HELLO)]}))
        event = await it.next()
        assert isinstance(event, Good) and places(event, HELLO) == [A, C] and places(event, OTHER) == []
        assert it.main.wanted == {HELLO, OTHER}

    play(tmp_path, body)


def test_a_service_that_nobody_lists_is_one_without_instances(tmp_path: Path) -> None:
    async def body(it: World) -> None:
        it.write(virtual([HELLO], {"route": [to(host=OTHER)]}), rule("shop", "v1"))
        it.says["main"] = {HELLO: (), OTHER: (), "shop": ()}
        event = await it.next()
        assert [places(event, name) for name in (HELLO, OTHER, "shop")] == [[], [], []]
        it.main.list(OTHER, offer(OTHER, A))
        assert places(await it.next(), OTHER) == [A]
        it.main.list(OTHER)
        it.clock.now += 601
        assert places(await it.next(), OTHER) == []

    play(tmp_path, body)


def test_without_registries_an_unknown_host_is_a_mistake_as_ever(tmp_path: Path) -> None:
    async def body(it: World) -> None:
        it.write(POLICY, SUBSETS, registries=())
        event = await it.next()
        assert isinstance(event, Bad) and "unknown host com.x.Hello" in str(event.error)

    play(tmp_path, body)


def test_what_a_file_offers_is_not_taken_from_a_registry(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    own = entry("shop", (HELLO,), ports=[{"number": 1, "protocol": "DUBBO"}], endpoints=[{"address": "10.1.1.1"}])
    every = {**MAIN, "services": ["*"]}

    async def body(it: World) -> None:
        it.write(own, registries=[every])
        it.says["main"] = {HELLO: (offer(HELLO, A), offer(HELLO, B, version="2")), OTHER: (offer(OTHER, C),)}
        event = await it.next()
        assert places(event, "shop") == ["10.1.1.1:1"] and HELLO not in event.mesh.clusters
        assert places(event, f"{HELLO}:2") == [B] and places(event, OTHER) == [C]
        assert [one.called for one in it.shown.left_out] == [HELLO]
        assert "com.x.Hello is left out: a ServiceEntry of a file offers it" in caplog.text

    play(tmp_path, body)


def test_several_registries_are_one_list(tmp_path: Path) -> None:
    two = [MAIN, {"name": "new", "address": "zookeeper://10.9.9.8"}, {"name": "out", "address": "zookeeper://10.9.9.7",
           "subscribe": False}]  # fmt: skip

    async def body(it: World) -> None:
        it.write(POLICY, SUBSETS, registries=two)
        it.says["main"] = {HELLO: (offer(HELLO, instance(A, v="first"), B),)}
        it.says["new"] = {HELLO: (offer(HELLO, instance(A, v="second"), C), offer(HELLO, D, version="1.0.0"))}
        event = await it.next()
        assert places(event, HELLO) == [A, B, C] and places(event, f"{HELLO}:1.0.0") == [D]
        assert event.mesh.clusters[HELLO].endpoints[0].labels["v"] == "first"
        assert set(it.registries) == {"main", "new"}
        # One of them goes, with what it alone listed.
        new = it.registries["new"]
        it.write(POLICY, SUBSETS)
        event = await it.next()
        assert places(event, HELLO) == [A, B] and f"{HELLO}:1.0.0" not in event.mesh.clusters
        it.main.list(HELLO, offer(HELLO, A))
        await it.next()
        assert new.closed and not it.main.closed

    play(tmp_path, body)


def test_an_application_beside_its_sidecar_counts_once(tmp_path: Path) -> None:
    async def body(it: World) -> None:
        it.write(POLICY, SUBSETS)
        # The second is another process of the same application, which has no sidecar.
        own = [instance("10.0.0.1:20881"), instance("10.0.0.1:20882")]
        marked = {"meshfast": "1", "meshfast.behind": "20881"}
        it.says["main"] = {HELLO: (offer(HELLO, *own, instance(A, **marked), B),)}
        assert places(await it.next(), HELLO) == ["10.0.0.1:20882", A, B]

    play(tmp_path, body)


def test_a_registry_at_another_address_takes_nothing_away(tmp_path: Path) -> None:
    async def body(it: World) -> None:
        it.write(POLICY, SUBSETS)
        it.says["main"] = {HELLO: (offer(HELLO, A),)}
        await it.next()
        first, it.down = it.main, True
        it.write(POLICY, SUBSETS, registries=[{**MAIN, "address": "zookeeper://10.9.9.1"}])
        event = await it.next()
        assert isinstance(event, Good) and places(event, HELLO) == [A] and it.shown.stale
        it.main.says[HELLO] = (offer(HELLO, B),)
        it.main.up()
        # It may be one that knows less than the other did: what is missing is kept for a while.
        assert places(await it.next(), HELLO) == [B, A] and first.closed and not it.shown.stale

    play(tmp_path, body)


def test_what_is_refused_leaves_the_registries_as_they_were(tmp_path: Path) -> None:
    async def body(it: World) -> None:
        it.write(POLICY, SUBSETS)
        it.says["main"] = {HELLO: (offer(HELLO, A),)}
        await it.next()
        first = it.main
        it.write(virtual([OTHER], {"route": [to(host=OTHER)]}), registries=[{**MAIN, "root": "/other"}])
        assert isinstance(await it.next(), Good)
        second = it.main
        assert second is not first
        it.source.refuse()
        first.list(HELLO, offer(HELLO, B))
        event = await it.next()
        assert isinstance(event, Moved) and places(event, HELLO) == [B] and OTHER not in event.mesh.clusters
        assert second.closed and not first.closed

    play(tmp_path, body)


def test_instances_that_were_refused_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def body(it: World) -> None:
        it.write(POLICY, SUBSETS)
        it.says["main"] = {HELLO: (offer(HELLO, A),)}
        await it.next()
        for _ in range(2):
            it.main.list(HELLO, offer(HELLO, B))
            event = await it.next()
            assert isinstance(event, Moved) and places(event, HELLO) == [B]
            it.source.refuse()
        event = await it.next()
        assert isinstance(event, Moved) and places(event, HELLO) == [B]

    monkeypatch.setattr(registry, "LOOK", 0.01)
    play(tmp_path, body)


def test_a_file_that_is_not_good_leaves_what_is_in_force_to_follow(tmp_path: Path) -> None:
    async def body(it: World) -> None:
        it.write(POLICY, SUBSETS)
        it.says["main"] = {HELLO: (offer(HELLO, A),)}
        await it.next()
        os.truncate(it.path, 20)
        event = await it.next()
        assert isinstance(event, Bad) and isinstance(event.error, ConfigError)
        it.main.list(HELLO, offer(HELLO, B))
        event = await it.next()
        assert isinstance(event, Moved) and places(event, HELLO) == [B]

    play(tmp_path, body)


def test_what_is_demanded_is_followed_for_ten_minutes_more(tmp_path: Path) -> None:
    async def body(it: World) -> None:
        it.write(registries=[MAIN])
        it.says["main"] = {HELLO: (offer(HELLO, A),)}
        await it.next()
        assert it.main.wanted == set() and it.shown.known(HELLO) is None
        first, second = it.shown.demand.take(HELLO), it.shown.demand.take(HELLO)
        await asyncio.sleep(0)  # the turn of the loop in which it is asked for
        assert it.main.wanted == {HELLO}
        assert places(await it.next(), HELLO) == [A]
        known = it.shown.known(HELLO)
        assert known is not None and [one.address for one in known[0].instances] == [A]
        first()
        first()
        it.clock.now += 601
        it.shown.demand.expire()
        assert it.main.wanted == {HELLO}
        second()
        it.clock.now += 599
        it.shown.demand.expire()
        assert it.main.wanted == {HELLO}
        it.clock.now += 2
        it.shown.demand.expire()
        await asyncio.sleep(0)
        assert it.main.wanted == set()
        event = await it.next()
        assert isinstance(event, Moved) and HELLO not in event.mesh.clusters and it.shown.known(HELLO) is None

    play(tmp_path, body)
