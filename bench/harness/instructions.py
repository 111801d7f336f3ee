"""Instructions for a call, counted by callgrind: the figure that does not drift with the machine.

User space only: what the kernel does for the proxy is not in it. Two runs that differ in nothing but the number of
calls; the difference of their counts over the difference of their calls leaves out starting and stopping.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from bench.harness.measure import Plan, Point, start_backend
from bench.harness.process import BenchError, free_port, pinned
from bench.harness.rival import Place, Rival

_TOTAL = re.compile(r"^totals: (\d+)", re.MULTILINE)


def count(plan: Plan, rival: Rival, point: Point, calls: int, directory: Path) -> float:
    """Instructions of one call of ``rival`` at a closed-loop ``point``, from ``calls`` and twice as many calls.

    ``directory`` keeps the two profiles, for callgrind_annotate. Raises BenchError when valgrind is not there, the
    proxy does not run under it, or an answer is wrong.
    """
    if point.rate:
        raise BenchError(f"{point}: instructions are counted in the closed loop, without a rate")
    if not shutil.which("valgrind"):
        raise BenchError("instructions are counted by valgrind, which is not there")
    few, many = (_run(plan, rival, point, n, directory) for n in (calls, 2 * calls))
    return (many - few) / calls


def _run(plan: Plan, rival: Rival, point: Point, calls: int, directory: Path) -> int:
    """All instructions of a proxy that lives for so many calls."""
    place = directory / rival.name / f"{str(point).replace('/', '-')}-{calls}"
    place.mkdir(parents=True, exist_ok=True)
    for old in place.glob("callgrind.*"):
        old.unlink()
    under = ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={place}/callgrind.%p"]
    with start_backend(plan, place, rival.backend) as backend:
        at = Place(free_port(), backend.address, place)
        with rival.start(at, plan.proxy_cpu, under) as proxy:
            _load(plan, point, calls, proxy.address)
    return sum(_total(path) for path in place.glob("callgrind.*"))


def _load(plan: Plan, point: Point, calls: int, address: str) -> None:
    argv = [*plan.load(address, point), "--calls", str(calls), "--stall", "60000"]
    with pinned(plan.load_cpu):
        done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        said = json.loads(done.stdout)["first_error"] if done.stdout else done.stderr.strip()
        raise BenchError(f"under valgrind: {said}")


def _total(path: Path) -> int:
    """Instructions in one profile: of all its parts, one for each dump."""
    return sum(int(number) for number in _TOTAL.findall(path.read_text())) if path.stat().st_size else 0
