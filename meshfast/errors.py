"""The exceptions of meshfast.

MeshfastError
├── ConfigError      what a user wrote is not good; has every problem at its file:line:column
├── SourceError      where meshes come from cannot be read
├── ProtocolError    bytes that are not what they should be (also a ValueError)
├── LimitError       a named limit was reached
└── StateError       something is not there, or no longer

What the system refuses stays an OSError with its errno; want of memory is MemoryError.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from meshfast.model import Origin

__all__ = ["ConfigError", "LimitError", "MeshfastError", "Problem", "ProtocolError", "SourceError", "StateError"]

SHOWN = 100  # columns of a line that a problem shows


class MeshfastError(Exception):
    """The root of all of them. ``code`` is the core's number and ``name`` its name, where it came from there."""

    code: int = 0
    name: str = ""


class SourceError(MeshfastError):
    """A file, directory or control plane cannot be read; the last good mesh stays."""


class ProtocolError(MeshfastError, ValueError):
    """Malformed bytes. ``offset`` is where, from the start of what was given; -1 when it cannot be told."""

    def __init__(self, message: str, offset: int = -1) -> None:
        super().__init__(message if offset < 0 else f"{message} (at byte {offset})")
        self.offset = offset


class LimitError(MeshfastError):
    """A limit was reached; the message names it."""


class StateError(MeshfastError):
    """The thing asked for is not there: no such service, no instance, already closed."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: where, what, and what to do about it.

    ``path`` is where it is in the document ("spec.http[0].timeout"), ``line`` the text of the line, for the caret.
    """

    origin: Origin
    message: str
    hint: str = ""
    line: str = ""
    path: str = ""

    def caret(self) -> str:
        """The line with a caret below the column; of a long line, the part around it."""
        line, at, cut = self.line, self.origin.column - 1, ""
        if len(line) > SHOWN:
            start = min(max(0, at - SHOWN // 2), len(line) - SHOWN)
            cut = "..." if start else ""
            line, at = line[start : start + SHOWN], at - start + len(cut)
        line = cut + "".join(c if c.isprintable() else " " for c in line)
        wide = sum(unicodedata.east_asian_width(c) in "WF" for c in line[:at])  # these take two columns
        return f"    {line}\n    {' ' * (at + wide)}^"

    def __str__(self) -> str:
        where = ": ".join(filter(None, [str(self.origin), " ".join(filter(None, [self.origin.document, self.path]))]))
        out = f"{where}: {self.message}"
        if self.line:
            out += "\n" + self.caret()
        if self.hint:
            out += f"\n    hint: {self.hint}"
        return out


class ConfigError(MeshfastError):
    """A configuration that is refused as a whole. ``problems`` has every one found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = list(problems)
