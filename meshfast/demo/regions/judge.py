"""Which answers are right: where each call was answered, and where policy allowed it to be at its time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import sqrt

from meshfast.demo.judge import FOREVER, Call
from meshfast.demo.regions.topology import COPIES, Stand, answered_in

#: So many standard deviations a drawn share may be off, and is in one of two million times.
SIGMAS = 5.0
PROCESSES = 2  # of an instance: its application and the sidecar beside it


@dataclass(slots=True)
class Phase:
    """One stand: a call may meet it from ``begin`` to ``end``, and no other from ``settled`` to ``left``."""

    stand: Stand
    begin: float = -FOREVER
    settled: float = FOREVER
    left: float = FOREVER
    end: float = FOREVER

    def steady(self, calls: Iterable[Call]) -> Counter[tuple[str, str, str]]:
        """The calls that met this stand alone, by application, protocol and data centre."""
        found: Counter[tuple[str, str, str]] = Counter()
        for call in calls:
            if self.settled <= call.sent and call.answered <= self.left and (where := place(call)):
                found[call.app, call.protocol, where] += 1
        return found


@dataclass(slots=True)
class Timeline:
    """The stands in their order. While one changes to the next, both hold."""

    phases: list[Phase] = field(default_factory=list)

    def begin(self, stand: Stand, now: float) -> Phase:
        """From now on a call may meet it."""
        if self.phases:
            self.phases[-1].left = now
        self.phases.append(Phase(stand, now if self.phases else -FOREVER))
        return self.phases[-1]

    def settle(self, now: float) -> None:
        """From now on no call that starts may meet the one before."""
        self.phases[-1].settled = now
        if len(self.phases) > 1:
            self.phases[-2].end = now

    def allowed(self, call: Call) -> frozenset[str]:
        met = (one for one in self.phases if one.begin <= call.answered and call.sent <= one.end)
        return frozenset[str]().union(*(one.stand.allowed(call.app) for one in met))

    def of(self, stand: Stand) -> Phase:
        return next(one for one in self.phases if one.stand is stand)


@dataclass(slots=True)
class Death:
    """From the first process killed until the callers' sidecar had seen every connection end."""

    begin: float = FOREVER
    end: float = -FOREVER

    def meets(self, call: Call) -> bool:
        """It was in flight then."""
        return call.sent <= self.end and call.answered >= self.begin


def moments(calls: Iterable[Call]) -> int:
    """The least number of moments such that each call was in flight at one of them."""
    found, last = 0, -FOREVER
    for call in sorted(calls, key=lambda one: one.answered):
        if call.sent > last:
            found, last = found + 1, call.answered
    return found


@dataclass(slots=True)
class Verdict:
    """The sums over all calls."""

    sent: int = 0
    answered: int = 0
    in_flight: int = 0  # as the data centre died
    cut: list[Call] = field(default_factory=list)  # of those, without an answer
    lost: list[Call] = field(default_factory=list)  # without an answer, and not in flight then
    elsewhere: list[Call] = field(default_factory=list)
    strayed: list[Call] = field(default_factory=list)
    slowest: float = 0.0  # milliseconds

    @property
    def cut_as_they_died(self) -> bool:
        """Each process that dies cuts calls at one moment, however long it is until the last one has died."""
        kinds = {(call.app, call.protocol) for call in self.cut}
        return all(
            moments(one for one in self.cut if (one.app, one.protocol) == kind) <= PROCESSES * COPIES[kind[0]]
            for kind in kinds
        )


def place(call: Call) -> str:
    """The data centre that answered; empty: none did."""
    return "" if call.error else answered_in(call.app, call.value)


def verdict(calls: Iterable[Call], timeline: Timeline, death: Death) -> Verdict:
    out = Verdict()
    for call in calls:
        out.sent += 1
        met = death.meets(call)
        out.in_flight += met
        if not (where := place(call)):
            (out.cut if met else out.lost).append(call)
            continue
        out.answered += 1
        out.slowest = max(out.slowest, call.milliseconds)
        if call.strayed:
            out.strayed.append(call)
        if where not in timeline.allowed(call):
            out.elsewhere.append(call)
    return out


def first(calls: Iterable[Call], app: str, protocol: str, where: str, since: float) -> float:
    """Seconds from `since` until the first call sent after it was answered in that data centre; for ever: none was."""
    fits = (c for c in calls if (c.app, c.protocol) == (app, protocol) and c.sent >= since and place(c) == where)
    return min((call.answered for call in fits), default=FOREVER) - since


def drawn(share: float, calls: int, total: int) -> bool:
    """So many calls of all are what a share in percent gives, as far as chance goes; all or nothing is exact."""
    part = share / 100
    return total > 0 and abs(calls - part * total) <= SIGMAS * sqrt(total * part * (1 - part))
