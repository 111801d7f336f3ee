"""How a sidecar ends: callers are told while they are served on, or whoever takes over has them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable, Callable

from meshfast import _core
from meshfast.appside import AppSide
from meshfast.handover import Handover
from meshfast.model import Listener
from meshfast.running import Running
from meshfast.sockets import Given, Sockets

__all__ = ["Leaving"]

log = logging.getLogger("meshfast")

#: At a stop: seconds that withdrawing may take, and after it those without a new connection until it is known
#: everywhere, or as many at most.
WITHDRAW, QUIET, SPREAD = 2.0, 0.5, 10.0


class Leaving:
    """``cut``: the signal that is to end it at once, 0 until there is one; ``now`` is set with it."""

    def __init__(
        self, engine: _core.Engine, own: AppSide, state: Running, cut: Callable[[], int], now: asyncio.Event
    ) -> None:  # fmt: skip
        self._engine, self._own, self._state, self._cut, self._now = engine, own, state, cut, now

    async def drain(self, handover: Handover | None, seconds: float, propagation: float) -> None:
        """No sidecar comes next. ``propagation``: seconds for registries to spread that it is withdrawn."""
        self._state.draining = True
        if handover is not None:
            await handover.refuse("it was told to stop")
        self._own.tell()
        await self._withdraw(propagation)
        log.info("draining: who calls in is told READONLY; up to %g s until no call is in flight", seconds)
        self._engine.drain()
        if handover is not None:
            await handover.close()  # who keeps inbound listeners takes from now on who comes
        await self._drained(seconds)

    async def hand_over(
        self, to: Handover, listeners: tuple[Listener, ...], sockets: Sockets, rest: Callable[[], Awaitable[None]],
        seconds: float, passing: float,
    ) -> None:  # fmt: skip
        """Who comes next listens already: takes no more, has it go on with connections within the limit ``passing``,
        lets go of the ``rest``, and has callers leave whose connections stay."""
        assert to.taken is not None
        for one in listeners:
            self._engine.share(one.name, Given.key(one.name, one.bind) in to.taken)
        for key, other in sockets.opened.items():
            other.handed = key in to.taken
        keys = {one.name: Given.key(one.name, one.bind) for one in listeners}
        await to.move(self._engine, keys, passing, self._cut)
        self._state.draining = True  # until here who asks is told how both are: calls are taken
        await rest()
        await to.yours()
        log.info("draining: who still calls in is told READONLY, and finds the next sidecar where this one was")
        await self._drained(seconds)

    async def _withdraw(self, propagation: float) -> None:
        """Those who follow a registry go before they are told to: they are served on while the word spreads."""
        if not await self._own.registrations.leave(WITHDRAW):
            return
        log.info("registration: withdrawn; calls are served on for %g s, and until nobody new calls in", propagation)
        began = last = now = time.monotonic()
        accepted = self._accepted
        while now < began + SPREAD and (now < began + propagation or now < last + QUIET) and not self._cut():
            await self._moment()
            now = time.monotonic()
            if self._accepted != accepted:
                accepted, last = self._accepted, now

    @property
    def _accepted(self) -> int:
        return self._engine.counters()["downstream_connections"]

    async def _drained(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self._engine.drained and not self._cut():
            await self._moment()
        if not self._engine.drained:
            why = "drainTimeout" if not self._cut() else signal.Signals(self._cut()).name
            log.warning("%s: %d call(s) are cut off", why, self._engine.counters()["calls_active"])

    async def _moment(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.02):
                await self._now.wait()
