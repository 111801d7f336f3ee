"""Instances that fail as a test says, and calls of one service to them, of Dubbo2 or gRPC, under a trafficPolicy."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, Protocol

from engines import Running, running
from peers import Caller, Frame, Provider
from webs2 import GRPC, Peer, Server, Stream, asks

from meshfast import config, dubbo

SERVICE, HOST = "com.x.Cart", "cart.example"  # the second as plain HTTP calls it
PROTOCOLS = ["dubbo", "grpc"]


class Instance(Protocol):
    """One of them. ``status``: what it answers with, of its own protocol; ``hold``: it answers nothing until that is
    set."""

    status: int
    calls: int
    hold: asyncio.Event | None
    port: int


class DubboInstance(Provider):
    def __init__(self) -> None:
        super().__init__(handler=self._answer)
        self.status, self.calls = 20, 0
        self.hold: asyncio.Event | None = None
        self._later: list[asyncio.Task[None]] = []

    async def _answer(self, _: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        self.calls += 1
        self._later.append(asyncio.ensure_future(self._put(writer, frame)))

    async def _put(self, writer: asyncio.StreamWriter, frame: Frame) -> None:
        status = self.status
        if self.hold:
            await self.hold.wait()
        raw = bytearray(self.answer(frame))
        raw[3] = status
        writer.write(raw)


class GrpcInstance(Server):
    """``http``: it answers with that status of HTTP and no grpc-status; ``late``: its status is in trailers."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.status, self.calls, self.http, self.late = 0, 0, 0, False
        self.reset = -1
        self.hold: asyncio.Event | None = None

    async def _answer(self, stream: Stream) -> None:
        await stream.ended.wait()
        self.calls += 1
        status = self.status
        if self.hold:
            await self.hold.wait()
        told = (b"grpc-status", str(status).encode())
        if self.reset >= 0:
            stream.reset(self.reset)
        elif self.http:
            stream.head([(b":status", str(self.http).encode())], True)
        elif status == 0 or self.late:
            stream.head([(b":status", b"200"), GRPC])
            stream.head([told], True)
        else:
            stream.head([(b":status", b"200"), GRPC, told], True)


class Hung:
    """Who connects there waits: the queue of its listener is full. A context manager."""

    def __init__(self) -> None:
        self.status, self.calls = 0, 0
        self.hold: asyncio.Event | None = None
        self._sockets = [socket.socket(), socket.socket()]

    def __enter__(self) -> Hung:
        listener, first = self._sockets
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        self.port = listener.getsockname()[1]
        first.connect(listener.getsockname())
        return self

    def __exit__(self, *exception: object) -> None:
        for one in self._sockets:
            one.close()


class World:
    """A sidecar, its instances, and one caller."""

    def __init__(self, side: Running, instances: list[Any], caller: Any) -> None:
        self.side, self.instances, self._caller = side, instances, caller

    async def call(self, **more: Any) -> int:
        """A call's status, of its own protocol; of one that is reset 1000 and the code; of plain HTTP its own."""
        if isinstance(self._caller, Caller):
            return int((await self._caller.ask(SERVICE, **more)).status)
        fields = asks(f"/{SERVICE}/hi", *more.get("fields", (GRPC,)), authority=HOST)
        stream = await self._caller.ask(fields, b"\0\0\0\0\0")
        self.last = stream
        if stream.code > 0:
            return 1000 + stream.code
        status = stream.get(b"grpc-status")
        return int(status if status is not None else stream.get(b":status"))

    def begin(self) -> asyncio.Task[int]:
        """A call that is not waited for."""
        return asyncio.ensure_future(self.call())

    async def hang_up(self) -> None:
        await self._caller.close()

    def publish(self, traffic: dict[str, Any]) -> None:
        """Another trafficPolicy, from now on."""
        text = policy(self.instances, traffic, isinstance(self._caller, Peer))
        self.side.table.publish(config.load_texts([("mesh.yaml", text.encode())]))

    def write(self, raw: bytes) -> None:
        """Bytes of Dubbo2, as they are."""
        self._caller.writer.write(raw)

    async def calls(self, n: int) -> Counter[int]:
        return Counter([await self.call() for _ in range(n)])

    def counts(self) -> list[int]:
        """Calls of each instance since the last time."""
        found = [one.calls for one in self.instances]
        for one in self.instances:
            one.calls = 0
        return found

    def guard(self, subset: str = "") -> dict[str, Any]:
        """What the table knows of the guard of these instances."""
        return next(one for one in self.side.table.native.guards() if one["subset"] == subset)

    def out(self) -> list[int]:
        """The numbers of the instances that are ejected."""
        ports = {f"127.0.0.1:{one.port}": i for i, one in enumerate(self.instances)}
        return sorted(ports[one["address"]] for one in self.guard()["instances"] if one["out_for"] > 0)


def policy(
    instances: list[Any], traffic: dict[str, Any], grpc: bool, timeout: str = "", retries: dict[str, Any] | None = None
) -> str:  # fmt: skip
    name = "grpc" if grpc else "dubbo"
    endpoints = [{"address": "127.0.0.1", "ports": {name: one.port}, "labels": {"v": "v1"}} for one in instances]
    documents = [
        {
            "apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry", "metadata": {"name": "cart"},
            "spec": {"hosts": [SERVICE, HOST], "location": "MESH_INTERNAL", "resolution": "STATIC",
                     "ports": [{"number": 1, "name": name, "protocol": "TCP"}], "endpoints": endpoints},
        },
        {
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "cart"},
            "spec": {"host": "cart", "trafficPolicy": traffic} if traffic else {"host": "cart"},
        },
    ]  # fmt: skip
    said = ({"timeout": timeout} if timeout else {}) | ({"retries": retries} if retries else {})
    if said:
        documents.append({
            "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "cart"},
            "spec": {"hosts": [SERVICE], "http": [{**said, "route": [{"destination": {"host": "cart"}}]}]},
        })  # fmt: skip
    return "\n---\n".join(map(json.dumps, documents))


@asynccontextmanager
async def guarded(
    backend: str, protocol: str, n: int, traffic: dict[str, Any], *, timeout: str = "", hung: int = 0,
    retries: dict[str, Any] | None = None, also: int = 0, **more: Any
) -> AsyncIterator[World]:
    """``n`` instances, and behind them ``hung`` ones, and one at the port ``also``."""
    grpc = protocol == "grpc"
    async with AsyncExitStack() as stack:
        instances: list[Any] = []
        for _ in range(n):
            if grpc:
                instances.append(await stack.enter_async_context(GrpcInstance()))
            else:
                instances.append(await DubboInstance().start())
                stack.push_async_callback(instances[-1].stop)
        instances += [stack.enter_context(Hung()) for _ in range(hung)]
        instances += [SimpleNamespace(port=also)] if also else []
        side = stack.enter_context(running(backend, policy=policy(instances, traffic, grpc, timeout, retries), **more))
        host, _, port = side.address.rpartition(":")
        caller: Any = await Caller.connect(side.address) if not grpc else None
        if grpc:
            caller = Peer(*await asyncio.open_connection(host, int(port)), None)
        stack.push_async_callback(caller.close)
        yield World(side, instances, caller)


#: By protocol: a server's error, a gateway's, the caller's own fault, and what is well.
ERROR = {"dubbo": dubbo.Status.SERVICE_ERROR, "grpc": 13}
GATEWAY = {"dubbo": dubbo.Status.SERVER_THREADPOOL_EXHAUSTED, "grpc": 14}
FAULT = {"dubbo": dubbo.Status.BAD_REQUEST, "grpc": 5}
OK = {"dubbo": 20, "grpc": 0}
