"""Two plots as inline SVG: bars with ranges, and percentiles on a logarithmic line. Text is escaped here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bench.harness.spread import Spread, short

NAME_W, PLOT_W, VALUE_W, ROW_H, TOP_H = 130, 430, 190, 24, 24
WIDTH = NAME_W + PLOT_W + VALUE_W
MARKS = ("p50", "p99", "p99.9", "max")


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: a name, its class for the colour, its value, and what is said beside it."""

    name: str
    kind: str
    value: Spread
    said: str = ""


def _open(rows: int, label: str) -> str:
    height = TOP_H + ROW_H * rows + 6
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    return f'<svg {size} role="img" aria-label="{escape(label)}">'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _steps(most: float) -> list[float]:
    """Round values from 0 to about ``most``, four or five of them."""
    size = 10 ** math.floor(math.log10(most)) if most > 0 else 1.0
    step = next(size * f for f in (0.1, 0.2, 0.25, 0.5, 1, 2, 5) if most / (size * f) <= 5)
    return [step * i for i in range(int(most / step) + 1)]


def bars(rows: Sequence[Bar], label: str, cut: float = 0.0) -> str:
    """Horizontal bars from 0; a whisker from the least to the most. With ``cut``, longer ones are broken off there."""
    most = max((row.value.high for row in rows), default=1.0)
    most = (min(most, cut) if cut else most) * 1.05 or 1.0
    out = [_open(len(rows), label)]
    bottom = TOP_H + ROW_H * len(rows)
    for step in _steps(most):
        x = NAME_W + step / most * PLOT_W
        out += [_line(x, TOP_H - 4, x, bottom, "grid"), _text(x, TOP_H - 9, f"{step:g}", "axis", "middle")]
    for i, row in enumerate(rows):
        y = TOP_H + ROW_H * i
        middle = y + ROW_H / 2
        length = min(row.value.median / most, 1.0) * PLOT_W
        out.append(_text(NAME_W - 8, middle + 4, row.name, f"name {row.kind}", "end"))
        box = f'x="{NAME_W}" y="{y + 4}" width="{max(length, 1):.1f}" height="{ROW_H - 9}" rx="2"'
        out.append(f'<rect {box} class="bar {row.kind}"/>')
        if row.value.median > most:
            out.append(_text(NAME_W + PLOT_W - 16, middle + 4, "»", "cut"))
        else:
            low, high = (NAME_W + min(v / most, 1.0) * PLOT_W for v in (row.value.low, row.value.high))
            y1 = middle - 0.5
            out += [_line(low, y1, high, y1, "whisker"), _line(low, y1 - 4, low, y1 + 4, "whisker")]
            out.append(_line(high, y1 - 4, high, y1 + 4, "whisker"))
        out.append(_text(NAME_W + PLOT_W + 10, middle + 4, short(row.value.median), "value"))
        out.append(_text(NAME_W + PLOT_W + 66, middle + 4, row.said, "said"))
    return "".join([*out, "</svg>"])


def percentiles(rows: Sequence[tuple[str, str, Sequence[float]]], label: str) -> str:
    """A line for each from p50 to the greatest, on a logarithmic scale of microseconds; a mark at each of ``MARKS``."""
    values = [v for _, _, row in rows for v in row if v > 0] or [1.0]
    low = math.floor(math.log10(min(values)))
    high = max(math.ceil(math.log10(max(values))), low + 1)

    def at(value: float) -> float:
        return NAME_W + (math.log10(max(value, 10**low)) - low) / (high - low) * PLOT_W

    out = [_open(len(rows), label)]
    bottom = TOP_H + ROW_H * len(rows)
    for power in range(low, high + 1):
        x = at(10**power)
        out += [_line(x, TOP_H - 4, x, bottom, "grid"), _text(x, TOP_H - 9, f"{10**power:,}", "axis", "middle")]
    for i, (name, kind, row) in enumerate(rows):
        y = TOP_H + ROW_H * i + ROW_H / 2
        out.append(_text(NAME_W - 8, y + 4, name, f"name {kind}", "end"))
        out.append(_line(at(row[0]), y, at(row[-1]), y, f"span {kind}"))
        for mark, value in zip(MARKS, row, strict=True):
            radius = {"p50": 5, "p99": 4, "p99.9": 3}.get(mark, 2)
            hint = f"<title>{escape(name)} {mark} {short(value)} us</title>"
            out.append(f'<circle cx="{at(value):.1f}" cy="{y:.1f}" r="{radius}" class="dot {kind}">{hint}</circle>')
        out.append(_text(NAME_W + PLOT_W + 10, y + 4, " / ".join(short(v) for v in row[:3]), "said"))
    return "".join([*out, "</svg>"])
