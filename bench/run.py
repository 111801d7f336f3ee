"""The comparison of proxies from the command line: ``python -m bench.run run``, ``compare``, ``show``."""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from bench.harness.facts import machine_facts
from bench.harness.instructions import count
from bench.harness.measure import Plan, Point, Sample, default_cpus, take_all
from bench.harness.process import BenchError
from bench.harness.report import print_comparison, print_result
from bench.harness.rivals import BUILD, RIVALS, ROOT, Rival

FORMAT = 1
POINTS = "1x1,1x64,64x1,64x16,64x64"

# Off a terminal there is no width to fit into, and cut figures help nobody.
console = Console() if Console().is_terminal else Console(width=160)
errors = Console(stderr=True)


def _points(context: click.Context, parameter: click.Parameter, value: str) -> tuple[Point, ...]:
    try:
        return tuple(Point.parse(text) for text in value.split(","))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _rivals(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(value.split(",")) if value else ()
    for name in names:
        if name not in RIVALS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(RIVALS)}")
    return names


def _present(only: tuple[str, ...]) -> tuple[Rival, ...]:
    """Those that can run. One that was asked for by name and cannot is an error; others are left out, said so."""
    if not (BUILD / "dubbo_load").exists() or not (BUILD / "dubbo_backend").exists():
        raise BenchError("the load generator is not built: make bench-tools")
    chosen = []
    for rival in RIVALS.values():
        if rival.name not in only if only else not rival.by_default:
            continue
        if rival.find():
            chosen.append(rival)
        elif only:
            raise BenchError(f"{rival.name} cannot run: it needs {rival.missing}")
        else:
            errors.print(f"[yellow]{rival.name} is left out: it needs {rival.missing}[/]", soft_wrap=True)
    if not chosen:
        raise BenchError("no proxy to measure")
    return tuple(chosen)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure Dubbo2 proxies against each other, and results against results."""


@main.command()
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1, 1000), help="Times all is measured.")
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0.05, 3600), help="One window.")
@click.option("--warmup", default=0.5, show_default=True, type=click.FloatRange(0, 60), help="Before each window.")
@click.option("--only", default="", callback=_rivals, metavar="NAME,...", help=f"Of: {', '.join(RIVALS)}.")
@click.option("--points", default=POINTS, show_default=True, callback=_points, metavar="CxM[@RATE],...")
@click.option("--payload", default=200, show_default=True, type=click.IntRange(16, 16 << 20), help="Argument, bytes.")
@click.option("--attach", multiple=True, metavar="KEY=VALUE", help="An attachment in every request.")
@click.option("--trace", is_flag=True, help="A fresh traceparent in every request.")
@click.option("--base", default="", metavar="NAME", help="Whom ratios refer to.  [default: the first meshfast]")
@click.option("--proxy-cpu", type=int, default=None, help="Core of the proxies.  [default: the last]")
@click.option("--load-cpu", type=int, default=None, help="Core of load and backend.  [default: the first]")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Result file.  [default: bench/results/]")
def run(
    rounds: int,
    seconds: float,
    warmup: float,
    only: tuple[str, ...],
    points: tuple[Point, ...],
    payload: int,
    attach: tuple[str, ...],
    trace: bool,
    base: str,
    proxy_cpu: int | None,
    load_cpu: int | None,
    out: Path | None,
) -> None:
    """Measure. Exit code 1 when a proxy failed or answered wrongly."""
    cpus = default_cpus()
    plan = Plan(
        rivals=_present(only),
        points=points,
        rounds=rounds,
        seconds=seconds,
        warmup=warmup,
        payload=payload,
        attach=attach,
        trace=trace,
        proxy_cpu=cpus[0] if proxy_cpu is None else proxy_cpu,
        load_cpu=cpus[1] if load_cpu is None else load_cpu,
    )
    if plan.proxy_cpu == plan.load_cpu:
        raise click.UsageError("the proxy and the load need a core each")
    facts = machine_facts()
    versions = {rival.name: rival.version() for rival in plan.rivals}
    samples = _measure(plan)
    result = {"format": FORMAT, "facts": facts, "versions": versions, "options": plan.options(), "samples": samples}
    path = out or _result_path(str(facts["revision"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n")
    print_result(console, result, base)
    console.print(f"Written to {path}", soft_wrap=True)
    if any("error" in sample for sample in samples):
        sys.exit(1)


def _measure(plan: Plan) -> list[Sample]:
    """All samples, with a bar that is drawn between windows only: drawing costs CPU on the measured machine."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    total = plan.rounds * len(plan.points) * len(plan.rivals)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
        Progress(*columns, console=errors, auto_refresh=False, disable=not errors.is_terminal) as progress,
    ):
        task = progress.add_task("measuring", total=total)

        def on_sample(sample: Sample) -> None:
            progress.update(task, advance=1, description=f"{sample['point']} {sample['rival']}", refresh=True)

        return take_all(plan, Path(directory), on_sample)


@main.command()
@click.option("--only", default="", callback=_rivals, metavar="NAME,...", help=f"Of: {', '.join(RIVALS)}.")
@click.option("--points", default="1x1,64x16", show_default=True, callback=_points, metavar="CxM,...")
@click.option("--calls", default=5000, show_default=True, type=click.IntRange(100), help="Counted, and twice as many.")
@click.option("--payload", default=200, show_default=True, type=click.IntRange(16, 16 << 20), help="Argument, bytes.")
@click.option("--attach", multiple=True, metavar="KEY=VALUE", help="An attachment in every request.")
@click.option("--trace", is_flag=True, help="A fresh traceparent in every request.")
@click.option("--keep", type=click.Path(path_type=Path), default=None, help="Where to leave callgrind's profiles.")
def instructions(
    only: tuple[str, ...],
    points: tuple[Point, ...],
    calls: int,
    payload: int,
    attach: tuple[str, ...],
    trace: bool,
    keep: Path | None,
) -> None:
    """Count the instructions of one call in user space, by callgrind. Exit code 1 when a proxy could not be counted."""
    proxy_cpu, load_cpu = default_cpus()
    plan = Plan(_present(only), points, payload=payload, attach=attach, trace=trace)
    plan = replace(plan, proxy_cpu=proxy_cpu, load_cpu=load_cpu)
    table = Table(title="instructions for a call, user space", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("proxy", no_wrap=True)
    for point in points:
        table.add_column(str(point), justify="right")
    failed = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for rival in plan.rivals:
            row = []
            for point in points:
                try:
                    row.append(f"{count(plan, rival, point, calls, keep or Path(scratch)):,.0f}")
                except BenchError as error:
                    failed.append(f"{rival.name} at {point}: {error}")
                    row.append("failed")
            table.add_row(rival.name, *row)
    console.print(table)
    for text in failed:
        errors.print(text, style="red", markup=False, soft_wrap=True)
    if failed:
        sys.exit(1)


def _result_path(revision: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return ROOT / "bench" / "results" / f"{stamp}-{revision.replace('+', '-changed')}.json"


def load_result(path: Path) -> dict[str, Any]:
    """A result file. Raises BenchError when it is not one of this format."""
    try:
        result: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: {error}") from None
    if not isinstance(result, dict) or result.get("format") != FORMAT:
        raise BenchError(f"{path}: not a result of format {FORMAT}")
    return result


@main.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def compare(old: Path, new: Path) -> None:
    """Two results side by side. Exit code 1 when some CPU per call grew beyond the range of its rounds."""
    if print_comparison(console, load_result(old), load_result(new)):
        sys.exit(1)


@main.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--base", default="", metavar="NAME", help="Whom ratios refer to.")
def show(result: Path, base: str) -> None:
    """The tables of a result again."""
    print_result(console, load_result(result), base)


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)
