"""How HTTP/2 and gRPC callers reach their providers: straight, through one sidecar, or through the caller's and the
provider's own, on either loop."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator

import psutil

from . import mesh
from .grpc import SERVICE
from .process import ANY, HOST, free_port
from .sidecar import Sidecar
from .way import TWO, Way

#: What the instances are said to speak.
PROTOCOL = "GRPC"
Instance = int | tuple[int, dict[str, str]]


class Through(Way):
    """One test's sidecars; ends them with the test."""

    def __init__(self, way: str) -> None:
        super().__init__(way.removesuffix(TWO))
        self.is_two = way.endswith(TWO)
        self.sidecars: list[Sidecar] = []
        self.addresses: list[tuple[int, dict[str, str]]] = []  # of the instances, as the caller's sidecar has them

    def to(self, *instances: Instance, **limits: int) -> tuple[int, ...]:
        """Where a caller finds the instances, each a port or a port and its labels: they themselves, or a sidecar."""
        return self.by([], *instances, **limits)

    def by(self, policy: Iterable[mesh.Document], *instances: Instance, **limits: int) -> tuple[int, ...]:
        """The same with rules."""
        listed = [one if isinstance(one, tuple) else (one, {}) for one in instances]
        if self.is_direct:
            return tuple(port for port, _ in listed)
        if self.is_two:
            inside = [free_port() for _ in listed]
            doors = [
                {**mesh.inbound(f"tcp://{HOST}:{door}", port), "name": f"in-{door}"}
                for door, (port, _) in zip(inside, listed, strict=True)
            ]
            self.sidecars.append(self.sidecar([], doors, limits=limits))
            listed = [(door, labels) for door, (_, labels) in zip(inside, listed, strict=True)]
        self.addresses = listed
        front = free_port()
        door = {"name": "out", "bind": f"tcp://{ANY}:{front}", "direction": "outbound", "service": SERVICE}
        documents = [entry(listed), *policy]
        self.sidecars.append(self.sidecar(documents, [door], limits=limits))
        return (front,)

    def onward(self, port: int) -> int:
        """Where a caller of no listed service finds the server at ``port``: what sidecars have no rule for goes on."""
        for _ in range(0 if self.is_direct else 2 if self.is_two else 1):
            front = free_port()
            self.sidecars.append(self.sidecar([], [mesh.inbound(f"tcp://{ANY}:{front}", port)]))
            port = front
        return port


def entry(instances: Iterable[tuple[int, dict[str, str]]]) -> mesh.Document:
    """The application that offers the service."""
    document = mesh.entry([], hosts=(SERVICE,))
    document["spec"]["ports"] = [{"name": "grpc", "number": 50051, "protocol": PROTOCOL}]
    document["spec"]["endpoints"] = [
        {"address": HOST, "ports": {"grpc": port}, "labels": labels} for port, labels in instances
    ]
    return document


class Growth:
    """The most that processes grew while they were watched, in bytes of resident memory."""

    def __init__(self) -> None:
        self.most = 0


@contextlib.contextmanager
def growth(sidecars: Iterable[Sidecar]) -> Iterator[Growth]:
    """Watch sidecars; with none there is nothing that grows."""
    watched = [psutil.Process(sidecar.child.pid) for sidecar in sidecars]
    before = [process.memory_info().rss for process in watched]
    found, stop = Growth(), threading.Event()

    def look() -> None:
        for process, rss in zip(watched, before, strict=True):
            found.most = max(found.most, process.memory_info().rss - rss)

    def watch() -> None:
        while not stop.wait(0.02):
            look()

    thread = threading.Thread(target=watch, name="growth")
    thread.start()
    try:
        yield found
        look()
    finally:
        stop.set()
        thread.join()
