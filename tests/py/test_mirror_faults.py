"""Whatever a mirror does changes nothing for anybody else: dead, silent, deaf, flooding, or hanging up."""

from __future__ import annotations

import asyncio
import socket

import pytest
from engines import BACKENDS, Running, play, running
from mirrors import CART, TO_V2, became, comes_to, mirrored, policy, silent, two
from peers import Caller, Frame, Provider, closing, until
from webs import unused
from webs2 import GRPC, Server, Stream, asks, calling

from meshfast import dubbo


async def unhurt(side: Running, real: Provider, calls: int = 200) -> None:
    """Calls one after another and many at once: each is answered by its provider, as if nothing were."""
    caller = await Caller.connect(side.address)
    async with closing(caller):
        for i in range(calls // 4):
            assert str((await caller.ask(CART, f"{i}")).value) == f"real:{i}"
        answers = await asyncio.gather(*(caller.ask(CART, f"m{i}") for i in range(calls)))
        assert [str(one.value) for one in answers] == [f"real:m{i}" for i in range(calls)]
        assert not caller.strays and not caller.closed.is_set()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mirror_where_nobody_listens(backend):
    async def story() -> None:
        async with two() as (real, _):
            text = policy((real.port, "1"), (unused(), "2"), more=TO_V2)
            with running(backend, policy=text) as side:
                await unhurt(side, real)
                await comes_to(side, failed=250)
                assert side.table.native.peers() == dict.fromkeys(side.table.native.peers(), True)  # nobody is blamed
            assert side.count("upstream_connect_failed") == 0

    play(story)


def test_a_mirror_without_instances():
    async def story() -> None:
        async with two() as (real, _):
            with running("epoll", policy=policy((real.port, "1"), more=TO_V2)) as side:
                await unhurt(side, real)
                assert became(side) == {"skipped": 250}

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mirror_that_never_answers(backend):
    async def story() -> None:
        async with two(silent) as (real, copy):
            text = mirrored(real, copy, f"{TO_V2}\n    timeout: 1s")
            with running(backend, policy=text, limits={"maxMirrored": 40}) as side:
                await unhurt(side, real)
                await until(lambda: sum(became(side).values()) == 250, 15.0)
                assert side.count("limit_max_mirrored") > 0
                assert became(side)["failed"] >= 40
                assert side.count("limit_call_timeout") == 0  # no call of anybody

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mirror_that_hangs_up(backend):
    async def hang_up(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        writer.transport.abort()

    async def story() -> None:
        async with two(hang_up) as (real, copy):
            with running(backend, policy=mirrored(real, copy)) as side:
                await unhurt(side, real)
                await until(lambda: sum(became(side).values()) == 250, 15.0)
                assert side.count("upstream_reset") == 0
                assert side.count("calls_trial") == 0  # no caller is suspected

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mirror_that_takes_nothing(backend):
    """It lets connections in and reads none of them: what waits for it is bounded, and given back in time."""

    async def story() -> None:
        async with two() as (real, _):
            hole = socket.create_server(("127.0.0.1", 0))  # the kernel lets them in
            text = policy((real.port, "1"), (hole.getsockname()[1], "2"), more=f"{TO_V2}\n    timeout: 2s")
            limits = {"mirrorMemory": 4_000_000, "maxMemory": 67_108_864}
            with hole, running(backend, policy=text, limits=limits) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    for i in range(60):
                        answer = await caller.ask(CART, "x" * 500_000)
                        assert answer.status == 20
                        assert side.count("memory_bytes") < 24_000_000, i
                    assert side.count("limit_mirror_memory") > 0
                    await until(lambda: sum(became(side).values()) == 60, 15.0)
                    skipped = side.count("mirrored_skipped")
                    await until(lambda: side.count("memory_bytes") < 4_000_000, 15.0)
                    assert (await caller.ask(CART, "x" * 500_000)).status == 20
                    assert side.count("mirrored_skipped") == skipped  # there is room again

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_mirror_that_floods(backend):
    """Answers that nobody asked for, and then what is no Dubbo at all."""

    async def flood(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        asyncio.ensure_future(pour(writer, frame))

    async def pour(writer: asyncio.StreamWriter, frame: Frame) -> None:
        try:
            for i in range(400):
                writer.write(dubbo.encode_response(frame.id + i * 977, "x" * 2000) * 10)
                await writer.drain()
            writer.write(b"garbage" * 1000)
            await writer.drain()
        except ConnectionError:
            pass

    async def story() -> None:
        async with two(flood) as (real, copy):
            with running(backend, policy=mirrored(real, copy)) as side:
                await unhurt(side, real)
                await until(lambda: sum(became(side).values()) == 250, 15.0)
                assert side.count("answers") == 250
                assert side.count("answers_late") == 0

    play(story)


def test_a_mirror_that_answers_without_end():
    async def endless(stream: Stream) -> None:
        stream.head([(b":status", b"200")])
        while True:
            await stream.data(b"x" * 16384)

    async def story() -> None:
        async with Server() as real, Server(endless) as copy:
            with running("epoll", policy=mirrored(real, copy), limits={"mirrorBody": 200_000}) as side:
                async with calling(side.address) as caller:
                    for _ in range(5):
                        answer = await caller.ask(asks(f"/{CART}/hi", GRPC), b"\0\0\0\0\1x")
                        assert bytes(answer.body) == b"\0\0\0\0\1x"
                    await comes_to(side, failed=5)
                    await until(lambda: all(s.code == 8 for p in copy.peers for s in p.streams.values()))

    play(story)


def test_answers_that_are_errors_are_told_apart():
    async def fail(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        writer.write(dubbo.error_answer(frame.id, 80, "no") if len(provider.requests) % 2 else provider.answer(frame))

    async def story() -> None:
        async with two(fail) as (real, copy):
            with running("epoll", policy=mirrored(real, copy)) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    for i in range(10):
                        assert str((await caller.ask(CART, f"{i}")).value) == f"real:{i}"
                await comes_to(side, ok=5, error=5)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_too_long_is_not_mirrored(backend):
    async def story() -> None:
        async with two() as (real, copy):
            with running(backend, policy=mirrored(real, copy), limits={"mirrorBody": 100_000}) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    assert (await caller.ask(CART, "x" * 90_000)).status == 20
                    assert (await caller.ask(CART, "x" * 110_000)).status == 20
                await comes_to(side, ok=1, skipped=1)
                assert side.count("limit_mirror_body") == 1
        async with Server() as server, Server() as other:
            with running(backend, policy=mirrored(server, other), limits={"mirrorBody": 100_000}) as side:
                async with calling(side.address) as peer:
                    for size in (90_000, 110_000):
                        answer = await peer.ask(asks(f"/{CART}/hi", GRPC), b"x" * size)
                        assert len(answer.body) == size
                    await comes_to(side, ok=1, skipped=1)

    play(story)


def test_an_end_does_not_wait_for_copies():
    async def story() -> None:
        async with two(silent) as (real, copy):
            with running("epoll", policy=mirrored(real, copy)) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller):
                    assert (await caller.ask(CART)).status == 20
                    await until(lambda: len(copy.requests) == 1)
                side.engine.drain()
                await until(lambda: side.engine.drained, 15.0)
                side.engine.stop()
            assert became(side) == {"failed": 1}

    play(story)
