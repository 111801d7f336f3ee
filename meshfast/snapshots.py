"""The snapshot in the sidecar's own directory, kept as the mesh in force is; and its metrics.

It has what the application calls: the services that somebody says it looks for, and those that it looked for until ten
minutes ago, also in the life before. Where it calls none, the last one stays.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator

from meshfast import snapshot
from meshfast.behind import Behind
from meshfast.errors import MeshfastError
from meshfast.exposition import Family, Metric
from meshfast.hints import told
from meshfast.model import Mesh
from meshfast.snapshot import Snapshot
from meshfast.source.demand import LINGER
from meshfast.statedir import StateDir

__all__ = ["METRICS", "Snapshots", "families"]

log = logging.getLogger("meshfast")

#: Seconds after which one that did not change is written again, so that it says that it is still so.
AGAIN = 300.0
#: The same after one that could not be written.
RETRY = 10.0


class Snapshots:
    """``directory``: the sidecar's, or None while it has none. ``consumed``: who knows what the application looks for.
    ``version``, ``services`` and ``bytes`` are of the one that was written last."""

    def __init__(self, directory: Callable[[], StateDir | None], clock: Callable[[], float] = time.monotonic) -> None:
        self.consumed: list[Callable[[], Iterable[str]]] = []
        self.version = self.services = self.bytes = self.written = self.failed = 0
        self._directory, self._clock = directory, clock
        self._mesh: Mesh | None = None
        self._leaving: dict[str, float] = {}  # services that are not looked for any more: until when they stay
        self._wanted: frozenset[str] = frozenset()
        self._done: tuple[Mesh | None, frozenset[str]] = (None, frozenset())
        self._again = 0.0
        self._began, self._well = False, True
        self._packed = b""
        self._behind = Behind(self._write)

    @property
    def here(self) -> bool:
        """Whether there is a directory to write to."""
        return self._directory() is not None

    def holds(self, mesh: Mesh) -> None:
        """It is in force."""
        self._mesh = mesh
        self.tend()

    def tend(self) -> None:
        """Now and then: writes what is new."""
        if self.here and self._mesh is not None and (self._clock() >= self._again or self._is_new()):
            self._behind.ask()

    async def close(self) -> None:
        """Writes the last word, while the directory is still there."""
        if self.here and self._mesh is not None:
            self._behind.ask()
        await self._behind.close()

    def _is_new(self) -> bool:
        return self._mesh is not self._done[0] or self._names() != self._done[1]

    def _names(self) -> frozenset[str]:
        """The services that are in it now."""
        now, wanted = self._clock(), frozenset(name for one in self.consumed for name in one())
        self._leaving.update(dict.fromkeys(self._wanted - wanted, now + LINGER))
        self._wanted = wanted
        self._leaving = {name: until for name, until in self._leaving.items() if until > now and name not in wanted}
        return wanted | self._leaving.keys()

    async def _write(self) -> None:
        directory, mesh = self._directory(), self._mesh
        if directory is None or mesh is None:
            return
        if not self._began:
            self._began = True
            await asyncio.to_thread(self._begin, directory)
        names = self._names()
        self._done, self._again = (mesh, names), self._clock() + AGAIN
        if names and not await asyncio.to_thread(self._put, directory, mesh, names):
            self._again = self._clock() + RETRY

    def _begin(self, directory: StateDir) -> None:
        """Goes on from the one before."""
        try:
            before = snapshot.last(directory)
        except (MeshfastError, OSError) as error:
            log.error("the snapshot of the process before is not gone on from: %s", told(error))
            return
        if before is not None:
            until = self._clock() + LINGER
            self.version = before.version
            self._leaving.update((service.name, until) for service in before.mesh.services)

    def _put(self, directory: StateDir, mesh: Mesh, names: frozenset[str]) -> bool:
        try:
            part = snapshot.only(mesh, names)
            packed = snapshot.pack(part)
            version = self.version + (packed != self._packed)
            made = Snapshot(mesh.sidecar.app, version, time.time(), part)
            self.bytes = snapshot.put(directory, made, packed)
        except Exception as error:  # whatever it is, the one before stays, and calls go on
            self.failed += 1
            if self._well:
                ours = isinstance(error, (MeshfastError, OSError, MemoryError))
                log.error("the snapshot stays as it was: %s", told(error), exc_info=not ours)
            self._well = False
            return False
        self.version, self._packed, self.services = version, packed, len(part.services)
        self.written += 1  # at last: who waits for it finds all of it
        self._well = True
        return True


_NUMBERS: dict[Metric, Callable[[Snapshots], float]] = {
    Metric(f"meshfast_snapshot_{name}", kind, text): value
    for name, kind, text, value in (
        ("version", "gauge", "of the snapshot that was written last", lambda one: one.version),
        ("services", "gauge", "services that are in it", lambda one: one.services),
        ("bytes", "gauge", "its length", lambda one: one.bytes),
        ("written_total", "counter", "times that one was written", lambda one: one.written),
        ("failed_total", "counter", "times that one could not be: the one before stays", lambda one: one.failed),
    )
}

METRICS = tuple(_NUMBERS)


def families(snapshots: Snapshots) -> Iterator[Family]:
    """Nothing where there is no directory for one."""
    for metric, value in _NUMBERS.items():
        yield metric, [[metric.line((), value(snapshots))]] if snapshots.here else []
