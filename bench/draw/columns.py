"""Groups of columns over one logarithmic axis, and a drawing that stands alone as an SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bench.draw.axis import LogAxis, plain, short
from bench.draw.page import COLOURS, INK, SOFT, Html

LEFT, RIGHT, BOTTOM = 52, 12, 24  # around the area of the columns
GAP = 0.16  # of a group's width, on its either side
HEAD, ROW = 24, 17  # heights of the title, and of a line of text
# Plain colours by plain rules: not only browsers draw it.
STYLE = f"""text {{ font-family: system-ui, "DejaVu Sans", sans-serif; font-size: 12px; fill: {INK}; }}
.axis {{ font-size: 11px; fill: {SOFT}; }} .figure {{ font-size: 9.5px; }}
.title {{ font-size: 16px; font-weight: 600; }}
.grid {{ stroke: #e8ecf0; }} .whisker {{ stroke: #10202f; }}
""" + " ".join(f".{name} {{ fill: {value}; }}" for name, value in COLOURS.items())


@dataclass(frozen=True, slots=True)
class Column:
    """One thing in a group: its name, its colour, its value, and the least and the most of it."""

    name: str
    colour: str
    value: float
    low: float
    high: float


def _text(x: float, y: float, text: str, kind: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'


def columns(groups: Sequence[tuple[str, Sequence[Column]]], width: int, top: int, bottom: int) -> list[str]:
    """The parts of the drawing between two heights. A column begins at the foot of the axis, which is not 0: what
    compares is the height of its end."""
    values = [value for _, group in groups for one in group for value in (one.low, one.high) if value > 0]
    foot = bottom - BOTTOM
    axis = LogAxis(values or [1.0], foot, top)
    out = []
    for value in axis.ticks():
        y = axis(value)
        out.append(f'<line x1="{LEFT}" y1="{y:.1f}" x2="{width - RIGHT}" y2="{y:.1f}" class="grid"/>')
        out.append(_text(LEFT - 7, y + 4, plain(value), "axis", "end"))
    names = list(dict.fromkeys(one.name for _, group in groups for one in group))  # one that is missing leaves a gap
    wide = (width - LEFT - RIGHT) / max(len(groups), 1)
    each = wide * (1 - GAP) / max(len(names), 1)
    for i, (title, group) in enumerate(groups):
        start = LEFT + wide * (i + GAP / 2)
        out.append(_text(start + wide * (1 - GAP) / 2, bottom - 6, title, "name"))
        for one in group:
            out += _column(one, axis, start + each * names.index(one.name), each, foot)
    return out


def _column(one: Column, axis: LogAxis, x: float, width: float, foot: float) -> list[str]:
    y, middle = axis(one.value), x + width / 2
    hint = f"<title>{escape(f'{one.name}: {short(one.value)} ({short(one.low)} to {short(one.high)})')}</title>"
    box = f'x="{x + 1:.1f}" y="{y:.1f}" width="{width - 2:.1f}" height="{max(foot - y, 1):.1f}"'
    least, most = axis(one.low), axis(one.high)
    return [
        f'<rect {box} class="{one.colour}">{hint}</rect>',
        f'<line x1="{middle:.1f}" y1="{least:.1f}" x2="{middle:.1f}" y2="{most:.1f}" class="whisker"/>',
        _text(middle, most - 4, short(one.value), "figure"),
    ]


def picture(
    title: str, groups: Sequence[tuple[str, Sequence[Column]]], said: Sequence[str], source: str,
    width: int = 940, height: int = 360,
) -> Html:  # fmt: skip
    """A whole SVG file: title, what the colours mean, the columns, and what is said to them. ``source``: where its
    figures are, which a test looks for."""
    key, x, top = [], float(LEFT), HEAD + ROW
    for name, colour in dict.fromkeys((one.name, one.colour) for _, group in groups for one in group):
        key.append(f'<rect x="{x:.1f}" y="{top - 10}" width="11" height="11" rx="2" class="{colour}"/>')
        key.append(_text(x + 16, top, name, "axis", "start"))
        x += 34 + 6.4 * len(name)
    bottom = top + height
    whole = bottom + ROW * len(said) + 6
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" width="{width}" height="{whole}" '
        f'role="img" aria-label="{escape(title)}" data-source="{escape(source)}">',
        f"<style>\n{STYLE}\n</style>",
        f'<rect width="{width}" height="{whole}" fill="#fff"/>',
        _text(LEFT, HEAD - 6, title, "title", "start"),
        *key,
        *columns(groups, width, top + ROW * 2, bottom),
        *(_text(LEFT, bottom + ROW * (i + 1) - 3, line, "axis", "start") for i, line in enumerate(said)),
        "</svg>",
    ]
    return Html("\n".join(parts) + "\n")
