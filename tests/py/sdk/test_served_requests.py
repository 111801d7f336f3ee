"""What a handler is given to read its requests by: in the loop, by several, for a while, in a thread."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from flowing_world import TALK, World, play
from peers import until

from meshfast import sdk
from meshfast.errors import MeshfastError
from meshfast.sdk.flows import PREFIX
from meshfast.sdk.limits import SMALL
from meshfast.sdk.requests_served import NO_MORE, Served
from meshfast.sdk.serve import Offer, Serving

LONG = bytes(SMALL + 1)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def alone(story: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(story(), 60))


def test_who_gives_up_takes_no_request_along() -> None:
    """A long one is read meanwhile, and once: by somebody who always gives up too early it would never be."""

    async def story() -> None:
        begun, done, gate = list[bytes](), list[int](), asyncio.Event()

        async def read(message: bytes) -> int:
            begun.append(message)
            await gate.wait()
            return len(message)

        served = Served(read, done.append)
        served.put(LONG)
        served.put(b"x")
        for _ in range(3):
            one = asyncio.create_task(served.next())
            await turns()
            one.cancel()
            with pytest.raises(asyncio.CancelledError):
                await one
        assert begun == [LONG] and not done
        gate.set()
        assert [await served.next(), await served.next()] == [len(LONG), 1]
        assert begun == [LONG, b"x"] and done == [PREFIX + len(LONG), PREFIX + 1]

    alone(story)


def test_one_that_cannot_be_read_is_told_once() -> None:
    async def story() -> None:
        async def read(message: bytes) -> bytes:
            await asyncio.sleep(0)
            if message == LONG:
                raise ValueError("no")
            return message

        served = Served(read, lambda _: None)
        served.put(LONG)
        served.put(b"x")
        with pytest.raises(ValueError):
            await served.next()
        assert await served.next() == b"x"

    alone(story)


def test_several_read_and_each_is_told_of_the_end() -> None:
    async def story() -> None:
        async def read(message: bytes) -> bytes:
            return message

        served = Served(read, lambda _: None)
        readers = [asyncio.create_task(served.next()) for _ in range(4)]
        await turns()
        readers[0].cancel()
        for one in (b"1", b"2"):
            served.put(one)
        await turns()
        assert [one.done() for one in readers] == [True, True, True, False]
        served.ended = True
        served.awake()
        assert [await one for one in readers[1:]] == [b"1", b"2", NO_MORE]
        assert await served.next() is NO_MORE

    alone(story)


def test_workers_of_one_handler() -> None:
    async def share(numbers: AsyncIterator[int]) -> list[int]:
        found = list[int]()

        async def worker() -> None:
            async for number in numbers:
                found.append(number)

        await asyncio.gather(worker(), worker(), worker())
        return found

    async def story(world: World, mesh: sdk.Mesh) -> None:
        assert await calls(share, mesh, world) == [0, 1, 2, 3, 4]

    play(story)


async def calls(handler: Any, _: sdk.Mesh, world: World) -> Any:
    """What it makes of five numbers."""

    async def numbers() -> AsyncIterator[int]:
        for number in range(5):
            yield number
            await turns()

    async with Serving(None, Offer(TALK, {"one": handler}, protocols=("tri",))) as world.serving:
        async with world.calls() as mesh:
            stream = mesh.service(TALK, protocol="tri").stream("one", requests=numbers())
            return await asyncio.wait_for(stream.answer(), 60)


def plain(handler: Any) -> Any:
    """A decorator as many are: what it gives is no coroutine function."""

    @functools.wraps(handler)
    def inner(*args: Any) -> Any:
        return handler(*args)

    return inner


class Adds:
    async def __call__(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])


class AddsThere:
    def __call__(self, numbers: Iterator[int]) -> int:
        return sum(numbers)


async def add(numbers: AsyncIterator[int]) -> int:
    return sum([number async for number in numbers])


def tally(numbers: Iterator[int]) -> int:
    return sum(numbers)


@pytest.mark.parametrize("handler", [add, plain(add), Adds(), tally, plain(tally), AddsThere()])
def test_the_annotation_says_how_requests_are_read(handler: Any) -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        assert await calls(handler, mesh, world) == 10

    play(story)


def test_one_that_would_wait_for_itself_is_told() -> None:
    """It says Iterator, and reads in the loop, which nobody could end any more."""

    @plain
    async def wrong(numbers: Iterator[int]) -> int:
        return sum(numbers)

    async def story(world: World, mesh: sdk.Mesh) -> None:
        with pytest.raises(MeshfastError, match="AsyncIterator in its annotation"):
            await calls(wrong, mesh, world)

    play(story)


def test_who_says_nothing_keeps_no_thread_from_others() -> None:
    """Functions that wait for requests have threads of their own, and are refused where there is none."""

    async def story(world: World, mesh: sdk.Mesh) -> None:
        mute = mesh.service(TALK, protocol="tri")
        begun = [mute.stream("tally", sends=True) for _ in range(3)]
        for one in begun:
            await one.send(1)
        await until(lambda: world.serving._server.reading == 3)
        async with world.calls() as other:
            service = other.service(TALK, protocol="tri")
            assert [one async for one in service.stream("steps", 3)] == [0, 1, 2]
            assert await service.stream("tally", requests=[1, 2]).answer() == 3
        more = mute.stream("tally", requests=[1])  # it has three of four: the last is for others
        with pytest.raises(MeshfastError, match="limit `readers` is 4"):
            await more.answer()
        assert world.serving.refused == {"readers": 1}
        for one in begun:
            await one.end()
        assert [await one.answer() for one in begun] == [1, 1, 1]
        await until(lambda: world.serving._server.reading == 0)
        assert await mute.stream("tally", requests=[1]).answer() == 1

    play(story, limits={"threads": 1, "readers": 4, "share": 3})
