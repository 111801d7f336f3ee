"""The programs of a run: providers, callers and the proxy between them, each a child with its own log."""

from __future__ import annotations

import json
import random
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import yaml
from rich.console import Console

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
HOST = "127.0.0.1"
SERVICE = "org.meshfast.calls.Echo"
READY_S = 60.0

Document = dict[str, Any]
_given: set[int] = set()
SAMPLE = re.compile(r"^meshfast_(?P<name>[a-z_]+?)(?:_total)?(?:\{[^}]*\})? (?P<value>[0-9.e+]+)$", re.MULTILINE)


class RunError(Exception):
    """A program that did not start, or ended by itself."""


def run_main(main: Callable[[], object], console: Console) -> None:
    """Runs a command. SIGTERM ends it as an exception does, so that what was started is ended."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        main()
    except RunError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on and that the kernel gives to no caller.

    One of the kernel's own could be taken by an outgoing connection while its program is not there, and whoever asks
    it whether it is ready yet may reach itself.
    """
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [*range(10000, low), *range(high + 1, 65536)] or range(10000, 65536)
    for _ in range(1000):
        port: int = random.choice(ports)
        if port in _given:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        _given.add(port)
        return port
    raise RunError("no free port was found")


class Child:
    """One process; a context manager. ``pipe``: its stdout is read by us, else it goes into the log."""

    def __init__(self, name: str, argv: Sequence[object], log: Path, *, pipe: bool = False) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as to:
            self.process = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else to,
                stderr=to,
                cwd=ROOT,
                text=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def tail(self) -> str:
        """The end of the log, for an error."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-5:]) or "(nothing in its log)"

    def check(self) -> None:
        """:raises RunError: it has ended"""
        code = self.process.poll()
        if code is not None:
            raise RunError(f"{self.name} ended with {code}: {self.tail()}")

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def close(self, seconds: float = 60.0) -> int:
        """End it gently, and then not; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.process.stdout:
            self.process.stdout.close()
        return int(self.process.returncode)


class Answerer(Child):
    """A provider; ``port`` 0: any that is free."""

    def __init__(self, name: str, folder: Path, *, port: int = 0, delay: int = 4, wrong: int = 0) -> None:
        argv = [BUILD / "calls" / "answer", "--listen", f"{HOST}:{port or free_port()}", "--delay", delay]
        super().__init__(name, [*argv, *(["--wrong", wrong] if wrong else [])], folder / f"{name}.log", pipe=True)
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(READY_S) else ""
        if not line.startswith("listening "):
            self.close()
            raise RunError(f"{name} did not start: {self.tail()}")
        self.port = int(line.rpartition(":")[2])

    def finish(self) -> dict[str, int]:
        """Ends it; what it counted."""
        assert self.process.stdout is not None
        self.process.send_signal(signal.SIGTERM)
        counts: dict[str, int] = json.loads(self.process.stdout.readline())
        self.process.wait(READY_S)
        return counts


class Asker(Child):
    """Callers; ``options`` are those of ``ask``."""

    def __init__(self, name: str, folder: Path, port: int, **options: object) -> None:
        argv: list[object] = [BUILD / "calls" / "ask", "--connect", f"{HOST}:{port}"]
        for key, value in options.items():
            argv += [f"--{key.replace('_', '-')}"] + ([] if value is True else [value])
        super().__init__(name, argv, folder / f"{name}.log", pipe=True)

    def result(self, seconds: float) -> dict[str, Any]:
        """What it counted, once it is through."""
        out, _ = self.process.communicate(timeout=seconds)
        if not out.strip():
            raise RunError(f"{self.name} ended with {self.process.returncode}: {self.tail()}")
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found


def endpoint(port: int, **labels: str) -> Document:
    """An instance at a port of 127.0.0.1."""
    return {"address": HOST, "ports": {"dubbo": port}, "labels": labels}


def entry(endpoints: Iterable[Document], app: str = "answer", host: str = SERVICE) -> Document:
    """The application that offers ``host``."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "ServiceEntry",
        "metadata": {"name": app},
        "spec": {
            "hosts": [host],
            "ports": [{"name": "dubbo", "number": 20880, "protocol": "DUBBO"}],
            "endpoints": list(endpoints),
        },
    }


class Proxy(Child):
    """``meshfast proxy`` with one outbound listener on ``port``. ``module``: what runs it, and its own arguments."""

    def __init__(
        self,
        name: str,
        folder: Path,
        *,
        loop: str,
        workers: int,
        mesh: Iterable[Document],
        limits: Mapping[str, Any] | None = None,
        module: Sequence[object] = ("meshfast",),
        protocol: str = "dubbo",
    ) -> None:
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.port, self.admin = free_port(), free_port()
        sidecar = {
            "apiVersion": "meshfast.io/v1",
            "kind": "Sidecar",
            "metadata": {"name": "calls"},
            "spec": {
                "workload": {"app": "calls"},
                "workers": workers,
                "loop": loop,
                "listeners": [{"name": "out", "bind": f"tcp://{HOST}:{self.port}", "protocol": protocol}],
                "admin": f"tcp://{HOST}:{self.admin}",
                "limits": dict(limits or {}),
            },
        }
        self.write("sidecar", [sidecar])
        self.write("mesh", mesh)
        argv = [sys.executable, "-m", *module, "proxy", self.folder, "--log-level", "warning"]
        super().__init__(name, argv, folder / f"{name}.log")
        try:
            self._wait(time.monotonic() + READY_S)
        except BaseException:
            self.close()
            raise

    def write(self, name: str, documents: Iterable[Document]) -> None:
        """Replaces one file of the configuration as a whole."""
        target = self.folder / f"{name}.yaml"
        draft = target.with_suffix(".draft")
        draft.write_text(yaml.dump_all(list(documents), Dumper=yaml.CSafeDumper, sort_keys=False))
        draft.rename(target)

    def _wait(self, deadline: float) -> None:
        while not self._is_ready():
            self.check()
            if time.monotonic() > deadline:
                raise RunError(f"{self.name} is not ready after {READY_S:g} s: {self.tail()}")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            self.page("/ready")
        except OSError:
            return False
        return True

    def page(self, path: str) -> str:
        """A page of the admin address."""
        with urllib.request.urlopen(f"http://{HOST}:{self.admin}{path}", timeout=30) as page:
            text: bytes = page.read()
        return text.decode()

    def counters(self) -> dict[str, float]:
        """Every metric by its name without prefix and suffix, summed over its labels."""
        found: dict[str, float] = {}
        for sample in SAMPLE.finditer(self.page("/stats/prometheus")):
            found[sample["name"]] = found.get(sample["name"], 0.0) + float(sample["value"])
        return found
