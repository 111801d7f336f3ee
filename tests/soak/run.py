"""The soak: mixed load and churn on both loops side by side, sampled once a second, judged at the end.

Writes ``soak.json`` (all samples) and ``soak.html`` into ``--dir``. Exit code 1 when a claim does not hold.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from calls.programs import BUILD, ROOT, RunError, run_main
from rich.console import Console
from rich.live import Live
from rich.table import Table

from soak.judge import MIB, claims, fit
from soak.report import page
from soak.side import Sample, Side

TELL_EVERY = 30.0  # seconds between lines where there is no terminal to draw on

console = Console() if Console().is_terminal else Console(width=160)


def facts() -> dict[str, str]:
    """Where and what."""
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return {
        "revision": git.stdout.strip() or "unknown",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Makes ``place`` an empty folder of this run's own.

    :raises RunError: another run is using it
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"another soak is running in {place}") from None
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        yield


def progress(sides: list[Side], elapsed: float, seconds: float) -> Table:
    """The latest sample of each proxy."""
    table = Table(title=f"soak: {elapsed:.0f} of {seconds:.0f} s", title_justify="left")
    for column in ("loop", "RSS MiB", "fds", "calls", "calls/s", "in flight", "errors", "lost", "retired", "policies"):
        table.add_column(column, justify="left" if column == "loop" else "right")
    for side in sides:
        if not side.samples:
            continue
        last = side.samples[-1]
        before = side.samples[-min(10, len(side.samples))]
        rate = (last["asked_begun"] - before["asked_begun"]) / max(last["at"] - before["at"], 1.0)
        lost = last["asked_lost"] + last["asked_crossed"] + last["asked_twice"]
        table.add_row(
            side.loop, f"{last['rss'] / MIB:.1f}", f"{last['fds']:.0f}", f"{last['asked_begun']:,.0f}", f"{rate:,.0f}",
            f"{last['calls_active']:.0f}", f"{last['asked_errors']:,.0f}", f"{lost:.0f}",
            f"{last['table_retired']:.0f}", f"{last['config_version']:.0f}",
        )  # fmt: skip
    return table


def watch(sides: list[Side], seconds: float) -> None:
    """Samples both until the time is over."""
    started = time.monotonic()
    tell_at = started + TELL_EVERY
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while (elapsed := time.monotonic() - started) < seconds:
            for side in sides:
                side.sample(time.monotonic() - started)
            if console.is_terminal:
                live.update(progress(sides, elapsed, seconds), refresh=True)
            elif time.monotonic() >= tell_at:
                tell_at += TELL_EVERY
                told = (
                    f"{s.loop}: {s.samples[-1]['rss'] / MIB:.1f} MiB, {s.samples[-1]['fds']:.0f} descriptors, "
                    f"{s.samples[-1]['asked_begun']:,.0f} calls, {s.samples[-1]['asked_lost']:.0f} lost"
                    for s in sides
                )
                console.print(f"{elapsed:5.0f} s  " + "; ".join(told))
            rest = 1.0 - (time.monotonic() - started) % 1.0
            time.sleep(rest)


def judged(side: Side, code: int, timed: bool) -> dict[str, Any]:
    """The verdict of one proxy."""
    totals = side.totals()
    middle = side.samples[len(side.samples) // 2]
    return {
        "claims": claims(side.samples, side.idle, side.settled, totals, code, timed=timed),
        "fit": fit(side.samples),
        "totals": totals,
        "idle": side.idle,
        "middle": middle,
        "last": side.samples[-1],
        "settled": side.settled,
    }


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", default=20.0, show_default=True, type=click.FloatRange(0.2, 10000), help="How long.")
@click.option("--loops", default="epoll,io_uring", show_default=True, metavar="NAME,...", help="Side by side.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 32), help="Of each proxy.")
@click.option("--dir", "place", type=click.Path(path_type=Path), default=BUILD / "soak", help="Where results go.")
@click.option("--timed/--counts", default=True, show_default=True, help="Whether rates of churn decide, too.")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="A copy of the summary, without samples.")
def main(minutes: float, loops: str, workers: int, place: Path, timed: bool, out: Path | None) -> None:
    """Soak, sample, judge."""
    seconds = minutes * 60
    found: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        stack.enter_context(alone(place))
        sides = [stack.enter_context(Side(loop, place, workers)) for loop in loops.split(",")]
        for side in sides:
            side.start(seconds)
        watch(sides, seconds)
        for side in sides:
            side.settle()
            found[side.loop] = judged(side, side.proxy.close(), timed)
    samples: dict[str, list[Sample]] = {side.loop: side.samples for side in sides}
    result = {"format": 1, "minutes": minutes, "workers": workers, "facts": facts(), "sides": found}
    (place / "soak.json").write_text(json.dumps(result | {"samples": samples}) + "\n")
    (place / "soak.html").write_text(page(result, dict(samples)))
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(result, indent=1) + "\n")
    failed = False
    for name, side_found in found.items():
        console.print(f"\n[bold]{name}[/]")
        for text, holds in side_found["claims"]:
            failed |= not holds
            mark = "[green]holds [/]" if holds else "[red]not so[/]"
            console.print(mark, end=" ")
            console.print(text, markup=False, highlight=False, soft_wrap=True)
        if side_found["totals"]["first"]:
            console.print(f"first complaint: {side_found['totals']['first']}", markup=False, soft_wrap=True)
    console.print(f"\nWritten to {place / 'soak.html'} and soak.json", soft_wrap=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    run_main(main, console)
