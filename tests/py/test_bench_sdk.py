"""The comparison of SDKs runs, and says what it was asked for; its figures are for a quiet machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.sdk import OURS, show

ROOT = Path(__file__).parents[2]


def test_it_measures_every_row() -> None:
    command = [sys.executable, "-m", "bench.sdk", "--rounds", "1", "--seconds", "0.05"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    for row in OURS:
        (line,) = [line for line in lines if line.startswith(f"{row:26}") and " to " in line]
        assert float(line[26:38]) > 0
    assert "left out" in done.stdout


def test_what_is_not_reached_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    found = {row: [13.1, 12.9, 13.2] for row in OURS} | {"codec": [10.0, 10.1, 10.2]}
    found["meshfast async, 64"] = [20.0]
    show(found | {"grpcio async, 64": [60.0], "grpcio blocking, 1": [30.0]})
    lines = capsys.readouterr().out.splitlines()
    missed = [line.split("  ")[0] for line in lines if line.endswith("not reached")]
    assert missed == ["meshfast async, 64", "meshfast blocking, 1"]
    assert any("3 times less than grpcio async, 64" in line and "3.00" in line for line in lines)
