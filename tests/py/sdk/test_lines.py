"""Threads that send and read by themselves: each call gets its own answer or hears why not, whatever the line does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from peers import Frame, Provider, argument
from sdk_world import CART, PATIENCE, PATIENT, Elsewhere, FakeFat, no_engine, until_now

from meshfast import dubbo, sdk
from meshfast.errors import LimitError
from meshfast.sdk.link import Event, State


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    one = Elsewhere()
    yield one
    one.close()


@contextmanager
def blocking(
    path: Path, fat: Callable[[], Any] = no_engine, timing: sdk.Timing = PATIENT, **limits: int
) -> Iterator[sdk.Blocking]:
    with sdk.Blocking(
        "tests", address=f"unix://{path}", fat=fat, timing=timing, timeout=PATIENCE, limits=sdk.Limits(**limits)
    ) as mesh:
        until_now(lambda: mesh.mode == "thin")
        yield mesh


async def nothing(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
    """Never answers."""


def written(elsewhere: Elsewhere, writer: asyncio.StreamWriter, data: bytes) -> None:
    async def write() -> None:
        writer.write(data)
        await writer.drain()

    elsewhere.run(write())


def test_one_thread_has_one_line(elsewhere: Elsewhere, tmp_path: Path) -> None:
    provider = elsewhere.provider(tmp_path / "a.sock")
    with blocking(tmp_path / "a.sock") as mesh:
        cart = mesh.service(CART)
        for number in range(100):
            assert cart.call("hi", f"{number}") == f"provider:{number}"
        assert len(provider.writers) == 2 and mesh.counters["calls"] == 100 and mesh.client.counters["calls"] == 0


def test_a_line_that_nobody_used_for_long_is_made_anew(
    elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other end may be about to close it."""
    provider = elsewhere.provider(tmp_path / "a.sock")
    with blocking(tmp_path / "a.sock") as mesh:
        cart = mesh.service(CART)
        cart.call("hi", "1")
        line = mesh.client.lines._idle[0]  # type: ignore[union-attr]
        cart.call("hi", "2")
        assert mesh.client.lines._idle == [line]  # type: ignore[union-attr]
        monkeypatch.setattr("meshfast.sdk.lines.IDLE", 0.0)
        cart.call("hi", "3")
        assert mesh.client.lines._idle != [line] and line._sock is None  # type: ignore[union-attr]
        assert mesh.counters["calls"] == 3 and set(provider.executed.values()) == {1}


def test_more_threads_than_lines(elsewhere: Elsewhere, tmp_path: Path) -> None:
    provider = elsewhere.provider(tmp_path / "a.sock")
    with blocking(tmp_path / "a.sock", max_lines=2) as mesh, ThreadPoolExecutor(8) as threads:
        texts = [f"{number}" for number in range(1000)]
        cart = mesh.service(CART)
        assert list(threads.map(lambda text: cart.call("hi", text), texts)) == [f"provider:{text}" for text in texts]
        assert len(provider.writers) <= 3 and mesh.counters["calls"] == 1000
        assert set(provider.executed.values()) == {1}


def test_calls_on_lines_count_as_calls_that_wait(elsewhere: Elsewhere, tmp_path: Path) -> None:
    provider = elsewhere.provider(tmp_path / "a.sock", handler=nothing)
    with ThreadPoolExecutor(2) as threads, blocking(tmp_path / "a.sock", max_calls=2) as mesh:
        waiting = [threads.submit(mesh.service(CART).call, "hi", f"{number}") for number in range(2)]
        until_now(lambda: len(provider.requests) == 2)
        with pytest.raises(LimitError, match="max_calls"):
            mesh.service(CART).call("hi", "third")
        elsewhere.run(provider.stop())
        assert all(isinstance(one.exception(PATIENCE), sdk.ConnectionLost) for one in waiting)


def test_an_answer_that_comes_late_is_nobodys(elsewhere: Elsewhere, tmp_path: Path) -> None:
    first: list[tuple[asyncio.StreamWriter, Frame]] = []

    async def late(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        if not first:
            first.append((writer, frame))
            return
        first[0][0].write(provider.answer(first[0][1]))
        writer.write(provider.answer(frame))

    elsewhere.provider(tmp_path / "a.sock", handler=late)
    with blocking(tmp_path / "a.sock") as mesh:
        cart = mesh.service(CART)
        with pytest.raises(sdk.CallTimeout):
            cart.call("hi", "first", timeout=0.05)
        assert cart.call("hi", "second") == "provider:second"
        assert mesh.counters["timeouts"] == 1


def test_a_line_that_rested_and_ended_costs_no_call(elsewhere: Elsewhere, tmp_path: Path) -> None:
    provider = elsewhere.provider(tmp_path / "a.sock")
    with blocking(tmp_path / "a.sock") as mesh:
        cart = mesh.service(CART)
        for number in range(20):
            assert cart.call("hi", f"{number}") == f"provider:{number}"
            if number % 2 == 0:
                writer = provider.writers[-1]
                elsewhere.loop.call_soon_threadsafe(writer.transport.abort)
                elsewhere.run(closed(writer))
        assert mesh.mode == "thin" and set(provider.executed.values()) == {1} and mesh.counters["lost"] == 0


async def closed(writer: asyncio.StreamWriter) -> None:
    try:
        await writer.wait_closed()
    except OSError:
        return


def test_heartbeats_are_answered_and_readonly_is_heeded(elsewhere: Elsewhere, tmp_path: Path) -> None:
    provider = elsewhere.provider(tmp_path / "a.sock")
    with blocking(tmp_path / "a.sock") as mesh:
        cart = mesh.service(CART)
        cart.call("hi", "x")
        line = provider.writers[1]
        before = len(provider.events)
        written(elsewhere, line, dubbo.heartbeat(7))
        assert cart.call("hi", "y") == "provider:y" and len(provider.writers) == 2
        assert any(frame.id == 7 and not frame.head.is_request for frame in provider.events[before:])
        written(elsewhere, line, dubbo.readonly())
        assert cart.call("hi", "z") == "provider:z"
        until_now(line.is_closing)
        assert set(provider.executed.values()) == {1} and mesh.mode == "thin"


def test_a_call_under_way_is_lost_with_its_line_alone(elsewhere: Elsewhere, tmp_path: Path) -> None:
    provider = elsewhere.provider(tmp_path / "a.sock", handler=nothing)
    with ThreadPoolExecutor(2) as threads, blocking(tmp_path / "a.sock") as mesh:
        cart = mesh.service(CART)
        one, other = threads.submit(cart.call, "hi", "a"), threads.submit(cart.call, "hi", "b")
        until_now(lambda: len(provider.requests) == 2)
        provider.handler = None
        elsewhere.loop.call_soon_threadsafe(provider.writers[1].transport.abort)
        until_now(lambda: one.done() or other.done())
        lost, left = (one, other) if one.done() else (other, one)
        assert isinstance(lost.exception(), sdk.ConnectionLost) and mesh.counters["lost"] == 1
        assert mesh.mode == "thin" and cart.call("hi", "c") == "provider:c"
        (frame,) = (each for each in provider.requests if argument(each) == ("b" if lost is one else "a"))
        written(elsewhere, provider.writers[2], provider.answer(frame))
        assert left.result(PATIENCE) == f"provider:{argument(frame)}"


def test_idempotent_calls_go_on_by_the_engine(elsewhere: Elsewhere, tmp_path: Path) -> None:
    sidecar = elsewhere.provider(tmp_path / "a.sock", handler=nothing)
    engine = elsewhere.provider(tmp_path / "b.sock", name="engine")
    with ThreadPoolExecutor(8) as threads:
        with blocking(tmp_path / "a.sock", lambda: FakeFat(f"unix://{tmp_path / 'b.sock'}")) as mesh:
            cart = mesh.service(CART)
            calls = [threads.submit(cart.call, "hi", f"{n}", idempotent=True) for n in range(8)]
            until_now(lambda: len(sidecar.requests) == 8)
            elsewhere.run(sidecar.stop())
            assert [each.result(PATIENCE) for each in calls] == [f"engine:{n}" for n in range(8)]
            assert set(engine.executed.values()) == {1} and mesh.counters["resent"] == 8 and mesh.mode == "fat"


def test_who_says_nothing_is_asked_and_left(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """What the link does about it is its own affair; lines ask, and hear of the end."""
    sidecar = elsewhere.provider(tmp_path / "a.sock", handler=nothing)
    elsewhere.provider(tmp_path / "b.sock", name="engine")
    timing = sdk.Timing(silent=0.02, lost=PATIENCE, probe=PATIENCE)
    fat = FakeFat(f"unix://{tmp_path / 'b.sock'}")
    with ThreadPoolExecutor(1) as threads, blocking(tmp_path / "a.sock", lambda: fat, timing) as mesh:
        cart = mesh.service(CART)
        heard = len(sidecar.events)
        call = threads.submit(cart.call, "hi", "x")
        until_now(lambda: len(sidecar.requests) == 1)
        until_now(lambda: len(sidecar.events) > heard + 1)  # the line's own, and the link's
        assert not call.done()

        def left() -> None:
            for _ in range(2):  # as if no word answered the first
                mesh.client._on(Event.SILENT)

        mesh._carrier.put(left)
        assert isinstance(call.exception(PATIENCE), sdk.ConnectionLost) and "says nothing" in str(call.exception())
        assert cart.call("hi", "y") == "engine:y" and mesh.mode == "fat"


def test_many_that_hear_nothing_are_one_doubt(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """A slow provider is none of the sidecar's: it is asked, and that is all."""
    held: list[tuple[asyncio.StreamWriter, Frame]] = []

    async def hold(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        held.append((writer, frame))

    sidecar = elsewhere.provider(tmp_path / "a.sock", handler=hold)
    timing = sdk.Timing(silent=0.02, lost=PATIENCE)
    with ThreadPoolExecutor(8) as threads, blocking(tmp_path / "a.sock", timing=timing) as mesh:
        calls = [threads.submit(mesh.service(CART).call, "hi", f"{n}") for n in range(8)]
        until_now(lambda: len(held) == 8)
        heard = len(sidecar.events)
        until_now(lambda: len(sidecar.events) > heard + 20)
        for writer, frame in held:
            written(elsewhere, writer, sidecar.answer(frame))
        assert [one.result(PATIENCE) for one in calls] == [f"provider:{n}" for n in range(8)]
        until_now(lambda: mesh.client.link.state is State.THIN)
        assert mesh.counters["falls"] == 0


@pytest.mark.parametrize("size", [100, 70_000, 3_000_000])
def test_answers_of_any_length(elsewhere: Elsewhere, tmp_path: Path, size: int) -> None:
    async def long(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        writer.write(dubbo.encode_response(frame.id, "x" * size))

    elsewhere.provider(tmp_path / "a.sock", handler=long)
    with blocking(tmp_path / "a.sock", max_answer=5_000_000) as mesh:
        for _ in range(3):
            assert mesh.service(CART).call("hi", "y" * size) == "x" * size


def test_an_answer_that_is_too_long_costs_its_own_call(elsewhere: Elsewhere, tmp_path: Path) -> None:
    async def long(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        writer.write(dubbo.encode_response(frame.id, "x" * (2000 if argument(frame) == "long" else 10)))

    elsewhere.provider(tmp_path / "a.sock", handler=long)
    with blocking(tmp_path / "a.sock", max_answer=1000) as mesh:
        cart = mesh.service(CART)
        with pytest.raises(sdk.BadAnswer, match="maxAnswer is 1000"):
            cart.call("hi", "long")
        assert cart.call("hi", "short") == "x" * 10 and mesh.counters["max_answer"] == 1


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\xda\xbb\x02\x14" + bytes(8) + b"\xff" * 4])
def test_what_is_not_dubbo_ends_the_line(elsewhere: Elsewhere, tmp_path: Path, data: bytes) -> None:
    async def odd(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        writer.write(data)

    provider = elsewhere.provider(tmp_path / "a.sock", handler=odd)
    with blocking(tmp_path / "a.sock") as mesh:
        cart = mesh.service(CART)
        with pytest.raises(sdk.ConnectionLost, match="not Dubbo2"):
            cart.call("hi", "x")
        provider.handler = None
        assert cart.call("hi", "y") == "provider:y" and mesh.mode == "thin"


def test_whoever_takes_no_heartbeat_gets_no_call(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """A connection of a sidecar that is about to go: what was not sent goes the other way."""
    let_in: list[bool] = [True]

    async def admit(provider: Provider, writer: asyncio.StreamWriter) -> bool:
        return let_in[0]

    provider = elsewhere.provider(tmp_path / "a.sock", admit=admit)
    with blocking(tmp_path / "a.sock") as mesh:
        let_in[0] = False
        assert mesh.service(CART).call("hi", "x") == "provider:x"
        assert len(provider.writers) == 2 and mesh.counters["calls"] == 1


def test_kills_at_random(elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Lines are cut under eight threads: each call is answered rightly or said to be lost, and none runs twice."""
    provider = elsewhere.provider(tmp_path / "a.sock")
    stop, lost, right = threading.Event(), [], []

    def calls(cart: Any, number: int) -> None:
        turn = 0
        while not stop.is_set():
            text = f"{number}-{turn}"
            turn += 1
            try:
                answer = cart.call("hi", text)
            except sdk.ConnectionLost:
                lost.append(text)
            else:
                assert answer == f"provider:{text}"
                right.append(text)

    async def cut() -> None:
        for writer in provider.writers[1:]:
            writer.transport.abort()

    with blocking(tmp_path / "a.sock") as mesh, ThreadPoolExecutor(8) as threads:
        running = [threads.submit(calls, mesh.service(CART), number) for number in range(8)]
        for turn in range(30):
            until_now(lambda: len(right) > 20 * turn)  # noqa: B023
            elsewhere.run(cut())
        stop.set()
        for each in running:
            each.result(PATIENCE)
        assert set(provider.executed.values()) == {1} and mesh.mode == "thin"
        assert mesh.counters["lost"] == len(lost) and set(right) | set(lost) >= set(provider.executed)
