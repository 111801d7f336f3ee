"""Instances that a registry lists no longer: which are kept, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from config_mesh import rule, virtual
from registered import MAIN, Clock, World, instance, offer, places, play

from meshfast.model import RegistrySpec
from meshfast.registry import Listing, State
from meshfast.source import Moved
from meshfast.source.feed import DEAD, KEPT, STEPS, WINDOW, Feed

S = "com.x.Hello"
PLACES = [f"10.0.0.{i}:20880" for i in range(10)]


@dataclass
class Told:
    """A registry of which only the state counts."""

    name: str = "main"
    state: State = field(default_factory=State)

    def start(self) -> None: ...
    def want(self, services: object) -> None: ...
    async def close(self) -> None: ...


class Case:
    def __init__(self, protects: bool = True, connected_for: float = 1000.0) -> None:
        self.clock = Clock()
        self.feed = Feed(RegistrySpec("main", "zookeeper", ("h:1",), protects=protects), self.clock)
        self.told = Told(state=State(True, self.clock.now - connected_for, 1))
        self.feed.registry = self.told
        self.feed.want(frozenset([S]))

    def take(self, *numbers: int) -> list[int]:
        self.feed.take(S, (offer(S, *(PLACES[i] for i in numbers)),) if numbers else ())
        return self.served

    @property
    def served(self) -> list[int]:
        return [PLACES.index(one.address) for each in self.feed.served(S) for one in each.instances]

    def reconnect(self) -> None:
        self.told.state.sessions += 1
        self.told.state.since = self.clock.now


def test_some_that_go_are_gone() -> None:
    case = Case()
    assert case.take(*range(10)) == [*range(10)]
    assert case.take(0, 1) == [0, 1]
    assert case.take(1) == [1] and case.feed.retained == 0


def test_all_that_go_at_once_are_kept_until_they_are_back() -> None:
    case = Case()
    case.take(0, 1, 2)
    assert case.take() == [0, 1, 2] and case.feed.retained == 3
    assert case.take(2, 3) == [2, 3, 0, 1] and case.feed.retained == 2
    assert case.take(0, 1, 2, 3) == [0, 1, 2, 3] and case.feed.retained == 0
    assert case.take(0, 1) == [0, 1]


def test_all_that_go_one_after_the_other_are_kept() -> None:
    """As sessions end: all of them, each seen to go by itself."""
    case = Case()
    case.take(0, 1, 2, 3)
    assert case.take(0, 1, 3) == [0, 1, 3]
    case.clock.now += STEPS / 2
    assert case.take(3) == [3] and case.feed.retained == 0
    case.clock.now += STEPS / 2
    assert sorted(case.take()) == [0, 1, 3]  # what went before then was gone
    assert case.take(0, 1, 2, 3) == [0, 1, 2, 3] and case.feed.retained == 0
    case.clock.now += STEPS
    assert case.take(0, 1, 2) == [0, 1, 2]
    assert case.take(2) == [2]
    assert case.take(1) == [1] and case.take(0, 1) == [0, 1] and case.feed.retained == 0


def test_more_than_half_that_go_after_a_reconnect_are_kept() -> None:
    case = Case()
    case.take(*range(10))
    case.reconnect()
    assert case.take(*range(5)) == [*range(5)]  # half of them is not more than half
    case = Case()
    case.take(*range(10))
    case.reconnect()
    assert sorted(case.take(0, 1, 2, 3)) == [*range(10)] and case.feed.retained == 6


def test_less_by_less_after_a_reconnect_is_the_same_loss() -> None:
    case = Case()
    case.take(*range(10))
    case.reconnect()
    for left in (8, 6):
        assert case.take(*range(left)) == [*range(left)]
    assert sorted(case.take(*range(4))) == [*range(10)]


def test_the_same_loss_a_minute_after_a_reconnect_is_meant() -> None:
    case = Case()
    case.take(*range(10))
    case.reconnect()
    case.clock.now += WINDOW
    assert case.take(0) == [0]


def test_a_registry_may_be_taken_at_its_word() -> None:
    case = Case(protects=False)
    case.take(0, 1)
    case.reconnect()
    assert case.take() == []


def test_what_is_kept_is_given_up_after_ten_minutes() -> None:
    case = Case()
    case.take(0, 1)
    case.take()
    case.clock.now += KEPT - 1
    assert case.feed.forget({}) == [] and case.served == [0, 1]
    case.clock.now += 1
    assert case.feed.forget({}) == [S] and case.served == [] and case.feed.retained == 0


def test_one_that_fails_all_the_while_is_given_up_before() -> None:
    case = Case()
    case.take(0, 1, 2)
    case.take()
    failing, well, quiet = PLACES[:3]
    peers = {failing: (1, 0), well: (1, 0), quiet: (1, 0)}
    case.feed.forget(peers)
    for second in range(0, int(DEAD) + 1, 5):
        assert sorted(case.served) == [0, 1, 2], second
        peers[failing] = (1, second + 1)
        peers[well] = (1 + second // 20, second + 1)  # it fails as often, and is reached in between
        peers[quiet] = (1, 1)  # once, and nobody calls it any more
        case.feed.forget(peers)
        case.clock.now += 5
    assert case.served == [1, 2]


def test_groups_and_versions_are_kept_apart() -> None:
    case = Case()
    both: Listing = (offer(S, "10.0.0.1:1", version="1"), offer(S, "10.0.0.1:1", version="2"))
    case.feed.take(S, both)
    case.feed.take(S, both[:1])
    assert case.feed.served(S) == both[:1]
    case.clock.now += STEPS
    case.feed.take(S, ())
    assert case.feed.served(S) == both[:1] and case.feed.retained == 1


def test_a_source_keeps_them_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def body(it: World) -> None:
        it.write(virtual([S], {"route": [{"destination": {"subset": "v1"}}]}), rule(S, "v1"))
        it.says["main"] = {S: (offer(S, "10.0.0.1:1", "10.0.0.2:1"),)}
        await it.next()
        it.main.list(S)
        it.main.list("com.x.Nobody", offer("com.x.Nobody", "10.0.0.9:1"))  # was not asked for
        it.write(virtual([S], {"timeout": "1s", "route": [{"destination": {"subset": "v1"}}]}), rule(S, "v1"))
        event = await it.next()
        assert places(event, S) == ["10.0.0.1:1", "10.0.0.2:1"] and [*it.shown][0].retained == 2
        assert "2 instance(s) of com.x.Hello are listed no longer, all at once" in caplog.text
        it.shown.peers = lambda: {"10.0.0.1:1": (0, int(it.clock.now))}
        it.source._tend()
        it.clock.now += 1
        it.source._tend()
        it.clock.now += DEAD
        it.source._tend()
        event = await it.until(lambda event: isinstance(event, Moved))
        assert places(event, S) == ["10.0.0.2:1"]
        it.main.list(S, offer(S, "10.0.0.3:1"))
        assert sorted(places(await it.next(), S)) == ["10.0.0.2:1", "10.0.0.3:1"]

    play(tmp_path, body)


def test_an_empty_registry_after_a_restart_takes_nothing_away(tmp_path: Path) -> None:
    async def body(it: World) -> None:
        it.write(registries=[{**MAIN, "services": ["*"]}])
        it.says["main"] = {f"com.x.S{i}": (offer(f"com.x.S{i}", instance(f"10.0.0.{i}:1")),) for i in range(1, 5)}
        event = await it.next()
        assert len(event.mesh.clusters) == 4  # type: ignore[union-attr]
        it.main.state.connected = False
        it.clock.now += 30
        it.main.reconnect()
        for i in range(1, 5):
            it.main.list(f"com.x.S{i}")
        it.main.list("com.x.S5", offer("com.x.S5", "10.0.0.5:1"))
        event = await it.until(lambda event: "com.x.S5" in event.mesh.clusters)  # type: ignore[union-attr]
        assert [places(event, f"com.x.S{i}") for i in range(1, 6)] == [[f"10.0.0.{i}:1"] for i in range(1, 6)]

    play(tmp_path, body)
