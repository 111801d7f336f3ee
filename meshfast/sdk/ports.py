"""What all callers of a port that serves have in common: what is offered, what is in flight, what was refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Protocol

from meshfast.sdk.limits import Limits
from meshfast.sdk.perform import Performer
from meshfast.serving.wire import Shared

__all__ = ["Caller", "Port"]


class Caller(Protocol):
    """A connection, whatever it speaks."""

    def dismiss(self) -> None:
        """Asks it to call elsewhere; who calls nevertheless is served."""

    def refuse(self) -> None:
        """Lets no more calls of it in, where it can be told so that it calls again elsewhere."""

    def hurry(self) -> None:
        """Memory is wanted: ends it where it has begun a request, and not gone on with it for long."""

    def close(self) -> None:
        """Ends it when what is due was said."""

    def abort(self) -> None:
        """At once."""


class Port:
    """``performer`` has what is offered. ``calls`` and ``streaming`` are in flight, ``reading`` are those of the
    latter that read in threads; ``tasks`` perform them; ``coming`` were taken and are no connections yet; ``last``:
    when a call came, by the loop's clock."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.performer = Performer(self.limits.threads, self.limits.readers, self.limits.items)
        self.refused: Counter[str] = Counter()
        self.shared = Shared(self.limits.wire(), refused=self.refused)
        self.calls = self.streaming = self.reading = self.served = 0
        self.leaving = self.refusing = False
        self.connections: set[Caller] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.coming: set[asyncio.Task[object]] = set()
        self.last = 0.0

    @property
    def held(self) -> int:
        """Bytes of requests that are not whole, or of calls in flight."""
        return self.shared.held

    @held.setter
    def held(self, bytes: int) -> None:
        self.shared.held = bytes

    def full(self, mine: int) -> bool:
        """Whether a caller that has so many calls in flight may have no more."""
        return self._full(self.calls, self.limits.calls, mine)

    def crowded(self, mine: int) -> bool:
        """The same of calls that stream."""
        return self._full(self.streaming, self.limits.streams, mine)

    def waited(self, mine: int) -> bool:
        """And of those that read their requests in threads."""
        return self._full(self.reading, self.limits.readers, mine)

    def short(self, asks: Caller) -> bool:
        """Whether all memory is had. Who began a request and has not gone on with it has none then."""
        for one in self.connections - {asks} if self.held > self.limits.memory else ():
            one.hurry()
        return self.held > self.limits.memory

    def _full(self, now: int, most: int, mine: int) -> bool:
        left = most - now
        return left <= 0 or (left < most // 2 and mine >= self.limits.share * left)
