"""``python -m bench.growth``: see README.md."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.growth.fit import Curve, curves
from bench.growth.page import COUNT, UNIT, exponent, figure, page
from bench.harness.facts import machine_facts

ROOT = Path(__file__).resolve().parents[2]

console = Console() if Console().is_terminal else Console(width=140)


@click.command()
@click.option("--smoke", is_flag=True, help="Small sizes, few short rounds, no result kept: that all of it runs.")
@click.option("--only", default="", help="A part of the names that are wanted, AXIS/MEASURE/SIZE.")
@click.option("--show", type=click.Path(exists=True, path_type=Path), help="Draw a result that is there already.")
@click.option("--html", type=click.Path(path_type=Path), default=ROOT / "build/growth.html", help="The page.")
def main(smoke: bool, only: str, show: Path | None, html: Path) -> None:
    """Measures how cost grows, fits exponents, prints a table and draws a page."""
    if show:
        result = json.loads(show.read_text())
    else:
        result = {"kind": "growth", "facts": machine_facts(), "points": _measure(smoke, only)}
    found = curves(result["points"])
    if not found:
        sys.exit("nothing was measured at three sizes")
    _print(found)
    html.parent.mkdir(parents=True, exist_ok=True)
    html.write_text(page(found, result["facts"]))
    console.print(f"{html}")
    if smoke or show:
        return
    name = f"growth-{datetime.now(UTC):%Y%m%d-%H%M%S}-{result['facts']['revision']}.json"
    result["fits"] = [_facts(curve) for curve in found]
    path = ROOT / "bench/results" / name
    path.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"{path}")


def _measure(smoke: bool, only: str) -> list[dict[str, object]]:
    argv = [str(ROOT / "build/bench/grow")]
    argv += ["--rounds", "3", "--ms", "1", "--most", "5000"] if smoke else ["--rounds", "9", "--ms", "20"]
    argv += ["--only", only] if only else []
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"grow ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _facts(curve: Curve) -> dict[str, object]:
    whole, tail = curve.whole(), curve.tail()
    return {
        "axis": curve.axis, "measure": curve.measure, "expected": curve.expected, "surprise": curve.surprise(),
        "exponent": round(whole.exponent, 3), "error": round(whole.error, 3),
        "tail_exponent": round(tail.exponent, 3), "tail_error": round(tail.error, 3),
    }  # fmt: skip


def _print(found: list[Curve]) -> None:
    table = Table(box=SIMPLE_HEAD)
    for heading in ("size", "measure", "from", "to", "cost there", "exponent", "larger half", "expected", ""):
        table.add_column(heading, justify="left" if heading in ("size", "measure", "") else "right")
    for curve in found:
        first, last = curve.points[0], curve.points[-1]
        cost = " to ".join(figure(one[1], UNIT[curve.unit]) for one in (first, last))
        ends = (figure(first[0], COUNT), figure(last[0], COUNT))
        fits = (exponent(curve.whole()), exponent(curve.tail()), f"{curve.expected:g}")
        verdict = "[red]grows faster than expected[/]" if curve.surprise() else ""
        table.add_row(curve.axis, curve.measure, *ends, cost, *fits, verdict)
    console.print(table)


if __name__ == "__main__":
    main()
