"""A served service and callers of it, on either loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from admins import on_loop
from peers import Caller
from proxies import BACKENDS

from meshfast import dubbo
from meshfast.sdk.context import incoming
from meshfast.sdk.serve import Limits, Offer, Serving

STOCK = "com.x.Stock"


class World:
    """A serving, with what its handlers are told by the test."""

    def __init__(self, **limits: Any) -> None:
        self.gate, self.inside, self.done = asyncio.Event(), 0, list[Any]()
        methods = {name: getattr(self, name) for name in ("left", "slow", "echo", "where", "later", "fail", "note")}
        self.serving = Serving(None, Offer(STOCK, methods), limits=Limits(**{"quiet": 0.0, **limits}))
        self.callers: list[Caller] = []

    def left(self, item: str, more: int = 0) -> str:
        return f"{item}:{more}"

    async def slow(self, what: Any) -> Any:
        self.inside += 1
        try:
            await self.gate.wait()
        finally:
            self.inside -= 1
        return what

    async def echo(self, what: Any) -> Any:
        return what

    def where(self) -> dict[str, str]:
        return dict(incoming.get({}))

    async def later(self) -> dict[str, str]:
        await asyncio.sleep(0)
        return dict(incoming.get({}))

    async def fail(self, what: str) -> None:
        raise ValueError(what)

    async def note(self, what: Any) -> None:
        self.done.append(what)

    async def caller(self) -> Caller:
        self.callers.append(await Caller.connect(f"127.0.0.1:{self.serving.port}"))
        return self.callers[-1]

    async def ask(self, caller: Caller, method: str, *args: Any, **more: Any) -> dubbo.Response:
        return await asyncio.wait_for(send(caller, method, *args, **more), 30)


def send(caller: Caller, method: str, *args: Any, service: str = STOCK, **more: Any) -> asyncio.Future[dubbo.Response]:
    return caller.send(dubbo.encode_request(next(caller.ids), service, method, args, **more))


def play(story: Callable[[World], Awaitable[None]], backend: str = BACKENDS[0], **limits: Any) -> None:
    async def run() -> None:
        world = World(**limits)
        async with world.serving:
            try:
                await story(world)
            finally:
                world.gate.set()
                for caller in world.callers:
                    await caller.close()
        server = world.serving._server
        assert (server.calls, server.held, len(server.tasks), len(server.connections)) == (0, 0, 0, 0)

    on_loop(backend, run)
