"""The link's table: every state with every event, and long random walks."""

from __future__ import annotations

import itertools
import random

import pytest

from meshfast.sdk.link import ROUTES, TABLE, Do, Event, Link, State, Timing

#: What must follow, written down a second time: state, event, next state, in words of the design.
WANTED = {
    (State.OPENING, Event.UP): State.THIN,
    (State.OPENING, Event.LOST): State.FAT,
    (State.THIN, Event.LOST): State.FAT,
    (State.THIN, Event.SILENT): State.DOUBT,
    (State.THIN, Event.READONLY): State.FAT,
    (State.DOUBT, Event.HEARD): State.THIN,
    (State.DOUBT, Event.LOST): State.FAT,
    (State.DOUBT, Event.SILENT): State.FAT,
    (State.DOUBT, Event.READONLY): State.FAT,
    (State.FAT, Event.WELL): State.THIN,
    (State.FAT, Event.FAT_LOST): State.NONE,
    (State.NONE, Event.GOOD): State.THIN,
    (State.NONE, Event.WELL): State.THIN,
    (State.NONE, Event.BAD): State.NONE,
    (State.NONE, Event.FAT_UP): State.FAT,
}
PAIRS = list(itertools.product(State, Event))


def at(state: State) -> Link:
    link = Link()
    link.state = state
    return link


@pytest.mark.parametrize(("state", "event"), PAIRS, ids=lambda one: one.name)
def test_every_state_with_every_event(state: State, event: Event) -> None:
    link = at(state)
    doing = link.on(event, 10.0)
    assert link.state is WANTED.get((state, event), state)
    if (state, event) not in TABLE:
        assert doing == ()
    # Who leaves the sidecar probes it and wants the engine; who comes back takes the probe's connection.
    left = state in (State.OPENING, State.THIN, State.DOUBT) and link.state is State.FAT
    assert (Do.PROBE in doing) is left
    assert left <= (Do.START in doing)
    assert (Do.ADOPT in doing) is (state in (State.FAT, State.NONE) and link.state is State.THIN)
    assert (Do.REST in doing) is (Do.ADOPT in doing)
    assert (Do.ASK in doing) is (link.state is State.DOUBT and state is not State.DOUBT)
    # A connection is given up once: at once where it may be dead, else when its calls are done.
    assert (Do.DROP in doing) is (left and event is Event.SILENT)
    assert (Do.RETIRE in doing) is (left and event is Event.READONLY)


def test_the_table_has_nothing_that_is_not_wanted() -> None:
    assert set(TABLE) == set(WANTED)
    assert set(ROUTES) == set(State)
    reached = {State.OPENING} | {after for after, _ in TABLE.values()}
    assert reached == set(State)


def test_back_after_three_good_probes_and_two_seconds() -> None:
    link = at(State.THIN)
    link.on(Event.LOST, 100.0)
    assert link.probed(True, 101.0) == link.probed(True, 101.1) == link.probed(True, 101.2) == ()
    assert link.probed(True, 102.9) == ()
    assert link.probed(False, 102.95) == ()
    assert link.probed(True, 103.0) == link.probed(True, 105.5) == ()
    assert link.probed(True, 105.6) == (Do.ADOPT, Do.REST)
    assert link.state is State.THIN


def test_each_relapse_doubles_the_hold() -> None:
    link, now, holds = at(State.THIN), 1000.0, []
    for _ in range(8):
        link.on(Event.LOST, now)
        holds.append(link.hold)
        began = now
        while link.state is State.FAT:
            now += 1.0
            link.probed(True, now)
        assert now - began >= link.hold
        now += 59.9
    assert holds == [2, 4, 8, 16, 32, 60, 60, 60]
    now += 0.2  # it has been well for a minute
    link.on(Event.LOST, now)
    assert link.hold == 2


def test_where_there_is_nothing_one_good_probe_is_enough() -> None:
    link = Link()
    assert link.on(Event.LOST, 0.0) == (Do.START, Do.PROBE)
    link.on(Event.FAT_LOST, 0.1)
    assert (link.state, link.mode) == (State.NONE, "none")
    assert link.probed(False, 0.2) == (Do.START,)
    assert link.probed(True, 0.3) == (Do.ADOPT, Do.REST)


class World:
    """What a driver would have: one who does what it is told, and sees what must never be."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)
        self.link = Link(Timing(hold=2.0, hold_max=16.0))
        self.now = 0.0
        self.connected = self.probing = self.engine = False
        self.good: list[float] = []

    def follow(self, doing: tuple[Do, ...], probed: bool = False) -> None:
        for one in doing:
            if one is Do.DROP or one is Do.RETIRE:
                assert self.connected
                self.connected = False
            elif one is Do.PROBE:
                assert not self.connected or self.link.state is State.FAT
                self.probing, self.good = True, []
            elif one is Do.ADOPT:
                assert probed and self.probing
                self.connected, self.probing = True, False
            elif one is Do.ASK:
                assert self.connected
            elif one is Do.REST:
                assert self.link.state is State.THIN

    def step(self) -> None:
        self.now += self.draw.choice((0.0, 0.001, 0.3, 1.0, 7.0, 70.0))
        link, before = self.link, self.link.state
        if before is State.OPENING:
            event = self.draw.choice((Event.UP, Event.LOST))
            self.connected = event is Event.UP
            self.follow(link.on(event, self.now))
        elif self.draw.random() < 0.2:  # late news of what is no more, in any order
            strays = [one for one in Event if (before, one) not in TABLE]
            assert link.on(self.draw.choice(strays), self.now) == () and link.state is before
        elif self.connected:
            event = self.draw.choice((Event.LOST, Event.SILENT, Event.HEARD, Event.READONLY, Event.HEARD))
            if event is Event.LOST:
                self.connected = False
            self.follow(link.on(event, self.now))
        elif self.draw.random() < 0.3:
            self.follow(link.on(self.draw.choice((Event.FAT_UP, Event.FAT_LOST)), self.now))
        else:
            self.probe()

    def probe(self) -> None:
        good, fat, hold = self.draw.random() < 0.8, self.link.state is State.FAT, self.link.hold
        self.good = [*self.good, self.now] if good else []
        self.follow(self.link.probed(good, self.now), probed=True)
        if self.link.state is State.THIN:
            assert good
            if fat:
                assert len(self.good) >= 3 and self.now - self.good[0] >= hold

    def check(self) -> None:
        state = self.link.state
        assert self.connected is (state in (State.THIN, State.DOUBT))
        assert self.probing is (state in (State.FAT, State.NONE))
        assert (ROUTES[state] == "sidecar") is (state is State.THIN)
        assert 2.0 <= self.link.hold <= 16.0


def test_random_walks() -> None:
    seen: set[tuple[State, State]] = set()
    for seed in range(2000):
        world = World(seed)
        for _ in range(60):
            before = world.link.state
            world.step()
            seen.add((before, world.link.state))
            if world.link.state is not State.OPENING:
                world.check()
    assert {(before, after) for (before, _), (after, _) in TABLE.items()} <= seen
