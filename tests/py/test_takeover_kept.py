"""Established Dubbo connections while one sidecar takes the place of another: they go on in the next one, and who calls
sees nothing of it."""

from __future__ import annotations

import asyncio

import pytest
from moving_world import Pipelined, world
from peers import HEAD, Caller, closing, until
from proxies import BACKENDS, PATIENCE
from takeovers import CART

from meshfast import dubbo

#: By how many workers.
TIMES = {1: 6, 2: 3}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_connection_outlives_many_sidecars(tmp_path, backend, workers):
    """One to a listener for calls out, and one to a UNIX socket for calls in: never told anything, never closed."""

    async def story() -> None:
        async with world(tmp_path, backend, workers) as one:
            callers = [await Caller.connect(one.side.address(name)) for name in ("out", "in")]
            async with closing(*callers):
                loads = [Pipelined(caller, name) for caller, name in zip(callers, ("other", "app"), strict=True)]
                for _ in range(TIMES[workers]):
                    await asyncio.gather(*(load.more() for load in loads))
                    await one.next()
                    assert await one.ended() == (2, 0)
                await asyncio.gather(*(load.more() for load in loads))
                now = await one.side.counters()
                assert (now["connections_adopted"], now["downstream_connections"]) == (2, 0)
                assert now["downstream_active"] == 2
                for load in loads:
                    await load.end()
                for caller, load in zip(callers, loads, strict=True):
                    assert load.errors == []
                    assert (caller.events, caller.strays, caller.closed.is_set()) == ([], [], False)

    asyncio.run(asyncio.wait_for(story(), 6 * PATIENCE))


@pytest.mark.parametrize("part", [1, HEAD - 1, HEAD, 60, 30_000, 200_000])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_frame_that_comes_in_two_halves(tmp_path, backend, part):
    """One half is sent to the one sidecar, the other half to the next."""

    async def story() -> None:
        async with world(tmp_path, backend) as one:
            caller = await Caller.connect(one.side.address("out"))
            async with closing(caller):
                raw = dubbo.encode_request(7, CART, "hi", ("halves", "x" * 300_000))
                answer = caller.send(raw[:part], 7)
                await until(lambda: caller.writer.transport.get_write_buffer_size() == 0, PATIENCE)
                await one.next()
                assert await one.ended() == (1, 0)
                caller.writer.write(raw[part:])
                assert (await asyncio.wait_for(answer, PATIENCE)).value == "other:halves"
                assert (caller.events, caller.closed.is_set()) == ([], False)

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))
