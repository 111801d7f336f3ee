"""From exec to ready: until a heartbeat through the listener is answered. And what a large configuration costs."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bench.harness.idle import Measure, answered, measure
from bench.harness.measure import Plan, start_backend
from bench.harness.process import READY_S, BenchError, free_port, pinned
from bench.harness.rival import ROOT, SERVICE, Place, Rival

STEP_S = 0.001  # between two tries to connect
TIMES, LEAST = 20, 3  # of the small configuration; of the large one
VIRTUAL_SERVICES, ENDPOINTS = 1000, 10  # of the large configuration; of each of its services


def large(directory: Path, services: int, listen: str, backend_port: int, service: str) -> Path:
    """A configuration with the service that is called and ``services`` more, each with a rule and 10 instances."""
    text = [
        "apiVersion: meshfast.io/v1\nkind: Sidecar\nmetadata: {name: bench}\nspec:\n  workload: {app: bench}\n"
        f'  workers: 1\n  loop: epoll\n  listeners:\n  - {{name: dubbo, bind: "tcp://{listen}", protocol: dubbo}}\n'
    ]
    entry = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: {}}}\nspec:\n  hosts: [{}]\n"
    entry += "  ports: [{{name: dubbo, number: {}, protocol: DUBBO}}]\n  endpoints:\n"
    text.append(entry.format("provider", service, backend_port) + "  - {address: 127.0.0.1}\n")
    for n in range(services):
        host = f"com.example.app{n}.Service"
        part = entry.format(f"app{n}", host, 20880)
        for i in range(ENDPOINTS):
            stage = "main" if i else "gray"
            part += f"  - {{address: 10.{i}.{n >> 8 & 255}.{n & 255}, labels: {{stage: {stage}}}}}\n"
        text.append(part)
        text.append(
            f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: app{n}}}\nspec:\n"
            f"  host: app{n}\n  subsets:\n  - {{name: gray, labels: {{stage: gray}}}}\n"
            "  - {name: main, labels: {stage: main}}\n"
        )
        text.append(
            f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: app{n}}}\nspec:\n"
            f"  hosts: [{host}]\n  http:\n  - match: [{{headers: {{x-stage: {{exact: gray}}}}}}]\n"
            "    route:\n    - {destination: {subset: gray}}\n  - route:\n    - {destination: {subset: main}}\n"
        )
    path = directory / "large.yaml"
    path.write_text("---\n".join(text))
    return path


def _until_answered(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    host, _, port = address.rpartition(":")
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"ended with code {process.returncode}: {log.read_text(errors='replace')[-300:]}")
        try:
            with socket.create_connection((host, int(port)), READY_S) as one:
                if answered(one):
                    return
        except OSError:
            pass
        time.sleep(STEP_S)
    raise BenchError(f"no heartbeat was answered on {address} within {READY_S:g} s")


def exec_to_ready(argv: Sequence[str], address: str, cpu: int, log: Path, env: dict[str, str]) -> float:
    """Milliseconds; the program is ended then."""
    with log.open("w") as out, pinned(cpu):
        began = time.monotonic()
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
    try:
        _until_answered(address, process, log)
        return (time.monotonic() - began) * 1000
    finally:
        process.kill()
        process.wait()


@dataclass
class Startup:
    """The startup suite. What took how long is gathered by proxy and what it did."""

    plan: Plan
    directory: Path
    times: int = TIMES
    services: int = VIRTUAL_SERVICES
    measures: list[Measure] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _values: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def run(self) -> None:
        with start_backend(self.plan, self.directory) as backend:
            at = backend.address
            for _ in range(self.times):  # in turns, so that drift of the machine meets all alike
                for rival in self.plan.rivals:
                    self._note(rival, "exec to ready", partial(self._ready, rival, at))
            ours = [rival for rival in self.plan.rivals if rival.name.startswith("meshfast")]
            for _ in range(max(LEAST, self.times // 4)):
                for rival in ours:
                    self._note(rival, "check, large", partial(self._check, at))
                    self._note(rival, "exec to ready, large", partial(self._ready, rival, at, True))
        self.measures += [measure(name, what, "ms", found) for (name, what), found in self._values.items()]
        self.failures = list(dict.fromkeys(self.failures))

    def _note(self, rival: Rival, what: str, take: Callable[[], float]) -> None:
        try:
            self._values.setdefault((rival.name, what), []).append(take())
        except (BenchError, subprocess.SubprocessError) as error:
            self.failures.append(f"{rival.name}, {what}: {error}")

    def _ready(self, rival: Rival, backend: str, large_: bool = False) -> float:
        place = Place(free_port(), backend, self.directory / rival.name)
        program = rival.start(place, self.plan.proxy_cpu)
        if large_:
            argv = [*program.argv[:-1], str(self._large(place))]
            return exec_to_ready(argv, program.address, self.plan.proxy_cpu, program.log, program.env)
        return exec_to_ready(program.argv, program.address, self.plan.proxy_cpu, program.log, program.env)

    def _large(self, place: Place) -> Path:
        port = int(place.backend.rpartition(":")[2])
        return large(place.directory, self.services, f"127.0.0.1:{place.port}", port, SERVICE)

    def _check(self, backend: str) -> float:
        place = Place(free_port(), backend, self.directory)
        argv = [sys.executable, "-m", "meshfast", "check", str(self._large(place)), "-o", "json"]
        with pinned(self.plan.proxy_cpu):
            began = time.monotonic()
            subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=120)
        return (time.monotonic() - began) * 1000
