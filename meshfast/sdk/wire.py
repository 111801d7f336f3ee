"""One connection of Dubbo2: many calls at a time, answers by their ids, heartbeats, READONLY.

A call that it was given waits in ``pending`` until its bytes go to the socket; from then on it counts as sent. What is
given to it in one turn of the loop goes out in one write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from meshfast import dubbo
from meshfast.errors import ProtocolError
from meshfast.sdk.codec import HEAD, Answer
from meshfast.sdk.errors import BadAnswer

__all__ = ["Call", "Owner", "Settled", "Wire"]

_MAGIC = 0xDABB
_REQUEST, _TWO_WAY, _EVENT = 0x80, 0x40, 0x20
#: Bytes of one write; the socket is asked after each whether it takes more.
WRITE = 256 * 1024
#: Calls whose callers have left, of those that were not sent yet, before they are looked for.
LEFT = 1000


class Settled(Protocol):
    """What waits for a call: an asyncio future, or a thread."""

    def done(self) -> bool: ...
    def set_result(self, answer: Any, /) -> Any: ...
    def set_exception(self, error: Any, /) -> Any: ...


class Call:
    """One call. ``deadline``: of the loop's clock; ``wire``: which has it, None while it waits for one; ``sent``: that
    one gave its bytes to the socket; ``sends``: how often that was done."""

    __slots__ = ("deadline", "frame", "future", "idempotent", "number", "sends", "sent", "two_way", "wire")

    def __init__(
        self, number: int, frame: bytes, future: Settled, deadline: float, idempotent: bool, two_way: bool
    ) -> None:
        self.number, self.frame, self.future, self.deadline = number, frame, future, deadline
        self.idempotent, self.two_way = idempotent, two_way
        self.sends, self.sent = 0, False
        self.wire: Wire | None = None


class Owner(Protocol):
    """Who has connections. Nothing of these is called inside ``Wire.send``."""

    calls: dict[int, Call]
    max_answer: int

    def heard(self, wire: Wire) -> None:
        """Something came after ``Wire.ask``."""

    def silent(self, wire: Wire) -> None:
        """Nothing came in time while calls wait, or after ``Wire.ask``."""

    def readonly(self, wire: Wire) -> None:
        """The peer asks for no more calls."""

    def ended(self, wire: Wire, why: str) -> None:
        """The connection is no more. Its calls are the owner's to look after: ``Wire.pending`` were not sent."""

    def late(self) -> None:
        """An answer came that nobody waits for."""


class Wire(asyncio.Protocol):
    """``silent``: seconds without a word while calls wait; ``lost``: seconds that an answer to ``ask`` may take."""

    def __init__(self, owner: Owner, silent: float, lost: float) -> None:
        self._owner, self._silent, self._lost = owner, silent, lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.pending: list[Call] = []
        self.sent = 0  # calls whose answers are due
        self.is_readonly = self.retired = self.closed = False
        self._scheduled = self._paused = self._asked = False
        self._quiet = 0.0  # when something was heard last, or the first of the calls that wait was given
        self._timer: asyncio.TimerHandle | None = None
        self._chunks: list[bytes] = []
        self._have = self._need = self._skip = self._left = 0
        self._why = ""
        self._when_closed: list[Callable[[], None]] = []

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
        self._put(dubbo.heartbeat(-1))
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
        self._chunks.clear()
        self._owner.ended(self, self._why or (f"it broke: {error}" if error else "its other end closed it"))
        for then in self._when_closed:
            then()

    def pause_writing(self) -> None:
        self._paused = True
        self._watch()  # of calls one way nothing is due, but that they are taken

    def resume_writing(self) -> None:
        self._paused = False
        if not self.sent:  # that they are taken is all the word there is of calls one way
            self._quiet = self._loop.time()
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._quiet = self._loop.time()
        if self._asked:
            self._asked = False
            if self._timer is not None:  # the one that waited for this word
                self._timer.cancel()
                self._timer = self._loop.call_later(self._silent, self._look)
            self._owner.heard(self)
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        self._have += len(data)
        if self._chunks:
            self._chunks.append(data)
            if self._have < self._need:
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        at = self._read(data)
        self._have, self._need = len(data) - at, max(self._need, 16)
        if self._have > 0:
            self._chunks.append(data[at:] if at else data)

    # --- inside

    def _flush(self) -> None:
        self._scheduled = False
        pending, calls = self.pending, self._owner.calls
        if self._paused or not pending or self._transport is None or self._transport.is_closing():
            return  # what is left when the connection has ended was not sent
        frames, size, given = [], 0, 0
        for call in pending:
            given += 1
            if call.wire is not self:
                continue  # its caller has left, or its time is up: nothing of it is sent
            call.sends += 1
            call.sent = True
            frames.append(call.frame)
            if call.two_way:
                self.sent += 1
            else:
                calls.pop(call.number, None)
                call.wire = None
                call.future.set_result(None)
            size += len(call.frame)
            if size >= WRITE:
                self._put(frames[0] if len(frames) == 1 else b"".join(frames))
                frames, size = [], 0
                if self._paused or self.closed:
                    break
        del pending[:given]
        if frames:
            self._put(frames[0] if len(frames) == 1 else b"".join(frames))
        if self.sent:
            self._watch()
        if self.retired:
            self._retire()

    def _watch(self) -> None:
        if self._timer is None:
            self._quiet = self._loop.time()
            self._timer = self._loop.call_later(self._silent, self._look)

    def _put(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _read(self, data: bytes) -> int:
        """Every whole frame; gives where the next begins, and sets how many bytes that needs."""
        at, end = 0, len(data)
        calls = self._owner.calls
        while end - at >= 16:
            magic, flags, status, number, length = HEAD.unpack_from(data, at)
            if magic != _MAGIC or length < 0:
                self.drop("what came is not Dubbo2")
                return end
            following = at + 16 + length
            if flags & (_REQUEST | _EVENT):
                if length > self._owner.max_answer:
                    self.drop(f"an event of {length} bytes came: maxAnswer is {self._owner.max_answer}")
                    return end
                if following > end:
                    break
                self._event(data[at:following], flags)
            else:
                call = calls.get(number)
                if call is not None and (call.wire is not self or not call.sent):
                    call = None  # it has been given to another connection since
                if call is None and (following <= end or length > self._owner.max_answer):
                    self._owner.late()
                if length > self._owner.max_answer:
                    if call is not None:
                        self._too_long(call, length)
                    self._skip = max(0, following - end)
                    at = min(following, end)
                    continue
                if following > end:
                    break
                if call is not None:
                    del calls[number]
                    self.forget(call)
                    answer: Answer = (flags, status, data[at + 16 : following])
                    if not call.future.done():
                        call.future.set_result(answer)
            at = following
        self._need = following - at if end - at >= 16 else 16
        return at

    def _too_long(self, call: Call, length: int) -> None:
        del self._owner.calls[call.number]
        self.forget(call)
        if not call.future.done():
            most = self._owner.max_answer
            call.future.set_exception(BadAnswer(f"the answer has {length} bytes: maxAnswer is {most}, raise it"))

    def _event(self, frame: bytes, flags: int) -> None:
        """A heartbeat is answered; READONLY is told; a call of the other side is none of ours, and is left."""
        if not flags & _EVENT or not flags & _REQUEST:
            return
        if flags & _TWO_WAY:
            head = bytes([0xDA, 0xBB, flags & 0x3F, dubbo.Status.OK])
            self._put(head + frame[4:])
        try:
            said = dubbo.event(frame)
        except ProtocolError:
            return
        if said == "readonly" and not self.is_readonly:
            self.is_readonly = True
            self._owner.readonly(self)

    def _look(self) -> None:
        """Whether it has been silent for too long."""
        self._timer = None
        left = self._quiet + self._silent - self._loop.time()
        due = self.sent or self._paused
        if self._asked or (due and left <= 0):
            self._asked, left = False, self._silent
            self._owner.silent(self)
        if due and self._timer is None and not self.closed:
            self._timer = self._loop.call_later(left, self._look)

    def _retire(self) -> None:
        if self.retired and not self.sent and not self.pending and self._transport is not None:
            self._why = self._why or "no more calls were to go on it"
            self._transport.close()
