"""What rules share, and keep over updates: the buckets of rate limits, and what became of mirrored calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from meshfast import _core
from meshfast.model import FallbackCase, Rule, TargetKind
from meshfast.policies import Limit, Mirror

__all__ = ["Aside", "Bound", "Mirrored", "Shared"]

Kept = tuple[Limit, _core.Bucket]
Key = tuple[str, int, str]  # of mirrors: cluster, kind, text

Conditions = list[list[tuple[int, str, int, Any]]]
#: What a rule has by objects that it shares: mirrors as (number of the target, share, meter), limits as (name, bucket,
#: matches).
Aside = tuple[list[tuple[int, int, _core.Meter]], list[tuple[str, _core.Bucket, Conditions]]]
_COUNTS = ("ok", "error", "failed", "skipped")  # MF_COPY_OK, ...


class Bound(NamedTuple):
    """A rate limit in force, how many calls it has let go on and refused, and how many more may go on now."""

    limit: Limit
    passed: int
    limited: int
    left: int

    @property
    def name(self) -> str:
        return self.limit.name


class Mirrored(NamedTuple):
    """Whom copies go to, and what became of them: ``ok``, ``error``, ``failed``, ``skipped``."""

    cluster: str
    subset: str
    counts: Mapping[str, int]


@dataclass
class Shared:
    """By name, what is in a table, and what an update adds. What no rule has any more is forgotten by the next one."""

    _buckets: dict[str, Kept] = field(default_factory=dict)
    _meters: dict[Key, _core.Meter] = field(default_factory=dict)
    _new: dict[str, Kept] = field(default_factory=dict)

    def begin(self) -> None:
        """An update begins; what the last one added, if that failed, never was."""
        self._new = {}

    def commit(self) -> None:
        """It is in force, and so are its rates."""
        for limit, bucket in self._new.values():
            bucket.set(*_rate(limit))
        self._buckets.update(self._new)
        self._new = {}
        self._buckets = {name: kept for name, kept in self._buckets.items() if kept[1].used}
        self._meters = {key: meter for key, meter in self._meters.items() if meter.used}

    def aside(self, rule: Rule) -> Aside | None:
        """What a rule has of it; None: nothing."""
        actions = rule.actions
        if actions is None or not (actions.mirrors or actions.limits):
            return None
        first = len(rule.targets)
        mirrors = [(first + i, one.share, self._meter(one)) for i, one in enumerate(actions.mirrors)]
        return mirrors, [
            (one.name, self._bucket(one), _conditions(one) if one.matches else []) for one in actions.limits
        ]

    def _meter(self, mirror: Mirror) -> _core.Meter:
        key = mirror.cluster, int(mirror.kind), mirror.text
        if key not in self._meters:
            self._meters[key] = _core.Meter()
        return self._meters[key]

    def _bucket(self, limit: Limit) -> _core.Bucket:
        """One for each name: rules of before, which some callers still meet for a moment, count with those of now."""
        known = self._new.get(limit.name) or self._buckets.get(limit.name)
        bucket = _core.Bucket(*_rate(limit)) if known is None else known[1]
        self._new[limit.name] = limit, bucket
        return bucket

    def limits(self) -> list[Bound]:
        """Those in force, by name."""
        found = sorted(self._buckets.items())
        return [Bound(limit, *bucket.counts()) for _, (limit, bucket) in found if bucket.used]

    def mirrors(self) -> list[Mirrored]:
        """Whom copies go to."""
        out = []
        for (cluster, kind, text), meter in sorted(self._meters.items()):
            if meter.used:
                subset = f"${text}" if kind == TargetKind.LABEL else text
                out.append(Mirrored(cluster, subset, dict(zip(_COUNTS, meter.counts(), strict=True))))
        return out


def targets(rule: Rule) -> list[tuple[str, int, str, int, int, None]]:
    """The mirrors of a rule as targets that nothing leads to, behind its own."""
    if rule.actions is None or not rule.actions.mirrors:
        return []
    mirrors = rule.actions.mirrors
    return [(one.cluster, one.kind, one.text, 0, FallbackCase.NO_AVAILABLE, None) for one in mirrors]


def _conditions(limit: Limit) -> Conditions:
    return [[(c.field, c.key, c.op, c.value) for c in match.conditions] for match in limit.matches]


def _rate(limit: Limit) -> tuple[int, int, int]:
    return limit.requests, limit.unit, limit.burst
