"""The admin address: what the sidecar is doing, for people and for Prometheus. Loopback or UNIX socket only.

GET  /                   the list of pages
GET  /ready              200 when calls are taken, 503 before and while draining
GET  /stats/prometheus   counters and histograms
GET  /config_dump        the mesh in force, as JSON
GET  /clusters           applications, their instances, health and labels, as JSON
GET  /explain            where a request goes and why, by the live table, as JSON:
                         ?service=S[&method=M][&header=K=V]...[&label=K=V]...
POST /drain              as SIGTERM: no new connections, READONLY to callers, then the process ends
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import h11
import msgspec

from meshfast.explain import explain
from meshfast.metrics import prometheus
from meshfast.model import Mesh

if TYPE_CHECKING:
    from meshfast.sidecar import Sidecar

__all__ = ["Admin"]

#: A request that has begun must be whole by then, seconds; its head may be so long, bytes.
REQUEST_TIMEOUT = 10.0
MAX_HEAD = 16384

Query = list[tuple[str, str]]
Answer = tuple[HTTPStatus, str, bytes]

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"


class Admin:
    """Serves the pages of one sidecar."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar
        self._server: asyncio.Server | None = None
        self._pages: dict[tuple[str, str], Callable[[Query], Answer]] = {
            ("GET", "/"): self._index,
            ("GET", "/ready"): self._ready,
            ("GET", "/stats/prometheus"): self._stats,
            ("GET", "/config_dump"): self._config_dump,
            ("GET", "/clusters"): self._clusters,
            ("GET", "/explain"): self._explain,
            ("POST", "/drain"): self._drain,
        }

    async def start(self, address: str) -> str:
        """Listens; returns the address with its real port.

        :raises ValueError: an address that other machines could reach
        """
        if address.startswith("unix://"):
            path = address.removeprefix("unix://")
            old = os.umask(0o177)  # mode 0600 from the first moment
            try:
                self._server = await asyncio.start_unix_server(self._serve, path)
            finally:
                os.umask(old)
            return address
        host, _, port = address.removeprefix("tcp://").rpartition(":")
        host = host.strip("[]")
        if not ipaddress.ip_address(host).is_loopback:
            raise ValueError(f"admin address {address}: only loopback or unix:// is served; use 127.0.0.1")
        self._server = await asyncio.start_server(self._serve, host, int(port))
        bound = self._server.sockets[0].getsockname()
        return f"[{bound[0]}]:{bound[1]}" if ":" in bound[0] else f"{bound[0]}:{bound[1]}"

    async def stop(self) -> None:
        if self._server:
            self._server.close()

    # --- one connection

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        try:
            while await self._one(http, reader, writer):
                http.start_next_cycle()
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _one(self, http: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; True when another may follow on this connection."""
        status, kind, body = HTTPStatus.BAD_REQUEST, TEXT, b"not a request this address serves\n"
        method = ""
        try:
            request = None
            while True:
                event = http.next_event()
                if event is h11.NEED_DATA:
                    async with asyncio.timeout(REQUEST_TIMEOUT if request else None):
                        http.receive_data(await reader.read(65536))
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.EndOfMessage) and request:
                    method = request.method.decode()
                    status, kind, body = self._answer(method, request.target.decode())
                    break
                elif isinstance(event, h11.Data):
                    continue
                else:
                    return False
        except h11.RemoteProtocolError:
            if http.our_state is not h11.IDLE and http.our_state is not h11.SEND_RESPONSE:
                return False
        headers = [("content-type", kind), ("content-length", str(len(body)))]
        writer.write(http.send(h11.Response(status_code=status, headers=headers)) or b"")
        if method != "HEAD":
            writer.write(http.send(h11.Data(data=body)) or b"")
        writer.write(http.send(h11.EndOfMessage()) or b"")
        await writer.drain()
        return http.our_state is h11.DONE and http.their_state is h11.DONE

    def _answer(self, method: str, target: str) -> Answer:
        parts = urlsplit(target)
        page = self._pages.get(("GET" if method == "HEAD" else method, parts.path))
        if page:
            return page(parse_qsl(parts.query, keep_blank_values=True))
        others = [m for m, path in self._pages if path == parts.path]
        if others:
            return HTTPStatus.METHOD_NOT_ALLOWED, TEXT, f"use {others[0]}\n".encode()
        return HTTPStatus.NOT_FOUND, TEXT, b"no such page; see /\n"

    # --- pages

    def _index(self, query: Query) -> Answer:
        return HTTPStatus.OK, TEXT, "".join(f"{method:5}{path}\n" for method, path in self._pages).encode()

    def _ready(self, query: Query) -> Answer:
        state = self._sidecar.state
        if state.ready and not state.draining:
            return HTTPStatus.OK, TEXT, b"ready\n"
        return HTTPStatus.SERVICE_UNAVAILABLE, TEXT, b"draining\n" if state.draining else b"starting\n"

    def _stats(self, query: Query) -> Answer:
        return HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", prometheus(self._sidecar).encode()

    def _config_dump(self, query: Query) -> Answer:
        sidecar = self._sidecar
        dump = {
            "version": sidecar.state.version,
            "applied_at": sidecar.state.applied_at,
            "rejected": sidecar.state.rejected,
            "last_error": sidecar.state.last_error,
            "addresses": sidecar.addresses,
            "mesh": mesh_as_json(sidecar.mesh),
        }
        return HTTPStatus.OK, JSON, msgspec.json.format(msgspec.json.encode(dump)) + b"\n"

    def _clusters(self, query: Query) -> Answer:
        peers = self._sidecar.table.peers()
        rows = [
            {
                "name": cluster.name,
                "hosts": cluster.hosts,
                "subsets": {subset.name: dict(subset.labels) for subset in cluster.subsets},
                "endpoints": [
                    {
                        "address": endpoint.address,
                        "labels": dict(endpoint.labels),
                        "weight": endpoint.weight,
                        "available": peers.get(endpoint.address.removeprefix("tcp://"), True),
                    }
                    for endpoint in cluster.endpoints
                ],
            }
            for cluster in self._sidecar.mesh.clusters.values()
        ]
        return HTTPStatus.OK, JSON, msgspec.json.format(msgspec.json.encode(rows)) + b"\n"

    def _explain(self, query: Query) -> Answer:
        asked: dict[str, str] = {}
        pairs: dict[str, dict[str, str]] = {"header": {}, "label": {}}
        for key, value in query:
            if key in pairs:
                name, equals, text = value.partition("=")
                if not equals:
                    return HTTPStatus.BAD_REQUEST, TEXT, f"{key} is K=V, not {value!r}\n".encode()
                pairs[key][name] = text
            elif key in ("service", "method"):
                asked[key] = value
            else:
                return HTTPStatus.BAD_REQUEST, TEXT, f"unknown parameter {key!r}\n".encode()
        if "service" not in asked:
            return HTTPStatus.BAD_REQUEST, TEXT, b"service=S is needed\n"
        table = self._sidecar.table
        answer = explain(table, asked["service"], asked.get("method", ""), pairs["header"], pairs["label"])
        return HTTPStatus.OK, JSON, msgspec.json.format(msgspec.json.encode(answer)) + b"\n"

    def _drain(self, query: Query) -> Answer:
        self._sidecar.stop()
        return HTTPStatus.OK, TEXT, b"draining\n"


def mesh_as_json(mesh: Mesh) -> object:
    """The model as plain data; compiled expressions are left out, their text stays in ``source``."""
    return msgspec.to_builtins(mesh, enc_hook=str, builtin_types=())
