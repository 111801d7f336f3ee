"""A server of gRPC on a loopback address, in the loop: HTTP/2 without TLS (RFC 9113), messages that are not compressed.

What is served is a ``Service``, which knows streams and messages. Whoever is over a limit is refused and counted by its
name; what one connection does ends that connection, and no other.
"""

from __future__ import annotations

import logging
from typing import Protocol

from meshfast import http2
from meshfast.accepting import Accepting
from meshfast.address import Listen, Listening, listening
from meshfast.errors import LimitError, ProtocolError
from meshfast.http2 import ErrorCode, Flag
from meshfast.serving.sending import LEAVING, Sending
from meshfast.serving.stream import INTERNAL, INVALID, RESOURCES, UNIMPLEMENTED, Fields, Stream
from meshfast.serving.wire import WINDOW, Limits, Shared

__all__ = ["INTERNAL", "INVALID", "RESOURCES", "UNIMPLEMENTED", "Connection", "Limits", "Server", "Service", "Stream"]

log = logging.getLogger("meshfast")

#: Frames in which one list of headers may come.
PIECES = 16


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
        self._accepting = Accepting(self._listening.sock, lambda: Connection(self.service, self.shared), log)
        return self._listening.text

    async def stop(self) -> None:
        """Streams are cut off: their clients come back to who listens next."""
        if self._accepting and self._listening:
            await self._accepting.settled()
            self._listening.give_back()
        for connection in list(self.shared.connections):
            connection.end()
            connection.leave()


class Connection(Sending):
    """One client."""

    def __init__(self, service: Service, shared: Shared) -> None:
        super().__init__(shared)
        self._service = service
        self._decoder = http2.HeaderDecoder(max_header_list_size=self.limits.headers)
        self._room = max(WINDOW, self.limits.window)
        self._block: tuple[http2.Headers, bytearray, int] | None = None

    def gone_from(self, stream: Stream) -> None:
        self._service.gone(stream)

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
            if self.leaving:
                self.leave_softly()
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
            case http2.Ping(data=data) if data == LEAVING and self.leaving:
                self.last_word()
            case http2.WindowUpdate(stream=id, increment=increment):
                self._widen(id, increment)
            case http2.RstStream(stream=id):
                self._known(id)
                if id in self.streams:
                    self._forget(self.streams[id])
                    self._was_reset()
            case http2.PushPromise():
                self.end(ErrorCode.PROTOCOL_ERROR, "a client promises nothing")

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
        if self.closing:
            return  # its caller was told that nobody looks at it
        self._last = id
        if len(self.streams) >= self.limits.streams:
            self.shared.refused["streams"] += 1
            self.put(http2.RstStream(id, code=ErrorCode.REFUSED_STREAM))
            return
        found = dict(headers)
        path = found.get(b":path", b"").decode(errors="replace")
        stream = Stream(self, id, path, self._initial, self.limits.window, headers)
        self.streams[id] = stream
        stream.silent = last
        if too_long:
            self.shared.refused["headers"] += 1
            stream.end(RESOURCES, f"more than {self.limits.headers} bytes of headers")
            return
        try:
            _check(headers)
        except ProtocolError:
            self.shared.refused["malformed"] += 1
            self._reset(stream, ErrorCode.PROTOCOL_ERROR)
            return
        kind = found.get(b"content-type", b"")
        if kind == b"application/grpc+proto":
            stream.kind = kind
        if found.get(b":method") != b"POST" or not kind.startswith(b"application/grpc"):
            stream.end(INTERNAL, "only gRPC is served here")
        elif not self._service.begun(stream):
            stream.end(UNIMPLEMENTED, f"no method {stream.path[:100]} here")
        elif last and not stream.gone:
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
        if stream.status is None:
            self.count(len(frame.data))
            stream.came += frame.data
            self._messages(stream)
        if frame.is_last and not stream.gone:
            self._silent(stream)
        else:
            self.grant(stream)

    def grant(self, stream: Stream) -> None:
        """What its service has not done with takes of its window; what is not a whole message does not, as it would
        never be one."""
        more = self.limits.window - stream.kept - stream.room
        if not (stream.gone or stream.silent) and more > self.limits.window // 2:
            stream.room += more
            self.put(http2.WindowUpdate(stream.id, increment=more))
            self.write()

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
        much = self.shared.held > self.limits.bytes and len(came) + stream.kept > self.limits.small
        if much and not stream.gone and stream.status is None:
            self.shared.refused["bytes"] += 1
            for one in (self._most(stream), stream):
                if self.shared.held > self.limits.bytes:
                    one.end(RESOURCES, f"messages of more than {self.limits.bytes} bytes are under way")

    def _most(self, last: Stream) -> Stream:
        """Of who holds most the longest message that is not whole; of equals, or where it has none, the ``last`` that
        came. What is being performed is nobody's to end."""
        most = max(self.shared.connections, key=lambda one: (one.held, one is self), default=self)
        all = most.streams.values() if isinstance(most, Connection) else ()
        open = (one for one in all if one.status is None and one.came)
        return max(open, key=lambda one: (len(one.came), one is last), default=last)

    def _silent(self, stream: Stream) -> None:
        stream.silent = True
        if stream.status is not None:
            self.flush(stream)
        elif stream.came:
            self.shared.refused["malformed"] += 1
            stream.end(INTERNAL, "the last message is not whole")
        else:
            self._service.over(stream)


def _check(headers: Fields) -> None:
    """What it may be; but for whom it was meant, which is nothing here: grpcio that has several addresses says all of
    them as one.

    :raises ProtocolError: it is malformed
    """
    try:
        http2.check_request(headers)
    except ProtocolError:
        http2.check_request([(name, b"x" if name == b":authority" else value) for name, value in headers])
