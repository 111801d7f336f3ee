"""The curves as one HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.draw import page as pages
from bench.draw.page import Html, key, paragraph, section, tag
from bench.draw.plot import Line, Scale, lines
from bench.growth.fit import Curve, Fit

ABOUT = {
    "services": "Services in the table, 20 to an application of 8 instances; a lookup is of one drawn at random.",
    "labels": "Values of the routing label in one application, each carried by one instance; 20 services.",
    "endpoints": "Instances of one application without a label; 20 services.",
    "connections": "Callers' connections to the engine; CPU time of the engine's turns, over loopback TCP.",
    "message": "Bytes of a request's argument and of its answer; one connection, CPU time of the engine's turns.",
    "streams": "Streams of one HTTP/2 connection; gRPC calls of 100 bytes, CPU time of the engine's turns.",
    "header_bytes": "Bytes of one field beside the ten of a gRPC call; 16 calls at once.",
    "header_count": "Fields of 16 bytes beside the ten of a gRPC call; 16 calls at once.",
}
UNIT = {
    "ns": ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1, "ns")),
    "bytes": ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")),
}
COUNT = ((1e6, "M"), (1e3, "k"), (1, ""))

#: What each size counts, for the axis.
SIZE = {
    "services": "services", "labels": "label values", "endpoints": "instances", "connections": "connections",
    "message": "bytes", "streams": "streams", "header_bytes": "bytes", "header_count": "fields",
}  # fmt: skip


def page(curves: Sequence[Curve], facts: dict[str, Any]) -> str:
    """The whole page."""
    told = ("date", "revision", "cpu", "kernel", "compiler")
    parts = [
        paragraph(
            "Both axes are logarithmic. A dot is the least of the rounds, the bar reaches to their median, the dashed "
            "line is the fit to the dots, the solid one the fit to the larger half of the sizes. An exponent of 0 "
            "means that size does not matter, 1 that twice the size costs twice as much."
        ),
        key(("blue", "measured"), ("orange", "fitted")),
    ]
    for axis in dict.fromkeys(curve.axis for curve in curves):
        drawn = (_figure(curve) for curve in curves if curve.axis == axis)
        parts += section(axis, paragraph(ABOUT[axis]), tag("div", "plots", *drawn))
    return pages.page("How cost grows", " · ".join(str(facts[one]) for one in told if one in facts), parts)


def _figure(curve: Curve) -> Html:
    whole, tail = curve.whole(), curve.tail()
    verdict = tag("span", "no", "grows faster than expected") if curve.surprise() else "as expected"
    said = [f"exponent {exponent(whole)}, larger half {exponent(tail)}; expected {curve.expected:g}: ", verdict]
    note = [Html("<br>"), tag("span", "faint", curve.note)] if curve.note else []
    return pages.figure(curve.measure, _drawing(curve, whole, tail), *said, *note)


def _drawing(curve: Curve, whole: Fit, tail: Fit) -> Html:
    def fitted(one: Fit, name: str, first: float, kind: str) -> Line:
        ends = (first, curve.points[-1][0])
        return Line(name, "orange", [(x, one.scale * x**one.exponent) for x in ends], kind)

    dots = [(x, low) for x, low, _, _ in curve.points]
    drawn = [
        fitted(whole, "fit", dots[0][0], "dashed"),
        fitted(tail, "fit of the larger half", dots[-curve.half()][0], "line"),
        Line("measured", "blue", dots, "dots", [middle for _, _, middle, _ in curve.points]),
    ]
    across = Scale(SIZE[curve.axis], True, lambda value: figure(value, COUNT))
    up = Scale("memory" if curve.unit == "bytes" else "time", True, lambda value: figure(value, UNIT[curve.unit]))
    return lines(drawn, f"{curve.measure} over {curve.axis}", across, up, width=372, height=250)


def figure(value: float, units: Sequence[tuple[float, str]]) -> str:
    """A number in the unit that keeps it short."""
    size, name = next((one for one in units if value >= one[0] * 0.9995), units[-1])
    value /= size
    return f"{value:.3g}{' ' if len(units) > 3 else ''}{name}" if value < 1000 else f"{value:,.0f} {name}"


def exponent(one: Fit) -> str:
    """An exponent with its error."""
    return f"{one.exponent:.2f} ± {one.error:.2f}"
