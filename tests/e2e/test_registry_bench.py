"""What is measured with real registries can be: that it runs, not its figures."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import obtain
from harness.process import PROJECT
from harness.zookeeper import ZooKeeper


@pytest.fixture(autouse=True)
def _peer() -> None:
    obtain(ZooKeeper).close()


def run(module: str, *options: str) -> list[str]:
    command = [sys.executable, "-m", module, *options]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_reading_at_both_levels() -> None:
    lines = run("bench.zookeeper", "--services", "20", "--instances", "60", "--together", "2", "--rounds", "1")
    assert lines[0].startswith("20 services, 60 instances")
    rows = [line.split() for line in lines[1:]]
    assert [row[0] for row in rows] == ["interface"] * 3 + ["application"] * 3
    assert all(float(row[row.index(unit) - 1]) > 0 for row in rows for unit in row if unit in ("s", "MiB"))
