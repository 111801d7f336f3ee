"""What registries listed last, in the state directory: served by a start that no registry answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from meshfast.behind import Behind
from meshfast.errors import SourceError
from meshfast.hints import News, told
from meshfast.registry import Offer
from meshfast.source.registries import Registries, Snapshot
from meshfast.statedir import StateDir

__all__ = ["Keeping"]

NAME = "mesh.json"
#: Seconds until what could not be written is tried again.
RETRY = 10.0

log = logging.getLogger("meshfast")


class _Written(msgspec.Struct):
    written: float
    registries: dict[str, dict[str, tuple[Offer, ...]]]


class Keeping:
    """Reads and writes it. Has the directory until ``close``."""

    def __init__(self, directory: StateDir, registries: Registries) -> None:
        self.directory, self._registries = directory, registries
        self._snapshot: Callable[[], Snapshot] = dict
        self._behind = Behind(self._write)
        self._retry: asyncio.TimerHandle | None = None
        self._trouble, self._closing = News(), False

    def read(self) -> None:
        """Serves what is there; what cannot be trusted is told and not used."""
        try:
            data = self.directory.read(NAME)
            if data is None:
                return
            found = msgspec.json.decode(data, type=_Written)
        except (SourceError, OSError, msgspec.MsgspecError, RecursionError) as error:
            self._registries.refused["", "last_good"] += 1
            log.error("what registries listed last is not used: %s", told(error))
            return
        services = self._registries.take_last(found.registries)
        if services:
            self._registries.last_good = found.written
            log.info("registries: %d service(s) as they were listed last, until a registry answers", services)

    def changed(self, snapshot: Callable[[], Snapshot]) -> None:
        """Writes it soon."""
        self._snapshot = snapshot
        self._behind.ask()

    async def _write(self) -> None:
        self._again(False)
        found = _Written(time.time(), self._snapshot())
        try:
            await asyncio.to_thread(lambda: self.directory.write(NAME, msgspec.json.encode(found)))
            self._registries.written += 1
            self._trouble.over()
        except OSError as error:
            self._registries.refused["", "unwritten"] += 1
            if self._trouble.is_new(text := told(error)):
                log.error("what registries list cannot be kept: %s", text)
            self._again(not self._closing)

    def _again(self, again: bool) -> None:
        """Whether it is to be written though nothing changes."""
        if self._retry is not None:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(RETRY, self._behind.ask) if again else None

    async def close(self) -> None:
        """Writes what is not written yet."""
        self._closing = True
        self._again(False)
        try:
            await self._behind.close()
        finally:
            self.directory.close()
