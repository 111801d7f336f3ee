"""``match.port``: whether a call goes to that port of its service, which what the caller speaks can tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from meshfast import model
from meshfast.config import dfa
from meshfast.model import PORT, Condition, Family, Field, Op

UNSAID = 80  # the port of an authority that names none


def asks(matches: tuple[model.Match, ...]) -> bool:
    """Whether any of them asks for a port."""
    return any(_wanted(match) is not None for match in matches)


def resolve(matches: tuple[model.Match, ...], ports: Mapping[Family, int] | None) -> tuple[model.Match, ...]:
    """Matches with conditions that the core has, in place of those that ask for a port. ``ports``: the service's, by
    the family that is called there; None: of a service that nobody lists, where an authority may tell."""
    return tuple(replace(match, conditions=tuple(_conditions(match, ports))) for match in matches)


def _wanted(match: model.Match) -> Condition | None:
    return next((c for c in match.conditions if c.field is Field.NEVER and c.key == PORT), None)


def _conditions(match: model.Match, ports: Mapping[Family, int] | None) -> Iterator[Condition]:
    for condition in match.conditions:
        if condition.field is not Field.NEVER or condition.key != PORT:
            yield condition
        elif ports is None:
            yield Condition(Field.HTTP, Op.PRESENT, "", "", condition.source)
            yield by_authority(int(str(condition.value)))
        else:
            yield from _family(condition, ports)


def _family(condition: Condition, ports: Mapping[Family, int]) -> Iterator[Condition]:
    """Nothing where it always holds; as it is where it never does."""
    meant = {family for family, number in ports.items() if str(number) == condition.value}
    if not meant:
        yield condition
    elif meant != ports.keys():
        op = Op.PRESENT if Family.HTTP in meant else Op.ABSENT
        yield Condition(Field.HTTP, op, "", "", condition.source)


def by_authority(number: int) -> Condition:
    """That an authority names a port, or means it by naming none."""
    text = rf".*:{number}" + (r"|[^:]*|\[.*\]" if number == UNSAID else "")
    return Condition(Field.AUTHORITY, Op.REGEX, "", dfa.compile(text), f"authority: {{regex: {text}}}")
