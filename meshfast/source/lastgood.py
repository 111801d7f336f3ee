"""What registries listed last, in the state directory: served by a start that no registry answers."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import msgspec

from meshfast.behind import Behind
from meshfast.errors import SourceError
from meshfast.hints import told
from meshfast.registry import Offer
from meshfast.source.registries import Registries, Snapshot
from meshfast.statedir import StateDir

__all__ = ["Keeping"]

NAME = "mesh.json"

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
        found = _Written(time.time(), self._snapshot())
        try:
            await asyncio.to_thread(lambda: self.directory.write(NAME, msgspec.json.encode(found)))
            self._registries.written += 1
        except OSError as error:
            self._registries.refused["", "unwritten"] += 1
            log.error("what registries list cannot be kept: %s", told(error))

    async def close(self) -> None:
        """Writes what is not written yet."""
        try:
            await self._behind.close()
        finally:
            self.directory.close()
