"""The conductor: configuration -> source -> tables -> workers; reload, drain and stop.

One asyncio loop (on our own selector) does all that is not a call: it watches the configuration, answers the admin
address, writes the log. The workers never wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import time
from collections.abc import AsyncIterable, AsyncIterator

from meshfast import _core
from meshfast.admin import Admin
from meshfast.errors import ConfigError, MeshfastError, Problem
from meshfast.model import Mesh, Origin
from meshfast.routing import Table
from meshfast.running import Running
from meshfast.source import Bad, Event

__all__ = ["Sidecar"]

log = logging.getLogger("meshfast")

#: How often memory that no worker can see any more is given back, seconds.
RECLAIM_EVERY = 0.5

#: What happens again with the same peer is logged once in so many seconds; so many of them are remembered.
LOG_EVERY = 1.0
LOG_KINDS = 1024


class Sidecar:
    """A running proxy. ``await run()`` returns when it has drained and stopped.

    :raises ConfigError: from ``run()``, when the first configuration is not good
    :raises OSError: when an address is taken
    """

    def __init__(self, source: AsyncIterable[Event], *, backend: str | None = None, workers: int | None = None) -> None:
        self.source = source
        self.state = Running()
        self.table = Table()
        self.mesh = Mesh()
        self.addresses: dict[str, str] = {}
        self.engine: _core.Engine | None = None
        self._backend, self._workers = backend, workers
        self._stop = asyncio.Event()
        self._logged: dict[tuple[str, str], tuple[float, int]] = {}

    # --- life

    async def run(self) -> None:
        events = aiter(self.source)
        first = await anext(events)
        if isinstance(first, Bad):
            raise first.error
        mesh = first.mesh
        side = mesh.sidecar
        if not side.listeners:
            raise ConfigError([Problem(_somewhere(mesh), "no listener", "add a Sidecar document with `listeners`")])
        self._apply(mesh)
        trace = _core.TraceMemory(side.trace_entries, side.trace_ttl_ms * 1_000_000)
        workers = side.workers if self._workers is None else self._workers
        self.engine = _core.Engine(
            self.table.native,
            trace=trace,
            workers=max(1, workers),
            backend=self._backend or side.loop,
            limits=dict(side.limits),
        )
        for one in side.listeners:
            self.addresses[one.name] = self.engine.listen(
                one.name, one.bind, direction=one.direction, protocol=one.protocol, transparent=one.transparent,
                forward=one.forward, service=one.service,
            )  # fmt: skip
        self.engine.start()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_reader(self.engine.event_fd, self._log_events)
        admin = Admin(self)
        tasks = [asyncio.create_task(self._watch(events)), asyncio.create_task(self._reclaim())]
        try:
            if side.admin:
                self.addresses["admin"] = await admin.start(side.admin)
            self.state.ready = True
            log.info(
                "ready: %s on %s, %d worker(s), pid %d",
                ", ".join(f"{name} {address}" for name, address in self.addresses.items()),
                self.engine.loop_name, max(1, workers), os.getpid(),
            )  # fmt: skip
            await self._stop.wait()
            await self._drain(side.limits.get("drainTimeout", _core.limits()["drainTimeout"][0]) / 1000)
        finally:
            self.state.ready = False
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            loop.remove_reader(self.engine.event_fd)
            await asyncio.to_thread(self.engine.stop)
            self._log_events()
            await admin.stop()

    def stop(self) -> None:
        """Drains, then ends ``run()``: what SIGTERM does."""
        self._stop.set()

    async def _drain(self, seconds: float) -> None:
        assert self.engine
        self.state.draining = True
        log.info("draining: no new connections, callers are told READONLY, up to %g s for calls in flight", seconds)
        self.engine.drain()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not self.engine.drained:
            await asyncio.sleep(0.02)
        if not self.engine.drained:
            log.warning("drainTimeout: %d call(s) are cut off", self.engine.counters()["calls_active"])

    # --- configuration

    def _apply(self, mesh: Mesh) -> None:
        started = time.perf_counter()
        applied = self.table.publish(mesh)
        self.mesh = mesh
        self.state.version += 1
        self.state.applied_at = time.time()
        log.info(
            "configuration %d: %d service(s) published, %d removed, %d unchanged, %.1f ms",
            self.state.version, applied.published, applied.removed, applied.unchanged,
            (time.perf_counter() - started) * 1000,
        )  # fmt: skip

    def reload(self, mesh: Mesh) -> None:
        """Puts a new mesh in force for new calls.

        :raises ConfigError: it changes what only a restart can change; nothing is applied then
        """
        old, new = self.mesh.sidecar, mesh.sidecar
        fixed = ("workers", "loop", "listeners", "admin", "limits", "trace_entries", "trace_ttl_ms")
        changed = [name for name in fixed if _plain(getattr(old, name)) != _plain(getattr(new, name))]
        if changed:
            names = ", ".join(changed)
            hint = "restart the sidecar to change it; policy can change while it runs"
            raise ConfigError([Problem(_somewhere(mesh), f"Sidecar: {names} cannot change while it runs", hint)])
        self._apply(mesh)

    async def _watch(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            try:
                if isinstance(event, Bad):
                    raise event.error
                self.reload(event.mesh)
                self.state.last_error = ""
            except Exception as error:  # whatever it is, the next change must still be seen
                self.state.rejected += 1
                self.state.last_error = str(error)
                ours = isinstance(error, (MeshfastError, OSError, MemoryError))
                log.error("configuration refused, the last good one stays:\n%s", error, exc_info=not ours)

    async def _reclaim(self) -> None:
        while True:
            await asyncio.sleep(RECLAIM_EVERY)
            self.table.reclaim()

    # --- what the workers tell

    def _log_events(self) -> None:
        """One line a second for each kind and peer; the rest is counted in the next one."""
        assert self.engine
        now = time.monotonic()
        for kind, worker, _, text, peer in self.engine.events():
            last, held = self._logged.get((kind, peer), (-math.inf, 0))
            if now - last < LOG_EVERY:
                self._logged[kind, peer] = (last, held + 1)
                continue
            self._logged[kind, peer] = (now, 0)
            level = logging.INFO if kind == "peer_up" else logging.WARNING
            more = f", {held} more since the last line" if held else ""
            why = f": {text}" if text else ""
            log.log(level, "%s %s%s (worker %d%s)", kind.replace("_", " "), peer, why, worker, more)
        if len(self._logged) > LOG_KINDS:
            self._logged = {key: value for key, value in self._logged.items() if now - value[0] < LOG_EVERY}


def _plain(value: object) -> object:
    """Without origins: a listener that moved to another line is the same listener."""
    if isinstance(value, tuple):
        return tuple(tuple(getattr(one, name) for name in one.__slots__ if name != "origin") for one in value)
    return value


def _somewhere(mesh: Mesh) -> Origin:
    return mesh.sidecar.origin or Origin("configuration", 1, 1)
