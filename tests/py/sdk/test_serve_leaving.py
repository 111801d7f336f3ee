"""Leaving a port that serves is cancelled: nothing of it stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from api_world import World as Side
from peers import until
from served_world import STOCK
from test_serve_registered import HERE, PORT, QUICK, forwards, left

from meshfast.sdk.serve import Offer, Serving


@pytest.mark.parametrize("turns", [*range(12), 20, 40])
def test_cancelled_again_as_it_leaves(tmp_path: Path, turns: int) -> None:
    """Wherever it was then: its port is closed, its sidecar knows, and no task of it goes on."""

    async def run() -> None:
        side = Side(f"unix://{tmp_path}/shop.api", forwards(PORT))
        await side.start()
        serving = Serving(side.address, Offer(STOCK, {"left": left}), limits=QUICK, state=str(tmp_path / "state"))
        entered = asyncio.Event()

        async def block() -> None:
            async with serving:
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(block())
        await entered.wait()
        assert serving.registered
        task.cancel()
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not serving.registered
        await until(lambda: not side.wanted and side.api.used.connections == 0)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HERE, PORT)
        await side.api.stop()
        await until(lambda: asyncio.all_tasks() == {asyncio.current_task()})

    asyncio.run(run())
