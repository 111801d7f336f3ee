"""An admin address of a sidecar that is not running, and raw connections to it, on either loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from meshfast import _core
from meshfast.admin import Admin
from meshfast.endpoint.dubbo import Endpoint
from meshfast.endpoint.http import Api
from meshfast.endpoint.nacos import Nacos
from meshfast.loop import new_event_loop
from meshfast.model import Mesh
from meshfast.registration import Registrations
from meshfast.routing import Table
from meshfast.running import Running
from meshfast.serve import Limits
from meshfast.snapshots import Snapshots
from meshfast.source.names import Names
from meshfast.source.registries import Registries


@dataclass
class Still:
    """What the pages look at, with a table of its own and an engine that was not started."""

    state: Running = field(default_factory=Running)
    table: Table = field(default_factory=Table)
    mesh: Mesh = field(default_factory=Mesh)
    addresses: dict[str, str] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    registries: Registries = field(default_factory=Registries)
    endpoint: Endpoint | None = None
    nacos: Nacos | None = None
    api: Api | None = None
    registrations: Registrations = field(default_factory=Registrations)
    snapshots: Snapshots = field(default_factory=lambda: Snapshots(lambda: None))
    engine: _core.Engine | None = None
    stops: int = 0

    def stop(self) -> None:
        self.stops += 1


@asynccontextmanager
async def admin(still: Still, address: str = "tcp://127.0.0.1:0", **limits: object):
    """Serves ``still``'s pages; gives the address."""
    if still.engine is None:
        still.engine = _core.Engine(still.table.native)
    served = Admin(still, Limits(**limits))  # type: ignore[arg-type]
    bound = await served.start(address)
    try:
        yield bound
    finally:
        await served.stop()


def on_loop(backend: str, story: Callable[[], Awaitable[None]], seconds: float = 60.0) -> None:
    try:
        runner = asyncio.Runner(loop_factory=lambda: new_event_loop(backend))
        runner.get_loop()
    except OSError as error:
        pytest.skip(f"this kernel: {error}")
    with runner:
        runner.run(asyncio.wait_for(story(), seconds))


async def connect(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if address.startswith("unix://"):
        return await asyncio.open_unix_connection(address.removeprefix("unix://"))
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(host.strip("[]"), int(port))


async def raw(address: str, data: bytes) -> bytes:
    """What is answered to these bytes until the connection ends."""
    reader, writer = await connect(address)
    try:
        writer.write(data)
        return await reader.read(-1)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def get(target: str = "/ready", *more: str, method: str = "GET", host: str = "localhost") -> bytes:
    """A request after which the connection ends."""
    heads = [f"Host: {host}", "Connection: close", *more]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *heads, "", ""]).encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def small_buffers(address: str) -> socket.socket:
    """A connection that holds little of what it does not read."""
    host, _, port = address.rpartition(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((host, int(port)))
    return sock
