"""A generated policy as Istio's documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .process import HOST
from .twins import OWN, Case, Route

Document = dict[str, Any]
PORT = 8080  # of each service


def documents(found: Sequence[Case], ports: Sequence[int], dead: int) -> list[Document]:
    """Those of all cases."""
    return [document for case in found for document in _istio(case, ports, dead)]


def _resource(kind: str, name: str, spec: Document) -> Document:
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def _istio(case: Case, ports: Sequence[int], dead: int) -> Iterator[Document]:
    endpoints = [
        {
            "address": HOST,
            "ports": {"http": dead if one.number is None else ports[one.number]},
            "labels": dict(one.labels),
            "weight": one.weight,
            **({"locality": "/".join(one.locality)} if one.locality else {}),
        }
        for one in case.instances
    ]
    yield _resource(
        "ServiceEntry",
        case.name,
        {
            "hosts": [case.host],
            "ports": [{"name": "http", "number": PORT, "protocol": "HTTP2"}],
            "resolution": "STATIC",
            "endpoints": endpoints,
        },
    )
    policy: Document = {"retryBudget": {"percent": 100, "minRetryConcurrency": 100}} if case.attempts else {}
    balancer: Document = {"simple": case.balancer} if case.balancer else {}
    if case.distribute:
        shares = dict(case.distribute)
        balancer["localityLbSetting"] = {"distribute": [{"from": f"{OWN[0]}/*", "to": shares}]}
    if balancer:
        policy["loadBalancer"] = balancer
    if case.failover:
        policy["outlierDetection"] = {}
    subsets = [{"name": name, "labels": dict(labels)} for name, labels in case.subsets.items()]
    rule: Document = {"host": case.host, "subsets": subsets, **({"trafficPolicy": policy} if policy else {})}
    yield _resource("DestinationRule", case.name, rule)
    yield _resource(
        "VirtualService", case.name, {"hosts": [case.host], "http": [_http(case, route) for route in case.routes]}
    )


def _http(case: Case, route: Route) -> Document:
    found: Document = {}
    if route.field:
        test = {route.how: route.value}
        found["match"] = [{"headers": {"x-a": test}} if route.field == "header" else {"uri": test}]
    found["route"] = [
        {
            "destination": {"host": case.host, **({"subset": to.subset} if to.subset else {})},
            **({"weight": to.weight} if len(route.destinations) > 1 else {}),
        }
        for to in route.destinations
    ]
    found["retries"] = {"attempts": case.attempts, **({"retryOn": case.retry_on} if case.attempts else {})}
    return found
