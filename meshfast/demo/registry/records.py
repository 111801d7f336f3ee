"""What the programs of this demonstration write down, a line of JSON each, and how it is read while they write.

Times are of the monotonic clock, in seconds; all processes of a machine have the same.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

__all__ = ["Call", "Ended", "Executed", "Heard", "Lines", "Mode", "Pen", "now"]

_T = TypeVar("_T")


class Call(msgspec.Struct, frozen=True, tag=True):
    """One call of the shop's. ``value``: who answered; ``error``: the class of what it ended with, "" for none;
    ``mode``: thin or fat, as it was sent."""

    id: str
    label: str
    idempotent: bool
    mode: str
    sent: float
    ended: float
    value: str = ""
    error: str = ""
    why: str = ""


class Mode(msgspec.Struct, frozen=True, tag=True):
    """From now on the shop's calls go this way."""

    at: float
    mode: str


class Ended(msgspec.Struct, frozen=True, tag=True):
    """The shop makes no more calls, and none is under way. ``counters``: those of its connection to the mesh."""

    at: float
    counters: dict[str, int]


class Executed(msgspec.Struct, frozen=True):
    """A call was executed. ``who``: by which instance."""

    at: float
    id: str
    who: str


class Heard(msgspec.Struct, frozen=True):
    """A node of the registry was created, deleted or changed."""

    at: float
    what: str
    path: str


class Pen:
    """Appends to a file. What was written is there whatever becomes of the process."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, one: msgspec.Struct) -> None:
        os.write(self._fd, msgspec.json.encode(one) + b"\n")

    def close(self) -> None:
        os.close(self._fd)


class Lines(Generic[_T]):
    """Those of one file. ``all``: what was read so far."""

    def __init__(self, path: Path, kind: object) -> None:
        self.all: list[_T] = []
        self._path, self._at = path, 0
        self._decoder = msgspec.json.Decoder(kind)

    def read(self) -> list[_T]:
        """All, with what has come since."""
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._at)
                whole = file.read().rpartition(b"\n")[0]
            if whole:
                self._at += len(whole) + 1
                self.all += map(self._decoder.decode, whole.split(b"\n"))
        return self.all


def now() -> float:
    return time.monotonic()
