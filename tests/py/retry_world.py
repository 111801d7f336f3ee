"""Services of a mesh, each with a rule and instances of its own that do as they are told, one try after the other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers import Caller, Frame, Provider, closing
from proxies import PATIENCE, Proxy, outbound, proxy
from webs2 import GRPC, Fields, Peer, Server, Stream, calling

from meshfast import dubbo, hessian

NO_LIMITS = {"retryPercent": 1000, "retryRate": 1_000_000}  # for rules alone to decide, from the first ms on
JSON = b"application/json"


@dataclass
class Try:
    """One try of a call, as an instance sees it."""

    nth: int  # of its service, from 1
    instance: int
    writer: asyncio.StreamWriter | None = None
    frame: Frame | None = None
    stream: Stream | None = None

    @property
    def text(self) -> str:
        return f"try {self.nth}"


Act = Callable[[Try], None]


# --- what an instance may do


def silent(tried: Try) -> None:
    pass


def hang_up(tried: Try) -> None:
    if tried.writer:
        tried.writer.transport.abort()
    elif tried.stream:
        tried.stream.peer._writer.transport.abort()


def ok(tried: Try) -> None:
    if tried.writer and tried.frame:
        tried.writer.write(dubbo.encode_response(tried.frame.id, tried.text))
    elif tried.stream:
        tried.stream.head([(b":status", b"200"), GRPC])
        tried.stream.head([(b"grpc-status", b"0"), (b"x-said", tried.text.encode())], True)


def status(number: int) -> Act:
    """Of Dubbo2."""

    def act(tried: Try) -> None:
        assert tried.writer and tried.frame
        text = hessian.encode(tried.text)
        head = bytes([0xDA, 0xBB, 2, number]) + tried.frame.raw[4:12]
        tried.writer.write(head + len(text).to_bytes(4, "big") + text)

    return act


def http(number: int, *more: tuple[bytes, bytes], end: bool = True) -> Act:
    def act(tried: Try) -> None:
        assert tried.stream
        fields = [(b":status", b"%d" % number), (b"x-said", tried.text.encode()), *more]
        tried.stream.head(fields, end)

    return act


def grpc(number: int) -> Act:
    """In an answer that is no more than its head."""
    return http(200, GRPC, (b"grpc-status", b"%d" % number))


def grpc_late(number: int) -> Act:
    """Behind a head."""

    def act(tried: Try) -> None:
        http(200, GRPC, end=False)(tried)
        assert tried.stream
        tried.stream.head([(b"grpc-status", b"%d" % number)], True)

    return act


def reset(code: int) -> Act:
    def act(tried: Try) -> None:
        assert tried.stream
        tried.stream.reset(code)

    return act


# --- the mesh


@dataclass
class Service:
    name: str
    retries: dict[str, Any] | None
    acts: tuple[Act, ...]  # one for each try, the last for all that come then
    http2: bool = False
    instances: int = 3
    localities: tuple[str, ...] = ()  # of the instances, in turn
    early: bool = False  # HTTP/2: they act when a try begins, not when all of it has come
    timeout: str = ""
    traffic: dict[str, Any] = field(default_factory=dict)
    tries: list[Try] = field(default_factory=list)
    ports: list[int] = field(default_factory=list)

    def _act(self, tried: Try) -> None:
        self.tries.append(tried)
        tried.nth = len(self.tries)
        self.acts[min(tried.nth, len(self.acts)) - 1](tried)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for i in range(self.instances):
                one = await stack.enter_async_context(Server(self._streams(i))) if self.http2 else None
                if one is None:
                    provider = await Provider(f"{i}", self._frames(i)).start()
                    await stack.enter_async_context(closing(provider))
                    self.ports.append(provider.port)
                else:
                    self.ports.append(one.port)
            yield

    def _frames(self, instance: int) -> Any:
        async def handle(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
            self._act(Try(0, instance, writer, frame))

        return handle

    def _streams(self, instance: int) -> Any:
        async def handle(stream: Stream) -> None:
            if not self.early:
                await stream.ended.wait()
            if stream.code < 0:
                self._act(Try(0, instance, stream=stream))

        return handle

    def documents(self) -> list[dict[str, Any]]:
        route: dict[str, Any] = {"route": [{"destination": {"host": self.name}}]}
        route |= {"retries": self.retries} if self.retries is not None else {}
        route |= {"timeout": self.timeout} if self.timeout else {}
        endpoints = [{"address": "127.0.0.1", "ports": {"any": port}} for port in self.ports]
        for endpoint, locality in zip(endpoints, self.localities, strict=False):
            endpoint["locality"] = locality
        ports = [{"number": 1, "name": "any", "protocol": "TCP"}]
        specs = [
            ("ServiceEntry", {"hosts": [self.name], "ports": ports, "endpoints": endpoints}),
            ("VirtualService", {"hosts": [self.name], "http": [route]}),
        ] + ([("DestinationRule", {"host": self.name, "trafficPolicy": self.traffic})] if self.traffic else [])
        return [
            {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": self.name}, "spec": spec}
            for kind, spec in specs
        ]


def _text(services: Iterable[Service]) -> str:
    return "\n---\n".join(json.dumps(d) for service in services for d in service.documents())


class World:
    def __init__(self, running: Proxy, caller: Caller, peer: Peer) -> None:
        self.running, self.caller, self.peer = running, caller, peer

    async def dubbo(self, service: Service, argument: str = "x", **attachments: hessian.Value) -> dubbo.Response:
        return await asyncio.wait_for(self.caller.ask(service.name, argument, attachments=attachments), PATIENCE)

    def fields(self, service: Service, *more: tuple[bytes, bytes], kind: bytes = GRPC[1]) -> Fields:
        name = service.name.encode()
        return [
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/%s/hi" % name), (b":authority", name),
            (b"content-type", kind), *more,
        ]  # fmt: skip

    async def http(
        self, service: Service, *more: tuple[bytes, bytes], body: bytes = b"", kind: bytes = GRPC[1]
    ) -> Stream:
        return await self.peer.ask(self.fields(service, *more, kind=kind), body)

    def write(self, *services: Service) -> None:
        """What they are from here on."""
        self.running.write(_text(services))

    async def ask(self, service: Service) -> None:
        await (self.http(service) if service.http2 else self.dubbo(service))

    async def counted(self, *names: str) -> tuple[int, ...]:
        counters = await self.running.counters()
        return tuple(int(counters[name]) for name in names)


@asynccontextmanager
async def world(
    folder: Path, backend: str, *services: Service, limits: dict[str, int] | None = None, workers: int = 1,
    labels: dict[str, str] | None = None,
) -> AsyncIterator[World]:  # fmt: skip
    async with AsyncExitStack() as stack:
        for service in services:
            await stack.enter_async_context(service.serving())
        text = _text(services)
        limits = NO_LIMITS if limits is None else limits
        running = await stack.enter_async_context(
            proxy(folder, backend, [outbound()], text, limits=limits, workers=workers, labels=labels)
        )
        caller = await Caller.connect(running.address("out"))
        await stack.enter_async_context(closing(caller))
        peer = await stack.enter_async_context(calling(running.address("out")))
        yield World(running, caller, peer)
