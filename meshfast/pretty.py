"""Large JSON pages, written in pieces, laid out as ``msgspec.json.format`` does it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

__all__ = ["Items", "Rows", "pretty"]


class Items:
    """An object whose members come one by one: (name, value) each."""

    def __init__(self, pairs: Iterable[tuple[str, Any]]) -> None:
        self.pairs = pairs


class Rows:
    """An array whose elements come one by one."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = values


def pretty(value: Any, margin: bytes = b"") -> Iterator[bytes]:
    """The value's JSON. What is no ``Items`` and no ``Rows`` is one piece; ``str`` says what JSON does not know."""
    if not isinstance(value, (Items, Rows)):
        # Lines end in the layout only: a string has its own as \n.
        yield msgspec.json.format(msgspec.json.encode(value, enc_hook=str)).replace(b"\n", b"\n" + margin)
        return
    opening, closing = (b"{", b"}") if isinstance(value, Items) else (b"[", b"]")
    inner, before = margin + b"  ", opening
    for name, one in _members(value):
        yield before + b"\n" + inner + name
        yield from pretty(one, inner)
        before = b","
    yield opening + closing if before == opening else b"\n" + margin + closing


def _members(value: Items | Rows) -> Iterator[tuple[bytes, Any]]:
    if isinstance(value, Items):
        for name, one in value.pairs:
            yield msgspec.json.encode(name) + b": ", one
    else:
        for one in value.values:
            yield b"", one
