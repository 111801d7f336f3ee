"""What a Nacos has as nodes: which of its services and configs a path means, and how an instance is shown as one.

Dubbo has its providers there as services ``providers:{interface}:{version}:{group}``, an instance of an application
under the application's name, mappings as configs of the group ``mapping``, and what an application offers as a config
of its name whose group is the revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NamedTuple

from meshfast.registry.application import of_nacos
from meshfast.registry.nacosapi import Host
from meshfast.registry.url import URL, Refused, decode

__all__ = ["MAPPING", "Kind", "Means", "Provider", "app_data", "interfaces", "means", "node_of", "provider_of"]

PROVIDERS = "providers"
#: The group of mappings.
MAPPING = "mapping"
#: Where Nacos's own cluster of an instance is told, if it is not the usual one.
CLUSTER, USUAL_CLUSTER = "nacos.cluster", "DEFAULT"
#: What a provider's weight is where it says none, and at most.
WEIGHT, MOST_WEIGHT = 100, 1_000_000
#: Of an instance's metadata what is no parameter of its URL.
_OWN = frozenset(("protocol", "path", "category"))


class Kind(Enum):
    SERVICES = 0  # all interfaces
    MAPPINGS = 1  # all that have one
    PROVIDERS = 2  # of an interface
    PROVIDER = 3
    CONFIG = 4
    INSTANCES = 5  # of an application
    INSTANCE = 6
    NOTHING = 7


class Means(NamedTuple):
    """``name``: of an interface, an application or a config; ``more``: of a provider its node, of an instance its
    address, of a config its group."""

    kind: Kind
    name: str = ""
    more: str = ""


def means(path: str) -> Means:
    parts = path.strip("/").split("/")
    match parts:
        case ["dubbo"]:
            return Means(Kind.SERVICES)
        case ["dubbo", "mapping"]:
            return Means(Kind.MAPPINGS)
        case ["dubbo", "mapping", name]:
            return Means(Kind.CONFIG, name, MAPPING)
        case ["dubbo", name, "providers"]:
            return Means(Kind.PROVIDERS, decode(name))
        case ["dubbo", name, "providers", node]:
            return Means(Kind.PROVIDER, decode(name), node)
        case ["dubbo", "metadata", name, revision] | ["dubbo", name, revision]:
            return Means(Kind.CONFIG, name, revision)
        case ["services", name]:
            return Means(Kind.INSTANCES, name)
        case ["services", name, at]:
            return Means(Kind.INSTANCE, name, at)
    return Means(Kind.NOTHING)


def interfaces(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """By interface its services, of the names of all."""
    found: dict[str, list[str]] = {}
    for each in names:
        what, _, rest = each.partition(":")
        if what == PROVIDERS and rest:
            found.setdefault(rest.partition(":")[0], []).append(each)
    return {name: tuple(sorted(each)) for name, each in found.items()}


class Provider(NamedTuple):
    """A provider as it stands in a Nacos. ``host`` has brackets where it is IPv6."""

    service: str
    host: str
    port: int
    metadata: Mapping[str, str]


def provider_of(node: str) -> Provider:
    """:raises Refused: it is none"""
    url = URL.parse(decode(node))
    parameters = url.parameters
    service = parameters.get("interface", "")
    if not service or not url.host or not url.port:
        raise Refused("service")
    name = ":".join((PROVIDERS, service, parameters.get("version", ""), parameters.get("group", "")))
    metadata = {**parameters, "protocol": url.protocol, "path": url.path, "category": PROVIDERS}
    return Provider(name, url.host, url.port, metadata)


def node_of(host: Host) -> str:
    """The name of a provider's node."""
    at, _, port = host.address.rpartition(":")
    plain = {k: v for k, v in _weighed(host).items() if k not in _OWN and not set(k + v) & set("&;")}
    path = host.metadata.get("path") or host.metadata.get("interface", "")
    return URL(host.metadata.get("protocol", ""), "", "", at, int(port), path, plain).encoded()


def app_data(application: str, host: Host) -> bytes:
    """The data of the node of an application's instance."""
    at, _, port = host.address.rpartition(":")
    return of_nacos(application, at.strip("[]"), int(port), _weighed(host), host.there)


def _weighed(host: Host) -> Mapping[str, str]:
    """Its metadata, with what Nacos says of it beside."""
    found = dict(host.metadata)
    if host.weight != 1.0:
        said = found.get("weight", "")
        weight = int(said) if said.isascii() and said.isdigit() and len(said) < 10 else WEIGHT
        found["weight"] = str(round(min(max(host.weight, 0.0) * weight, MOST_WEIGHT)))
    if host.cluster and host.cluster != USUAL_CLUSTER:
        found[CLUSTER] = host.cluster
    return found
