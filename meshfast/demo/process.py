"""The demonstration's child processes: one group, a log each, none left behind."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from meshfast.demo.topology import HOST

READY_TIMEOUT = 30.0  # seconds; a loaded machine starts fifteen interpreters slowly
STOP_TIMEOUT = 15.0  # seconds
PR_SET_PDEATHSIG = 1  # prctl(2)


class DemoError(Exception):
    """The demonstration cannot go on; the text says what failed and where to look."""


@dataclass(slots=True)
class Child:
    """One running program. ``stopping``: its end is wanted."""

    name: str
    process: asyncio.subprocess.Process
    log: Path
    stopping: bool = False

    @property
    def lost(self) -> bool:
        """It ended without being told to."""
        return not self.stopping and self.process.returncode is not None

    def tail(self, lines: int = 15) -> str:
        """The end of what it wrote."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""


class Children:
    """Starts and ends the programs. One process group, so that a shell can end them too; and the kernel ends them
    should this process be killed."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self.all: list[Child] = []
        self._group = 0
        self._libc = ctypes.CDLL(None)

    def _in_child(self) -> None:
        self._libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    async def start(self, name: str, *module: str) -> Child:
        """Runs ``python -m module...``; its output goes to ``<logs>/<name>.log``."""
        log = self.logs / f"{name}.log"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", *module,
                stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=asyncio.subprocess.STDOUT,
                process_group=self._group, preexec_fn=self._in_child,
            )  # fmt: skip
        self._group = self._group or process.pid
        child = Child(name, process, log)
        self.all.append(child)
        return child

    def check(self) -> None:
        """DemoError when a program has ended that should run."""
        for child in self.all:
            if child.lost:
                code = child.process.returncode
                raise DemoError(f"{child.name} ended by itself with {code}; the end of {child.log}:\n{child.tail()}")

    async def ready(self, child: Child, *ports: int) -> None:
        """Returns once all ports take connections. DemoError when that takes too long or the program ends."""
        try:
            async with asyncio.timeout(READY_TIMEOUT):
                for port in ports:
                    while not await _takes(port):
                        self.check()
                        await asyncio.sleep(0.02)
        except TimeoutError:
            raise DemoError(
                f"{child.name} does not listen after {READY_TIMEOUT:.0f} s; the end of {child.log}:\n{child.tail()}"
            ) from None

    async def stop(self, child: Child) -> int:
        """Asks it to end (SIGTERM) and returns its exit code; kills it after STOP_TIMEOUT."""
        child.stopping = True
        if child.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT):
                return await child.process.wait()
        except TimeoutError:
            child.process.kill()
            return await child.process.wait()

    async def kill(self, *children: Child) -> None:
        """Ends them without a word (SIGKILL), all at once."""
        for child in children:
            child.stopping = True
            child.process.kill()
        await asyncio.gather(*(child.process.wait() for child in children))

    async def stop_these(self, children: Iterable[Child]) -> dict[str, int]:
        """Ends them at the same time. Returns the exit code of each that was still running."""
        running = [child for child in children if child.process.returncode is None]
        codes = await asyncio.gather(*map(self.stop, running))
        return {child.name: code for child, code in zip(running, codes, strict=True)}


async def _takes(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except OSError:
        return False
    writer.close()
    return True
