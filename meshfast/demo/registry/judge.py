"""Which calls ended right: what became of each, who answered it, and how often it was executed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from meshfast.demo.judge import FOREVER
from meshfast.demo.registry.records import Call, Executed
from meshfast.demo.registry.topology import BASE, DEV, Kind

LOST = "ConnectionLost"


@dataclass(slots=True)
class Window:
    """A while in which something was away. What it says of calls holds for those that were under way in it."""

    begin: float = FOREVER
    end: float = FOREVER

    def meets(self, call: Call) -> bool:
        return call.sent <= self.end and call.ended >= self.begin

    def has(self, at: float) -> bool:
        return self.begin <= at <= self.end


@dataclass(slots=True)
class Times:
    """``killed``: from the kill of the shop's sidecar until its calls went another way; ``planned``: the same of its
    stop, until they were back; ``died``: from the kill of the instance with a label until it was out of the registry;
    ``gone``: until a call had gone to it again."""

    killed: Window = field(default_factory=Window)
    planned: Window = field(default_factory=Window)
    died: Window = field(default_factory=Window)
    gone: Window = field(default_factory=Window)


@dataclass(slots=True)
class Verdict:
    """The sums over all calls."""

    sent: int = 0
    answered: int = 0
    cut: list[Call] = field(default_factory=list)  # those that may not be repeated, under way as something was killed
    failed: list[Call] = field(default_factory=list)  # all others without a value
    elsewhere: list[Call] = field(default_factory=list)  # answered by whom its label does not lead to
    planned: int = 0  # under way while the sidecar was restarted as planned
    twice: list[str] = field(default_factory=list)  # executed more than once, and must not be
    repeated: int = 0  # executed more than once, and may be
    unexecuted: list[Call] = field(default_factory=list)  # answered by who has not executed it
    ways: Counter[tuple[str, Kind, str]] = field(default_factory=Counter)  # by mode, kind, and who answered


def verdict(calls: Iterable[Call], executed: Iterable[Executed], times: Times) -> Verdict:
    out, done = Verdict(), Counter((one.id, one.who) for one in executed)
    often: Counter[str] = Counter()
    for (id, _), count in done.items():
        often[id] += count
    for call in calls:
        out.sent += 1
        out.planned += times.planned.meets(call)
        if often[call.id] > 1:
            out.repeated += call.idempotent
            if not call.idempotent:
                out.twice.append(call.id)
        if call.error:
            (out.cut if _is_cut(call, times) else out.failed).append(call)
            continue
        out.answered += 1
        out.ways[call.mode, Kind(call.label, call.idempotent), call.value] += 1
        if call.value not in allowed(call, times):
            out.elsewhere.append(call)
        if not done[call.id, call.value]:
            out.unexecuted.append(call)
    return out


def _is_cut(call: Call, times: Times) -> bool:
    """It was sent, may not be sent again, and was under way as somebody was killed, not stopped."""
    return call.error == LOST and not call.idempotent and (times.killed.meets(call) or times.died.meets(call))


def allowed(call: Call, times: Times) -> frozenset[str]:
    """Who may answer it: the instance with its label, and the one without for no label, or while that is gone."""
    base = BASE.env or "base"
    if not call.label:
        return frozenset([base])
    return frozenset([DEV.env, base]) if times.gone.meets(call) else frozenset([DEV.env])
