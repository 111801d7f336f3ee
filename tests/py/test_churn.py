"""Policies whose names, labels and addresses never come back leave nothing behind."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROUNDS, WARM = 16, 8


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc's allocator what it has given out")
def test_nothing_is_left_of_services_that_are_gone() -> None:
    env = os.environ | {"PYTHONPATH": str(HERE.parent)}
    inside = [sys.executable, str(HERE / "churn_inside.py"), str(ROUNDS)]
    done = subprocess.run(inside, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    rounds = [[int(word) for word in line.split()] for line in done.stdout.splitlines()]
    warm, last, services = rounds[WARM - 1], rounds[-1], sum(came for *_, came in rounds[WARM:])
    assert services == 1600
    # One pointer left of each would be 32 bytes, malloc's own included.
    assert last[0] - warm[0] < 16 * services, f"{last[0] - warm[0]} bytes of {services} services"
    assert last[1] - warm[1] < services // 4, f"{last[1] - warm[1]} objects of {services} services"
