"""Calls that stream, from the SDK to the SDK, where one side gives up: who makes requests, who reads, who begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from flowing_world import TALK, World, play
from peers import until

from meshfast import sdk
from meshfast.errors import StateError


class Odd(BaseException):
    """What no ``except Exception`` takes."""


async def cancelled() -> AsyncIterator[int]:
    """Waits for a task that somebody has cancelled."""
    yield 1
    task = asyncio.ensure_future(asyncio.Event().wait())
    task.cancel()
    await task


async def odd() -> AsyncIterator[int]:
    yield 1
    raise Odd


def odd_steps() -> Iterator[int]:
    yield 1
    raise Odd


@pytest.mark.parametrize("made", [cancelled, odd, odd_steps])
def test_whatever_ends_the_making_of_requests_is_told(made: Callable[[], Any]) -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        with pytest.raises(sdk.CallError, match="in what makes its requests") as error:
            await talk.stream("add", requests=made()).answer()
        assert isinstance(error.value.__cause__, Odd | asyncio.CancelledError)
        await until(lambda: world.serving.calls == 0)  # and the provider is told
        assert not mesh.clients.of("tri").calls

    play(story)


def test_one_answer_of_an_endless_stream() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        with pytest.raises(sdk.BadAnswer, match="gave more than one answer"):
            await talk.stream("endless", 10).answer()
        await until(lambda: world.gone == 1)

    play(story)


def test_a_beginning_that_is_given_up_has_its_end() -> None:
    """A first argument longer than what may wait, while there is no connection to take it."""

    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        await talk.call("once", 1)
        client, long = mesh.clients.of("tri"), "x" * 200_000
        route, client.route = client.route, None
        stream, other = talk.stream("late", long), talk.stream("late", long)
        reading, opening = asyncio.ensure_future(anext(stream)), asyncio.ensure_future(other.opened())
        for _ in range(3):
            await asyncio.sleep(0)
        reading.cancel()
        opening.cancel()
        await asyncio.wait([reading, opening])
        assert stream.over and not other.over and len(client.calls) == 1
        with pytest.raises(sdk.CallError, match="has cancelled"):
            await anext(stream)
        client.route = route
        client.release()
        assert await anext(other) == long
        world.gate.set()
        assert [one async for one in other] == [long]

    play(story)


def test_a_request_that_is_given_up_is_not_sent() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        await talk.call("once", 1)
        client = mesh.clients.of("tri")
        route, client.route = client.route, None  # nothing goes
        async with talk.stream("chat", sends=True) as chat:
            await chat.send("x" * 100_000)
            given_up = asyncio.ensure_future(chat.send("y"))
            for _ in range(3):
                await asyncio.sleep(0)
            given_up.cancel()
            await asyncio.wait([given_up])
            client.route = route
            client.release()
            await chat.send("z")
            await chat.end()
            assert [one async for one in chat] == ["X" * 100_000, "Z"]
            with pytest.raises(StateError, match="after end"):
                await chat.send("x")

    play(story)
