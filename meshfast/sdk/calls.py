"""The calls that wait: for a connection, or for their answers; at most so many, and each for its own time.

A call is given to one connection. Nothing of it was sent: it goes to the next, unseen. Sent, and the connection ended:
it fails, unless it is idempotent and was sent once, then it is sent once more within the time that it had.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import os
from asyncio.events import _get_running_loop  # which asyncio exports for those who need it fast, or need none
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from meshfast.errors import LimitError, StateError
from meshfast.sdk.errors import CallTimeout, ConnectionLost, NotSent
from meshfast.sdk.wire import Call, Frame, Settled, Wire

if TYPE_CHECKING:
    from meshfast.sdk.lines import Lines

__all__ = ["LONG", "Calls", "Limits"]

_T = TypeVar("_T")

#: How often a call that was refused, not looked at, is given out again.
REFUSALS = 3
#: Bytes of an answer from which a thread reads it, and how many there are: a MiB may be a second's work.
LONG, READERS = 32 << 10, 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What is refused, and named where it is."""

    #: Calls that wait for their answers, or to be sent. Over it: LimitError.
    max_calls: int = 10_000
    #: Bytes of requests that no connection has taken. Over it: LimitError.
    max_waiting: int = 64 << 20
    #: Bytes of a request or an answer. A longer request is a LimitError, a longer answer a BadAnswer.
    max_answer: int = 8 << 20
    #: Bytes of answers by Triple that are not whole yet. Over it: BadAnswer for the longest.
    max_partial: int = 64 << 20
    #: Connections of threads of ``sdk.Blocking``, each with one call. Over it calls share one connection.
    max_lines: int = 16


class Calls:
    """Those of one client. ``route``: the connection that has the next, None while they wait for one; ``why``: why they
    would; ``lines``: by which threads go around it while it is the sidecar's."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.max_answer, self.max_partial = limits, limits.max_answer, limits.max_partial
        self.loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self.calls: dict[int, Call] = {}
        self.numbers = itertools.count(1)
        self.counters: Counter[str] = Counter()
        self.route: Wire | None = None
        self.why = "the sidecar has not answered yet"
        self.closed = False
        self.lines: Lines | None = None
        self._queue: dict[int, Call] = {}
        self._queued = 0  # bytes
        self._deadlines: list[tuple[float, int]] = []
        self._alarm: asyncio.TimerHandle | None = None
        self._readers: ThreadPoolExecutor | None = None

    @property
    def forked(self) -> bool:
        """Whether this process was forked from the one whose connections these are."""
        return self._pid != os.getpid()

    def mine(self) -> None:
        """StateError where these are not the running loop's: their sockets and numbers are another's, who would get
        the answers. In a process that was forked no loop runs but one that it has begun itself."""
        if _get_running_loop() is not self.loop:
            whose = "another process, from which this one was forked" if self.forked else "another event loop"
            raise StateError(f"this connection to the mesh is of {whose}: call sdk.connect in each")

    def start(
        self, number: int, frame: Frame, future: Settled, timeout: float, idempotent: bool, two_way: bool,
        sends: int = 0,
    ) -> Call:  # fmt: skip
        """Gives a call out; ``future`` gets its answer, or why there is none. LimitError, StateError: refused.
        ``sends``: how often it was sent on a thread's line; refused then, it is lost."""
        if len(self.calls) + (self.lines.busy if self.lines is not None else 0) >= self.limits.max_calls:
            text = f"{self.limits.max_calls} calls wait: make fewer at a time, or raise it"
            raise self._limit("max_calls", text, sends)
        if len(frame) > self.max_answer:
            raise self._limit("max_answer", f"the request has {len(frame)} bytes", sends)
        if self.closed:
            text = "the connection to the mesh is closed"
            raise _lost(text) if sends else StateError(f"{text}: make calls inside its block")
        now = self.loop.time()
        call = Call(number, frame, future, now + timeout, idempotent, two_way)
        call.sends = sends
        wire = self.route
        if not sends:
            self.counters["calls"] += 1
        elif wire is not None:  # else that is counted when there is one
            self.counters["resent"] += 1
        if wire is None:
            self._wait(call)
        self.calls[number] = call
        self._watch(call)
        if wire is not None:
            wire.send(call)
        return call

    def again(self, call: Call, future: Settled) -> None:
        """Gives out once more what was answered as lost behind the sidecar, for what is left of its time."""
        call.future, call.wire, call.sent = future, None, False
        if self.closed:
            future.set_exception(ConnectionLost("lost behind the sidecar, and the connection to the mesh is closed"))
            return
        self.calls[call.number] = call
        self._watch(call)
        self._give(call)

    async def read(self, how: Callable[[Any], _T], answer: Any) -> _T:
        """Reads a long answer, while others of this loop go on."""
        if self.closed:
            return how(answer)
        if self._readers is None:
            self._readers = ThreadPoolExecutor(READERS, "meshfast-sdk-answers")
        return await self.loop.run_in_executor(self._readers, how, answer)

    def forget(self, call: Call) -> None:
        """Its caller waits no longer: nothing of it stays; an answer that comes later is dropped. In a process that was
        forked nothing is done: what would be told goes by the other's connection, in its numbers and tables."""
        if self.forked or self.calls.pop(call.number, None) is None:
            return
        if call.wire is not None:
            call.wire.forget(call)
        elif self._queue.pop(call.number, None) is not None:
            self._queued -= len(call.frame)

    def _limit(self, name: str, text: str, sends: int) -> Exception:
        """Says that it was not sent, where it was not."""
        self.counters[name] += 1
        return _lost(f"{name}: {text}") if sends else LimitError(f"{name}: {text}")

    def _wait(self, call: Call) -> None:
        if self._queued + len(call.frame) > self.limits.max_waiting:
            raise self._limit("max_waiting", f"{self._queued} bytes of requests wait: {self.why}", call.sends)
        self._queued += len(call.frame)
        self._queue[call.number] = call

    def release(self) -> None:
        """Gives what waits to the connection that there is now."""
        waiting, self._queue, self._queued = self._queue, {}, 0
        for call in waiting.values():
            self._give(call)

    def _give(self, call: Call) -> None:
        """Gives a call out again. How long its caller still waits goes on with it."""
        if self.route is None:
            try:
                self._wait(call)
            except LimitError as error:
                self._fail(call, NotSent(str(error)))
            except ConnectionLost as error:
                self._fail(call, error)
            return
        left = int(1000 * (call.deadline - self.loop.time()))
        if left > 0:  # else its time is up, and that is told in a moment
            call.frame = self.route.within(call.frame, left)
            self.counters["resent" if call.sends else "moved"] += 1
            self.route.send(call)

    def move(self, wire: Wire) -> None:
        """What it has not sent goes elsewhere."""
        had, wire.pending = wire.pending, []
        for call in had:
            if call.wire is wire:
                call.wire = None
                self._give(call)

    def _fail(self, call: Call, error: Exception) -> None:
        self.forget(call)
        if not call.future.done():
            call.future.set_exception(error)

    def _watch(self, call: Call) -> None:
        if len(self._deadlines) > 2 * len(self.calls) + 1000:
            self._deadlines = [one for one in self._deadlines if one[1] in self.calls]
            heapq.heapify(self._deadlines)
        heapq.heappush(self._deadlines, (call.deadline, call.number))
        if self._alarm is None or self._alarm.when() > call.deadline:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = self.loop.call_at(call.deadline, self._expire)

    def _expire(self) -> None:
        """Ends the calls whose time is up."""
        self._alarm = None
        now = self.loop.time() + 0.0005
        while self._deadlines:
            deadline, number = self._deadlines[0]
            call = self.calls.get(number)
            if call is not None and deadline > now:
                self._alarm = self.loop.call_at(deadline, self._expire)
                return
            heapq.heappop(self._deadlines)
            if call is not None:
                self.counters["timeouts"] += 1
                if call.sends:
                    self._fail(call, CallTimeout("no answer in time; it may have been executed"))
                else:
                    why = self.why if call.wire is None or self.route is None else call.wire.holds
                    self._fail(call, NotSent(f"not sent in time: {why}"))

    def lost(self, wire: Wire, why: str) -> None:
        """The connection has ended: what was sent on it fails, or is sent once more; what was not goes elsewhere."""
        sent = [one for one in self.calls.values() if one.wire is wire and one.sent] if wire.sent else []
        for call in sent:
            call.wire, call.sent = None, False
            if call.idempotent and call.sends < 2:
                self._give(call)
            else:
                self.counters["lost"] += 1
                self._fail(call, ConnectionLost(f"{why}; the call may have been executed"))
        self.move(wire)

    def refuse(self, call: Call, why: str) -> None:
        """Whoever had it has not looked at it: it goes on as if nothing of it had been sent, at most so often."""
        if call.sent:
            call.sends, call.sent = call.sends - 1, False
        call.refused += 1
        self.counters["refused"] += 1
        if call.refused > REFUSALS:
            self._fail(call, NotSent(f"refused {call.refused} times, the last time by {why}"))
        else:
            self._give(call)

    def over(self, limit: str) -> None:
        """An answer met a limit."""
        self.counters[limit] += 1

    def late(self) -> None:
        """An answer came that nobody waits for any more."""
        self.counters["late"] += 1

    def end(self) -> None:
        """Ends every call."""
        self.closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        for call in list(self.calls.values()):
            ended = "the application closed its connection to the mesh"
            self._fail(call, ConnectionLost(ended) if call.sends else NotSent(ended))


def _lost(why: str) -> ConnectionLost:
    return ConnectionLost(f"its connection has ended; it may have been executed, and is not sent once more: {why}")
