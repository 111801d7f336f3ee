"""What guards have seen: calls under way to each subset that policy watches, who is ejected there, what was refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from meshfast.exposition import Family, Metric
from meshfast.routing import Table

__all__ = ["METRICS", "ejected", "families", "out_of"]

#: A guard; see ``_core.Table.guards``.
Row = Mapping[str, Any]

_WHERE = ("host", "subset")
_ACTIVE = Metric("meshfast_guard_active", "gauge", "calls that are with an instance, or wait for one", _WHERE)
_EJECTED = Metric("meshfast_guard_ejected", "gauge", "instances that are ejected now", _WHERE)
_EJECTIONS = Metric(
    "meshfast_guard_ejections_total", "counter",
    "ejections, by what was counted: `errors`, `gateway` errors, or `local` failures to reach them",
    (*_WHERE, "reason"),
)  # fmt: skip
_FORBIDDEN = Metric(
    "meshfast_guard_ejections_forbidden_total", "counter", "ejections that maxEjectionPercent forbade", _WHERE
)
_NOW = Metric(
    "meshfast_guard_under_way", "gauge",
    "what connectionPool bounds: `requests`, those `pending` for a connection, `connections` of HTTP/1, `retries`",
    (*_WHERE, "what"),
)  # fmt: skip
_MOST = Metric("meshfast_guard_limit", "gauge", "how much of it may be under way", (*_WHERE, "what"))
_REFUSED = Metric("meshfast_guard_refused_total", "counter", "what was refused for that", (*_WHERE, "what"))

METRICS = (_ACTIVE, _EJECTED, _EJECTIONS, _FORBIDDEN, _NOW, _MOST, _REFUSED)


def families(rows: Sequence[Row]) -> Iterator[Family]:
    """Of all guards, where there is something to tell."""
    wheres = [(row, (row["host"], row["subset"])) for row in rows]
    ejecting = [(row, where) for row, where in wheres if row["ejects"] or any(row["ejections"].values())]
    bounded = [
        (where, what, one)
        for row, where in wheres
        for what, one in row["limits"].items()
        if one["most"] or one["refused"]
    ]
    yield _ACTIVE, [[_ACTIVE.line(where, row["active"]) for row, where in wheres]]
    yield _EJECTED, [[_EJECTED.line(where, len(_out(row))) for row, where in ejecting]]
    yield _EJECTIONS, [
        [_EJECTIONS.line((*where, why), n) for row, where in ejecting for why, n in row["ejections"].items()]
    ]
    yield _FORBIDDEN, [[_FORBIDDEN.line(where, row["forbidden"]) for row, where in ejecting]]
    yield _NOW, [[_NOW.line((*where, what), one["now"]) for where, what, one in bounded]]
    yield _MOST, [[_MOST.line((*where, what), one["most"]) for where, what, one in bounded]]
    yield _REFUSED, [[_REFUSED.line((*where, what), one["refused"]) for where, what, one in bounded]]


def _out(row: Row) -> list[Mapping[str, Any]]:
    return [one for one in row["instances"] if one["out_for"] > 0]


def ejected(table: Table, host: str, subset: str) -> dict[str, float]:
    """The instances of a subset that are ejected: address -> for how many seconds still."""
    return {
        one["address"]: round(one["out_for"], 3)
        for row in table.native.guards()
        if (row["host"], row["subset"]) == (host, subset)
        for one in _out(row)
    }


def out_of(table: Table) -> dict[tuple[str, str], dict[str, float]]:
    """By host and address: the subsets that it is ejected of ("": the whole), and for how many seconds still."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in table.native.guards():
        for one in _out(row):
            found.setdefault((row["host"], one["address"]), {})[row["subset"]] = round(one["out_for"], 3)
    return found
