"""``python -m bench.instructions check|record``: see README.md."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import click

from bench.instructions.count import CountError, Counts, count, toolchain

ROOT = Path(__file__).resolve().parents[2]
RECORD = Path(__file__).with_name("record.json")
TOLERANCE = 0.05


def judge(record: Counts, counted: Counts) -> tuple[list[str], list[str], list[str]]:
    """Lines for the reader: all of it; what breaks the rule; what is better than the record says."""
    lines, bad, better = [], [], []
    for name in sorted(record.keys() | counted.keys()):
        if name not in counted:
            bad.append(f"{name} is in the record but is not counted any more")
        elif name not in record:
            lines.append(f"{name:28} {'':>12} {counted[name]:>12,.1f}")
            bad.append(f"{name} is not in the record")
        else:
            change = counted[name] / record[name] - 1
            lines.append(f"{name:28} {record[name]:>12,.1f} {counted[name]:>12,.1f} {change:>+8.1%}")
            if change > TOLERANCE:
                bad.append(f"{name} takes {change:.1%} more instructions than the record says")
            elif change < -TOLERANCE:
                better.append(f"{name} takes {-change:.1%} fewer instructions")
    return lines, bad, better


@click.group()
def main() -> None:
    """Counts the instructions of one operation each."""


@main.command()
@click.option("--program", type=click.Path(path_type=Path), default=ROOT / "build/bench/count")
@click.option("--record", "path", type=click.Path(path_type=Path), default=RECORD)
def check(program: Path, path: Path) -> None:
    """Compares with the record. Exit code 1 when something takes over 5 % more than it says."""
    kept = json.loads(path.read_text())
    here = toolchain()
    counted = _count(program)
    lines, bad, better = judge(kept["instructions"], counted)
    click.echo(f"{'instructions of one':28} {'record':>12} {'now':>12} {'change':>8}")
    click.echo("\n".join(lines))
    if here != kept["toolchain"]:
        click.echo(f"This cannot be compared: the record is of {_said(kept['toolchain'])}, here is {_said(here)}.")
        if os.environ.get("MESHFAST_REQUIRE_COUNT"):
            sys.exit("MESHFAST_REQUIRE_COUNT is set, so that is an error: count on a machine like the record's.")
        return
    for line in better:
        click.echo(f"{line}: lower the record with `make instructions-record`")
    if bad:
        bad.append("mend it, or say why in the commit that changes the record (`make instructions-record`)")
        sys.exit("\n".join(bad))


@main.command()
@click.option("--program", type=click.Path(path_type=Path), default=ROOT / "build/bench/count")
@click.option("--record", "path", type=click.Path(path_type=Path), default=RECORD)
@click.option("--only", default="", help="A part of the names that are written anew; the others stay as they are.")
def record(program: Path, path: Path, only: str) -> None:
    """Writes the record anew."""
    counted, tools = _count(program), toolchain()
    if only:
        kept = json.loads(path.read_text())
        if kept["toolchain"] != tools:
            sys.exit(f"The others are of {_said(kept['toolchain'])}, here is {_said(tools)}.")
        counted = kept["instructions"] | {name: n for name, n in counted.items() if only in name}
    new = {"instructions": counted, "toolchain": tools}
    path.write_text(json.dumps(new, indent=2, sort_keys=True) + "\n")
    click.echo(f"{path} written: {len(new['instructions'])} operations, {_said(new['toolchain'])}")


def _count(program: Path) -> Counts:
    try:
        return count(program, ROOT / "build/callgrind")
    except CountError as error:
        sys.exit(str(error))


def _said(tools: dict[str, str]) -> str:
    return ", ".join(tools[key] for key in sorted(tools))


if __name__ == "__main__":
    main()
