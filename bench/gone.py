"""How soon calls of the SDK for Python succeed again after their sidecar was killed or stopped, and go back to it.

    python -m bench.gone [--kills 100] [--stops 20] [--returns 5] [--rate 1000]

Calls begin at a fixed rate. ``killed``: from SIGKILL to the answer of the first call that was begun after it;
``stopped``: the same of SIGSTOP; ``returned``: from the moment that a sidecar which was started again is ready until
calls go through it, with the SDK's own times (the other rows wait less for that, which is not what they measure). Calls
that failed are counted, and how many of them began before the signal: one that is killed takes calls until its end is
known. A real ``meshfast proxy`` with a state directory is killed; its snapshot feeds the engine in the application.
Nothing is decided by it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.sdk import TEXT, server
from meshfast import sdk, snapshot
from meshfast.errors import MeshfastError

E2E = Path(__file__).parents[1] / "tests" / "e2e"
METHOD = "echo"
#: Back soon: falls are measured, not returns.
SOON = sdk.Timing(probe=0.1, probes=2, hold=0.1, hold_max=0.1)
#: Asked: ms for the 99th percentile after SIGKILL, at most, after SIGSTOP at most; s for the return.
KILLED, MOST, STOPPED, RETURNED = 50.0, 200.0, 1000.0, 5.0


class World:
    """A provider's sidecar with a door for the SDK; it leaves a snapshot of what is called."""

    def __init__(self, port: int) -> None:
        from harness import mesh
        from harness.java import SERVICE
        from harness.process import RUN
        from harness.sidecar import Sidecar

        RUN.mkdir(parents=True, exist_ok=True)
        self.service, self.state = SERVICE, RUN / "gone-state"
        shutil.rmtree(self.state, ignore_errors=True)
        self.where = {
            "address": f"unix://{RUN}/gone.sock", "api": f"unix://{RUN}/gone.api", "state": str(self.state),
        }  # fmt: skip
        more = {"endpoint": {"http": self.where["api"]}, "state": self.where["state"]}
        documents = [mesh.entry([mesh.endpoint(port)])]
        self.sidecar = Sidecar("auto", documents, [mesh.outbound(self.where["address"])], more=more)

    def left(self) -> bool:
        """Whether what is called is in the snapshot."""
        try:
            return any(self.service in one.name for one in snapshot.read(self.state, "tests").mesh.services)
        except (MeshfastError, OSError):
            return False


class Load:
    """Calls at a rate: ``good`` when they began and were answered, ``failed`` when they began."""

    def __init__(self, mesh: Any, service: str, rate: float) -> None:
        self.good: list[tuple[float, float]] = []
        self.failed: list[float] = []
        self._service, self._rate = mesh.service(service), rate
        self._tasks: set[asyncio.Task[None]] = set()
        self._pacing = asyncio.create_task(self._pace())

    async def _one(self) -> None:
        began = time.perf_counter()
        try:
            assert await self._service.call(METHOD, TEXT) == TEXT
        except sdk.CallError:
            self.failed.append(began)
        else:
            self.good.append((began, time.perf_counter()))

    async def _pace(self) -> None:
        due = time.perf_counter()
        while True:
            while due <= time.perf_counter():
                due += 1 / self._rate
                task = asyncio.create_task(self._one())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    async def first(self, after: float) -> float:
        """Seconds from that moment to the first answer of a call that was begun after it."""
        while True:
            found = [answered for began, answered in self.good if began > after]
            if found:
                return min(found) - after
            await asyncio.sleep(0.001)

    async def stop(self) -> None:
        self._pacing.cancel()
        await asyncio.gather(self._pacing, *self._tasks, return_exceptions=True)


@asynccontextmanager
async def calling(world: World, timing: sdk.Timing, rate: float) -> AsyncIterator[tuple[Any, Load]]:
    async with sdk.connect("tests", timeout=10, timing=timing, **world.where) as mesh:
        load = Load(mesh, world.service, rate)
        try:
            yield mesh, load
        finally:
            await load.stop()


async def thin(mesh: Any, world: World) -> None:
    """The sidecar has the calls, and what the next engine goes by is on disk."""
    while mesh.mode != "thin" or not world.left():
        await asyncio.sleep(0.001)


async def falls(world: World, how: signal.Signals, rounds: int, rate: float) -> tuple[list[float], int, int]:
    """ms to the first success; calls that failed, and those of them that were under way at the signal."""
    took, failed, before = [], 0, 0
    async with calling(world, SOON, rate) as (mesh, load):
        for turn in range(rounds):
            await thin(mesh, world)
            load.good.clear()
            while len(load.good) < 100 + turn % 7:  # somewhere in the midst of calls
                await asyncio.sleep(0)
            load.failed.clear()
            moment = time.perf_counter()
            os.kill(world.sidecar.child.pid, how)
            took.append(1000 * await load.first(moment))
            while mesh.mode != "fat":
                await asyncio.sleep(0.001)
            if how is signal.SIGSTOP:
                world.sidecar.child.send_signal(signal.SIGCONT)
            else:
                await asyncio.to_thread(world.sidecar.kill)
                await asyncio.to_thread(world.sidecar.again)
            failed, before = failed + len(load.failed), before + sum(began < moment for began in load.failed)
        await thin(mesh, world)
    return took, failed, before


async def returns(world: World, rounds: int, rate: float) -> list[float]:
    """Seconds; each is the first fall of a connection of its own, as the times of a return grow with falls."""
    took = []
    for _ in range(rounds):
        async with calling(world, sdk.Timing(), rate) as (mesh, _):
            await thin(mesh, world)
            await asyncio.to_thread(world.sidecar.kill)
            while mesh.mode != "fat":
                await asyncio.sleep(0.001)
            await asyncio.to_thread(world.sidecar.again)
            began = time.perf_counter()
            while mesh.mode != "thin":
                await asyncio.sleep(0.001)
            took.append(time.perf_counter() - began)
    return took


def show(name: str, took: list[float], unit: str, asked: list[tuple[str, float, float]], more: str = "") -> None:
    """``asked``: of what, what was reached, and at most what."""
    print(f"{name:10}{len(took):5} times: median {statistics.median(took):.1f} {unit}, at most {max(took):.1f}{more}")
    for what, reached, most in asked:
        missed = "" if reached <= most else ": not reached"
        print(f"{'':10}{what:8}{reached:10.1f} {unit}, asked at most {most:g}{missed}")


def p99(took: list[float]) -> float:
    return sorted(took)[max(0, -(-99 * len(took) // 100) - 1)]


async def run(port: int, kills: int, stops: int, again: int, rate: float) -> None:
    world = World(port)
    try:
        took, failed, before = await falls(world, signal.SIGKILL, kills, rate)
        more = f"; {failed} calls failed, {before} of them begun before it"
        show("killed", took, "ms", [("p99", p99(took), KILLED), ("most", max(took), MOST)], more)
        took, failed, before = await falls(world, signal.SIGSTOP, stops, rate)
        more = f"; {failed} calls failed, {before} of them begun before it"
        show("stopped", took, "ms", [("most", max(took), STOPPED)], more)
        took = await returns(world, again, rate)
        show("returned", took, "s", [("most", max(took), RETURNED)])
    finally:
        world.sidecar.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.gone", description="calls of the SDK without their sidecar")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument("--returns", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1000.0, help="calls a second")
    asked = parser.parse_args()
    sys.path.insert(0, str(E2E))
    with server([sys.executable, "-m", "bench.sdk", "--serve"]) as port:
        asyncio.run(run(port, asked.kills, asked.stops, asked.returns, asked.rate))


if __name__ == "__main__":
    main()
