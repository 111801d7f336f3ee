"""One sidecar takes the place of another: nobody is refused, nothing is lost, and whoever dies, the other goes on."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from peers import Provider, closing, mesh
from proxies import BACKENDS, PATIENCE, ends, inbound, outbound, proxy
from takeovers import load

TIMES = 10
TAKEOVER = ("--takeover",)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_callers_see_no_takeover(tmp_path, backend, workers):
    """Ten times, at an outbound listener and at an inbound one that is a UNIX socket."""

    async def story() -> None:
        app, other = await Provider("app").start(), await Provider("other").start()
        listeners = [outbound(), inbound(app.address, f"unix://{tmp_path}/in.sock")]
        more = {"state": str(tmp_path / "state")}
        async with closing(app, other), AsyncExitStack() as stack:
            start = dict(policy=mesh((other, "")), workers=workers, more=more, limits={"passTimeout": 60000})
            side = await stack.enter_async_context(proxy(tmp_path / "one", backend, listeners, **start))
            out, come = side.address("out"), side.address("in")
            async with load(out) as calls, load(come, 1) as called:
                for _ in range(TIMES):
                    await asyncio.gather(calls.more(), called.more())
                    after = proxy(tmp_path / "one", backend, listeners, args=TAKEOVER, **start)
                    before, side = side, await stack.enter_async_context(after)
                    assert (side.address("out"), side.address("in")) == (out, come)
                    assert await ends(before) == 0
                    assert " 0 lost" in before.log and "cut off" not in before.log, before.log
                await asyncio.gather(calls.more(), called.more())
            assert (calls.errors, called.errors) == ([], [])
            assert calls.moved + called.moved == 0  # their connections went on, too

    asyncio.run(asyncio.wait_for(story(), 4 * PATIENCE))
