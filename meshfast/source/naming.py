"""A source whose meshes name hosts -> one whose meshes have their addresses; it yields anew when those change."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Protocol, runtime_checkable

from meshfast.model import Dns, Mesh
from meshfast.source import Event, Good, Moved
from meshfast.source.names import Found, Name, Names, Unknown

__all__ = ["Naming"]

AT_ONCE = 32  # names asked for at a time
SOON = 0.5  # seconds that a mesh waits for the answers of names that are new in it
TOGETHER = 0.05  # seconds within which changes of several names make one mesh

Ask = Callable[[str], Awaitable[Found]]

log = logging.getLogger("meshfast")


@runtime_checkable
class Refusing(Protocol):
    """A source that is to hear what was not taken."""

    def refuse(self) -> None: ...


def _resolver(dns: Dns) -> Ask:
    from meshfast.source.resolver import Resolver  # takes 150 ms to load, and most meshes name no host

    return Resolver(dns).ask


class Naming:
    """The events of ``inner``, with every mesh resolved. ``names``: what is known, for whoever shows it.

    Who takes a mesh and cannot use it calls ``refuse`` before it asks for the next: names of the one before go on.
    """

    def __init__(
        self, inner: AsyncIterable[Event], names: Names, resolver: Callable[[Dns], Ask] = _resolver
    ) -> None:  # fmt: skip
        self._inner, self.names, self._resolver = inner, names, resolver
        self._ask: Ask | None = None
        self._due: list[tuple[float, str]] = []
        self._asking: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(AT_ONCE)
        self._untried = 0
        self._refused = False
        self._poked, self._changed, self._told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def refuse(self) -> None:
        """What was given last is not in force."""
        self._refused = True
        if isinstance(self._inner, Refusing):
            self._inner.refuse()

    async def __aiter__(self) -> AsyncIterator[Event]:
        events = aiter(self._inner)
        mesh: Mesh | None = None
        keeper = asyncio.create_task(self._keep())
        coming: asyncio.Future[Event] | None = asyncio.ensure_future(_next(events))
        try:
            while coming is not None or self.names.known:
                changed = asyncio.ensure_future(self._changed.wait())
                waits: list[asyncio.Future[object]] = [changed, *([coming] if coming else [])]  # type: ignore[list-item]
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                changed.cancel()
                if coming is not None and coming.done():
                    try:
                        event = coming.result()
                    except StopAsyncIteration:
                        coming = None
                        continue
                    if isinstance(event, Good | Moved):
                        mesh, before = event.mesh, mesh
                        await self._want(mesh, before)
                        self._refused = False
                        yield replace(event, mesh=self._resolved(mesh))
                        if self._refused and before is not None:
                            mesh = before
                            self._changed.set()
                        self.names.want(mesh)
                    else:
                        yield event
                    coming = asyncio.ensure_future(_next(events))
                elif mesh is not None and self._changed.is_set():
                    await asyncio.sleep(TOGETHER)
                    yield Moved(self._resolved(mesh))
        finally:
            for task in (keeper, coming, *self._asking):
                if task is not None:
                    task.cancel()
            ending = [task for task in (keeper, coming, *self._asking) if task is not None]
            await asyncio.gather(*ending, return_exceptions=True)
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    def _resolved(self, mesh: Mesh) -> Mesh:
        self._changed.clear()
        return self.names.resolved(mesh)

    async def _want(self, mesh: Mesh, before: Mesh | None) -> None:
        """Asks for the names that are new, and waits a while for what becomes of them."""
        names, dns = self.names, mesh.sidecar.dns
        names.refresh, names.least, names.most = dns.refresh_ms / 1000, dns.least_ms / 1000, dns.most
        new = names.want(mesh, before or mesh)
        if not new:
            return
        self._ask = self._ask or self._resolver(dns)
        self._untried = sum(not name.tried for name in names.known.values())
        self._schedule(new)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SOON if before else dns.timeout_ms / 1000):
                while self._untried > 0:
                    self._told.clear()
                    await self._told.wait()

    def _schedule(self, names: Iterable[Name]) -> None:
        for name in names:
            heapq.heappush(self._due, (name.due, name.host))
        self._poked.set()

    async def _keep(self) -> None:
        """Asks for each name when its time has come."""
        while True:
            now = time.monotonic()
            while self._due and self._due[0][0] <= now:
                due, host = heapq.heappop(self._due)
                name = self.names.known.get(host)
                if name is not None and name.due == due:
                    task = asyncio.create_task(self._answer(name))
                    self._asking.add(task)
                    task.add_done_callback(self._asking.discard)
            self._poked.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._due[0][0] - now if self._due else None):
                    await self._poked.wait()

    async def _answer(self, name: Name) -> None:
        assert self._ask is not None
        try:
            async with self._at_once:
                found = await self._ask(name.host)
            if self.names.known.get(name.host) is not name:
                return
            before, untried = name.failures, not name.tried
            if self.names.answered(name, found):
                self._changed.set()
            if before:
                log.info("DNS: %s is there again: %s", name.host, ", ".join(name.addresses[:8]))
        except Exception as error:  # whatever it is, the last answer stays, and it is asked for again
            if self.names.known.get(name.host) is not name:
                return
            before, untried = name.failures, not name.tried
            why = str(error) if isinstance(error, Unknown) else f"{type(error).__name__}: {error}"
            self.names.failed(name, why)
            if not before:
                log.warning("DNS: %s: %s; %s", name.host, why, _stays(name))
        if untried:
            self._untried -= 1
            self._told.set()
        self._schedule([name])


def _stays(name: Name) -> str:
    return f"its last answer stays ({', '.join(name.addresses[:8])})" if name.addresses else "it has no instance"


async def _next(events: AsyncIterator[Event]) -> Event:
    return await anext(events)
