"""A result as one picture: CPU per call of every proxy at every point, on a logarithmic axis."""

from __future__ import annotations

from itertools import count
from typing import Any

from bench.draw.columns import Column, picture
from bench.draw.page import Html
from bench.harness.measure import Sample
from bench.harness.rivals import RIVALS
from bench.harness.spread import cell, notes, spread

OURS = ("blue", "sky")
OTHERS = ("green", "orange", "violet", "red", "grey", "brown")
NOT_SHOWN = ("direct",)  # no proxy


def draw(result: dict[str, Any], source: str) -> Html:
    """:raises KeyError: the result has no figures of calls"""
    samples: list[Sample] = result["samples"]
    facts, options = result["facts"], result["options"]
    shown = {name: colour for name, colour in _colours(options["rivals"]).items() if name not in NOT_SHOWN}
    groups, failed = [], []
    for point in options["points"]:
        found = {name: cell(samples, point, name) for name in shown}
        spreads = {name: spread(cells, "cpu_us") for name, cells in found.items() if cells}
        group = [Column(_name(n), shown[n], s.median, s.low, s.high) for n, s in spreads.items()]
        failed += [f"{_name(name)} at {point}" for name in shown if name not in spreads]
        groups.append((point.replace("x", " × "), group))
    what = "streams" if options.get("protocol") == "grpc" else "calls in flight"
    said = [
        f"Connections × {what} of each; us on a CPU for one call, logarithmic; less is better. Columns are medians of "
        f"{options['rounds']} rounds, lines the least and the most.",
        f"{facts['date'][:10]}, revision {facts['revision']}, {facts['cpu']}, {facts['cpus']} CPUs"
        f"{', virtual' if facts.get('virtual') else ''}, Linux {facts['kernel']}. {source}",
        *([f"No figure, as a round failed: {', '.join(failed)}."] if failed else []),
        *(note for note in notes(result, "") if note.startswith("Under") or "lost over" in note),
    ]
    calls = "gRPC" if options.get("protocol") == "grpc" else "Dubbo2"
    return picture(f"CPU per {calls} call, by proxy", groups, said, source)


def _name(rival: str) -> str:
    if rival.startswith(("meshfast", "relay")):
        return f"{rival.partition('-')[0]}, {'io_uring' if rival.endswith('uring') else 'epoll'}"
    return RIVALS[rival].what.partition(",")[0] if rival in RIVALS else rival


def _colours(rivals: list[str]) -> dict[str, str]:
    """Ours in blue, the others in turn."""
    ours, others = count(), count()
    return {
        name: OURS[next(ours) % len(OURS)] if name.startswith("meshfast") else OTHERS[next(others) % len(OTHERS)]
        for name in rivals
    }
