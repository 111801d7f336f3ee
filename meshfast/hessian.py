"""Hessian2 values in plain Python: what tests, demonstrations and embedding tools write and read.

The proxy itself never decodes values (see ``csrc/codec/hessian.h``). Nothing here makes an instance of anything: an
object becomes a dict with its class under ``"class"``, and a class is only ever a name. Source: hessian-lite
``Hessian2Output``, ``Hessian2Input``. Imports of ours: ``errors`` only.

| Python | Hessian2 | type in a descriptor |
|---|---|---|
| None | null | Ljava/lang/Object; |
| bool | true, false | Z |
| int | long | J |
| float | double | D |
| str | string | Ljava/lang/String; |
| bytes | binary | [B |
| list, tuple | list | Ljava/util/List; |
| dict | map | Ljava/util/Map; |
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from meshfast.errors import LimitError, ProtocolError

__all__ = ["Reader", "Value", "decode", "descriptor", "encode"]

Value = None | bool | int | float | str | bytes | Sequence[Any] | Mapping[Any, Any]

_CHUNK = 0x8000
_MAX_DEPTH = 200


def descriptor(value: Value) -> str:
    """The JVM type descriptor that goes with a value, by the table above."""
    match value:
        case None:
            return "Ljava/lang/Object;"
        case bool():
            return "Z"
        case int():
            return "J"
        case float():
            return "D"
        case str():
            return "Ljava/lang/String;"
        case bytes():
            return "[B"
        case Mapping():
            return "Ljava/util/Map;"
        case _:
            return "Ljava/util/List;"


def encode(value: Value) -> bytes:
    """The Hessian2 bytes of a value. TypeError for a type not in the table, OverflowError for an int beyond a long."""
    match value:
        case None:
            return b"N"
        case bool():
            return b"T" if value else b"F"
        case int():
            return _encode_long(value)
        case float():
            return b"D" + struct.pack(">d", value)
        case str():
            return _encode_text(value)
        case bytes():
            return _encode_bytes(value)
        case Mapping():
            return b"H" + b"".join(encode(k) + encode(v) for k, v in value.items()) + b"Z"
        case list() | tuple():
            return b"\x58" + _encode_int(len(value)) + b"".join(map(encode, value))
    raise TypeError(f"Hessian2 cannot carry {type(value).__name__}")


def _encode_int(value: int) -> bytes:
    if -16 <= value <= 47:
        return bytes([0x90 + value])
    return b"I" + struct.pack(">i", value)


def _encode_long(value: int) -> bytes:
    if -8 <= value <= 15:
        return bytes([0xE0 + value])
    try:
        return b"L" + struct.pack(">q", value)
    except struct.error:
        raise OverflowError(f"{value} does not fit a long") from None


def _encode_text(text: str) -> bytes:
    if text.isascii() and len(text) < 0x20:  # by far the most
        return len(text).to_bytes(1, "big") + text.encode()
    units = text.encode("utf-16-be", "surrogatepass")
    out = bytearray()
    at, n = 0, len(units) // 2
    while n - at > _CHUNK:
        size = _CHUNK - (0xD8 <= units[2 * (at + _CHUNK - 1)] <= 0xDB)  # never ends on the first half of a pair
        out += b"R" + size.to_bytes(2, "big") + _cesu(units[2 * at : 2 * (at + size)])
        at += size
    n -= at
    if n < 0x20:
        out.append(n)
    elif n < 0x400:
        out += bytes([0x30 + (n >> 8), n & 0xFF])
    else:
        out += b"S" + n.to_bytes(2, "big")
    return bytes(out + _cesu(units[2 * at :]))


def _cesu(units: bytes) -> bytes:
    """UTF-16 units as Java's encoder writes them: each unit alone, a surrogate in 3 bytes."""
    text = units.decode("utf-16-be", "surrogatepass")
    if text.isascii():
        return text.encode()
    codes = struct.unpack(f">{len(units) // 2}H", units)
    return "".join(map(chr, codes)).encode("utf-8", "surrogatepass")


def _encode_bytes(data: bytes) -> bytes:
    out = bytearray()
    while len(data) > _CHUNK:
        out += b"A" + _CHUNK.to_bytes(2, "big") + data[:_CHUNK]
        data = data[_CHUNK:]
    if len(data) < 16:
        out.append(0x20 + len(data))
    else:
        out += b"B" + len(data).to_bytes(2, "big")
    return bytes(out + data)


def decode(data: bytes, offset: int = 0) -> tuple[Any, int]:
    """The value at ``offset`` and the offset behind it. Raises ProtocolError with the offset of what is wrong.

    Dates are milliseconds since 1970; an object is a dict that has its class under ``"class"``; references work.
    """
    reader = _Reader(data, offset)
    try:
        return reader.value(0), reader.at
    except (IndexError, struct.error):
        raise ProtocolError("a Hessian2 value runs past its body", len(data)) from None


class Reader:
    """Reads several values of one body, which share their classes and references. ``most``: values within values,
    however short each is, over which a body is a LimitError; None: as many as there are bytes."""

    def __init__(self, data: bytes, offset: int = 0, most: int | None = None) -> None:
        self._reader = _Reader(data, offset) if most is None else _Counting(data, offset, most)

    @property
    def at(self) -> int:
        """The offset of the next value."""
        return self._reader.at

    @property
    def left(self) -> int | None:
        """How many values more there may be."""
        return self._reader.left if isinstance(self._reader, _Counting) else None

    def next(self) -> Any:
        """The next value; errors as ``decode``."""
        try:
            return self._reader.value(0)
        except (IndexError, struct.error):
            raise ProtocolError("a Hessian2 value runs past its body", len(self._reader.data)) from None


class _Reader:
    def __init__(self, data: bytes, at: int) -> None:
        self.data = bytes(data)
        self.at = at
        self.classes: list[tuple[str, list[str]]] = []
        self.types: list[str] = []
        self.seen: list[Any] = []

    def take(self, n: int) -> bytes:
        if n < 0 or n > len(self.data) - self.at:
            raise IndexError
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, layout: str) -> Any:
        return struct.unpack(">" + layout, self.take(struct.calcsize(layout)))[0]

    def fail(self, what: str) -> ProtocolError:
        return ProtocolError(what, self.at - 1)

    def value(self, depth: int) -> Any:
        if depth > _MAX_DEPTH:
            raise self.fail("Hessian2 values nested too deep")
        tag = self.take(1)[0]
        if tag < 0x20 or 0x30 <= tag < 0x34 or tag in b"RS":
            return self.text(tag)
        if 0x20 <= tag < 0x30 or 0x34 <= tag < 0x38 or tag in b"AB":
            return self.binary(tag)
        if 0x38 <= tag < 0x40 or tag >= 0x80 or tag in b"IL\x59":
            return self.integer(tag)
        if 0x60 <= tag < 0x70:
            return self.instance(tag - 0x60, depth)
        if 0x70 <= tag < 0x80:
            return self.items(tag & 7, tag < 0x78, depth)
        return self.other(tag, depth)

    def other(self, tag: int, depth: int) -> Any:
        match chr(tag):
            case "N":
                return None
            case "T" | "F":
                return tag == ord("T")
            case "C":
                self.definition()
                return self.value(depth)
            case "D":
                return self.number("d")
            case "H" | "M":
                return self.mapping(tag == ord("M"), depth)
            case "O":
                return self.instance(self.count(), depth)
            case "Q":
                ref = self.count()
                if ref >= len(self.seen):
                    raise self.fail("a reference to nothing")
                return self.seen[ref]
            case "U" | "W":
                return self.items(None, tag == ord("U"), depth)
            case "V" | "X":
                return self.items(-1, tag == ord("V"), depth)
            case "J":
                return self.number("q")
            case "K":
                return self.number("i") * 60_000
            case "[":
                return 0.0
            case "\\":
                return 1.0
            case "]":
                return float(self.number("b"))
            case "^":
                return float(self.number("h"))
            case "_":
                return self.number("i") * 0.001
        raise self.fail(f"no Hessian2 value starts with {tag:#04x}")

    def integer(self, tag: int) -> int:
        if tag == ord("L"):
            return int(self.number("q"))
        if tag in b"I\x59":
            return int(self.number("i"))
        if tag < 0x40:
            return (tag - 0x3C << 16) + int(self.number("H"))
        for first, zero, size in ((0xF0, 0xF8, 1), (0xD8, 0xE0, 0), (0xD0, 0xD4, 2), (0xC0, 0xC8, 1), (0x80, 0x90, 0)):
            if tag >= first:
                return (tag - zero << 8 * size) + int.from_bytes(self.take(size), "big")
        raise self.fail("not a whole number")

    def count(self) -> int:
        n = self.value(_MAX_DEPTH)
        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            raise self.fail("a count was expected")
        return n

    def name(self) -> str:
        name = self.value(_MAX_DEPTH)
        if not isinstance(name, str):
            raise self.fail("a name was expected")
        return name

    def text(self, tag: int) -> str:
        out = bytearray()
        while True:
            more = tag == ord("R")
            if tag < 0x20:
                units = tag
            elif 0x30 <= tag < 0x34:
                units = (tag - 0x30 << 8) + self.take(1)[0]
            elif tag in b"RS":
                units = self.number("H")
            elif tag == ord("N"):
                units = 0
            else:
                raise self.fail("a chunk of text is not followed by another")
            start = self.at
            if (plain := self.data[start : start + units]).isascii() and len(plain) == units:  # by far the most
                self.at += units
                units = 0
            while units > 0:
                lead = self.take(1)[0]
                size = 0 if lead < 0x80 else 1 if 0xC0 <= lead < 0xE0 else 2 if 0xE0 <= lead < 0xF0 else 3
                if 0x80 <= lead < 0xC0 or lead >= 0xF8 or any(b & 0xC0 != 0x80 for b in self.take(size)):
                    raise self.fail("a Hessian2 string is not UTF-8")
                units -= 2 if size == 3 else 1
            if units < 0:
                raise self.fail("a Hessian2 string ends inside a pair")
            out += self.data[start : self.at]
            if not more:
                break
            tag = self.take(1)[0]
        try:
            pairs = bytes(out).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return bytes(out).decode("utf-8", "replace")
        return pairs.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def binary(self, tag: int) -> bytes:
        out = bytearray()
        while True:
            if 0x20 <= tag < 0x30:
                return bytes(out + self.take(tag - 0x20))
            if 0x34 <= tag < 0x38:
                return bytes(out + self.take((tag - 0x34 << 8) + self.take(1)[0]))
            if tag not in b"AB":
                raise self.fail("a chunk of bytes is not followed by another")
            out += self.take(self.number("H"))
            if tag == ord("B"):
                return bytes(out)
            tag = self.take(1)[0]

    def type(self) -> str:
        named = self.value(_MAX_DEPTH)
        if isinstance(named, str):
            self.types.append(named)
            return named
        if isinstance(named, int) and 0 <= named < len(self.types):
            return self.types[named]
        raise self.fail("a type was expected")

    def definition(self) -> None:
        name, n = self.name(), self.count()
        if n > len(self.data) - self.at:
            raise IndexError
        self.classes.append((name, [self.name() for _ in range(n)]))

    def instance(self, index: int, depth: int) -> dict[str, Any]:
        if index >= len(self.classes):
            raise self.fail("an object of a class that was not defined")
        name, fields = self.classes[index]
        out: dict[str, Any] = {"class": name}
        self.seen.append(out)
        for field in fields:
            out[field] = self.value(depth + 1)
        return out

    def mapping(self, typed: bool, depth: int) -> dict[Any, Any]:
        if typed:
            self.type()
        out: dict[Any, Any] = {}
        self.seen.append(out)
        while self.data[self.at] != ord("Z"):
            key = self.value(depth + 1)
            if isinstance(key, (dict, list)):  # its own words could be longer than any memory, see references
                key = f"{type(key).__name__} {len(self.seen)}"
            out[key] = self.value(depth + 1)
        self.at += 1
        return out

    def items(self, n: int | None, typed: bool, depth: int) -> list[Any]:
        if typed:
            self.type()
        out: list[Any] = []
        self.seen.append(out)
        if n is None:
            while self.data[self.at] != ord("Z"):
                out.append(self.value(depth + 1))
            self.at += 1
            return out
        if n < 0:
            n = self.count()
        if n > len(self.data) - self.at:
            raise IndexError
        out.extend(self.value(depth + 1) for _ in range(n))
        return out


class _Counting(_Reader):
    """Each value takes microseconds, and may take one byte: what strangers say is bounded by both."""

    def __init__(self, data: bytes, at: int, most: int) -> None:
        super().__init__(data, at)
        self.most = self.left = most

    def value(self, depth: int) -> Any:
        self.left -= 1
        if self.left < 0:
            raise LimitError(f"at byte {self.at}: more than {self.most} Hessian2 values")
        return super().value(depth)
