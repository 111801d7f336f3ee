"""How instances are chosen and guarded, and what a rule does with a call besides choosing: parts of the frozen picture.

Each aspect is None where nothing is said of it. Imports nothing of ours but the rest of the picture. Waits are
milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from meshfast.balance import Balancer
from meshfast.changes import Direct, Fault, Headers, Redirect, Rewrite
from meshfast.retries import Budget, Retries

NO_SHARE = 0xFFFF  # MF_NO_SHARE


class Place(NamedTuple):
    """Where an instance is, as a policy sees it: ``struct mf_place``. ``gives``, ``takes``: calls that are moved."""

    level: int
    part: int
    share: int = NO_SHARE
    local: bool = False
    gives: bool = False
    takes: bool = False


Where = tuple[str, tuple[tuple[str, str], ...]]  # a locality, and labels


def where(locality: str, labels: Mapping[str, str], by_labels: bool) -> Where:
    """What a place is known by."""
    return locality, tuple(sorted(labels.items())) if by_labels else ()


@dataclass(frozen=True, slots=True)
class Locality:
    """Which localities are preferred. ``names``: of the localities, by their numbers; ``places``: of instances, by
    where they are, and with ``by_labels`` by all labels; ``shares``: what a distribution gives; ``weighted``: a
    locality is drawn first, by its weight; ``panic``: percent of a level that must be well; ``moved``: percent of calls
    that are moved, ``mover``: by what."""

    names: tuple[str, ...]
    places: Mapping[Where, Place]
    by_labels: bool = False
    shares: tuple[int, ...] = ()
    weighted: bool = False
    panic: int = 0
    moved: int = 0
    mover: str = ""

    def place(self, locality: str, labels: Mapping[str, str]) -> Place:
        """Of an instance."""
        return self.places[where(locality, labels, self.by_labels)]


@dataclass(frozen=True, slots=True)
class Outlier:
    """Which instances rest because they answered errors: ``csrc/table/outlier.h``. So many in a row eject, 0: none do;
    ``local`` counts only where ``split``. ``codes``: the statuses of HTTP that are errors; none: those from 500 on."""

    errors: int = 5
    gateway: int = 0
    local: int = 5
    split: bool = False
    interval_ms: int = 10_000
    base_ms: int = 30_000
    longest_ms: int = 300_000
    max_percent: int = 10
    least_percent: int = 0
    codes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Breaker:
    """How much may be under way at once, over all workers: ``csrc/table/breaker.h``. 0: any number."""

    requests: int = 0
    pending: int = 0
    connections: int = 0
    retries: int = 0
    connect_ms: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for a cluster, or for one of its subsets: then it is whole, and nothing of the cluster's holds."""

    locality: Locality | None = None
    balancer: Balancer | None = None
    outlier: Outlier | None = None
    breaker: Breaker | None = None
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Mirror:
    """Whom copies of a rule's calls go to: ``kind``, ``text`` as in ``model.Target``. ``share``: of a million calls."""

    cluster: str
    kind: int
    text: str
    share: int
    origin: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Limit:
    """How many calls go on: ``requests`` in each ``unit`` ns, ``burst`` at once. ``name``: those of one name share it;
    ``matches``: of ``model.Match``, any of which has a call count; none: all do. ``per``: the unit's name."""

    name: str
    requests: int
    unit: int
    burst: int
    matches: tuple[Any, ...] = ()
    per: str = ""
    origin: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Actions:
    """What a rule does with a call besides choosing where it goes. ``headers``: by target."""

    retries: Retries | None = None
    fault: Fault | None = None
    direct: Direct | None = None
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    headers: tuple[Headers, ...] = ()
    mirrors: tuple[Mirror, ...] = ()
    limits: tuple[Limit, ...] = ()
