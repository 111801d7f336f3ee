"""What a rule does with a call besides choosing where it goes: lets it wait or fail, answers it, changes it.

Frozen, and part of the picture in ``model.py``; ``meshfast/bind/change.pxi`` makes the C structs of it. Shares are in
millionths. Statuses are resolved for every protocol, so that the core has nothing to translate.
"""

from __future__ import annotations

from dataclasses import dataclass

WHOLE = 1_000_000  # every call


@dataclass(frozen=True, slots=True)
class Statuses:
    """What a caller is told, by what it speaks."""

    http: int
    grpc: int
    dubbo: int


@dataclass(frozen=True, slots=True)
class Delay:
    ms: int
    millionths: int


@dataclass(frozen=True, slots=True)
class Abort:
    statuses: Statuses
    text: str
    millionths: int


@dataclass(frozen=True, slots=True)
class Fault:
    """First the delay, then the abort, drawn each on its own."""

    delay: Delay | None = None
    abort: Abort | None = None


@dataclass(frozen=True, slots=True)
class Direct:
    """An answer without an instance. ``body``: of HTTP; gRPC and Dubbo are told ``text``."""

    statuses: Statuses
    body: bytes = b""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """``port``: 0, as the request's; -1: the request's own, also at another ``authority``."""

    statuses: Statuses
    uri: str = ""
    authority: str = ""
    scheme: str = ""
    port: int = 0


@dataclass(frozen=True, slots=True)
class Rewrite:
    """``strip``: so many bytes of the path give way to ``uri``; -1: all of it. ``program``: an expression, and what
    each match of it gives way to (config/replace.py); ``source`` is what the user wrote."""

    uri: str | None = None
    strip: int = -1
    program: bytes = b""
    authority: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """One block of header operations: what it removes, then what it puts: name, value, whether beside what is there."""

    removes: tuple[str, ...] = ()
    puts: tuple[tuple[str, str, bool], ...] = ()


@dataclass(frozen=True, slots=True)
class Headers:
    """Of the calls to one destination. Levels in the order in which they act, at most two."""

    request: tuple[Level, ...] = ()
    response: tuple[Level, ...] = ()
    authority: str = ""
