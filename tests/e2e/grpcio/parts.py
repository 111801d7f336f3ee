"""What both ends of the peer know: the service's name, the messages of a stream, metadata as JSON has it."""

from __future__ import annotations

import base64
from collections.abc import Iterable

SERVICE = "meshfast.peer.Echo"


class Pattern:
    """The messages of a stream, of ``size`` bytes each: four bytes of their number, then bytes that depend on it."""

    def __init__(self, size: int) -> None:
        self._rest = max(size - 4, 0)
        self._wheel = bytes(range(251)) * ((self._rest + 251) // 251 + 1)

    def message(self, number: int) -> bytes:
        begin = number % 251
        return number.to_bytes(4, "big") + self._wheel[begin : begin + self._rest]


def pairs(metadata: Iterable[tuple[str, str]] | None) -> list[tuple[str, str | bytes]]:
    """Metadata as the SDK takes it."""
    return [(k, base64.b64decode(v) if k.endswith("-bin") else v) for k, v in metadata or ()]


def texts(metadata: Iterable[tuple[str, str | bytes]]) -> list[tuple[str, str]]:
    """Metadata as JSON takes it."""
    return [(k, base64.b64encode(v).decode() if isinstance(v, bytes) else v) for k, v in metadata]
