"""What the rows found: a table for the terminal, JSON for machines, one HTML page for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.draw import page as pages
from bench.draw.page import Html, figure, html, paragraph, table, tag
from bench.draw.page import row as line
from bench.draw.plot import Bar, bars
from bench.harness.facts import machine_facts
from faults.verdict import Row, failed

FORMAT = 1
COLUMNS = (
    "fault", "loop", "s", "sent", "right", "errors", "lost", "crossed", "neighbour p99 ms", "RSS MiB", "demands", "met",
)  # fmt: skip
PHASE_COUNTS = ("phase", "sent", "right", "errors", "cut", "lost", "crossed", "misrouted")


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def cells(row: Row) -> tuple[str, ...]:
    """A row as text, in the order of COLUMNS; pairs are before > during, and RSS is before > most > after."""
    statuses = ", ".join(f"{status}: {count:,}" for status, count in row.statuses.items())
    mib = " > ".join(f"{value / 2**20:.0f}" for value in (row.rss_before, row.rss_peak, row.rss_after))
    met = sum(not check.bad for check in row.checks)
    return (
        row.fault,
        row.loop,
        f"{row.seconds:g}",
        f"{row.total('sent'):,}",
        f"{row.total('right'):,}",
        statuses or "0",
        f"{row.lost:,}",
        f"{row.crossed:,}",
        f"{_ms(row.p99('before'))} > {_ms(row.p99('during'))}" if row.neighbour else "-",
        mib if row.rss_before else "-",
        f"{met} of {len(row.checks)}",
        "yes" if row.met else "NO",
    )


def print_row(console: Console, row: Row, took: float) -> None:
    """As soon as it is over: one line, and what is not met."""
    colour = "green" if row.met else "red"
    found = ", ".join(f"{status}: {count}" for status, count in row.statuses.items()) or "no errors"
    console.print(
        f"[{colour}]{'met' if row.met else 'NOT MET'}[/] {row.fault} {row.loop}: {row.total('sent'):,} calls, {found}, "
        f"lost {row.lost}, crossed {row.crossed} ({took:.1f} s)",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    _print_unmet(console, row)


def _print_unmet(console: Console, row: Row) -> None:
    for check in row.checks:
        if not check.met:
            told = "" if check.decides else " (told, does not decide)"
            style = "red" if check.decides else "yellow"
            console.print(f"    {check.demand}: {check.found}{told}", style=style, markup=False, soft_wrap=True)


def print_table(console: Console, rows: Sequence[Row], took: float) -> None:
    table = Table(title=f"faults under load, {took:.0f} s", title_justify="left", box=SIMPLE_HEAD)
    for i, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if 1 < i < 10 and column != "errors" else "left", overflow="fold")
    for row in rows:
        table.add_row(*cells(row), style="" if row.met else "red")
    console.print(table)
    bad = failed(rows)
    console.print(f"{len(rows) - len(bad)} of {len(rows)} rows are met", style="red" if bad else "green")
    for row in bad:  # again: of a long run only the end may be kept
        console.print(f"{row.fault} {row.loop}:", style="red", markup=False)
        _print_unmet(console, row)


def as_json(rows: Sequence[Row], seconds: float, took: float) -> dict[str, Any]:
    found = [
        {**asdict(row), "met": row.met, "lost": row.lost, "crossed": row.crossed, "statuses": row.statuses}
        for row in rows
    ]
    return {"format": FORMAT, "facts": machine_facts(), "seconds": seconds, "took": round(took, 1), "rows": found}


def write_json(path: Path, rows: Sequence[Row], seconds: float, took: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(as_json(rows, seconds, took), indent=1) + "\n")


# --- HTML


def _neighbour(row: Row) -> list[Html]:
    """The neighbour's p99 in each phase, as bars."""
    phases = [(phase["phase"], phase["latency_ms"]["p99"]) for phase in row.neighbour if phase["latency_ms"]["n"]]
    rows = [Bar(name, "blue", value, value, value) for name, value in phases]
    return [figure("The neighbour's p99", bars(rows, f"neighbour's p99 of {row.fault}", "ms"))] if rows else []


def _row(row: Row) -> list[Html]:
    checks = (
        line(check.demand, check.found, _met(check.met), kind="no" if check.bad else "", words=3)
        for check in row.checks
    )
    phases = (
        line(*(phase[key] for key in PHASE_COUNTS), *(f"{phase['latency_ms'][key]:.2f}" for key in ("p50", "p99")))
        for phase in row.phases
    )
    return [
        Html(f'<h3 id="{_anchor(row)}">{html(row.fault)}, {html(row.loop)}</h3>'),
        paragraph(row.text),
        table(("demand", "found", "met"), checks, words=3),
        table((*PHASE_COUNTS, "p50 ms", "p99 ms"), phases),
        *_neighbour(row),
    ]


def _anchor(row: Row) -> Html:
    return html(f"{row.fault}-{row.loop}")


def _met(met: bool) -> Html:
    return tag("span", "yes" if met else "no", "yes" if met else "NO")


def page(rows: Sequence[Row], seconds: float, took: float) -> str:
    """One page that needs nothing else."""
    lines = []
    for row in rows:
        first, *rest = cells(row)
        link = Html(f'<a href="#{_anchor(row)}">{html(first)}</a>')
        lines.append(line(link, *rest[:-1], _met(row.met), kind="" if row.met else "no", words=2))
    met = len(rows) - len(failed(rows))
    facts = ", ".join(f"{key} {value}" for key, value in machine_facts().items())
    parts = [paragraph(tag("span", "faint", facts)), table(COLUMNS, lines, words=2)]
    lead = f"{met} of {len(rows)} rows are met; {seconds:g} s a row, {took:.0f} s in all."
    return pages.page("Faults under load", lead, [*parts, *(part for row in rows for part in _row(row))])


def write_html(path: Path, rows: Sequence[Row], seconds: float, took: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(rows, seconds, took))
