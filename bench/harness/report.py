"""Results on a terminal: one table for each point, what was asked, what was counted, what failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.draw.axis import short
from bench.harness.measure import Sample
from bench.harness.spread import BUSY, Spread, cell, choose_base, failures, good, notes, ratio_text, spread
from bench.harness.suites import Verdict, best_layer4, best_layer7, verdicts


def print_result(console: Console, result: dict[str, Any], base: str = "") -> None:
    """All of it, then what to keep in mind about it."""
    samples: list[Sample] = result["samples"]
    rivals: list[str] = result["options"]["rivals"]
    base = choose_base(rivals, base)
    for point in result["options"]["points"]:
        console.print(_point_table(result, samples, point, rivals, base))
    if any(one["what"] not in COLUMNS for one in result.get("measures", ())):
        console.print(_measures_table(result["measures"]))
    judged = verdicts(result)
    if judged:
        console.print(_verdicts_table(judged))
    for note in notes(result, base):
        console.print(escape(note), soft_wrap=True)
    for failure in failures(result):
        console.print(failure, style="red", markup=False, soft_wrap=True)


def _verdicts_table(judged: Sequence[Verdict]) -> Table:
    asked = any(one.asked for one in judged)
    title = "asked and reached" if asked else "ratios"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for heading in ("what", "asked", "reached", "met") if asked else ("what", "reached"):
        table.add_column(heading, no_wrap=heading != "what")
    for one in judged:
        colour = {"yes": "green", "no": "red"}.get(one.word, "none")
        end = (one.asked, one.reached, f"[{colour}]{one.word}[/]") if asked else (one.reached,)
        table.add_row(one.what, *end)
    return table


def _measures_table(measures: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="measured apart", title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for heading in ("proxy", "what", "at"):
        table.add_column(heading, no_wrap=True)
    table.add_column("median, range", justify="right", no_wrap=True)
    table.add_column("unit", no_wrap=True)
    for one in sorted(measures, key=lambda one: (one["what"], one["point"])):
        if one["what"] in COLUMNS:
            continue
        value = Spread.of(one["values"]) if one["values"] else None
        text = "failed" if value is None else value.text() if len(one["values"]) > 1 else short(value.median)
        table.add_row(one["rival"], one["what"], one["point"], text, one["unit"])
    return table


COLUMNS = ("system calls a call", "instructions a call")  # measures that stand beside the samples of their point


def counted(result: dict[str, Any], what: str, point: str, rival: str) -> str:
    """A figure that was taken apart from the samples, or nothing."""
    for one in result.get("measures", ()):
        if (one["what"], one["point"], one["rival"]) == (what, point, rival) and one["values"]:
            return short(one["values"][0])
    return ""


HEADINGS = ("CPU us/call", "ratio", "calls/s", "p50 us", "p99 us", "p99.9 us", "max us", "busy", "RSS MiB", "syscalls",
            "instr.", "load us", "backend us")  # fmt: skip


def _point_table(
    result: dict[str, Any], samples: Sequence[Sample], point: str, rivals: Sequence[str], base: str
) -> Table:
    relay, best = best_layer4(result, point), best_layer7(result, point)
    title = point + (f"   best layer-4 relay: {relay}" if relay else "") + (f"   best rival: {best}" if best else "")
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    table.add_column("proxy", no_wrap=True)
    for heading in HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    base_cells = cell(samples, point, base)
    for rival in rivals:
        cells = cell(samples, point, rival)
        if not cells:
            table.add_row(rival, "[red]failed[/]")
            continue
        cpu, busy = spread(cells, "cpu_us"), spread(cells, "busy")
        rate = short(spread(cells, "calls_per_s").median)
        table.add_row(
            rival,
            cpu.text(),
            "1" if rival == base else ratio_text(cpu, spread(base_cells, "cpu_us")) if base_cells else "",
            rate if busy.median >= BUSY else f"[dim]({rate})[/]",
            short(spread(cells, "p50_us").median),
            spread(cells, "p99_us").text(),
            short(spread(cells, "p99_9_us").median),
            short(spread(cells, "max_us").high),
            f"{busy.median:.0%}",
            short(spread(cells, "rss_mib").high),
            *(counted(result, what, point, rival) for what in COLUMNS),
            short(spread(cells, "load_us").median),
            short(spread(cells, "backend_us").median),
        )
    return table


FACTS_THAT_MATTER = ("cpu", "cpus", "kernel", "machine")
OPTIONS_THAT_MATTER = ("payload", "attach", "trace", "serialization", "messages")


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
