"""Which answers are right: what a call got, what policy allowed while it ran, and the sums over many calls."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from meshfast.demo.topology import APPS, Instance, path, path_parse, path_text

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Call:
    """One call as its caller saw it. Times in seconds on one clock; ``label`` empty: none was sent."""

    protocol: str
    label: str
    sent: float
    answered: float
    value: str = ""  # what it was answered
    error: str = ""  # why there is no answer
    strayed: bool = False  # the answer carries the trace id of another call
    app: str = APPS[0]  # which was called

    @property
    def hops(self) -> tuple[Instance, ...] | None:
        return None if self.error else path_parse(self.value)

    @property
    def milliseconds(self) -> float:
        return (self.answered - self.sent) * 1e3


@dataclass(slots=True)
class State:
    """Who runs, and from when to when a call may be routed by it."""

    running: frozenset[Instance]
    begin: float
    end: float = FOREVER


class Timeline:
    """The states of the mesh. While a change spreads over the sidecars, the old and the new one both hold."""

    def __init__(self, running: Iterable[Instance]) -> None:
        self.states = [State(frozenset(running), -FOREVER)]

    def begin_change(self, running: Iterable[Instance], now: float) -> None:
        """From now on a call may meet the new state."""
        self.states.append(State(frozenset(running), now))

    def end_change(self, now: float) -> None:
        """From now on no call that starts may meet the state before."""
        self.states[-2].end = now

    def allowed(self, label: str, sent: float, answered: float, first: str = APPS[0]) -> set[str]:
        """The paths that are right for a call to `first` that ran from `sent` to `answered`."""
        return {
            path_text(path(label, state.running, first))
            for state in self.states
            if state.begin <= answered and sent <= state.end
        }


@dataclass(slots=True)
class Tally:
    """The sums over calls."""

    sent: int = 0
    answered: int = 0
    lost: list[Call] = field(default_factory=list)
    strayed: list[Call] = field(default_factory=list)
    elsewhere: list[Call] = field(default_factory=list)  # answered, but from where policy did not allow
    leaked: list[Call] = field(default_factory=list)  # without a label, yet in a labelled environment
    paths: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # by protocol, label and path
    slowest: float = 0.0  # milliseconds

    def add(self, call: Call, timeline: Timeline) -> None:
        self.sent += 1
        hops = call.hops
        if hops is None:
            self.lost.append(call)
            return
        self.answered += 1
        self.paths[call.protocol, call.label, call.value] += 1
        self.slowest = max(self.slowest, call.milliseconds)
        if call.strayed:
            self.strayed.append(call)
        if call.value not in timeline.allowed(call.label, call.sent, call.answered):
            self.elsewhere.append(call)
        if not call.label and any(hop.env for hop in hops):
            self.leaked.append(call)


def tally(calls: Iterable[Call], timeline: Timeline) -> Tally:
    out = Tally()
    for call in calls:
        out.add(call, timeline)
    return out
