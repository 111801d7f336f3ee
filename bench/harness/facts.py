"""What the machine and the tree were when the figures were taken."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from bench.harness.rival import ROOT


def _run(*argv: str) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, timeout=10, cwd=ROOT, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def _cpuinfo(key: str) -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return ""


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def revision() -> str:
    """The git revision, short; with "+" when the tree differs from it; "unknown" outside a repository."""
    short = _run("git", "rev-parse", "--short=10", "HEAD")
    return short + ("+" if short and _run("git", "status", "--porcelain", "--untracked-files=no") else "") or "unknown"


def machine_facts() -> dict[str, object]:
    """Facts that two results must share before their absolute figures may be compared; all JSON types."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "cpu": _cpuinfo("model name") or platform.processor() or platform.machine(),
        "cpus": os.cpu_count(),
        "virtual": "hypervisor" in _cpuinfo("flags").split(),
        "memory_bytes": _memory_bytes(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "compiler": _run(os.environ.get("CC", "cc"), "--version").partition("\n")[0],
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
    }
