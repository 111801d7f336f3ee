"""Dubbo2 peers for the tests of the engine: a provider and a caller on asyncio, byte for byte under the test's hand."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from meshfast import dubbo

HEAD = 16


@dataclass
class Frame:
    """One frame as it came: its head, and all of its bytes."""

    head: dubbo.Head
    raw: bytes

    @property
    def id(self) -> int:
        return self.head.request_id


async def read_frame(reader: asyncio.StreamReader) -> Frame | None:
    """The next frame, or None at a clean end."""
    try:
        head = await reader.readexactly(HEAD)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    parsed = dubbo.parse_head(head)
    assert parsed is not None
    return Frame(parsed, head + await reader.readexactly(parsed.body_length))


Handler = Callable[["Provider", asyncio.StreamWriter, Frame], Awaitable[None]]


@dataclass
class Provider:
    """An echo provider: answers `name:first argument`; `handler` may do otherwise."""

    name: str = "provider"
    handler: Handler | None = None
    host: str = "127.0.0.1"
    address: str = ""
    admit: Callable[[Provider, asyncio.StreamWriter], Awaitable[bool]] | None = None
    requests: list[Frame] = field(default_factory=list)
    events: list[Frame] = field(default_factory=list)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, port: int = 0, path: str = "") -> Provider:
        if path:
            self._server = await asyncio.start_unix_server(self._serve, path)
            self.address = f"unix://{path}"
        else:
            self._server = await asyncio.start_server(self._serve, self.host, port)
            self.address = "{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        if self.admit and not await self.admit(self, writer):
            writer.close()
            return
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        try:
            while frame := await read_frame(reader):
                if frame.head.is_event:
                    self.events.append(frame)
                    if frame.head.is_two_way and frame.head.is_request:
                        writer.write(answer_event(frame))
                    continue
                self.requests.append(frame)
                self.arrived.set()
                if self.handler:
                    await self.handler(self, writer, frame)
                elif frame.head.is_two_way:
                    writer.write(self.answer(frame))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled by stop(): asyncio's own callback would call that an error
        finally:
            self._tasks.discard(task)
            writer.close()

    def answer(self, frame: Frame) -> bytes:
        return dubbo.encode_response(frame.id, f"{self.name}:{argument(frame)}")

    def shut(self) -> None:
        """Lets nobody else in; who is there stays."""
        if self._server:
            self._server.close()

    async def stop(self) -> None:
        self.shut()
        for writer in self.writers:
            writer.transport.abort()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def argument(frame: Frame) -> str:
    """The first argument of a request that encode_request made: a short string behind the parameter types."""
    request = dubbo.parse_request(frame.raw)
    types = request.parameter_types.encode()
    at = frame.raw.index(types, HEAD) + len(types) if types else HEAD
    tag = frame.raw[at]
    if tag < 0x20:
        return frame.raw[at + 1 : at + 1 + tag].decode()
    if 0x30 <= tag <= 0x33:
        return frame.raw[at + 2 : at + 2 + ((tag - 0x30) << 8 | frame.raw[at + 1])].decode()
    return "?"


def answer_event(frame: Frame) -> bytes:
    return bytes([0xDA, 0xBB, frame.raw[2] & 0x3F, 20]) + frame.raw[4:]


class Caller:
    """A consumer: many calls in flight on one connection, answers matched by id."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.ids = itertools.count(1)
        self.waiting: dict[int, asyncio.Future[dubbo.Response]] = {}
        self.strays: list[Frame] = []
        self.events: list[Frame] = []
        self.closed = asyncio.Event()
        self.task = asyncio.ensure_future(self._read())

    @classmethod
    async def connect(cls, address: str) -> Caller:
        if address.startswith("unix://"):
            return cls(*await asyncio.open_unix_connection(address[7:]))
        host, _, port = address.rpartition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def _read(self) -> None:
        try:
            while frame := await read_frame(self.reader):
                future = self.waiting.pop(frame.id, None)
                if frame.head.is_event:
                    self.events.append(frame)
                if future and not future.done():
                    future.set_result(dubbo.decode_response(frame.raw))
                elif not frame.head.is_event:
                    self.strays.append(frame)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed.set()
            for future in self.waiting.values():
                if not future.done():
                    future.set_exception(ConnectionResetError("the connection ended"))

    def send(self, raw: bytes, request_id: int | None = None) -> asyncio.Future[dubbo.Response]:
        """Writes bytes; the future is the answer to `request_id` (by default the frame's own)."""
        future: asyncio.Future[dubbo.Response] = asyncio.get_running_loop().create_future()
        key = int.from_bytes(raw[4:12], "big", signed=True) if request_id is None else request_id
        if self.closed.is_set():
            raise ConnectionResetError("the connection has ended")
        self.waiting[key] = future
        self.writer.write(raw)
        return future

    def ask(self, service: str, argument: str = "x", **more: object) -> asyncio.Future[dubbo.Response]:
        """One two-way call of `hi(argument)`."""
        return self.send(dubbo.encode_request(next(self.ids), service, "hi", (argument,), **more))  # type: ignore[arg-type]

    async def close(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        self.writer.transport.abort()


@asynccontextmanager
async def closing(*things: Provider | Caller):  # type: ignore[no-untyped-def]
    """Stops providers and closes callers at the end."""
    try:
        yield things
    finally:
        for thing in things:
            await (thing.stop() if isinstance(thing, Provider) else thing.close())


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Waits for something that happens elsewhere; a TimeoutError says that it did not."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


def until_now(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """The same without a loop: for what another thread does."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


MESH = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: cart}}
spec:
  hosts: [com.x.Cart]
  ports: [{{number: 1, name: dubbo, protocol: TCP}}]
  endpoints:
{endpoints}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: by-label}}
spec:
  hosts: ["*"]
  http: [{{route: [{{destination: {{subset: $env}}}}]}}]
---
apiVersion: istio.alibabacloud.com/v1
kind: TrafficLabel
metadata: {{name: env}}
spec:
  rules: [{{labels: [{{name: env, valueFrom: ["$getContext(x-request-id)"]}}]}}]
"""


def mesh(*providers: tuple[Provider, str]) -> str:
    """Policy that routes com.x.Cart to these by the label env, which is also found by x-request-id."""
    lines = [
        f"  - {{address: 127.0.0.1, ports: {{dubbo: {provider.port}}}, labels: {{{f'env: {env}' if env else ''}}}}}"
        for provider, env in providers
    ]
    return MESH.format(endpoints="\n".join(lines))
