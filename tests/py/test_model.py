"""The model of publish, retire and reclaim (tests/model/epoch.pml): no state is bad, and every mutant has one."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODEL = Path(__file__).resolve().parents[1] / "model" / "epoch.pml"
TOOLS = [tool for tool in ("spin", "cc") if shutil.which(tool) is None]


def errors(where: Path, *defines: str) -> tuple[int, int]:
    """How many bad states the checker finds, and how many states it looked at."""
    subprocess.run(["spin", "-a", *defines, str(MODEL)], cwd=where, check=True, capture_output=True)
    subprocess.run(["cc", "-O1", "-w", "-DSAFETY", "-o", "pan", "pan.c"], cwd=where, check=True, capture_output=True)
    out = subprocess.run(["./pan", "-m100000"], cwd=where, check=False, capture_output=True, text=True).stdout
    assert "max search depth too small" not in out
    found, states = re.search(r"errors: (\d+)", out), re.search(r"(\d+) states, stored", out)
    assert found and states, out
    return int(found[1]), int(states[1])


@pytest.mark.skipif(bool(TOOLS), reason=f"not installed: {', '.join(TOOLS)}")
@pytest.mark.parametrize("mutant", ["", "ONLINE", "RETIRE", "STAMP", "PLAIN"])
def test_epoch(tmp_path, mutant):
    if mutant:
        assert errors(tmp_path, f"-DMUTANT_{mutant}")[0] > 0
    else:
        found, states = errors(tmp_path)
        assert found == 0
        assert states > 100_000
