"""What one process leaves to the next: sessions of registries, and what was registered in them.

Whoever goes on with a session finds its nodes where they were: nobody sees that there was another process.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

import msgspec

from meshfast.errors import MeshfastError
from meshfast.hints import News, told
from meshfast.registry import Key

__all__ = ["Directory", "Lease", "Left"]

NAME = "lease.json"

log = logging.getLogger("meshfast")


class Directory(Protocol):
    """Where it is kept: see ``statedir.StateDir``."""

    def read(self, name: str) -> bytes | None: ...

    def write(self, name: str, data: bytes) -> None: ...


class Left(msgspec.Struct, frozen=True):
    """Of one registry. ``where``: its servers and root; ``nodes``: paths; ``held``: what is registered by those of them
    that are instances."""

    where: str
    session: int
    password: bytes
    nodes: tuple[str, ...] = ()
    held: dict[str, tuple[Key, ...]] = {}


class Lease:
    """``refused``: why what was left is not used, "" if it is or nothing was; ``unwritten``: times that it could not
    be written. ``handed``: the next process is there already, so sessions go on when this one lets go of them."""

    def __init__(self, directory: Directory) -> None:
        self.refused = ""
        self.unwritten = 0
        self.handed = False
        self._directory = directory
        self._left: dict[str, Left] = {}
        self._made: dict[str, Callable[[], Left | None]] = {}  # what has changed since it was written
        self._trouble = News()
        self._task: asyncio.Task[None] | None = None
        try:
            data = directory.read(NAME)
            if data is not None:
                self._left = msgspec.json.decode(data, type=dict[str, Left])
        except (MeshfastError, OSError, msgspec.MsgspecError, RecursionError) as error:
            self.refused = told(error)
            log.error("the registrations of the process before are not gone on with: %s", self.refused)
        self._before = dict(self._left)

    def take(self, name: str, where: str) -> Left | None:
        """What the process before left of a registry, if it is the same one; once."""
        found = self._before.pop(name, None)
        return found if found is not None and found.where == where else None

    def put(self, name: str, make: Callable[[], Left | None]) -> None:
        """What ``make`` says then is written soon; None: there is nothing to go on with."""
        self._made[name] = make
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._write())

    def end(self, name: str, session: int) -> None:
        """A session has ended. Who has something to say of the name by now says it."""
        found = self._left.get(name)
        if found is not None and found.session == session and name not in self._made:
            self.put(name, lambda: None)

    async def kept(self) -> None:
        """Returns when all that was put is written, or cannot be."""
        if self._task is not None:
            await asyncio.shield(self._task)

    async def _write(self) -> None:
        while self._made:
            made, self._made = self._made, {}
            found = {name: left for name, make in made.items() if (left := make()) is not None}
            now = {name: left for name, left in self._left.items() if name not in made} | found
            if now == self._left:
                continue
            try:
                await asyncio.to_thread(self._directory.write, NAME, msgspec.json.encode(now))
            except (MeshfastError, OSError) as error:
                self._made = {**made, **self._made}  # until something changes, or is looked at
                self.unwritten += 1
                if self._trouble.is_new(text := told(error)):
                    log.error("registrations cannot be left to the next process: %s", text)
                return
            self._left = now
            self._trouble.over()
