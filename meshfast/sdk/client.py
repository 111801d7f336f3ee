"""The connections of an application: to its sidecar while that is there, else to an engine of its own.

What decides is ``sdk/link.py``; this does what that says. The calls are those of ``sdk/calls.py``.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from meshfast.address import connect
from meshfast.errors import StateError
from meshfast.hints import told
from meshfast.sdk.calls import Calls, Limits
from meshfast.sdk.dubbo2 import DubboWire
from meshfast.sdk.interest import Interest
from meshfast.sdk.link import ROUTES, Do, Event, Link, State, Timing
from meshfast.sdk.wire import Wire

__all__ = ["Client", "FatLike"]

log = logging.getLogger("meshfast.sdk")
_T = TypeVar("_T")


class FatLike(Protocol):
    """An engine in the process. All is called in one thread of its own, and may take its time."""

    def start(self) -> str:
        """Its address, once it takes calls. What it raises says why it cannot."""

    def refresh(self) -> object:
        """It goes by what the sidecar has left since it was started. What it raises says why it goes on as it did."""

    def close(self) -> object:
        """Ends it; no call is under way."""


class Client(Calls):
    """One sidecar's address, and the engine to have in its place. Everything is called in the loop that it was made in.
    ``interest``: where the sidecar hears what is called; ``wire``: what its connections speak.

    ``counters``: calls, moved (given to another connection unsent), resent, refused (by whoever had them, unseen),
    timeouts, lost, late (answers that nobody waits for), falls and returns of the link, renewals of its connection, and
    each limit by its name, ``header_list`` of the other end's.
    """

    def __init__(
        self, address: str, fat: Callable[[], FatLike] | None, interest: Interest, limits: Limits | None = None,
        timing: Timing | None = None, wire: type[Wire] = DubboWire, jitter: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        super().__init__(limits or Limits())
        self.address = address
        self.interest = interest
        self._make = wire
        self.link = Link(timing)
        self._jitter = jitter
        self._factory = fat
        self._fat: FatLike | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._thin: Wire | None = None
        self._engine: Wire | None = None
        self._resigned: set[Wire] = set()  # the engine's before, as long as they have calls
        self._probed: Wire | None = None
        self._renewing: Wire | None = None  # which is to end, while another of the same peer is dialled
        self._wires: set[Wire] = set()
        self._asking: dict[Wire, asyncio.Future[bool]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting = self._probing = False
        self._resting: asyncio.TimerHandle | None = None
        self._gone = ""

    # --- the link

    def open(self) -> None:
        """Begins; calls may be made at once, and wait."""
        self._spawn(self._open())

    @property
    def mode(self) -> str:
        return self.link.mode

    def _on(self, event: Event) -> None:
        self._follow(self.link.on(event, self.loop.time()))

    def _follow(self, doing: tuple[Do, ...]) -> None:
        """Does it: first where calls go from now on, so that nothing is given to what is left."""
        if Do.ADOPT in doing:
            self._thin, self._probed = self._probed, None
            self.counters["returns"] += 1
            log.info("calls go through the sidecar at %s", self.address)
        if Do.PROBE in doing:
            self.counters["falls"] += 1
            self._renewing = None
        left = self._thin
        if Do.DROP in doing or Do.RETIRE in doing:
            self._thin = None
        self.route = {"sidecar": self._thin, "engine": self._engine}.get(ROUTES[self.link.state])
        if self.lines is not None:
            self.lines.follow(self.link.state is State.THIN and self._thin is not None, Do.DROP in doing, self._gone)
        for one in doing:
            match one:
                case Do.ASK if self._thin is not None:
                    self._thin.ask()
                case Do.DROP if left is not None:
                    left.drop(self._gone)
                case Do.RETIRE if left is not None:
                    self.move(left)
                    left.retire()
                case Do.START:
                    self._start()
                case Do.PROBE if not self._probing:
                    self._probing = True
                    self._spawn(self._probe())
                case Do.REST:
                    self._rest()
        if self.route is not None and self._queue:
            self.release()

    async def _open(self) -> None:
        try:
            self._thin = await self._dial(self.address)
        except OSError as error:
            self._lost_by(f"the sidecar at {self.address}: {error.strerror or error}")
            self._on(Event.LOST)
        else:
            self._on(Event.UP)

    async def _dial(self, address: str) -> Wire:
        """A connection that has answered a heartbeat; OSError."""
        timing = self.link.timing
        wire: Wire | None = None
        try:
            async with asyncio.timeout(timing.lost):
                wire = await connect(address, lambda: self._make(self, timing.silent, timing.lost))
                if wire.closed:  # at once, before anybody could be told
                    raise ConnectionError("it closed the connection at once")
                self._wires.add(wire)
                answer = self._asking[wire] = self.loop.create_future()
                wire.ask()
                if not await answer or wire.is_readonly or wire.closed:
                    raise ConnectionError("it takes no calls")
                return wire
        except BaseException as error:
            if wire is not None:
                wire.drop("it takes no calls")
            if isinstance(error, TimeoutError):
                raise ConnectionError(f"no answer within {timing.lost:g} s") from None
            raise
        finally:
            if wire is not None:
                self._asking.pop(wire, None)

    def _renews(self, wire: Wire) -> bool:
        """Whether another is asked for in place of the sidecar's connection, which ends: not where it has just been
        made, as the next may end as soon."""
        if self.loop.time() - wire.made < self.link.timing.probe or self.closed:
            return False
        self._renewing = wire
        self._spawn(self._renew(wire))
        return True

    async def _renew(self, wire: Wire) -> None:
        """The sidecar's connection has ended while it rested, or is to end. Where it had rested or was old there is
        another to be had; where the sidecar leaves there is none. Until that is known new calls wait."""
        fresh: Wire | None = None
        try:
            fresh = await self._dial(self.address)
        except OSError:
            pass
        if self._renewing is not wire:  # it has been left meanwhile
            if fresh is not None:
                fresh.retire()
            return
        self._renewing, left = None, self._thin
        if fresh is None:
            self._on(Event.LOST if left is None else Event.READONLY)
            return
        self.counters["renewals"] += 1
        self._thin = fresh
        self._on(Event.HEARD)  # as it has answered; the one before may have been in doubt
        if left is not None:
            self.move(left)
            left.retire()

    async def _probe(self) -> None:
        timing = self.link.timing
        try:
            while self.link.state in (State.FAT, State.NONE):
                pause = timing.probe if self.link.state is State.FAT else min(timing.probe, 0.1)
                await asyncio.sleep(pause * (0.9 + 0.2 * self._jitter()))
                try:
                    self._probed = await self._dial(self.address)
                except OSError:
                    self._follow(self.link.probed(False, self.loop.time()))
                else:
                    # One that is there and has not heard yet what is called knows no instances.
                    self._follow(self.link.probed(self.interest.settled, self.loop.time()))
                    if self._probed is not None:
                        self._probed.retire()
                        self._probed = None
        finally:
            self._probing = False

    def _start(self) -> None:
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._engine is None and not self._starting:
            self._starting = True
            self._spawn(self._have_engine())
        elif self._engine is not None and self._fat is not None:  # it is there from the last time
            self._spawn(self._refresh(self._fat))

    async def _refresh(self, fat: FatLike) -> None:
        try:
            await self._aside(fat.refresh)
        except Exception as error:  # calls go by what it had
            log.warning("the engine of this process goes on with what it was started with: %s", told(error))

    async def _have_engine(self) -> None:
        try:
            if self._fat is not None and not self._resigned:  # its connection ended
                await self._close_fat()
            if self._factory is None:
                raise StateError("it was not asked for")
            if self._fat is None:
                self._fat = await self._aside(self._factory)
            else:  # it has calls yet, which nobody else waits for
                await self._refresh(self._fat)
            self._engine = await self._dial(await self._aside(self._fat.start))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever it is: there is no engine, and calls must hear of it
            why = f"{self._gone}, and there is no engine in its place: {told(error)}"
            if why != self.why:
                log.warning("%s", why)
            self.why = why
            await self._close_fat()
            self._on(Event.FAT_LOST)
        else:
            log.warning("%s: calls go through an engine of this process", self._gone)
            self._on(Event.FAT_UP)
            if self.link.state not in (State.FAT, State.NONE):
                self._rest()
        finally:
            self._starting = False

    def _rest(self) -> None:
        if self._resting is None and self._fat is not None:
            self._resting = self.loop.call_later(self.link.timing.keep, self._end_engine)

    def _end_engine(self) -> None:
        """Once its calls are done."""
        self._resting = None
        wire, self._engine = self._engine, None
        if wire is not None:
            self._resigned.add(wire)
            wire.retire(lambda: self._rested(wire))
        else:
            self._spawn(self._close_fat())

    def _rested(self, wire: Wire) -> None:
        self._resigned.discard(wire)
        if not self._resigned and self._engine is None and not self._starting:  # else it is wanted yet, or again
            self._spawn(self._close_fat())

    async def _close_fat(self) -> None:
        fat, self._fat = self._fat, None
        if fat is not None:
            try:
                await self._aside(fat.close)
            except Exception as error:
                log.warning("the engine of this process did not end well: %s", told(error))

    async def _aside(self, work: Callable[[], _T]) -> _T:
        """In the one thread of the engine's: in order, and without holding the loop up."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "meshfast-sdk")
        return await self.loop.run_in_executor(self._thread, work)

    def _lost_by(self, why: str) -> None:
        """Says why calls do not go through the sidecar."""
        self._gone = self.why = why

    def within(self, frame: Any, milliseconds: int) -> Any:
        """See ``Wire.within``."""
        return self._make.within(frame, milliseconds)

    def doubted(self) -> None:
        """A call waits on a thread's line, and nothing comes, or a line has ended: until the sidecar's own connection
        has answered, calls wait. Where that is asked already, more doubt is none."""
        if self._thin is not None and self.link.state is State.THIN:
            self.silent(self._thin)

    # --- what connections tell

    def heard(self, wire: Wire) -> None:
        asking = self._asking.get(wire)
        if asking is not None:
            if not asking.done():
                asking.set_result(True)
        elif wire is self._thin:
            self._on(Event.HEARD)

    def silent(self, wire: Wire) -> None:
        asking = self._asking.get(wire)
        if asking is not None:
            if not asking.done():
                asking.set_result(False)
        elif wire is self._thin:
            self._lost_by(f"the sidecar at {self.address} says nothing")
            self._on(Event.SILENT)

    def readonly(self, wire: Wire) -> None:
        if wire is not self._thin:
            return
        self._lost_by(f"the sidecar at {self.address} is leaving")
        if not (wire.renews and self._renews(wire)):
            self._on(Event.READONLY)

    def ended(self, wire: Wire, why: str) -> None:
        self._wires.discard(wire)
        asking = self._asking.get(wire)
        if asking is not None and not asking.done():
            asking.set_result(False)
        if wire is self._thin:
            self._thin = None
            self._lost_by(f"the connection to the sidecar at {self.address} has ended, {why}")
            busy = wire.sent or wire.pending
            if self._renewing is wire or (not busy and self._renews(wire)):
                self.route = None  # until its successor is there
            else:
                self._on(Event.LOST)
        elif wire is self._engine:
            self._engine = None
            self._on(Event.FAT_LOST)
        self.lost(wire, why)

    # --- the end

    async def close(self) -> None:
        """Calls that are under way end with NotSent or ConnectionLost; no descriptor, thread or task stays."""
        self.end()
        if self.lines is not None:
            self.lines.follow(False, True, "the application closed its connection to the mesh")
        if self._resting is not None:
            self._resting.cancel()
        await self.interest.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._thin = self._engine = self.route = None
        gone = [self.loop.create_future() for _ in self._wires]
        for wire, future in zip(list(self._wires), gone, strict=True):
            wire.retire(lambda future=future: future.done() or future.set_result(None))  # type: ignore[misc]
            wire.drop("closed")
        await asyncio.gather(*gone)
        await self._close_fat()
        if self._readers is not None:
            await self._aside(self._readers.shutdown)
        if self._thread is not None:
            self._thread.shutdown()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
