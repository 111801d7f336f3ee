"""The exceptions of meshfast.

MeshfastError
├── ConfigError      what a user wrote is not good; has every problem at its file:line:column
├── SourceError      where meshes come from cannot be read
├── ProtocolError    bytes that are not what they should be (also a ValueError)
├── LimitError       a named limit was reached
└── StateError       something is not there, or no longer

What the system refuses stays an OSError with its errno.
"""

from __future__ import annotations

from dataclasses import dataclass

from meshfast.model import Origin

__all__ = ["ConfigError", "LimitError", "MeshfastError", "Problem", "ProtocolError", "SourceError", "StateError"]


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
    """One mistake: where, what, and what to do about it. ``line`` is the text of the line, for the caret."""

    origin: Origin
    message: str
    hint: str = ""
    line: str = ""

    def __str__(self) -> str:
        out = f"{self.origin}: {self.message}"
        if self.line:
            out += f"\n    {self.line}\n    {' ' * (self.origin.column - 1)}^"
        if self.hint:
            out += f"\n    hint: {self.hint}"
        return out


class ConfigError(MeshfastError):
    """A configuration that is refused as a whole. ``problems`` has every one found."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
