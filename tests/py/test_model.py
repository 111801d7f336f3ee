"""The models in tests/model: no bad state, as many states as are on record, and a bad one in every mutant."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

MODELS = Path(__file__).resolve().parents[1] / "model"
TOOLS = [tool for tool in ("spin", "cc") if shutil.which(tool) is None]
RECORD = dict(line.split() for line in (MODELS / "states.txt").read_text().splitlines() if line[:1].isalpha())
MUTANTS = [
    (path.stem, mutant)
    for path in sorted(MODELS.glob("*.pml"))
    for mutant in ("", *sorted(set(re.findall(r"MUTANT_(\w+)", path.read_text()))))
]


def check(where: Path, model: str, *defines: str) -> tuple[int, int]:
    """How many bad states the checker finds, and how many states it looked at."""
    source = str(MODELS / f"{model}.pml")
    subprocess.run(["spin", "-a", *defines, source], cwd=where, check=True, capture_output=True)
    options = ["-O1", "-w", "-DSAFETY", "-DCOLLAPSE"]
    subprocess.run(["cc", *options, "-o", "pan", "pan.c"], cwd=where, check=True, capture_output=True)
    out = subprocess.run(["./pan", "-m100000", "-w22"], cwd=where, check=False, capture_output=True, text=True).stdout
    assert "max search depth too small" not in out
    found, states = re.search(r"errors: (\d+)", out), re.search(r"(\d+) states, stored", out)
    assert found and states, out
    return int(found[1]), int(states[1])


def spin_version() -> str:
    out = subprocess.run(["spin", "-V"], check=False, capture_output=True, text=True).stdout
    return out.split()[2]


@pytest.mark.skipif(bool(TOOLS), reason=f"not installed: {', '.join(TOOLS)}")
@pytest.mark.parametrize("model, mutant", MUTANTS)
def test_model(tmp_path, model, mutant):
    if mutant:
        assert check(tmp_path, model, f"-DMUTANT_{mutant}")[0] > 0
        return
    found, states = check(tmp_path, model)
    assert found == 0
    if spin_version() == RECORD["spin"]:  # another one may count otherwise
        assert states == int(RECORD[model])


def test_all_are_on_record():
    assert set(RECORD) == {"spin"} | {path.stem for path in MODELS.glob("*.pml")}
