"""What whoever looks for a service asks for, and the nodes that are shown for it: below ``providers`` of an interface
the sidecar as its provider; at its mapping the application that offers it, whose instance is the sidecar.

Each service has an application of its own: what one consumer looks for changes nothing that another has read, and one
that already follows an application hears of its next service only later.
"""

from __future__ import annotations

import asyncio
import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from meshfast.endpoint.jute import Op
from meshfast.endpoint.paths import proper
from meshfast.registry.application import Place, instance, metadata
from meshfast.registry.registered import MARK
from meshfast.registry.url import URL, Refused, decode

__all__ = ["APPLICATION", "Folder", "Kind", "Shows", "application", "looked_at", "looks", "service_of"]

#: Of the applications that are shown, before the name of the service.
APPLICATION = "meshfast."
#: Where instances are if the registry's address has no ``group``.
SERVICES = "/services"
#: Of a path that is shown: levels, and characters.
DEEP, LONG = 6, 1024
LISTS = (Op.GET_CHILDREN, Op.GET_CHILDREN2)
READS = (Op.EXISTS, Op.GET_DATA, *LISTS)
_SERVICE = re.compile(r"[^\s/\x00-\x20\x7f*?]{1,512}")


class Kind(enum.Enum):
    """``providers`` of a service, or its mapping."""

    PROVIDERS = enum.auto()
    MAPPING = enum.auto()


class Shows(NamedTuple):
    """A node that is shown; ``listed``: in its folder's list, too."""

    data: bytes
    listed: bool = True


@dataclass(slots=True)
class Folder:
    """A path that somebody asked for. ``names``: the providers, as they are listed by interface; ``nodes``: what is
    shown for it; ``looking``: sessions that look for what it lists."""

    path: str
    service: str
    kind: Kind
    names: dict[str, None] = field(default_factory=dict)
    nodes: dict[str, Shows] = field(default_factory=dict)
    looking: int = 0
    first: list[asyncio.Future[None]] = field(default_factory=list)
    metadata: frozenset[str] = frozenset()  # those of the nodes that say what the application offers now

    def become(self, names: Iterable[str], out: str) -> dict[str, Shows]:
        """The nodes for these providers from now on, in the order in which they are to be there; ``out``: where the
        sidecar is. Metadata that was there stays once, for who has just read its revision."""
        now = dict.fromkeys(names)
        if now == self.names and self.nodes:
            return self.nodes
        metadata, others = self._made(now, out)
        last = {path: one for path, one in self.nodes.items() if path in self.metadata and path not in metadata}
        self.names, self.metadata = now, frozenset(metadata)
        return {**last, **metadata, **others}

    def _made(self, names: Iterable[str], out: str) -> tuple[dict[str, Shows], dict[str, Shows]]:
        if self.kind is Kind.PROVIDERS:
            host = out.rpartition(":")[0].encode()
            return {}, {f"{self.path}/{name}": Shows(host) for name in names}
        root, of = self.path.rsplit("/", 2)[0], application(self.service)
        at: dict[str, list[URL]] = {}
        for one in (URL.parse(decode(name)) for name in names):
            at.setdefault(f"{one.host}:{one.port}", []).append(one)
        told: dict[str, Shows] = {}
        there: dict[str, Shows] = {}
        for address, urls in at.items():  # the sidecar, and who stands by
            made = metadata(of, urls)
            marks = {MARK: "1"} if address == out else {}
            node = Shows(instance(Place(of, address), {one.protocol for one in urls}, made.revision, marks))
            told[f"{root}/metadata/{of}/{made.revision}"] = Shows(made.data)
            # dubbo-go's, in no list: Java would take it for an instance
            told[f"{root}/{of}/{made.revision}"] = Shows(made.data, False)
            there |= dict.fromkeys((f"{root}/{of}/{address}", f"{SERVICES}/{of}/{address}"), node)
        return told, {**there, self.path: Shows(of.encode())} if there else {}


def application(service: str) -> str:
    return APPLICATION + service


def looked_at(path: str) -> tuple[Kind, str] | None:
    """The service of ``/{root}/{service}/providers``, or of ``/{root}/mapping/{service}``."""
    if len(path) > LONG or not proper(path):
        return None
    parts = path.split("/")
    if not 3 < len(parts) <= DEEP:
        return None
    if parts[-1] == "providers":
        kind, name = Kind.PROVIDERS, service_of(parts[-2])
    elif parts[-2] == "mapping" and parts[-3] != "config":
        kind, name = Kind.MAPPING, parts[-1] if _SERVICE.fullmatch(parts[-1]) else None
    else:
        return None
    return (kind, name) if name is not None else None


def looks(kind: Kind, op: int) -> bool:
    """Whether a request looks for what is there, and not only whether there is such a place."""
    return op in LISTS if kind is Kind.PROVIDERS else op in READS


def service_of(text: str) -> str | None:
    try:
        name = decode(text)
    except Refused:
        return None
    return name if _SERVICE.fullmatch(name) else None
