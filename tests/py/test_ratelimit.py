"""RateLimit: how many calls go on, of whom, in every protocol; and what a change of the configuration leaves."""

from __future__ import annotations

import asyncio
import time

import pytest
from engines import BACKENDS, play, running
from mirrors import CART, limit, policy
from peers import Caller, Provider, closing
from proxies import outbound, proxy
from webs2 import GRPC, Server, asks, calling

from meshfast import _core, config, dubbo, shared
from meshfast.model import FallbackCase, Pattern, Rule, TargetKind
from meshfast.policies import Actions, Limit


def statuses(answers: list[dubbo.Response]) -> list[int]:
    return [int(answer.status) for answer in answers]


@pytest.mark.parametrize("backend", BACKENDS)
def test_calls_of_dubbo(backend):
    async def story() -> None:
        real = await Provider("real").start()
        text = policy((real.port, "1"), limits=limit())
        with running(backend, policy=text) as side:
            caller = await Caller.connect(side.address)
            async with closing(caller, real):
                answers = [await caller.ask(CART, f"{i}") for i in range(5)]
                assert statuses(answers) == [20, 20, 20, 100, 100]
                assert "over the rate limit few" in str(answers[4].exception)
                assert len(real.requests) == 3
                assert (await caller.ask("com.x.Stock")).status == 100  # one limit for all that it names
            assert side.count("calls_limited") == 3
            (found,) = side.table.limits()
            assert (found.name, found.passed, found.limited, found.left) == ("few", 3, 3, 0)
            outcomes = {key: n for one in side.table.native.stats() for key, n in one["outcomes"].items() if n}
            assert outcomes == {"ok": 3, "limited": 1} or outcomes["limited"]

    play(story)


@pytest.mark.parametrize("kind", ["http", "grpc", "triple"])
def test_calls_of_http(kind):
    more = {"http": (), "grpc": (GRPC,), "triple": (GRPC, (b"tri-service-version", b"1.0"))}[kind]

    async def story() -> None:
        async with Server() as real:
            text = policy((real.port, "1"), limits=limit(requests=2))
            with running("epoll", policy=text) as side:
                async with calling(side.address) as caller:
                    fields = asks(f"/{CART}/hi", *more, authority="cart.shop")
                    answers = [await caller.ask(fields, b"\0\0\0\0\1x") for _ in range(4)]
                if kind == "http":
                    assert [one.get(b":status") for one in answers] == [b"200", b"200", b"429", b"429"]
                    assert bytes(answers[3].body) == b"meshfast: over the rate limit few\n"
                else:
                    assert [one.get(b"grpc-status") for one in answers] == [b"0", b"0", b"8", b"8"]
                    assert answers[3].get(b"grpc-message") == b"meshfast: over the rate limit few"
                assert side.count("calls_limited") == 2

    play(story)


def test_only_what_matches_counts():
    async def story() -> None:
        real = await Provider("real").start()
        limits = limit("paid", 1, more="match: [{headers: {uid: {exact: '7'}}}, {uri: {prefix: /com.x.Cart/pay}}]")
        limits += limit("stock", 1, hosts="[com.x.Stock]") + limit("all", 6, hosts="['com.x.*']")
        with running("epoll", policy=policy((real.port, "1"), limits=limits)) as side:
            caller = await Caller.connect(side.address)
            async with closing(caller, real):
                seven = {"attachments": {"uid": "7"}}
                assert statuses([await caller.ask(CART, **seven) for _ in range(2)]) == [20, 100]
                assert statuses([await caller.ask(CART) for _ in range(2)]) == [20, 20]
                assert statuses([await caller.ask("com.x.Stock") for _ in range(2)]) == [20, 100]
                answers = [await caller.ask(CART) for _ in range(3)]
                assert statuses(answers) == [20, 20, 100]
                assert "limit all" in str(answers[2].exception)

    play(story)


def test_a_change_keeps_what_was_taken():
    async def story() -> None:
        real = await Provider("real").start()

        def text(**how: object) -> bytes:
            return policy((real.port, "1"), more="name: r", limits=limit(**how)).encode()  # type: ignore[arg-type]

        with running("epoll", policy=text().decode()) as side:

            def publish(**how: object) -> None:
                side.table.publish(config.load_texts([("mesh.yaml", text(**how))]))

            caller = await Caller.connect(side.address)
            async with closing(caller, real):
                assert statuses([await caller.ask(CART) for _ in range(4)]) == [20, 20, 20, 100]
                publish()
                assert (await caller.ask(CART)).status == 100
                publish(more="match: [{headers: {x: {exact: y}}}]")  # which calls: the bucket is the same
                publish()
                assert (await caller.ask(CART)).status == 100
                publish(requests=5)
                assert statuses([await caller.ask(CART) for _ in range(3)]) == [20, 20, 100]
                publish(name="other")
                assert statuses([await caller.ask(CART) for _ in range(4)]) == [20, 20, 20, 100]
                (found,) = side.table.limits()
                assert (found.name, found.passed) == ("other", 3)
                publish(name="other", requests=1000000, unit="second")
                assert statuses([await caller.ask(CART) for _ in range(9)]) == [20] * 9

    play(story)


def test_a_name_has_one_bucket_whatever_its_rate():
    """Rules of before, which some callers still meet, and those of now: a change lets nobody have both rates."""
    table, known = _core.Table(), shared.Shared()
    cluster = table.cluster("c", [("10.0.0.1:1", {}, 1, 0)], [], None)
    target = (cluster, TargetKind.ALL, "", 1, FallbackCase.NO_AVAILABLE, None)

    def prepared(requests: int) -> tuple[_core.Bucket, _core.Prepared]:
        known.begin()
        actions = Actions(limits=(Limit("l", requests, 3600 * 10**9, requests),))
        aside = known.aside(Rule("", (), (), actions=actions))
        assert aside is not None
        return aside[1][0][1], table.service("s", Pattern.EXACT, [(0, [], [target], actions, aside)])

    before, service = prepared(10)
    table.publish(service)
    known.commit()
    after, failed = prepared(50)
    assert after is before
    assert before.counts() == (0, 0, 10)  # that is not in force
    del failed
    after, service = prepared(3)
    table.publish(service)
    known.commit()
    assert after is before
    assert before.counts() == (0, 0, 3)
    with pytest.raises(ValueError, match="1 or more"):
        after.set(0, 1, 1)


@pytest.mark.parametrize("workers", [1, 3])
def test_of_many_at_once_just_so_many_go_on(tmp_path, workers):
    async def story() -> None:
        real = await Provider("real").start()
        text = policy((real.port, "1"), limits=limit(requests=50))
        async with closing(real), proxy(tmp_path, "epoll", [outbound()], text, workers=workers) as side:
            callers = [await Caller.connect(side.address("out")) for _ in range(12)]  # over all workers, as it happens
            async with closing(*callers):
                answers = await asyncio.gather(*(one.ask(CART) for one in callers for _ in range(40)))
            assert statuses(list(answers)).count(20) == len(real.requests) == 50
            assert statuses(list(answers)).count(100) == 430
            assert (await side.counters())["calls_limited"] == 430

    play(story)


def test_as_time_goes_by():
    """No more go on than what the time that passed allows."""

    async def story() -> None:
        real = await Provider("real").start()
        text = policy((real.port, "1"), limits=limit(requests=200, unit="second", more="burst: 20"))
        with running("epoll", policy=text) as side:
            caller = await Caller.connect(side.address)
            async with closing(real, caller):
                begun, let = time.monotonic(), 0
                while let < 100:
                    let += statuses(await asyncio.gather(*(caller.ask(CART) for _ in range(20)))).count(20)
                assert let <= (time.monotonic() - begun) * 200 + 20
                assert let == len(real.requests)

    play(story)
