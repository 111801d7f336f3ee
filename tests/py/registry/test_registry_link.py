"""Connections that end, servers that are away or slow: nothing is lost, and nobody is asked too often."""

from __future__ import annotations

import pytest
from zoo import calm
from zoo_world import CART, STOCK, world

from meshfast.registry.reads import IN_FLIGHT, PER_SECOND, SPREAD


@pytest.mark.parametrize("what", ["ended", "suspended"])
def test_a_lost_connection_loses_nothing(what):
    @world
    async def run(w):
        w.offer(1)
        w.registry.start()
        w.registry.want([CART])
        await calm()
        w.zoo.lose(what)
        await calm()
        assert not w.registry.state.connected and w.registry.state.error == "Connection dropped"
        w.offer(2)  # no watch tells of it
        w.registry.want([CART, STOCK])
        await calm()
        assert len(w.told) == 1
        if what == "suspended":
            w.zoo.again()
        await w.times.turn(1)
        assert w.registry.state.connected and w.registry.state.sessions == 1  # the same one
        assert w.now[STOCK] == ()  # at once: it was never read
        await w.times.turn(SPREAD)
        assert w.hosts() == ["10.0.0.1", "10.0.0.2"]
        w.zoo.drop(w.path(1))
        await calm()
        assert w.hosts() == ["10.0.0.2"]

    run()


@world
async def test_after_a_reconnect_reading_is_spread(w):
    services = [f"com.x.S{i}" for i in range(400)]
    for i, each in enumerate(services):
        w.offer(i + 1, each)
    w.registry.start()
    w.registry.want(services)
    await calm()
    assert len(w.now) == 400
    w.zoo.lose()
    await calm()
    for i, each in enumerate(services):
        w.offer(i + 501, each)
    w.zoo.asked.clear()
    await w.times.turn(0.5)  # the first wait is no longer
    begun = w.times.now()
    rate = []
    while len(w.zoo.asked) < 800:
        before = len(w.zoo.asked)
        await w.times.turn(1)
        rate.append(len(w.zoo.asked) - before)
        assert w.times.now() - begun < 2 * 400 / PER_SECOND + SPREAD + 2
    assert max(rate) <= PER_SECOND + 1
    assert len(set(w.zoo.asked)) == 800 and {what for what, _ in w.zoo.asked} == {"children", "exists"}
    assert all(len(w.now[each][0].instances) == 2 for each in services)


@world
async def test_attempts_wait_longer_each_time_by_luck(w):
    w.zoo.mode = "down"
    w.registry.start()
    await calm()
    for _ in range(40):
        await w.times.turn(31)
    waits = w.times.waits[:30]
    assert all(0 <= wait <= min(30, 0.5 * 2**i) for i, wait in enumerate(waits))
    assert max(waits) > 20 and len(set(waits)) == len(waits)  # jitter over all of it
    assert w.registry.state.error == "Connection refused" and w.registry.state.sessions == 0
    w.zoo.mode = "up"
    await w.times.turn(31)
    assert w.registry.state.connected


@world
async def test_a_server_that_only_hangs_up_is_not_asked_all_the_time(w):
    w.registry.start()
    await calm()
    for _ in range(300):
        if w.registry.state.connected:
            w.zoo.lose()
            await calm()
        await w.times.turn(0.3)
    assert len(w.zoo.attempts) < 30


@world
async def test_a_connection_that_held_is_soon_made_again(w):
    w.registry.start()
    await calm()
    for _ in range(50):
        await w.times.turn(100)
        w.times.waits.clear()
        w.zoo.lose()
        await w.times.turn(0.5)
        assert w.registry.state.connected and w.times.waits[0] <= 0.5
    assert w.registry.state.sessions == 1


@world
async def test_a_session_that_ended_is_begun_anew_at_once(w):
    w.offer(1)
    w.registry.start()
    w.registry.want([CART])
    await calm()
    w.zoo.mode = "expired"
    w.zoo.lose()
    await w.times.turn(1)
    assert w.registry.state.connected and w.registry.state.sessions == 2
    assert [each is None for each in w.zoo.attempts] == [True, False, True]


@world
async def test_a_session_too_old_is_not_offered(w):
    w.registry.start()
    await calm()
    w.zoo.mode = "down"
    w.zoo.lose()
    await w.times.turn(120)
    assert w.zoo.attempts[1] is not None and w.zoo.attempts[-1] is None


@world
async def test_a_few_requests_are_under_way_at_once(w):
    w.zoo.slow = True
    services = [f"com.x.S{i}" for i in range(3 * IN_FLIGHT)]
    w.registry.start()
    w.registry.want(services)
    await calm()
    most = 0
    while len(w.now) < len(services):
        most = max(most, len(w.zoo.client.waiting))
        w.zoo.client.answer()
        await calm()
    assert most == IN_FLIGHT


@world
async def test_slow_answers_of_a_lost_connection_are_not_taken(w):
    w.offer(1)
    w.zoo.slow = True
    w.registry.start()
    w.registry.want([CART])
    await calm()
    waiting = w.zoo.client.waiting[0]
    w.zoo.client.waiting = []
    w.zoo.slow = False
    w.zoo.lose()
    await w.times.turn(1)
    assert w.hosts() == ["10.0.0.1"]
    waiting[3].end(["nonsense"])
    await calm()
    assert w.hosts() == ["10.0.0.1"] and w.registry.state.refused == {}


@world
async def test_a_change_while_it_is_read_is_read_again(w):
    w.registry.start()
    w.offer(1)
    w.registry.want([CART])
    await calm()
    w.zoo.slow = True
    w.offer(2)
    await calm()
    stale = w.zoo.client.waiting.pop()
    w.zoo.client._answer(*stale[:3], stale[3])
    w.offer(3)  # its watch fires before the answer is taken
    await calm()
    w.zoo.client.answer()
    await calm()
    assert w.hosts() == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
