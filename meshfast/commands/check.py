"""``meshfast check``: what a configuration says, or all that is wrong with it."""

from __future__ import annotations

import click
from rich.table import Table
from rich.text import Text

from meshfast import config
from meshfast.commands.output import (
    CONFIG,
    FORMAT,
    console,
    count,
    origin_json,
    print_json,
    print_problems,
    problem_json,
)
from meshfast.errors import ConfigError
from meshfast.model import Label, LabelKind, Mesh, Pattern, Service

SHOWN = 40  # rows of one table; the rest is counted


@click.command("check")
@CONFIG
@FORMAT
def command(config_: tuple[str, ...], output: str) -> None:
    """Read the files and directories of CONFIG and say what is in them.

    Exits with 1 when something is wrong, and then says all of it.
    """
    try:
        mesh = config.load(config_)
    except ConfigError as error:
        if output == "json":
            print_json({"good": False, "problems": [problem_json(p) for p in error.problems]})
        else:
            print_problems(error)
        raise SystemExit(1) from None
    if output == "json":
        print_json({"good": True, "problems": [], **_json(mesh)})
    else:
        _print(mesh)


def shown_name(service: Service) -> str:
    """A service's name as the policy writes it."""
    return {Pattern.EXACT: service.name, Pattern.PREFIX: f"{service.name}*", Pattern.ANY: "*"}[service.pattern]


def _clusters(service: Service) -> list[str]:
    return list(dict.fromkeys(t.cluster for rule in service.rules for t in rule.targets))


def _sources(label: Label) -> list[str]:
    words = {LabelKind.HEADER: "header", LabelKind.CONTEXT: "trace id in", LabelKind.LOCAL: "local value"}
    return [f"{words[source.kind]} {source.text}" for source in label.sources]


def _json(mesh: Mesh) -> dict[str, object]:
    return {
        "services": [
            {
                "name": shown_name(s),
                "rules": [{"name": r.name, "origin": origin_json(r.origin)} for r in s.rules],
                "clusters": _clusters(s),
                "origin": origin_json(s.origin),
            }
            for s in mesh.services
        ],
        "clusters": [
            {
                "name": c.name,
                "services": list(c.hosts),
                "instances": len(c.endpoints),
                "subsets": [s.name for s in c.subsets],
                "origin": origin_json(c.origin),
            }
            for c in mesh.clusters.values()
        ],
        "labels": [
            {"name": label.name, "sources": _sources(label), "origin": origin_json(label.origin)}
            for label in mesh.labels
        ],
        "listeners": [
            {"name": li.name, "bind": li.bind, "direction": li.direction, "origin": origin_json(li.origin)}
            for li in mesh.sidecar.listeners
        ],
    }


def _print(mesh: Mesh) -> None:
    rules = {id(rule) for service in mesh.services for rule in service.rules}
    instances = sum(len(c.endpoints) for c in mesh.clusters.values())
    _table(
        f"{count(len(mesh.services), 'service')}, {count(len(rules), 'rule')}",
        ("service", "rules", "clusters", "decided at"),
        [(shown_name(s), str(len(s.rules)), ", ".join(_clusters(s)), str(s.origin or "")) for s in mesh.services],
    )  # fmt: skip
    _table(
        f"{count(len(mesh.clusters), 'cluster')}, {count(instances, 'instance')}",
        ("cluster", "services", "instances", "subsets"),
        [
            (c.name, str(len(c.hosts)), str(len(c.endpoints)), ", ".join(s.name for s in c.subsets))
            for c in mesh.clusters.values()
        ],
    )  # fmt: skip
    _table(
        count(len(mesh.labels), 'label'), ("label", "first source that yields wins"),
        [(label.name, ", ".join(_sources(label))) for label in mesh.labels],
    )  # fmt: skip
    _table(
        count(len(mesh.sidecar.listeners), 'listener'), ("listener", "bind", "direction", "forward"),
        [(li.name, li.bind, li.direction, li.forward) for li in mesh.sidecar.listeners],
    )  # fmt: skip


def _table(title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    out = console()
    if not rows:
        return
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name)
    for row in rows[:SHOWN]:
        table.add_row(*map(Text, row))
    out.print(table)
    if len(rows) > SHOWN:
        out.print(f"and {len(rows) - SHOWN} more; -o json lists all")
    out.print()
