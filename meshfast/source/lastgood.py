"""What registries listed last, in the state directory: served by a start that no registry answers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable

import msgspec

from meshfast.errors import SourceError
from meshfast.hints import told
from meshfast.registry import Offer
from meshfast.source.registries import Registries, Snapshot
from meshfast.statedir import StateDir

__all__ = ["Keeping"]

NAME = "mesh.json"
EVERY_S = 1.0  # seconds between writes

log = logging.getLogger("meshfast")


class _Written(msgspec.Struct):
    written: float
    registries: dict[str, dict[str, tuple[Offer, ...]]]


class Keeping:
    """Reads and writes it. Has the directory until ``close``.

    :raises StateError: another process has it
    :raises OSError: it cannot be had
    """

    def __init__(self, path: str, registries: Registries) -> None:
        self.directory, self._registries = StateDir(path), registries
        self._task: asyncio.Task[None] | None = None
        self._unwritten, self._ending = False, asyncio.Event()
        self._at = -EVERY_S

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
        self._unwritten = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write(snapshot))

    async def _write(self, snapshot: Callable[[], Snapshot]) -> None:
        while self._unwritten:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._at + EVERY_S - time.monotonic())):
                    await self._ending.wait()
            await self._written(snapshot)

    async def _written(self, snapshot: Callable[[], Snapshot]) -> None:
        self._unwritten, self._at = False, time.monotonic()
        found = _Written(time.time(), snapshot())
        try:
            await asyncio.to_thread(lambda: self.directory.write(NAME, msgspec.json.encode(found)))
            self._registries.written += 1
        except OSError as error:
            self._registries.refused["", "unwritten"] += 1
            log.error("what registries list cannot be kept: %s", told(error))

    async def close(self, snapshot: Callable[[], Snapshot]) -> None:
        self._ending.set()
        try:
            if self._task is not None:
                await self._task
            if self._unwritten:
                await self._written(snapshot)
        finally:
            self.directory.close()
