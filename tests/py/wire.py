"""The golden frames of tests/wire: the same lines and the same expectations that tests/c/codec/frames.h reads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

WIRE = Path(__file__).resolve().parents[1] / "wire"
sys.path.append(str(WIRE))

import expect  # noqa: E402


class Frame(NamedTuple):
    """One line."""

    file: str
    name: str
    data: bytes
    expect: dict[str, str]

    def __str__(self) -> str:
        return f"{self.file}-{self.name}"


def frames(pattern: str = "*.txt") -> list[Frame]:
    """Every frame of the files."""
    return [Frame(path.stem, *line) for path in sorted(WIRE.glob(pattern)) for line in expect.lines(path)]
