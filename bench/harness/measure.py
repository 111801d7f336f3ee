"""Taking figures: points, one sample, and the order of a whole run."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.harness.process import BenchError, Program, free_port, pinned
from bench.harness.rival import BUILD, SERVICE, VERSION, Place, Rival

Sample = dict[str, Any]

_POINT = re.compile(
    r"(?P<connections>[1-9]\d*)x(?P<inflight>[1-9]\d*)(?:@(?P<rate>\d+)(?P<kilo>k)?)?(?:/(?P<size>[1-9]\d*)(?P<unit>[km])?)?"
)
_UNITS = {None: 1, "k": 1 << 10, "m": 1 << 20}
_UPDATES = re.compile(r"^(\d+) updates in ([\d.]+) s$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Point:
    """Connections x calls in flight on each, closed loop; with ``rate`` (calls a second) open loop at that rate.
    ``size``: bytes of the argument, where they are not the plan's."""

    connections: int
    inflight: int
    rate: int = 0
    size: int = 0

    @classmethod
    def parse(cls, text: str) -> Point:
        """Reads "64x16", "64x16@10k" or "4x4/1m". Raises ValueError on anything else."""
        match = _POINT.fullmatch(text)
        if not match:
            raise ValueError(f"{text!r} is not CONNECTIONSxINFLIGHT[@RATE][/SIZE], as in 64x16, 64x16@10k or 4x4/1m")
        rate = int(match["rate"] or 0) * (1000 if match["kilo"] else 1)
        size = int(match["size"] or 0) * _UNITS[match["unit"]]
        return cls(int(match["connections"]), int(match["inflight"]), rate, size)

    def __str__(self) -> str:
        text = f"{self.connections}x{self.inflight}" + (f"@{self.rate}" if self.rate else "")
        unit = next((unit for unit in ("m", "k") if self.size and self.size % _UNITS[unit] == 0), None)
        return text + (f"/{self.size // _UNITS[unit]}{unit or ''}" if self.size else "")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure and how. ``seconds`` is one window, after ``warmup``; sizes in bytes."""

    rivals: tuple[Rival, ...]
    points: tuple[Point, ...]
    rounds: int = 7
    seconds: float = 2.0
    warmup: float = 0.5
    payload: int = 200
    attach: tuple[str, ...] = ()
    trace: bool | str = False
    serialization: int = 2
    protocol: str = "dubbo"  # or "grpc"
    messages: int = 0  # of each answer that is streamed; they are what is counted then
    tries: int = 1  # of a window in which no call was answered, as on a machine that others load
    proxy_cpu: int = 1
    load_cpu: int = 0

    def options(self) -> dict[str, Any]:
        """For the result file."""
        return {
            "rivals": [rival.name for rival in self.rivals],
            "points": [str(point) for point in self.points],
            "rounds": self.rounds,
            "seconds": self.seconds,
            "warmup": self.warmup,
            "payload": self.payload,
            "attach": list(self.attach),
            "trace": self.trace,
            "serialization": self.serialization,
            "protocol": self.protocol,
            "messages": self.messages,
            "proxy_cpu": self.proxy_cpu,
            "load_cpu": self.load_cpu,
        }

    def load(self, address: str, point: Point) -> list[str]:
        """The load generator's command line, but for how long, and at which rate."""
        if self.protocol == "grpc":
            return self._load_grpc(address, point)
        argv = [str(BUILD / "dubbo_load"), "--connect", address, "--service", SERVICE, "--version", VERSION]
        argv += ["--connections", str(point.connections), "--inflight", str(point.inflight)]
        argv += ["--payload", str(point.size or self.payload), "--serialization", str(self.serialization)]
        argv += [part for pair in self.attach for part in ("--attach", pair)]
        return argv + (["--trace"] if self.trace else [])

    def _load_grpc(self, address: str, point: Point) -> list[str]:
        argv = [str(BUILD / "h2_load"), "--connect", address, "--payload", str(point.size or self.payload)]
        argv += ["--connections", str(point.connections), "--inflight", str(point.inflight)]
        argv += [part for pair in self.attach for part in ("--header", pair)]
        argv += ["--messages", str(self.messages)] if self.messages else []
        return argv + (["--trace", self.trace if isinstance(self.trace, str) else "once"] if self.trace else [])


def default_cpus() -> tuple[int, int]:
    """The proxy's core and the load's: the last and the first that this process may use; the first takes most
    interrupts. Raises BenchError on a machine with one core."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise BenchError("two cores are needed: one for the proxy, one for load and backend")
    return allowed[-1], allowed[0]


def derive(raw: dict[str, Any]) -> dict[str, float]:
    """The figures per call of one window, from the generator's report whose ``watched`` are proxy and backend.

    Costs in CPU microseconds per call; ``busy`` and ``foreign`` (everything that is not proxy, backend or generator)
    as shares of one core.
    """
    calls, seconds = max(int(raw["calls"]), 1), float(raw["seconds"])
    proxy, backend = raw["watched"][0], raw["watched"][1]
    ours = proxy["cpu_s"] + backend["cpu_s"] + raw["cpu_s"]
    return {
        "cpu_us": proxy["cpu_s"] / calls * 1e6,
        "main_us": proxy.get("main_cpu_s", 0.0) / calls * 1e6,
        "busy": proxy["cpu_s"] / seconds if seconds else 0.0,
        "rss_mib": proxy["rss"] / 2**20,
        "load_us": raw["cpu_s"] / calls * 1e6,
        "backend_us": backend["cpu_s"] / calls * 1e6,
        "foreign": max(0.0, raw["machine"]["busy_s"] - ours) / seconds if seconds else 0.0,
        "steal": raw["machine"]["steal_s"] / seconds if seconds else 0.0,
        "calls_per_s": raw["calls_per_s"],
        "p50_us": raw["latency_us"]["p50"],
        "p90_us": raw["latency_us"]["p90"],
        "p99_us": raw["latency_us"]["p99"],
        "p99_9_us": raw["latency_us"]["p99_9"],
        "max_us": raw["latency_us"]["max"],
    }


def take_sample(plan: Plan, point: Point, proxy: Program, backend: Program) -> Sample:
    """One window: what the generator said, what follows from it, and ``error`` when the answers were not all right."""
    argv = [*plan.load(proxy.address, point), "--rate", str(point.rate)]
    argv += ["--warmup", str(plan.warmup), "--seconds", str(plan.seconds)]
    argv += ["--watch", str(proxy.pid), "--watch", str(backend.pid)]
    limit = plan.warmup + plan.seconds + 30
    try:
        with pinned(plan.load_cpu):
            done = subprocess.run(argv, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"error": f"the load generator did not end within {limit:.0f} s"}
    try:
        raw: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"error": done.stderr.strip() or f"the load generator ended with code {done.returncode}"}
    sample: Sample = {"raw": raw, **derive(raw)}
    if done.returncode != 0 or raw["errors"]:
        sample["error"] = f"{raw['errors']} wrong: {raw['first_error']}"
    return sample


def take_all(plan: Plan, directory: Path, on_sample: Callable[[Sample], None]) -> list[Sample]:
    """All rounds. In each, every rival is started anew and all are measured at a point before the next point, in an
    order that turns by one each round, so that drift of the machine meets all alike.

    ``on_sample`` is called after each. A rival that does not start, or answers wrongly, yields samples with ``error``.
    """
    samples: list[Sample] = []
    for round_number in range(plan.rounds):
        before = len(samples)
        with ExitStack() as stack:
            flags = dict.fromkeys(rival.backend for rival in plan.rivals)
            backends = {each: stack.enter_context(start_backend(plan, directory, each)) for each in flags}
            proxies = {
                rival.name: _start(stack, rival, plan, backends[rival.backend], directory) for rival in plan.rivals
            }
            for point in plan.points:
                for rival in _turned(plan.rivals, round_number):
                    proxy = proxies[rival.name]
                    if isinstance(proxy, Program):
                        sample = _take(plan, point, proxy, backends[rival.backend])
                    else:
                        sample = {"error": proxy}
                    sample = {"rival": rival.name, "point": str(point), "round": round_number, **sample}
                    samples.append(sample)
                    on_sample(sample)
        for rival in plan.rivals:
            made = _updates(directory / rival.name / "log")
            for one in samples[before:]:
                if made and one["rival"] == rival.name:
                    one["updates_per_s"] = made
    return samples


def _take(plan: Plan, point: Point, proxy: Program, backend: Program) -> Sample:
    """One window, or another where nothing at all came back in time and nothing was wrong."""
    for _ in range(plan.tries):
        sample = take_sample(plan, point, proxy, backend)
        raw = sample.get("raw", {"calls": 1})
        if raw["calls"] or raw["errors"] > 1:
            break
    return sample


def start_backend(plan: Plan, directory: Path, flags: Sequence[str] = ()) -> Program:
    """The provider behind the proxies, not yet entered."""
    argv = [str(BUILD / ("h2_backend" if plan.protocol == "grpc" else "dubbo_backend")), *flags]
    return Program("backend", argv, cpu=plan.load_cpu, log=directory / "backend.log", announces=True)


def _updates(log: Path) -> float:
    """How many services a second a rival says, at its end, that it published anew; 0 when it says nothing."""
    match = _UPDATES.search(log.read_text(errors="replace")) if log.exists() else None
    return int(match[1]) / max(float(match[2]), 0.1) if match else 0.0


def _start(stack: ExitStack, rival: Rival, plan: Plan, backend: Program, directory: Path) -> Program | str:
    """The running rival, or why it does not run."""
    place = Place(free_port(), backend.address, directory / rival.name)
    try:
        return stack.enter_context(rival.start(place, plan.proxy_cpu))
    except BenchError as error:
        return str(error)


def _turned(rivals: Sequence[Rival], by: int) -> Sequence[Rival]:
    at = by % len(rivals)
    return (*rivals[at:], *rivals[:at])
