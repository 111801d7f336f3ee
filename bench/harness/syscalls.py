"""System calls for a call, counted in the kernel, alike for every proxy.

By the tracepoint ``raw_syscalls:sys_enter`` under perf, which costs the proxy little; where perf may not, by strace,
which slows it down so much that more calls arrive together: such a figure is a bound from below.
Two runs that differ in their length alone; the difference of their counts over the difference of their calls leaves out
connecting and starting. Never in the same window as a time.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
from functools import cache
from pathlib import Path

from bench.harness.measure import Plan, Point
from bench.harness.process import BenchError, Program, pinned

SECONDS = 0.25  # of the shorter run at a fixed rate; the other is twice as long
CALLS, LARGE_CALLS = 4000, 200  # of the shorter run in the closed loop, at least
TURNS = 8  # so often all that are in flight
LARGE = 32 << 10  # bytes of a body
TIMEOUT_S, TRIES = 120, 3
EVENT = "raw_syscalls:sys_enter"


@cache
def method() -> str:
    """``perf``, ``strace``, or nothing, when neither is there and allowed."""
    if shutil.which("perf"):
        argv = ["perf", "stat", "-x,", "-e", EVENT, "true"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
        if re.search(rf"^\d+,.*{EVENT}", done.stderr, re.MULTILINE):
            return "perf"
    return "strace" if shutil.which("strace") else ""


def count(plan: Plan, point: Point, proxy: Program, scratch: Path) -> float:
    """System calls of all threads of ``proxy`` for one call. Raises BenchError when they cannot be counted."""
    if not method():
        raise BenchError("system calls are counted by perf or strace; neither is there and allowed")
    counted = _perf if method() == "perf" else _strace
    for _ in range(TRIES):
        short, long = (counted(_load(plan, point, proxy.address, n), proxy, plan.load_cpu, scratch) for n in (1, 2))
        calls = long[1] - short[1]
        if calls > 0:
            return max(0.0, (long[0] - short[0]) / calls)
    raise BenchError(f"{proxy.name} at {point}: the longer run had no more calls than the shorter one")


def _load(plan: Plan, point: Point, address: str, times: int) -> list[str]:
    argv = plan.load(address, point)
    if point.rate:
        return [*argv, "--rate", str(point.rate), "--warmup", "0", "--seconds", str(SECONDS * times)]
    least = LARGE_CALLS if (point.size or plan.payload) >= LARGE else CALLS
    return [*argv, "--calls", str(times * max(least, TURNS * point.connections * point.inflight))]


def _calls(output: str, stderr: str) -> int:
    try:
        report = json.loads(output)
    except ValueError:
        raise BenchError(stderr.strip() or "the load generator said nothing") from None
    if report["errors"]:
        raise BenchError(f"{report['errors']} wrong: {report['first_error']}")
    return int(report["calls"])


def _perf(load: list[str], proxy: Program, cpu: int, scratch: Path) -> tuple[int, int]:
    out = scratch / "perf"
    argv = ["perf", "stat", "-x,", "-e", EVENT, "-o", str(out), "-p", str(proxy.pid), "--"]
    with pinned(cpu):
        done = subprocess.run([*argv, *load], capture_output=True, text=True, timeout=TIMEOUT_S)
    calls = _calls(done.stdout, done.stderr)
    match = re.search(rf"^(\d+),.*{EVENT}", out.read_text(), re.MULTILINE)
    if not match:
        raise BenchError(f"perf counted nothing: {done.stderr.strip()}")
    return int(match[1]), calls


def _strace(load: list[str], proxy: Program, cpu: int, scratch: Path) -> tuple[int, int]:
    out = scratch / "strace"
    argv = ["strace", "-f", "-c", "-U", "calls,name", "-o", str(out), "-p", str(proxy.pid)]
    with pinned(cpu):
        tracer = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        try:
            assert tracer.stderr is not None
            said = tracer.stderr.readline()  # "Process N attached", once it is
            if "attached" not in said:
                raise BenchError(f"strace: {said.strip()}")
            done = subprocess.run(load, capture_output=True, text=True, timeout=TIMEOUT_S)
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=30)
    calls = _calls(done.stdout, done.stderr)
    match = re.search(r"^\s*(\d+)\s+total", out.read_text(), re.MULTILINE)
    if not match:
        raise BenchError("strace counted nothing")
    return int(match[1]), calls
