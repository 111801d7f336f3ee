"""One service that several applications offer: which of them a call means, by its group and version as in Dubbo."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from meshfast import model
from meshfast.model import Condition, Field, Op

ANY = "*"  # as in a reference's group: whichever it is
UNVERSIONED = "0.0.0"  # what a consumer sends that names no version


@dataclass(frozen=True, slots=True)
class Variant:
    """What a ServiceEntry says its services are called under; "" is none."""

    group: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"group {self.group or 'none'}, version {self.version or 'none'}"


def variant(annotations: Mapping[str, str], labels: Iterable[Mapping[str, str]]) -> Variant:
    """The annotations of a ServiceEntry; for want of one, the label ``group`` that each of its instances carries."""
    groups = {each.get("group", "") for each in labels}
    group = annotations.get("group", groups.pop() if len(groups) == 1 else "")
    version = annotations.get("version", "")
    return Variant(group, "" if version == UNVERSIONED else version)


Part = tuple[Variant, tuple[model.Rule, ...]]


def together(parts: Sequence[Part]) -> tuple[model.Rule, ...]:
    """The rules of each application, for the calls that mean it. What is the same for all of them is not asked for;
    one that takes any group or version comes last."""
    grouped = len({one.group for one, _ in parts}) > 1
    versioned = len({one.version for one, _ in parts}) > 1
    ordered = sorted(parts, key=lambda part: (part[0].group, part[0].version).count(ANY))
    out: list[model.Rule] = []
    for one, rules in ordered:
        meant_by = list(
            itertools.product(
                named("group", one.group, ("",)) if grouped else [()],
                named("version", one.version, ("", UNVERSIONED)) if versioned else [()],
            )
        )
        meant = [(*group, *version) for group, version in meant_by]
        out += [replace(rule, matches=_both(meant, rule)) for rule in rules]
    return tuple(out)


def named(key: str, wanted: str, none: tuple[str, ...]) -> list[tuple[Condition, ...]]:
    """What a call must carry, as alternatives."""
    if wanted == ANY:
        return [()]
    if wanted:
        return [(_exact(key, wanted),)]
    absent = Condition(Field.HEADER, Op.ABSENT, key, "", f"no {key}")
    return [(absent,), *((_exact(key, text, absent.source),) for text in none)]


def _exact(key: str, text: str, source: str = "") -> Condition:
    return Condition(Field.HEADER, Op.EXACT, key, text, source or f"headers.{key}: {{exact: {text}}}")


def _both(meant: list[tuple[Condition, ...]], rule: model.Rule) -> tuple[model.Match, ...]:
    if meant == [()]:
        return rule.matches
    matches = rule.matches or (model.Match((), origin=rule.origin),)
    return tuple(replace(match, conditions=(*each, *match.conditions)) for each in meant for match in matches)
