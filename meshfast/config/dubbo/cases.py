"""Steps -> the cases of a call, in order: what it must carry, and the outcomes that it then meets one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from meshfast.config.document import Refused
from meshfast.config.dubbo import asking
from meshfast.config.dubbo.step import ALWAYS, Alternatives, Case, Outcome, Step
from meshfast.model import Origin

MAX_CASES = 1024  # of one service: calls look through them one by one
MAX_WORK = 1 << 16  # outcomes gone through, and cases put together, of one rule of a service: about a second
MAX_FOLLOWING = 128  # outcomes one after another for one call, each of which changes where it goes
_AT_ONCE = 16  # outcomes of all calls that are looked at together


class TooManyCases(Exception):
    """More than MAX_CASES, or than can be gone through to tell."""


@dataclass(frozen=True, slots=True)
class Way:
    """The first of these whose ``when`` is true of a call decides. ``made``: what its outcomes come to."""

    when: Alternatives
    made: Any
    timeout_ms: int = 0
    shown: tuple[str, ...] = ()
    origin: Origin | None = None


_Said = tuple[Case, tuple[Outcome, ...]]  # what it is of a call, and all outcomes then
_Left = tuple[Any, int]  # what the outcomes so far come to, and the timeout: all that the next ones depend on


@dataclass(slots=True)
class _Fork:
    """Where a step leads calls for which all before it came to the same. ``other``: those of no case; None: none."""

    cases: list[tuple[Case, _Left]] = field(default_factory=list)
    other: _Left | None = None


class _Walk:
    """Goes through steps without recursion: rules may be a thousand, and few of their combinations differ."""

    def __init__(self, make: Callable[[tuple[Outcome, ...]], Any]) -> None:
        self._make, self._work = make, 0

    def _worked(self, much: int) -> None:
        self._work += much
        if self._work > MAX_WORK:
            raise TooManyCases

    def forward(self, cases: Sequence[_Said], lefts: dict[_Left, tuple[Outcome, ...]]) -> tuple[
        dict[_Left, _Fork], dict[_Left, tuple[Outcome, ...]]
    ]:  # fmt: skip
        """What the cases of a step make of each that is left, and by what outcomes it came to that."""
        forks: dict[_Left, _Fork] = {}
        after: dict[_Left, tuple[Outcome, ...]] = {}
        for left, met in lefts.items():
            fork = forks[left] = _Fork()
            for case, outcomes in cases:
                then, by = self._next(left, met, outcomes)
                after.setdefault(then, by)
                fork.cases.append((case, then))
                if () in case.when:
                    break
            else:
                fork.other = left
                after.setdefault(left, met)
        return forks, after

    def _next(
        self, left: _Left, met: tuple[Outcome, ...], outcomes: tuple[Outcome, ...]
    ) -> tuple[_Left, tuple[Outcome, ...]]:  # fmt: skip
        more = (*met, *outcomes)
        self._worked(len(more))
        made = self._make(more)
        if made == left[0]:
            more = met
        elif len(outcomes) > 1 and len(more) > 2 * _AT_ONCE:  # those of them that change something
            for one in outcomes:
                left, met = self._next(left, met, (one,))
            return left, met
        elif len(more) > MAX_FOLLOWING:
            hint = "put those conditions together that are for the same calls"
            raise Refused(f"more than {MAX_FOLLOWING} rules follow one another, each of which narrows", hint)
        return (made, left[1] or next((one.timeout_ms for one in outcomes if one.timeout_ms), 0)), more

    def back(self, fork: _Fork, after: dict[_Left, list[Way]]) -> list[Way]:
        """The ways from a fork on, by those that each of its cases goes on with."""
        blocks: list[list[Way]] = [self._block(case, after[then]) for case, then in fork.cases]
        if fork.other is None:
            return _joined(blocks)
        other = after[fork.other]
        while blocks and self._alike(blocks[-1], *fork.cases[len(blocks) - 1], fork.other, other):
            blocks.pop()
        return _joined([*blocks, other])

    def _block(self, case: Case, ways: list[Way]) -> list[Way]:
        self._worked(len(ways))
        return [
            replace(
                way,
                when=when,
                shown=tuple(filter(None, (case.shown, *way.shown))),
                origin=case.origin or way.origin,
            )
            for way in ways
            if (when := asking.both(case.when, way.when))
        ]

    def _alike(self, block: list[Way], case: Case, then: _Left, left: _Left, other: list[Way]) -> bool:
        """Whether a case does what is done without it."""
        if then == left:
            return True
        if len(block) != len(other):
            return False
        self._worked(len(other))
        told = [(asking.both(case.when, way.when), way.made, way.timeout_ms) for way in other]
        return [(way.when, way.made, way.timeout_ms) for way in block] == told


def ways(steps: Sequence[Step], make: Callable[[tuple[Outcome, ...]], Any]) -> list[Way]:
    """All of them; the last one is always true. ``make``: what a list of outcomes comes to, as what can be hashed.

    A call that several steps have a case for meets one after another; cases that change nothing are left out.

    :raises TooManyCases: it would be too many
    :raises Refused: the same of one of them, or of what follows one another
    """
    walk = _Walk(make)
    start: _Left = make(()), 0
    lefts: dict[_Left, tuple[Outcome, ...]] = {start: ()}
    forks: list[dict[_Left, _Fork]] = []
    for cases in _together(steps):
        fork, lefts = walk.forward(cases, lefts)
        forks.append(fork)
    found = {left: [Way(ALWAYS, *left)] for left in lefts}
    for fork in reversed(forks):
        found = {left: walk.back(one, found) for left, one in fork.items()}
    return found[start]


def _together(steps: Iterable[Step]) -> Iterator[Sequence[_Said]]:
    """The cases of each step; steps for all calls that follow one another are one."""
    every: list[Case] = []
    for step in steps:
        always = step.cases[0].when == ALWAYS
        if every and (not always or len(every) == _AT_ONCE):
            yield [_all(every)]
            every = []
        if always:
            every.append(step.cases[0])
        else:
            yield [(one, (one.outcome,)) for one in step.cases]
    if every:
        yield [_all(every)]


def _all(cases: Sequence[Case]) -> _Said:
    shown = "; ".join(one.shown for one in cases if one.shown)
    origin = next((one.origin for one in cases if one.origin), None)
    return replace(cases[0], shown=shown, origin=origin), tuple(one.outcome for one in cases)


def _joined(blocks: list[list[Way]]) -> list[Way]:
    out = [way for block in blocks for way in block]
    if len(out) > MAX_CASES:
        raise TooManyCases
    return out
