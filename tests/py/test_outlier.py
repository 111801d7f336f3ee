"""Instances that answer errors are left out for a while, by a real sidecar: the figures are those of Envoy."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from engines import BACKENDS, PATIENCE, play
from guarded import ERROR, FAULT, GATEWAY, OK, PROTOCOLS, World, guarded
from peers import until
from webs2 import GRPC

from meshfast import dubbo

NEVER = "300s"  # no test lasts so long


def ejecting(**more: object) -> dict[str, object]:
    return {"outlierDetection": {"maxEjectionPercent": 100, "baseEjectionTime": NEVER, **more}}


both = pytest.mark.parametrize("protocol", PROTOCOLS)
loops = pytest.mark.parametrize("backend", BACKENDS)


async def fails(world: World, number: int, status: int, least: int) -> None:
    """Calls until this instance has answered so many."""
    one = world.instances[number]
    one.status, one.calls = status, 0
    async with asyncio.timeout(PATIENCE):
        while one.calls < least:
            await world.call()


@both
@loops
def test_five_errors_in_a_row(backend: str, protocol: str) -> None:
    async def story() -> None:
        async with guarded(backend, protocol, 3, ejecting()) as world:
            await fails(world, 0, ERROR[protocol], 5)
            assert world.out() == [0]
            world.counts()
            assert await world.calls(60) == {OK[protocol]: 60}
            assert world.counts()[0] == 0
            told = world.guard()
            assert told["ejections"] == {"errors": 1, "gateway": 0, "local": 0} and told["active"] == 0
            (one,) = [each for each in told["instances"] if each["ejections"]]
            assert 290 < one["out_for"] <= 310
            await world.side.reaches("ejections_errors")
            events = world.side.engine.events()
            assert [e[0] for e in events if e[0].startswith("peer_e")] == ["peer_ejected"]

    play(story)


@both
def test_what_is_the_callers_fault_does_not_count(protocol: str) -> None:
    async def story() -> None:
        async with guarded("epoll", protocol, 2, ejecting(consecutive5xxErrors=2)) as world:
            for one in world.instances:
                one.status = FAULT[protocol]
            await world.calls(40)
            assert world.out() == []

    play(story)


@both
def test_a_good_answer_between(protocol: str) -> None:
    async def story() -> None:
        async with guarded("epoll", protocol, 1, ejecting()) as world:
            (one,) = world.instances
            for status in (ERROR, ERROR, ERROR, ERROR, OK, ERROR, ERROR, ERROR, ERROR):
                one.status = status[protocol]
                await world.call()
            assert world.out() == []
            await world.call()
            assert world.out() == [0]

    play(story)


@both
def test_gateway_errors(protocol: str) -> None:
    async def story() -> None:
        rules = ejecting(consecutive5xxErrors=0, consecutiveGatewayErrors=3)
        async with guarded("epoll", protocol, 1, rules) as world:
            (one,) = world.instances
            for status in (GATEWAY, GATEWAY, ERROR, GATEWAY, GATEWAY):
                one.status = status[protocol]
                await world.call()
            assert world.out() == []
            await world.call()
            assert world.out() == [0] and world.guard()["ejections"]["gateway"] == 1

    play(story)


@both
@pytest.mark.parametrize(
    ("n", "percent", "out"), [(3, 10, 0), (3, 33, 0), (3, 34, 1), (10, 10, 1), (2, 100, 2), (4, 50, 2)]
)
def test_no_more_than_the_percentage(protocol: str, n: int, percent: int, out: int) -> None:
    async def story() -> None:
        async with guarded("epoll", protocol, n, ejecting(maxEjectionPercent=percent)) as world:
            for one in world.instances:
                one.status = ERROR[protocol]
            await world.calls(n * 12)
            assert len(world.out()) == out
            assert (world.guard()["forbidden"] > 0) == (out < n)

    play(story)


@both
@pytest.mark.parametrize("least", [0, 50])
def test_all_are_out(protocol: str, least: int) -> None:
    """Nobody is left, or with ``minHealthPercent`` everybody is used."""

    async def story() -> None:
        async with guarded("epoll", protocol, 2, ejecting(minHealthPercent=least)) as world:
            for one in world.instances:
                one.status = ERROR[protocol]
            await world.calls(40)
            assert world.out() == [0, 1]
            world.counts()
            for one in world.instances:
                one.status = OK[protocol]
            answers = await world.calls(20)
            nobody = {"dubbo": dubbo.Status.SERVER_ERROR, "grpc": 14}
            assert answers == ({OK[protocol]: 20} if least else {nobody[protocol]: 20})
            assert all(world.counts()) == bool(least)

    play(story)


@both
def test_it_comes_back(protocol: str) -> None:
    async def story() -> None:
        rules = ejecting(baseEjectionTime="200ms", interval="100ms")
        async with guarded("epoll", protocol, 2, rules) as world:
            await fails(world, 0, ERROR[protocol], 5)
            first = time.monotonic()
            assert world.out() == [0]
            world.instances[0].status = OK[protocol]
            world.counts()
            async with asyncio.timeout(PATIENCE):
                while not world.instances[0].calls:
                    assert await world.call() == OK[protocol]
            assert time.monotonic() - first > 0.19
            await world.side.reaches("ejections_ended")
            assert "peer_returned" in [event[0] for event in world.side.engine.events()]

    play(story)


@both
@loops
def test_timeouts_count(backend: str, protocol: str) -> None:
    async def story() -> None:
        rules = ejecting(consecutive5xxErrors=3)
        async with guarded(backend, protocol, 2, rules, timeout="50ms") as world:
            world.instances[0].hold = asyncio.Event()
            async with asyncio.timeout(PATIENCE):
                while world.out() != [0]:
                    await world.call()
            assert world.instances[0].calls == 3
            assert await world.calls(20) == {OK[protocol]: 20}

    play(story)


@both
def test_a_caller_in_a_hurry_ejects_nobody(protocol: str) -> None:
    """What it allows is its own; with a little more the same counts."""

    async def story() -> None:
        async with guarded("epoll", protocol, 2, ejecting(consecutive5xxErrors=3)) as world:
            world.instances[0].hold = asyncio.Event()
            for _ in range(12):
                await world.call(**allowing(protocol, 20))
            assert world.instances[0].calls >= 3 and world.out() == []
            assert world.side.count("limit_judged_timeout") >= 3
            async with asyncio.timeout(PATIENCE):
                while world.out() != [0]:
                    await world.call(**allowing(protocol, 150))

    play(story)


def allowing(protocol: str, ms: int) -> dict[str, Any]:
    """A call whose caller waits so long."""
    if protocol == "dubbo":
        return {"timeout": ms}
    return {"fields": (GRPC, (b"grpc-timeout", b"%dm" % ms))}


@both
def test_tries_that_take_too_long_count(protocol: str) -> None:
    async def story() -> None:
        retries = {"attempts": 1, "perTryTimeout": "200ms", "retryOn": "reset"}
        limits = {"retryPercent": 100, "retryRate": 100_000}
        async with guarded(
            "epoll", protocol, 2, ejecting(), timeout="20s", retries=retries, limits=limits
        ) as world:
            world.instances[0].hold = asyncio.Event()
            async with asyncio.timeout(PATIENCE):
                while world.out() != [0]:
                    await world.call()
            assert world.instances[0].calls == 5

    play(story)


@both
def test_split_counts_what_fails_here_apart(protocol: str) -> None:
    async def story() -> None:
        rules = ejecting(
            splitExternalLocalOriginErrors=True, consecutiveLocalOriginFailures=2, consecutive5xxErrors=50
        )
        async with guarded("epoll", protocol, 2, rules, timeout="50ms") as world:
            world.instances[0].hold = asyncio.Event()
            async with asyncio.timeout(PATIENCE):
                while world.out() != [0]:
                    await world.call()
            assert world.instances[0].calls == 2 and world.guard()["ejections"]["local"] == 1

    play(story)


@both
@loops
def test_who_cannot_be_reached(backend: str, protocol: str) -> None:
    """A connect that fails counts, though the call was answered by another. Further calls find it resting."""

    async def story() -> None:
        async with guarded(backend, protocol, 2, ejecting(consecutive5xxErrors=1)) as world:
            gone = world.instances[0]
            if protocol == "dubbo":
                await gone.stop()
            else:
                gone._server.close()
            async with asyncio.timeout(PATIENCE):
                while world.out() != [0]:
                    assert await world.call() == OK[protocol]

    play(story)


def test_status_of_http() -> None:
    async def story() -> None:
        rules = ejecting(consecutive5xxErrors=2)
        async with guarded("epoll", "grpc", 1, rules) as world:
            (one,) = world.instances
            plain = (b"content-type", b"text/plain")
            for one.http in (500, 404, 503):
                assert await world.call(fields=(plain,)) == one.http
            assert world.out() == []
            assert await world.call(fields=(plain,)) == 503
            assert world.out() == [0]

    play(story)


def test_own_codes() -> None:
    async def story() -> None:
        rules = ejecting(consecutive5xxErrors=2, outlierDetectionHttpErrorCodes=[429])
        async with guarded("epoll", "grpc", 2, rules) as world:
            plain = (b"content-type", b"text/plain")
            for status, out in ((500, []), (429, [0, 1])):
                for one in world.instances:
                    one.http = status
                for _ in range(12):
                    await world.call(fields=(plain,))
                assert world.out() == out

    play(story)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("status", "out"), [(14, True), (5, False)])
def test_grpc_status_in_the_head_or_in_trailers(late: bool, status: int, out: bool) -> None:
    async def story() -> None:
        async with guarded("epoll", "grpc", 1, ejecting()) as world:
            (one,) = world.instances
            one.late, one.status = late, status
            await world.calls(5)
            assert bool(world.out()) == out

    play(story)


def test_refused_streams_count() -> None:
    async def story() -> None:
        async with guarded("epoll", "grpc", 2, ejecting(consecutive5xxErrors=3)) as world:
            one = world.instances[0]
            one.reset = 7
            async with asyncio.timeout(PATIENCE):
                while world.out() != [0]:
                    assert await world.call() == 0  # the other takes it
            assert one.calls == 3

    play(story)


def test_other_resets_count() -> None:
    async def story() -> None:
        async with guarded("epoll", "grpc", 1, ejecting(consecutive5xxErrors=3)) as world:
            world.instances[0].reset = 2
            await world.calls(3)
            assert world.out() == [0]

    play(story)


def test_one_way_calls_do_not_count() -> None:
    async def story() -> None:
        async with guarded("epoll", "dubbo", 1, ejecting(consecutive5xxErrors=1)) as world:
            for i in range(5):
                world.write(dubbo.encode_request(1000 + i, "com.x.Cart", "hi", ("x",), two_way=False))
            await until(lambda: world.instances[0].calls == 5, PATIENCE)
            assert world.out() == [] and await world.call() == 20

    play(story)


@both
def test_no_policy_no_guard(protocol: str) -> None:
    async def story() -> None:
        async with guarded("epoll", protocol, 2, {}) as world:
            for one in world.instances:
                one.status = ERROR[protocol]
            await world.calls(20)
            assert world.side.table.native.guards() == []

    play(story)


@both
def test_what_we_have_no_room_for_is_nobodys_failure(protocol: str) -> None:
    async def story() -> None:
        limits = {"maxCalls": 8, "callShare": 1}
        async with guarded("epoll", protocol, 2, ejecting(consecutive5xxErrors=2), limits=limits) as world:
            hold = asyncio.Event()
            for one in world.instances:
                one.hold = hold
            under_way = [world.begin() for _ in range(5)]
            await until(lambda: sum(one.calls for one in world.instances) == 5)
            refused = await world.calls(8)
            assert OK[protocol] not in refused
            assert world.out() == []
            hold.set()
            assert {await one for one in under_way} == {OK[protocol]}

    play(story)


@both
def test_a_call_that_waits_goes_elsewhere_without_what_held_before(protocol: str) -> None:
    async def story() -> None:
        async with guarded("epoll", protocol, 1, ejecting(), hung=1, limits={"hedgeConnect": 300}) as world:
            there = world.instances.pop(0)
            there.hold = asyncio.Event()
            world.publish(ejecting())  # the one that lets nobody in is alone
            waits = world.begin()
            await until(lambda: world.guard()["active"] == 1)
            world.instances.append(there)
            world.publish({})
            await until(lambda: there.calls == 1)
            await until(lambda: world.side.table.reclaim() >= 0 and not world.side.table.native.guards())
            there.hold.set()
            assert await waits == OK[protocol]

    play(story)
