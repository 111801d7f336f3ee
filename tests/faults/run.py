"""The command line: which rows, on which loops, for how long; and their order."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import click
from rich.console import Console

from faults.process import ROOT, RowError
from faults.report import print_row, print_table, write_html, write_json
from faults.rows import (
    FAULTS,
    Fault,
    configs,
    crowds,
    drain,
    floods,
    governed,
    grpc,
    health,
    hostile,
    life,
    peers,
    relayed,
    retries,
    selftest,
    shares,
    streams,
    wire,
)
from faults.stage import Stage
from faults.verdict import Phase, Row, failed

OUT = ROOT / "build" / "faults"
LOOPS = ("epoll", "io_uring")
NO_SIDECAR = "-"
GOES = 3
LONG_S = 10.0  # a run is short below that

#: In this order they are played; the modules have registered their rows.
ROOMS = [
    room.__name__
    for room in (
        selftest, wire, relayed, peers, health, governed, retries, crowds, shares, hostile, configs, life, drain, grpc,
        streams, floods,
    )  # fmt: skip
]

console = Console() if Console().is_terminal else Console(width=200)


@dataclass(frozen=True, slots=True)
class Way:
    """How rows are played."""

    seconds: float
    workers: int
    timed: bool


def play(one: Fault, loop: str, way: Way, twin: Sequence[Phase] = ()) -> Row:
    """One row; whatever goes wrong on the way is a demand that is not met."""
    row = Row(one.name, one.loop or loop, way.seconds, one.text, one.allowed, one.own, way.timed, list(twin))
    directory = OUT / "rows" / f"{one.name}-{row.loop}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    try:
        with Stage(row, directory, workers=way.workers, grpc=one.grpc) as stage:
            one.play(stage)
    except RowError as error:
        row.check("the row can be played to its end", False, error)
    return row


def play_timed(one: Fault, loop: str, way: Way) -> Row:
    """A row beside its twin. Where times alone are amiss both are played again."""
    for _ in range(GOES):
        twin = [] if loop == NO_SIDECAR else play(FAULTS["grpc-calm" if one.grpc else "calm"], loop, way).neighbour
        row = play(one, loop, way, twin)
        if not row.late:
            break
    return row


def _timely(name: str, loop: str, way: Way) -> tuple[Row, float]:
    """A row, and how long it took."""
    started = time.monotonic()
    one = FAULTS[name]
    row = play_timed(one, loop, way) if way.timed else play(one, loop, way)
    return row, time.monotonic() - started


def play_all(jobs: Sequence[tuple[str, str]], way: Way, beside: bool) -> Iterator[tuple[int, Row, float]]:
    """The rows as they end, with their places. Beside each other they come from both ends, so that those of one fault,
    which are heavy at the same time, mostly do not meet."""
    if not beside:
        for place, (name, loop) in enumerate(jobs):
            yield place, *_timely(name, loop, way)
        return
    ends = [place for pair in zip(range(len(jobs)), reversed(range(len(jobs))), strict=True) for place in pair]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        played = {pool.submit(_timely, *jobs[place], way): place for place in dict.fromkeys(ends)}
        for done in as_completed(played):
            yield played[done], *done.result()


def _in_order() -> list[Fault]:
    return sorted(FAULTS.values(), key=lambda one: (one.grpc, ROOMS.index(one.play.__module__)))


def _chosen(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(value.split(",")) if value else ()
    for name in names:
        if name not in FAULTS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(FAULTS)}")
    return names


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", default="", callback=_chosen, metavar="NAME,...", help="Rows; default: all.")
@click.option("--loop", "loops", type=click.Choice(LOOPS), multiple=True, help="Default: both.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(1, 3600), help="One row's fault.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 32), help="Of the sidecar.")
@click.option("--timed", is_flag=True, help="Times decide, beside those of a twin to which nothing happens.")
@click.option("--beside", is_flag=True, help="Two rows at once: half the time, where counts decide.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="A copy of the JSON.")
def main(
    only: tuple[str, ...], loops: tuple[str, ...], seconds: float, workers: int, timed: bool, beside: bool,
    out: Path | None,
) -> None:  # fmt: skip
    """Play faults under load. Exit code 1 when a row is not met."""
    if timed and beside:
        raise click.UsageError("--timed needs the machine for one row at a time")
    way = Way(seconds, workers, timed)
    began = time.monotonic()
    jobs: list[tuple[str, str]] = []
    for one in _in_order():
        if one.name not in only if only else one.long and seconds < LONG_S:
            continue
        jobs += [(one.name, loop) for loop in ((one.loop,) if one.loop else loops or LOOPS)]
    found: dict[int, Row] = {}
    for place, row, seconds_taken in play_all(jobs, way, beside):
        found[place] = row
        print_row(console, row, seconds_taken)
    rows = [found[place] for place in sorted(found)]
    took = time.monotonic() - began
    print_table(console, rows, took)
    OUT.mkdir(parents=True, exist_ok=True)
    for path in (OUT / "faults.json", out):
        if path:
            write_json(path, rows, seconds, took)
    write_html(OUT / "faults.html", rows, seconds, took)
    console.print(f"Written to {OUT / 'faults.json'} and faults.html beside it", soft_wrap=True)
    sys.exit(1 if failed(rows) else 0)
