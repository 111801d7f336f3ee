"""Calls that stream, from the SDK to the SDK: each kind, how far ahead a side gets, and how they end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest
from flowing_world import BARE, TALK, Text, World, play
from peers import until
from proxies import BACKENDS

from meshfast import sdk
from meshfast.errors import LimitError, StateError


async def each(stream: Any) -> list[Any]:
    return [one async for one in stream]


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_kind(backend: str) -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        assert await talk.call("once", {"a": [1, None]}) == {"a": [1, None]}
        for most in (0, 1, 2000):
            assert await each(talk.stream("count", most)) == [str(n) for n in range(most)]
        assert await each(talk.stream("count", 20, 300_000)) == [f"{n}" + "x" * 300_000 for n in range(20)]
        assert await each(talk.stream("steps", 300)) == list(range(300))
        for method in ("add", "tally"):
            for most in (0, 1, 500):
                assert await talk.stream(method, requests=range(most)).answer() == sum(range(most))
        async with talk.stream("chat", sends=True) as chat:
            for word in ("a", "b" * 100_000, ""):
                await chat.send(word)
                assert await anext(chat) == word.upper()
            await chat.end()
            assert await each(chat) == []
            with pytest.raises(StateError, match="after end"):
                await chat.send("x")
        bare = mesh.service(BARE, protocol="grpc")
        assert await bare.call("once", b"x" * 70_000) == b"x" * 70_000
        assert await each(bare.stream("count", b"3")) == [b"0", b"1", b"2"]
        assert await each(bare.stream("chat", requests=[b"ab", b""])) == [b"ba", b""]

    play(story, backend)


class Talk(Protocol):
    """Some of it, as a stub has it."""

    async def once(self, what: str) -> str: ...

    def count(self, most: int, size: int = 0) -> AsyncIterator[str]: ...

    async def add(self, numbers: AsyncIterator[int]) -> int: ...

    def chat(self, words: AsyncIterator[str]) -> AsyncIterator[str]: ...

    def texts(self, texts: AsyncIterator[Text]) -> AsyncIterator[Text]: ...

    @sdk.named("steps")
    def wrong(self, most: int) -> AsyncIterator[str]: ...


async def some(*values: Any) -> AsyncIterator[Any]:
    for value in values:
        yield value


def test_stubs() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.stub(Talk, TALK, protocol="tri")  # type: ignore[type-abstract]
        assert await talk.once("x") == "x"
        assert [one async for one in talk.count(3)] == ["0", "1", "2"]
        assert await talk.add(some(1, 2, 3)) == 6
        assert [one async for one in talk.chat(some("a", "b"))] == ["A", "B"]
        assert [one.value async for one in talk.texts(some(Text("a"), Text("b")))] == ["a!", "b!"]
        with pytest.raises(sdk.BadAnswer, match="gave int, which is no str"):
            await each(talk.wrong(1))
        with pytest.raises(TypeError, match="Dubbo2 has no streams"):
            mesh.stub(Talk, TALK)  # type: ignore[type-abstract]
        with pytest.raises(TypeError, match="Dubbo2 has no streams"):
            mesh.service(TALK).stream("count", 3)

    play(story)


def test_neither_side_gets_far_ahead() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        async with talk.stream("endless", 10_000) as stream:
            await anext(stream)
            flow = stream._flow
            await until(lambda: flow.kept > 512 << 10)
            made = 0
            while made != world.made:  # it has come to a halt
                made = world.made
                for _ in range(50):
                    await asyncio.sleep(0)
                assert (await talk.call("once", made)) == made  # others go on
            assert flow.kept <= 1 << 20 and made * 10_000 < 4 << 20
            for _ in range(2 * made):
                assert len(await anext(stream)) == 10_000
            assert world.made > 2 * made
        await until(lambda: world.gone == 1)
        sent = 0

        async def words() -> AsyncIterator[str]:
            nonlocal sent
            while sent < 3000:
                sent += 1
                yield "x" * 1000

        answer = asyncio.ensure_future(talk.stream("swallow", requests=words()).answer())
        await until(lambda: world.inside == 1 and sent > 200)
        before = -1
        while before != sent:
            before = sent
            for _ in range(50):
                await asyncio.sleep(0)
            assert (await talk.call("once", 1)) == 1
        assert before < 1000 and world.serving._server.held <= 512 << 10
        world.gate.set()
        assert await answer == 3000

    play(story)


def test_who_leaves_is_told_of() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        async with talk.stream("endless", 10) as stream:
            await anext(stream)
        with pytest.raises(sdk.CallError, match="has cancelled"):
            await anext(stream) if not stream._flow._came else await each(stream)
        await until(lambda: world.gone == 1)
        reading = asyncio.ensure_future(each(talk.stream("late", "x")))
        holding = asyncio.ensure_future(talk.call("hold", 1))
        await until(lambda: world.inside == 1 and world.serving.calls == 2)
        for one in (reading, holding):
            one.cancel()
        await until(lambda: world.gone == 2 and world.serving.calls == 0)
        assert (await talk.call("once", 1)) == 1
        assert world.serving.refused == {}

    play(story)


def test_one_that_nobody_holds_ends() -> None:
    """Of a loop that is left, with requests that would go on for ever, nothing stays."""

    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")

        async def words() -> AsyncIterator[str]:
            while True:
                yield "a"
                await asyncio.sleep(0)

        async for word in talk.stream("chat", requests=words()):
            assert word == "A"
            break
        async for _ in talk.stream("endless", 10):
            break
        gc.collect()
        await until(lambda: world.gone == 1 and world.serving.calls == 0)

    play(story)


def test_how_they_end() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        heard: list[Any] = []
        with pytest.raises(sdk.StatusError, match="told to fail: ü") as failed:
            async for one in talk.stream("fail", 3):
                heard.append(one)
        assert heard == [0, 1, 2] and failed.value.status == 2
        with pytest.raises(sdk.StatusError, match="no more") as status:
            await each(mesh.service(BARE, protocol="grpc").stream("status", b"9"))
        assert status.value.status == 9
        with pytest.raises(sdk.CallTimeout):
            await each(talk.stream("late", "x", timeout=0.2))
        with pytest.raises(sdk.StatusError) as unknown:
            await each(talk.stream("none"))
        assert unknown.value.status == 12
        with pytest.raises(sdk.BadAnswer, match="gave more than one answer"):
            await talk.stream("count", 3).answer()
        with pytest.raises(ZeroDivisionError):
            await talk.stream("add", requests=(1 // n for n in (1, 0))).answer()
        with pytest.raises(TypeError, match="and not both"):
            talk.stream("count", 3, sends=True)
        async with talk.stream("chat", sends=True) as chat:
            with pytest.raises(LimitError, match="max_answer"):
                await chat.send("x" * (9 << 20))
        assert world.serving.refused["unknown"] == 1

    play(story)


def test_what_goes_along() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        with sdk.labelled(env="dev1"):
            stream = talk.stream("where", 0, attachments={"own": "ü"})
        found = await each(stream)
        assert [(one["env"], one["own"], one["remote.application"]) for one in found] == [("dev1", "ü", "tests")] * 2
        assert stream.attachments == {"back": "yes", "blob": b"\xff\0"}

    play(story)


def test_many_at_a_time() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        expected = [f"{n}" + "x" * 500 for n in range(100)]
        assert await asyncio.gather(*(each(talk.stream("count", 100, 500)) for _ in range(200))) == [expected] * 200

    play(story)


def test_a_connection_that_ends_ends_its_streams() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        async with talk.stream("late", "x") as stream:
            assert await anext(stream) == "x"
            for one in list(world.serving._server.connections):
                one.abort()
            with pytest.raises(sdk.ConnectionLost, match="may have been executed"):
                await anext(stream)

    play(story)


def test_threads_iterate() -> None:
    def threads(url: str) -> None:
        with sdk.Blocking("tests", address=url, api="unix://@nobody-is-here", timeout=30.0) as mesh:
            talk = mesh.service(TALK, protocol="tri")
            assert list(talk.stream("count", 3)) == ["0", "1", "2"]
            assert talk.stream("add", requests=range(100)).answer() == sum(range(100))
            assert list(talk.stream("chat", requests=(word for word in ("a", "b")))) == ["A", "B"]
            with talk.stream("chat", sends=True) as chat:
                for word in ("x", "y"):
                    chat.send(word)
                    assert next(chat) == word.upper()
                chat.end()
                assert list(chat) == []
            with talk.stream("endless", 10) as endless:
                assert len(next(endless)) == 10
            with pytest.raises(sdk.StatusError, match="told to fail"):
                list(talk.stream("fail", 1))
            with pytest.raises(ZeroDivisionError):
                talk.stream("add", requests=(1 // n for n in (1, 0))).answer()

    async def story(world: World, mesh: sdk.Mesh) -> None:
        await asyncio.to_thread(threads, world.url)
        await until(lambda: world.gone == 1)

    play(story)
