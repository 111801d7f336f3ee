"""Processes that the tests start, and how to tell that one is ready: it accepts a connection."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
BUILD = PROJECT / "build" / "e2e"
#: Of a run that has another beside it: its files and ports are its own.
PART = os.environ.get("MESHFAST_PART", "")
LOGS = BUILD / "logs" / PART
RUN = BUILD / "run" / PART
HOST = "127.0.0.1"
# The Dubbo SDK replaces a loopback address by the machine's own, so what it is to reach must listen on all of them.
ANY = "0.0.0.0"


class PeerMissing(Exception):
    """A peer that this machine lacks; the message says which and how to get it."""


def need(found: bool, what: str) -> None:
    """Raise ``PeerMissing`` unless ``found``."""
    if not found:
        raise PeerMissing(f"{what} is not there; `make interop` fetches and builds the peers")


def need_tool(name: str) -> str:
    """The path of a program of this machine, or ``PeerMissing``."""
    path = shutil.which(name)
    need(path is not None, name)
    assert path is not None
    return path


#: Below those that the kernel gives to callers, and each part's own.
PORTS = {"": (10_000, 32_000), "streams": (10_000, 18_000), "dubbo": (18_000, 26_000), "registries": (26_000, 32_000)}
if PART not in PORTS:  # a part of somebody's own
    PORTS[PART] = PORTS[""]
_given: set[int] = set()
_ports = iter(random.sample(range(*PORTS[PART]), PORTS[PART][1] - PORTS[PART][0]))


def free_port() -> int:
    """A TCP port that nobody listens on, never the same twice: for peers that cannot be given port 0 and asked
    afterwards."""
    for port in _ports:
        if _take(port):
            return port
    raise RuntimeError("no port is left")


def free_pair(apart: int) -> int:
    """As ``free_port``, and the port so many on is free as well, and given to nobody."""
    while True:
        port = free_port()
        if port + apart < PORTS[PART][1] and _take(port + apart):
            return port


def _take(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        if port not in _given:
            probe.bind((ANY, port))
            _given.add(port)
            return True
    return False


def until(what: str, check: Callable[[], object], seconds: float = 30.0) -> None:
    """Ask ``check`` until it is true; ``TimeoutError`` naming ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.02)


def accepts(address: int | str) -> bool:
    """Whether a connection to a port of 127.0.0.1, or to a UNIX socket's path, can be made."""
    family = socket.AF_INET if isinstance(address, int) else socket.AF_UNIX
    with socket.socket(family) as probe:
        try:
            probe.connect((HOST, address) if isinstance(address, int) else address)
        except OSError:
            return False
        # To a port that nobody listens on yet, the kernel may connect the socket with itself.
        return family == socket.AF_UNIX or bool(probe.getsockname() != probe.getpeername())


class Process:
    """A child with its output in a log file under ``build/e2e/logs``."""

    def __init__(
        self, name: str, command: Sequence[object], *, pipes: bool = False, env: dict[str, str] | None = None
    ) -> None:
        LOGS.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.log = LOGS / f"{name}.log"
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipes else log,
                stderr=log,
                cwd=PROJECT,
                env={**os.environ, **(env or {})},
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )

    def ready(self, what: str, check: Callable[[], object], seconds: float = 60.0) -> None:
        """Wait for ``check``; an error with the end of the log if the child ends first or time runs out."""

        def alive_and_checked() -> object:
            if self.child.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.child.returncode}:\n{self.tail()}")
            return check()

        try:
            until(what, alive_and_checked, seconds)
        except TimeoutError as error:
            raise TimeoutError(f"{error}\n{self.tail()}") from None

    def tail(self, lines: int = 40) -> str:
        """The end of the log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def terminate(self) -> None:
        """Ask the child to end; does not wait."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the child as a crash would, and reap it."""
        if self.child.poll() is None:
            self.child.kill()
        self.wait(10)

    def wait(self, seconds: float) -> int:
        """The exit status, within ``seconds``."""
        return self.child.wait(seconds)

    def close(self) -> None:
        """End the child, gently and then not."""
        try:
            if self.child.stdin:
                self.child.stdin.close()
            self.terminate()
            try:
                self.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
        finally:
            if self.child.stdout:
                self.child.stdout.close()
