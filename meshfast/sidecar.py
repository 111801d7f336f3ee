"""The conductor: configuration -> source -> tables -> workers; reload, drain and stop.

One asyncio loop (on our own selector) does all that is not a call: it watches the configuration, answers the admin
address, writes the log. The workers never wait for it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable

from meshfast import _core
from meshfast.accesslog import AccessWriter
from meshfast.admin import Admin
from meshfast.appside import AppSide
from meshfast.endpoint.dubbo import Endpoint
from meshfast.endpoint.http import Api
from meshfast.endpoint.nacos import Nacos
from meshfast.errors import ConfigError, MeshfastError, Problem
from meshfast.eventlog import EventLog
from meshfast.fixed import changed
from meshfast.handover import Handover
from meshfast.hints import told
from meshfast.leaving import Leaving
from meshfast.model import Mesh, Origin
from meshfast.moving import Arrivals
from meshfast.passed import Passed, forwards_to
from meshfast.registration import Registrations
from meshfast.routing import Table
from meshfast.running import Running
from meshfast.snapshots import Snapshots
from meshfast.sockets import Given, Sockets, served
from meshfast.source import Bad, Event, Good, Moved
from meshfast.source.names import Names
from meshfast.source.naming import Naming
from meshfast.source.registries import Registries
from meshfast.takeover import Keeper, Takeover

__all__ = ["Sidecar"]

log = logging.getLogger("meshfast")

#: How often memory that no worker can see any more is given back, seconds.
RECLAIM_EVERY = 0.5

#: A second signal ends the process by then, seconds, whatever still holds it up.
AT_ONCE = 2.0


class Sidecar:
    """A running proxy. ``await run()`` returns when it has drained and stopped.

    ``again`` makes the source look now; ``registries`` are those that it follows; ``killed`` is the signal that cut a
    drain short, 0 for none.

    :raises ConfigError: from ``run()``, when the first configuration is not good
    :raises OSError: when an address is taken
    """

    def __init__(
        self, source: AsyncIterable[Event], *, backend: str | None = None, workers: int | None = None,
        again: Callable[[], None] = lambda: None, registries: Registries | None = None,
        takeover: Takeover | None = None,
    ) -> None:  # fmt: skip
        self.names = Names()
        self.registries = registries or Registries()
        self.registries.peers = self._peers
        self.source = Naming(source, self.names)
        self._keeper = source if isinstance(source, Keeper) else None
        self.takeover = takeover or Takeover(asked=False)
        self.handover: Handover | None = None
        self._sockets = Sockets(self.takeover.given)
        self.state = Running()
        self.table = Table()
        self.own = AppSide(self.registries, self.table.native, self.state)
        self.mesh = Mesh()
        self.addresses: dict[str, str] = {}
        self.engine: _core.Engine | None = None
        self.killed = 0
        self._ended = False  # by a signal
        self._backend, self._workers, self._again = backend, workers, again
        self._stop, self._now = asyncio.Event(), asyncio.Event()
        self._events = EventLog()
        self._access: AccessWriter | None = None

    # --- life

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        handlers: dict[signal.Signals, Callable[[signal.Signals], None]] = {
            signal.SIGTERM: self._end,
            signal.SIGINT: self._end,
            signal.SIGHUP: self._reread,
            signal.SIGUSR1: self._reopen,
            signal.SIGUSR2: lambda number: log.info("%s: nothing to do", number.name),
        }
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler, number)
        try:
            await self._run(loop)
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        events = aiter(self.source)
        try:
            await self._serve(loop, events)
        finally:
            self.takeover.close()
            self._sockets.close()
            if isinstance(events, AsyncGenerator):
                await events.aclose()

    async def _serve(self, loop: asyncio.AbstractEventLoop, events: AsyncIterator[Event]) -> None:
        first = await self._first(events)
        if first is None:
            log.info("stopped before it was ready")
            return
        if not isinstance(first, Good):
            raise first.error if isinstance(first, Bad) else StopAsyncIteration
        mesh = first.mesh
        side = mesh.sidecar
        if not side.listeners:
            raise ConfigError([Problem(_somewhere(mesh), "no listener", "add a Sidecar document with `listeners`")])
        if self.takeover.asked and not side.state:
            hint = "add `state`, the directory in which both processes find each other"
            raise ConfigError([Problem(_somewhere(mesh), "--takeover without `state`", hint)])
        self._apply(mesh)
        trace = _core.TraceMemory(side.trace_entries, side.trace_ttl_ms * 1_000_000)
        workers = max(1, side.workers if self._workers is None else self._workers)
        self.engine = engine = _core.Engine(
            self.table.native, trace=trace, workers=workers, backend=self._backend or side.loop,
            limits=dict(side.limits), access_sample=side.access_log.sample if side.access_log else 0.0,
        )  # fmt: skip
        if side.state:
            await self.takeover.collect(side.state, filter(None, map(forwards_to, side.listeners)))
        for one in side.listeners:
            self.addresses[one.name] = engine.listen(
                one.name, one.bind, direction=one.direction, protocol=one.protocol, transparent=one.transparent,
                forward=one.forward, service=one.service, labels=one.labels, unknown=one.unknown, mode=one.mode,
                fds=self.takeover.given.take(Given.key(one.name, one.bind)),
            )  # fmt: skip
        admin = Admin(self)
        tasks: list[asyncio.Task[None]] = []
        try:
            if side.access_log:
                self._access = AccessWriter(side.access_log, self.state)
            for what, address in served(side):
                await self._sockets.prepare(what, address)
            engine.start()
            loop.add_reader(engine.event_fd, self._take_events)
            tasks += [asyncio.create_task(self._watch(events)), asyncio.create_task(self._tend())]
            if self._access:
                tasks.append(asyncio.create_task(self._access.follow(engine.access_records)))
            owner = Passed(engine, side, self._sockets, self.takeover.given.taken)
            await self._take_over(engine, owner)
            if side.admin:
                self.addresses["admin"] = await admin.start(side.admin, self._sockets.listen)
            await self.own.open(self.addresses, self._sockets.listen)
            self.state.ready = True
            self.own.tell()
            self.own.register(self.addresses)
            self.registrations.ready()
            if self.registries.directory is not None:
                self.handover = Handover(self.registries.directory, owner, self.stop, self.state.passed)
                self.handover.go_on(self.takeover.kept, self.takeover.given.taken)
            log.info(
                "ready: %s on %s, %d worker(s), pid %d",
                ", ".join(f"{name} {address}" for name, address in self.addresses.items()),
                engine.loop_name, workers, os.getpid(),
            )  # fmt: skip
            await self._stop.wait()
            within, passing = (
                side.limits.get(name, _core.limits()[name][0]) / 1000 for name in ("drainTimeout", "passTimeout")
            )
            leaving = Leaving(engine, self.own, self.state, lambda: self.killed, self._now)
            if self.handover is not None and self.handover.taken is not None:
                await leaving.hand_over(
                    self.handover, side.listeners, self._sockets, lambda: self._let_go(tasks, events, admin), within,
                    passing,
                )  # fmt: skip
            else:
                await leaving.drain(self.handover, within, self.mesh.sidecar.advertise.propagation_ms / 1000)
        finally:
            if self.handover is not None:
                await self.handover.close()
            ran, self.state.ready = self.state.ready, False
            await self.own.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            loop.remove_reader(engine.event_fd)
            await asyncio.to_thread(engine.stop)
            self._take_events()
            await admin.stop()
            self._close(engine, ran)

    async def _first(self, events: AsyncIterator[Event]) -> Event | None:
        """The first configuration, which may wait for registries; None: it is to stop before there is one."""
        coming = asyncio.ensure_future(_next(events))
        stop = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((coming, stop), return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else None
        finally:
            stop.cancel()
            coming.cancel()
            await asyncio.gather(stop, coming, return_exceptions=True)

    def _close(self, engine: _core.Engine, ran: bool) -> None:
        """The last words."""
        if self._access:
            self._access.finish(engine.access_records)
        if not ran:
            return
        counted = engine.counters()
        if dropped := counted["limit_access_records"] + self.state.access_dropped:
            log.warning("access log: %d record(s) dropped for want of time", dropped)
        served = counted["answers"] + counted["answers_local"] + counted["calls_one_way"]
        up = time.time() - self.state.started
        log.info("stopped: %d call(s) served, %d lost, up %.1f s", served, counted["limit_drain_timeout"], up)

    @property
    def registrations(self) -> Registrations:
        return self.own.registrations

    @property
    def endpoint(self) -> Endpoint | None:
        return self.own.endpoint

    @property
    def nacos(self) -> Nacos | None:
        return self.own.nacos

    @property
    def snapshots(self) -> Snapshots:
        return self.own.snapshots

    @property
    def api(self) -> Api | None:
        return self.own.api

    def stop(self) -> None:
        """Drains, then ends ``run()``: what SIGTERM does."""
        self._stop.set()

    # --- from the process before, and to the next

    async def _take_over(self, engine: _core.Engine, owner: Passed) -> None:
        """Calls are taken, beside the process before until that has heard of it."""
        given, listeners = self.takeover.given, self.mesh.sidecar.listeners
        names = {Given.key(one.name, one.bind): one.name for one in listeners if one.protocol in ("auto", "dubbo")}
        arrivals = Arrivals(engine, {key: one for key, one in names.items() if key in given.taken})
        for one in listeners:
            if forwards_to(one) in self.takeover.kept:  # an application has it, and will
                owner.share(one.name, True)
        await self.takeover.ready(arrivals, owner.alone, self._stop)
        self.state.passed["taken"] += self.takeover.sockets
        if self.takeover.took and self._keeper is not None:
            self._keeper.own()

    async def _let_go(self, tasks: list[asyncio.Task[None]], events: AsyncIterator[Event], admin: Admin) -> None:
        """Of all that only one process can have."""
        assert self._keeper is not None
        self._keeper.hand_over()  # first: who follows the configuration lets go of registries when it ends
        watch, tend, *_ = tasks
        tend.cancel()
        await self.own.close()  # while the state directory is there
        watch.cancel()
        await asyncio.gather(watch, tend, return_exceptions=True)
        if isinstance(events, AsyncGenerator):
            await events.aclose()
        await admin.stop()

    # --- signals

    def _end(self, number: signal.Signals) -> None:
        if not self._ended:
            self._ended = True
            log.info("%s: stopping", number.name)
            self.stop()
        elif not self.killed:
            self.killed = int(number)
            self._now.set()
            log.warning("%s again: ending at once", number.name)
            asyncio.get_running_loop().call_later(AT_ONCE, os._exit, 128 + number)

    def _reread(self, number: signal.Signals) -> None:
        log.info("%s: reading the configuration again", number.name)
        self._again()
        self._reopen(number)

    def _reopen(self, number: signal.Signals) -> None:
        if self._access is None:
            log.debug("%s: no log file to open anew", number.name)
            return
        try:
            self._access.reopen()
            log.info("%s: the access log is opened anew", number.name)
        except OSError as error:
            log.error("%s: the access log stays where it was: %s", number.name, told(error))

    # --- configuration

    def _apply(self, mesh: Mesh) -> None:
        started = time.perf_counter()
        self.state.localities.look(self.table)
        applied = self.table.publish(mesh)
        self.state.version += 1
        self._hold(mesh)
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
        problems = changed(self.mesh.sidecar, mesh.sidecar)
        if problems:
            raise ConfigError(problems)
        self._apply(mesh)
        self.own.register(self.addresses)

    def _move(self, mesh: Mesh, by: str) -> None:
        """Puts other instances in force. What was configured, and what was refused of it, stays as it is."""
        try:
            applied = self.table.publish(mesh)
        except (MeshfastError, MemoryError) as error:
            log.error("%s: other addresses are refused, the last ones stay: %s", by, error)
            self.source.refuse()
            return
        self._hold(mesh)
        if applied.published or applied.removed:
            log.info("%s: other addresses: %d service(s) published", by, applied.published)

    def _hold(self, mesh: Mesh) -> None:
        self.mesh = mesh
        self.own.holds(mesh)

    def _peers(self) -> dict[str, tuple[int, int]]:
        """Of each instance, connections made and times that it could not be reached."""
        peers = self.table.native.peers(detail=True)
        return {address: (one["connections"], one["failures"]) for address, one in peers.items()}

    async def _watch(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            log.debug("configuration: the source says %s", type(event).__name__)
            try:
                if isinstance(event, Bad):
                    raise event.error
                if isinstance(event, Good):
                    self.reload(event.mesh)
                    self.state.last_error = ""
                elif isinstance(event, Moved):
                    self._move(event.mesh, event.by)
                else:
                    log.info("configuration %d: nothing is new", self.state.version)
            except Exception as error:  # whatever it is, the next change must still be seen
                self.source.refuse()
                self.state.rejected += 1
                self.state.last_error = str(error) or type(error).__name__
                ours = isinstance(error, (MeshfastError, OSError, MemoryError))
                log.error("configuration refused, the last good one stays:\n%s", error, exc_info=not ours)

    async def _tend(self) -> None:
        while True:
            await asyncio.sleep(RECLAIM_EVERY)
            self.table.reclaim()
            self.own.tend()
            self._events.flush()

    # --- what the workers tell

    def _take_events(self) -> None:
        assert self.engine
        found = self.engine.events()
        self._events.take(found)
        self.own.events(found)


async def _next(events: AsyncIterator[Event]) -> Event:
    return await anext(events)


def _somewhere(mesh: Mesh) -> Origin:
    return mesh.sidecar.origin or Origin("configuration", 1, 1)
