"""What a running sidecar shows of itself: the contract between the one that conducts and those that only look."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from meshfast import _core
from meshfast.endpoint.dubbo import Endpoint
from meshfast.endpoint.http import Api
from meshfast.endpoint.nacos import Nacos
from meshfast.localities import Localities
from meshfast.model import Mesh
from meshfast.registration import Registrations
from meshfast.routing import Table
from meshfast.serve import Used
from meshfast.snapshots import Snapshots
from meshfast.source.names import Names
from meshfast.source.registries import Registries

__all__ = ["Running", "Shown"]


@dataclass
class Running:
    """The configuration's own life, and what the main thread counts."""

    started: float = field(default_factory=time.time)
    ready: bool = False
    draining: bool = False
    version: int = 0
    applied_at: float = 0.0
    rejected: int = 0
    last_error: str = ""
    admin: Used = field(default_factory=Used)
    passed: Counter[str] = field(default_factory=Counter)  # of takeovers: taken, handed, refused
    access_records: int = 0
    access_dropped: int = 0
    localities: Localities = field(default_factory=Localities)


class Shown(Protocol):
    """What the admin pages and the metrics look at."""

    state: Running
    table: Table
    mesh: Mesh
    addresses: dict[str, str]
    names: Names
    registries: Registries
    engine: _core.Engine | None

    def stop(self) -> None:
        """Drains, then ends."""

    @property
    def endpoint(self) -> Endpoint | None: ...

    @property
    def nacos(self) -> Nacos | None: ...

    @property
    def api(self) -> Api | None: ...

    @property
    def registrations(self) -> Registrations: ...

    @property
    def snapshots(self) -> Snapshots: ...
