"""A registry that was restarted is not asked by all sidecars at once: a thousand of them, by a clock that is turned."""

from __future__ import annotations

import asyncio
from collections import Counter
from heapq import heappop

from zoo import Hand, Zoo

from meshfast.registry.reads import PER_SECOND, SPREAD
from meshfast.registry.zookeeper import ZooKeeper

SIDECARS, SERVICES = 1000, 10
AWAY = 3.0
#: Of the clock; what is due in one is done in one turn.
STEP = 0.01


class Steps(Hand):
    """Turned in steps: a thousand sidecars have no turn of their own."""

    async def turn(self, seconds):
        end = self.seconds + seconds
        while self.seconds < end:
            self.seconds += STEP
            while self._due and self._due[0][0] <= self.seconds:
                _, _, one = heappop(self._due)
                if one.call is not None:
                    one.call()
            for _ in range(6):
                await asyncio.sleep(0)


class Noting(Zoo):
    """One server as one sidecar has it: when it was asked."""

    def __init__(self, times):
        super().__init__()
        self.times, self.seconds = times, Counter()
        self.asked = self

    def append(self, what):
        self.seconds[int(self.times.now())] += 1


def test_a_thousand_sidecars_do_not_ask_at_once():
    async def story():
        times, made = Steps(), []
        for number in range(SIDECARS):
            zoo, told = Noting(times), {}
            for service in range(SERVICES):
                zoo.put(f"/dubbo/com.x.S{service}/providers")
            one = ZooKeeper("main", "zookeeper://h:2181", told.__setitem__, times=times, connect=zoo.connect)
            one.start()
            one.want([f"com.x.S{service}" for service in range(SERVICES)])
            made.append((zoo, one, told))
            if number % 50 == 49:
                await asyncio.sleep(0)
        await times.turn(1)
        assert all(len(told) == SERVICES for _, _, told in made)
        for zoo, _, _ in made:
            zoo.mode = "down"
            zoo.lose()
            zoo.seconds.clear()
        await times.turn(AWAY)
        assert not any(zoo.seconds for zoo, _, _ in made)
        for zoo, _, _ in made:
            zoo.mode = "up"
        back = times.now()
        await times.turn(30 + SPREAD)
        reads = Counter()
        for zoo, one, _ in made:
            assert one.state.connected and sum(zoo.seconds.values()) >= 2 * SERVICES
            assert max(zoo.seconds.values()) <= PER_SECOND + 1
            reads.update(zoo.seconds)
        assert max(reads) - min(reads) >= SPREAD
        assert max(reads.values()) <= 0.35 * sum(reads.values()), reads
        assert min(reads) <= back + 2
        for _, one, _ in made:
            await one.close()

    asyncio.run(story())
