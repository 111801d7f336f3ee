"""What a row found, and whether its demands are met."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

Phase = dict[str, Any]  # as the load generator prints it

#: Phases in which nothing is wrong, so that nothing may go wrong.
CALM = ("before", "after")

#: A neighbour's p99 beside that of its twin, to which nothing was done. What is added is the machine's: callers,
#: providers and the sidecar share its cores, and one of them waits a time slice or two for another.
TWIN_TIMES, TWIN_MS = 1.1, 8.0


@dataclass(frozen=True, slots=True)
class Check:
    """One demand. ``found``: what was there instead, or in figures how it was met. ``time``: it is about a time, a
    rate or a share of the CPU, which other work changes; ``decides``: false where it is told and no more.
    """

    demand: str
    met: bool
    found: str
    time: bool = False
    decides: bool = True

    @property
    def bad(self) -> bool:
        return self.decides and not self.met


@dataclass
class Row:
    """One fault on one loop. ``allowed``: the Dubbo statuses that calls may end with while it lasts; ``own``: the fault
    is on the callers' own connections, so that what they cut is not lost; ``timed``: times decide, too; ``twin``: the
    neighbour's phases in a row of the same run in which nothing happened; ``also``: calls beside those that are kept
    going, which a row judges by itself, but for what was lost and crossed."""

    fault: str
    loop: str
    seconds: float
    text: str = ""
    allowed: tuple[int, ...] = ()
    own: bool = False
    timed: bool = False
    twin: list[Phase] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    also: list[Phase] = field(default_factory=list)
    neighbour: list[Phase] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    rss_before: int = 0
    rss_peak: int = 0
    rss_after: int = 0
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        return bool(self.checks) and not any(check.bad for check in self.checks)

    @property
    def late(self) -> bool:
        """Nothing is amiss but times."""
        return not self.met and all(check.met or check.time for check in self.checks)

    def check(self, demand: str, met: bool, found: object = "") -> None:
        self.checks.append(Check(demand, bool(met), str(found)))

    def time(self, demand: str, met: bool, found: object = "") -> None:
        """A demand that is about a time, a rate or a share of the CPU."""
        self.checks.append(Check(demand, bool(met), str(found), time=True, decides=self.timed))

    # --- sums

    def total(self, key: str) -> int:
        return sum(int(phase[key]) for phase in self.phases)

    @property
    def lost(self) -> int:
        """Two-way calls that got neither answer nor error, where that was not the callers' own doing."""
        ours = sum(int(phase["lost"] + (0 if self.own else phase["cut"])) for phase in (*self.phases, *self.also))
        return ours + sum(int(phase["lost"] + phase["cut"]) for phase in self.neighbour)

    @property
    def crossed(self) -> int:
        return sum(phase["crossed"] + phase["misrouted"] for phase in (*self.phases, *self.also, *self.neighbour))

    @property
    def statuses(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for phase in self.phases:
            for status, count in phase["statuses"].items():
                found[int(status)] = found.get(int(status), 0) + count
        return dict(sorted(found.items()))

    def p99(self, phase: str) -> float | None:
        """Of the neighbour, milliseconds."""
        return p99(self.neighbour, phase)

    def phase(self, name: str) -> Phase:
        return next(phase for phase in self.phases if phase["phase"] == name)

    # --- the demands that every row has

    def judge(self, *, ending: bool = False) -> None:
        """``ending``: the sidecar was told to end, so callers need not be answered to the last."""
        self.check("lost 0", self.lost == 0, self.lost)
        self.check("crossed 0", self.crossed == 0, self.crossed)
        self._judge_statuses()
        if self.neighbour:
            errors = sum(phase["errors"] for phase in self.neighbour)
            self.check("neighbour: errors 0", errors == 0, errors)
            if ending:
                return
            silent = [phase["phase"] for phase in self.neighbour if phase["phase"] != "start" and not phase["right"]]
            self.check("neighbour: answered all the time", not silent, f"nothing in {silent}" if silent else "yes")
            self._judge_twin()

    def _judge_twin(self) -> None:
        ours, twins = p99(self.neighbour, "during"), p99(self.twin, "during")
        if ours is None or twins is None:
            return
        most = twins * TWIN_TIMES + TWIN_MS
        self.time("neighbour: p99 as that of its twin", ours <= most, f"{ours:.1f} ms beside {twins:.1f} ms")

    def _judge_statuses(self) -> None:
        if not self.phases:
            return
        strange = {status: n for status, n in self.statuses.items() if status not in self.allowed}
        wanted = f"errors only {', '.join(map(str, self.allowed))}" if self.allowed else "errors 0"
        self.check(wanted, not strange, strange or self.statuses or 0)
        calm = sum(phase["errors"] for phase in self.phases if phase["phase"] in CALM)
        if self.allowed:
            self.check("errors 0 before and after", calm == 0, calm)
        unheard = [name for name in CALM for phase in self.phases if phase["phase"] == name and not phase["right"]]
        self.check("answered before and after", not unheard, f"nothing {unheard}" if unheard else "yes")


def p99(phases: Iterable[Phase], name: str) -> float | None:
    """Of answers in this phase, milliseconds."""
    return next((float(one["latency_ms"]["p99"]) for one in phases if one["phase"] == name), None)


def failed(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if not row.met]
