"""A row beside its twin: a sidecar, providers and callers of the same kind, at the same time, to which nothing is done.

The counts of answers are held against the twin's, so that a busy machine is busy for both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from faults.process import RowError
from faults.stage import Stage
from faults.verdict import TWIN_MS, TWIN_TIMES, Phase, Row, p99

Limits = dict[str, int | str]

LEAST_SHARE = 0.9  # of what the twin's callers got; a rate, which other work on the machine changes for one of them
NOT_STARVED = 0.5  # which it does not change so much: who is starved gets next to nothing

#: Callers that rest between calls: how many they make is told by the answers they wait for, not by how fast all is.
STEADY = ("--connections", "4", "--inflight", "8", "--rest", "20000")
CALM = ("--connections", "2", "--inflight", "4", "--rest", "20000")


@contextmanager
def beside_twin(stage: Stage, begin: Callable[[Stage], None]) -> Iterator[Stage]:
    """Begins a row and its twin alike."""
    row = Row("twin", stage.row.loop, stage.row.seconds)
    with Stage(row, stage.directory / "twin", workers=stage.workers, grpc=stage.grpc) as twin:
        begin(stage)
        begin(twin)
        yield twin


def strike(stage: Stage, twin: Stage) -> None:
    """From here on the row's counts are held against its twin's."""
    for one in (stage, twin):
        one.phase("fault")


def over(stage: Stage, twin: Stage) -> None:
    """The fault is over; who was not to notice is held against the twin."""
    twin.phase("settle")
    stage.settle()
    twin.collect()
    stage.finish()
    for name, ours, twins in (
        ("callers", stage.row.phases, twin.row.phases),
        ("neighbour", stage.row.neighbour, twin.row.neighbour),
    ):
        right, wanted = (next(one["right"] for one in phases if one["phase"] == "fault") for phases in (ours, twins))
        found = f"{right:,} beside {wanted:,}"
        stage.row.check(f"{name}: {NOT_STARVED:.0%} of its twin's answers", right >= NOT_STARVED * wanted > 0, found)
        stage.row.time(f"{name}: {LEAST_SHARE:.0%} of its twin's answers", right >= LEAST_SHARE * wanted > 0, found)
        took, usual = p99(ours, "fault"), p99(twins, "fault")
        if took is not None and usual is not None:
            met = right > 0 and took <= usual * TWIN_TIMES + TWIN_MS
            stage.row.time(f"{name}: p99 as its twin's", met, f"{took:.1f} ms beside {usual:.1f} ms")


def judge_also(stage: Stage, counts: list[Phase], allowed: tuple[int, ...]) -> None:
    """What became of the calls that did the harm: they, too, have an answer each."""
    (one,), allowed = counts, stage.told(*allowed)
    answered = one["right"] + sum(n for status, n in one["statuses"].items() if int(status) in allowed)
    found = f"{one['right']:,} of {one['sent']:,}, {one['statuses'] or 'no errors'}, {one['lost'] + one['cut']} lost"
    wanted = f" or {', '.join(map(str, allowed))}" if allowed else ""
    stage.row.check(f"theirs: all right{wanted}", answered == one["sent"] > 0, found)


def begin_limited(stage: Stage, addresses: list[str], name: str, limits: Limits, **more: Any) -> None:
    """With a limit that may not be there: that is a demand, and the row goes on without it, to see what it would do."""
    try:
        stage.begin(addresses, limits=limits, **more)
        stage.row.check(f"{name} is a limit", True, limits[name])
    except RowError as error:
        if name not in str(error):
            raise
        stage.row.check(f"{name} is a limit", False, error)
        stage.begin(addresses, limits={key: value for key, value in limits.items() if key != name}, **more)


def also(calls: int, *, payload: int = 200, timeout: str = "3000") -> tuple[str, ...]:
    """Options of a caller that sends these at once to another service, on each of its connections."""
    return ("--also-calls", str(calls), "--also-payload", str(payload), "--also-timeout", timeout)
