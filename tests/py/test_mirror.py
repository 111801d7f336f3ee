"""Calls that are mirrored: who gets a copy of what, and once."""

from __future__ import annotations

import asyncio

import pytest
from engines import BACKENDS, play, running
from mirrors import CART, TO_ALL, TO_V2, became, comes_to, limit, mirrored, policy, silent, two
from peers import HEAD, Caller, Frame, Provider, closing, until
from retry_world import NO_LIMITS
from webs import unused
from webs2 import GRPC, Server, Stream, asks, calling, echo

from meshfast import config, dubbo


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_copy_of_each_call_of_dubbo(backend):
    async def story() -> None:
        async with two() as (real, copy):
            with running(backend, policy=mirrored(real, copy)) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    asked = [caller.ask(CART, f"{i}", attachments={"k": f"{i}"}) for i in range(20)]
                    assert [str((await one).value) for one in asked] == [f"real:{i}" for i in range(20)]
                    caller.writer.write(dubbo.encode_request(99, CART, "hi", ("bye",), two_way=False))
                    await until(lambda: len(copy.requests) == len(real.requests) == 21)
                await comes_to(side, ok=21)
            assert {frame.raw[HEAD:] for frame in copy.requests} == {frame.raw[HEAD:] for frame in real.requests}
            assert [f.head.is_two_way for f in copy.requests].count(True) == 20
            assert side.count("mirrored") == 21
            assert (side.count("calls"), side.count("answers")) == (21, 20)  # they are no calls of anybody

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [(), (GRPC,)], ids=["http", "grpc"])
def test_a_copy_of_each_call_of_http(backend, kind):
    async def story() -> None:
        seen: list[Stream] = []

        async def note(stream: Stream) -> None:
            await echo(stream)
            seen.append(stream)

        async with Server() as real, Server(note) as copy:
            with running(backend, policy=mirrored(real, copy)) as side:
                async with calling(side.address) as caller:
                    bodies = [b"", b"\0\0\0\0\3abc", b"x" * 300_000]
                    for body in bodies:
                        fields = asks(f"/{CART}/hi?q=1", (b"x-more", b"1"), *kind, authority="cart.shop")
                        answer = await caller.ask(fields, body)
                        assert bytes(answer.body) == body
                        assert answer.get(b":status") == b"200"
                    await comes_to(side, ok=3)
                assert sorted((bytes(one.body) for one in seen), key=len) == bodies
                assert {one.get(b":path") for one in seen} == {b"/com.x.Cart/hi?q=1"}
                assert {one.get(b":authority") for one in seen} == {b"cart.shop"}  # no suffix
                assert {one.get(b"x-more") for one in seen} == {b"1"}

    play(story)


def test_content_that_comes_bit_by_bit_is_sent_once_whole():
    async def story() -> None:
        async with Server() as real, Server() as copy:
            with running("epoll", policy=mirrored(real, copy)) as side:
                async with calling(side.address) as caller:
                    stream = caller.open(asks(f"/{CART}/hi", GRPC))
                    await stream.data(b"\0\0\0\0\5he")
                    await until(lambda: any(p.streams for p in real.peers))
                    await until(lambda: bytes(real.peers[0].streams[1].body) == b"\0\0\0\0\5he")
                    assert not copy.peers
                    await stream.data(b"llo", True)
                    await stream.ended.wait()
                    await comes_to(side, ok=1)
                    assert bytes(copy.peers[0].streams[1].body) == b"\0\0\0\0\5hello"
                    broken = caller.open(asks(f"/{CART}/hi", GRPC))
                    await broken.data(b"\0\0\0\0\5he")
                    await until(lambda: 3 in real.peers[0].streams)
                    broken.reset(8)
                    await comes_to(side, ok=1, skipped=1)
                    assert len(copy.peers[0].streams) == 1

    play(story)


def test_shares():
    async def story() -> None:
        async with two() as (real, copy):
            third = await Provider("third").start()
            more = "mirrors: [{destination: {host: cart, subset: v2}, percentage: {value: 25}}, "
            more += "{destination: {host: cart, subset: v3}}]"
            text = policy((real.port, "1"), (copy.port, "2"), (third.port, "3"), more=more)
            with running("epoll", policy=text) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller, third):
                    await asyncio.gather(*(caller.ask(CART) for _ in range(300)))
                    await until(lambda: len(third.requests) == 300)
                    await until(lambda: sum(became(side).values()) == 300 + len(copy.requests))
                    assert 53 <= len(copy.requests) <= 97

    play(story)


def test_none():
    async def story() -> None:
        async with two() as (real, copy):
            for more in (f"{TO_V2}\n    mirrorPercentage: {{value: 0}}", f"{TO_V2}\n    mirrorPercent: 0"):
                with running("epoll", policy=mirrored(real, copy, more), limits=NO_LIMITS) as side:
                    caller = await Caller.connect(side.address)
                    async with closing(caller):
                        await asyncio.gather(*(caller.ask(CART) for _ in range(50)))
                    assert became(side) == {}
            assert not copy.requests

    play(story)


def test_whoever_is_called_may_be_the_mirror_too():
    async def story() -> None:
        async with two() as (real, _):
            with running("epoll", policy=policy((real.port, "1"), more="mirror: {host: cart, subset: v1}")) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    answers = await asyncio.gather(*(caller.ask(CART, f"{i}") for i in range(20)))
                    assert [str(one.value) for one in answers] == [f"real:{i}" for i in range(20)]
                    await until(lambda: len(real.requests) == 40)
                    await comes_to(side, ok=20)
                    assert not caller.strays

    play(story)


def test_a_call_that_is_tried_again_is_copied_once():
    async def fail_first(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        failed = len(provider.requests) % 3
        writer.write(dubbo.error_answer(frame.id, 80, "no") if failed else provider.answer(frame))

    async def story() -> None:
        real, copy = await Provider("real", fail_first).start(), await Provider("copy").start()
        async with closing(real, copy):
            more = f"{TO_V2}\n    retries: {{attempts: 2, retryOn: 5xx, backoff: 1ms}}"
            with running("epoll", policy=mirrored(real, copy, more), limits=NO_LIMITS) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    for i in range(3):
                        assert str((await caller.ask(CART, f"{i}")).value) == f"real:{i}"
                    assert len(real.requests) == 9
                    await comes_to(side, ok=3)
                    assert len(copy.requests) == 3

    play(story)


def test_a_call_that_its_rule_delays_is_copied_whole():
    async def story() -> None:
        async with two() as (real, copy):
            more = f"{TO_V2}\n    fault: {{delay: {{percentage: {{value: 100}}, fixedDelay: 1ms}}}}"
            with running("epoll", policy=mirrored(real, copy, more)) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    for i in range(3):
                        assert str((await caller.ask(CART, f"{i}")).value) == f"real:{i}"
                    await comes_to(side, ok=3)
            assert len(copy.requests) == 3

    play(story)


def test_what_is_refused_is_not_copied():
    async def story() -> None:
        async with two() as (real, copy):
            with running("epoll", policy=mirrored(real, copy) + limit(requests=2)) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    assert [(await caller.ask(CART)).status for _ in range(4)] == [20, 20, 100, 100]
                    await comes_to(side, ok=2)
                    assert len(copy.requests) == 2

    play(story)


def test_what_a_breaker_refuses_is_not_copied():
    async def story() -> None:
        async with two(silent) as (real, copy):
            real.handler = silent
            bound = "trafficPolicy: {connectionPool: {http: {http2MaxRequests: 1}}}\n  subsets:"
            with running("epoll", policy=mirrored(real, copy).replace("subsets:", bound, 1)) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    first = asyncio.ensure_future(caller.ask(CART))
                    await until(lambda: real.requests)
                    assert (await caller.ask(CART)).status == 100
                    await until(lambda: copy.requests)
                    first.cancel()
                assert len(copy.requests) == 1

    play(story)


def test_copies_carry_the_labels_that_calls_go_on_with():
    label = """---
apiVersion: istio.alibabacloud.com/v1
kind: TrafficLabel
metadata: {name: env}
spec: {rules: [{labels: [{name: env, valueFrom: ["$localLabel", "$getContext(x-request-id)"]}]}]}
---
apiVersion: meshfast.io/v1
kind: Sidecar
spec: {workload: {labels: {env: gray}}, listeners: []}
"""

    async def story() -> None:
        async with two() as (real, copy):
            to_label = "mirror: {host: cart, subset: $env}"
            for more, expected in ((TO_V2, 1), (to_label, 0)):
                with running("epoll", policy=mirrored(real, copy, more) + label) as side:
                    caller = await Caller.connect(side.address)
                    async with closing(caller):
                        assert (await caller.ask(CART)).status == 20
                        await until(lambda: sum(became(side).values()) == 1)  # noqa: B023
                        assert became(side) == ({"ok": 1} if expected else {"skipped": 1})
            (frame,) = copy.requests
            assert dict(dubbo.parse_request(frame.raw).attachments)["env"] == "gray"
            assert frame.raw[HEAD:] == real.requests[0].raw[HEAD:]

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_change_while_calls_are_copied(backend):
    async def story() -> None:
        async with two() as (real, copy), Server() as web, Server() as other:
            texts = [
                mirrored(real, copy) + limit(requests=1_000_000, unit="second"),
                policy((real.port, "1"), (unused(), "2"), more=f"{TO_V2}\n    mirrorPercent: 50"),
                policy((real.port, "1"), (copy.port, "2"), (other.port, "3"), more=TO_ALL),
                policy((real.port, "1")) + limit(requests=2_000_000, unit="second"),
            ]
            meshes = [config.load_texts([("mesh.yaml", one.encode())]) for one in texts]
            with running(backend, policy=texts[0]) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    for i in range(60):
                        side.table.publish(meshes[i % len(meshes)])
                        answers = await asyncio.gather(*(caller.ask(CART, f"{i}") for _ in range(10)))
                        assert [str(one.value) for one in answers] == [f"real:{i}"] * 10
                        side.table.reclaim()
            streams = [mirrored(web, other), policy((web.port, "1"), more="timeout: 9s")]
            meshes = [config.load_texts([("mesh.yaml", one.encode())]) for one in streams]
            with running(backend, policy=streams[0]) as side:
                async with calling(side.address) as peer:
                    for i in range(20):
                        stream = peer.open(asks(f"/{CART}/hi", GRPC))
                        await stream.data(b"\0\0\0\0\2a")
                        side.table.publish(meshes[i % 2])  # in the midst of it
                        side.table.reclaim()
                        await stream.data(b"b", True)
                        await stream.ended.wait()
                        assert bytes(stream.body) == b"\0\0\0\0\2ab"

    play(story)
