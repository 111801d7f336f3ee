"""Bodies of answers, piece by piece: gathered, and compressed where that is accepted."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator

__all__ = ["accepts_gzip", "gathered", "gzipped"]

GATHERED = 16384  # bytes of a page that are made before others have a turn


def accepts_gzip(header: str) -> bool:
    for one in header.lower().split(","):
        name, *parameters = (part.strip() for part in one.split(";"))
        if name in ("gzip", "x-gzip"):
            return not any(re.fullmatch(r"q=0(\.0*)?", part) for part in parameters)
    return False


def gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Small pieces together; an empty one is passed on, as it stands for work done."""
    out = bytearray()
    for piece in pieces:
        out += piece
        if not piece:
            yield b""
        elif len(out) >= GATHERED:
            yield bytes(out)
            out.clear()
    yield bytes(out)


def gzipped(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Pieces as one gzip stream."""
    engine = zlib.compressobj(1, wbits=31)
    for piece in pieces:
        yield engine.compress(piece)
    yield engine.flush()
