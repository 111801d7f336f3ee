"""A sidecar that others take over from, and calls by connections that go on from one to the next."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from peers import Caller, Provider, closing, mesh, until
from proxies import PATIENCE, Proxy, ends, inbound, outbound, proxy
from takeovers import CART

from meshfast import dubbo

WIDTH = 32
TAKEOVER = ("--takeover",)
#: As long as it takes: what is decided is whether they go, not when.
PATIENT = {"passTimeout": 60000}
#: Lengths of a second argument: most frames are short, some are longer than what is read at once.
LENGTHS = (0, 0, 0, 10, 3000, 0, 0, 70_000, 0, 400_000)


class World:
    """A sidecar that another takes over from, again and again; ``app`` is behind its inbound listener, ``other`` is
    called through the outbound one."""

    def __init__(self, folder, backend, workers, limits, stack, *peers: Provider) -> None:  # type: ignore[no-untyped-def]
        self.folder, self.backend, self.stack, (self.app, self.other) = folder, backend, stack, peers
        self.state = str(folder / "state")
        slow = {"drainTimeout": 600000, "frameTimeout": 600000}  # nothing is cut off for a busy machine's sake
        limits = slow | limits
        self.start = dict(policy=mesh((self.other, "")), workers=workers, limits=limits, more={"state": self.state})
        self.side: Proxy | None = None
        self.was: list[Proxy] = []

    async def next(self, **more: object) -> Proxy:
        """Another one; the one before may not have ended."""
        listeners = [outbound(), inbound(self.app.address, f"unix://{self.folder}/in.sock")]
        side = proxy(self.folder / "one", self.backend, listeners, args=TAKEOVER, **(self.start | more))
        if self.side is not None:
            self.was.append(self.side)
        self.side = await self.stack.enter_async_context(side)
        return self.side

    async def ended(self) -> tuple[int, int]:
        """How many connections went from the last that was there before, and how many stayed. It lost nothing."""
        before = self.was[-1]
        assert await ends(before) == 0
        await before.task
        assert " 0 lost" in before.log and "cut off" not in before.log, before.log
        return moved(before)


def moved(side: Proxy) -> tuple[int, int]:
    found = re.search(r"takeover: (\d+) connection\(s\) go on in process \d+, (\d+) stay", side.log)
    assert found, side.log
    return int(found[1]), int(found[2])


@asynccontextmanager
async def world(folder, backend, workers=1, limits=PATIENT, handler=None) -> AsyncIterator[World]:  # type: ignore[no-untyped-def]
    app, other = await Provider("app", handler).start(), await Provider("other", handler).start()
    for each in (app, other):  # on a busy machine there are gigabytes of them before the last has taken over
        each.requests = deque(maxlen=1000)  # type: ignore[assignment]
    async with closing(app, other), AsyncExitStack() as stack:
        one = World(folder, backend, workers, limits, stack, app, other)
        await one.next()
        yield one


class Pipelined:
    """So many calls in flight at any time on one connection, each answer checked."""

    def __init__(self, caller: Caller, name: str) -> None:
        self.caller, self.name = caller, name
        self.answered = 0
        self.errors: list[str] = []
        self._numbers = itertools.count()
        self._ended = False
        self.tasks = [asyncio.create_task(self._one()) for _ in range(WIDTH)]

    async def _one(self) -> None:
        try:
            while not self._ended:
                n = next(self._numbers)
                arguments = (f"a{n}", "x" * LENGTHS[n % len(LENGTHS)])
                raw = dubbo.encode_request(next(self.caller.ids), CART, "hi", arguments)
                found = await asyncio.wait_for(self.caller.send(raw), PATIENCE)
                if found.value != f"{self.name}:a{n}":
                    self.errors.append(f"a{n}: {found.status} {found.value!r} {found.error!r}")
                self.answered += 1
        except (OSError, TimeoutError) as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    async def more(self, count: int = 2 * WIDTH) -> None:
        goal = self.answered + count
        await until(lambda: bool(self.errors) or self.answered >= goal, PATIENCE)

    async def end(self) -> None:
        self._ended = True
        await asyncio.gather(*self.tasks)
