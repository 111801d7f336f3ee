"""The Dubbo2 frame: heads, requests, stamps, and whole frames for tests and tools.

Reading is the core's (``csrc/codec``): nothing of a body is decoded but its leading strings and its attachments, and
nothing is copied until it is asked for. Writing whole frames is plain Python over ``meshfast.hessian``. Bytes that are
wrong raise ProtocolError with their offset in the frame. Source: Apache Dubbo ExchangeCodec, DubboCodec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

from meshfast import _core, hessian
from meshfast.errors import ProtocolError

__all__ = [
    "HEAD_LENGTH",
    "HESSIAN2",
    "Head",
    "Request",
    "Response",
    "Status",
    "decode_response",
    "encode_request",
    "encode_response",
    "error_answer",
    "event",
    "heartbeat",
    "parse_head",
    "parse_request",
    "readonly",
    "serialization_name",
    "stamp",
    "status_name",
    "traceid",
    "writeable",
]

HEAD_LENGTH = 16
HESSIAN2 = 2

_Bytes = bytes | bytearray | memoryview


class Status(IntEnum):
    """The status of an answer; any other byte is passed on as it is."""

    OK = 20
    SERIALIZATION_ERROR = 25
    CLIENT_TIMEOUT = 30
    SERVER_TIMEOUT = 31
    CHANNEL_INACTIVE = 35
    BAD_REQUEST = 40
    BAD_RESPONSE = 50
    SERVICE_NOT_FOUND = 60
    SERVICE_ERROR = 70
    SERVER_ERROR = 80
    CLIENT_ERROR = 90
    SERVER_THREADPOOL_EXHAUSTED = 100


class Head(NamedTuple):
    """The 16 bytes before a body. ``status`` is 0 in a request; ``request_id`` is signed, as Java prints it;
    ``body_length`` is in bytes."""

    is_request: bool
    is_two_way: bool
    is_event: bool
    serialization: int
    status: int
    request_id: int
    body_length: int


class Request(_core.DubboRequest):
    """A request, read as far as routing needs. Keeps the buffer it was given; text is made when it is asked for.

    ``dubbo_version``, ``service``, ``version``, ``method``, ``parameter_types``: the leading strings, empty for null;
    ``attachments``: those that are text, with those that Java makes of the leading strings; ``invoked``: the
    method on the wire, which differs for generic calls;
    ``timeout``: milliseconds or None; ``is_generic``; ``is_complete``: the attachments were read; ``is_opaque``: this
    serialization, or this dialect of one, is not read.
    """

    __slots__ = ()

    @property
    def head(self) -> Head:
        """The head of its frame."""
        return Head(*super().head)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer, decoded whole. ``value`` is what came back; ``exception`` the text of what was thrown, or of the
    error when ``status`` is not OK, else None."""

    request_id: int
    status: int
    value: Any = None
    exception: str | None = None
    attachments: Mapping[str, Any] = field(default_factory=dict)


def parse_head(data: _Bytes, max_body: int = 0x7FFFFFFF) -> Head | None:
    """The head at the front of ``data``; None when more bytes are needed.

    Raises ProtocolError when the bytes cannot be Dubbo2, LimitError for a negative body length or one over
    ``max_body`` bytes.
    """
    head = _core.dubbo_parse_head(data, max_body)
    return None if head is None else Head(*head)


def parse_request(frame: _Bytes) -> Request:
    """The request that ``frame`` starts with; bytes behind it are left alone.

    Raises ProtocolError for an answer, an event, a frame that is cut short, or a body that is wrong; LimitError for
    nesting or attachments beyond reason. A serialization that is not read raises nothing: see ``is_opaque``.
    """
    return Request(frame)


def stamp(frame: _Bytes, attachments: Mapping[str, str]) -> bytes:
    """The frame with attachments added behind those it has, without decoding its arguments. A key that is there already
    is overruled. Raises as ``parse_request``, and ProtocolError when the body has no attachments to append to."""
    return Request(frame).stamped(attachments.items())


def error_answer(request_id: int, status: int, text: str, serialization: int = HESSIAN2) -> bytes:
    """An answer that says why a call failed: in ``serialization`` where that can be written, else in Hessian2. The
    text is cut to 512 bytes of UTF-8."""
    return _core.dubbo_error(request_id, serialization, status, text)


def heartbeat(request_id: int) -> bytes:
    """A heartbeat that wants an answer, in Hessian2."""
    return _core.dubbo_heartbeat(request_id)


def readonly() -> bytes:
    """The event that says: send no new requests on this connection."""
    return _core.dubbo_readonly()


def writeable() -> bytes:
    """The event that takes READONLY back."""
    return _core.dubbo_writeable()


def event(frame: _Bytes) -> str | None:
    """What an event says: "heartbeat", "readonly", "writeable" or "other"; None for a frame that is no event."""
    head = parse_head(frame)
    if head is None or not head.is_event:
        return None
    return _core.dubbo_event(head.serialization, memoryview(frame)[HEAD_LENGTH : HEAD_LENGTH + head.body_length])


def serialization_name(serialization: int) -> str:
    """The name of a serialization id, "hessian2"; "unknown" outside Dubbo's list."""
    return _core.dubbo_serialization_name(serialization)


def status_name(status: int) -> str:
    """The name of a status, "ok", "server_timeout"; "other" outside Dubbo's list."""
    return _core.dubbo_status_name(status)


def traceid(key: str, value: str) -> str:
    """The part of a tracing header that names the whole trace; empty when the value is not of the key's format, or
    names no trace: zeros alone, ``null``."""
    return _core.traceid(key, value)


def _frame(flags: int, status: int, request_id: int, body: bytes) -> bytes:
    head = bytes((0xDA, 0xBB, flags | HESSIAN2, status))
    return head + (request_id & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big") + len(body).to_bytes(4, "big") + body


def encode_request(
    request_id: int,
    service: str,
    method: str,
    args: Sequence[hessian.Value] = (),
    attachments: Mapping[str, hessian.Value] | None = None,
    *,
    version: str | None = "0.0.0",
    parameter_types: str | None = None,
    timeout: int | None = None,
    two_way: bool = True,
    dubbo_version: str = "2.0.2",
) -> bytes:
    """A whole request in Hessian2, as a Dubbo consumer writes it.

    The attachments get ``path``, ``interface`` and ``version``, and ``timeout`` (milliseconds) when there is one;
    those given win. ``parameter_types`` follow from the arguments when not given.
    """
    extra: dict[str, hessian.Value] = {"path": service, "interface": service}
    if version is not None:
        extra["version"] = version
    if timeout is not None:
        extra["timeout"] = str(timeout)
    types = "".join(map(hessian.descriptor, args)) if parameter_types is None else parameter_types
    values = (dubbo_version, service, version, method, types, *args, extra | dict(attachments or {}))
    return _frame(0xC0 if two_way else 0x80, 0, request_id, b"".join(map(hessian.encode, values)))


def encode_response(
    request_id: int,
    value: hessian.Value = None,
    attachments: Mapping[str, hessian.Value] | None = None,
    *,
    exception: str | None = None,
) -> bytes:
    """A whole answer of status OK in Hessian2: a value, or a ``java.lang.RuntimeException`` with a message."""
    if exception is not None:
        thrown = b"C" + hessian.encode("java.lang.RuntimeException") + b"\x91" + hessian.encode("detailMessage")
        body = b"\x93" + thrown + b"\x60" + hessian.encode(exception)
    elif value is None:
        body = b"\x95"
    else:
        body = b"\x94" + hessian.encode(value)
    return _frame(0, Status.OK, request_id, body + hessian.encode({"dubbo": "2.0.2"} | dict(attachments or {})))


def decode_response(frame: _Bytes, most: int | None = None) -> Response:
    """An answer in Hessian2, decoded whole. Raises ProtocolError for anything else, and LimitError where it has more
    than ``most`` values."""
    head = parse_head(frame)
    if head is None or len(frame) < HEAD_LENGTH + head.body_length:
        raise ProtocolError("the answer is cut short", len(frame))
    if head.is_request or head.is_event or head.serialization != HESSIAN2:
        raise ProtocolError("not an answer in Hessian2", 2)
    data = bytes(frame[: HEAD_LENGTH + head.body_length])
    reader = hessian.Reader(data, HEAD_LENGTH, most)
    kind = reader.next()
    if head.status != Status.OK:
        return Response(head.request_id, head.status, exception=str(kind))
    if kind not in range(6) or isinstance(kind, bool):
        raise ProtocolError("the answer does not start with its kind", HEAD_LENGTH)
    value = reader.next() if kind not in (2, 5) else None
    attachments = reader.next() if kind >= 3 else None
    if attachments is not None and not isinstance(attachments, dict):
        raise ProtocolError("the attachments are not a map", reader.at)
    exception = None
    if kind in (0, 3):
        exception = str(value.get("detailMessage") or value.get("class") if isinstance(value, dict) else value)
        value = None
    return Response(head.request_id, head.status, value, exception, attachments or {})
