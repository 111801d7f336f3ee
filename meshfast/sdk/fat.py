"""An engine of the application's own, fed by the snapshot of its sidecar: where its calls go while that is gone.

It is the sidecar's engine with the sidecar's picture, so it routes as that does. It learns anew who is down, and counts
rate limits on its own. It has no inbound listener, and never asks a registry.
"""

from __future__ import annotations

import errno
import itertools
import os
import threading
import time

from meshfast import _core, collector, snapshot
from meshfast.errors import MeshfastError, SourceError, StateError
from meshfast.routing import Table
from meshfast.snapshot import Snapshot

__all__ = ["Fat"]

LOOK_S = 0.005  # seconds between two looks at a drain
NAMES = 100  # addresses that are tried, should others have them

_numbers = itertools.count(1)


class Fat:
    """``start`` gives the address to dial, for Dubbo2, Triple, gRPC and HTTP/2; ``close`` ends it, from any thread. It
    has one thread of its own, which no signal reaches, and none once it is closed.

    ``source`` is the directory of the sidecar (its ``state``), or what ``snapshot.read`` gave; ``app`` whose it has to
    be, "": whoever's it is. What the sidecar writes later is taken by ``refresh``.

    It is of the process that made it. One that is forked from that can only close it, which does nothing there; what is
    open of it stays open there until that process ends or execs. Close it before, or make one after.
    """

    def __init__(self, source: Snapshot | str | os.PathLike[str], app: str = "", *, backend: str = "auto") -> None:
        self._source, self._app, self._backend = source, app, backend
        self._lock = threading.Lock()
        self._engine: _core.Engine | None = None
        self._pid, self._closed = os.getpid(), False
        self.snapshot: Snapshot | None = None  # once it is started
        self.address = ""
        snapshot.ready()

    def start(self) -> str:
        """Reads the snapshot and listens: at ``unix://@meshfast-...``, an abstract address, which any process of this
        network namespace can dial, as it can the sidecar's. About 20 ms for 100 services of 20 instances. Again:
        the same address.

        :raises SourceError: there is no snapshot, or it is not to be used
        :raises StateError: it was closed, or is another process's
        :raises OSError: the engine cannot be made
        """
        if os.getpid() != self._pid:
            raise StateError("this engine is of another process: make a Fat in the one that uses it")
        with self._lock:
            if self._closed:
                raise StateError("this engine was closed: make another Fat")
            if self._engine is None:
                self._start()
            return self.address

    def refresh(self) -> bool:
        """Takes what the sidecar has written since, if it has: new calls go by that. Its limits stay as they were.

        :return: whether there was anything
        :raises SourceError: it is not to be used; what was in force stays
        """
        if os.getpid() != self._pid:
            return False
        with self._lock:
            if self._engine is None or self.snapshot is None:
                return False
            with collector.paused():
                found = self._read()
                if (found.version, found.written) == (self.snapshot.version, self.snapshot.written):
                    return False
                try:
                    self.table.publish(found.mesh)
                except (MeshfastError, ValueError, TypeError, KeyError, OverflowError) as error:
                    raise SourceError(f"the snapshot of {found.app!r} cannot be put in force: {error}") from error
            self.snapshot = found
            return True

    def _read(self) -> Snapshot:
        found = self._source if isinstance(self._source, Snapshot) else snapshot.read(self._source, self._app)
        if self._app and found.app != self._app:
            raise SourceError(f"this snapshot is of the application {found.app!r}, not of {self._app!r}")
        return found

    def _start(self) -> None:
        with collector.paused():
            found = self._read()
            side = found.mesh.sidecar
            try:
                if unknown := side.limits.keys() - _core.limits().keys():
                    raise ValueError(f"there is no limit {min(unknown)}")
                self.table = Table()
                self.table.publish(found.mesh)
                trace = _core.TraceMemory(side.trace_entries, side.trace_ttl_ms * 1_000_000)
                engine = _core.Engine(
                    self.table.native, trace=trace, workers=1, backend=self._backend, limits=dict(side.limits)
                )
            except (MeshfastError, ValueError, TypeError, KeyError, OverflowError) as error:
                raise SourceError(f"the snapshot of {found.app!r} cannot be put in force: {error}") from error
        self.address = _listen(engine)
        engine.start()
        self._engine, self.snapshot = engine, found

    def close(self, seconds: float | None = None) -> bool:
        """Callers of Dubbo are told READONLY, those of HTTP/2 GOAWAY; calls in flight are answered, then it is gone.
        About 60 ms where nobody is connected, else 0.2 s; other threads go on meanwhile. Again is harmless.

        :param seconds: to wait for answers, at most; without: the sidecar's ``drainTimeout``
        :return: whether no call was cut off
        """
        if os.getpid() != self._pid:
            return True  # its lock may be held for ever by a thread that is not in this process
        with self._lock:
            engine, self._engine, self._closed = self._engine, None, True
            if engine is None:
                return True
            assert self.snapshot is not None
            if seconds is None:
                most = self.snapshot.mesh.sidecar.limits.get("drainTimeout", _core.limits()["drainTimeout"][0])
                seconds = most / 1000
            engine.drain()
            deadline = time.monotonic() + seconds
            while not (drained := engine.drained) and time.monotonic() < deadline:
                time.sleep(LOOK_S)
            engine.stop()
            return drained

    def __enter__(self) -> Fat:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _listen(engine: _core.Engine) -> str:
    """Processes of several containers may have one number and one network."""
    for _ in range(NAMES):
        try:
            return engine.listen("sdk", f"unix://@meshfast-{os.getpid()}-{next(_numbers)}")
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, f"{NAMES} addresses like unix://@meshfast-{os.getpid()}-1 are taken by others")
