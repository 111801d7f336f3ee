"""What verbs share: terminals, tables, problems and JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from meshfast.errors import ConfigError, Problem
from meshfast.model import Origin

FORMAT: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print it."
)
CONFIG: Callable[[Callable[..., Any]], Callable[..., Any]] = click.argument(
    "config_", metavar="CONFIG...", nargs=-1, required=True, type=click.Path()
)


def console(*, stderr: bool = False) -> Console:
    """Colour on a terminal only, and not with NO_COLOR; off a terminal, lines are as long as they are."""
    stream = sys.stderr if stderr else sys.stdout
    plain = not stream.isatty() or bool(os.environ.get("NO_COLOR"))
    width = None if stream.isatty() else 200
    return Console(file=stream, no_color=plain, force_terminal=False if plain else None, width=width, highlight=False)


def count(number: int, noun: str) -> str:
    """``1 service``, ``2 services``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]], most: int) -> None:
    """At most so many rows; the rest is counted. Nothing where there are none."""
    if not rows:
        return
    out = console()
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name)
    for row in rows[:most]:
        table.add_row(*map(Text, row))
    out.print(table)
    if len(rows) > most:
        out.print(f"and {len(rows) - most} more; -o json lists all")
    out.print()


def print_json(value: object) -> None:
    """One JSON document on the standard output."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def origin_json(origin: Origin | None) -> dict[str, object] | None:
    """A place as JSON: file, line and column from 1, document."""
    if origin is None:
        return None
    return {"file": origin.file, "line": origin.line, "column": origin.column, "document": origin.document}


def problem_json(problem: Problem) -> dict[str, object]:
    """A problem as JSON: its place, path, message and hint."""
    place = origin_json(problem.origin) or {}
    return {**place, "path": problem.path, "message": problem.message, "hint": problem.hint}


def print_problems(error: ConfigError) -> None:
    """Every problem on the standard error, the place in bold and the caret in colour where there is one."""
    _print(error.problems, "", "problem", "red")


def print_warnings(warnings: Sequence[Problem]) -> None:
    """The same for what is allowed and hardly meant."""
    _print(warnings, "warning: ", "warning", "yellow")


def _print(problems: Sequence[Problem], mark: str, noun: str, colour: str) -> None:
    out = console(stderr=True)
    for problem in problems:
        head, *rest = str(problem).split("\n")
        place = str(problem.origin)
        said = head[len(place) :]
        if mark:
            said = f": {mark}{said.removeprefix(': ')}"
        out.print(Text(place, "bold") + Text(said, "not bold"), soft_wrap=True)
        for line in rest:
            out.print(Text(line, colour if line.strip() == "^" else "dim"), soft_wrap=True)
    out.print(Text(count(len(problems), noun), f"bold {colour}"), soft_wrap=True)
