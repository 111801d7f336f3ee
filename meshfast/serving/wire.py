"""The bytes of an HTTP/2 connection that a client made (RFC 9113), without TLS: frames come and go, in turns, and no
more is read while what was said waits to be read. What frames mean is said by who derives from it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field

from meshfast import http2
from meshfast.errors import ProtocolError
from meshfast.http2 import ErrorCode, Setting

__all__ = ["FRAME", "WINDOW", "Limits", "Shared", "Wire"]

#: Frames of one connection that are looked at before others have a turn.
TURN = 256
#: What HTTP/2 has where nothing is said: bytes of a frame, and of a window.
FRAME, WINDOW = 16384, 65535


@dataclass(frozen=True, slots=True)
class Limits:
    """``refused`` of a server counts each by its name."""

    connections: int = 80  # over it: the connection ends
    streams: int = 100  # of one connection at a time; over it: REFUSED_STREAM
    message: int = 4 << 20  # bytes; over it: status 8
    bytes: int = 64 << 20  # of messages of all connections that are not whole yet; over it who holds most: status 8
    small: int = 0  # bytes of a stream that is not refused for that
    resets: int = 1000  # streams that were reset, more than were answered; over it: the connection takes no more
    headers: int = 16 << 10  # of one list, with 32 for each; over it: status 8, of its bytes: the connection ends
    trailers: int = 64 << 10  # the same of what ends an answer, or as its caller says; over it: status 13 without them
    window: int = 1 << 20  # bytes that a stream, and a connection, may send before they are read
    output: int = 8 << 20  # bytes that wait for a slow reader; over it: the connection ends
    pause: int = 64 << 10  # bytes that wait when no more is read from it
    greeting: float = 10.0  # seconds until a connection has begun as HTTP/2 does
    farewell: float = 10.0  # seconds that one that is over may take to read what was said last


@dataclass(slots=True)
class Shared:
    """What the connections of one server have in common. ``held``: bytes of messages that are not whole."""

    limits: Limits = field(default_factory=Limits)
    connections: set[Wire] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    held: int = 0


class Wire(asyncio.Protocol, ABC):
    """One client. ``queued``: bytes that wait for a window; ``held``: of messages that are not whole."""

    def __init__(self, shared: Shared) -> None:
        self.shared, self.limits = shared, shared.limits
        self.peer = ""
        self.queued = self.held = 0
        self.gone = False
        self._transport: asyncio.Transport | None = None
        self._in, self._out = bytearray(), bytearray()
        self._greeted = self._full = self._again = self._pumping = False
        self._timer: asyncio.TimerHandle | None = None

    @abstractmethod
    def took(self, frame: http2.Frame) -> None:
        """A frame has come."""

    @abstractmethod
    def last(self) -> int:
        """The last stream that was acted on."""

    @abstractmethod
    def over(self) -> None:
        """The connection has ended, once."""

    def begins(self) -> None:
        """It has said that it is HTTP/2."""
        if self._timer:
            self._timer.cancel()

    # --- the transport's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self.shared.connections) >= self.limits.connections:
            self._refuse("connections")
            return
        self.shared.connections.add(self)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else ""
        transport.set_write_buffer_limits(high=self.limits.pause)
        self._timer = asyncio.get_running_loop().call_later(self.limits.greeting, self._refuse, "greeting")
        told = {
            Setting.MAX_CONCURRENT_STREAMS: self.limits.streams, Setting.INITIAL_WINDOW_SIZE: self.limits.window,
            Setting.MAX_HEADER_LIST_SIZE: self.limits.headers,
        }  # fmt: skip
        self.put(http2.Settings(settings=tuple((int(name), value) for name, value in told.items())))
        if (more := self.limits.window - WINDOW) > 0:
            self.put(http2.WindowUpdate(increment=more))
        self.write()

    def connection_lost(self, exc: Exception | None) -> None:
        self._detach()
        if self._timer:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._full = True
        self._hold()

    def resume_writing(self) -> None:
        self._full = False
        self._go_on()

    def data_received(self, data: bytes) -> None:
        if not self.gone:
            self._in += data
            self._pump()

    # --- frames

    def _pump(self) -> None:
        """Looks at what has come, as far as it may."""
        if self._pumping or self.gone:
            return
        self._pumping = True
        at = 0
        try:
            if not self._greeted:
                if not http2.is_preface(self._in):
                    return
                self._greeted, at = True, len(http2.PREFACE)
            at = self._frames(at)
        except ProtocolError as error:
            self._in, at = bytearray(), 0  # what was read of it is in the error's traceback, and cannot be cut
            self.shared.refused["malformed"] += 1
            self.end(http2.error_code(error), str(error))
        finally:
            del self._in[:at]
            self._pumping = False
            self.write()
        if self._full or self._again:
            self._hold()

    def _frames(self, at: int) -> int:
        view, done = memoryview(self._in), 0
        try:
            while not (self._full or self.gone):
                if done == TURN:
                    self._again = True
                    asyncio.get_running_loop().call_soon(self._later)
                    break
                found = http2.parse_frame(view[at:], FRAME)
                if found is None:
                    break
                at, done = at + found[1], done + 1
                self.took(found[0])
                self.write()  # if it is much
        finally:
            view.release()
        return at

    def _later(self) -> None:
        self._again = False
        self._go_on()

    def count(self, more: int) -> None:
        """So many bytes of messages that are not whole have come, or are needed no longer."""
        self.held += more
        self.shared.held += more

    # --- what is said

    def put(self, frame: http2.Frame) -> None:
        if not self.gone:
            self._out += frame.encode()

    def write(self) -> None:
        """Sends what was put, in one piece; at the end of a turn that is done anyway."""
        if not self._pumping or len(self._out) > self.limits.pause:
            self._send()

    def _send(self) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self.queued + self._transport.get_write_buffer_size() + len(self._out) > self.limits.output:
            self._refuse("output")
            return
        if self._out:
            data = bytes(self._out)
            self._out.clear()
            self._transport.write(data)

    # --- its end

    def end(self, code: ErrorCode = ErrorCode.NO_ERROR, text: str = "") -> None:
        """When what was said has been sent."""
        if self.gone:
            return
        self.put(http2.GoAway(last=self.last(), code=code, debug=text[:200].encode()))
        self._send()
        if self._timer:
            self._timer.cancel()
        if self._transport and not self._transport.is_closing():
            self._transport.close()
            self._timer = asyncio.get_running_loop().call_later(self.limits.farewell, self._late)
        self._detach()

    def hang_up(self) -> None:
        """The same without a word. What its client still sends is read: to close before that could take from it what
        was said."""
        if self.gone:
            return
        self._send()
        if self._timer:
            self._timer.cancel()
        if self._transport and not self._transport.is_closing():
            try:
                self._transport.write_eof()
            except OSError:  # it has gone
                self._transport.close()
            self._transport.resume_reading()
            self._timer = asyncio.get_running_loop().call_later(self.limits.farewell, self._late)
        self._detach()

    def leave(self) -> None:
        """At once."""
        self._detach()
        if self._transport:
            self._transport.abort()

    def _late(self) -> None:
        self.shared.refused["farewell"] += 1
        self.leave()

    def _refuse(self, why: str) -> None:
        self.shared.refused[why] += 1
        self.leave()

    def _detach(self) -> None:
        if self.gone:
            return
        self.gone = True
        self.shared.connections.discard(self)
        self.over()

    # --- reading

    def _hold(self) -> None:
        if self._transport and not self._transport.is_closing() and self._transport.is_reading():
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self.gone or self._full or self._again:
            return
        self._pump()
        if not (self.gone or self._full or self._again) and self._transport:
            self._transport.resume_reading()
