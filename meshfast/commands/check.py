"""``meshfast check``: what a configuration says, or all that is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click
from rich.text import Text

from meshfast import config
from meshfast.commands import summary
from meshfast.commands.output import (
    CONFIG,
    FORMAT,
    console,
    count,
    origin_json,
    print_json,
    print_problems,
    print_table,
    print_warnings,
    problem_json,
)
from meshfast.errors import ConfigError, MeshfastError, Problem
from meshfast.model import Cluster, Label, LabelKind, Listener, Mesh, Origin, Pattern, Service
from meshfast.routing import Table

PASSED = 8  # kinds of documents that are passed over
SHOWN = 40  # rows of one table; the rest is counted


@click.command("check")
@CONFIG
@click.option("--strict", is_flag=True, help="Exit with 1 for a warning, too.")
@click.option(
    "--summary", "summary_", is_flag=True,
    help="Count the documents that are taken, warned of and refused, by kind and field; sub-folders, too.",
)
@FORMAT
def command(config_: tuple[str, ...], strict: bool, summary_: bool, output: str) -> None:
    """Read the files and directories of CONFIG and say what is in them.

    Exits with 1 when something is wrong, and then says all of it. What is allowed and hardly meant is a warning.
    """
    if summary_:
        raise SystemExit(summary.run(config_, strict, output))
    report = config.Report(warn=True)
    try:
        mesh, warnings = config.check(config_, report)
        _publish(mesh)
    except ConfigError as error:
        if output == "json":
            print_json({"good": False, "problems": [problem_json(p) for p in error.problems], "warnings": []})
        else:
            print_problems(error)
        raise SystemExit(1) from None
    if output == "json":
        told = {"good": True, "problems": [], "warnings": [problem_json(w) for w in warnings], **_json(mesh)}
        print_json(told | {"passed_over": [_passed_json(one) for one in report.passed]})
    else:
        _print(mesh)
        if report.passed:
            console().print(Text(passed_over(report.passed)), soft_wrap=True)
        if warnings:
            print_warnings(warnings)
    raise SystemExit(1 if strict and warnings else 0)


def _publish(mesh: Mesh) -> None:
    """Builds what the proxy would, which may have an objection of its own."""
    try:
        Table().publish(mesh)
    except MeshfastError as error:
        where = mesh.sidecar.origin or Origin("configuration", 1, 1)
        raise ConfigError([Problem(where, f"it cannot be put in force: {error}")]) from None


def passed_over(passed: Sequence[config.Passed]) -> str:
    """One line for all the documents that are not for this sidecar."""
    kinds = Counter(f"{one.kind} ({one.why})" if one.why else one.kind for one in passed)
    listed = [f"{number} {kind}" for kind, number in kinds.most_common(PASSED)]
    more = len(passed) - sum(number for _, number in kinds.most_common(PASSED))
    return f"passed over: {', '.join(listed)}{f' and {more} more' if more else ''}"


def _passed_json(one: config.Passed) -> dict[str, object]:
    return {"kind": one.kind, "why": one.why, "origin": origin_json(one.origin)}


def shown_name(service: Service) -> str:
    """A service's name as the policy writes it."""
    before, behind = service.pattern in (Pattern.SUFFIX, Pattern.ANY), service.pattern is Pattern.PREFIX
    return f"{'*' if before else ''}{service.name}{'*' if behind else ''}"


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
                "names": [named.host for named in c.named],
                "subsets": [s.name for s in c.subsets],
                "origin": origin_json(c.origin),
            }
            for c in mesh.clusters.values()
        ],
        "labels": [
            {"name": label.name, "sources": _sources(label), "origin": origin_json(label.origin)}
            for label in mesh.labels
        ],
        "labels_of_others": [
            {"name": idle.name, "for": idle.why, "origin": origin_json(idle.origin)} for idle in mesh.idle
        ],
        "listeners": [_listener(li) for li in mesh.sidecar.listeners],
        "admin": mesh.sidecar.admin,
        "registries": [
            {"name": one.name, "kind": one.kind, "hosts": list(one.hosts), "root": one.root, "namespace": one.namespace,
             "group": one.group, "subscribe": one.subscribe, "origin": origin_json(one.origin)}
            for one in mesh.sidecar.registries
        ],
    }  # fmt: skip


def _listener(one: Listener) -> dict[str, object]:
    own = {"labels": one.labels} if one.direction == "inbound" else {"unknown": one.unknown}
    names = ("name", "bind", "direction", "transparent", "forward", "protocol", "service")
    return {**{name: getattr(one, name) for name in names}, **own, "origin": origin_json(one.origin)}


def _goes(one: Listener) -> str:
    """Where what is not routed goes."""
    return "where its caller dialled" if one.transparent else one.forward


def _instances(cluster: Cluster) -> str:
    return ", ".join([*([str(len(cluster.endpoints))] if cluster.endpoints or not cluster.named else []),
                      *(named.host for named in cluster.named[:4])])  # fmt: skip


def _print(mesh: Mesh) -> None:
    rules = {id(rule) for service in mesh.services for rule in service.rules}
    instances = sum(len(c.endpoints) for c in mesh.clusters.values())
    print_table(
        f"{count(len(mesh.services), 'service')}, {count(len(rules), 'rule')}",
        ("service", "rules", "clusters", "decided at"),
        [(shown_name(s), str(len(s.rules)), ", ".join(_clusters(s)), str(s.origin or "")) for s in mesh.services],
        SHOWN,
    )  # fmt: skip
    print_table(
        f"{count(len(mesh.clusters), 'cluster')}, {count(instances, 'instance')}",
        ("cluster", "services", "instances", "subsets"),
        [
            (c.name, str(len(c.hosts)), _instances(c), ", ".join(s.name for s in c.subsets))
            for c in mesh.clusters.values()
        ],
        SHOWN,
    )  # fmt: skip
    print_table(
        count(len(mesh.labels), 'label'), ("label", "first source that yields wins"),
        [(label.name, ", ".join(_sources(label))) for label in mesh.labels],
        SHOWN,
    )  # fmt: skip
    print_table(
        f"{count(len(mesh.idle), 'label')} of others", ("label", "is for", "defined at"),
        [(idle.name, idle.why, str(idle.origin or "")) for idle in mesh.idle],
        SHOWN,
    )  # fmt: skip
    print_table(
        count(len(mesh.sidecar.listeners), 'listener'), ("listener", "bind", "direction", "forward"),
        [(li.name, li.bind, li.direction, _goes(li)) for li in mesh.sidecar.listeners],
        SHOWN,
    )  # fmt: skip
    registries = mesh.sidecar.registries
    print_table(
        f"{len(registries)} {'registry' if len(registries) == 1 else 'registries'}, which a check does not ask",
        ("registry", "servers", "root or group"),
        [(one.name, ", ".join(one.hosts), one.root or f"{one.namespace} {one.group}".lstrip()) for one in registries],
        SHOWN,
    )  # fmt: skip
