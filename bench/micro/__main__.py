"""``python -m bench.micro``: the primitives in C, the Python faces beside them, and what was asked of them."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.harness.facts import machine_facts
from bench.micro import switch

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build/bench"
PROGRAMS = ("bench_codec", "bench_http2", "bench_table", "bench_guard", "bench_loop", "bench_echo")

# Asked of the C primitives: name, the most, its unit, and what it is.
ASKED = (
    ("dubbo.strings", 40, "ns", "Dubbo head and strings"),
    ("dubbo.five", 150, "ns", "Dubbo head, strings and five attachments"),
    ("hpack.decode_steady", 150, "ns", "header block of which all is known"),
    ("hpack.decode_mixed", 300, "ns", "header block with a fresh trace id and deadline"),
    ("hpack.decode_first", 550, "ns", "first header block of a connection"),
    ("h2.recalled", 20, "ns", "header block that came before"),
    ("h2.view", 60, "ns", "a gRPC request of ten fields as policy sees it"),
    ("table.lookup_batch/100000", 45, "ns", "lookup at 100,000 services, a call in batches of 16"),
    ("table.publish/100000", 50_000, "ns", "one service published among 100,000"),
    ("table.readers_slower/100000", 5, "%", "readers slowed by 1,000 publishes a second"),
    ("switch.live", 500, "ms", "a RegionSwitch written, of one application among 10,000, to its decision"),
    ("table.maglev_bytes/of_1000", 65536, "bytes", "Maglev's places for a group of 1,000"),
    ("guard.count/1000", 5, "ns", "an answer counted by outlier detection"),
    ("guard.out/1000", 5, "ns", "whether an instance is out, while one is"),
)

# Asked to be ahead of what libnghttp2 takes for the same in the same run, where it is there.
AHEAD = ("decode_steady", "decode_mixed", "decode_first")

# And what one takes more than another in the same run: name, beside which, ns, and what it is.
MORE = (
    ("table.pick_least_request/1000", "table.pick_plain/1000", 15, "LEAST_REQUEST, a lookup in batches"),
    ("table.pick_least_request/of_1000", "table.pick_plain/of_1000", 15, "the same of 1,000 instances"),
    ("table.pick_levels/1000", "table.pick_plain/1000", 15, "levels by locality, a lookup in batches"),
    ("table.pick_levels/of_1000", "table.pick_plain/of_1000", 15, "the same of 1,000 instances"),
    ("table.pick_hash/1000", "table.pick_plain/1000", 10, "Maglev, its header found and hashed"),
    ("table.pick_hash/of_1000", "table.pick_plain/of_1000", 10, "the same of 1,000 instances"),
)

# And how many times as much as another: name, beside which, times, and what it is.
TIMES = (
    ("table.build_full/1000", "table.build/1000", 2, "1,000 services with full policy in C"),
    ("apply_all_full", "apply_all", 2, "the same from Python, with all that rules do besides"),
)

console = Console() if Console().is_terminal else Console(width=140)
Row = dict[str, Any]


@click.command()
@click.option("--smoke", is_flag=True, help="Few short rounds and no file: that all of it runs, not what it costs.")
@click.option("--only", default="", help="A part of the names that are wanted.")
@click.option("--output", type=click.Path(path_type=Path), help="Where the result goes; by default bench/results.")
def main(smoke: bool, only: str, output: Path | None) -> None:
    """Times everything and prints each Python face beside its twin."""
    native = [row for program in PROGRAMS for row in _native(program, smoke, only)]
    live = [row for row in _live(smoke, only) if only in row["name"]]
    result = {"kind": "micro", "facts": machine_facts(), "c": native, "python": _python(smoke, only), "live": live}
    show(result)
    if not only and (missing := _missing(native, result["python"], live)):
        sys.exit(f"no primitive is called {', '.join(missing)}")
    if smoke and not output:
        return
    name = f"micro-{datetime.now(UTC):%Y%m%d-%H%M%S}-{result['facts']['revision']}.json"
    path = output or ROOT / "bench/results" / name
    path.write_text(json.dumps(result, indent=1) + "\n")
    console.print(f"{path}")


def _missing(native: list[Row], python: list[Row], live: list[Row]) -> list[str]:
    """Names that a benchmark or a figure that is asked for means, and that nothing has."""
    there = {row["name"] for row in (*native, *python, *live)}
    meant = {row["twin"] for row in python} | {name for name, *_ in ASKED}
    meant |= {name for one in (*MORE, *TIMES) for name in one[:2]}
    return sorted(name for name in meant - there if name)


def _native(program: str, smoke: bool, only: str) -> list[Row]:
    argv = [str(BUILD / program), *(["--rounds", "3", "--ms", "1"] if smoke else [])]
    argv += ["--only", only] if only else []
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{program} ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def _live(smoke: bool, only: str) -> list[Row]:
    """What is measured in a sidecar that runs; on as few applications as will do where the figures mean nothing."""
    if not any(only in name for name in switch.NAMES):
        return []
    return switch.measure(200, 2) if smoke else switch.measure(10_000, 16)


def _python(smoke: bool, only: str) -> list[Row]:
    """Runs the benchmarks under pytest; ns, as the twins."""
    raw = BUILD / "micro.json"
    raw.unlink(missing_ok=True)
    argv = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "bench/micro"]
    argv += ["-o", "python_files=bench_*.py", "-o", "python_functions=bench_*", "--benchmark-quiet"]
    argv += [f"--benchmark-json={raw}", "--benchmark-disable-gc", "--benchmark-min-rounds=15"]
    argv += ["--benchmark-warmup=on", "--benchmark-max-time=0.02" if smoke else "--benchmark-max-time=0.5"]
    argv += ["-k", only, "-W", "ignore:Not saving anything"] if only else []
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if only and done.returncode == 5:  # none is called so
        return []
    if done.returncode:
        sys.exit(f"{done.stdout}pytest ended with {done.returncode}")
    rows = []
    for one in json.loads(raw.read_text())["benchmarks"]:
        stats = {key: one["stats"][key] * 1e9 for key in ("min", "median", "max")}
        rows.append({"name": one["name"].removeprefix("bench_"), "twin": one["extra_info"]["twin"], "unit": "ns",
                     "rounds": one["stats"]["rounds"], **stats})  # fmt: skip
    return rows


def show(result: dict[str, Any]) -> None:
    """Prints a result: C, Python beside C, what was measured live, asked beside reached."""
    native = {row["name"]: row for row in result["c"]}
    primitives = _table("C", "primitive", "median", "least to most", "unit", "rounds")
    for row in result["c"]:
        primitives.add_row(row["name"], figure(row["median"]), spread(row), row["unit"], str(row["rounds"]))
    console.print(primitives)
    faces = _table("Python", "face", "ns", "least to most", "twin in C", "ns", "times")
    for row in result["python"]:
        twin = native.get(row["twin"])
        beside = ("", "", "")
        if twin:
            beside = (row["twin"], figure(twin["median"]), f"{row['median'] / twin['median']:.1f}")
        faces.add_row(escape(row["name"]), figure(row["median"]), spread(row), *beside)
    console.print(faces)
    every = {row["name"]: row for row in (*result["c"], *result["python"], *result.get("live", ()))}
    live = _table("Live", "what", "median", "least to most", "unit", "rounds")
    for row in result.get("live", ()):
        live.add_row(row["name"], figure(row["median"]), spread(row), row["unit"], str(row["rounds"]))
    console.print(live)
    asked = _table("Asked", "what", "asked", "reached (median)", "least to most", "met")
    for name, most, unit, what in ASKED:
        if name in every:
            row = every[name]
            met = "yes" if row["median"] <= most else "[red]no[/]"
            asked.add_row(what, f"<= {most:,} {unit}", f"{figure(row['median'])} {unit}", spread(row), met)
    for name in AHEAD:
        ours, other = native.get(f"hpack.{name}"), native.get(f"nghttp2.{name}")
        if ours and other:
            met = "yes" if ours["median"] < other["median"] else "[red]no[/]"
            reached = f"{ours['median'] / other['median']:.2f}"
            asked.add_row(f"hpack.{name} of libnghttp2's", "< 1", reached, "", met)
    for name, beside, most, what in MORE:
        if name in native and beside in native:
            more = native[name]["median"] - native[beside]["median"]
            met = "yes" if more <= most else "[red]no[/]"
            asked.add_row(f"{what}: more than by weight", f"<= {most} ns", f"{figure(more)} ns", "", met)
    for name, beside, most, what in TIMES:
        if name in every and beside in every:
            times = every[name]["median"] / every[beside]["median"]
            met = "yes" if times <= most else "[red]no[/]"
            asked.add_row(f"{what}: of those without", f"<= {most} times", f"{times:.2f}", "", met)
    console.print(asked)


def _table(title: str, first: str, *rest: str) -> Table:
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    table.add_column(first)
    for heading in rest:
        table.add_column(heading, justify="left" if heading == "twin in C" else "right")
    return table


def figure(value: float) -> str:
    """Three digits, as many as are worth reading."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def spread(row: Row) -> str:
    """The range of a row."""
    return f"{figure(row['min'])} to {figure(row['max'])}"


if __name__ == "__main__":
    main()
