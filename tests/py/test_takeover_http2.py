"""Callers of HTTP/2 while one sidecar takes the place of another: GOAWAY, in two steps, loses no stream."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from peers import until
from proxies import BACKENDS, PATIENCE, ends, inbound, proxy
from webs2 import GRPC, Peer, Server, asks

from meshfast import http2

TIMES = 5


class Caller(Peer):
    """One that dials anew once it was told to go away."""

    told = False

    async def _take(self, frame: http2.Frame) -> None:
        self.told = self.told or isinstance(frame, http2.GoAway)
        await super()._take(frame)


class Load:
    """``lost``: calls that were not answered by what they said; ``moved``: times that a caller went away."""

    def __init__(self, address: str) -> None:
        self.host, _, port = address.rpartition(":")
        self.port = int(port)
        self.lost: list[str] = []
        self.answered = self.moved = 0
        self.ended = False
        self._numbers = itertools.count()

    async def keep(self) -> None:
        while not self.ended:
            peer = Caller(*await asyncio.open_connection(self.host, self.port), None)
            try:
                while not (self.ended or peer.told or peer.task.done()):
                    said = b"\0\0\0\0\4%04d" % next(self._numbers)
                    stream = await peer.ask(asks("/com.x.Cart/add", GRPC), said)
                    if bytes(stream.body) != said or stream.get(b"grpc-status") != b"0":
                        self.lost.append(f"{said!r}: {bytes(stream.body)!r} {stream.fields} {stream.trailers}")
                    self.answered += 1
                self.moved += peer.told
            finally:
                await peer.close()

    async def guard(self) -> None:
        try:
            await self.keep()
        except (OSError, TimeoutError) as error:
            self.lost.append(f"{type(error).__name__}: {error}")

    async def more(self) -> None:
        want = self.answered + 20
        await until(lambda: bool(self.lost) or self.answered >= want, PATIENCE)


@asynccontextmanager
async def load(address: str, width: int = 4) -> AsyncIterator[Load]:
    one = Load(address)
    tasks = [asyncio.create_task(one.guard()) for _ in range(width)]
    try:
        yield one
    finally:
        one.ended = True
        await asyncio.gather(*tasks)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_stream_is_lost(tmp_path, backend):
    async def story() -> None:
        async with Server() as app, AsyncExitStack() as stack:
            start = {"listeners": [inbound(app.address)], "more": {"state": str(tmp_path / "state")}}
            side = await stack.enter_async_context(proxy(tmp_path / "one", backend, **start))
            async with load(side.address("in")) as calls:
                for n in range(TIMES):
                    await calls.more()
                    after = proxy(tmp_path / "one", backend, args=("--takeover",), **start)
                    before, side = side, await stack.enter_async_context(after)
                    assert await ends(before) == 0
                    assert " 0 lost" in before.log and "cut off" not in before.log, before.log
                    assert calls.moved > n or calls.lost
                await calls.more()
            assert calls.lost == []

    asyncio.run(asyncio.wait_for(story(), 4 * PATIENCE))
