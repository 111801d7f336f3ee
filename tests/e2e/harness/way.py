"""How a consumer's calls reach the providers: straight, to prove the harness, or through a sidecar on either loop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Any

from . import mesh
from .process import ANY, free_port
from .sidecar import Sidecar

DIRECT = "direct"
LOOPS = ("epoll", "io_uring")
TWO = "-two"
#: Through one sidecar, or through the caller's and the provider's own.
SIDECARS = (*LOOPS, *(loop + TWO for loop in LOOPS))
#: What the tests of HTTP/2 go through: each loop, one alone, one in a row; MESHFAST_WAYS=all: straight, and every way.
PROXIED = SIDECARS if os.environ.get("MESHFAST_WAYS") == "all" else ("epoll", "io_uring" + TWO)
WAYS = (DIRECT, *PROXIED) if os.environ.get("MESHFAST_WAYS") == "all" else PROXIED


class Way:
    """One test's sidecars; ends them with the test."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._ends = contextlib.ExitStack()

    @property
    def is_direct(self) -> bool:
        return self.path == DIRECT

    def close(self) -> None:
        self._ends.close()

    def to(self, *ports: int, **limits: Any) -> tuple[int, ...]:
        """Where a consumer finds the instances at ``ports``: they themselves, or one sidecar before them all."""
        if self.is_direct:
            return ports
        port = free_port()
        self.sidecar(
            [mesh.entry(mesh.endpoint(p) for p in ports)],
            [mesh.outbound(f"tcp://{ANY}:{port}")],
            limits=limits,
        )
        return (port,)

    def sidecar(self, documents: Iterable[mesh.Document], listeners: Iterable[mesh.Document], **fields: Any) -> Sidecar:
        """A sidecar on this way's loop."""
        sidecar = Sidecar(self.path, documents, listeners, **fields)
        self._ends.callback(sidecar.close)
        return sidecar
