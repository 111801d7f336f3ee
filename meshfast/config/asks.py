"""The hosts that a document names: what registries are asked for where no ServiceEntry of a file offers it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from meshfast.config.document import Place

__all__ = ["hosts", "places"]

Found = tuple[str, tuple[str | int, ...]]  # a host, and the way there from the spec


def hosts(kind: str, spec: Any) -> frozenset[str]:
    """Whole names alone. A pattern holds for what is there for another reason, and an application's name for the
    services that it is listed with."""
    return frozenset(host for host, _ in _named(kind, spec) if _is_service(host))


def places(kind: str, spec: Any) -> Iterator[tuple[str, Place]]:
    """The same, each with where it stands."""
    for host, way in _named(kind, spec):
        if _is_service(host):
            yield host, spec.at.at(*way)


def _is_service(host: str) -> bool:
    return bool(host) and not set(host) & set("*/$: ,")


def _named(kind: str, spec: Any) -> Iterator[Found]:
    match kind:
        case "VirtualService":
            yield from ((host, ("hosts", i)) for i, host in enumerate(spec.hosts))
            for i, route in enumerate(spec.http):
                yield from _of_route(route, ("http", i))
        case "RateLimit":
            yield from ((host, ("hosts", i)) for i, host in enumerate(spec.hosts))
        case "DestinationRule":
            yield spec.host, ("host",)
        case "ASMSwimLaneGroup":  # a short name is one of Kubernetes' own
            yield from ((one.name, ("services", i)) for i, one in enumerate(spec.services) if "." in one.name)
        case "RegionSwitch":
            yield spec.app, ("app",)
        case "Sidecar":
            yield from ((one.service, ("listeners", i, "service")) for i, one in enumerate(spec.listeners))
        case "ConditionRule" | "AffinityRule" | "Configurator" if spec.scope == "service":
            yield spec.key.rpartition("/")[2].partition(":")[0], ("key",)


def _of_route(route: Any, way: tuple[str | int, ...]) -> Iterator[Found]:
    for i, one in enumerate(route.route):
        here = (*way, "route", i)
        if one.destination is not None:
            yield one.destination.host, (*here, "destination", "host")
        if one.fallback is not None and not isinstance(one.fallback.target, str):
            yield getattr(one.fallback.target, "host", ""), (*here, "fallback", "target", "host")
    if route.mirror is not None:
        yield route.mirror.host, (*way, "mirror", "host")
    for i, one in enumerate(route.mirrors):
        if one.destination is not None:
            yield one.destination.host, (*way, "mirrors", i, "destination", "host")
