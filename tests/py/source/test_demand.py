"""Services that are still followed for a while after somebody was interested: which, and how many."""

from __future__ import annotations

from itertools import pairwise

import pytest

from meshfast.source import demand
from meshfast.source.demand import LINGER, Demand


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "MOST", 3, raising=False)


def test_names_that_are_asked_for_and_let_go_are_bounded() -> None:
    now, heard = [0.0], [0]
    one = Demand(lambda: now[0])
    one.rules(frozenset(["rule"]))
    held = one.take("held")

    def changed() -> None:
        heard[0] += 1

    one.changed = changed
    seen = []
    for i in range(10):
        now[0] += 1
        one.take(f"s{i}")()
        seen.append(one.wanted - {"rule", "held"})
    assert max(map(len, seen)) == 3 and seen[-1] == {"s7", "s8", "s9"}
    assert all(after - before for before, after in pairwise(seen))
    assert heard[0] == 10 + 7  # each that comes, and each that makes room
    one.take("s7")()  # is a late one by now
    one.take("s10")()
    assert one.wanted == {"rule", "held", "s9", "s7", "s10"}
    held()
    assert one.wanted == {"rule", "s7", "s10", "held"}
    now[0] += LINGER
    one.expire()
    assert one.wanted == {"rule"} and one.due is None


def test_what_was_listed_last_is_bounded_too() -> None:
    one = Demand(lambda: 0.0)
    one.linger(f"s{i}" for i in range(5))
    assert one.wanted == {"s2", "s3", "s4"}
