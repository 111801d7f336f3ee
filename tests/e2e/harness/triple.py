"""Dubbo 3's Triple: its Java peers, and how a consumer's calls reach their providers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import mesh
from .java import SERVICE, Java
from .process import ANY, HOST, free_port
from .sidecar import Sidecar
from .way import TWO, Way

STREAMS = "meshfast.peer.Streams"
TEXTS = "meshfast.peer.Texts"
HOSTS = (SERVICE, STREAMS, TEXTS)
LABEL = "traffic"

class TripleJava(Java):
    """One JVM of 3.3; each of its instances also offers ``STREAMS`` and ``TEXTS``."""

    main = "TripleDriver"
    scheme = "tri"

    def __init__(self, name: str) -> None:
        super().__init__("java-3.3", f"triple-{name}")

    def export(self, name: str, port: int = 0, protocol: str = "tri", **params: Any) -> int:
        return super().export(name, port, protocol=protocol, **params)

    def count(self, ref: str, items: int, size: int, **fields: Any) -> Any:
        """A stream of answers: who gave it, once each is in order and whole."""
        return self.do("count", ref=ref, items=items, size=size, **fields)

    def gather(self, ref: str, items: int, size: int, **fields: Any) -> Any:
        """A stream of requests: all answers to it, of which there is one."""
        return self.do("gather", ref=ref, items=items, size=size, **fields)

    def chat(self, ref: str, items: int, size: int, then: str = "end", **fields: Any) -> Any:
        """Both at once, each text sent after the answer to the one before: who answered each."""
        return self.do("chat", ref=ref, items=items, size=size, then=then, **fields)


class TripleWay(Way):
    """One test's sidecars: none, the caller's, or the caller's and the provider's."""

    def __init__(self, name: str) -> None:
        super().__init__(name.removesuffix(TWO))
        self.is_two = name.endswith(TWO)
        self.last: Sidecar  # of the caller, by the rules that were made last

    def to(self, *ports: int, **limits: Any) -> tuple[int, ...]:
        return ports if self.is_direct else (self.by([endpoint(port) for port in ports], **limits),)

    def by(self, endpoints: Iterable[mesh.Document], policy: Iterable[mesh.Document] = (), **fields: Any) -> int:
        """Where a consumer finds the instances by rules."""
        ends = [self.before(end) if self.is_two else end for end in endpoints]
        labels = fields.pop("labels", None)
        port = free_port()
        doors = [mesh.outbound(f"tcp://{ANY}:{port}")]
        self.last = self.sidecar([entry(ends), *policy], doors, limits=fields, labels=labels)
        return port

    def before(self, end: mesh.Document) -> mesh.Document:
        """The instance behind a sidecar of its own."""
        door = free_port()
        self.sidecar([], [mesh.inbound(f"tcp://{ANY}:{door}", next(iter(end["ports"].values())))])
        return {**end, "ports": dict.fromkeys(end["ports"], door)}


def endpoint(port: int, *names: str, **labels: str) -> mesh.Document:
    """An instance that speaks Triple, or what ``names`` say, at a port of 127.0.0.1."""
    return {"address": HOST, "ports": dict.fromkeys(names or ("tri",), port), "labels": labels}


def entry(endpoints: Iterable[mesh.Document], hosts: Iterable[str] = HOSTS, app: str = mesh.APP) -> mesh.Document:
    """The application that offers the services at ``endpoints``, by as many protocols as they have."""
    document = mesh.entry(endpoints, app, hosts)
    spoken = {name for end in document["spec"]["endpoints"] for name in end["ports"]} or {"tri"}
    known = {"dubbo": ("DUBBO", 20880), "tri": ("TRI", 50051)}
    document["spec"]["ports"] = [
        {"name": name, "number": number, "protocol": protocol}
        for name, (protocol, number) in known.items()
        if name in spoken
    ]
    return document
