"""Instances in several regions that take Dubbo2 and gRPC, and callers of both, for tests of what is near."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import yaml
from engines import PATIENCE, Running
from peers import Caller, Provider, closing, until
from webs2 import GRPC, Server, Stream, asks, calling

CART = "com.x.Cart"
CALLS = 40
AT_ONCE = 50

Doc = dict[str, Any]


@dataclass
class Box:
    """One instance, which says its name to every call."""

    name: str
    where: str
    labels: dict[str, str] = field(default_factory=dict)
    weight: int = 1
    dubbo: Provider = field(init=False)
    http: Server = field(init=False)
    streams: list[Stream] = field(default_factory=list)

    async def start(self) -> Box:
        self.dubbo = await Provider(self.name).start()
        self.http = await Server(self._answer).__aenter__()
        return self

    async def stop(self) -> None:
        await self.dubbo.stop()
        await self.http.__aexit__()

    async def _answer(self, stream: Stream) -> None:
        self.streams.append(stream)
        await stream.ended.wait()
        stream.head([(b":status", b"200"), GRPC])
        await stream.data(self.name.encode())
        stream.head([(b"grpc-status", b"0")], True)

    def endpoint(self) -> Doc:
        ports = {"dubbo": self.dubbo.port, "grpc": self.http.port}
        return {
            "address": "127.0.0.1", "ports": ports, "labels": self.labels, "locality": self.where,
            "weight": self.weight,
        }  # fmt: skip


async def die(box: Box, engine: Running) -> None:
    """It ends, and the sidecar has seen that: what is sent in between would be lost with it."""
    there = sum(not one.is_closing() for one in box.dubbo.writers) + len(box.http.peers)
    left = engine.count("upstream_active") - there
    await box.stop()
    await until(lambda: engine.count("upstream_active") <= left, 15)


@asynccontextmanager
async def boxes(*wanted: Box) -> AsyncIterator[list[Box]]:
    started = [await one.start() for one in wanted]
    try:
        yield started
    finally:
        for one in started:
            await one.stop()


def policy(found: Sequence[Box], *more: Doc, name: str = "cart", **spec: Any) -> str:
    """They are com.x.Cart; ``spec``: of their DestinationRule."""
    ports = [
        {"name": "dubbo", "number": 20880, "protocol": "DUBBO"}, {"name": "grpc", "number": 50051, "protocol": "GRPC"}
    ]  # fmt: skip
    entry = {"hosts": [CART], "ports": ports, "endpoints": [one.endpoint() for one in found]}
    documents = [document("ServiceEntry", name, entry), document("DestinationRule", name, {"host": name, **spec})]
    return yaml.safe_dump_all([*documents, *more], sort_keys=False)


def document(kind: str, name: str, spec: Doc) -> Doc:
    api = "meshfast.io/v1" if kind in ("RegionSwitch", "Sidecar") else "networking.istio.io/v1"
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}


def own(where: str, **labels: str) -> Doc:
    return document("Sidecar", "own", {"workload": {"locality": where, "labels": labels}})


def failover(**setting: Any) -> Doc:
    """A trafficPolicy with levels."""
    return {"loadBalancer": {"localityLbSetting": setting}, "outlierDetection": {}}


async def spread(
    address: str, calls: int = CALLS, triple: Mapping[str, str] | None = None, **headers: str
) -> tuple[Counter[str], Counter[str]]:  # fmt: skip
    """Which instances so many calls went to, by Dubbo2 and by gRPC; what failed is there by its status."""
    caller = await Caller.connect(address)
    async with closing(caller), calling(address) as peer:
        fields = [(name.encode(), text.encode()) for name, text in (triple or headers).items()]
        answers, streams = [], []
        for begun in range(0, calls, AT_ONCE):
            some = range(begun, min(calls, begun + AT_ONCE))
            answers += await asyncio.gather(*(caller.ask(CART, attachments=headers) for _ in some))
            ask = asks(f"/{CART}/hi", GRPC, *fields)
            streams += await asyncio.gather(*(peer.ask(ask, b"\0\0\0\0\0") for _ in some))
    one = Counter(str(a.value).partition(":")[0] if a.status == 20 else f"status {a.status}" for a in answers)
    two = Counter(bytes(s.body).decode() if s.get(b"grpc-status") == b"0" else f"grpc {s.trailers}" for s in streams)
    return one, two


async def settles(address: str, told: Callable[[Counter[str]], bool]) -> None:
    """Calls until it holds of both protocols: each notices for itself that an instance is gone, and localities are
    counted anew a little later. A TimeoutError says that it never held."""
    counts: tuple[Counter[str], ...] = ()
    try:
        async with asyncio.timeout(PATIENCE):
            while not (counts and all(told(one) for one in counts)):
                counts = await spread(address)
    except TimeoutError:
        raise TimeoutError(f"it came to {counts}") from None
