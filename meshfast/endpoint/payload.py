"""What Nacos 2 sends over gRPC: ``Payload``, protobuf around JSON, as bytes <-> a record.

    Payload  { Metadata metadata = 2; google.protobuf.Any body = 3 }
    Metadata { string type = 3; map<string, string> headers = 7; string clientIp = 8 }
    Any      { string type_url = 1; bytes value = 2 }

Any bytes give a record or ``Malformed``. Fields that are not known are passed over, of one that comes twice the last
counts, and messages that come twice are merged, as protobuf has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from meshfast import protobuf
from meshfast.errors import ProtocolError

__all__ = ["MOST_HEADERS", "Malformed", "Payload", "read", "write"]

#: Headers of one payload.
MOST_HEADERS = 256


class Malformed(ValueError):
    """These bytes are no Payload."""


@dataclass(slots=True)
class Payload:
    """``type``: the class of what is in ``body``, which is JSON."""

    type: str = ""
    body: bytes = b""
    client: str = ""
    headers: dict[str, str] = field(default_factory=dict)


def read(data: bytes) -> Payload:
    """:raises Malformed: it is none"""
    found = Payload()
    for number, value in _fields(data):
        if number == 2:
            _metadata(found, _bytes(value))
        elif number == 3:
            for inner, text in _fields(_bytes(value)):
                if inner == 2:
                    found.body = _bytes(text)
                elif inner == 1:
                    _text(text)
    return found


def write(payload: Payload) -> bytes:
    """Its bytes; what is empty is left out."""
    metadata = _put(3, payload.type.encode())
    for name, value in payload.headers.items():
        metadata += protobuf.field(7, _put(1, name.encode()) + _put(2, value.encode()))
    metadata += _put(8, payload.client.encode())
    return protobuf.field(2, metadata) + protobuf.field(3, _put(2, payload.body))


def _metadata(found: Payload, data: bytes) -> None:
    for number, value in _fields(data):
        if number == 3:
            found.type = _text(value)
        elif number == 8:
            found.client = _text(value)
        elif number == 7:
            entry = {1: "", 2: ""}
            for inner, text in _fields(_bytes(value)):
                if inner in entry:
                    entry[inner] = _text(text)
            found.headers[entry[1]] = entry[2]
            if len(found.headers) > MOST_HEADERS:
                raise Malformed(f"more than {MOST_HEADERS} headers")


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """As ``protobuf.fields``; Malformed for what is none."""
    try:
        yield from protobuf.fields(data)
    except ProtocolError as error:
        raise Malformed(str(error)) from None


def _bytes(value: bytes | int) -> bytes:
    if isinstance(value, int):
        raise Malformed("a number where bytes should be")
    return value


def _text(value: bytes | int) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError:
        raise Malformed("a text that is no UTF-8") from None


def _put(number: int, value: bytes) -> bytes:
    return protobuf.field(number, value) if value else b""
