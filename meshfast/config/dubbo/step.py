"""What a rule document comes to: steps, each of which leaves some of the instances that the step before it left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from meshfast.config.dubbo.parties import Provider
from meshfast.model import Condition, Origin

Alternatives = tuple[tuple[Condition, ...], ...]  # of a call: all of any; none: never, one without conditions: always

ALWAYS: Alternatives = ((),)


@dataclass(frozen=True, slots=True, eq=False)
class Test:
    """Which instances are meant. ``shown``: the same in the words of the rule."""

    fits: Callable[[Provider], bool]
    shown: str


@dataclass(frozen=True, slots=True)
class Pick:
    """A share of the calls: to those of the first test that any instance meets."""

    tests: tuple[Test, ...]
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a call and the instances that were left for it.

    The first of ``tries`` of which any pick has instances decides. None has: all are left, or nobody where it is
    ``closed``. ``skewed``: the first pick has one more of the whole, the last one less, as Dubbo draws. ``passing``: a
    share that nobody is there for is the next one's. ``percent``: so many of the instances must be meant; fewer are
    none, unless 0 do. ``timeout_ms``: of the call; 0 is none.
    """

    tries: tuple[tuple[Pick, ...], ...] = ()
    closed: bool = False
    skewed: bool = False
    passing: bool = False
    percent: float | None = None
    timeout_ms: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """What becomes of the calls that ``when`` is true of."""

    when: Alternatives
    outcome: Outcome
    shown: str = ""
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """The first case that is true of a call decides; where none is, all instances are left."""

    cases: tuple[Case, ...]

    def only(self, when: Alternatives) -> Step:
        """The same for these calls alone."""
        if when == ALWAYS:
            return self
        cases = (replace(one, when=tuple((*a, *b) for a in when for b in one.when)) for one in self.cases)
        return Step(tuple(one for one in cases if one.when))
