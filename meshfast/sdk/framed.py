"""Frames of HTTP/2 that come to a connection of the SDK: in the order that they are allowed in, lists of fields whole.
What they mean is said by who inherits it.
"""

from __future__ import annotations

from abc import abstractmethod

from meshfast import _core, http2
from meshfast.errors import LimitError, ProtocolError
from meshfast.http2 import Flag
from meshfast.sdk.triple import Fields
from meshfast.sdk.wire import Owner, Wire

__all__ = ["CONNECTION", "HEAD", "HEADERS", "Framed"]

#: Bytes that a connection may send us before we have read them, and of a list of fields.
CONNECTION, HEADERS = 1 << 24, 1 << 16
#: Continuations of one list of fields.
CONTINUATIONS = 16
#: Bytes before the payload of a frame.
HEAD = 9
_DATA, _HEADERS = 0, 1


class Framed(Wire):
    """See ``Wire``."""

    def __init__(self, owner: Owner, silent: float, lost: float) -> None:
        super().__init__(owner, silent, lost)
        self._decoder = http2.HeaderDecoder(max_header_list_size=HEADERS)
        self._rest = b""
        self._block: tuple[int, int] | None = None  # stream and flags of fields that are not whole
        self._begun: list[bytes] = []  # of them
        self._credit = 0  # bytes to give back
        self._settled = False

    @abstractmethod
    def _data(self, number: int, content: bytes, size: int, flags: int) -> None:
        """``size``: with its padding."""

    @abstractmethod
    def _listed(self, number: int, is_last: bool, fields: Fields, why: str) -> None:
        """A list of fields; ``why`` it is refused."""

    @abstractmethod
    def _reset(self, frame: http2.RstStream) -> None: ...

    @abstractmethod
    def _wider(self, frame: http2.WindowUpdate) -> None: ...

    @abstractmethod
    def _setting(self, number: int, value: int) -> None: ...

    @abstractmethod
    def _goaway(self, frame: http2.GoAway) -> None: ...

    @property
    @abstractmethod
    def _waits(self) -> bool:
        """Whether there is something to send."""

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
        if self._waits and not self._scheduled and not self._paused:
            self._flush()

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
                self._reply(http2.Settings(flags=Flag.ACK))
            case http2.Ping() if not frame.is_ack:
                self._reply(http2.Ping(flags=Flag.ACK, data=frame.data))
            case http2.GoAway():
                self._goaway(frame)
            case http2.PushPromise():
                raise ProtocolError("a push, which our settings forbid")

    def _reply(self, frame: http2.Frame) -> None:
        if not self._control(frame.encode()):
            raise LimitError("it asks for answers and does not read them")

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
        self._listed(number, bool(is_last), fields, why)
