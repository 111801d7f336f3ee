"""Load on a sidecar that others take over from: new connections, and kept ones whose callers follow READONLY."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from peers import Caller, until
from proxies import PATIENCE

CART = "com.x.Cart"


class Load:
    """``errors`` are of calls and of connections; ``answered`` counts by whose they were."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.errors: list[str] = []
        self.kept = self.fresh = self.moved = self.lost = 0
        self._numbers = itertools.count()
        self._ended = False

    async def one(self, caller: Caller) -> None:
        said = f"a{next(self._numbers)}"
        answer = await asyncio.wait_for(caller.ask(CART, said), PATIENCE)
        if not str(answer.value).endswith(f":{said}"):
            self.errors.append(f"{said} was answered {answer.status} {answer.value!r} {answer.error!r}")

    async def keep(self) -> None:
        """One connection for all calls, until it says READONLY or ends between two."""
        while not self._ended:
            caller = await Caller.connect(self.address)
            try:
                while not self._ended and not (caller.events or caller.closed.is_set()):
                    await self.one(caller)
                    self.kept += 1
                self.moved += bool(caller.events)
            finally:
                await caller.close()

    async def renew(self) -> None:
        """A connection for each call."""
        while not self._ended:
            caller = await Caller.connect(self.address)
            try:
                await self.one(caller)
                self.fresh += 1
            finally:
                await caller.close()

    async def guard(self, what: asyncio.Future[None]) -> None:
        try:
            await what
        except (OSError, TimeoutError) as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    async def again(self) -> None:
        """As ``renew``; a call may be lost whose connection was let in, as when who had it is killed."""
        while not self._ended:
            caller = await Caller.connect(self.address)
            try:
                await self.one(caller)
                self.fresh += 1
                self.kept += 1
            except ConnectionError:
                self.lost += 1
            finally:
                await caller.close()

    async def more(self, count: int = 20) -> None:
        """Returns when so many more calls of each kind were answered."""
        kept, fresh = self.kept + count, self.fresh + count
        await until(lambda: bool(self.errors) or (self.kept >= kept and self.fresh >= fresh), PATIENCE)

    def end(self) -> None:
        self._ended = True


@asynccontextmanager
async def load(address: str, width: int = 2, killed: bool = False) -> AsyncIterator[Load]:
    """So many of each kind, at once; where sidecars are ``killed``, of those who dial anew alone."""
    one = Load(address)
    each = [asyncio.ensure_future(one.again() if killed else one.keep()) for _ in range(width)]
    each += [asyncio.ensure_future(one.again() if killed else one.renew()) for _ in range(width)]
    tasks = [asyncio.create_task(one.guard(what)) for what in each]
    try:
        yield one
    finally:
        one.end()
        await asyncio.gather(*tasks)
