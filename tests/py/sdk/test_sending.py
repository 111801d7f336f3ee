"""What a connection of HTTP/2 that serves sends, whose other end and transport are the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from desks import Transport

from meshfast import http2
from meshfast.http2 import Flag, Setting
from meshfast.serving.grpc import Connection
from meshfast.serving.stream import Stream
from meshfast.serving.wire import Limits, Shared


class Holds:
    """A service that answers when the test does."""

    def __init__(self) -> None:
        self.streams: list[Stream] = []
        self.left = 0

    def begun(self, stream: Stream) -> bool:
        self.streams.append(stream)
        return True

    def said(self, stream: Stream, message: bytes) -> None: ...

    def over(self, stream: Stream) -> None: ...

    def gone(self, stream: Stream) -> None:
        self.left += 1

    def lost(self, connection: Connection) -> None: ...


class Slow(Transport):
    """``unread`` waits for a reader, who is not waited for."""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def is_reading(self) -> bool:
        return True

    def abort(self) -> None:
        self.gone = True


class Desk:
    """Some streams of one connection."""

    def __init__(self, streams: int, **limits: Any) -> None:
        self.service, self.transport = Holds(), Slow()
        self.shared = Shared(Limits(**{"streams": streams, **limits}))
        self.connection = Connection(self.service, self.shared)
        self.connection.connection_made(self.transport)
        encoder = http2.HeaderEncoder()
        fields = [
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/b"), (b":authority", b"x"),
            (b"content-type", b"application/grpc"), (b"te", b"trailers"),
        ]  # fmt: skip
        self.connection.data_received(http2.PREFACE + http2.Settings().encode())
        for number in range(1, 2 * streams, 2):
            self.say(http2.Headers(number, Flag.END_HEADERS | Flag.END_STREAM, encoder.encode(fields)))

    def say(self, frame: http2.Frame) -> None:
        self.connection.data_received(frame.encode())


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    with asyncio.Runner() as runner:
        yield runner.get_loop()


def run(loop: asyncio.AbstractEventLoop, story: Any) -> None:
    async def told() -> None:
        story()

    loop.run_until_complete(told())


def test_a_window_that_one_frame_sets_often_is_set_once(loop: asyncio.AbstractEventLoop) -> None:
    """With many streams and settings each would cost as much as all streams do."""

    class Counted(dict[int, Stream]):
        walks = 0

        def values(self) -> Any:
            Counted.walks += 1
            return super().values()

    def story() -> None:
        desk = Desk(20)
        connection = desk.connection
        connection.streams = Counted(connection.streams)
        widths = ((int(Setting.INITIAL_WINDOW_SIZE), 65535), (int(Setting.INITIAL_WINDOW_SIZE), 7))
        desk.say(http2.Settings(settings=widths * 1000))
        assert Counted.walks == 1
        assert {stream.window for stream in desk.service.streams} == {7}
        desk.say(http2.Settings(settings=widths * 1000))
        assert Counted.walks == 1  # as it was
        connection.leave()

    run(loop, story)


def test_what_is_too_much_ends_it_while_all_are_sent(loop: asyncio.AbstractEventLoop) -> None:
    """Its streams go with it, also the one of which a frame was just sent."""

    def story() -> None:
        desk = Desk(3, pause=0, output=1 << 20)
        for stream in desk.service.streams:
            stream.send(bytes(60_000))  # more than the window of the connection, together
        desk.transport.unread = 1 << 20
        desk.say(http2.WindowUpdate(0, increment=1000))
        assert desk.shared.refused == {"output": 1}
        assert desk.service.left == 3 and desk.connection.gone and not desk.connection.streams

    run(loop, story)
