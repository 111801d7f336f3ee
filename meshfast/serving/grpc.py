"""A server of gRPC on a loopback address, in the loop: HTTP/2 without TLS (RFC 9113), messages that are not compressed.

What is served is a ``Service``, which knows streams and messages. Whoever is over a limit is refused and counted by its
name; what one connection does ends that connection, and no other.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from meshfast import http2
from meshfast.accepting import Accepting
from meshfast.address import Listen, Listening, listening
from meshfast.errors import LimitError, ProtocolError
from meshfast.http2 import ErrorCode, Flag, Setting
from meshfast.serving.wire import FRAME, WINDOW, Limits, Shared, Wire

__all__ = ["INTERNAL", "INVALID", "RESOURCES", "UNIMPLEMENTED", "Connection", "Limits", "Server", "Service", "Stream"]

log = logging.getLogger("meshfast")

#: Numbers of ``grpc-status``.
OK, INVALID, RESOURCES, UNIMPLEMENTED, INTERNAL = 0, 3, 8, 12, 13
#: Frames in which one list of headers may come.
PIECES = 16
#: Of a window, bytes.
LARGEST = (1 << 31) - 1
_ANSWER = ((b":status", b"200"), (b"content-type", b"application/grpc"))


class Service(Protocol):
    """Called in the loop, and must not take long. A stream is answered by ``Stream.send`` and ``end``, at any time."""

    def begun(self, stream: Stream) -> bool:
        """Somebody calls ``stream.path``; False: there is no such method."""

    def said(self, stream: Stream, message: bytes) -> None:
        """One whole message."""

    def over(self, stream: Stream) -> None:
        """The caller says no more."""

    def gone(self, stream: Stream) -> None:
        """It has ended, with or without an answer."""

    def lost(self, connection: Connection) -> None:
        """All of its streams have gone."""


class Server:
    """One address."""

    def __init__(self, service: Service, limits: Limits | None = None) -> None:
        self.service, self.shared = service, Shared(limits or Limits())
        self._listening: Listening | None = None
        self._accepting: Accepting | None = None

    async def start(self, what: str, address: str, listen: Listen = listening) -> str:
        """Listens; gives the address with its real port. Raises as ``address.listening``."""
        self._listening = await listen(what, address)
        self._accepting = Accepting(self._listening.sock, lambda: Connection(self), log)
        return self._listening.text

    async def stop(self) -> None:
        """Streams are cut off: their clients come back to who listens next."""
        if self._accepting and self._listening:
            await self._accepting.settled()
            self._listening.give_back()
        for connection in list(self.shared.connections):
            connection.end()
            connection.leave()


@dataclass(eq=False, slots=True)
class Stream:
    """One call. ``window``: bytes that may be sent now; ``room``: that may come."""

    connection: Connection
    id: int
    path: str
    window: int
    room: int
    came: bytearray = field(default_factory=bytearray, repr=False)
    out: deque[bytes] = field(default_factory=deque, repr=False)
    silent: bool = False  # the caller says no more
    answered: bool = False  # the head of an answer has been sent
    status: tuple[int, str] | None = None  # how it ends, behind what waits
    gone: bool = False

    def send(self, message: bytes) -> None:
        """One message; nothing where it has ended."""
        if not self.gone and self.status is None:
            whole = b"\0" + len(message).to_bytes(4, "big") + message
            self.out.append(whole)
            self.connection.queued += len(whole)
            self.connection.flush(self)

    def end(self, status: int = OK, text: str = "") -> None:
        """The last word, behind the messages."""
        if not self.gone and self.status is None:
            self.status = status, text
            self.connection.flush(self)


class Connection(Wire):
    """One client."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.shared)
        self._service = server.service
        self.streams: dict[int, Stream] = {}
        self._decoder = http2.HeaderDecoder(max_header_list_size=self.limits.headers)
        self._encoder = http2.HeaderEncoder()
        self._window, self._initial, self._frame = WINDOW, WINDOW, FRAME  # of what is sent
        self._room = max(WINDOW, self.limits.window)
        self._last = 0
        self._block: tuple[http2.Headers, bytearray, int] | None = None
        self._begun = self._flushing = False

    def last(self) -> int:
        return self._last

    def over(self) -> None:
        for stream in list(self.streams.values()):
            self._forget(stream)
        self._service.lost(self)

    # --- frames

    def took(self, frame: http2.Frame) -> None:
        if self._block is not None and not isinstance(frame, http2.Continuation):
            self.end(ErrorCode.PROTOCOL_ERROR, "a list of headers was not finished")
            return
        if not self._begun:
            if not isinstance(frame, http2.Settings) or frame.is_ack:
                self.end(ErrorCode.PROTOCOL_ERROR, "it begins without SETTINGS")
                return
            self._begun = True
            self.begins()
        match frame:
            case http2.Data():
                self._data(frame)
            case http2.Headers():
                self._headers(frame, bytearray(frame.block), 1)
            case http2.Continuation(stream, flags, block):
                if self._block is None or self._block[0].stream != stream:
                    self.end(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of no list of headers")
                    return
                first, all, pieces = self._block
                self._block = None
                all += block
                self._headers(http2.Headers(stream, first.flags | flags & Flag.END_HEADERS), all, pieces + 1)
            case http2.Settings() if not frame.is_ack:
                self._settings(frame.settings)
            case http2.Ping(data=data) if not frame.is_ack:
                self.put(http2.Ping(flags=Flag.ACK, data=data))
            case http2.WindowUpdate(stream=id, increment=increment):
                self._widen(id, increment)
            case http2.RstStream(stream=id):
                self._known(id)
                if id in self.streams:
                    self._forget(self.streams[id])
            case http2.PushPromise():
                self.end(ErrorCode.PROTOCOL_ERROR, "a client promises nothing")

    def _known(self, id: int) -> None:
        if id > self._last or not id % 2:
            self.end(ErrorCode.PROTOCOL_ERROR, f"stream {id} has not begun")

    def _settings(self, told: Iterable[tuple[int, int]]) -> None:
        for name, value in told:
            if name == Setting.HEADER_TABLE_SIZE:
                self._encoder.max_table_size = min(value, 4096)
            elif name == Setting.MAX_FRAME_SIZE:
                self._frame = min(value, FRAME)
            elif name == Setting.INITIAL_WINDOW_SIZE:
                more, self._initial = value - self._initial, value
                for stream in self.streams.values():
                    stream.window += more
                    if stream.window > LARGEST:
                        self.end(ErrorCode.FLOW_CONTROL_ERROR, "a window is too large")
                        return
        self.put(http2.Settings(flags=Flag.ACK))
        self._flush_all()

    def _widen(self, id: int, increment: int) -> None:
        if id == 0:
            self._window += increment
            if self._window > LARGEST:
                self.end(ErrorCode.FLOW_CONTROL_ERROR, "the window is too large")
            self._flush_all()
            return
        self._known(id)
        stream = self.streams.get(id)
        if stream is None:
            return
        stream.window += increment
        if stream.window > LARGEST:
            self._reset(stream, ErrorCode.FLOW_CONTROL_ERROR)
        else:
            self.flush(stream)

    # --- what is asked

    def _headers(self, frame: http2.Headers, block: bytearray, pieces: int) -> None:
        if len(block) > self.limits.headers or pieces > PIECES:
            self.shared.refused["headers"] += 1
            self.end(ErrorCode.ENHANCE_YOUR_CALM, f"more than {self.limits.headers} bytes of headers")
        elif not frame.flags & Flag.END_HEADERS:
            self._block = frame, block, pieces
        else:
            self._list(frame.stream, frame.is_last, block)

    def _list(self, id: int, last: bool, block: bytearray) -> None:
        too_long = False
        try:
            headers = self._decoder.decode(block)
        except LimitError:
            headers, too_long = [], True
        stream = self.streams.get(id)
        if stream is not None:  # trailers, which say nothing here
            if not last or stream.silent:
                self.end(ErrorCode.PROTOCOL_ERROR, "headers again")
            else:
                self._silent(stream)
            return
        if id <= self._last or not id % 2:
            if not id % 2:
                self.end(ErrorCode.PROTOCOL_ERROR, f"a client has no stream {id}")
            return  # of a stream that is over
        self._last = id
        if len(self.streams) >= self.limits.streams:
            self.shared.refused["streams"] += 1
            self.put(http2.RstStream(id, code=ErrorCode.REFUSED_STREAM))
            return
        found = dict(headers)
        stream = Stream(self, id, found.get(b":path", b"").decode(errors="replace"), self._initial, self.limits.window)
        self.streams[id] = stream
        stream.silent = last
        if too_long:
            self.shared.refused["headers"] += 1
            stream.end(RESOURCES, f"more than {self.limits.headers} bytes of headers")
            return
        try:
            http2.check_request(headers)
        except ProtocolError:
            self.shared.refused["malformed"] += 1
            self._reset(stream, ErrorCode.PROTOCOL_ERROR)
            return
        kind = found.get(b"content-type", b"")
        if found.get(b":method") != b"POST" or not kind.startswith(b"application/grpc"):
            stream.end(INTERNAL, "only gRPC is served here")
        elif not self._service.begun(stream):
            stream.end(UNIMPLEMENTED, f"no method {stream.path[:100]} here")
        elif last:
            self._service.over(stream)

    def _data(self, frame: http2.Data) -> None:
        counted = len(frame.data) + (0 if frame.pad is None else frame.pad + 1)
        self._room -= counted
        if self._room < 0:
            self.end(ErrorCode.FLOW_CONTROL_ERROR, "more than the window has come")
            return
        if self._room < self.limits.window // 2:
            self.put(http2.WindowUpdate(increment=self.limits.window - self._room))
            self._room = self.limits.window
        stream = self.streams.get(frame.stream)
        if stream is None:
            self._known(frame.stream)
            return
        stream.room -= counted
        if stream.silent or stream.room < 0:
            wrong = ErrorCode.STREAM_CLOSED if stream.silent else ErrorCode.FLOW_CONTROL_ERROR
            self.shared.refused["malformed"] += 1
            self._reset(stream, wrong)
            return
        if stream.room < self.limits.window // 2 and not frame.is_last:
            self.put(http2.WindowUpdate(stream.id, increment=self.limits.window - stream.room))
            stream.room = self.limits.window
        if stream.status is None:
            self.count(len(frame.data))
            stream.came += frame.data
            self._messages(stream)
        if frame.is_last and not stream.gone:
            self._silent(stream)

    def _messages(self, stream: Stream) -> None:
        came, at = stream.came, 0
        while len(came) - at >= 5 and stream.status is None and not stream.gone:
            length = int.from_bytes(came[at + 1 : at + 5], "big")
            if came[at]:
                stream.end(UNIMPLEMENTED, "messages that are compressed are not read")
            elif length > self.limits.message:
                self.shared.refused["message"] += 1
                stream.end(RESOURCES, f"a message of {length} bytes; the limit is {self.limits.message}")
            elif len(came) - at - 5 < length:
                break
            else:
                message = bytes(came[at + 5 : at + 5 + length])
                at += 5 + length
                self._service.said(stream, message)
        gone = len(came) if stream.status is not None else at
        if not stream.gone:  # else it was given back with it
            del came[:gone]
            self.count(-gone)
        if self.shared.held > self.limits.bytes:
            self.shared.refused["bytes"] += 1
            for one in (self._most(stream), stream):
                if self.shared.held > self.limits.bytes:
                    one.end(RESOURCES, f"messages of more than {self.limits.bytes} bytes are under way")

    def _most(self, last: Stream) -> Stream:
        """Of who holds most the longest message; of equals the ``last`` that came."""
        most = max(self.shared.connections, key=lambda one: (one.held, one is self), default=self)
        open = [one for one in most.streams.values() if one.status is None] if isinstance(most, Connection) else []
        return max(open, key=lambda one: (len(one.came), one is last), default=last)

    def _silent(self, stream: Stream) -> None:
        stream.silent = True
        if stream.status is not None:
            self._finish(stream)
        elif stream.came:
            self.shared.refused["malformed"] += 1
            stream.end(INTERNAL, "the last message is not whole")
        else:
            self._service.over(stream)

    # --- what is answered

    def flush(self, stream: Stream) -> None:
        """Sends of a stream what its windows let through."""
        if self.gone or stream.gone:
            return
        if (stream.out or stream.status == (OK, "")) and not stream.answered:
            stream.answered = True
            self.put(http2.Headers(stream.id, Flag.END_HEADERS, self._encoder.encode(_ANSWER)))
        while stream.out and stream.window > 0 and self._window > 0:
            whole = stream.out[0]
            part = whole[: min(len(whole), stream.window, self._window, self._frame)]
            stream.window -= len(part)
            self._window -= len(part)
            self.queued -= len(part)
            if len(part) == len(whole):
                stream.out.popleft()
            else:
                stream.out[0] = whole[len(part) :]
            self.put(http2.Data(stream.id, data=part))
        if not stream.out and stream.status is not None:
            self._finish(stream)
        if not self._flushing:
            self.write()

    def _flush_all(self) -> None:
        self._flushing = True
        for stream in list(self.streams.values()):
            if self._window <= 0:
                break
            self.flush(stream)
        self._flushing = False
        self.write()

    def _finish(self, stream: Stream) -> None:
        """The trailers, once; the rest of what the caller says is not read."""
        if stream.gone or stream.out:
            return
        status, text = stream.status or (OK, "")
        told = [] if stream.answered else list(_ANSWER)
        told.append((b"grpc-status", str(status).encode()))
        if text:
            told.append((b"grpc-message", _percent(text)))
        block = self._encoder.encode(told)
        self.put(http2.Headers(stream.id, Flag.END_HEADERS | Flag.END_STREAM, block))
        if not stream.silent:
            self.put(http2.RstStream(stream.id, code=ErrorCode.NO_ERROR))
        self._forget(stream)

    def _reset(self, stream: Stream, code: ErrorCode) -> None:
        self.put(http2.RstStream(stream.id, code=code))
        self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        if stream.gone:
            return
        stream.gone = True
        self.streams.pop(stream.id, None)
        self.count(-len(stream.came))
        self.queued -= sum(map(len, stream.out))
        stream.came.clear()
        stream.out.clear()
        self._service.gone(stream)


def _percent(text: str) -> bytes:
    """As gRPC has its messages on the wire."""
    return b"".join(
        bytes((one,)) if 0x20 <= one <= 0x7E and one != 0x25 else b"%%%02X" % one for one in text.encode()[:1000]
    )
