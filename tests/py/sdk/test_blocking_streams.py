"""Streams of threads: who leaves one leaves nothing behind, and no answer is lost in silence."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flowing_world import TALK, World, play
from sdk_world import PATIENCE, no_engine, until

from meshfast import sdk
from meshfast.errors import StateError
from meshfast.sdk.blocking import BlockingService, _Slot
from meshfast.sdk.blocking_streams import _Steps
from meshfast.sdk.context import outgoing

SENDER = "meshfast-sdk-requests"


def made(world: World) -> sdk.Blocking:
    return sdk.Blocking("tests", address=world.url, api="unix://@nobody-is-here", timeout=PATIENCE, fat=no_engine)


def threaded(work: Callable[[BlockingService], None], after: Callable[[World], bool] = lambda world: True) -> None:
    """Has it called from a thread; then waits for what is to come of it, while the mesh is there."""

    async def story(world: World, mesh: sdk.Mesh) -> None:
        with made(world) as blocking:
            talk = await asyncio.to_thread(blocking.service, TALK, protocol="tri")
            await asyncio.to_thread(work, talk)
            await until(lambda: not talk.client.calls and world.serving.calls == 0 and after(world))
        await until(no_senders)

    play(story)


def no_senders() -> bool:
    return SENDER not in [one.name for one in threading.enumerate()]


class Alarm(Exception):
    """Of the application's handler of a signal."""


@pytest.mark.parametrize("kind", [Alarm, KeyboardInterrupt])
def test_an_interrupted_step_ends_its_stream(monkeypatch: pytest.MonkeyPatch, kind: type[BaseException]) -> None:
    """Its answer is nobody's: what comes after it must not be taken for what comes next."""
    wait = _Slot.wait

    def interrupted(self: _Slot) -> Any:
        wait(self)
        raise kind

    def work(talk: BlockingService) -> None:
        stream = talk.stream("endless", 10)
        assert len(next(stream)) == 10
        with monkeypatch.context() as patch, pytest.raises(kind):
            patch.setattr(_Slot, "wait", interrupted)
            next(stream)
        with pytest.raises(sdk.CallError, match="interrupted"):
            next(stream)

    threaded(work, lambda world: world.gone == 1)


def test_what_a_step_raises_itself_does_not_end_it() -> None:
    def work(talk: BlockingService) -> None:
        with talk.stream("chat", sends=True) as chat:
            with pytest.raises(TypeError):
                chat.send(object())
            chat.send("a")
            assert next(chat) == "A"
            chat.end()
            with pytest.raises(StateError, match=r"after end\(\)"):
                chat.send("b")
            assert list(chat) == []

    threaded(work)


def test_one_that_is_left_by_break_ends() -> None:
    """Its requests would go on for ever."""

    def words() -> Iterator[str]:
        while True:
            yield "a"

    def work(talk: BlockingService) -> None:
        for _ in range(5):
            for word in talk.stream("chat", requests=words()):
                assert word == "A"
                break
        gc.collect()

    threaded(work, lambda world: no_senders())


def test_one_that_nobody_holds_ends_while_its_requests_wait() -> None:
    """The provider reads none of them."""

    def work(talk: BlockingService) -> None:
        stream = talk.stream("swallow", requests=("x" * 100_000 for _ in range(1000)))
        stream.__enter__()
        del stream
        gc.collect()

    threaded(work, lambda world: no_senders())


@pytest.mark.parametrize("kind", [SystemExit, asyncio.CancelledError, KeyboardInterrupt, ZeroDivisionError])
@pytest.mark.parametrize("alone", [True, False])
def test_what_makes_the_requests_raises_anything(kind: type[BaseException], alone: bool) -> None:
    """Where it has a thread of its own that is told to who reads; else it goes through the caller's own."""

    def words() -> Iterator[str]:
        yield "a"
        raise kind

    def work(talk: BlockingService) -> None:
        stream, found = talk.stream("chat", requests=words()), list[str]()
        with pytest.raises(kind if alone or issubclass(kind, Exception) else sdk.CallError) as failed:
            if alone:
                stream.answer()
            found.extend(stream)
        assert isinstance(failed.value, kind) or kind.__name__ in str(failed.value)

    threaded(work)


def test_requests_are_made_with_the_labels_of_their_caller() -> None:
    seen: list[Any] = []

    def words() -> Iterator[str]:
        seen.append((outgoing(None, None) or {}).get("env"))
        yield "a"

    def work(talk: BlockingService) -> None:
        with sdk.labelled(env="dev1"):
            assert list(talk.stream("chat", requests=words())) == ["A"]
            assert talk.stream("chat", requests=words()).answer() == "A"

    threaded(work)
    assert seen == ["dev1", "dev1"]


def test_a_step_as_the_loop_ends_hears_of_it(caplog: pytest.LogCaptureFixture) -> None:
    """It was let in before, and comes when there is no loop any more."""

    def work(world: World) -> None:
        mesh = made(world)
        mesh.__enter__()
        stream = mesh.service(TALK, protocol="tri").stream("endless", 10)
        assert len(next(stream)) == 10

        class Late(deque[Any]):
            def append(self, step: Any, /) -> None:
                mesh.__exit__(None, None, None)
                super().append(step)

        mesh._carrier._work = Late()
        with pytest.raises(StateError, match="closed meanwhile"):
            next(stream)

    async def story(world: World, mesh: sdk.Mesh) -> None:
        await asyncio.to_thread(work, world)
        await until(lambda: world.gone == 1)

    play(story)
    assert "defect" not in caplog.text


def test_a_step_that_is_cancelled_before_it_began_is_settled() -> None:
    """As the last ones of a loop that ends."""

    def work(talk: BlockingService) -> None:
        begun: list[Callable[[], None]] = []
        steps = _Steps(talk.client, begun.append, _Slot)
        slot = steps.begin(talk.client.loop.shutdown_asyncgens)  # anything

        def ends() -> None:
            begun[0]()
            for task in steps._tasks:
                task.cancel()

        talk.carrier.put(ends)
        with pytest.raises(StateError, match="closed meanwhile"):
            slot.wait()

    threaded(work)
