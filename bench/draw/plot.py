"""Plots as inline SVG: bars, percentiles and lines. Colours are classes of page.py; text is escaped here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from bench.draw.axis import Axis, LogAxis, plain, short
from bench.draw.page import Html

NAME_W, PLOT_W, VALUE_W, ROW_H, TOP_H = 130, 430, 240, 24, 24
ROWS_W = NAME_W + PLOT_W + VALUE_W
MARKS = {"p50": 5, "p99": 4, "p99.9": 3, "max": 2}  # the radius of each dot
LEFT, RIGHT, TOP, BOTTOM = 66, 24, 22, 38  # around the area of lines


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> Html:
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return Html(f'<svg {size} role="img" aria-label="{escape(label)}">{"".join(parts)}</svg>')


def _text(x: float, y: float, text: str, kind: str = "axis", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


def _dot(x: float, y: float, radius: float, colour: str, hint: str) -> str:
    title = f"<title>{escape(hint)}</title>"
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}" class="dot {colour}">{title}</circle>'


# --- rows: a name on the left, something drawn over one axis, and figures on the right


def _rows(axis: Axis, count: int, unit: str) -> list[str]:
    bottom = TOP_H + ROW_H * count
    out = [_text(NAME_W - 34, TOP_H - 9, unit, "axis", "end")]
    for value in axis.ticks():
        x = axis(value)
        out += [_line(x, TOP_H - 4, x, bottom, "grid"), _text(x, TOP_H - 9, plain(value), "axis", "middle")]
    return out


def _name(name: str, colour: str, middle: float) -> str:
    return _text(NAME_W - 8, middle + 4, name, f"name {colour}", "end")


@dataclass(frozen=True, slots=True)
class Bar:
    """One row: a name, its colour, its value, the least and the most of it, and what is said beside it."""

    name: str
    colour: str
    value: float
    low: float
    high: float
    said: str = ""


def bars(rows: Sequence[Bar], label: str, unit: str, cut: float = 0.0) -> Html:
    """Horizontal bars from 0; a whisker from the least to the most. With ``cut``, longer ones are broken off there."""
    most = max((row.high for row in rows), default=1.0)
    axis = Axis([0.0, (min(most, cut) if cut else most) or 1.0], NAME_W, NAME_W + PLOT_W)
    out = _rows(axis, len(rows), unit)
    for i, row in enumerate(rows):
        y = TOP_H + ROW_H * i
        middle = y + ROW_H / 2
        length = axis(row.value) - NAME_W
        box = f'x="{NAME_W}" y="{y + 4}" width="{max(length, 1):.1f}" height="{ROW_H - 9}" rx="2"'
        out += [_name(row.name, row.colour, middle), f'<rect {box} class="bar {row.colour}"/>']
        if row.value > axis.high:
            out.append(_text(NAME_W + PLOT_W - 16, middle + 4, "»", "cut"))
        elif row.low < row.high:
            low, high, at = axis(row.low), axis(row.high), middle - 0.5
            ends = [(low, at, high, at), (low, at - 4, low, at + 4), (high, at - 4, high, at + 4)]
            out += [_line(*end, "whisker") for end in ends]
        out.append(_text(NAME_W + PLOT_W + 16, middle + 4, short(row.value), "value"))
        out.append(_text(NAME_W + PLOT_W + 72, middle + 4, row.said, "said"))
    return _svg(ROWS_W, TOP_H + ROW_H * len(rows) + 6, label, out)


def percentiles(rows: Sequence[tuple[str, str, Sequence[float]]], label: str, unit: str) -> Html:
    """For each name and colour a dot at each of ``MARKS``, on a logarithmic axis."""
    values = [v for _, _, row in rows for v in row if v > 0] or [1.0]
    axis = LogAxis(values, NAME_W, NAME_W + PLOT_W)
    out = _rows(axis, len(rows), unit)
    for i, (name, colour, row) in enumerate(rows):
        y = TOP_H + ROW_H * i + ROW_H / 2
        out += [_name(name, colour, y), _line(axis(row[0]), y, axis(row[-1]), y, f"span {colour}")]
        for (mark, radius), value in zip(MARKS.items(), row, strict=True):
            out.append(_dot(axis(value), y, radius, colour, f"{name} {mark} {short(value)} {unit}"))
        out.append(_text(NAME_W + PLOT_W + 16, y + 4, " / ".join(short(v) for v in row[:3]), "said"))
    return _svg(ROWS_W, TOP_H + ROW_H * len(rows) + 6, label, out)


# --- lines


@dataclass(frozen=True, slots=True)
class Line:
    """Points in one colour: joined (``line``), joined by dashes (``dashed``), or each a dot (``dots``)."""

    name: str
    colour: str
    points: Sequence[tuple[float, float]]
    kind: str = "line"
    ends: Sequence[float] = ()  # of ``dots``: up to where each one's whisker goes


@dataclass(frozen=True, slots=True)
class Scale:
    """What an axis says: its title with the unit, whether it is logarithmic, and how its values are written."""

    title: str
    log: bool = False
    say: Callable[[float], str] = plain

    def axis(self, values: Sequence[float], start: float, end: float) -> Axis:
        return (LogAxis if self.log else Axis)(values, start, end)


def lines(
    drawn: Sequence[Line], label: str, across: Scale, up: Scale, *, width: int, height: int, shade: float | None = None
) -> Html:
    """All lines over the same axes. ``shade``: the area up to there is grey."""
    points = [point for line in drawn for point in line.points if math.isfinite(point[1])]
    if not points:
        return _svg(width, height, label, [_text(LEFT, TOP, "nothing was sampled")])
    right, bottom = width - RIGHT, height - BOTTOM
    x_axis = across.axis([x for x, _ in points], LEFT, right)
    y_axis = up.axis([y for _, y in points] + [end for line in drawn for end in line.ends], bottom, TOP)
    out = []
    if shade is not None:
        size = f'width="{x_axis(shade) - LEFT:.1f}" height="{bottom - TOP}"'
        out.append(f'<rect x="{LEFT}" y="{TOP}" {size} class="shade"/>')
    for value in y_axis.ticks():
        y = y_axis(value)
        out += [_line(LEFT, y, right, y, "grid"), _text(LEFT - 7, y + 4, up.say(value), "axis", "end")]
    for value in x_axis.ticks():
        x = x_axis(value)
        out += [_line(x, TOP, x, bottom, "grid"), _text(x, bottom + 16, across.say(value), "axis", "middle")]
    out.append(_text(0, 11, up.title))
    out.append(_text((LEFT + right) / 2, bottom + 32, across.title, "axis", "middle"))
    for line in drawn:
        out += _dots(line, x_axis, y_axis) if line.kind == "dots" else [_joined(line, x_axis, y_axis)]
    return _svg(width, height, label, out)


def _joined(line: Line, x_axis: Axis, y_axis: Axis) -> str:
    places = " ".join(f"{x_axis(x):.1f},{y_axis(y):.1f}" for x, y in line.points if math.isfinite(y))
    hint = f"<title>{escape(line.name)}</title>"
    return f'<polyline points="{places}" class="line {line.colour} {line.kind}">{hint}</polyline>'


def _dots(line: Line, x_axis: Axis, y_axis: Axis) -> list[str]:
    out = []
    for i, (x, y) in enumerate(line.points):
        if line.ends:
            out.append(_line(x_axis(x), y_axis(y), x_axis(x), y_axis(line.ends[i]), f"span {line.colour}"))
        out.append(_dot(x_axis(x), y_axis(y), 3.2, line.colour, line.name))
    return out
