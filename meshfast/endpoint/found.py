"""What an application may find: the services of the mesh in force, whether files or registries list them."""

from __future__ import annotations

import ipaddress
from collections import defaultdict
from collections.abc import Callable, Iterator

from meshfast.endpoint.standby import Labelled
from meshfast.model import Cluster, Endpoint, Family, Mesh
from meshfast.registry import Instance, Listing, Offer
from meshfast.source.registries import Registries

__all__ = ["Found", "reached_at"]

_PROTOCOLS = {Family.DUBBO: "dubbo", Family.HTTP: "tri"}


class Found:
    """``look`` is called with each mesh once it is in force: what is shown can be called."""

    def __init__(self, registries: Registries) -> None:
        self._registries = registries
        self._clusters: dict[str, tuple[Cluster, ...]] = {}

    def look(self, mesh: Mesh) -> list[str]:
        """The services of which another listing is known now."""
        by_host: defaultdict[str, list[Cluster]] = defaultdict(list)
        for cluster in mesh.clusters.values():
            for host in cluster.hosts:
                if not host.startswith("*"):
                    by_host[host].append(cluster)
        before, self._clusters = self._clusters, {host: tuple(found) for host, found in by_host.items()}
        return [
            host
            for host in before.keys() | self._clusters.keys()
            if not _same(before.get(host, ()), self._clusters.get(host, ()))
        ]

    def known(self, service: str) -> Listing | None:
        """As ``dubbo.Shown``. What a registry lists is known once it is in force."""
        found = tuple(_offer(service, one) for one in self._clusters.get(service, ()) if one.offer or one.endpoints)
        if found or not self._registries.feeds:
            return found
        return () if self._registries.known(service) == () else None

    def interest(self, service: str) -> Callable[[], None]:
        return self._registries.demand.take(service)

    def connected(self) -> bool:
        return any(feed.state.connected for feed in self._registries)


def _same(before: tuple[Cluster, ...], now: tuple[Cluster, ...]) -> bool:
    pairs = zip(before, now, strict=False)
    return len(before) == len(now) and all(a is b or (a == b and a.offer == b.offer) for a, b in pairs)


def _offer(service: str, cluster: Cluster) -> Offer:
    if isinstance(cluster.offer, Offer):
        return cluster.offer
    instances = tuple(one for endpoint in cluster.endpoints for one in _instances(endpoint))
    return Offer(service, cluster.group, cluster.version, instances)


def _instances(endpoint: Endpoint) -> Iterator[Instance]:
    """A port of which nothing is said is one of Dubbo."""
    for family, protocol in _PROTOCOLS.items():
        said = family is Family.DUBBO or endpoint.http or endpoint.speaks is family
        if said and (at := endpoint.at(family)):
            yield Labelled(at, protocol, endpoint.labels.get("application", ""), labels=endpoint.labels)


def reached_at(bound: str) -> str:
    """Where an application on this machine reaches a TCP listener that is bound there."""
    host, _, port = bound.removeprefix("tcp://").rpartition(":")
    found = ipaddress.ip_address(host.strip("[]"))
    if found.is_unspecified:
        return f"127.0.0.1:{port}" if found.version == 4 else f"[::1]:{port}"
    return f"{host}:{port}"
