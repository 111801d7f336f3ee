"""What a connection of gRPC sends: within windows, a frame of each stream in turn, no more than the socket takes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from meshfast import http2
from meshfast.http2 import ErrorCode, Flag, Setting
from meshfast.serving.stream import INTERNAL, OK, Fields, Stream, percent
from meshfast.serving.wire import FRAME, WINDOW, Shared, Wire

__all__ = ["LARGEST", "Sending"]

#: Of a window, bytes; and the number of a stream.
LARGEST = (1 << 31) - 1
#: Of the PING between the first GOAWAY and the last.
LEAVING = b"leaving!"


class Sending(Wire):
    """``streams``: those that have not ended, by number."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self.streams: dict[int, Stream] = {}
        self._encoder = http2.HeaderEncoder()
        self._window, self._initial, self._frame = WINDOW, WINDOW, FRAME  # of what is sent
        self._list_most = self.limits.trailers  # bytes of a list of fields, with 32 for each
        self._waiting: dict[int, Stream] = {}  # who has something to send, the next one first
        self._last = self._resets = 0
        self._begun = self._flushing = self.leaving = self.closing = False

    @abstractmethod
    def gone_from(self, stream: Stream) -> None:
        """It has ended."""

    def last(self) -> int:
        return self._last

    # --- windows

    def _settings(self, told: Iterable[tuple[int, int]]) -> None:
        before = self._initial
        for name, value in told:
            if name == Setting.HEADER_TABLE_SIZE:
                self._encoder.max_table_size = min(value, 4096)
            elif name == Setting.MAX_FRAME_SIZE:
                self._frame = min(value, FRAME)
            elif name == Setting.MAX_HEADER_LIST_SIZE:
                self._list_most = min(value, self.limits.trailers)
            elif name == Setting.INITIAL_WINDOW_SIZE:
                self._initial = value
        if more := self._initial - before:  # once, however often one frame says it
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

    def _known(self, id: int) -> None:
        if id > self._last and not self.closing or not id % 2:
            self.end(ErrorCode.PROTOCOL_ERROR, f"stream {id} has not begun")

    def resume_writing(self) -> None:
        self._full = False
        self._flush_all()
        self._go_on()

    # --- what is answered

    def flush(self, stream: Stream) -> None:
        """Sends of a stream what its windows let through."""
        if self.gone or stream.gone:
            return
        if (stream.out or stream.status == (OK, "")) and not stream.answered:
            stream.answered = True
            self._fields(stream, [*_answer(stream), *stream.head])
        while self._part(stream):
            pass
        self._settle(stream)
        if not self._flushing:
            self.write()

    def _part(self, stream: Stream) -> bool:
        """One frame, where there is one to send."""
        if not stream.out or stream.window <= 0 or self._window <= 0 or self._full or self.gone:
            return False
        whole = stream.out[0]
        part = whole[: min(len(whole), stream.window, self._window, self._frame)]
        stream.window -= len(part)
        self._window -= len(part)
        self.queued -= len(part)
        stream.waiting -= len(part)
        if len(part) == len(whole):
            stream.out.popleft()
        else:
            stream.out[0] = whole[len(part) :]
        self.put(http2.Data(stream.id, data=part))
        if len(self._out) > self.limits.pause:
            self._send()
        return True

    def _settle(self, stream: Stream) -> None:
        """After what was sent of it."""
        if stream.out:
            self._waiting.setdefault(stream.id, stream)
            return
        self._waiting.pop(stream.id, None)
        if stream.status is not None:
            self._finish(stream)
        elif stream.drained is not None:
            stream.drained()

    def _flush_all(self) -> None:
        self._flushing = sent = True
        while sent and self._window > 0 and not self._full:
            sent = False
            for stream in list(self._waiting.values()):
                if self._part(stream):
                    sent = True
                    self._waiting.pop(stream.id, None)  # the others come first now; all have gone if it was too much
                    self._settle(stream)
        self._flushing = False
        self.write()

    def _finish(self, stream: Stream) -> None:
        """The trailers, once; the rest of what the caller says is not read."""
        if stream.gone or stream.out:
            return
        self._resets = max(0, self._resets - 1)
        self._fields(stream, self._trailers(stream), Flag.END_STREAM)
        if not stream.silent:
            self.put(http2.RstStream(stream.id, code=ErrorCode.NO_ERROR))
        self._forget(stream)

    def _trailers(self, stream: Stream) -> Fields:
        """Of more than its caller takes the connection would end, and with it the calls of others."""
        status, text = stream.status or (OK, "")
        head = [] if stream.answered else [*_answer(stream), *stream.head]
        fields = [*head, *_last(status, text), *stream.trailers]
        if not stream.trailers or (size := _size(fields)) <= self._list_most:
            return fields
        self.shared.refused["trailers"] += 1
        if status == OK:
            status, text = INTERNAL, f"the answer has {size} bytes of fields; its caller is sent {self._list_most}"
        return [*head, *_last(status, text)]

    def _fields(self, stream: Stream, fields: Fields, flags: Flag = Flag.NONE) -> None:
        """One list, in as many frames as it needs."""
        block, first = self._encoder.encode(fields), True
        while first or block:
            part, block = block[: self._frame], block[self._frame :]
            last = Flag.NONE if block else Flag.END_HEADERS
            frame = http2.Headers(stream.id, flags | last, part) if first else http2.Continuation(stream.id, last, part)
            self.put(frame)
            first = False

    def _reset(self, stream: Stream, code: ErrorCode) -> None:
        self.put(http2.RstStream(stream.id, code=code))
        self._forget(stream)
        self._was_reset()

    def cut(self, stream: Stream, code: ErrorCode = ErrorCode.CANCEL) -> None:
        """Ends it without a last word."""
        if not stream.gone:
            self.put(http2.RstStream(stream.id, code=code))
            self._forget(stream)
            self.write()

    def _was_reset(self) -> None:
        """Many more streams that were thrown away than such that were answered: no more are taken."""
        self._resets += 1
        if self._resets > self.limits.resets and not self.closing:
            self.shared.refused["resets"] += 1
            self.last_word(ErrorCode.ENHANCE_YOUR_CALM, "streams are begun to be reset")

    def _forget(self, stream: Stream) -> None:
        if stream.gone:
            return
        stream.gone = True
        self.streams.pop(stream.id, None)
        self._waiting.pop(stream.id, None)
        self.count(-len(stream.came) - stream.kept)
        self.queued -= stream.waiting
        stream.waiting = stream.kept = 0
        stream.came.clear()
        stream.out.clear()
        self.gone_from(stream)
        if self.closing and not self.streams:
            self.hang_up()

    # --- the end of all of them

    def leave_softly(self) -> None:
        """Asks for no more streams, and takes those that are on their way: GOAWAY, and once more with the last one
        (RFC 9113, 6.8). The connection ends with the last of them."""
        self.leaving = True
        if self._begun and not self.closing and not self.gone:
            self.put(http2.GoAway(last=LARGEST))
            self.put(http2.Ping(data=LEAVING))
            self.write()

    def last_word(self, code: ErrorCode = ErrorCode.NO_ERROR, text: str = "") -> None:
        """Takes no more streams."""
        if self.closing or self.gone:
            return
        self.closing = True
        self.put(http2.GoAway(last=self._last, code=code, debug=text.encode()))
        self.write()
        if not self.streams:
            self.hang_up()


def _answer(stream: Stream) -> list[tuple[bytes, bytes]]:
    return [(b":status", b"200"), (b"content-type", stream.kind)]


def _last(status: int, text: str) -> Fields:
    told = [(b"grpc-status", str(status).encode())]
    return [*told, (b"grpc-message", percent(text))] if text else told


def _size(fields: Fields) -> int:
    return sum(len(name) + len(value) + 32 for name, value in fields)
