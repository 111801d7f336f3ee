"""What the rows found: a table for the terminal, JSON for machines, one HTML page for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

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
    met = sum(check.met for check in row.checks)
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
    for check in row.checks:
        if not check.met:
            console.print(f"    {check.demand}: {check.found}", style="red", markup=False, soft_wrap=True)


def print_table(console: Console, rows: Sequence[Row], took: float) -> None:
    table = Table(title=f"faults under load, {took:.0f} s", title_justify="left", box=SIMPLE_HEAD)
    for i, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if 1 < i < 10 and column != "errors" else "left", overflow="fold")
    for row in rows:
        table.add_row(*cells(row), style="" if row.met else "red")
    console.print(table)
    bad = failed(rows)
    console.print(f"{len(rows) - len(bad)} of {len(rows)} rows are met", style="red" if bad else "green")


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

_STYLE = """body{font:14px/1.4 sans-serif;margin:2em;max-width:80em} table{border-collapse:collapse;margin:1em 0}
td,th{padding:.2em .7em;border-bottom:1px solid #ddd;text-align:left;vertical-align:top} .n{text-align:right}
.no{background:#fdd} .yes{background:#efe} small{color:#555} svg{vertical-align:middle}"""


def _bars(row: Row) -> str:
    """The neighbour's p99 in each phase, as bars."""
    phases = [(phase["phase"], phase["latency_ms"]["p99"]) for phase in row.neighbour if phase["latency_ms"]["n"]]
    most = max((value for _, value in phases), default=0.0)
    if not most:
        return ""
    lines = []
    for i, (name, value) in enumerate(phases):
        y, width = 14 * i, 1 + 160 * value / most
        lines.append(f'<rect x="60" y="{y + 2}" width="{width:.0f}" height="10" fill="#58a"/>')
        lines.append(f'<text x="0" y="{y + 11}" font-size="10">{escape(name)}</text>')
        lines.append(f'<text x="{64 + width:.0f}" y="{y + 11}" font-size="10">{value:.2f} ms</text>')
    return f'<svg width="290" height="{14 * len(phases) + 4}" role="img">{"".join(lines)}</svg>'


def _table(head: Sequence[str], lines: Sequence[tuple[str, Sequence[str]]]) -> str:
    """``lines``: a class and the cells, which are HTML already."""
    top = "".join(f"<th>{escape(one)}</th>" for one in head)
    body = "".join(
        f'<tr class="{kind}">' + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for kind, line in lines
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _section(row: Row) -> str:
    checks = [
        ("yes" if check.met else "no", (escape(check.demand), escape(check.found), "yes" if check.met else "NO"))
        for check in row.checks
    ]
    phases = []
    for phase in row.phases:
        counts = [escape(str(phase[key])) for key in PHASE_COUNTS]
        phases.append(("", [*counts, *(f"{phase['latency_ms'][key]:.2f}" for key in ("p50", "p99"))]))
    head = (*PHASE_COUNTS, "p50 ms", "p99 ms")
    return (
        f'<h3 id="{row.fault}-{row.loop}">{escape(row.fault)}, {escape(row.loop)}</h3><p>{escape(row.text)}</p>'
        f"{_table(('demand', 'found', 'met'), checks)}{_table(head, phases)}"
        f"<p>neighbour's p99: {_bars(row)}</p>"
    )


def write_html(path: Path, rows: Sequence[Row], seconds: float, took: float) -> None:
    """One page that needs nothing else."""
    facts = ", ".join(f"{escape(key)} {escape(str(value))}" for key, value in machine_facts().items())
    lines = []
    for row in rows:
        first, *rest = cells(row)
        link = f'<a href="#{row.fault}-{row.loop}">{escape(first)}</a>'
        lines.append(("yes" if row.met else "no", [link, *map(escape, rest)]))
    bad = failed(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>faults under load</title><style>{_STYLE}</style>"
        f"<h1>Faults under load</h1><p>{len(rows) - len(bad)} of {len(rows)} rows are met; {seconds:g} s a row, "
        f"{took:.0f} s in all.</p><p><small>{facts}</small></p>{_table(COLUMNS, lines)}"
        f"{''.join(map(_section, rows))}</html>\n"
    )
