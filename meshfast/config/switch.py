"""``RegionSwitch``: one application's calls, all or a part, from one data centre to another."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast.config import place
from meshfast.config.document import Report
from meshfast.config.field import Int, Record, spec
from meshfast.config.locality import WHERE, Move
from meshfast.config.resource import HOST


@dataclass(slots=True, kw_only=True)
class RegionSwitch(Record):
    app: str = spec(HOST, "Whose calls: an application (the ServiceEntry's name), `app/*`, or a service of its own.")
    origin: str = spec(WHERE, "Where they would go: `region` or `region/zone`.", name="from")
    to: str = spec(WHERE, "Where they go instead. As far as nobody is well there, they go on to others, and back last.")
    percent: int = spec(Int(0, 100), "How many of them. 0: none, as without this document.", 100)


def read(found: RegionSwitch, name: str, report: Report) -> Move | None:
    """What it moves; None: nothing."""
    if found.at.bad:
        return None
    if place.overlap((found.origin, found.to)) is not None:
        hint = "name another data centre"
        report.add(found.at.at("to"), f"{found.origin} and {found.to} have places in common", hint)
    if not found.percent:
        return None
    said = f"RegionSwitch {name} moves {found.percent} % from {found.origin} to {found.to}"
    return Move(place.parts(found.origin), place.parts(found.to), found.percent, said)
