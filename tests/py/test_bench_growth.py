"""An exponent that is fitted wrongly would let a quadratic pass for a line."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.growth.__main__ import main
from bench.growth.fit import EXPECTED, Curve, curves, fit
from bench.growth.page import COUNT, UNIT, figure, page

ROOT = Path(__file__).resolve().parents[2]
SIZES = [1, 3, 10, 30, 100, 300, 1000]


@pytest.mark.parametrize("power", [-0.5, 0, 1, 2])
def test_fit(power: float) -> None:
    exact = fit([(x, 7 * x**power) for x in SIZES])
    assert exact.exponent == pytest.approx(power, abs=1e-9)
    assert exact.scale == pytest.approx(7)
    assert exact.error < 1e-6
    bent = fit([(x, 7 * x**power * (1.3 if i % 2 else 1)) for i, x in enumerate(SIZES)])
    assert bent.error > 0.01
    assert abs(bent.exponent - power) < 3 * bent.error
    with pytest.raises(ValueError, match="no curve"):
        fit([(1, 1), (2, 2)])


def curve(measure: str, cost) -> Curve:  # type: ignore[no-untyped-def]
    return Curve("labels", measure, "ns", tuple((x, cost(x), 1.1 * cost(x), 2 * cost(x)) for x in SIZES))


@pytest.mark.parametrize(
    ("measure", "cost", "surprise"),
    [
        ("rebuild", lambda x: 900 + 50 * x, False),
        ("rebuild", lambda x: 900 + 50 * x + x * x, True),  # hidden by what does not grow, but for the larger half
        ("rebuild", lambda x: 50 * x**2, True),
        ("rebuild", lambda x: 50, False),
        ("lookup", lambda x: 20, False),
        ("lookup", lambda x: 20 + x, True),
    ],
)
def test_surprise(measure: str, cost, surprise: bool) -> None:  # type: ignore[no-untyped-def]
    assert curve(measure, cost).surprise() == surprise


def test_page_needs_nothing_from_outside() -> None:
    drawn = page([curve("rebuild", lambda x: 50 * x**2), curve("lookup", lambda x: 20)], {"cpu": "<&>"})
    assert drawn.count("<svg") == 2 and drawn.count("grows faster") == 1
    assert not re.search(r"https?:|src=|href=|<script|@import", drawn)
    assert "&lt;&amp;&gt;" in drawn
    assert "nan" not in drawn


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (999, "ns", "999 ns"), (1e3, "ns", "1 µs"), (1234567, "ns", "1.23 ms"), (5.2e12, "ns", "5,200 s"),
        (0.5, "ns", "0.5 ns"), (1.29e9, "bytes", "1.29 GB"),
    ],
)  # fmt: skip
def test_figure(value: float, unit: str, text: str) -> None:
    assert figure(value, UNIT[unit]) == text
    assert figure(1e6, COUNT) == "1M"


def test_everything_measured_has_an_expectation(tmp_path: Path) -> None:
    if not shutil.which("make") or not (shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no compiler for the program that measures")
    subprocess.run(["make", "-s", "build/bench/grow"], cwd=ROOT, check=True)
    argv = [ROOT / "build/bench/grow", "--rounds", "1", "--ms", "0.2", "--most", "1100"]
    rows = [json.loads(line) for line in subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout.splitlines()]
    measured: dict[str, set[str]] = {}
    for one in curves(rows):
        measured.setdefault(one.axis, set()).add(one.measure)
    assert measured == {axis: set(measures) for axis, measures in EXPECTED.items()}

    kept, drawn = tmp_path / "result.json", tmp_path / "growth.html"
    kept.write_text(json.dumps({"facts": {}, "points": rows}))
    shown = CliRunner().invoke(main, ["--show", str(kept), "--html", str(drawn)])
    assert shown.exit_code == 0, shown.output
    assert "<svg" in drawn.read_text()
