"""Messages of protobuf without their schema: numbers of fields, and what is in them.

Source: protobuf.dev, Encoding. Of the wire types the groups, which nobody writes any more, are refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshfast.errors import ProtocolError

__all__ = ["fields", "field", "varint"]


_FIXED = {1: 8, 5: 4}


def varint(value: int) -> bytes:
    """A number of 0 or more."""
    out = b""
    while value > 0x7F:
        out += bytes((value & 0x7F | 0x80,))
        value >>= 7
    return out + bytes((value,))


def field(number: int, content: bytes) -> bytes:
    """A field of bytes, of text or of a message."""
    if number < 16 and len(content) < 0x80:
        return bytes((number << 3 | 2, len(content))) + content
    return varint(number << 3 | 2) + varint(len(content)) + content


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a message: an int where it is a number of whatever kind, else its bytes.

    :raises ProtocolError: it is none
    """
    at, end = 0, len(data)

    def read() -> int:
        nonlocal at
        if at < end and data[at] < 0x80:
            at += 1
            return data[at - 1]
        value = shift = 0
        while True:
            if at >= end:
                raise _wrong("a number is not whole", at)
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 70 or value >> 64:
                raise _wrong("a number has more than 64 bits", at)
            if byte < 0x80:
                return value

    while at < end:
        key = data[at]
        if key < 0x80:  # by far the most
            at += 1
        else:
            key = read()
        kind, number = key & 7, key >> 3
        if not 0 < number < 1 << 29:
            raise _wrong(f"field {number}", at)
        if kind == 0:
            yield number, read()
            continue
        size = read() if kind == 2 else _FIXED.get(kind, -1)
        if size < 0:
            raise _wrong(f"field {number} is of kind {kind}", at)
        if size > end - at:
            raise _wrong(f"field {number} is not whole", at)
        at += size
        content = data[at - size : at]
        yield number, content if kind == 2 else int.from_bytes(content, "little")


def _wrong(why: str, at: int) -> ProtocolError:
    return ProtocolError(f"no message of protobuf: {why}", at)
