"""A connection that is not made: what waits for it goes to another instance, and waits on where there is none."""

from __future__ import annotations

import asyncio

import pytest
from faults.hole import Hole
from peers import Caller, Provider, closing, mesh
from proxies import BACKENDS, outbound, proxy

CART = "com.x.Cart"


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_instance_is_tried(tmp_path, backend):
    async def story() -> None:
        base = await Provider("base").start()
        with Hole() as hole:
            policy = mesh((Provider("hung", address=hole.address), ""), (base, ""))
            async with closing(base), proxy(tmp_path, backend, [outbound()], policy) as side:
                caller = await Caller.connect(side.address("out"))
                async with closing(caller):
                    asked = (caller.ask(CART, attachments={"timeout": "10000"}) for _ in range(50))
                    answers = [str(one.value or one.status) for one in await asyncio.gather(*asked)]
                    assert set(answers) == {"base:x"}
                    assert len(base.requests) == 50
                    moved = (await side.counters())["calls_retried"]
                    assert moved > 0  # by chance none of 50 goes there first once in 2^50 times

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sole_instance_is_waited_for(tmp_path, backend):
    """Its call has all its time: it is not refused for want of another."""

    async def story() -> None:
        with Hole() as hole:
            policy = mesh((Provider("hung", address=hole.address), ""))
            async with proxy(tmp_path, backend, [outbound()], policy) as side:
                caller = await Caller.connect(side.address("out"))
                async with closing(caller):
                    answer = await caller.ask(CART, attachments={"timeout": "800"})
                    assert int(answer.status) == 31
                    assert (await side.counters())["limit_call_timeout"] == 1

    asyncio.run(asyncio.wait_for(story(), 60))
