"""What samples mean: medians with their ranges, ratios where ranges do not overlap, and tables of them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.harness.measure import Sample

BUSY = 0.9  # below, the proxy was not the limit, so calls a second say nothing about it
LEAST = 3  # samples without which two figures are not told apart at all
ROUNDS = 7  # fewer do not show how far a figure spreads
NOISY = 0.05  # of a core used by strangers or stolen


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and most of some samples."""

    median: float
    low: float
    high: float
    n: int = LEAST

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def above(self, other: Spread) -> bool:
        """Greater beyond the ranges of both, which must be of enough samples to be ranges."""
        return min(self.n, other.n) >= LEAST and self.low > other.high

    def text(self) -> str:
        return f"{_short(self.median)} [dim]{_short(self.low)}–{_short(self.high)}[/]"


def _short(value: float) -> str:
    """Three digits, as many as are worth reading."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def ratio_text(value: Spread, base: Spread) -> str:
    """``value`` as a multiple of ``base``, or "≈" where a difference cannot be told."""
    if not (value.above(base) or base.above(value)) or not base.median:
        return "≈"
    return f"{value.median / base.median:.2f}x"


def good(samples: Sequence[Sample], point: str, rival: str) -> list[Sample]:
    """The samples of one cell in which every answer was right."""
    return [s for s in samples if s["point"] == point and s["rival"] == rival and "error" not in s]


def spread(samples: Sequence[Sample], key: str) -> Spread:
    return Spread.of([sample[key] for sample in samples])


def choose_base(rivals: Sequence[str], wanted: str = "") -> str:
    """Whom ratios refer to: the one asked for, else the first meshfast, else the first."""
    if wanted in rivals:
        return wanted
    return next((name for name in rivals if name.startswith("meshfast")), rivals[0])


def print_result(console: Console, result: dict[str, Any], base: str = "") -> None:
    """One table for each point, then what to keep in mind about them."""
    samples: list[Sample] = result["samples"]
    rivals: list[str] = result["options"]["rivals"]
    base = choose_base(rivals, base)
    for point in result["options"]["points"]:
        console.print(_point_table(samples, point, rivals, base))
    notes = [f"Ratios are CPU per call against {base}; ≈: ranges overlap, or there are under {LEAST} rounds."]
    notes.append(f"Calls a second in brackets: the proxy was under {BUSY:.0%} busy, so they are no measure of it.")
    if result["options"]["rounds"] < ROUNDS:
        notes.append(f"[yellow]Under {ROUNDS} rounds: the ranges are too narrow to believe the ratios.[/]")
    noisy = sum(1 for s in samples if s.get("foreign", 0) > NOISY or s.get("steal", 0) > NOISY)
    if noisy:
        notes.append(f"[yellow]{noisy} of {len(samples)} windows lost over {NOISY:.0%} of a core to others.[/]")
    for sample in samples:
        if "error" in sample:
            notes.append(f"[red]{sample['rival']} at {sample['point']}: {escape(sample['error'])}[/]")
    for note in dict.fromkeys(notes):
        console.print(note, soft_wrap=True)


def _point_table(samples: Sequence[Sample], point: str, rivals: Sequence[str], base: str) -> Table:
    table = Table(title=f"{point}", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("proxy", no_wrap=True)
    for heading in ("CPU us/call", "ratio", "calls/s", "p50 us", "p99 us", "busy", "RSS MiB", "load us", "backend us"):
        table.add_column(heading, justify="right", no_wrap=True)
    base_cells = good(samples, point, base)
    for rival in rivals:
        cells = good(samples, point, rival)
        failed = any(s["point"] == point and s["rival"] == rival and "error" in s for s in samples)
        if not cells or failed:
            table.add_row(rival, "[red]failed[/]")
            continue
        cpu, busy = spread(cells, "cpu_us"), spread(cells, "busy")
        rate = _short(spread(cells, "calls_per_s").median)
        table.add_row(
            rival,
            cpu.text(),
            "1" if rival == base else ratio_text(cpu, spread(base_cells, "cpu_us")) if base_cells else "",
            rate if busy.median >= BUSY else f"[dim]({rate})[/]",
            spread(cells, "p50_us").text(),
            spread(cells, "p99_us").text(),
            f"{busy.median:.0%}",
            _short(spread(cells, "rss_mib").high),
            _short(spread(cells, "load_us").median),
            _short(spread(cells, "backend_us").median),
        )
    return table


FACTS_THAT_MATTER = ("cpu", "cpus", "kernel", "machine")
OPTIONS_THAT_MATTER = ("payload", "attach", "trace")


def print_comparison(console: Console, old: dict[str, Any], new: dict[str, Any]) -> bool:
    """A table of both, for each rival and point in both; True when some CPU per call became worse beyond its range."""
    for part, keys in (("facts", FACTS_THAT_MATTER), ("options", OPTIONS_THAT_MATTER)):
        for key in keys:
            if old[part].get(key) != new[part].get(key):
                text = f"{key} differs: {old[part].get(key)} and {new[part].get(key)}; read ratios with care."
                console.print(f"[yellow]{text}[/]", soft_wrap=True)
    title = f"{old['facts']['revision']} → {new['facts']['revision']}"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("proxy", no_wrap=True)
    table.add_column("point", no_wrap=True)
    for heading in ("CPU us old", "CPU us new", "new/old", "p99 us old", "p99 us new", "new/old"):
        table.add_column(heading, justify="right", no_wrap=True)
    worse = False
    for rival in new["options"]["rivals"]:
        for point in new["options"]["points"]:
            before, after = good(old["samples"], point, rival), good(new["samples"], point, rival)
            if not before or not after:
                continue
            cpu = spread(before, "cpu_us"), spread(after, "cpu_us")
            p99 = spread(before, "p99_us"), spread(after, "p99_us")
            grew = cpu[1].above(cpu[0])
            worse = worse or grew
            mark = "red" if grew else "green" if cpu[0].above(cpu[1]) else "none"
            table.add_row(
                rival,
                point,
                cpu[0].text(),
                cpu[1].text(),
                f"[{mark}]{ratio_text(cpu[1], cpu[0])}[/]",
                p99[0].text(),
                p99[1].text(),
                ratio_text(p99[1], p99[0]),
            )
    if table.row_count:
        console.print(table)
    else:
        console.print("[yellow]The two results have no rival and point in common.[/]")
    return worse
