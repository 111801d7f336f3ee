"""One connection of an application: many calls at a time, and whether its other end is there.

A call that it was given waits in ``pending`` until its bytes go to the socket; from then on it counts as sent. What is
given to it in one turn of the loop goes out in one write. What its bytes are is for who inherits it: ``sdk/dubbo2.py``,
``sdk/streams.py``.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["CONTROLS", "Call", "Frame", "Owner", "Settled", "Wire"]

#: Bytes of answers to what an other end asks for while it reads nothing (heartbeats, PING, SETTINGS): over it the
#: connection ends.
CONTROLS = 1 << 20
#: Calls whose callers have left, of those that were not sent yet, before they are looked for.
LEFT = 1000


class Settled(Protocol):
    """What waits for a call: an asyncio future, or a thread."""

    def done(self) -> bool: ...
    def set_result(self, answer: Any, /) -> Any: ...
    def set_exception(self, error: Any, /) -> Any: ...


class Frame(Protocol):
    """A request as its connection sends it: bytes, for Dubbo2."""

    def __len__(self) -> int:
        """Bytes."""


class Call:
    """One call. ``deadline``: of the loop's clock; ``wire``: which has it, None while it waits for one; ``sent``: that
    one gave its bytes to the socket; ``sends``: how often that was done; ``refused``: how often one that had it said
    that it was not looked at."""

    __slots__ = ("deadline", "frame", "future", "idempotent", "number", "refused", "sends", "sent", "two_way", "wire")

    def __init__(
        self, number: int, frame: Any, future: Settled, deadline: float, idempotent: bool, two_way: bool
    ) -> None:
        self.number, self.frame, self.future, self.deadline = number, frame, future, deadline
        self.idempotent, self.two_way = idempotent, two_way
        self.sends, self.sent, self.refused = 0, False, 0
        self.wire: Wire | None = None


class Owner(Protocol):
    """Who has connections. Nothing of these is called inside ``Wire.send``."""

    calls: dict[int, Call]
    max_answer: int
    max_partial: int

    def heard(self, wire: Wire) -> None:
        """Something came after ``Wire.ask``."""

    def silent(self, wire: Wire) -> None:
        """Nothing came in time while calls wait, or after ``Wire.ask``."""

    def readonly(self, wire: Wire) -> None:
        """The peer asks for no more calls."""

    def refuse(self, call: Call, why: str) -> None:
        """The peer says that it has not looked at a call, which is no connection's any more."""

    def ended(self, wire: Wire, why: str) -> None:
        """The connection is no more. Its calls are the owner's to look after: ``Wire.pending`` were not sent."""

    def over(self, limit: str) -> None:
        """An answer met a limit."""

    def late(self) -> None:
        """An answer came that nobody waits for."""


class Wire(asyncio.Protocol):
    """``silent``: seconds without a word while calls wait; ``lost``: seconds that an answer to ``ask`` may take."""

    #: Whether one that is to end may be followed by another of the same peer: it had rested, or was old.
    renews = False

    def __init__(self, owner: Owner, silent: float, lost: float) -> None:
        self._owner, self._silent, self._lost = owner, silent, lost
        self._loop = asyncio.get_running_loop()
        self.made = self._loop.time()
        self._transport: asyncio.Transport | None = None
        self.pending: list[Call] = []
        self.sent = 0  # calls whose answers are due
        self.is_readonly = self.retired = self.closed = False
        self._scheduled = self._paused = self._asked = False
        self._quiet = 0.0  # when something was heard last, or the first of the calls that wait was given
        self._timer: asyncio.TimerHandle | None = None
        self._left = self._controls = 0
        self._why = ""
        self._when_closed: list[Callable[[], None]] = []

    @property
    def holds(self) -> str:
        """Why calls that it has were not sent."""
        return "the other end of their connection takes no more"

    # --- what its bytes are

    @staticmethod
    @abstractmethod
    def within(frame: Any, milliseconds: int) -> Any:
        """The request for a caller that waits so long from now on."""

    @abstractmethod
    def _heartbeat(self) -> None:
        """Sends what is answered at once."""

    @abstractmethod
    def _flush(self) -> None:
        """Sends what is pending, as far as the socket takes it."""

    # --- for the owner

    def send(self, call: Call) -> None:
        """Takes a call; its bytes go out at once where nothing else is under way, else with others of this turn."""
        call.wire, call.sent = self, False
        self.pending.append(call)
        if self.sent == 0 and not self._scheduled and not self._paused:
            self._quiet = self._loop.time()
            self._flush()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def forget(self, call: Call) -> None:
        """A call of this connection needs no answer any more: it has one, or its caller has left."""
        if call.wire is not self:
            return
        call.wire = None
        if call.sent:
            self.sent -= 1
            if self.retired and not self.sent:
                self._loop.call_soon(self._retire)
            return
        self._left += 1
        if self._left > LEFT:
            self._left = 0
            self.pending = [one for one in self.pending if one.wire is self]

    def ask(self) -> None:
        """Sends a heartbeat; ``heard`` or ``silent`` is told."""
        self._asked = True
        self._heartbeat()
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._lost, self._look)

    def retire(self, then: Callable[[], None] | None = None) -> None:
        """Closes it once the calls that it has are done, and calls ``then``."""
        if then is not None:
            self._when_closed.append(then)
        self.retired = True
        self._retire()

    def drop(self, why: str) -> None:
        """Ends it at once: what is not in the socket yet is not sent."""
        self._why = self._why or why
        if self._transport is not None:
            self._transport.abort()

    # --- for asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._owner.ended(self, self._why or (f"it broke: {error}" if error else "its other end closed it"))
        for then in self._when_closed:
            then()

    def pause_writing(self) -> None:
        self._paused = True
        self._watch()  # of calls one way nothing is due, but that they are taken

    def resume_writing(self) -> None:
        self._paused, self._controls = False, 0
        if not self.sent:  # that they are taken is all the word there is of calls one way
            self._quiet = self._loop.time()
        self._flush()

    # --- inside

    def _noted(self) -> None:
        """Something came."""
        self._quiet = self._loop.time()
        if self._asked:
            self._asked = False
            if self._timer is not None:  # the one that waited for this word
                self._timer.cancel()
                self._timer = self._loop.call_later(self._silent, self._look)
            self._owner.heard(self)

    def _watch(self) -> None:
        if self._timer is None:
            self._quiet = self._loop.time()
            self._timer = self._loop.call_later(self._silent, self._look)

    def _put(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _control(self, data: bytes) -> bool:
        """Answers what its other end has asked for. False: too much of that waits to be read."""
        if self._paused:
            self._controls += len(data)
        if self._controls > CONTROLS:
            self._owner.over("controls")
            return False
        self._put(data)
        return True

    def _answer(self, call: Call, answer: Any) -> None:
        """It has come."""
        del self._owner.calls[call.number]
        self.forget(call)
        if not call.future.done():
            call.future.set_result(answer)

    def _fail(self, call: Call, error: Exception) -> None:
        """There is an answer, and it is not one to give on."""
        del self._owner.calls[call.number]
        self.forget(call)
        if not call.future.done():
            call.future.set_exception(error)

    def _look(self) -> None:
        """Whether it has been silent for too long."""
        self._timer = None
        left = self._quiet + self._silent - self._loop.time()
        due = self.sent or self.pending or self._paused
        if self._asked or (due and left <= 0):
            self._asked, left = False, self._silent
            self._owner.silent(self)
        if due and self._timer is None and not self.closed:
            self._timer = self._loop.call_later(left, self._look)

    def _retire(self) -> None:
        if self.retired and not self.sent and not self.pending and self._transport is not None:
            self._why = self._why or "no more calls were to go on it"
            self._transport.close()
