"""The sockets that a running sidecar listens on, for those who get copies of them."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Collection
from typing import Protocol

from meshfast import _core
from meshfast.model import Listener, Sidecar
from meshfast.sockets import Given, Sockets

__all__ = ["Owner", "Passed"]


class Owner(Protocol):
    """Who has sockets. Descriptors are copies, whose end is the asker's."""

    def all(self) -> dict[str, list[int]]:
        """All of them by their keys. Raises OSError where it ends."""

    def inbound(self, port: int) -> dict[str, tuple[str, list[int]]]:
        """Of listeners whose calls go to a port of this machine, by their names: keys and descriptors. Raises OSError
        where it ends."""

    def behind(self, port: int) -> dict[str, str]:
        """The names of those listeners, and their keys."""

    def share(self, name: str, shared: bool) -> None:
        """Another one has copies of a listener and may go on with it; or one of those has them no more. Raises OSError
        where it ends."""


class Passed:
    """``sockets``: those besides the listeners of the ``engine``; ``taken``: keys of those that another process has,
    too, which ``alone`` ends."""

    def __init__(self, engine: _core.Engine, side: Sidecar, sockets: Sockets, taken: Collection[str] = ()) -> None:
        self._engine, self._side, self._sockets = engine, side, sockets
        self._taken = [one.name for one in side.listeners if Given.key(one.name, one.bind) in taken]
        self._shared = Counter(self._taken)  # how many have a listener besides

    def all(self) -> dict[str, list[int]]:
        found = {Given.key(one.name, one.bind): self._engine.copies(one.name) for one in self._side.listeners}
        return found | {key: [os.dup(one.sock.fileno())] for key, one in self._sockets.opened.items()}

    def inbound(self, port: int) -> dict[str, tuple[str, list[int]]]:
        return {name: (key, self._engine.copies(name)) for name, key in self.behind(port).items()}

    def behind(self, port: int) -> dict[str, str]:
        return {one.name: Given.key(one.name, one.bind) for one in self._side.listeners if forwards_to(one) == port}

    def share(self, name: str, shared: bool) -> None:
        self._shared[name] += 1 if shared else -1
        self._engine.share(name, self._shared[name] > 0)

    def alone(self) -> None:
        """The process before has nothing any more. Again is harmless."""
        taken, self._taken = self._taken, []
        for name in taken:
            with contextlib.suppress(OSError):  # it ends
                self.share(name, False)


def forwards_to(one: Listener) -> int:
    """The application's port behind an inbound listener, 0: none that it may take care of. What a UNIX socket lets in
    no more cannot be undone, so those are not."""
    if one.direction != "inbound" or one.protocol not in ("auto", "dubbo", "http2"):
        return 0
    if not one.forward or "unix://" in one.forward + one.bind:
        return 0
    return int(one.forward.rpartition(":")[2])
