"""The server of gRPC: calls, windows, limits, and what HTTP/2 wants of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from grpcs import Raw
from test_endpoint import until
from zookeepers import Served

from meshfast import http2
from meshfast.http2 import ErrorCode, Flag
from meshfast.serving.grpc import Server, Stream
from meshfast.serving.wire import Limits

ECHO, MANY, HOLD = "/x/echo", "/x/many", "/x/hold"


class Echo:
    """``echo`` answers with the message, ``many`` with as many as it says, of 1000 bytes, ``hold`` never."""

    def __init__(self, limits: Limits) -> None:
        self.server = Server(self, limits)
        self.ended: list[str] = []
        self.lost_count = 0

    async def start(self) -> str:
        return await self.server.start("endpoint", "tcp://127.0.0.1:0")

    async def stop(self) -> None:
        await self.server.stop()

    def begun(self, stream: Stream) -> bool:
        return stream.path in (ECHO, MANY, HOLD)

    def said(self, stream: Stream, message: bytes) -> None:
        if stream.path == ECHO:
            stream.send(message)
        elif stream.path == MANY:
            for _ in range(int(message)):
                stream.send(bytes(1000))

    def over(self, stream: Stream) -> None:
        if stream.path != HOLD:
            stream.end()

    def gone(self, stream: Stream) -> None:
        self.ended.append(stream.path)

    def lost(self, connection: object) -> None:
        self.lost_count += 1


@contextlib.contextmanager
def echo(**limits: float) -> Iterator[Served]:
    one = Served(make=lambda: Echo(Limits(**limits)))
    try:
        yield one
    finally:
        one.close()


def refused(one: Served) -> dict[str, int]:
    return one.do(lambda: dict(one.server.shared.refused))


def test_calls():
    with echo() as served:
        client = Raw(served.port)
        assert client.call(ECHO, b"a") == ([b"a"], 0)
        assert client.call(ECHO, bytes(500_000)) == ([bytes(500_000)], 0)
        assert client.heads[1] == {b":status": b"200", b"content-type": b"application/grpc"}
        id = client.open(ECHO)
        for word in (b"", b"x", b"yy"):
            client.say(id, word)
            client.until(lambda: id in client.messages and client.messages[id])
            assert client.messages.pop(id) == [word]
        client.put(http2.Data(id, Flag.END_STREAM))
        assert client.answer(id) == ([], 0)
        client.put(http2.Ping(data=b"12345678"))
        client.until(lambda: client.pongs)
        assert client.pongs == [b"12345678"] and client.acks == 1
        assert served.do(lambda: (served.server.shared.held, served.whole.ended)) == (0, [ECHO] * 3)
        client.close()
        until("it to be gone", lambda: served.do(lambda: served.whole.lost_count) == 1)
        assert refused(served) == {}


def test_one_byte_at_a_time():
    with echo() as served:
        client = Raw(served.port, begin=False)
        data = http2.PREFACE + http2.Settings().encode()
        data += http2.Headers(1, Flag.END_HEADERS, client.head(ECHO)).encode()
        data += http2.Data(1, Flag.END_STREAM, b"\0\0\0\0\3abc", pad=7).encode()
        for at in range(len(data)):
            client.write(data[at : at + 1])
        assert client.answer(1) == ([b"abc"], 0)
        client.close()


def test_headers_in_pieces():
    with echo() as served:
        client = Raw(served.port)
        block = client.head(ECHO, [(b"x-a", b"b" * 100)])
        client.put(http2.Headers(1, 0, block[:5]), http2.Continuation(1, 0, block[5:9]),
                   http2.Continuation(1, Flag.END_HEADERS, block[9:]))  # fmt: skip
        client.say(1, b"a", last=True)
        assert client.answer(1) == ([b"a"], 0)
        client.close()


def test_answers_wait_for_windows():
    with echo() as served:
        client = Raw(served.port, (http2.Setting.INITIAL_WINDOW_SIZE, 10))
        client.credit = False
        id = client.open(ECHO)
        client.say(id, b"x" * 95, last=True)
        other = client.open(MANY)  # whose window is its own
        client.say(other, b"0", last=True)
        assert client.answer(other) == ([], 0)
        assert len(client.data[id]) == 10 and id not in client.trailers
        client.put(http2.WindowUpdate(id, increment=50))
        client.until(lambda: len(client.data[id]) == 60)
        client.put(http2.Settings(settings=((http2.Setting.INITIAL_WINDOW_SIZE, 50),)))
        assert client.answer(id) == ([b"x" * 95], 0)
        client.close()


def test_the_connection_has_a_window_too():
    with echo() as served:
        client = Raw(served.port, (http2.Setting.INITIAL_WINDOW_SIZE, 1 << 20))
        client.credit = False
        id = client.open(MANY)
        client.say(id, b"100", last=True)
        client.until(lambda: 1005 * len(client.messages[id]) + len(client.data[id]) == 65535)
        client.put(http2.WindowUpdate(0, increment=1 << 20))
        assert client.answer(id) == ([bytes(1000)] * 100, 0)
        client.close()


@pytest.mark.parametrize(
    "path, kind, status",
    [("/x/none", b"application/grpc", 12), (ECHO, b"text/plain", 13), (ECHO, b"application/grpc+proto", 0)],
)
def test_what_is_no_method(path, kind, status):
    with echo() as served:
        client = Raw(served.port)
        block = client.encoder.encode([
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", b"x"),
            (b"content-type", kind),
        ])  # fmt: skip
        client.put(http2.Headers(1, Flag.END_HEADERS, block))
        client.say(1, b"a", last=True)
        assert client.answer(1)[1] == status
        client.next = 3
        assert client.call(ECHO, b"a") == ([b"a"], 0)
        client.close()


def test_messages_that_are_too_long():
    with echo(message=1000) as served:
        client = Raw(served.port)
        assert client.call(ECHO, bytes(1000)) == ([bytes(1000)], 0)
        assert client.call(ECHO, bytes(1001)) == ([], 8)
        id = client.open(ECHO)
        client.put(http2.Data(id, 0, b"\0\x7f\xff\xff\xff" + bytes(100)))  # and never more
        assert client.answer(id) == ([], 8)
        assert refused(served) == {"message": 2}
        assert client.call(ECHO, b"a") == ([b"a"], 0) and served.do(lambda: served.server.shared.held) == 0
        client.close()


def test_messages_that_are_not_whole():
    with echo(bytes=100_000) as served:
        client, other = Raw(served.port), Raw(served.port)
        ids = [client.open(ECHO) for _ in range(5)]
        for id in ids:
            client.put(http2.Data(id, 0, b"\0\0\1\0\0"), *[http2.Data(id, 0, bytes(10_000))] * 2)
        client.until(lambda: ids[4] in client.trailers)
        assert client.answer(ids[4]) == ([], 8) and refused(served) == {"bytes": 1}
        assert other.call(ECHO, b"a") == ([b"a"], 0)
        client.close()
        until("it to be gone", lambda: served.do(lambda: served.server.shared.held) == 0)
        other.close()


def test_who_holds_most_gives_way():
    """However much somebody says half of: another's message, in however many frames, is answered."""
    with echo(bytes=100_000) as served:
        hog, client = Raw(served.port), Raw(served.port)
        ids = [hog.open(ECHO) for _ in range(6)]
        for id in ids:
            hog.put(http2.Data(id, 0, b"\0\0\1\0\0" + bytes(16_000)))
        hog.put(http2.Ping(data=b"all came"))
        hog.until(lambda: hog.pongs)
        message = bytes(40_000)
        for _ in range(3):
            assert client.call(ECHO, message) == ([message], 0)
        hog.until(lambda: len(hog.trailers) >= 2)
        assert {found[b"grpc-status"] for found in hog.trailers.values()} == {b"8"}
        assert set(refused(served)) == {"bytes"}
        hog.close()
        client.close()
        until("both to be gone", lambda: served.do(lambda: served.server.shared.held) == 0)


def test_a_message_that_is_cut_off_and_one_that_is_compressed():
    with echo() as served:
        client = Raw(served.port)
        id = client.open(ECHO)
        client.put(http2.Data(id, Flag.END_STREAM, b"\0\0\0\0\5abc"))
        assert client.answer(id) == ([], 13)
        id = client.open(ECHO)
        client.put(http2.Data(id, Flag.END_STREAM, b"\1\0\0\0\1a"))
        assert client.answer(id) == ([], 12)
        assert client.call(ECHO, b"a") == ([b"a"], 0)
        client.close()


def test_too_many_streams():
    with echo(streams=3) as served:
        client = Raw(served.port)
        ids = [client.open(HOLD) for _ in range(4)]
        client.until(lambda: ids[3] in client.resets)
        assert client.resets == {ids[3]: ErrorCode.REFUSED_STREAM}
        assert client.settings[http2.Setting.MAX_CONCURRENT_STREAMS] == 3
        client.put(http2.RstStream(ids[0]))
        assert client.call(ECHO, b"a") == ([b"a"], 0)
        assert refused(served) == {"streams": 1}
        client.close()


def test_too_many_connections():
    with echo(connections=2) as served:
        first, second = Raw(served.port), Raw(served.port)
        assert first.call(ECHO, b"a") == second.call(ECHO, b"a") == ([b"a"], 0)
        third = Raw(served.port, begin=False)
        assert third.ends() is None and refused(served) == {"connections": 1}
        first.close()
        until("it to be gone", lambda: served.do(lambda: len(served.server.shared.connections)) == 1)
        again = Raw(served.port)
        assert again.call(ECHO, b"a") == ([b"a"], 0)
        for one in (second, third, again):
            one.close()


def test_headers_that_are_too_long():
    with echo(headers=1000) as served:
        client = Raw(served.port)
        client.open(ECHO, [(b"x", b"~" * 1000)])
        assert client.ends() is not None and client.away.code == ErrorCode.ENHANCE_YOUR_CALM
        client.close()
        client = Raw(served.port)
        id = client.open(ECHO, [(b"x%d" % n, b"") for n in range(40)])  # short, and 32 for each
        assert client.answer(id) == ([], 8)
        assert client.call(ECHO, b"a") == ([b"a"], 0)
        client.close()


def test_a_slow_reader_is_ended():
    with echo(output=1 << 20, pause=1 << 16) as served:
        other = Raw(served.port)
        client = Raw(served.port, (http2.Setting.INITIAL_WINDOW_SIZE, (1 << 31) - 1))
        client.put(http2.WindowUpdate(0, increment=(1 << 30)))
        id = client.open(MANY)
        client.say(id, b"100000")  # 100 MB, of which it reads nothing
        until("it to be ended", lambda: refused(served).get("output") == 1)
        assert other.call(ECHO, b"a") == ([b"a"], 0)
        slow = Raw(served.port)  # whose window is closed
        id = slow.open(MANY)
        slow.say(id, b"2000")
        until("it to be ended as well", lambda: refused(served).get("output") == 2)
        for one in (client, other, slow):
            one.close()


def test_who_does_not_greet():
    with echo(greeting=0.05) as served:
        client = Raw(served.port, begin=False)
        client.write(http2.PREFACE[:10])
        assert client.ends() is None and refused(served) == {"greeting": 1}
        client.close()


@pytest.mark.parametrize(
    "data, code",
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", ErrorCode.PROTOCOL_ERROR),
        (http2.PREFACE + http2.Ping().encode(), ErrorCode.PROTOCOL_ERROR),
        (http2.PREFACE + http2.Settings().encode() + b"\0\0\7\6" + bytes(50), ErrorCode.FRAME_SIZE_ERROR),
        (http2.PREFACE + http2.Settings(flags=Flag.ACK).encode(), ErrorCode.PROTOCOL_ERROR),
    ],
)
def test_bad_beginnings(data, code):
    with echo() as served:
        client = Raw(served.port, begin=False)
        client.write(data)
        client.ends()
        assert client.away is not None and client.away.code == code
        client.close()


BAD = {
    "data of none": ([http2.Data(5, 0, b"a")], ErrorCode.PROTOCOL_ERROR),
    "reset of none": ([http2.RstStream(7)], ErrorCode.PROTOCOL_ERROR),
    "an even stream": ([http2.Headers(2, Flag.END_HEADERS, b"\x82")], ErrorCode.PROTOCOL_ERROR),
    "a promise": ([http2.PushPromise(1, Flag.END_HEADERS)], ErrorCode.PROTOCOL_ERROR),
    "no headers": ([http2.Headers(1, Flag.END_HEADERS, b"\xff\xff\xff\xff\xff")], ErrorCode.COMPRESSION_ERROR),
    "headers cut off": ([http2.Headers(1, 0, b"\x82"), http2.Ping()], ErrorCode.PROTOCOL_ERROR),
    "others go on": ([http2.Headers(1, 0, b"\x82"), http2.Continuation(3, 0, b"")], ErrorCode.PROTOCOL_ERROR),
    "going on with none": ([http2.Continuation(1, 0, b"")], ErrorCode.PROTOCOL_ERROR),
    "endless": ([http2.Headers(1, 0, b""), *[http2.Continuation(1, 0, b"")] * 99], ErrorCode.ENHANCE_YOUR_CALM),
    "a window": ([http2.WindowUpdate(0, increment=(1 << 31) - 1)], ErrorCode.FLOW_CONTROL_ERROR),
    "a stream's window": ([http2.WindowUpdate(9, increment=1)], ErrorCode.PROTOCOL_ERROR),
}


@pytest.mark.parametrize("frames, code", BAD.values(), ids=BAD)
def test_bad_frames(frames, code):
    """Each ends its connection, with the number that HTTP/2 has for it."""
    with echo() as served:
        other, client = Raw(served.port), Raw(served.port)
        client.put(*frames)
        client.ends()
        assert client.away is not None and client.away.code == code
        assert other.call(ECHO, b"a") == ([b"a"], 0)
        client.close()
        other.close()


def test_more_than_the_window_allows():
    with echo(window=65535, message=1 << 30) as served:
        client = Raw(served.port)
        id = client.open(HOLD)
        frames = b"".join(http2.Data(id, 0, b"\0\x20\0\0\0" + bytes(16000)).encode() for _ in range(2))
        client.write(frames)
        client.put(http2.Ping(data=b"87654321"))
        client.until(lambda: client.pongs)
        assert client.away is None  # it was given back
        client.close()


def test_what_a_client_takes_back():
    with echo() as served:
        client = Raw(served.port)
        id = client.open(HOLD)
        client.say(id, b"a")
        client.put(http2.RstStream(id), http2.Data(id, 0, b"late"), http2.WindowUpdate(id, increment=1))
        assert client.call(ECHO, b"a") == ([b"a"], 0)
        assert served.do(lambda: served.whole.ended) == [HOLD, ECHO]
        client.close()


def test_the_end():
    with echo() as served:
        client = Raw(served.port)
        id = client.open(HOLD)
        client.put(http2.Ping())
        client.until(lambda: client.pongs)
        served.wait(served.server.stop())
        away = client.ends()
        assert away is not None and (away.code, away.last) == (ErrorCode.NO_ERROR, id)
        client.close()
