"""Drawings: round ticks that hold the data, everything inside its area, text that stays text, nothing fetched."""

from __future__ import annotations

import math
import random
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from faults import report
from faults.verdict import Row

from bench.draw.axis import Axis, LogAxis, plain
from bench.draw.columns import Column, columns, picture
from bench.draw.page import Html, bullets, figure, html, key, page, row, section, table
from bench.draw.plot import Bar, Line, Scale, bars, lines, percentiles
from bench.harness.picture import draw
from bench.run import load_result

NASTY = '<b>&"'
ROOT = Path(__file__).parents[2]
PICTURES = [path for path in sorted(ROOT.glob("docs/*.svg")) if "data-source" in path.read_text()]


@pytest.mark.parametrize("kind", [Axis, LogAxis])
def test_ticks_are_few_round_and_in_order(kind: type[Axis]) -> None:
    chance = random.Random(1)
    for _ in range(500):
        values = [10 ** chance.uniform(-3, 9) for _ in range(chance.randint(1, 9))]
        axis = kind(values, 100, 500)
        assert axis.low <= min(values) * 1.000001 and axis.high >= max(values) * 0.999999
        ticks = axis.ticks()
        assert 2 <= len(ticks) <= 8
        assert ticks == sorted(set(ticks))
        places = [axis(tick) for tick in ticks]
        assert all(100 <= place <= 500.001 for place in places)
        assert all(b - a >= 25 for a, b in zip(places, places[1:], strict=False))
        assert all(len(plain(tick).replace(",", "").strip("0.").replace(".", "")) <= 5 for tick in ticks)


def test_axes_by_hand() -> None:
    assert Axis([31.65, 34.49], 0, 1).ticks() == [31, 32, 33, 34, 35]
    assert Axis([3, 50.73], 0, 1).ticks() == [0, 20, 40, 60]
    assert Axis([0], 0, 1).ticks()[0] == 0
    assert Axis([-3, 7], 0, 100)(2) == 50
    assert LogAxis([113, 4094], 0, 1).ticks() == [100, 1000]
    assert LogAxis([23, 107], 0, 1).ticks() == [20, 50, 100, 200]
    assert LogAxis([1, 100], 0, 100)(10) == 50
    assert 0 < Axis([7, 7], 0, 1)(7) < 1


def places(drawing: str) -> list[tuple[float, float]]:
    joined = re.search(r'points="([^"]*)"', drawing)
    assert joined
    return [(float(x), float(y)) for x, y in (one.split(",") for one in joined[1].split())]


@pytest.mark.parametrize("log", [False, True])
def test_lines_stay_in_their_area_and_keep_their_order(log: bool) -> None:
    points = [(1.0, 4.0), (2.0, math.nan), (10.0, 40.0), (100.0, 400.0)]
    drawn = lines([Line("a", "blue", points)], "l", Scale("time, s", log), Scale("MiB", log), width=300, height=200)
    found = places(drawn)
    assert len(found) == 3 and "nan" not in drawn
    assert found == sorted(found) and [y for _, y in found] == sorted((y for _, y in found), reverse=True)
    assert all(0 < x < 300 and 0 < y < 200 for x, y in found)
    if log:
        (ax, ay), (bx, by), (cx, cy) = found
        assert bx - ax == pytest.approx(cx - bx, abs=0.2) and ay - by == pytest.approx(by - cy, abs=0.2)
    assert ">time, s</text>" in drawn and ">MiB</text>" in drawn


def test_nothing_to_draw_is_said() -> None:
    drawn = lines([Line("a", "blue", [(1, math.nan)])], "l", Scale(""), Scale(""), width=300, height=200)
    assert "nothing was sampled" in drawn
    assert "<svg" in bars([], "l", "us") and "<svg" in percentiles([], "l", "us")


def test_bars_are_as_long_as_their_values() -> None:
    rows = [Bar("a", "blue", 10, 9, 12), Bar("b", "grey", 20, 20, 20), Bar("c", "grey", 900, 1, 950)]
    drawn = bars(rows, "l", "us", cut=20)
    short, long, cut = (float(width) for width in re.findall(r'<rect [^>]*width="([\d.]+)"', drawn))
    assert 2 * short == pytest.approx(long) and cut == long
    assert drawn.count("»") == 1 and drawn.count('class="whisker"') == 3


def test_text_is_escaped_wherever_it_comes_in() -> None:
    rows = [Bar(NASTY, "blue", 1, 1, 2, NASTY)]
    drawings = [
        bars(rows, NASTY, NASTY),
        percentiles([(NASTY, "blue", [1, 2, 3, 4])], NASTY, NASTY),
        lines([Line(NASTY, "blue", [(1, 2), (2, 3)]), Line(NASTY, "blue", [(1, 2)], "dots", [3])], NASTY, Scale(NASTY),
              Scale(NASTY, say=lambda _: NASTY), width=300, height=200),
    ]  # fmt: skip
    cells = table([NASTY], [row(NASTY, html(NASTY), words=1)])
    parts = [*section(NASTY, key(("blue", NASTY)), bullets([NASTY])), cells, figure(NASTY, drawings[0], NASTY)]
    whole = page(NASTY, NASTY, [*parts, *drawings])
    assert NASTY not in whole and "&amp;lt;" not in whole
    assert not re.search(r"https?:|src=|<script|@import|url\(", whole)
    assert isinstance(html("a"), Html) and html(html("<")) == "&lt;"


# --- columns


def tops(drawing: list[str]) -> list[tuple[float, float, float]]:
    """Of every column: where it begins, how wide it is, and how high."""
    found = (re.search(r'<rect x="(.*?)" y=".*?" width="(.*?)" height="(.*?)"', part) for part in drawing)
    return [(float(one[1]), float(one[2]), float(one[3])) for one in found if one]


def test_columns_are_as_high_as_the_logarithms_of_their_values() -> None:
    group = [Column("a", "blue", 1, 1, 1), Column("b", "grey", 10, 9, 11), Column("c", "grey", 100, 100, 100)]
    (_, wide, first), (_, _, second), (_, _, third) = tops(columns([("x", group)], 300, 20, 200))
    assert second - first == pytest.approx(third - second, rel=0.02) and wide > 10
    assert third < 200 - 20


def test_one_that_is_missing_leaves_a_gap() -> None:
    whole = [Column(name, "blue", 2, 1, 3) for name in "abc"]
    found = tops(columns([("x", whole), ("y", [whole[0], whole[2]])], 300, 20, 200))
    (a, wide, _), _, (c, _, _), (a2, wide2, _), (c2, _, _) = found
    assert c - a == pytest.approx(c2 - a2, abs=0.2) and wide == wide2


def test_a_picture_stands_alone() -> None:
    drawn = picture(NASTY, [(NASTY, [Column(NASTY, "blue", 2, 1, 3)])], [NASTY], NASTY)
    assert NASTY not in drawn and "var(" not in drawn
    whole = ElementTree.fromstring(drawn)
    assert whole.get("data-source") == NASTY and whole.get("aria-label") == NASTY
    size = [float(value) for value in (whole.get("viewBox") or "").split()][2:]
    assert size == [float(whole.get("width") or 0), float(whole.get("height") or 0)]
    for one in whole.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 <= float(one.get("x") or 0) <= size[0] and 0 <= float(one.get("y") or 0) <= size[1]
    assert picture("t", [], [], "s")


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_of_its_result(path: Path) -> None:
    source = ElementTree.fromstring(path.read_text()).get("data-source") or ""
    drawn = draw(load_result(ROOT / source), source)
    assert path.read_text() == drawn, f"run python -m bench.run plot {source} -o {path.relative_to(ROOT)}"


def test_readme_shows_a_picture_of_figures() -> None:
    shown = re.findall(r"!\[[^\]]*\]\((\S+\.svg)\)", (ROOT / "README.md").read_text())
    assert {ROOT / one for one in shown} >= set(PICTURES) and PICTURES


def test_page_of_the_faults() -> None:
    phase = dict.fromkeys(report.PHASE_COUNTS, 0) | {"phase": "during", "latency_ms": {"n": 5, "p50": 1.0, "p99": 2.5}}
    one = Row("fin", "epoll", 3, NASTY, phases=[phase | {"statuses": {}}], neighbour=[phase])
    one.check("x < 1", False, NASTY)
    whole = report.page([one], 3, 9)
    assert NASTY not in whole and "0 of 1 rows are met" in whole
    assert whole.count("<svg") == 1 and ">2.50</text>" in whole
    assert 'href="#fin-epoll"' in whole and 'id="fin-epoll"' in whole
