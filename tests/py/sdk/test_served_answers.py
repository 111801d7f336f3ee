"""Answers that a handler makes one after the other: its context, its end, whose turn it is, and what goes with them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from flowing_world import TALK, World
from peers import until

from meshfast import sdk
from meshfast.sdk.context import outgoing
from meshfast.sdk.perform import Performer, Thread
from meshfast.sdk.serve import Limits, Offer, Serving


def play(story: Callable[[sdk.Service, Serving], Awaitable[None]], *handlers: Any, **limits: Any) -> None:
    async def run() -> None:
        world = World()
        methods = {one.__name__: one for one in handlers}
        offer = Offer(TALK, methods, protocols=("dubbo", "tri"))
        async with Serving(None, offer, limits=Limits(**{"quiet": 0.0, **limits})) as world.serving:
            async with world.calls() as mesh:
                await story(mesh.service(TALK, protocol="tri"), world.serving)
        assert (world.serving.calls, world.serving._server.streaming) == (0, 0)

    asyncio.run(asyncio.wait_for(run(), 120))


def label() -> Any:
    return (outgoing(None, None) or {}).get("env")


def test_steps_of_a_generator_have_one_context() -> None:
    seen = list[Any]()

    def steps(most: int) -> Iterator[int]:
        with sdk.labelled(env="dev1"):
            for number in range(most):
                seen.append(label())
                yield number
        seen.append(label())

    async def story(service: sdk.Service, serving: Serving) -> None:
        assert [one async for one in service.stream("steps", 3)] == [0, 1, 2]
        assert seen == ["dev1"] * 3 + [None]
        assert serving.refused == {}

    play(story, steps)


def test_a_generator_that_is_left_tidies_up_in_a_thread() -> None:
    """After the step that is under way, with the context of its steps; and its call is in flight until it has."""
    inside, leave, seen = threading.Event(), threading.Event(), list[Any]()

    def steps(stops: int) -> Iterator[bytes]:
        with sdk.labelled(env="dev1"):
            try:
                for number in range(1 << 30):
                    if number == stops:
                        inside.set()
                        assert leave.wait(60)
                    yield bytes(20_000)
            finally:
                seen.append((label(), threading.current_thread() is threading.main_thread()))
                inside.set()
                assert leave.wait(60)

    async def story(service: sdk.Service, serving: Serving) -> None:
        for stops in (-1, 3):  # it waits for room, and is in a step
            inside.clear()
            leave.clear()
            seen.clear()
            stream = service.stream("steps", stops)
            await anext(stream)
            await until(lambda: serving._server.streaming == 1)
            if stops >= 0:
                await until(inside.is_set)
            stream.cancel()
            await until(lambda: not serving._server.tasks)
            await until(inside.is_set)
            assert serving._server.streaming == 1 and bool(seen) == (stops < 0)
            leave.set()
            await until(lambda: serving._server.streaming == 0)
            assert seen == [("dev1", False)]

    play(story, steps)


def test_an_iterator_is_closed_whoever_made_it() -> None:
    closed = list[bool]()

    class Rows:
        def __iter__(self) -> Rows:
            return self

        def __next__(self) -> int:
            raise StopIteration

        def close(self) -> None:
            closed.append(threading.current_thread() is threading.main_thread())
            raise ValueError("which is nobody's answer")

    async def rows() -> Iterator[int]:
        return Rows()

    async def story(service: sdk.Service, serving: Serving) -> None:
        assert [one async for one in service.stream("rows")] == []
        await until(lambda: closed == [False])

    play(story, rows)


def test_what_is_left_when_threads_have_stopped_waits_for_nobody() -> None:
    async def run() -> None:
        performer, thread = Performer(1, 1, 1000), Thread()
        performer.stop()
        performer.close((number for number in range(3)), thread)
        assert thread.future is not None and thread.future.done()

    asyncio.run(run())


@pytest.mark.parametrize("size", [0, 20_000])
def test_answers_that_never_wait_leave_others_their_turn(size: int) -> None:
    """As many turns of the loop as there are answers of some bytes, or 64 short ones."""
    turns, seen = 0, list[int]()

    async def many(most: int) -> AsyncIterator[bytes]:
        for _ in range(most):
            seen.append(turns)
            yield bytes(size)

    async def story(service: sdk.Service, serving: Serving) -> None:
        nonlocal turns
        stream = service.stream("many", 1280)
        took = asyncio.create_task(taken(stream))
        while not took.done():
            turns += 1
            await asyncio.sleep(0)
        assert await took == 1280
        assert max(seen.count(turn) for turn in set(seen)) <= (4 if size else 64)

    play(story, many)


async def taken(stream: Any) -> int:
    return len([one async for one in stream])


def test_attachments_that_cannot_go_stay_behind() -> None:
    class Odd(str):
        def lower(self) -> str:
            raise ValueError("an odd one")

    async def odd(which: int) -> str:
        sdk.attach({(1, None, b"x", Odd("y"))[which]: "x"})  # type: ignore[dict-item]
        sdk.attach(good="yes")
        return "done"

    async def story(service: sdk.Service, serving: Serving) -> None:
        for which in range(4):
            assert await service.call("odd", which) == "done"
        assert serving.refused == {}

    play(story, odd)
