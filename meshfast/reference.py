"""The tables of docs/cli.md and docs/metrics.md, from the command line and the metrics themselves.

``python -m meshfast.reference docs/cli.md docs/metrics.md`` writes them anew between their marks; a test compares.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import click

from meshfast import cli, metrics
from meshfast.config.reference import filled

__all__ = ["NAMES", "table"]

#: Every table that one of the pages must have.
NAMES = {"verbs", *(f"options {verb}" for verb in cli.paths()), *(f"metrics {group}" for group in metrics.GROUPS)}


def verbs() -> str:
    """What there is to say on the command line."""
    rows = [f"| [{verb}](#{verb}) | {text} |" for verb, text in cli.VERBS.items()]
    return "\n".join(["| verb | |", "|---|---|", *rows])


def options(verb: str) -> str:
    """The options of a verb."""
    context, command = click.Context(cli.group), cli.find(verb)
    rows = ["| option | default | |", "|---|---|---|"]
    for option in command.get_params(context):
        if not isinstance(option, click.Option) or "--help" in option.opts:
            continue
        shown, doc = option.get_help_record(context) or ("", "")
        shown = shown.replace("|", "\\|")  # a bar would end the cell
        default = re.search(r"\[.*?(required|(?<=default: )[^];]+)", doc)
        rows.append(f"| `{shown}` | {default[1] if default else ''} | {doc.partition('  [')[0]} |")
    return "\n".join(rows)


def group(name: str) -> str:
    """The metrics of a group."""
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    for one in metrics.GROUPS[name]:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        rows.append(f"| `{one.name}` | {one.kind} | {labels} | {one.text} |")
    return "\n".join(rows)


def table(name: str) -> str:
    """The table that a mark asks for; raises KeyError for an unknown name."""
    kind, _, what = name.partition(" ")
    return {"verbs": lambda _: verbs(), "options": options, "metrics": group}[kind](what)


if __name__ == "__main__":
    for path in map(Path, sys.argv[1:]):
        path.write_text(filled(path.read_text(), table))
