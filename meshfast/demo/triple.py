"""Triple on asyncio streams: a consumer and a provider of unary calls, any number of them on a connection at a time.

What they need of HTTP/2 and no more, over ``meshfast.http2``. Messages are one google.protobuf.StringValue each, so any
client of gRPC may call, too.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from meshfast import http2
from meshfast.demo.wire import METHOD, TRACE, TRIPLE, Address, Answer, Asked, Consumer, Reply, Serving, Spawn, Streams
from meshfast.errors import MeshfastError

MOST = 1000  # bytes of a text: any stream's first window takes them, so only the connection's is looked at
CONTENT = {"content-type": "application/grpc+proto"}


def put_text(text: str) -> bytes:
    """A message as gRPC frames it: not compressed, its length, then field 1 with the text's length and the text."""
    raw = text.encode()
    if len(raw) > MOST:
        raise ValueError(f"{len(raw)} bytes of text, {MOST} are for a demonstration")
    length = bytes((len(raw),)) if len(raw) < 128 else bytes((len(raw) & 127 | 128, len(raw) >> 7))
    value = b"\n" + length + raw if raw else b""
    return b"\0" + len(value).to_bytes(4, "big") + value


def get_text(content: bytes) -> str:
    """The text of such a message. ValueError: it is none."""
    value = content[5:]
    if content[:5] != b"\0" + len(value).to_bytes(4, "big") or value[:1] not in (b"\n", b""):
        raise ValueError(f"{len(content)} bytes that are no message with one text")
    return value[3 if value[1:2] > b"\x7f" else 2 :].decode()


@dataclass(slots=True)
class Message:
    """What came on one stream: fields, those behind the content included, and content."""

    fields: dict[str, str] = field(default_factory=dict)
    content: bytes = b""


class Link(ABC):
    """One connection of HTTP/2, whichever end: reads what comes, and keeps to what the other end allows."""

    def __init__(self, streams: Streams) -> None:
        self.reader, self.writer = streams
        self.open: dict[int, Message] = {}  # by stream
        self.leaving = self.ended = False  # no call may begin here any more; nothing comes or goes
        self._decoder, self._encoder = http2.HeaderDecoder(), http2.HeaderEncoder()
        self._window = 65535  # bytes of content that the other end takes
        self._most = 100  # streams that it takes at once
        self._news = asyncio.Condition()

    @abstractmethod
    def whole(self, stream: int, message: Message) -> None:
        """All of a stream has come."""

    def broken(self, stream: int, why: str) -> None:
        """A stream has ended before."""
        self.open.pop(stream, None)

    def send(self, *frames: http2.Frame) -> None:
        for frame in frames:
            self.writer.write(frame.encode())
            if isinstance(frame, http2.Data):
                self._window -= len(frame.data)

    def fields(self, stream: int, fields: Mapping[str, str], last: bool = False) -> http2.Headers:
        """To be sent before any other that is made."""
        block = self._encoder.encode((name.lower().encode(), value.encode()) for name, value in fields.items())
        flags = http2.Flag.END_HEADERS | (http2.Flag.END_STREAM if last else http2.Flag.NONE)
        return http2.Headers(stream, flags, block)

    async def room(self, size: int, begin: bool = False) -> bool:
        """Waits until so much content, of a call that begins or one that is there, may go out. False: never."""

        def never() -> bool:
            return self.ended or (begin and self.leaving)

        def now() -> bool:
            return self._window >= size and not (begin and len(self.open) >= self._most)

        async with self._news:
            await self._news.wait_for(lambda: never() or now())
        return not never()

    async def run(self, begun: bytes = b"") -> None:
        """Until the connection ends; no stream is open then."""
        why = "the connection ended before the answer came"
        try:
            async for frame in self._frames(begun):
                self._take(frame)
                async with self._news:
                    self._news.notify_all()
        except MeshfastError as error:
            why = str(error)
            self.send(http2.GoAway(code=http2.error_code(error), debug=why.encode()))
        except ConnectionError as error:
            why = str(error)
        self.leaving = self.ended = True
        self.writer.close()
        for stream in list(self.open):
            self.broken(stream, why)
        async with self._news:
            self._news.notify_all()

    async def _frames(self, data: bytes) -> AsyncIterator[http2.Frame]:
        """With a block of fields in one frame, whatever it came in."""
        head: http2.Headers | None = None
        while True:
            while (found := http2.parse_frame(data)) is not None:
                frame, data = found[0], data[found[1] :]
                if isinstance(frame, http2.Headers):
                    head = frame
                elif head and isinstance(frame, http2.Continuation):
                    head = http2.Headers(head.stream, head.flags | frame.flags, head.block + frame.block)
                else:
                    yield frame
                    continue
                if head.flags & http2.Flag.END_HEADERS:
                    yield head
                    head = None
            if not (more := await self.reader.read(65536)):
                return
            data += more

    def _take(self, frame: http2.Frame) -> None:
        match frame:
            case http2.Settings() | http2.Ping() if frame.is_ack:
                pass
            case http2.Settings():
                said = dict(frame.settings)
                self._most = said.get(http2.Setting.MAX_CONCURRENT_STREAMS, self._most)
                if (size := said.get(http2.Setting.HEADER_TABLE_SIZE)) is not None:
                    self._encoder.max_table_size = min(size, 4096)
                self.send(http2.Settings(flags=http2.Flag.ACK))
            case http2.Ping():
                self.send(http2.Ping(flags=http2.Flag.ACK, data=frame.data))
            case http2.WindowUpdate(stream=0):
                self._window += frame.increment
            case http2.GoAway():
                self.leaving = True
            case http2.RstStream():
                self.broken(frame.stream, f"reset with {frame.code}")
            case http2.Headers():
                found = self._decoder.decode(frame.block)
                self._part(frame, {name.decode(): value.decode() for name, value in found}, b"")
            case http2.Data():
                if taken := len(frame.data) + (0 if frame.pad is None else frame.pad + 1):
                    self.send(http2.WindowUpdate(increment=taken))
                self._part(frame, {}, frame.data)

    def _part(self, frame: http2.Frame, fields: dict[str, str], content: bytes) -> None:
        if (message := self.open.get(frame.stream)) is not None:
            message.fields |= fields
            message.content += content
            if frame.is_last:
                self.whole(frame.stream, message)


class Calls(Link):
    """The consumer's end."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(streams)
        self._next = 1
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self.writer.write(http2.PREFACE + http2.Settings().encode())

    async def ask(self, fields: Mapping[str, str], content: bytes) -> Message:
        """One call, for which there is `room`."""
        stream, self._next = self._next, self._next + 2
        self.open[stream] = Message()
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[stream] = answer
        self.send(self.fields(stream, fields), http2.Data(stream, http2.Flag.END_STREAM, content))
        try:
            return await answer
        finally:
            del self._waiting[stream]
            if self.open.pop(stream, None) is not None:
                self.send(http2.RstStream(stream))
            if self.leaving and not self.open:
                self.writer.close()

    def _take(self, frame: http2.Frame) -> None:
        if isinstance(frame, http2.GoAway):
            for stream in [one for one in self.open if one > frame.last]:
                self.broken(stream, "not looked at: the other end is leaving")
        super()._take(frame)

    def whole(self, stream: int, message: Message) -> None:
        del self.open[stream]
        if not self._waiting[stream].done():
            self._waiting[stream].set_result(message)

    def broken(self, stream: int, why: str) -> None:
        if self.open.pop(stream, None) is not None and not self._waiting[stream].done():
            self._waiting[stream].set_exception(ConnectionResetError(why))


class Client(Consumer):
    """What its base says, in Triple; headers are fields."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._calls: Calls | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._connecting = asyncio.Lock()

    async def call(self, service: str, text: str, headers: Mapping[str, str], timeout: float) -> Reply:
        fields = {
            ":method": "POST", ":scheme": "http", ":path": f"/{service}/{METHOD}", ":authority": service.lower(),
            "te": "trailers", "tri-service-timeout": f"{timeout * 1000:.0f}", **CONTENT, **headers,
        }  # fmt: skip
        content = put_text(text)
        async with asyncio.timeout(timeout):
            calls = await self._connected()
            while not await calls.room(len(content), begin=True):
                calls = await self._connected()
            message = await calls.ask(fields, content)
        found = message.fields
        if (status := found.get("grpc-status", found.get(":status", ""))) != "0":
            return Reply(error=f"status {status}: {unquote(found.get('grpc-message', ''))}")
        return Reply(get_text(message.content), found.get(TRACE, ""))

    async def _connected(self) -> Calls:
        async with self._connecting:
            if self._calls is None or self._calls.leaving:
                self._calls = Calls(await asyncio.open_connection(*self.address))
                running = asyncio.create_task(self._calls.run())
                self._running.add(running)
                running.add_done_callback(self._running.discard)
            return self._calls

    async def close(self) -> None:
        if self._calls is not None:
            self._calls.writer.close()
        if self._running:
            await asyncio.wait(self._running)


class Provider(Link, Serving):
    """The server's end of a connection."""

    def __init__(self, streams: Streams, answer: Answer, spawn: Spawn) -> None:
        Serving.__init__(self, streams, answer, spawn)
        Link.__init__(self, streams)
        self._last = 0

    async def serve(self, begun: bytes) -> None:
        begun += await self.reader.readexactly(len(http2.PREFACE) - len(begun))
        if begun == http2.PREFACE:
            self.send(http2.Settings())
            await self.run()

    def leave(self) -> None:
        self.send(http2.GoAway(last=self._last))
        self.writer.close()

    def _take(self, frame: http2.Frame) -> None:
        if isinstance(frame, http2.Headers) and frame.stream > self._last:
            self._last = frame.stream
            self.open[frame.stream] = Message()
        super()._take(frame)

    def whole(self, stream: int, message: Message) -> None:
        self.spawn(self._one(stream, message))

    async def _one(self, stream: int, message: Message) -> None:
        asked = Asked(TRIPLE, message.fields)
        content = put_text(await self.answer(asked))
        if await self.room(len(content)) and self.open.pop(stream, None) is not None:
            self.send(
                self.fields(stream, {":status": "200", **CONTENT}),
                http2.Data(stream, data=content),
                self.fields(stream, {"grpc-status": "0", TRACE: asked.trace}, last=True),
            )
