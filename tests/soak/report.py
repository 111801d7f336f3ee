"""A run as one page of HTML that needs nothing beside it."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from typing import Any

from soak.judge import MIB, WARMUP
from soak.side import Sample

WIDTH, HEIGHT, MARGIN = 720, 190, 56

STYLE = """
body { font: 14px/1.5 system-ui, sans-serif; max-width: 1500px; margin: 2em auto; padding: 0 1em; color: #222 }
h1 { font-size: 1.4em } h2 { font-size: 1.15em; margin-top: 2em }
.plots { display: flex; flex-wrap: wrap; gap: 1em } figure { margin: 0 } figcaption { font-weight: 600 }
td { padding: .1em .8em .1em 0; vertical-align: top } .no { color: #b00020; font-weight: 600 } .yes { color: #1b7f3b }
svg text { font: 11px system-ui, sans-serif; fill: #555 }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #ddd } svg text { fill: #aaa } }
"""

#: What is drawn: title, and each line's name, key, divisor, and whether its growth a second is meant.
PLOTS: tuple[tuple[str, tuple[tuple[str, str, float, bool], ...]], ...] = (
    ("memory, MiB", (("RSS", "rss", MIB, False), ("PSS", "pss", MIB, False))),
    ("allocated, MiB", (("malloc", "allocated", MIB, False),)),
    ("free in malloc's heaps, MiB", (("free", "free", MIB, False),)),
    ("Python objects, thousands", (("objects", "objects", 1000, False),)),
    ("open descriptors", (("all", "fds", 1, False), ("connections apart", "fds_apart", 1, False))),
    ("calls a second", (("begun", "asked_begun", 1, True), ("answered", "asked_right", 1, True))),
    ("errors a second (providers are being killed)", (("errors", "asked_errors", 1, True),)),
    ("calls in flight", (("in the proxy", "calls_active", 1, False),)),
    ("connections", (("down", "downstream_active", 1, False), ("up", "upstream_active", 1, False))),
    ("replaced parts of tables not yet freed", (("waiting", "table_retired", 1, False),)),
    ("lost, crossed, doubled", (("lost", "asked_lost", 1, False), ("crossed", "asked_crossed", 1, False),
                                ("twice", "asked_twice", 1, False))),
)  # fmt: skip
COLOURS = ("#2563eb", "#d97706", "#b00020")


def series(samples: Sequence[Sample], key: str, divisor: float, growth: bool) -> list[tuple[float, float]]:
    """The points of one line."""
    if not growth:
        return [(s["at"], s[key] / divisor) for s in samples if not math.isnan(s[key])]
    pairs = zip(samples, samples[1:], strict=False)
    return [(b["at"], (b[key] - a[key]) / divisor / max(b["at"] - a["at"], 1e-3)) for a, b in pairs]


def nice(value: float) -> str:
    """A tick's label."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"


def plot(title: str, lines: Sequence[tuple[str, list[tuple[float, float]]]]) -> str:
    """One figure: lines over time, the warm-up shaded."""
    points = [point for _, line in lines for point in line]
    if not points:
        return ""
    right = max(x for x, _ in points) or 1.0
    low, high = min(y for _, y in points), max(y for _, y in points)
    if high - low < 1:
        low, high = low - 0.5, high + 0.5
    low = 0.0 if 0 <= low < 0.5 * high else low

    def place(x: float, y: float) -> str:
        across = MARGIN + x / right * (WIDTH - MARGIN - 8)
        up = HEIGHT - 22 - (y - low) / (high - low) * (HEIGHT - 44)
        return f"{across:.1f},{up:.1f}"

    shade = WARMUP * (WIDTH - MARGIN - 8)
    out = [f'<figure><figcaption>{html.escape(title)}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">']
    out.append(f'<rect x="{MARGIN}" y="22" width="{shade:.1f}" height="{HEIGHT - 44}" fill="#8881"/>')
    for part in (0.0, 0.5, 1.0):
        y = low + part * (high - low)
        at = place(0, y).split(",")[1]
        out.append(f'<line x1="{MARGIN}" x2="{WIDTH - 8}" y1="{at}" y2="{at}" stroke="#8884"/>')
        out.append(f'<text x="{MARGIN - 6}" y="{float(at) + 4:.1f}" text-anchor="end">{nice(y)}</text>')
        x = place(part * right, low).split(",")[0]
        out.append(f'<text x="{x}" y="{HEIGHT - 6}" text-anchor="middle">{part * right:.0f} s</text>')
    for i, (name, line) in enumerate(lines):
        path = " ".join(place(x, y) for x, y in line)
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[i]}" stroke-width="1.3"/>')
        out.append(f'<text x="{MARGIN + 8 + 90 * i}" y="14" style="fill:{COLOURS[i]}">{html.escape(name)}</text>')
    out.append("</svg></figure>")
    return "".join(out)


def side(name: str, found: dict[str, Any], samples: Sequence[Sample]) -> str:
    """The section of one proxy."""
    rows = "".join(
        f'<tr><td class="{css}">{mark}</td><td>{html.escape(text)}</td></tr>'
        for text, holds in found["claims"]
        for css, mark in ([("yes", "holds")] if holds else [("no", "not so")])
    )
    plots = "".join(
        plot(title, [(line[0], series(samples, *line[1:])) for line in lines]) for title, lines in PLOTS
    )
    return f"<h2>{html.escape(name)}</h2><table>{rows}</table><div class=plots>{plots}</div>"


def page(result: dict[str, Any], samples: dict[str, Sequence[Sample]]) -> str:
    """The whole page."""
    facts = result["facts"]
    head = f"{result['minutes']:g} minutes, {facts['revision']}, {facts['machine']}, Linux {facts['kernel']}"
    sides = "".join(side(name, found, samples[name]) for name, found in result["sides"].items())
    return (
        "<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>meshfast soak</title><style>{STYLE}</style><h1>meshfast soak</h1><p>{html.escape(head)}</p>"
        f"<p>Shaded: warm-up, which the slopes leave out.</p>{sides}\n"
    )
