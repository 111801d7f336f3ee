"""What the names of hosts mean now, and meshes in which instances are at those addresses."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from meshfast.model import Cluster, Endpoint, Mesh, Named, Subset

__all__ = ["Found", "Name", "Names", "Unknown"]

LONGEST = 3600.0  # seconds that an answer is kept at most, whatever its time to live
AGAIN = 1.0  # seconds after a first failure; each further one doubles it, up to the time of refresh
JITTER = 0.1  # seconds, so that names do not stay in step


class Unknown(Exception):
    """A name has no address, or nobody says one."""


@dataclass(frozen=True, slots=True)
class Found:
    """The addresses of a name, in the order in which they were told, and for how many seconds they hold."""

    addresses: tuple[str, ...]
    ttl: float


@dataclass(slots=True)
class Name:
    """A host that instances are named by. The last good answer stays until there is a better one."""

    host: str
    addresses: tuple[str, ...] = ()  # sorted
    single: str = ""  # the one where only one is used
    tried: bool = False
    failures: int = 0  # in a row
    error: str = ""
    due: float = 0.0  # monotonic
    answered_at: float = 0.0


class Names:
    """The names that a mesh has. ``most``: addresses of one; what is over is dropped and counted."""

    def __init__(self) -> None:
        self.known: dict[str, Name] = {}
        self.refresh, self.least, self.most = 60.0, 1.0, 256
        self.answers = self.failures = self.dropped = 0
        self._made: dict[str, tuple[Cluster, tuple[object, ...], Cluster]] = {}

    def want(self, *meshes: Mesh) -> list[Name]:
        """Takes in the names of some meshes, and forgets all others: those that are new."""
        hosts = {named.host for mesh in meshes for cluster in mesh.clusters.values() for named in cluster.named}
        self.known = {host: name for host, name in self.known.items() if host in hosts}
        new = [Name(host) for host in sorted(hosts - self.known.keys())]
        self.known.update((name.host, name) for name in new)
        return new

    def answered(self, name: Name, found: Found) -> bool:
        """Takes in an answer; whether it is another one than before."""
        every = list(dict.fromkeys(found.addresses))
        addresses = tuple(sorted(every[: self.most]))
        self.answers += 1
        self.dropped += max(0, len(every) - self.most)
        ttl = min(max(found.ttl, self.least), LONGEST) if found.ttl > 0 else self.refresh
        name.tried, name.failures, name.error, name.answered_at = True, 0, "", time.time()
        name.due = time.monotonic() + ttl + random.uniform(0, JITTER)
        if name.addresses == addresses:
            return False
        name.addresses = addresses
        if name.single not in addresses:
            name.single = every[0]
        return True

    def failed(self, name: Name, why: str) -> None:
        self.failures += 1
        wait = min(AGAIN * 2 ** min(name.failures, 16), self.refresh)
        name.tried, name.error = True, why
        name.failures += 1
        name.due = time.monotonic() + wait + random.uniform(0, JITTER)

    @property
    def failing(self) -> int:
        """How many names had no answer when they were asked for last."""
        return sum(name.failures > 0 for name in self.known.values())

    def resolved(self, mesh: Mesh) -> Mesh:
        """The mesh with instances at the addresses that are known. What has not changed stays the same object."""
        made = {name: self._cluster(name, one) for name, one in mesh.clusters.items() if one.named}
        self._made = {name: self._made[name] for name in made}
        return replace(mesh, clusters={**mesh.clusters, **made}) if made else mesh

    def _cluster(self, name: str, cluster: Cluster) -> Cluster:
        told = tuple(self._of(named) for named in cluster.named)
        before = self._made.get(name)
        if before is None or before[0] is not cluster or before[1] != told:
            found = list(self._endpoints(cluster, told))
            endpoints = (*cluster.endpoints, *(one for _, one in found))
            subsets = tuple(_at_addresses(subset, found) for subset in cluster.subsets)
            before = self._made[name] = cluster, told, replace(cluster, endpoints=endpoints, subsets=subsets)
        return before[2]

    def _of(self, named: Named) -> tuple[str, ...]:
        name = self.known.get(named.host)
        if name is None or not name.addresses:
            return ()
        return (name.single,) if named.single else name.addresses

    def _endpoints(self, cluster: Cluster, told: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, Endpoint]]:
        """Each with the address that it had by its name. An address that two names have is one instance."""
        seen = {place for one in cluster.endpoints for place in (one.address, one.http) if place}
        for named, addresses in zip(cluster.named, told, strict=True):
            for address in addresses:
                one = named.endpoint
                made = replace(one, address=_at(address, one.address), http=_at(address, one.http))
                if seen.isdisjoint(places := {place for place in (made.address, made.http) if place}):
                    seen |= places
                    yield one.address, made


def _at_addresses(subset: Subset, found: Iterable[tuple[str, Endpoint]]) -> Subset:
    """A list that has a name has what that means."""
    known = subset.members
    if known is None:
        return subset
    return replace(subset, members=known.union(made.address for named, made in found if named in known))


def _at(address: str, place: str) -> str:
    if not place:
        return ""
    port = place.rpartition(":")[2]
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
