"""Who is to be told of a change at a path: once, always, or of all that lies below as well."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Protocol

from meshfast.endpoint.jute import Event
from meshfast.endpoint.limits import Full, Used

__all__ = [
    "ANY", "CHANGED", "CHILDREN", "CONNECTED", "CREATED", "DELETED", "ONCE", "PERSISTENT", "RECURSIVE", "Watcher",
    "Watches",
]  # fmt: skip

#: Types of events.
CREATED, DELETED, CHANGED, CHILDREN = 1, 2, 3, 4
#: Modes; one watcher may have several at a path.
ONCE, PERSISTENT, RECURSIVE = 1, 2, 4
ANY = ONCE | PERSISTENT | RECURSIVE

CONNECTED = 3  # the state that events tell


class Watcher(Protocol):
    """A connection."""

    def event(self, zxid: int, event: Event) -> None:
        """Tells its client."""


class Watches:
    """The watches of one kind, on data or on children. ``used`` is shared by both."""

    def __init__(self, used: Used) -> None:
        self._used = used
        self._at: dict[str, dict[Watcher, int]] = {}
        self._of: dict[Watcher, dict[str, None]] = {}
        self._recursive = 0

    def add(self, path: str, watcher: Watcher, mode: int) -> None:
        """:raises Full: there are as many as may be"""
        modes = self._at.get(path, {}).get(watcher, 0)
        if not modes:
            self._used.take("watches", 1)
            try:
                self._used.take("bytes", len(path))
            except Full:
                self._used.give("watches", 1)
                raise
        self._recursive += bool(mode & RECURSIVE & ~modes)
        self._at.setdefault(path, {})[watcher] = modes | mode
        self._of.setdefault(watcher, {})[path] = None

    def has(self, path: str, watcher: Watcher, mode: int) -> bool:
        return bool(self._at.get(path, {}).get(watcher, 0) & mode)

    def remove(self, path: str, watcher: Watcher, mode: int) -> bool:
        """Whether there was one."""
        modes = self._at.get(path, {}).get(watcher, 0)
        if modes & mode:
            self._put(path, watcher, modes, modes & ~mode)
        return bool(modes & mode)

    def drop(self, watcher: Watcher) -> None:
        """All that it has."""
        for path in list(self._of.get(watcher, ())):
            self._put(path, watcher, self._at[path][watcher], 0)

    def trigger(self, path: str, type: int, zxid: int, told: Collection[Watcher] = ()) -> Collection[Watcher]:
        """Tells of a change at a path those who watch it and were not ``told`` by another kind; gives who watches."""
        found: dict[Watcher, None] = {}
        for watcher, modes in list(self._at.get(path, {}).items()):
            found[watcher] = None
            if modes & ONCE:
                self._put(path, watcher, modes, modes & ~ONCE)
        if self._recursive:
            for above in _above(path):
                for watcher, modes in self._at.get(above, {}).items():
                    if modes & RECURSIVE:
                        found[watcher] = None
        event = Event(type, CONNECTED, path)
        for watcher in found:
            if watcher not in told:
                watcher.event(zxid, event)
        return found

    def _put(self, path: str, watcher: Watcher, old: int, new: int) -> None:
        self._recursive -= bool(old & RECURSIVE & ~new)
        at, of = self._at[path], self._of[watcher]
        if new:
            at[watcher] = new
            return
        self._used.give("watches", 1)
        self._used.give("bytes", len(path))
        del at[watcher], of[path]
        if not at:
            del self._at[path]
        if not of:
            del self._of[watcher]


def _above(path: str) -> Iterator[str]:
    while len(path) > 1:
        path = path.rpartition("/")[0] or "/"
        yield path
