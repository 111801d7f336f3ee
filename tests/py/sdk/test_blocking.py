"""The SDK for threads: the other thread carries the calls, and nobody gets another's answer."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from peers import Frame, Provider, argument
from sdk_world import CART, PATIENCE, PATIENT, Elsewhere, FakeFat, no_engine, until_now

from meshfast import dubbo, sdk
from meshfast.errors import LimitError, StateError


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    one = Elsewhere()
    yield one
    one.close()


#: Makes one, for ``with``.
Blockings = Callable[..., Any]


@pytest.fixture(params=[0, 16], ids=["shared", "lines"])
def lines(request: pytest.FixtureRequest) -> int:
    """How many threads have connections of their own."""
    return int(request.param)


@pytest.fixture
def blocking(lines: int) -> Blockings:
    @contextmanager
    def made(path: Path, fat: Callable[[], Any] = no_engine, **more: Any) -> Iterator[sdk.Blocking]:
        limits = sdk.Limits(max_lines=lines, **more)
        address = f"unix://{path}"
        with sdk.Blocking("tests", address=address, fat=fat, timing=PATIENT, timeout=PATIENCE, limits=limits) as mesh:
            until_now(lambda: mesh.mode == "thin")
            yield mesh

    return made


async def nothing(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
    """Never answers."""


def test_many_threads(elsewhere: Elsewhere, tmp_path: Path, blocking: Blockings, lines: int) -> None:
    provider = elsewhere.provider(tmp_path / "a.sock")
    with blocking(tmp_path / "a.sock") as mesh, ThreadPoolExecutor(16) as threads:
        cart = mesh.service(CART)
        texts = [f"{number}" for number in range(2000)]
        assert list(threads.map(lambda text: cart.call("hi", text), texts)) == [f"provider:{text}" for text in texts]
        assert mesh.mode == "thin" and set(provider.executed.values()) == {1}
        assert len(provider.writers) == 1 if not lines else 1 < len(provider.writers) <= 1 + lines
        assert cart.reply("hi", "x").attachments["dubbo"] == "2.0.2"
        cart.tell("hi", "one way")
        until_now(lambda: len(provider.requests) == 2002)


def test_errors_are_those_of_the_other_face(elsewhere: Elsewhere, tmp_path: Path, blocking: Blockings) -> None:
    provider = elsewhere.provider(tmp_path / "a.sock", handler=nothing)
    with blocking(tmp_path / "a.sock", max_answer=1000) as mesh:
        cart = mesh.service(CART)
        with pytest.raises(sdk.CallTimeout):
            cart.call("hi", "x", timeout=0.05)
        with pytest.raises(LimitError, match="max_answer"):
            cart.call("hi", "x" * 2000)
        with pytest.raises(TypeError):
            cart.call("hi", object())

        async def lost(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
            writer.write(dubbo.error_answer(frame.id, 35, "lost"))

        provider.handler, before = lost, len(provider.requests)
        with pytest.raises(sdk.ConnectionLost):
            cart.call("hi", "x", idempotent=True)
        assert len(provider.requests) == before + 2
        assert mesh.client.calls == {}
    with pytest.raises(StateError, match="not connected"):
        cart.call("hi", "x")
    with pytest.raises(StateError, match="inside"):
        sdk.Blocking("tests").service(CART)


def test_calls_that_wait_hear_of_the_end(elsewhere: Elsewhere, tmp_path: Path, blocking: Blockings) -> None:
    provider = elsewhere.provider(tmp_path / "a.sock", handler=nothing)
    with ThreadPoolExecutor(4) as threads:
        with blocking(tmp_path / "a.sock") as mesh:
            cart = mesh.service(CART)
            calls = [threads.submit(cart.call, "hi", f"{number}") for number in range(4)]
            until_now(lambda: len(provider.requests) == 4)
        assert all(isinstance(call.exception(), sdk.ConnectionLost) for call in calls)


def test_from_the_sidecar_to_the_engine(elsewhere: Elsewhere, tmp_path: Path, blocking: Blockings) -> None:
    sidecar = elsewhere.provider(tmp_path / "a.sock")
    elsewhere.provider(tmp_path / "b.sock", name="engine")
    fat = FakeFat(f"unix://{tmp_path / 'b.sock'}")
    with blocking(tmp_path / "a.sock", lambda: fat) as mesh:
        cart = mesh.service(CART)
        assert cart.call("hi", "x") == "provider:x"
        elsewhere.run(sidecar.stop())
        assert cart.call("hi", "x", idempotent=True) == "engine:x"
        assert mesh.mode == "fat"
    assert (fat.started, fat.closed) == (1, 1)


def test_each_thread_has_its_own_label(elsewhere: Elsewhere, tmp_path: Path, blocking: Blockings) -> None:
    provider = elsewhere.provider(tmp_path / "a.sock")
    with blocking(tmp_path / "a.sock") as mesh, ThreadPoolExecutor(8) as threads:
        cart = mesh.service(CART)

        def one(number: int) -> None:
            with sdk.labelled(env=f"dev{number}"):
                cart.call("hi", f"{number}")

        list(threads.map(one, range(200)))
        cart.call("hi", "bare")
    seen = {argument(frame): dubbo.parse_request(frame.raw).attachments.get("env") for frame in provider.requests}
    assert seen == {f"{number}": f"dev{number}" for number in range(200)} | {"bare": None}


def test_after_a_fork_it_is_refused(elsewhere: Elsewhere, tmp_path: Path, blocking: Blockings) -> None:
    elsewhere.provider(tmp_path / "a.sock")
    with blocking(tmp_path / "a.sock") as mesh:
        mesh._carrier._pid = os.getpid() + 1  # as in a child
        with pytest.raises(StateError, match="forked"):
            mesh.service(CART).call("hi", "x")
        mesh._carrier._pid = os.getpid()


def test_an_interrupted_call_is_forgotten(
    elsewhere: Elsewhere, tmp_path: Path, blocking: Blockings, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = elsewhere.provider(tmp_path / "a.sock", handler=nothing)
    with blocking(tmp_path / "a.sock") as mesh:

        def interrupted(*waits: Any) -> Any:
            if lines:
                os.write(*waits[:2])
            until_now(lambda: len(provider.requests) == 1)
            raise KeyboardInterrupt

        waits = "meshfast.sdk.lines.exchange" if lines else "meshfast.sdk.blocking._Slot.wait"
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(waits, interrupted)
            mesh.service(CART).call("hi", "x", timeout=2 * PATIENCE)
        until_now(lambda: mesh.client.calls == {})
        provider.handler = None
        assert mesh.service(CART).call("hi", "y") == "provider:y"


def test_no_thread_is_left(elsewhere: Elsewhere, tmp_path: Path, blocking: Blockings) -> None:
    elsewhere.provider(tmp_path / "a.sock")
    before, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with blocking(tmp_path / "a.sock") as mesh:
            mesh.service(CART).call("hi", "x")
    assert threading.active_count() == before
    until_now(lambda: len(os.listdir("/proc/self/fd")) == files)


def test_the_end_in_the_midst_of_calls(
    elsewhere: Elsewhere, tmp_path: Path, blocking: Blockings, caplog: pytest.LogCaptureFixture
) -> None:
    """Threads that go on calling while it is closed all come back: with an answer, or hearing why there is none."""
    elsewhere.provider(tmp_path / "a.sock")

    def calls(cart: Any, done: list[str], number: int) -> Exception | None:
        try:
            for turn in itertools.count():
                done.append(cart.call("hi", f"{number}-{turn}"))
        except (sdk.CallError, StateError) as error:
            return error
        return None

    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            done: list[str] = []
            with blocking(tmp_path / "a.sock") as mesh:
                running = [threads.submit(calls, mesh.service(CART), done, number) for number in range(8)]
                until_now(lambda: len(done) > 100)  # noqa: B023
            assert all(isinstance(one.result(PATIENCE), sdk.CallError | StateError) for one in running)
    assert "defect" not in caplog.text


def test_without_a_loop_it_says_why(
    blocking: Blockings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def none() -> Any:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("asyncio.events.new_event_loop", none)
    before = threading.active_count()
    with pytest.raises(StateError, match="cannot begin: Too many open files"), blocking(tmp_path / "a.sock"):
        pass
    assert threading.active_count() == before


def test_a_client_that_cannot_be_made_is_told(
    blocking: Blockings, elsewhere: Elsewhere, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(clients: Any, protocol: str) -> Any:
        raise MemoryError("none")

    elsewhere.provider(tmp_path / "a.sock")
    with blocking(tmp_path / "a.sock") as mesh:
        with monkeypatch.context() as patch:
            patch.setattr("meshfast.sdk.clients.Clients.of", none)
            with pytest.raises(MemoryError, match="none"):
                mesh.service(CART, protocol="tri")
        assert mesh.service(CART).call("hi", "x") == "provider:x"


def test_who_comes_as_the_loop_ends_hears_of_it(blocking: Blockings, elsewhere: Elsewhere, tmp_path: Path) -> None:
    """Calls that were let in before its end, and are put into the loop when there is none any more."""
    elsewhere.provider(tmp_path / "a.sock")
    with blocking(tmp_path / "a.sock") as mesh:
        assert mesh.service(CART).call("hi", "x") == "provider:x"
        carrier, client = mesh._carrier, mesh.client
    client.closed = False  # as those saw it
    heard: list[int] = []
    for turn in range(2):
        carrier.put(partial(heard.append, turn))
    assert heard == [0, 1]
