"""One connection of HTTP/2: a stream for each call, within what the other end allows, and GOAWAY.

A call counts as sent from the moment that its last byte goes to the socket: of less nobody can execute it. What RFC
9113 says was not looked at (REFUSED_STREAM, streams above the last of a GOAWAY) goes back to the owner unsent.
"""

from __future__ import annotations

import asyncio

from meshfast import _core, http2
from meshfast.errors import LimitError, ProtocolError
from meshfast.http2 import ErrorCode, Flag, Setting
from meshfast.sdk.errors import BadAnswer, NotSent
from meshfast.sdk.stream import Stream
from meshfast.sdk.triple import PREFIX, Answer, Fields, Request
from meshfast.sdk.wire import Call, Owner, Wire

__all__ = ["StreamsWire"]

#: Bytes that a stream and a connection may send us before we have read them, and of a list of fields.
STREAM, CONNECTION, HEADERS = 1 << 20, 1 << 24, 1 << 16
#: Bytes of requests that go out between two looks at whether the socket takes more.
WRITE = 256 * 1024
#: Streams at a time, of a server that does not say how many; the number of the last stream of a connection.
STREAMS, LAST = 1000, (1 << 31) - 1
#: Continuations of one list of fields.
CONTINUATIONS = 16
#: Bytes that wait to be read by one who asks for answers to PING and SETTINGS.
CONTROLS = 1 << 20
_DATA, _HEADERS, _CONTINUATION = 0, 1, 9
#: Bytes before the payload of a frame.
HEAD = 9
_START = 65535
_ABOVE = (1 << 31) - 1


class StreamsWire(Wire):
    """See ``Wire``. Frames are ``Request``, answers ``Answer``. No call goes out before settings came."""

    renews = True

    def __init__(self, owner: Owner, silent: float, lost: float) -> None:
        super().__init__(owner, silent, lost)
        self._encoder = http2.HeaderEncoder()
        self._decoder = http2.HeaderDecoder(max_header_list_size=HEADERS)
        self._rest = b""
        self._block: tuple[int, int] | None = None  # stream and flags of fields that are not whole
        self._begun: list[bytes] = []  # of them
        self._streams: dict[int, Stream] = {}
        self._of: dict[int, Stream] = {}  # by the call's number
        self._unfinished: dict[int, Stream] = {}  # of which content is left, by number
        self._next = 1
        self._room, self._initial, self._most, self._frame = _START, _START, STREAMS, 16384
        self._list = _ABOVE  # bytes of a list of fields, with 32 for each
        self._credit = self._held = 0  # bytes to give back; of answers that are not whole
        self._settled = False

    @staticmethod
    def within(frame: Request, milliseconds: int) -> Request:
        return frame.within(milliseconds)

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
        begun = [one.call for one in self._streams.values() if not one.whole]
        self.sent -= len(begun)
        self.pending = begun + self.pending  # nobody can have executed those
        self._streams.clear()
        self._of.clear()
        self._unfinished.clear()
        self._rest, self._held = b"", 0
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._quiet = self._loop.time()
        data = self._rest + data if self._rest else data
        at, view = 0, memoryview(data)
        try:
            while (found := _core.h2_parse_frame(view[at:])) is not None and not self.closed:
                length, kind, flags, stream, pad, content, *_ = found
                if kind == _DATA and self._is_free:
                    self._data(stream, content, length - HEAD, flags)
                elif kind == _HEADERS and self._is_free:
                    self._block = (stream, flags)
                    self._fields(content, flags)
                elif (frame := http2.parse_frame(view[at:])) is not None:
                    self._take(frame[0])
                at += length
        except (ProtocolError, LimitError) as error:
            self._put(http2.GoAway(code=http2.error_code(error)).encode())
            self.drop(f"what came is no HTTP/2 as it is allowed: {error}")
        if self.closed:
            return
        self._rest = data[at:]
        if self._credit > CONNECTION // 2:
            self._put(http2.WindowUpdate(increment=self._credit).encode())
            self._credit = 0
        if self._settled:
            self._noted()
        if (self.pending or self._unfinished) and not self._scheduled and not self._paused:
            self._flush()

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
        stream = Stream(call, self._next, self._initial)
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
        return out + self._content(stream)

    def _content(self, stream: Stream) -> bytes:
        """What may go of it now; its call is sent with the last byte."""
        body, out = stream.call.frame.body, []
        while True:
            size = min(len(body) - stream.at, self._frame, self._room, stream.room)
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
        self._held -= len(stream.content)
        if not (stream.over and stream.whole):
            code = ErrorCode.NO_ERROR if stream.over else ErrorCode.CANCEL
            self._put(http2.RstStream(stream.number, code=code).encode())
        if self.retired and not self.sent:
            self._loop.call_soon(self._retire)

    # --- what comes

    @property
    def _is_free(self) -> bool:
        """Whether any frame may come."""
        return self._settled and self._block is None

    def _take(self, frame: http2.Frame) -> None:
        """One that is not of the many."""
        if not self._settled and not isinstance(frame, http2.Settings):
            raise ProtocolError("the first frame is not SETTINGS")
        if self._block is not None and not isinstance(frame, http2.Continuation):
            raise ProtocolError("a list of fields was left unfinished")
        match frame:
            case http2.Continuation():
                self._continuation(frame)
            case http2.RstStream():
                self._reset(frame)
            case http2.WindowUpdate():
                self._wider(frame)
            case http2.Settings() if not frame.is_ack:
                for number, value in frame.settings:
                    self._setting(number, value)
                self._settled = True
                self._control(http2.Settings(flags=Flag.ACK))
            case http2.Ping() if not frame.is_ack:
                self._control(http2.Ping(flags=Flag.ACK, data=frame.data))
            case http2.GoAway():
                self._goaway(frame)
            case http2.PushPromise():
                raise ProtocolError("a push, which our settings forbid")

    def _control(self, frame: http2.Frame) -> None:
        if self._transport is not None and self._transport.get_write_buffer_size() > CONTROLS:
            raise LimitError("it asks for answers and does not read them")
        self._put(frame.encode())

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
                more, self._initial = value - self._initial, value
                for stream in self._streams.values():
                    stream.room = self._sum(stream.room, more)

    @staticmethod
    def _sum(room: int, more: int) -> int:
        if room + more > _ABOVE:
            raise ProtocolError("a window above 2^31-1")
        return room + more

    def _wider(self, frame: http2.WindowUpdate) -> None:
        if frame.stream == 0:
            self._room = self._sum(self._room, frame.increment)
        elif (stream := self._stream(frame.stream)) is not None:
            stream.room = self._sum(stream.room, frame.increment)

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
            if self._held > self._owner.max_partial:
                longest = max(self._streams.values(), key=lambda one: len(one.content))
                self._owner.over("max_partial")
                most = self._owner.max_partial
                self._bad(longest, f"{self._held} bytes of answers are not whole: max_partial is {most}, raise it")

    def _continuation(self, frame: http2.Continuation) -> None:
        if self._block is None or self._block[0] != frame.stream:
            raise ProtocolError("a continuation of nothing")
        self._begun.append(frame.block)
        if len(self._begun) > CONTINUATIONS or sum(map(len, self._begun)) > HEADERS:
            raise LimitError("a list of fields that does not end")
        self._fields(b"", frame.flags)

    def _fields(self, block: bytes, flags: int) -> None:
        if not flags & Flag.END_HEADERS:
            if block:
                self._begun = [block]
            return
        assert self._block is not None
        number, flags = self._block
        self._block = None
        if self._begun:
            block, self._begun = b"".join(self._begun), []
        is_last = flags & Flag.END_STREAM
        why = ""
        try:
            fields = self._decoder.decode(block)
        except LimitError as error:
            fields, why = [], str(error)
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
