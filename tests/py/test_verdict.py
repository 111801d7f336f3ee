"""Of the faults under load: counts decide always, times only where they are asked to."""

from __future__ import annotations

from typing import Any

import pytest
from faults.verdict import Row


def phase(name: str, p99: float) -> dict[str, Any]:
    counts: dict[str, Any] = dict.fromkeys(("errors", "lost", "cut", "crossed", "misrouted"), 0)
    return counts | {"phase": name, "right": 1, "latency_ms": {"n": 1, "p99": p99}}


@pytest.mark.parametrize(("timed", "met"), [(False, True), (True, False)])
def test_a_time_decides_only_where_it_is_asked_to(timed: bool, met: bool) -> None:
    row = Row("fin", "epoll", 3, timed=timed)
    row.check("lost 0", True)
    row.time("within 1 s", False, "2 s")
    assert row.met is met and row.late is timed
    row.check("crossed 0", False)
    assert not row.met and not row.late


@pytest.mark.parametrize(("ours", "met"), [(10.0, True), (100.0, False)])
def test_the_neighbour_is_held_against_its_twin(ours: float, met: bool) -> None:
    row = Row("fin", "epoll", 3, timed=True, twin=[phase("during", 10.0)], neighbour=[phase("during", ours)])
    row.judge()
    assert row.met is met
    row = Row("fin", "epoll", 3, neighbour=[phase("during", ours)])
    row.judge()
    assert row.met
