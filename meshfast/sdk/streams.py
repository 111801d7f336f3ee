"""One connection of HTTP/2: a stream for each call, within what the other end allows, and GOAWAY.

A call counts as sent from the moment that its last byte goes to the socket: of less nobody can execute it; one that
streams, from its head on. What RFC 9113 says was not looked at (REFUSED_STREAM, streams above the last of a GOAWAY)
goes back to the owner unsent.
"""

from __future__ import annotations

import asyncio
from functools import partial

from meshfast import _core, http2
from meshfast.errors import ProtocolError
from meshfast.http2 import ErrorCode, Flag, Setting
from meshfast.sdk.errors import BadAnswer, NotSent
from meshfast.sdk.flows import Flow
from meshfast.sdk.framed import CONNECTION, HEADERS, Framed
from meshfast.sdk.stream import Stream
from meshfast.sdk.triple import PREFIX, Answer, Fields, Request
from meshfast.sdk.wire import Call, Owner

__all__ = ["StreamsWire"]

#: Bytes that a stream may send us before we have read them.
STREAM = 1 << 20
#: Bytes of requests that go out between two looks at whether the socket takes more.
WRITE = 256 * 1024
#: Streams at a time, of a server that does not say how many; the number of the last stream of a connection.
STREAMS, LAST = 1000, (1 << 31) - 1
_DATA, _HEADERS, _CONTINUATION = 0, 1, 9
_START = 65535
_ABOVE = (1 << 31) - 1


class StreamsWire(Framed):
    """See ``Wire``. Frames are ``Request``, answers ``Answer``. No call goes out before settings came."""

    renews = True

    def __init__(self, owner: Owner, silent: float, lost: float) -> None:
        super().__init__(owner, silent, lost)
        self._encoder = http2.HeaderEncoder()
        self._streams: dict[int, Stream] = {}
        self._of: dict[int, Stream] = {}  # by the call's number
        self._unfinished: dict[int, Stream] = {}  # of which content is left, by number
        self._next = 1
        self._room, self._initial, self._most, self._frame = _START, _START, STREAMS, 16384
        self._widest = 0  # no stream has more room
        self._list = _ABOVE  # bytes of a list of fields, with 32 for each
        self._held = 0  # bytes of answers that are not whole, or not read

    @staticmethod
    def within(frame: Request, milliseconds: int) -> Request:
        return frame.within(milliseconds)

    @property
    def holds(self) -> str:
        if self._paused or not self._settled:
            return super().holds
        return f"no stream or window was free, {len(self._streams)} streams are open and {self._most} may be"

    def _heartbeat(self) -> None:
        self._put(http2.Ping().encode())

    # --- for asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        said = (
            (Setting.ENABLE_PUSH, 0), (Setting.INITIAL_WINDOW_SIZE, STREAM), (Setting.MAX_HEADER_LIST_SIZE, HEADERS),
        )  # fmt: skip
        window = http2.WindowUpdate(increment=CONNECTION - _START)
        self._put(http2.PREFACE + http2.Settings(settings=said).encode() + window.encode())

    def connection_lost(self, error: Exception | None) -> None:
        begun = [one.call for one in self._streams.values() if not one.call.sent]
        self.sent -= len(begun)
        self.pending = begun + self.pending  # nobody can have executed those
        self._streams.clear()
        self._of.clear()
        self._unfinished.clear()
        self._rest, self._held = b"", 0
        super().connection_lost(error)

    # --- what goes out

    def _flush(self) -> None:
        self._scheduled = False
        if not self._settled or self._paused or self._transport is None or self._transport.is_closing():
            return  # what is left when the connection has ended was not sent
        if self._unfinished:
            for stream in list(self._unfinished.values()):
                if self._room <= 0 or self._paused:
                    break
                self._put(self._content(stream))
                if stream.number in self._unfinished:  # the others come first now
                    self._unfinished[stream.number] = self._unfinished.pop(stream.number)
        out, size, given = [], 0, 0
        for call in self.pending:
            if call.wire is self and not call.future.done():
                if self.is_readonly or len(self._streams) >= self._most:
                    break
                if self._next > LAST:
                    self._loop.call_soon(self._leaving)
                    break
                if fields := self._head(call):
                    out.append(self._begin(call, fields))
                    size += len(out[-1])
            given += 1
            if size >= WRITE:
                self._put(b"".join(out))
                out, size = [], 0
                if self._paused or self.closed:
                    break
        del self.pending[:given]
        if out:
            self._put(out[0] if len(out) == 1 else b"".join(out))
        if self.sent or self.pending:
            self._watch()
        if self.retired:
            self._retire()

    def _head(self, call: Call) -> Fields:
        """Its fields; none where the other end takes no such, and would have all others end with it."""
        fields: Fields = call.frame.head()
        size = sum([len(name) + len(value) + 32 for name, value in fields])
        if size <= self._list:
            return fields
        call.wire = None
        del self._owner.calls[call.number]
        self._owner.over("header_list")
        why = f"its fields are {size} bytes, 32 for each among them, and {self._list} are taken: send less attachments"
        call.future.set_exception(NotSent(why))
        return []

    def _begin(self, call: Call, fields: Fields) -> bytes:
        """The head of a call, and what may go of its content."""
        stream = Stream(call, self._next)
        self._streams[self._next] = self._of[call.number] = stream
        self._unfinished[self._next] = stream
        self._next += 2
        self.sent += 1
        block, first = self._encoder.encode(fields), True
        out = b""
        while first or block:
            piece, block = block[: self._frame], block[self._frame :]
            flags = Flag.NONE if block else Flag.END_HEADERS
            out += _core.h2_put_frame(_HEADERS if first else _CONTINUATION, flags, stream.number, piece)
            first = False
        if stream.flow is not None:
            call.sent = True
            call.sends += 1
            stream.flow.more = partial(self._more, stream)
        return out + self._content(stream)

    def _more(self, stream: Stream, read: int) -> None:
        """Of one that streams so many bytes were read, or there is something to send."""
        assert stream.flow is not None
        if read:
            self._held -= read
            self._grant(stream, stream.flow)
        elif not stream.whole:
            self._unfinished[stream.number] = stream
            if not self._scheduled and not self._paused:
                self._scheduled = True
                self._loop.call_soon(self._flush)

    def _flowing(self, stream: Stream, flow: Flow) -> bytes:
        """What may go of one that streams: messages in frames of their own, as some peers want them."""
        out: list[bytes] = []
        while piece := flow.piece(min(self._frame, self._room, self._initial + stream.room)):
            stream.room -= len(piece)
            self._room -= len(piece)
            stream.whole = flow.done_sending
            flags = Flag.END_STREAM if stream.whole else Flag.NONE
            out.append(_core.h2_put_frame(_DATA, flags, stream.number, piece))
        if flow.done_sending and not stream.whole:
            stream.whole = True
            out.append(_core.h2_put_frame(_DATA, Flag.END_STREAM, stream.number, b""))
        if stream.whole or not flow.waiting:
            self._unfinished.pop(stream.number, None)
        return b"".join(out)

    def _content(self, stream: Stream) -> bytes:
        """What may go of it now; its call is sent with the last byte."""
        if stream.flow is not None:
            return self._flowing(stream, stream.flow)
        body, out = stream.call.frame.body, []
        while True:
            size = min(len(body) - stream.at, self._frame, self._room, self._initial + stream.room)
            if size <= 0:
                break
            stream.at += size
            stream.room -= size
            self._room -= size
            last = stream.at == len(body)
            flags = Flag.END_STREAM if last else Flag.NONE
            out.append(_core.h2_put_frame(_DATA, flags, stream.number, body[stream.at - size : stream.at]))
            if last:
                stream.whole = stream.call.sent = True
                stream.call.sends += 1
                del self._unfinished[stream.number]
        return b"".join(out)

    def forget(self, call: Call) -> None:
        if call.wire is not self:
            return
        stream = self._of.pop(call.number, None)
        if stream is None:
            super().forget(call)
            return
        call.wire = None
        del self._streams[stream.number]
        self._unfinished.pop(stream.number, None)
        self.sent -= 1
        self._held -= stream.size
        if stream.flow is not None:
            stream.flow.more = None
        if not (stream.over and stream.whole):
            code = ErrorCode.NO_ERROR if stream.over else ErrorCode.CANCEL
            self._put(http2.RstStream(stream.number, code=code).encode())
        if self.pending and not self._scheduled and not self._paused:  # there is a place for one more
            self._scheduled = True
            self._loop.call_soon(self._flush)
        if self.retired and not self.sent:
            self._loop.call_soon(self._retire)

    # --- what comes

    @property
    def _waits(self) -> bool:
        return bool(self.pending or self._unfinished)

    def _setting(self, number: int, value: int) -> None:
        match number:
            case Setting.HEADER_TABLE_SIZE:
                self._encoder.max_table_size = value
            case Setting.MAX_CONCURRENT_STREAMS:
                self._most = value
            case Setting.MAX_FRAME_SIZE:
                self._frame = min(value, WRITE)
            case Setting.MAX_HEADER_LIST_SIZE:
                self._list = value
            case Setting.INITIAL_WINDOW_SIZE:
                self._initial = value
                if value + self._widest > _ABOVE:  # alone then they are looked at: it may be said without end
                    self._widest = max((one.room for one in self._streams.values()), default=0)
                    self._sum(value, self._widest)

    @staticmethod
    def _sum(room: int, more: int) -> int:
        if room + more > _ABOVE:
            raise ProtocolError("a window above 2^31-1")
        return room + more

    def _wider(self, frame: http2.WindowUpdate) -> None:
        if frame.stream == 0:
            self._room = self._sum(self._room, frame.increment)
        elif (stream := self._stream(frame.stream)) is not None:
            stream.room = self._sum(self._initial + stream.room, frame.increment) - self._initial
            self._widest = max(self._widest, stream.room)

    def _stream(self, number: int) -> Stream | None:
        """None: it has ended here."""
        stream = self._streams.get(number)
        if stream is None and (number >= self._next or number % 2 == 0):
            raise ProtocolError(f"stream {number}, which was not begun")
        return stream

    def _data(self, number: int, content: bytes, size: int, flags: int) -> None:
        """``size``: with its padding."""
        self._credit += size
        stream = self._stream(number)
        if stream is None:
            return
        if stream.answer is None:
            self._bad(stream, "its content came before its fields")
            return
        if stream.flow is not None:
            self._flowed(stream, stream.flow, content, size, bool(flags & Flag.END_STREAM))
            return
        stream.content += content
        self._held += len(content)
        if len(stream.content) > self._owner.max_answer + PREFIX:
            self._owner.over("max_answer")
            most = self._owner.max_answer
            self._bad(stream, f"it has more than {len(stream.content)} bytes: maxAnswer is {most}, raise it")
        elif flags & Flag.END_STREAM:
            self._finish(stream)
        else:
            stream.credit += size
            if stream.credit > STREAM // 2:
                self._put(http2.WindowUpdate(stream.number, increment=stream.credit).encode())
                stream.credit = 0
            self._bound()

    def _bound(self) -> None:
        if self._held > self._owner.max_partial:
            longest = max(self._streams.values(), key=lambda one: one.size)
            self._owner.over("max_partial")
            text = f"{self._held} bytes of answers are not whole, or not read"
            self._bad(longest, f"{text}: max_partial is {self._owner.max_partial}, raise it")

    def _flowed(self, stream: Stream, flow: Flow, content: bytes, size: int, is_last: bool) -> None:
        """Some of the answer of one that streams. ``credit``: bytes that its window lacks."""
        stream.credit += size
        before = flow.size
        try:
            flow.took(content, self._owner.max_answer)
        except BadAnswer as error:
            self._held += flow.size - before
            self._owner.over("max_answer")
            self._bad(stream, str(error))
            return
        self._held += flow.size - before
        if is_last:
            self._finish(stream)
        else:
            self._grant(stream, flow)
            self._bound()

    def _grant(self, stream: Stream, flow: Flow) -> None:
        """What was not read takes of its window."""
        more = stream.credit - flow.kept
        if more > STREAM // 2 and not stream.over:
            stream.credit -= more
            self._put(http2.WindowUpdate(stream.number, increment=more).encode())

    def _listed(self, number: int, is_last: bool, fields: Fields, why: str) -> None:
        stream = self._stream(number)
        if stream is None:
            if is_last:
                self._owner.late()
        elif why:
            self._bad(stream, why)
        elif stream.answer is None:
            if fields[:1] and fields[0][0] == b":status" and fields[0][1][:1] == b"1" and not is_last:
                return
            stream.answer = fields
            if stream.flow is not None:
                stream.flow.head(fields)
            if is_last:
                self._finish(stream)
        elif is_last:
            stream.trailers = fields
            self._finish(stream)
        else:
            self._bad(stream, "its trailers do not end it")

    def _finish(self, stream: Stream, code: int | None = None) -> None:
        stream.over = True
        call = stream.call
        found = Answer(stream.answer or [], bytes(stream.content), stream.trailers, call.frame.raw, code)
        self._answer(call, found)

    def _bad(self, stream: Stream, why: str) -> None:
        self._fail(stream.call, BadAnswer(f"the answer cannot be taken: {why}"))

    def _reset(self, frame: http2.RstStream) -> None:
        stream = self._stream(frame.stream)
        if stream is None:
            return
        stream.whole = True  # no word of it goes out any more
        if frame.code == ErrorCode.REFUSED_STREAM:
            self._refuse(stream, "its peer (REFUSED_STREAM)")
        else:
            self._finish(stream, frame.code)

    def _refuse(self, stream: Stream, why: str) -> None:
        stream.over = stream.whole = True
        call = stream.call
        if stream.flow is not None and not stream.flow.rewind():
            self._fail(call, NotSent(f"refused by {why}, and what was sent of its stream is not here any more"))
            return
        self.forget(call)
        self._owner.refuse(call, why)

    def _goaway(self, frame: http2.GoAway) -> None:
        self._leaving()
        for stream in [one for one in self._streams.values() if one.number > frame.last]:
            self._refuse(stream, "a connection that ends (GOAWAY)")
        if frame.code != ErrorCode.NO_ERROR:
            text = frame.debug[:200].decode(errors="replace")
            self._why = self._why or f"its other end wants it ended: {_name(frame.code)} {text}".rstrip()

    def _leaving(self) -> None:
        if not self.is_readonly:
            self.is_readonly = True
            self._owner.readonly(self)


def _name(code: int) -> str:
    return ErrorCode(code).name if code in set(ErrorCode) else f"code {code}"
