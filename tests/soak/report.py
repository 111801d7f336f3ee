"""A run as one page of HTML that needs nothing beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from bench.draw import page as pages
from bench.draw.page import Html, figure, key, paragraph, row, section, table, tag
from bench.draw.plot import Line, Scale, lines
from soak.judge import MIB, WARMUP
from soak.side import Sample

#: What is drawn: title, unit, and each line's name, key, divisor, and whether its growth a second is meant.
PLOTS: tuple[tuple[str, str, tuple[tuple[str, str, float, bool], ...]], ...] = (
    ("memory", "MiB", (("RSS", "rss", MIB, False), ("PSS", "pss", MIB, False))),
    ("allocated", "MiB", (("malloc", "allocated", MIB, False),)),
    ("free in malloc's heaps", "MiB", (("free", "free", MIB, False),)),
    ("Python objects", "thousands", (("objects", "objects", 1000, False),)),
    ("open descriptors", "count", (("all", "fds", 1, False), ("connections apart", "fds_apart", 1, False))),
    ("calls", "1/s", (("begun", "asked_begun", 1, True), ("answered", "asked_right", 1, True))),
    ("errors (providers are being killed)", "1/s", (("errors", "asked_errors", 1, True),)),
    ("calls in flight", "count", (("in the proxy", "calls_active", 1, False),)),
    ("connections", "count", (("down", "downstream_active", 1, False), ("up", "upstream_active", 1, False))),
    ("replaced parts of tables not yet freed", "count", (("waiting", "table_retired", 1, False),)),
    ("lost, crossed, doubled", "calls", (("lost", "asked_lost", 1, False), ("crossed", "asked_crossed", 1, False),
                                         ("twice", "asked_twice", 1, False))),
)  # fmt: skip
COLOURS = ("blue", "orange", "red")
LONG = 600.0  # seconds, from which on the axis counts minutes


def series(samples: Sequence[Sample], key: str, divisor: float, growth: bool) -> list[tuple[float, float]]:
    """The points of one line."""
    if not growth:
        return [(s["at"], s[key] / divisor) for s in samples if not math.isnan(s[key])]
    pairs = zip(samples, samples[1:], strict=False)
    return [(b["at"], (b[key] - a[key]) / divisor / max(b["at"] - a["at"], 1e-3)) for a, b in pairs]


def plot(title: str, measure: str, named: Sequence[tuple[str, list[tuple[float, float]]]]) -> Html:
    """One figure: lines over time, the warm-up shaded."""
    last = max((x for _, points in named for x, _ in points), default=0.0)
    unit, across = (60.0, "time, min") if last > LONG else (1.0, "time, s")
    drawn = [
        Line(name, colour, [(x / unit, y) for x, y in points])
        for (name, points), colour in zip(named, COLOURS, strict=False)
    ]
    shade = WARMUP * last / unit
    drawing = lines(drawn, title, Scale(across), Scale(measure), width=580, height=220, shade=shade)
    return figure(title, drawing, legend=key(*((line.colour, line.name) for line in drawn)))


def side(name: str, found: dict[str, Any], samples: Sequence[Sample]) -> list[Html]:
    """The section of one proxy."""
    claims = [
        row(tag("span", "yes" if holds else "no", "holds" if holds else "not so"), text, words=2)
        for text, holds in found["claims"]
    ]
    plots = (
        plot(title, measure, [(line[0], series(samples, *line[1:])) for line in named])
        for title, measure, named in PLOTS
    )
    return section(name, table(("", "claim"), claims, words=2), tag("div", "plots", *plots))


def page(result: dict[str, Any], samples: dict[str, Sequence[Sample]]) -> str:
    """The whole page."""
    facts = result["facts"]
    lead = f"{result['minutes']:g} minutes, {facts['revision']}, {facts['machine']}, Linux {facts['kernel']}"
    sides = (part for name, found in result["sides"].items() for part in side(name, found, samples[name]))
    return pages.page("meshfast soak", lead, [paragraph("Shaded: warm-up, which the slopes leave out."), *sides])
