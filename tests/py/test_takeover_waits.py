"""A call on one connection takes its time, for which the old sidecar waits: meanwhile the next one does all that any
does."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from moving_world import World, world
from peers import Caller, Provider, closing, mesh, until
from proxies import BACKENDS, PATIENCE, ends
from takeovers import CART
from test_takeover_stays import Late, value


@asynccontextmanager
async def waiting(folder, backend, **more) -> AsyncIterator[tuple[World, Late, asyncio.Task[object]]]:  # type: ignore[no-untyped-def]
    """The next one takes calls, and the old one waits until the call in flight is free."""
    late = Late()
    async with world(folder, backend, handler=late) as one, closing(await Caller.connect(one.side.address("out"))) as (
        caller,
    ):
        answer, before = caller.ask(CART, "late"), one.side
        await late.asked.wait()
        coming = asyncio.create_task(one.next(**more))
        try:
            await until(lambda: "takes calls: this one ends" in before.log, PATIENCE)
            yield one, late, coming
        finally:
            late.free.set()
            await asyncio.gather(coming, return_exceptions=True)
        assert (await asyncio.wait_for(answer, PATIENCE)).value == "other:late"


@pytest.mark.parametrize("backend", BACKENDS)
def test_calls_are_taken_and_it_is_said_so(tmp_path, backend):
    """By the probe, the access log, and a configuration that is new."""

    async def story() -> None:
        path = tmp_path / "access.log"
        log = {"path": str(path), "format": "json", "sample": 1.0}
        async with waiting(tmp_path, backend, access_log=log) as (one, _, coming):
            third = await Provider("third").start()
            before = one.side
            async with closing(third, await Caller.connect(before.address("out"))) as (_, caller):
                assert (await before.get("/ready")).startswith(b"ready\n")
                assert await value(caller, "x") == "other:x"
                await until(lambda: path.exists() and path.read_text().count("\n") == 1, PATIENCE)
                assert "service" in json.loads(path.read_text())
                before.write(mesh((third, "")))
                while await value(caller, "x") != "third:x":
                    pass
            assert not coming.done()

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_next_one_is_told_to_stop(tmp_path, backend):
    """It has the old one wait no longer, and both end once their calls have."""

    async def story() -> None:
        async with waiting(tmp_path, backend) as (one, late, coming):
            before = one.side
            found = re.search(r"process (\d+) takes calls", before.log)
            assert found
            os.kill(int(found[1]), signal.SIGTERM)
            await coming  # it was ready first
            assert await ends(one.side) == 0
            assert not late.free.is_set() and "it has enough" in before.log
            late.free.set()
            assert await ends(before) == 0

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))
