"""The curves as one HTML page with its drawings inside it: nothing is fetched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from bench.growth.fit import Curve, Fit

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 230, 58, 12, 12, 34

ABOUT = {
    "services": "Services in the table, 20 to an application of 8 instances; a lookup is of one drawn at random.",
    "labels": "Values of the routing label in one application, each carried by one instance; 20 services.",
    "endpoints": "Instances of one application without a label; 20 services.",
    "connections": "Callers' connections to the engine; CPU time of the engine's turns, over loopback TCP.",
    "message": "Bytes of a request's argument and of its answer; one connection, CPU time of the engine's turns.",
}
UNIT = {
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")),
    "bytes": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")),
}
COUNT = ((1e6, "M"), (1e3, "k"), (1, ""))

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1c2733; --soft: #66727f; --grid: #dfe4ea; --dot: #1769aa;
  --fit: #c05621; --bad: #b42318 }
@media (prefers-color-scheme: dark) { :root { --paper: #14191f; --ink: #dfe6ee; --soft: #93a0ae; --grid: #2b343e;
  --dot: #6cb2eb; --fit: #f0a36b; --bad: #ff8a80 } }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1160px; padding: 0 1rem;
  background: var(--paper); color: var(--ink) }
h2 { margin: 2.2rem 0 0 } p { margin: .3rem 0 .8rem; color: var(--soft) }
.row { display: flex; flex-wrap: wrap; gap: 1.2rem } figure { margin: 0; width: 360px }
figcaption { font-size: 13px } .soft { color: var(--soft) } .bad { color: var(--bad); font-weight: 600 }
svg { display: block; width: 100%; height: auto } text { fill: var(--soft); font: 11px system-ui, sans-serif }
.grid { stroke: var(--grid) } .fit { stroke: var(--fit); stroke-width: 1.5; fill: none; stroke-dasharray: 5 4 }
.tail { stroke: var(--fit); stroke-width: 1.5 } .bar { stroke: var(--dot); stroke-width: 1.5; opacity: .55 }
.dot { fill: var(--dot) }
"""


def page(curves: Sequence[Curve], facts: dict[str, Any]) -> str:
    """The whole page."""
    told = ("date", "revision", "cpu", "kernel", "compiler")
    said = " · ".join(escape(str(facts[key])) for key in told if key in facts)
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>meshfast: how cost grows</title>',
        f"<style>{STYLE}</style><h1>How cost grows</h1><p>{said}</p>",
        "<p>Both axes are logarithmic. A dot is the least of the rounds, the bar reaches to their median, the dashed "
        "line is the fit to the dots, the solid one the fit to the larger half of the sizes. An exponent of 0 means "
        "that size does not matter, 1 that twice the size costs twice as much.</p>",
    ]
    for axis in dict.fromkeys(curve.axis for curve in curves):
        drawn = "".join(_figure(curve) for curve in curves if curve.axis == axis)
        parts.append(f'<h2>{axis}</h2><p>{ABOUT[axis]}</p><div class="row">{drawn}</div>')
    return "\n".join(parts) + "</html>\n"


def _figure(curve: Curve) -> str:
    whole, tail = curve.whole(), curve.tail()
    verdict = '<span class="bad">grows faster than expected</span>' if curve.surprise() else "as expected"
    note = f'<br><span class="soft">{escape(curve.note)}</span>' if curve.note else ""
    said = f"exponent {exponent(whole)}, larger half {exponent(tail)}; expected {curve.expected:g}: {verdict}{note}"
    drawn = _svg(curve, whole, tail)
    return f"<figure>{drawn}<figcaption><b>{curve.measure}</b>: {said}</figcaption></figure>"


def _svg(curve: Curve, whole: Fit, tail: Fit) -> str:
    xs = [x for x, *_ in curve.points]
    ys = [y for _, low, middle, _ in curve.points for y in (low, middle)]
    across = _Scale(xs, LEFT, WIDTH - RIGHT)
    up = _Scale(ys, HEIGHT - BOTTOM, TOP)
    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{curve.measure} over {curve.axis}">']
    for value in up.ticks():
        y = up(value)
        out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{figure(value, UNIT[curve.unit])}</text>')
    for value in across.ticks():
        x = across(value)
        out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        out.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 15}" text-anchor="middle">{figure(value, COUNT)}</text>')
    for line, kind, first in ((whole, "fit", xs[0]), (tail, "tail", xs[-curve.half()])):
        ends = [f"{across(x):.1f},{up(line.scale * x**line.exponent):.1f}" for x in (first, xs[-1])]
        out.append(f'<polyline class="{kind}" points="{" ".join(ends)}"/>')
    for x, low, middle, _ in curve.points:
        at = f"{across(x):.1f}"
        out.append(f'<line class="bar" x1="{at}" x2="{at}" y1="{up(low):.1f}" y2="{up(middle):.1f}"/>')
        out.append(f'<circle class="dot" cx="{at}" cy="{up(low):.1f}" r="3.2"/>')
    return "".join(out) + "</svg>"


class _Scale:
    """A logarithmic axis: whole decades, at least one."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low, self.high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        self.high = max(self.high, self.low + 1)
        self.start, self.end = start, end

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0), 1) * (self.end - self.start)

    def ticks(self) -> list[float]:
        return [10.0**i for i in range(self.low, self.high + 1)]


def figure(value: float, units: Sequence[tuple[float, str]]) -> str:
    """A number in the unit that keeps it short."""
    size, name = next((one for one in units if value >= one[0] * 0.9995), units[-1])
    value /= size
    return f"{value:.3g}{' ' if len(units) > 3 else ''}{name}" if value < 1000 else f"{value:,.0f} {name}"


def exponent(one: Fit) -> str:
    """An exponent with its error."""
    return f"{one.exponent:.2f} ± {one.error:.2f}"
