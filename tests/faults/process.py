"""The programs of a row: started with a log each, told what to do by lines on stdin, none left behind."""

from __future__ import annotations

import contextlib
import ctypes
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / "build" / "faults"

PATIENCE = 30.0  # seconds until a program that says nothing is given up; a loaded machine is slow
PR_SET_PDEATHSIG = 1  # prctl(2)

_libc = ctypes.CDLL(None, use_errno=True)


class RowError(Exception):
    """A row cannot be run to its end: a program is missing, dead or silent."""


def wait_for(what: str, done: Callable[[], bool], seconds: float = PATIENCE, every: float = 0.02) -> float:
    """Returns after how many seconds `done` held. RowError when it does not in time."""
    began = time.monotonic()
    while not done():
        if time.monotonic() - began > seconds:
            raise RowError(f"{what}: not within {seconds:g} s")
        time.sleep(every)
    return time.monotonic() - began


class Program:
    """One process; a context manager. ``announces``: it prints `listening HOST:PORT` first, which sets ``address``."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        logs: Path,
        *,
        announces: bool = False,
        env: Mapping[str, str] | None = None,
        before: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        self.address = ""
        self._argv = [str(one) for one in argv]
        self._announces = announces
        self._env = env
        self._before = before
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Program:
        def in_child() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if self._before:
                self._before()

        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._env,
                preexec_fn=in_child,
            )
        if self._announces:
            word, _, self.address = self.line().partition(" ")
            if word != "listening":
                raise RowError(f"{self.name} did not start: {self.tail()}")
        return self

    def __exit__(self, *exception: object) -> None:
        self.end(signal.SIGKILL)

    def line(self, seconds: float = PATIENCE) -> str:
        """The next line that it prints."""
        assert self._process is not None and self._process.stdout is not None
        deadline = time.monotonic() + seconds
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._unread:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    raise RowError(f"{self.name} says nothing for {seconds:g} s: {self.tail()}")
                more = self._process.stdout.read1(65536)  # type: ignore[attr-defined]
                if not more:
                    raise RowError(f"{self.name} has ended: {self.tail()}")
                self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode()

    def tell(self, command: str) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(command.encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            raise RowError(f"{self.name} has ended: {self.tail()}") from None

    def ask(self, command: str) -> list[int]:
        """Tells it, and returns the numbers of its answer."""
        self.tell(command)
        words = self.line().split()
        if words[:1] != ["ok"]:
            raise RowError(f"{self.name} answers {command!r} with {' '.join(words)!r}")
        return [int(word) for word in words[1:]]

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def end(self, number: signal.Signals, seconds: float = PATIENCE) -> int:
        """Ends it by a signal; its exit code. Killed when it does not obey."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(number)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()
        return code

    def wait(self, seconds: float = PATIENCE) -> int:
        """Its exit code once it ends by itself."""
        assert self._process is not None
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise RowError(f"{self.name} does not end within {seconds:g} s: {self.tail()}") from None

    def tail(self) -> str:
        """The last lines of its log."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " | ".join(lines[-5:]) or "(nothing in its log)"
