"""A service that speaks Dubbo2 and HTTP/2 behind an engine whose rules change, delay or answer its calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from engines import PATIENCE, Running, running
from peers import Caller, Provider, closing
from webs2 import GRPC, Fields, Peer, Server, Stream, asks, calling

from meshfast import dubbo

CART = "com.x.Cart"
PLAIN = (b"content-type", b"text/plain")
Doc = dict[str, Any]


def every(**more: Any) -> Doc:
    return {"percentage": {"value": 100}, **more}


def to(subset: str = "", **more: Any) -> Doc:
    return {"destination": {"host": "cart"} | ({"subset": subset} if subset else {}), **more}


def document(api: str, kind: str, name: str, spec: Doc) -> Doc:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}


def policy(http: list[Doc], provider: Provider, server: Server, also: Doc | None = None) -> str:
    """``also``: another instance."""
    ports = [
        {"number": 1, "name": "dubbo", "protocol": "DUBBO"},
        {"number": 2, "name": "grpc", "protocol": "GRPC"},
    ]
    own = {"dubbo": provider.port, "grpc": server.port}
    spec = {
        "hosts": [CART, "cart"],
        "ports": ports,
        "endpoints": [
            {"address": "127.0.0.1", "ports": own, "labels": {"a": "1", "b": "1"}},
            *([also] if also else []),
        ],
    }
    subsets = [{"name": v, "labels": {v: "1"}} for v in "ab"]  # which are one
    api = "networking.istio.io/v1"
    documents = [
        document(api, "ServiceEntry", "cart", spec),
        document(api, "DestinationRule", "cart", {"host": "cart", "subsets": subsets}),
        document(api, "VirtualService", "rules", {"hosts": [CART, "cart"], "http": http}),
    ]
    return "\n---\n".join(map(json.dumps, documents))


async def say_ok(stream: Stream) -> None:
    """Its content back, once it has all come; or the status that x-fail says."""
    await stream.ended.wait()
    if failed := stream.get(b"x-fail"):
        stream.head([(b":status", failed)], True)
        return
    grpc = GRPC in stream.fields
    stream.head([(b":status", b"200"), GRPC if grpc else PLAIN, (b"x-own", b"1")])
    await stream.data(bytes(stream.body))
    if grpc:
        stream.head([(b"grpc-status", b"0")], True)
    else:
        await stream.data(b"", True)


class Stage:
    """An engine, whom it calls, and who calls it."""

    def __init__(self, side: Running, provider: Provider, server: Server, web: Peer, caller: Caller) -> None:
        self.side, self.provider, self.server, self.web, self.caller = side, provider, server, web, caller

    async def http(self, path: str = "/", *more: tuple[bytes, bytes], body: bytes = b"", **said: Any) -> Stream:
        return await self.web.ask(asks(path, *more, **said), body)

    async def grpc(self, *more: tuple[bytes, bytes], path: str = f"/{CART}/hi", body: bytes = b"x") -> Stream:
        return await self.web.ask(asks(path, GRPC, *more), body)

    async def dubbo(self, **attachments: Any) -> dubbo.Response:
        return await asyncio.wait_for(self.caller.ask(CART, attachments=attachments), PATIENCE)

    def seen(self) -> Fields:
        """What the server was asked last."""
        peer = self.server.peers[-1]
        return peer.streams[max(peer.streams)].fields

    def seen_dubbo(self) -> dict[str, Any]:
        return dict(dubbo.parse_request(self.provider.requests[-1].raw).attachments)

    @property
    def asked(self) -> int:
        """Calls that reached anybody."""
        return sum(len(peer.streams) for peer in self.server.peers) + len(self.provider.requests)


@asynccontextmanager
async def stage(backend: str, *http: Doc, also: Doc | None = None, **more: Any) -> AsyncIterator[Stage]:
    async with Server(say_ok) as server:
        provider = await Provider("p").start()
        async with closing(provider):
            with running(backend, policy=policy(list(http), provider, server, also), **more) as side:
                caller = await Caller.connect(side.address)
                async with closing(caller), calling(side.address) as web:
                    yield Stage(side, provider, server, web, caller)
