"""Where a proxy's CPU goes: samples of the CPU clock under load, by symbol, in user space and in the kernel."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bench.harness.measure import Plan, Point, start_backend
from bench.harness.process import BenchError, Program, free_port, pinned
from bench.harness.rival import Place, Rival

_ROW = re.compile(r"^\s*([\d.]+)%\s+\[(.)\]\s+(\S.*?)(?:\s+-\s+-)?\s*$", re.MULTILINE)
COPYING = re.compile(r"mem(cpy|move|pcpy)")
LEAST = 50  # samples, without which shares mean nothing


@dataclass(frozen=True, slots=True)
class Profile:
    """Shares of all samples, the greatest first."""

    user: tuple[tuple[str, float], ...]
    kernel: tuple[tuple[str, float], ...]

    @property
    def copying(self) -> float:
        """The share of copying memory in user space."""
        return sum(share for name, share in self.user if COPYING.search(name))


def take(plan: Plan, rival: Rival, point: Point, directory: Path) -> Profile:
    """A profile of ``rival`` under the load of ``point``. Raises BenchError when perf is not there or not allowed."""
    with start_backend(plan, directory, rival.backend) as backend:
        place = Place(free_port(), backend.address, directory / rival.name)
        with rival.start(place, plan.proxy_cpu) as proxy:
            return of_running(plan, proxy, point, directory)


def of_running(plan: Plan, proxy: Program, point: Point, directory: Path) -> Profile:
    if not shutil.which("perf"):
        raise BenchError("profiles are taken by perf, which is not there")
    data = str(directory / "perf.data")
    argv = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "997", "-o", data, "-p", str(proxy.pid), "--"]
    argv += plan.load(proxy.address, point)
    argv += ["--rate", str(point.rate), "--warmup", str(plan.warmup), "--seconds", str(plan.seconds)]
    with pinned(plan.load_cpu):
        done = subprocess.run(argv, capture_output=True, text=True, timeout=plan.warmup + plan.seconds + 60)
    if done.returncode:
        raise BenchError(f"perf record: {(done.stderr or done.stdout).strip()[-300:]}")
    report = ["perf", "report", "--stdio", "-i", data, "--sort", "symbol", "--percent-limit", "0"]
    done = subprocess.run(report, capture_output=True, text=True, timeout=120)
    return parse(done.stdout)


def parse(text: str) -> Profile:
    """What perf reported by symbol."""
    samples = re.search(r"^# Samples: (\d+)(K?)", text, re.MULTILINE)
    if not samples or int(samples[1]) * (1000 if samples[2] else 1) < LEAST:
        raise BenchError("perf took too few samples")
    rows = [(kind, name, float(share) / 100) for share, kind, name in _ROW.findall(text)]
    user = tuple((name, share) for kind, name, share in rows if kind == ".")
    return Profile(user, tuple((name, share) for kind, name, share in rows if kind == "k"))
