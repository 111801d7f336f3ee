"""HTTP/2 without a connection: header blocks (RFC 7541), frames and what a list of headers may be (RFC 9113).

Reading and writing are the core's (``csrc/codec``), which bounds what a peer can make it do; here are names, types and
errors. Bytes that are wrong raise ProtocolError: ``name`` says which rule, ``error_code`` what that is on the wire, and
``is_stream_error`` whether the connection can go on. What is right and too much raises LimitError.

>>> from meshfast import http2
>>> block = http2.HeaderEncoder().encode([(b":status", b"200"), (b"grpc-status", b"0")])
>>> http2.HeaderDecoder().decode(block)
[(b':status', b'200'), (b'grpc-status', b'0')]
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import NamedTuple

from meshfast import _core
from meshfast.errors import MeshfastError, ProtocolError

__all__ = [
    "Continuation",
    "Data",
    "ErrorCode",
    "Field",
    "Flag",
    "Frame",
    "GoAway",
    "HeaderDecoder",
    "HeaderEncoder",
    "Headers",
    "PREFACE",
    "Ping",
    "Priority",
    "PriorityFrame",
    "PushPromise",
    "RstStream",
    "Setting",
    "Settings",
    "Unknown",
    "WindowUpdate",
    "check_request",
    "check_response",
    "check_trailers",
    "error_code",
    "is_preface",
    "is_stream_error",
    "parse_frame",
    "parse_frames",
]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

_Bytes = bytes | bytearray | memoryview
_Header = tuple[bytes, bytes] | tuple[bytes, bytes, bool]


class ErrorCode(IntEnum):
    """Why a stream or a connection ends (RFC 9113, section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    CONNECT_ERROR = 10
    ENHANCE_YOUR_CALM = 11
    INADEQUATE_SECURITY = 12
    HTTP_1_1_REQUIRED = 13


class Setting(IntEnum):
    """The settings of RFC 9113, 6.5.2; any other number is passed on as it is."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5
    MAX_HEADER_LIST_SIZE = 6


class Flag(IntFlag):
    """What the flags mean; each is defined for some types only. ACK is END_STREAM's bit."""

    NONE = 0
    END_STREAM = 0x1
    ACK = 0x1
    END_HEADERS = 0x4
    PADDED = 0x8
    PRIORITY = 0x20


class Field(NamedTuple):
    """One header. ``never`` says: whoever passes it on must not put it into a table (RFC 7541, 6.2.3)."""

    name: bytes
    value: bytes
    never: bool = False


class HeaderDecoder(_core.H2Decoder):
    """Decodes the header blocks of one direction of one connection, in the order in which they came.

    ``max_table_size``: the most that the dynamic table may have, up to 65,536 bytes. It starts with 4,096, or less;
    setting it later says what SETTINGS_HEADER_TABLE_SIZE the peer has acknowledged since. ``max_header_list_size``: the
    sum of names, values and 32 for each, which holds while a block is decoded.
    """

    __slots__ = ()

    def decode(self, block: _Bytes) -> list[tuple[bytes, bytes]]:
        """``[(name, value), ...]`` of one whole block: HEADERS and its CONTINUATIONs joined.

        Raises ProtocolError for a block that is wrong (COMPRESSION_ERROR): the connection has to end, and the decoder
        refuses to go on (StateError). Raises LimitError for a list over ``max_header_list_size``: the table has
        followed, the stream can be refused, and the decoder goes on.
        """
        return super().decode(block)

    def decode_fields(self, block: _Bytes) -> list[Field]:
        """The same with ``never``, for who encodes them again."""
        return [Field(*one) for one in super().decode_fields(block)]


class HeaderEncoder(_core.H2Encoder):
    """Encodes the header blocks of one direction of one connection, which are to be sent in the order of the calls.

    ``max_table_size``: the most that the dynamic table may have, up to 65,536. It starts with 4,096, or less; set it
    to what the peer's SETTINGS_HEADER_TABLE_SIZE says, and the next block begins with the updates that this needs (RFC
    7541, 4.2).
    """

    __slots__ = ()

    def encode(self, headers: Iterable[_Header]) -> bytes:
        """The block of ``[(name, value), ...]``, or ``(name, value, never)``, in their order. Names are lower-case;
        what a list may be is for ``check_request`` and its like.

        Values that are mostly new each time (``grpc-timeout``, trace ids) do not get into the table; those that are
        secret (``authorization``, short cookies) are marked as never to be. Raises TypeError before anything is
        encoded.
        """
        return super().encode(headers)


class Priority(NamedTuple):
    """Read and ignored (RFC 9113, 5.3). ``weight`` is as on the wire, 0 to 255."""

    depends_on: int
    weight: int = 15
    exclusive: bool = False

    def _bytes(self) -> bytes:
        return (self.depends_on | self.exclusive << 31).to_bytes(4, "big") + bytes((self.weight,))


@dataclass(frozen=True, slots=True)
class Frame(ABC):
    """What all frames have. ``flags`` are those of the head but PADDED and PRIORITY, which follow from the fields."""

    stream: int = 0
    flags: int = 0

    def encode(self) -> bytes:
        """The frame's bytes. Raises LimitError for a payload of about 16 MiB and numbers that do not fit."""
        kind, payload = self._payload()
        flags = Flag.PRIORITY if isinstance(self, Headers) and self.priority else Flag.NONE
        pad = self.pad if isinstance(self, Data | Headers | PushPromise) else None
        return _core.h2_put_frame(kind, self.flags | flags, self.stream, payload, pad)

    @abstractmethod
    def _payload(self) -> tuple[int, bytes]:
        """Its type, and what is behind its head."""

    @property
    def is_last(self) -> bool:
        """END_STREAM, of DATA and HEADERS."""
        return isinstance(self, Data | Headers) and bool(self.flags & Flag.END_STREAM)

    @property
    def is_ack(self) -> bool:
        """ACK, of SETTINGS and PING."""
        return isinstance(self, Settings | Ping) and bool(self.flags & Flag.ACK)


@dataclass(frozen=True, slots=True)
class Data(Frame):
    """DATA (6.1). ``pad``: how many zeros are behind the data, or None; they count for windows, and one more does."""

    data: bytes = b""
    pad: int | None = None

    def _payload(self) -> tuple[int, bytes]:
        return 0, self.data


@dataclass(frozen=True, slots=True)
class Headers(Frame):
    """HEADERS (6.2): a block, or its beginning where END_HEADERS is not set."""

    block: bytes = b""
    pad: int | None = None
    priority: Priority | None = None

    def _payload(self) -> tuple[int, bytes]:
        return 1, (self.priority._bytes() if self.priority else b"") + self.block


@dataclass(frozen=True, slots=True)
class PriorityFrame(Frame):
    """PRIORITY (6.3)."""

    priority: Priority = Priority(0)

    def _payload(self) -> tuple[int, bytes]:
        return 2, self.priority._bytes()


@dataclass(frozen=True, slots=True)
class RstStream(Frame):
    """RST_STREAM (6.4). ``code`` may be one that is not in ErrorCode."""

    code: int = ErrorCode.CANCEL

    def _payload(self) -> tuple[int, bytes]:
        return 3, self.code.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class Settings(Frame):
    """SETTINGS (6.5): ``((number, value), ...)`` in order; of a number that comes twice both count."""

    settings: tuple[tuple[int, int], ...] = ()

    def _payload(self) -> tuple[int, bytes]:
        return 4, b"".join(number.to_bytes(2, "big") + value.to_bytes(4, "big") for number, value in self.settings)


@dataclass(frozen=True, slots=True)
class PushPromise(Frame):
    """PUSH_PROMISE (6.6)."""

    promised: int = 2
    block: bytes = b""
    pad: int | None = None

    def _payload(self) -> tuple[int, bytes]:
        return 5, self.promised.to_bytes(4, "big") + self.block


@dataclass(frozen=True, slots=True)
class Ping(Frame):
    """PING (6.7): 8 bytes, which the answer repeats."""

    data: bytes = bytes(8)

    def _payload(self) -> tuple[int, bytes]:
        return 6, self.data


@dataclass(frozen=True, slots=True)
class GoAway(Frame):
    """GOAWAY (6.8). ``last``: the last stream that its sender may have acted on."""

    last: int = 0
    code: int = ErrorCode.NO_ERROR
    debug: bytes = b""

    def _payload(self) -> tuple[int, bytes]:
        return 7, self.last.to_bytes(4, "big") + self.code.to_bytes(4, "big") + self.debug


@dataclass(frozen=True, slots=True)
class WindowUpdate(Frame):
    """WINDOW_UPDATE (6.9), of the connection where ``stream`` is 0."""

    increment: int = 0

    def _payload(self) -> tuple[int, bytes]:
        return 8, self.increment.to_bytes(4, "big")


@dataclass(frozen=True, slots=True)
class Continuation(Frame):
    """CONTINUATION (6.10): more of a block."""

    block: bytes = b""

    def _payload(self) -> tuple[int, bytes]:
        return 9, self.block


@dataclass(frozen=True, slots=True)
class Unknown(Frame):
    """A type that RFC 9113 does not know: to be ignored (4.1)."""

    type: int = 0
    payload: bytes = b""

    def _payload(self) -> tuple[int, bytes]:
        return self.type, self.payload


def _frame(kind: int, stream: int, flags: int, pad: int | None, rest: tuple[object, ...]) -> Frame:
    plain = flags & ~(Flag.PADDED if pad is not None else 0)
    match kind, rest:
        case 0, (bytes(data),):
            return Data(stream, plain, data, pad)
        case 1, (bytes(block), said):
            first = Priority(*said) if isinstance(said, tuple) else None
            return Headers(stream, plain & ~Flag.PRIORITY, block, pad, first)
        case 2, (tuple(said),):
            return PriorityFrame(stream, plain, Priority(*said))
        case 3, (int(code),):
            return RstStream(stream, plain, code)
        case 4, (tuple(pairs),):
            return Settings(stream, plain, pairs)
        case 5, (int(promised), bytes(block)):
            return PushPromise(stream, plain, promised, block, pad)
        case 6, (bytes(data),):
            return Ping(stream, plain, data)
        case 7, (int(last), int(code), bytes(debug)):
            return GoAway(stream, plain, last, code, debug)
        case 8, (int(increment),):
            return WindowUpdate(stream, plain, increment)
        case 9, (bytes(block),):
            return Continuation(stream, plain, block)
        case _, (bytes(payload),):
            return Unknown(stream, plain, kind, payload)
    raise AssertionError(kind)


def parse_frame(data: _Bytes, max_size: int = 16384) -> tuple[Frame, int] | None:
    """The frame at the front of ``data`` and its length in bytes; None when more bytes are needed.

    Raises ProtocolError, as soon as the head shows it, for what one frame alone may not be: a payload over ``max_size``
    (SETTINGS_MAX_FRAME_SIZE), a wrong length or stream, padding, settings, increments, a stream that depends on itself.
    """
    found = _core.h2_parse_frame(data, max_size)
    if found is None:
        return None
    length, kind, flags, stream, pad, *rest = found
    return _frame(kind, stream, flags, pad, tuple(rest)), length


def parse_frames(data: _Bytes, max_size: int = 16384) -> Iterator[Frame]:
    """The frames of ``data`` one after the other, up to one that is not whole. Raises as ``parse_frame``, with the
    offset in ``data``."""
    view, at = memoryview(data), 0
    while True:
        try:
            found = parse_frame(view[at:], max_size)
        except ProtocolError as error:
            error.offset += at
            raise
        if found is None:
            return
        at += found[1]
        yield found[0]


def is_preface(data: _Bytes) -> bool:
    """True when ``data`` starts as a client does; False when it is shorter and may. Raises ProtocolError otherwise."""
    return _core.h2_preface(data)


def check_request(headers: Iterable[_Header]) -> None:
    """Raises ProtocolError, which names rule and field, for a request that is malformed (8.2, 8.3): names, values,
    pseudo-header fields, fields of one connection, ``te``, ``content-length``, ``:path``, ``:authority``, ``host``."""
    _core.h2_check_fields("request", headers)


def check_response(headers: Iterable[_Header]) -> None:
    """The same for a response."""
    _core.h2_check_fields("response", headers)


def check_trailers(headers: Iterable[_Header]) -> None:
    """The same for trailers."""
    _core.h2_check_fields("trailers", headers)


def error_code(error: MeshfastError) -> ErrorCode:
    """What an error of this module is on the wire; INTERNAL_ERROR for any other."""
    return ErrorCode(_core.h2_error(error.code)[0])


def is_stream_error(error: MeshfastError) -> bool:
    """True when only its stream has to end."""
    return _core.h2_error(error.code)[1]
