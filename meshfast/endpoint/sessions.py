"""Sessions: who asks, for how long without a word, and what goes with them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from meshfast.endpoint.limits import Limits
from meshfast.endpoint.tree import Tree

__all__ = ["Connected", "Session", "Sessions"]


class Connected(Protocol):
    """The connection of a session."""

    def leave(self) -> None:
        """Ends, without a word."""


@dataclass(slots=True)
class Session:
    """``deadline``: by the clock of its table; ``timeout``: seconds."""

    id: int
    password: bytes
    timeout: float
    deadline: float
    connection: Connected | None = field(default=None, repr=False)


class Sessions:
    """Those of one tree. ``clock``: seconds, rising."""

    def __init__(self, tree: Tree, clock: Callable[[], float] = time.monotonic) -> None:
        self._tree, self._clock = tree, clock
        self._limits: Limits = tree.used.limits
        self._all: dict[int, Session] = {}
        self.begun = self.resumed = self.expired = 0

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Session]:
        return iter(self._all.values())

    def begin(self, asked: int) -> Session | None:
        """A new one; ``asked``: milliseconds. None where there are as many as may be."""
        if len(self._all) >= self._limits.sessions:
            self._tree.used.refused["sessions"] += 1
            return None
        id = 0
        while id == 0 or id in self._all:
            id = int.from_bytes(os.urandom(7), "big")
        session = Session(id, os.urandom(16), self._granted(asked), 0.0)
        self.put(session)
        self._tree.begin()
        self.begun += 1
        return session

    def put(self, session: Session) -> None:
        """One that was begun elsewhere is counted on from now."""
        self._all[session.id] = session
        self.touch(session)

    def resume(self, id: int, password: bytes | None, asked: int) -> Session | None:
        """The one of that id, taken from the connection that had it; None: it is over, or another's."""
        session = self._all.get(id)
        if session is None or session.password != password:
            return None
        _part(session)
        session.timeout = self._granted(asked)
        self.touch(session)
        self.resumed += 1
        return session

    def touch(self, session: Session) -> None:
        session.deadline = self._clock() + session.timeout

    def end(self, session: Session) -> None:
        """With all that it made."""
        if self._all.pop(session.id, None) is not None:
            _part(session)
            self._tree.end(session.id)
            if self._tree.view:
                self._tree.view.ended(session.id)

    def expire(self) -> float | None:
        """Ends those that were silent for too long; gives the seconds until another may be, if there is one."""
        now = self._clock()
        for session in [one for one in self._all.values() if one.deadline <= now]:
            self.expired += 1
            self.end(session)
        return min((session.deadline for session in self._all.values()), default=now) - now if self._all else None

    def get(self, id: int) -> Session | None:
        return self._all.get(id)

    def _granted(self, asked: int) -> float:
        return min(max(asked / 1000, self._limits.least), self._limits.timeout)


def _part(session: Session) -> None:
    """From the connection that has it, if one has."""
    connection, session.connection = session.connection, None
    if connection is not None:
        connection.leave()
