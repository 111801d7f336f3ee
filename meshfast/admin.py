"""The admin address: what the sidecar is doing, for people and for Prometheus. Loopback or UNIX socket only.

GET  /                   the list of pages
GET  /ready              200 when calls are taken, 503 before and while draining; ?verbose: how registries are
GET  /stats/prometheus   counters and histograms: what was used; ?all: everything
GET  /config_dump        the mesh in force, as JSON
GET  /clusters           applications, their instances, health and labels, as JSON
GET  /registries         registries, what they list and what of it is not in force, as JSON
GET  /endpoint           the application's own registry: what it looked for and registered there, as JSON
GET  /explain            where a request goes and why, by the live table, as JSON:
                         ?service=S[&method=M][&header=K=V]...[&label=K=V]...
POST /drain              as SIGTERM: no new connections, READONLY to callers, then the process ends
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from http import HTTPStatus
from typing import Any

import msgspec

from meshfast import doors, guards, listings
from meshfast.address import Listen, listening
from meshfast.balance import Balancer
from meshfast.explain import explain
from meshfast.metrics import prometheus
from meshfast.model import Cluster, Http, Mesh, Subset
from meshfast.policies import Policy
from meshfast.pretty import Items, Rows, pretty
from meshfast.running import Shown
from meshfast.serve import Answer, Limits, Request, Server
from meshfast.shares import shares
from meshfast.source.names import Name

__all__ = ["Admin"]

JSON = "application/json"
#: Seconds at its end for whom it has taken.
LEAVE = 1.0
PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Admin:
    """Serves the pages of one sidecar."""

    def __init__(self, shown: Shown, limits: Limits | None = None) -> None:
        self._shown = shown
        self._server = Server(self._page, shown.state.admin, limits)
        self._pages: dict[tuple[str, str], Callable[[Request], Answer]] = {
            ("GET", "/"): self._index,
            ("GET", "/ready"): self._ready,
            ("GET", "/stats/prometheus"): self._stats,
            ("GET", "/config_dump"): self._config_dump,
            ("GET", "/clusters"): self._clusters,
            ("GET", "/registries"): self._registries,
            ("GET", "/endpoint"): self._endpoint,
            ("GET", "/explain"): self._explain,
            ("POST", "/drain"): self._drain,
        }

    async def start(self, address: str, listen: Listen = listening) -> str:
        """Listens; returns the address with its real port.

        :raises ValueError: an address that other machines could reach
        :raises OSError: it is taken, or cannot be had
        """
        return await self._server.start(address, listen)

    async def stop(self) -> None:
        """Who has been taken is answered."""
        await self._server.stop(LEAVE)

    def _page(self, asked: Request) -> Answer:
        page = self._pages.get(("GET" if asked.method == "HEAD" else asked.method, asked.path))
        if page:
            return page(asked)
        others = [method for method, path in self._pages if path == asked.path]
        if others:
            return Answer(f"use {others[0]}\n".encode(), HTTPStatus.METHOD_NOT_ALLOWED)
        return Answer(b"no such page; see /\n", HTTPStatus.NOT_FOUND)

    # --- pages

    def _index(self, asked: Request) -> Answer:
        return Answer("".join(f"{method:5}{path}\n" for method, path in self._pages).encode())

    def _ready(self, asked: Request) -> Answer:
        state = self._shown.state
        if state.ready and not state.draining:
            refused = b"the last configuration was refused; see /config_dump\n" if state.last_error else b""
            more = listings.words(self._shown.registries) if ("verbose", "") in asked.query else []
            return Answer(b"ready\n" + refused + "".join(f"{line}\n" for line in more).encode())
        return Answer(b"draining\n" if state.draining else b"starting\n", HTTPStatus.SERVICE_UNAVAILABLE)

    def _stats(self, asked: Request) -> Answer:
        unknown = [name for name, _ in asked.query if name != "all"]
        if unknown:
            return bad(f"unknown parameter {unknown[0]!r}")
        page = prometheus(self._shown, bool(asked.query))
        return Answer((piece.encode() for piece in page), kind=PROMETHEUS)

    def _config_dump(self, asked: Request) -> Answer:
        shown, state = self._shown, self._shown.state
        dump = Items(
            [
                ("version", state.version),
                ("applied_at", state.applied_at),
                ("rejected", state.rejected),
                ("last_error", state.last_error),
                ("addresses", dict(shown.addresses)),
                ("names", Rows(map(_name, shown.names.known.values()))),
                ("mesh", mesh_as_json(shown.mesh)),
            ]
        )
        return Answer(lines(dump), kind=JSON)

    def _clusters(self, asked: Request) -> Answer:
        peers = self._shown.table.native.peers(detail=True)
        out = guards.out_of(self._shown.table)
        rows = Rows(_cluster(one, peers, out) for one in self._shown.mesh.clusters.values())
        return Answer(lines(rows), kind=JSON)

    def _registries(self, asked: Request) -> Answer:
        return Answer(lines(listings.page(self._shown.registries, self._shown.registrations)), kind=JSON)

    def _endpoint(self, asked: Request) -> Answer:
        return Answer(lines(doors.page(self._shown.endpoint, self._shown.api, self._shown.nacos)), kind=JSON)

    def _explain(self, request: Request) -> Answer:
        asked: dict[str, str] = {}
        pairs: dict[str, list[tuple[str, str]]] = {"header": [], "label": []}
        arguments: list[str] = []
        for key, value in request.query:
            if key in pairs:
                name, equals, text = value.partition("=")
                if not equals:
                    return bad(f"{key} is K=V, not {value!r}")
                pairs[key].append((name, text))
            elif key == "argument":
                arguments.append(value)
            elif key in ("service", "method", "http", "scheme", "authority", "app"):
                asked[key] = value
            else:
                return bad(f"unknown parameter {key!r}")
        if "app" in asked:
            if len(request.query) > 1:
                return bad("app=A goes with nothing else")
            return _as_json(shares(self._shown.table, asked["app"]))
        http = None
        if "http" in asked:
            path, authority = asked.pop("http"), asked.pop("authority", "")
            http = Http(asked.pop("method", "POST"), asked.pop("scheme", "http"), authority, path)
            if asked or arguments:
                return bad("http=PATH goes with neither service=S nor argument=A")
        elif "service" not in asked or len(asked) - ("method" in asked) > 1:
            return bad("service=S, http=PATH or app=A is needed, and scheme and authority are for http")
        service, method = asked.get("service", ""), asked.get("method", "")
        answer = explain(self._shown.table, service, method, pairs["header"], dict(pairs["label"]), http, arguments)
        return _as_json(answer)

    def _drain(self, asked: Request) -> Answer:
        self._shown.stop()
        return Answer(b"draining\n")


def _as_json(answer: Mapping[str, Any]) -> Answer:
    return Answer(msgspec.json.format(msgspec.json.encode(answer)) + b"\n", kind=JSON)


def bad(text: str) -> Answer:
    return Answer(f"{text}\n".encode(errors="replace"), HTTPStatus.BAD_REQUEST)


def lines(value: Items | Rows) -> Iterator[bytes]:
    yield from pretty(value)
    yield b"\n"


Ejected = Mapping[tuple[str, str], Mapping[str, float]]


def _cluster(cluster: Cluster, peers: Mapping[str, Mapping[str, Any]], out: Ejected) -> Items:
    endpoints = (
        {
            "address": endpoint.address,
            "labels": dict(endpoint.labels),
            "weight": endpoint.weight,
        }
        | ({"locality": endpoint.locality} if endpoint.locality else {})
        | _place(cluster, endpoint.address.removeprefix("tcp://"), peers, out)
        | ({"http": {"address": endpoint.http} | _place(cluster, endpoint.http, peers, out)} if endpoint.http else {})
        for endpoint in cluster.endpoints
    )
    return Items(
        [
            ("name", cluster.name),
            ("hosts", cluster.hosts),
            ("subsets", {subset.name: _picks(cluster, subset) for subset in cluster.subsets}),
            ("balancer", _balancer(cluster.policy)),
            ("balancer_of", {s.name: _balancer(s.policy) for s in cluster.subsets if s.policy != cluster.policy}),
            ("endpoints", Rows(endpoints)),
        ]
    )


def _picks(cluster: Cluster, subset: Subset) -> dict[str, str] | dict[str, int]:
    """The labels of its instances; of a list, how many there are."""
    return dict(subset.labels) if subset.members is None else {"members": sum(map(subset.has, cluster.endpoints))}


def _balancer(policy: Policy | None) -> str:
    """How one of the instances is chosen."""
    return (policy and policy.balancer or Balancer()).words()


def _name(name: Name) -> dict[str, object]:
    """A host that is resolved; ``error`` of the last time, which leaves ``addresses`` as they were."""
    return {
        "host": name.host,
        "addresses": list(name.addresses),
        "answered_at": name.answered_at,
        "failures": name.failures,
        "error": name.error,
    }


def _place(
    cluster: Cluster, address: str, peers: Mapping[str, Mapping[str, Any]], out: Ejected
) -> dict[str, object]:  # fmt: skip
    """Its health, and where it is ejected the subsets and for how many seconds still."""
    ejected = out.get((cluster.name, address))
    return _health(peers.get(address, {})) | ({"ejected": ejected} if ejected else {})


def _health(peer: Mapping[str, Any]) -> dict[str, object]:
    """``state``: ``unused`` before a connection was made or tried, ``up``, or ``resting`` for ``down_for`` seconds."""
    available = peer.get("available", True)
    used = peer.get("connections") or peer.get("failures")
    return {
        "available": available,
        "state": "resting" if not available else "up" if used else "unused",
        "down_for": round(peer.get("down_for", 0.0), 3),
        **{key: peer.get(key, 0) for key in ("calls", "calls_active", "in_flight", "connections", "failures")},
    }


def mesh_as_json(mesh: Mesh) -> Items:
    """The model as plain data; compiled expressions are left out, their text stays in ``source``."""
    return Items(
        [
            ("clusters", Items((name, _members(one, "endpoints")) for name, one in mesh.clusters.items())),
            ("services", Rows(map(plain, mesh.services))),
            ("labels", Rows(map(plain, mesh.labels))),
            ("traces", Rows(map(plain, mesh.traces))),
            ("sidecar", plain(mesh.sidecar)),
        ]
    )


def _members(one: Cluster, long: str) -> Items:
    """An object whose member ``long`` comes element by element."""
    values = ((field.name, getattr(one, field.name)) for field in fields(one))
    return Items((name, Rows(map(plain, value)) if name == long else plain(value)) for name, value in values)


def plain(value: object) -> object:
    return msgspec.to_builtins(value, enc_hook=str, builtin_types=())
