"""What a policy does besides routing, as documents: rules of a VirtualService, the policy of a DestinationRule."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import mesh
from .java import SERVICE

#: The label that tells instances apart; each has a subset of its name.
WHO = "who"


def to(subset: str = "") -> mesh.Document:
    """A destination: all instances, or the one of that name."""
    return {"destination": {"host": mesh.APP, **({"subset": subset} if subset else {})}}


def always(**what: Any) -> mesh.Document:
    """A fault of every call."""
    return {"percentage": {"value": 100}, **what}


def never(**what: Any) -> mesh.Document:
    """A fault of no call."""
    return {"percentage": {"value": 0}, **what}


def has(name: str, value: str) -> list[mesh.Document]:
    """A match by a header or an attachment."""
    return [{"headers": {name: {"exact": value}}}]


def rules(*http: mesh.Document, hosts: Iterable[str] = (SERVICE,)) -> mesh.Document:
    """The rules of the services; one that says nothing of where to calls goes to all instances."""
    spec = {"hosts": list(hosts), "http": [one if {"route", "redirect", "directResponse"} & one.keys() else
                                           {"route": [to()], **one} for one in http]}  # fmt: skip
    return {
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "rules"}, "spec": spec,
    }  # fmt: skip


def policy(*names: str, **what: Any) -> mesh.Document:
    """The policy of the application, with a subset for each instance that is named."""
    subsets = [{"name": name, "labels": {WHO: name}} for name in names]
    spec = {"host": mesh.APP, "subsets": subsets, "trafficPolicy": what}
    return {
        "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "policy"}, "spec": spec,
    }  # fmt: skip


def limit(requests: int, burst: int, unit: str = "hour", hosts: Iterable[str] = (SERVICE,)) -> mesh.Document:
    """So many calls."""
    spec = {"hosts": list(hosts), "requests": requests, "unit": unit, "burst": burst}
    return {"apiVersion": "meshfast.io/v1", "kind": "RateLimit", "metadata": {"name": "limit"}, "spec": spec}
