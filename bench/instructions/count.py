"""Runs ``count`` under callgrind and reads what is below each of its functions ``count__NAME``."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

FEW, MANY = 2048, 8192  # operations in the two runs; what they differ by is what the operations cost

# The plainest code for this machine, so that libc's choice among its memcpy does not depend on the processor; sizes
# that it derives from the caches are fixed too.
_TUNABLES = (
    "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2_Usable,-AVX2,-AVX_Fast_Unaligned_Load,-ERMS,-FSRM,"
    "-SSE4_2,-SSE4_1,-SSSE3,-Fast_Unaligned_Copy,-BMI2,-MOVBE,-LZCNT"
    ":glibc.cpu.x86_rep_movsb_threshold=1048576:glibc.cpu.x86_rep_stosb_threshold=1048576"
    ":glibc.cpu.x86_non_temporal_threshold=8388608"
)

Counts = dict[str, float]


class CountError(Exception):
    """Nothing could be counted: the text says why."""


def count(program: Path, directory: Path) -> Counts:
    """Instructions of one operation, by name. ``directory`` keeps the two profiles, for callgrind_annotate."""
    if not shutil.which("valgrind"):
        raise CountError("instructions are counted by valgrind, which is not there")
    directory.mkdir(parents=True, exist_ok=True)
    (few, few_times), (many, many_times) = (_run(program, n, directory / f"callgrind.{n}") for n in (FEW, MANY))
    return {name: round((many[name] - few[name]) / (many_times[name] - few_times[name]), 1) for name in few_times}


def _run(program: Path, n: int, profile: Path) -> tuple[dict[str, int], dict[str, int]]:
    """The instructions and the operations of one run, by name."""
    argv = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={profile}", str(program), str(n)]
    done = subprocess.run(argv, env=os.environ | {"GLIBC_TUNABLES": _TUNABLES}, capture_output=True, text=True)
    if done.returncode:
        raise CountError(f"{' '.join(argv)} ended with {done.returncode}\n{done.stderr}")
    times = {name: int(number) for name, number in map(str.split, done.stdout.splitlines())}
    costs = inclusive(profile.read_text(), "count__")
    missing = [name for name in times if not costs.get(name)]
    if missing:
        raise CountError(f"{profile} has no count__{missing[0]}: was it inlined?")
    return costs, times


def inclusive(profile: str, prefix: str) -> dict[str, int]:
    """Instructions in and below each function whose name starts with ``prefix``; the prefix is cut off.

    In a profile a function's lines are its own, and for each function it calls the sum of what happened there.
    """
    names: dict[str, str] = {}
    costs: dict[str, int] = {}
    current = ""
    for line in profile.splitlines():
        if match := re.match(r"fn=\((\d+)\)(?: (.*))?", line):
            if match[2]:
                names[match[1]] = match[2]
            name = names[match[1]]
            current = name.removeprefix(prefix) if name.startswith(prefix) else ""
        elif match := re.match(r"cfn=\((\d+)\) (.*)", line):
            names[match[1]] = match[2]  # a name is written out where it comes first
        elif current and (match := re.match(r"(?:[+-]?\d+|\*) (\d+)$", line)):
            costs[current] = costs.get(current, 0) + int(match[1])
    return costs


def toolchain() -> dict[str, str]:
    """What the counts depend on beside our sources: two records are compared only where this is the same."""
    compiler = os.environ.get("CC", "gcc")

    def ask(option: str) -> str:
        done = subprocess.run([*compiler.split(), option], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else "unknown"

    kind = "clang" if "clang" in ask("--version").lower() else "gcc"
    version = ask("-dumpversion" if kind == "clang" else "-dumpfullversion")
    libc = os.confstr("CS_GNU_LIBC_VERSION") or "unknown"
    return {"compiler": f"{kind} {version}", "libc": libc, "machine": ask("-dumpmachine")}
