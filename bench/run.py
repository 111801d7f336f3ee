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

from bench.harness.html import page
from bench.harness.instructions import count
from bench.harness.measure import Plan, Point, Sample, default_cpus
from bench.harness.picture import draw
from bench.harness.process import BenchError
from bench.harness.profile import take as take_profile
from bench.harness.report import print_comparison, print_result
from bench.harness.rival import BUILD, ROOT, Rival
from bench.harness.rivals import RIVALS
from bench.harness.session import FORMAT, Session
from bench.harness.spread import failures
from bench.harness.suites import SUITES, Suite

COUNTS = ("syscalls", "instructions", "profile")
DEFAULT_COUNTS = {"plain": frozenset({"syscalls", "instructions"}), "large": frozenset({"syscalls", "profile"})}
DEFAULT_COUNTS["grpc-stream"] = DEFAULT_COUNTS["grpc-large"] = DEFAULT_COUNTS["large"]
SMOKE = ("meshfast-epoll", "relay", "relay-uring")  # that a smoke run starts, where a suite names none
OURS = ("meshfast", "engine", "relay", "direct")  # beginnings of the names that it starts, where a suite does

# Off a terminal there is no width to fit into, and cut figures help nobody.
console = Console() if Console().is_terminal else Console(width=170)
errors = Console(stderr=True)


def _points(context: click.Context | None, parameter: click.Parameter | None, value: str) -> tuple[Point, ...]:
    try:
        return tuple(Point.parse(text) for text in value.split(",")) if value else ()
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _rivals(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(value.split(",")) if value else ()
    for name in names:
        if name not in RIVALS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(RIVALS)}")
    return names


def _counts(context: click.Context, parameter: click.Parameter, value: str) -> frozenset[str] | None:
    """None: not said."""
    names = frozenset(value.split(",")) if value else frozenset()
    if names - {*COUNTS, "none"}:
        raise click.BadParameter(f"{', '.join(sorted(names - set(COUNTS)))}: none of {', '.join(COUNTS)}, none")
    return names - {"none"} if value else None


def _present(only: tuple[str, ...], by_name: bool = True) -> tuple[Rival, ...]:
    """Those that can run. One that was asked for by name and cannot is an error; others are left out, said so."""
    if not all((BUILD / name).exists() for name in ("dubbo_load", "dubbo_backend", "h2_load", "h2_backend")):
        raise BenchError("the load generator is not built: make bench-tools")
    chosen = []
    for rival in RIVALS.values():
        if rival.name not in only if only else not rival.by_default:
            continue
        if rival.find():
            chosen.append(rival)
        elif only and by_name:
            raise BenchError(f"{rival.name} cannot run: it needs {rival.missing}")
        else:
            errors.print(f"[yellow]{rival.name} is left out: it needs {rival.missing}[/]", soft_wrap=True)
    if not chosen:
        raise BenchError("no proxy to measure")
    return tuple(chosen)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Measure proxies against each other, and results against results."""


@main.command()
@click.option("--suite", default="plain", show_default=True, type=click.Choice(list(SUITES)), help="What is measured.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1, 1000), help="Times all is measured.")
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0.05, 3600), help="One window.")
@click.option("--warmup", default=0.5, show_default=True, type=click.FloatRange(0, 60), help="Before each window.")
@click.option("--only", default="", callback=_rivals, metavar="NAME,...", help=f"Of: {', '.join(RIVALS)}.")
@click.option("--points", default="", callback=_points, metavar="CxM[@RATE][/SIZE],...", help="Instead of the suite's.")
@click.option("--payload", default=None, type=click.IntRange(16, 16 << 20),
              help="Bytes of the argument or message.  [default: 200, of gRPC 100]")
@click.option("--attach", multiple=True, metavar="KEY=VALUE", help="An attachment or header in every request.")
@click.option("--trace", is_flag=True, default=None, help="A fresh traceparent in every request.")
@click.option("--count", default="", callback=_counts, metavar="WHAT,...",
              help=f"Besides: of {', '.join(COUNTS)}, or none.  [default: the suite's]")
@click.option("--base", default="", metavar="NAME", help="Whom ratios refer to.  [default: the first meshfast]")
@click.option("--proxy-cpu", type=int, default=None, help="Core of the proxies.  [default: the last]")
@click.option("--load-cpu", type=int, default=None, help="Core of load and backend.  [default: the first]")
@click.option("--out", type=click.Path(path_type=Path), default=None, help="Result file.  [default: bench/results/]")
def run(
    suite: str,
    only: tuple[str, ...],
    points: tuple[Point, ...],
    count: frozenset[str] | None,
    attach: tuple[str, ...],
    base: str,
    proxy_cpu: int | None,
    load_cpu: int | None,
    out: Path | None,
    **options: Any,
) -> None:
    """Measure. Exit code 1 when a proxy failed or answered wrongly."""
    chosen = SUITES[suite]
    plan = _plan(chosen, only, points, **options, **({"attach": attach} if attach else {}))
    plan = replace(
        plan,
        proxy_cpu=plan.proxy_cpu if proxy_cpu is None else proxy_cpu,
        load_cpu=plan.load_cpu if load_cpu is None else load_cpu,
    )
    if plan.proxy_cpu == plan.load_cpu:
        raise click.UsageError("the proxy and the load need a core each")
    usual = DEFAULT_COUNTS.get(suite, frozenset(COUNTS[:1]))
    result = _measure(Session(chosen, plan, usual if count is None else count))
    path = out or _result_path(suite, str(result["facts"]["revision"]))
    _write(path, json.dumps(result, indent=1) + "\n")
    print_result(console, result, base)
    console.print(f"Written to {path}", soft_wrap=True)
    if failures(result):
        sys.exit(1)


def _plan(suite: Suite, only: tuple[str, ...], points: tuple[Point, ...], **options: Any) -> Plan:
    """The suite's plan, with what was given instead, on the usual cores."""
    proxy_cpu, load_cpu = default_cpus()
    given = {name: value for name, value in options.items() if value is not None}
    return _of_one_protocol(
        Plan(
            rivals=_present(only or suite.rivals, by_name=bool(only)),
            points=points or _points(None, None, suite.points),
            **{**suite.options, **given, "proxy_cpu": proxy_cpu, "load_cpu": load_cpu},
        )
    )


def _of_one_protocol(plan: Plan) -> Plan:
    """The plan, when its proxies can all be asked what it asks."""
    other = [rival.name for rival in plan.rivals if rival.protocol not in (plan.protocol, "")]
    if other:
        raise BenchError(f"{', '.join(other)}: not for {plan.protocol} calls")
    return plan


def _protocol(rivals: tuple[Rival, ...]) -> str:
    """What proxies that were named are for."""
    return next((rival.protocol for rival in rivals if rival.protocol), "dubbo")


def _measure(session: Session) -> dict[str, Any]:
    """The result, with a bar that is drawn between windows only: drawing costs CPU on the measured machine."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    plan = session.plan
    with Progress(*columns, console=errors, auto_refresh=False, disable=not errors.is_terminal) as progress:
        task = progress.add_task(session.suite.name, total=plan.rounds * len(plan.points) * len(plan.rivals))

        def on_sample(sample: Sample) -> None:
            progress.update(task, advance=1, description=f"{sample['point']} {sample['rival']}", refresh=True)

        return session.run(on_sample)


@main.command()
@click.argument("suites", nargs=-1, type=click.Choice(list(SUITES)))
def smoke(suites: tuple[str, ...]) -> None:
    """Every suite (or those named) for a moment: that they run. The figures mean nothing; nothing is written.

    Exit code 1 when a proxy failed or answered wrongly.
    """
    failed = False
    for suite in (SUITES[name] for name in suites or SUITES):
        only = tuple(name for name in suite.rivals or SMOKE if name.startswith(OURS) and RIVALS[name].find())
        plan = _plan(suite, only, _points(None, None, suite.smoke), rounds=1, seconds=0.5, warmup=0.1, tries=10)
        counts = DEFAULT_COUNTS.get(suite.name, frozenset(COUNTS[:1])) - {"instructions"}
        result = _measure(Session(suite, plan, counts, quick=True))
        errors.rule(suite.name)
        print_result(console, result)
        failed = failed or bool(failures(result))
    if failed:
        sys.exit(1)


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
    plan = Plan(_present(only), points or _points(None, None, "1x1,64x16"), payload=payload, attach=attach, trace=trace)
    plan = _of_one_protocol(replace(plan, proxy_cpu=proxy_cpu, load_cpu=load_cpu, protocol=_protocol(plan.rivals)))
    table = Table(title="instructions for a call, user space", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("proxy", no_wrap=True)
    for point in plan.points:
        table.add_column(str(point), justify="right")
    failed = []
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for rival in plan.rivals:
            row = []
            for point in plan.points:
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


def _result_path(suite: str, revision: str) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    return ROOT / "bench" / "results" / f"{stamp}-{suite}-{revision.replace('+', '-changed')}.json"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def load_result(path: Path) -> dict[str, Any]:
    """A result file, of this format or an older one. Raises BenchError when it is neither."""
    try:
        result: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: {error}") from None
    if not isinstance(result, dict) or result.get("format") not in range(1, FORMAT + 1):
        raise BenchError(f"{path}: not a result of format {FORMAT} or older")
    result["options"].setdefault("serialization", 2)
    return {"suite": "plain", "measures": [], "notes": [], "failures": [], **result}


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


@main.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), default=None, help="[default: beside the result, .html]")
@click.option("--base", default="", metavar="NAME", help="Whom ratios refer to.")
def report(result: Path, out: Path | None, base: str) -> None:
    """A result as one page of HTML with plots, which needs nothing else."""
    path = out or result.with_suffix(".html")
    _write(path, page(load_result(result), base))
    console.print(f"Written to {path}", soft_wrap=True)


@main.command()
@click.argument("result", type=click.Path(path_type=Path))
@click.option("--out", "-o", type=click.Path(path_type=Path), default=None, help="[default: beside the result, .svg]")
def plot(result: Path, out: Path | None) -> None:
    """CPU per call of a result as one picture, an SVG file."""
    path, whole = out or result.with_suffix(".svg"), result.resolve()
    source = str(whole.relative_to(ROOT)) if whole.is_relative_to(ROOT) else whole.name
    _write(path, draw(load_result(result), source))
    console.print(f"Written to {path}", soft_wrap=True)


@main.command("profile")
@click.argument("name", type=click.Choice(list(RIVALS)), metavar="RIVAL")
@click.option("--points", default="4x4/1m", show_default=True, callback=_points, metavar="CxM[@RATE][/SIZE],...")
@click.option("--seconds", default=2.0, show_default=True, type=click.FloatRange(0.05, 3600), help="Under load.")
@click.option("--top", default=15, show_default=True, type=click.IntRange(1), help="Symbols that are shown.")
def profile_command(name: str, points: tuple[Point, ...], seconds: float, top: int) -> None:
    """Where a proxy's CPU goes, by perf: user-space symbols, and how much of it is copying memory."""
    suite = SUITES["grpc" if RIVALS[name].protocol == "grpc" else "plain"]
    plan = replace(_plan(suite, (name,), points), seconds=seconds)
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        for point in points:
            found = take_profile(plan, RIVALS[name], point, Path(scratch))
            kernel = sum(share for _, share in found.kernel)
            title = f"{name} at {point}: kernel {kernel:.1%}, copying in user space {found.copying:.1%}"
            table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
            table.add_column("user-space symbol", no_wrap=True)
            table.add_column("of all CPU", justify="right")
            for symbol, share in found.user[:top]:
                table.add_row(symbol, f"{share:.2%}")
            console.print(table)


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        errors.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)
