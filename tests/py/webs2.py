"""HTTP/2 peers for the tests, on asyncio and meshfast.http2: a server that answers as a test says, and a caller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from meshfast import http2
from meshfast.http2 import Flag

Fields = list[tuple[bytes, bytes]]
WINDOW = 1 << 30  # of each stream and connection: content flows freely
PIECE = 16384
GRPC = (b"content-type", b"application/grpc")


@dataclass
class Stream:
    """One stream at one end: what came, and what is said."""

    peer: Peer
    number: int
    fields: Fields = field(default_factory=list)
    trailers: Fields = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    code: int = -1  # of RST_STREAM
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def get(self, name: bytes) -> bytes | None:
        """A field of the head or the trailers."""
        return dict(self.fields + self.trailers).get(name)

    def head(self, fields: Fields, end: bool = False) -> None:
        flags = Flag.END_HEADERS | (Flag.END_STREAM if end else Flag.NONE)
        self.peer.write(http2.Headers(self.number, flags, self.peer.encoder.encode(fields)))

    async def data(self, data: bytes, end: bool = False) -> None:
        """As the other end's windows let it go."""
        while data:
            size = await self.peer.room(self.number, min(len(data), PIECE))
            self.peer.write(http2.Data(self.number, Flag.NONE, data[:size]))
            data = data[size:]
        if end:
            self.peer.write(http2.Data(self.number, Flag.END_STREAM))

    def reset(self, code: int) -> None:
        self.peer.write(http2.RstStream(self.number, code=code))


Handler = Callable[[Stream], Awaitable[None]]
Reads = Callable[[Stream], bool]


class Peer:
    """One end of a connection: opens its window, and gives back what came only by that. With ``reads`` its windows are
    those that all begin with, and it gives back at once what came for streams that it reads."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler | None,
        reads: Reads | None = None,
    ) -> None:  # fmt: skip
        self._reads = reads
        self._reader, self._writer, self._handler = reader, writer, handler
        self.encoder, self._decoder = http2.HeaderEncoder(), http2.HeaderDecoder()
        self.streams: dict[int, Stream] = {}
        self._next = 1
        self._initial, self._windows = 65535, {0: 65535}
        self._wider = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        if not handler:
            writer.write(http2.PREFACE)
        window = WINDOW if not reads else 65535
        self.write(http2.Settings(0, 0, ((http2.Setting.INITIAL_WINDOW_SIZE, window),)))
        if not reads:
            self.write(http2.WindowUpdate(0, 0, WINDOW))
        self.task = asyncio.ensure_future(self._read())

    def write(self, frame: http2.Frame) -> None:
        self._writer.write(frame.encode())

    async def room(self, number: int, most: int) -> int:
        """How much may go of a stream's content, which is taken to go."""
        async with self._wider:
            while (size := min(most, self._windows[0], self._of(number))) <= 0:
                await self._wider.wait()
        self._windows[0] -= size
        self._windows[number] = self._of(number) - size
        return size

    def _of(self, number: int) -> int:
        return self._windows.setdefault(number, self._initial)

    def open(self, fields: Fields, end: bool = False) -> Stream:
        """A request, or its head."""
        stream = self.streams[self._next] = Stream(self, self._next)
        self._next += 2
        stream.head(fields, end)
        return stream

    async def ask(self, fields: Fields, body: bytes = b"") -> Stream:
        """A whole call."""
        stream = self.open(fields, not body)
        if body:
            await stream.data(body, True)
        await asyncio.wait_for(stream.ended.wait(), 30)
        return stream

    async def close(self) -> None:
        self._writer.transport.abort()
        for task in (self.task, *self._tasks):
            task.cancel()
        await asyncio.gather(self.task, *self._tasks, return_exceptions=True)

    async def _read(self) -> None:
        with suppress(ConnectionError):
            await self._frames()

    async def _frames(self) -> None:
        rest = b""
        if self._handler:
            assert await self._reader.readexactly(len(http2.PREFACE)) == http2.PREFACE
        while data := await self._reader.read(1 << 16):
            rest += data
            while found := http2.parse_frame(rest):
                await self._take(found[0])
                rest = rest[found[1] :]

    async def _widen(self, streams: Iterable[int], by: int) -> None:
        async with self._wider:
            for number in streams:
                self._windows[number] = self._of(number) + by
            self._wider.notify_all()

    async def _take(self, frame: http2.Frame) -> None:
        if isinstance(frame, http2.Settings) and not frame.is_ack:
            self.write(http2.Settings(0, Flag.ACK))
            before = self._initial
            self._initial = dict(frame.settings).get(http2.Setting.INITIAL_WINDOW_SIZE, before)
            await self._widen([number for number in self._windows if number], self._initial - before)
        elif isinstance(frame, http2.WindowUpdate):
            await self._widen([frame.stream], frame.increment)
        elif isinstance(frame, http2.Ping) and not frame.is_ack:
            self.write(http2.Ping(0, Flag.ACK, frame.data))
        elif isinstance(frame, http2.Headers):
            assert frame.flags & Flag.END_HEADERS
            self._fields(frame)
        elif isinstance(frame, http2.Data):
            stream = self.streams[frame.stream]
            stream.body += frame.data
            if self._reads and frame.data and self._reads(stream):
                self.write(http2.WindowUpdate(0, 0, len(frame.data)))
                self.write(http2.WindowUpdate(stream.number, 0, len(frame.data)))
        elif isinstance(frame, http2.RstStream):
            self.streams[frame.stream].code = frame.code
            self.streams[frame.stream].ended.set()
        if frame.is_last:
            self.streams[frame.stream].ended.set()

    def _fields(self, frame: http2.Headers) -> None:
        fields = self._decoder.decode(frame.block)
        stream = self.streams.setdefault(frame.stream, Stream(self, frame.stream))
        if stream.fields:
            stream.trailers = fields
            return
        stream.fields = fields
        stream.begun.set()
        if self._handler:
            self._tasks.append(asyncio.ensure_future(self._handler(stream)))


async def echo(stream: Stream) -> None:
    """What a call of gRPC says, back, once it has all come."""
    await stream.ended.wait()
    stream.head([(b":status", b"200"), GRPC])
    await stream.data(bytes(stream.body))
    stream.head([(b"grpc-status", b"0")], True)


class Server:
    """A server whose streams a handler answers."""

    def __init__(self, handler: Handler = echo, reads: Reads | None = None) -> None:
        self._handler, self._reads = handler, reads
        self.peers: list[Peer] = []
        self.address = ""

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.address = "{}:{}".format(*self._server.sockets[0].getsockname())
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        for peer in self.peers:
            await peer.close()

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peers.append(Peer(reader, writer, self._handler, self._reads))


@asynccontextmanager
async def calling(address: str) -> AsyncIterator[Peer]:
    """A caller's connection."""
    host, _, port = address.rpartition(":")
    peer = Peer(*await asyncio.open_connection(host, int(port)), None)
    try:
        yield peer
    finally:
        await peer.close()


def asks(path: str, *more: tuple[bytes, bytes], authority: str = "cart", method: str = "POST") -> Fields:
    """A request's fields; of gRPC with GRPC among ``more``."""
    said = {":method": method, ":scheme": "http", ":path": path, ":authority": authority}
    return [*((name.encode(), value.encode()) for name, value in said.items()), *more]
