"""The demonstration's HTTP/2, against a peer that is written here: it keeps to what the other end allows, and says what
became of each call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshfast import http2
from meshfast.demo.protocols import consumer, server
from meshfast.demo.topology import HOST
from meshfast.demo.triple import MOST, get_text, put_text
from meshfast.demo.wire import TRACE, TRIPLE, Asked, Consumer, Reply

FIELDS = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/demo.C/walk"), (b"x-request-id", b"t")]
LAST = http2.Flag.END_STREAM


@pytest.mark.parametrize("text", ["", "a", "a" * 127, "a" * 128, "ü" * (MOST // 2), "a" * MOST], ids=len)
def test_texts_come_back(text: str) -> None:
    assert get_text(put_text(text)) == text


def test_what_is_no_text() -> None:
    with pytest.raises(ValueError, match="1001 bytes"):
        put_text("a" * 1001)
    for content in (b"", b"\0\0\0\0", b"\1\0\0\0\0", b"\0\0\0\0\2\n", b"\0\0\0\0\1\x12"):
        with pytest.raises(ValueError, match="no message"):
            get_text(content)


class Peer:
    """One connection, frame by frame; fields are read to where they are needed."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.encoder, self.decoder = http2.HeaderEncoder(), http2.HeaderDecoder()
        self._data = b""

    def send(self, *frames: http2.Frame) -> None:
        self.writer.write(b"".join(frame.encode() for frame in frames))

    def fields(self, stream: int, pairs: list[tuple[bytes, bytes]], last: bool = False) -> http2.Headers:
        flags = http2.Flag.END_HEADERS | (LAST if last else http2.Flag.NONE)
        return http2.Headers(stream, flags, self.encoder.encode(pairs))

    def answer(self, stream: int, text: str, trace: bytes) -> None:
        """In pieces, padded, its fields in two frames."""
        head = self.fields(stream, [(b":status", b"200")])
        content = put_text(text)
        self.send(
            http2.Headers(stream, 0, head.block[:0]), http2.Continuation(stream, http2.Flag.END_HEADERS, head.block),
            http2.Data(stream, 0, content[:3], pad=7), http2.Data(stream, 0, content[3:]),
            self.fields(stream, [(b"grpc-status", b"0"), (TRACE.encode(), trace)], last=True),
        )  # fmt: skip

    async def next(self, *kinds: type[http2.Frame]) -> http2.Frame:
        """The next frame of these kinds; others are passed over."""
        while True:
            while (found := http2.parse_frame(self._data)) is not None:
                self._data = self._data[found[1] :]
                if isinstance(found[0], kinds):
                    return found[0]
            more = await self.reader.read(65536)
            assert more, "the connection ended"
            self._data += more


Scene = Callable[[Peer], Awaitable[None]]


def against(scene: Scene, calls: Callable[[Consumer], Awaitable[list[Reply | BaseException]]]) -> list[object]:
    """A consumer's calls to a server that plays `scene` on its first connection, and then answers nothing."""

    async def run() -> list[object]:
        played: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                assert await reader.readexactly(len(http2.PREFACE)) == http2.PREFACE
                await scene(Peer(reader, writer))
                played.set_result(None)
            except BaseException as error:
                played.set_exception(error)
            finally:
                writer.close()

        listening = await asyncio.start_server(accept, HOST, 0)
        client = consumer(TRIPLE, (HOST, listening.sockets[0].getsockname()[1]))
        async with asyncio.timeout(20):
            found = await calls(client)
            await client.close()
            await played
        listening.close()
        return list(found)

    return asyncio.run(run())


async def three(client: Consumer) -> list[Reply | BaseException]:
    work = (client.call("demo.C", "x" * 400, {TRACE: str(i)}, 10) for i in range(3))
    return await asyncio.gather(*work, return_exceptions=True)


def test_a_consumer_keeps_to_streams_and_windows() -> None:
    """One stream at a time, and for the last call the connection's window is spent first."""
    content = 400 + 8

    async def scene(peer: Peer) -> None:
        peer.send(http2.Settings(settings=((http2.Setting.MAX_CONCURRENT_STREAMS, 1),)))
        for i, stream in enumerate((1, 3, 5)):
            head = await peer.next(http2.Headers)
            assert head.stream == stream
            peer.decoder.decode(head.block)
            data = await peer.next(http2.Data)
            assert isinstance(data, http2.Data) and data.is_last and len(data.data) == content
            peer.send(http2.Ping(data=b"%08d" % i))
            ping = await peer.next(http2.Ping, http2.Headers)
            assert isinstance(ping, http2.Ping) and ping.is_ack and ping.data == b"%08d" % i
            peer.answer(stream, f"answer {i}", str(i).encode())

    async def calls(client: Consumer) -> list[Reply | BaseException]:
        first = [await client.call("demo.C", "x" * 400, {TRACE: "0"}, 10)]
        work = (client.call("demo.C", "x" * 400, {TRACE: str(i)}, 10) for i in (1, 2))
        return [*first, *await asyncio.gather(*work)]

    assert against(scene, calls) == [Reply(f"answer {i}", str(i)) for i in range(3)]


def test_a_consumer_says_what_became_of_each_call() -> None:
    """One is answered with an error, one reset, one is above what the other end has looked at before it leaves."""

    async def scene(peer: Peer) -> None:
        peer.send(http2.Settings())
        for _ in range(3):
            await peer.next(http2.Data)
        peer.send(
            peer.fields(1, [(b":status", b"200"), (b"grpc-status", b"14"), (b"grpc-message", b"a%20b")], last=True),
            http2.RstStream(3, code=http2.ErrorCode.INTERNAL_ERROR),
            http2.GoAway(last=3),
        )
        assert await peer.reader.read() is not None

    first, second, third = against(scene, three)
    assert first == Reply(error="status 14: a b")
    assert isinstance(second, ConnectionResetError) and "reset with 2" in str(second)
    assert isinstance(third, ConnectionResetError) and "not looked at" in str(third)


def test_a_consumer_gives_windows_back_and_tells_what_is_wrong() -> None:
    async def scene(peer: Peer) -> None:
        peer.send(http2.Settings())
        await peer.next(http2.Data)
        peer.send(http2.Data(1, 0, b"abc", pad=4))
        given = await peer.next(http2.WindowUpdate)
        assert (given.stream, given.increment) == (0, 8)  # the padding and its length included
        peer.writer.write(http2.WindowUpdate().encode())
        left = await peer.next(http2.GoAway)
        assert isinstance(left, http2.GoAway) and left.code == http2.ErrorCode.PROTOCOL_ERROR

    async def calls(client: Consumer) -> list[Reply | BaseException]:
        return await asyncio.gather(client.call("demo.C", "", {}, 10), return_exceptions=True)

    (found,) = against(scene, calls)
    assert isinstance(found, ConnectionResetError)


def test_a_provider_answers_as_its_caller_has_room() -> None:
    """Its answers wait for the connection's window, go out once there is room, also while the caller leaves."""
    many = 80  # answers of about 1,000 bytes are more than 65,535

    async def answer(asked: Asked) -> str:
        return "y" * 990

    async def scene() -> tuple[int, int]:
        serving = server(answer)
        listening = await asyncio.start_server(lambda *streams: serving._accept(*streams), HOST, 0)
        port = listening.sockets[0].getsockname()[1]
        peer = Peer(*await asyncio.open_connection(HOST, port))
        peer.writer.write(http2.PREFACE)
        peer.send(http2.Settings())
        for stream in range(1, 2 * many, 2):
            peer.send(peer.fields(stream, FIELDS), http2.Data(stream, LAST, put_text("")))
        got = 0
        while got + 998 <= 65535:
            got += len((await peer.next(http2.Data)).data)
        before = got
        peer.send(http2.GoAway(), http2.Ping(), http2.WindowUpdate(increment=65535))
        while got < many * 998:
            got += len((await peer.next(http2.Data)).data)
        await serving.stop(10)
        assert (await peer.next(http2.GoAway)).last == 2 * many - 1
        peer.writer.close()
        listening.close()
        return before, got

    assert asyncio.run(asyncio.wait_for(scene(), 20)) == (65 * 998, many * 998)


def test_what_is_neither_protocol_is_hung_up_on() -> None:
    async def answer(asked: Asked) -> str:
        return ""

    async def scene() -> list[bytes]:
        serving = server(answer)
        listening = await asyncio.start_server(lambda *streams: serving._accept(*streams), HOST, 0)
        found = []
        for begun in (b"G", b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n"):
            reader, writer = await asyncio.open_connection(HOST, listening.sockets[0].getsockname()[1])
            writer.write(begun)
            writer.write_eof()
            found.append(await reader.read())
            writer.close()
        await serving.stop(10)
        listening.close()
        return found

    assert asyncio.run(asyncio.wait_for(scene(), 20)) == [b"", b"", b""]
