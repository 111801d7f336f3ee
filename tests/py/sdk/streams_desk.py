"""One connection of the SDK by HTTP/2, whose other end is the test's, frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from desks import Desk

from meshfast import http2
from meshfast.http2 import Flag
from meshfast.sdk.streams import StreamsWire
from meshfast.sdk.triple import TripleTarget
from meshfast.sdk.wire import Call

GRPC = (b"content-type", b"application/grpc")
TARGET = TripleTarget("com.x.Cart", protocol="grpc")


class StreamsDesk(Desk):
    """And the other end, of which every byte is the test's."""

    def __init__(self, settings: tuple[tuple[int, int], ...] | None = (), **more: Any) -> None:
        super().__init__(StreamsWire, **more)
        self._at = len(http2.PREFACE)
        self._decoder, self.encoder = http2.HeaderDecoder(), http2.HeaderEncoder()
        if settings is not None:
            self.say(http2.Settings(settings=settings))

    def ask(self, message: bytes = b"x", idempotent: bool = False) -> Call:
        return self.begin(TARGET.request(0, "hi", (message,), None, None, 60_000), idempotent)

    def say(self, *frames: http2.Frame) -> None:
        self.wire.data_received(b"".join(frame.encode() for frame in frames))

    def fields(self, number: int, *fields: tuple[bytes, bytes], end: bool = False) -> http2.Headers:
        flags = Flag.END_HEADERS | (Flag.END_STREAM if end else Flag.NONE)
        return http2.Headers(number, flags, self.encoder.encode(fields))

    def answer(self, number: int, message: bytes, whole: bool = True) -> tuple[http2.Frame, ...]:
        body = b"\0" + len(message).to_bytes(4, "big") + message
        pieces = [http2.Data(number, 0, body[at : at + 16384]) for at in range(0, len(body), 16384)]
        head = self.fields(number, (b":status", b"200"), GRPC)
        return (head, *pieces, *([self.fields(number, (b"grpc-status", b"0"), end=True)] if whole else []))

    def heard_frames(self) -> list[http2.Frame]:
        """What came there since the last time, but answers to settings."""
        found = list(http2.parse_frames(bytes(self.transport.written[self._at :])))
        self._at = len(self.transport.written)
        for frame in found:
            if isinstance(frame, http2.Headers):
                self._decoder.decode(frame.block)
        return [one for one in found if not isinstance(one, http2.Settings)]

    def contents(self) -> dict[int, int]:
        """How many bytes of content came there of each stream since the last time."""
        found: dict[int, int] = {}
        for frame in self.heard_frames():
            if isinstance(frame, http2.Headers):
                found[frame.stream] = 0
            elif isinstance(frame, http2.Data):
                found[frame.stream] = found.get(frame.stream, 0) + len(frame.data)
        return found

    def resets(self) -> list[tuple[int, int]]:
        return [(one.stream, one.code) for one in self.heard_frames() if isinstance(one, http2.RstStream)]


@contextmanager
def desk(**more: Any) -> Iterator[StreamsDesk]:
    one = StreamsDesk(**more)
    try:
        yield one
    finally:
        one.leave()


def outcome(call: Call) -> Any:
    """Its value, or the name of what it ended with; None: it waits."""
    if not call.future.done():
        return None
    try:
        return TARGET.answered(call.future.result())  # type: ignore[attr-defined]
    except Exception as error:
        return type(error).__name__
