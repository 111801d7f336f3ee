"""Starting the programs of a run: pinned to one core, their log kept, ready when they say so or accept."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

READY_S = 20.0
STOP_S = 5.0
SLOW = 12  # how much longer a program under an emulator may take to start and to end


class BenchError(Exception):
    """Something that makes the run worthless: a program missing, dead or not where it was pinned."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody had a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """Keeps this thread, and the programs that it starts meanwhile, on one core."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError as error:
        raise BenchError(f"core {cpu} cannot be used: {error.strerror}") from None
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class Program:
    """One process on one core, from start to end; a context manager.

    ``log`` gets its stderr (and stdout unless ``announces``). With ``announces`` the program must print
    ``listening host:port`` first, which sets ``address``; else it is ready once ``address`` accepts a connection.
    ``slow``: it runs under an emulator.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cpu: int,
        log: Path,
        address: str = "",
        announces: bool = False,
        env: Mapping[str, str] | None = None,
        slow: bool = False,
    ) -> None:
        self.name = name
        self.argv = list(argv)
        self.cpu = cpu
        self.log = log
        self.address = address
        self.announces = announces
        self.env = {**os.environ, **(env or {})}
        self.patience = SLOW if slow else 1
        self._process: subprocess.Popen[str] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Program:
        with self.log.open("w") as log, pinned(self.cpu):
            self._process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if self.announces else log,
                stderr=log,
                env=self.env,
                text=True,
            )
        try:
            if self.announces:
                self._read_address(self._process)
            else:
                self._wait_for_accept(self._process)
            self._check_pinned()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _read_address(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            line = process.stdout.readline() if selector.select(READY_S * self.patience) else ""
        if not line.startswith("listening "):
            raise BenchError(f"{self.name} did not start: {self.tail()}")
        self.address = line.split()[1]

    def _wait_for_accept(self, process: subprocess.Popen[str]) -> None:
        host, _, port = self.address.rpartition(":")
        deadline = time.monotonic() + READY_S * self.patience
        while True:
            if process.poll() is not None:
                raise BenchError(f"{self.name} ended with code {process.returncode}: {self.tail()}")
            try:
                socket.create_connection((host, int(port)), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise BenchError(f"{self.name} accepts nothing on {self.address}: {self.tail()}") from None
                time.sleep(0.05)

    def _check_pinned(self) -> None:
        """A program that moved its threads to other cores would be measured by another yardstick."""
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            if os.sched_getaffinity(int(task.name)) != {self.cpu}:
                raise BenchError(f"{self.name} left core {self.cpu}: {sorted(os.sched_getaffinity(int(task.name)))}")

    def tail(self) -> str:
        """The last lines of the log, for an error."""
        lines = self.log.read_text(errors="replace").splitlines()
        return " | ".join(lines[-5:]) or "(nothing in its log)"

    def _stop(self) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_S * self.patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process.stdout is not None:
            process.stdout.close()
