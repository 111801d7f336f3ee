"""What the tests of the SDK stand on: providers that count what they execute, and engines in place of the real one."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import peers
from peers import Frame, Provider, argument

from meshfast import sdk
from meshfast.sdk.mesh import Mesh

CART = "com.x.Cart"
PATIENCE = 60.0  # seconds; generous: what decides is whether it happens at all
until = partial(peers.until, seconds=PATIENCE)
until_now = partial(peers.until_now, seconds=PATIENCE)
#: No silence is found but what a test makes: a busy machine is silent now and then.
PATIENT = sdk.Timing(silent=PATIENCE, lost=PATIENCE, probe=0.02, hold=0.05, keep=PATIENCE)


class Counting(Provider):
    """An echo that knows how often it has executed each argument."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.executed: Counter[str] = Counter()

    def answer(self, frame: Frame) -> bytes:
        self.executed[argument(frame)] += 1
        return super().answer(frame)


class FakeFat:
    """An engine that is a provider of the test's."""

    def __init__(self, address: str, error: Exception | None = None) -> None:
        self.address, self.error = address, error
        self.started = self.closed = self.refreshed = 0

    def start(self) -> str:
        self.started += 1
        if self.error is not None:
            raise self.error
        return self.address

    def refresh(self) -> None:
        self.refreshed += 1

    def close(self) -> None:
        self.closed += 1


def url(provider: Provider) -> str:
    """As the SDK writes it."""
    return provider.address if "://" in provider.address else f"tcp://{provider.address}"


def no_engine() -> FakeFat:
    return FakeFat("", RuntimeError("none in this test"))


async def settled() -> None:
    """Who dialled and left is accepted in the next turn, and known to a provider some turns later: no sooner may its
    door be shut."""
    for _ in range(10):
        await asyncio.sleep(0)


@asynccontextmanager
async def meshed(
    address: str, fat: Callable[[], Any] = no_engine, timing: sdk.Timing = PATIENT, **more: Any
) -> AsyncIterator[Mesh]:
    more = {"api": "unix://@nobody-is-asked", "timeout": PATIENCE} | more
    async with sdk.connect("tests", address=address, fat=fat, timing=timing, **more) as mesh:
        yield mesh
    await settled()


def play(story: Callable[[], Any], seconds: float = 240.0) -> Any:
    return asyncio.run(asyncio.wait_for(story(), seconds))


class Elsewhere:
    """Providers in a loop of another thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.made: list[Provider] = []

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def provider(self, path: Path, **more: Any) -> Counting:
        self.made.append(one := Counting(**more))
        self.run(one.start(path=str(path)))
        return one

    async def _end(self) -> None:
        await settled()
        for one in self.made:
            await one.stop()
            for writer in one.writers:
                with suppress(OSError):
                    await writer.wait_closed()

    def close(self) -> None:
        self.run(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        gc.collect()  # what was not closed is told by the test that left it


async def thin(mesh: Any) -> None:
    await until(lambda: mesh.mode == "thin")


async def nothing(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
    """Never answers; heartbeats are answered."""


async def closes(provider: Provider, writer: asyncio.StreamWriter) -> bool:
    return False


async def hang(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
    """Reads no more, as one that was stopped, and lets nobody in."""
    provider.admit = closes
    await asyncio.Event().wait()
