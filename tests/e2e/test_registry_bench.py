"""What is measured with real registries and real sidecars can be: that it runs, not its figures."""

from __future__ import annotations

import subprocess
import sys

import pytest
from conftest import obtain
from harness.java import command
from harness.process import PROJECT
from harness.zookeeper import ZooKeeper


@pytest.fixture
def zookeeper() -> None:
    obtain(ZooKeeper).close()


def run(module: str, *options: str) -> list[str]:
    command = [sys.executable, "-m", module, *options]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.usefixtures("zookeeper")
def test_reading_at_both_levels() -> None:
    lines = run("bench.zookeeper", "--services", "20", "--instances", "60", "--together", "2", "--rounds", "1")
    assert lines[0].startswith("20 services, 60 instances")
    rows = [line.split() for line in lines[1:]]
    assert [row[0] for row in rows] == ["interface"] * 3 + ["application"] * 3
    assert all(float(row[row.index(unit) - 1]) > 0 for row in rows for unit in row if unit in ("s", "MiB"))


def test_calls_without_their_sidecar() -> None:
    lines = run("bench.gone", "--kills", "2", "--stops", "1", "--returns", "1", "--rate", "200")
    rows = {line.split()[0]: line for line in lines if " times: " in line}
    assert set(rows) == {"killed", "stopped", "returned"} and rows["killed"].split()[1] == "2"


@pytest.mark.usefixtures("zookeeper")
def test_sidecars_that_rest() -> None:
    lines = run("bench.resting", "--seconds", "1")
    rows = {line.split()[0]: line for line in lines if " MiB" in line and " % " in line and not line[0].isdigit()}
    assert rows.keys() >= {"without", "zookeeper", "nacos"}


@pytest.mark.usefixtures("zookeeper")
def test_a_consumer_beside_many_providers() -> None:
    obtain(lambda: command("java-3.3", "WorldDriver"))
    lines = run("bench.consumer", "--providers", "5", "--rounds", "1", "--seconds", "1")
    assert lines[0].startswith("5 providers")
    assert lines[1].startswith("by the registry") and lines[2].startswith("by the sidecar")
    assert "   5 connections" in lines[1] and "   1 connections" in lines[2]
