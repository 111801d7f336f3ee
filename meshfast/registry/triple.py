"""Asks an instance what its application offers by Triple: Dubbo's MetadataServiceV2, one call of gRPC over HTTP/2.

A call by hand, for lack of a client in this package: one stream, windows as large as the longest answer from the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from meshfast import http2, protobuf
from meshfast.errors import LimitError, ProtocolError
from meshfast.registry.instance import LONGEST_INFO, MOST_SERVICES, MOST_VALUES, Info, info_of
from meshfast.registry.url import MOST_PARAMETERS, Refused

__all__ = ["call", "read_answer"]

SERVICE = "org.apache.dubbo.metadata.MetadataServiceV2"
VERSION = "2.0.0"
#: Bytes of all frames together: there are some besides the answer's. A frame counts for so many more.
LONGEST_CALL, A_FRAME = LONGEST_INFO + 1024 * 1024, 512

_WINDOW = http2.Setting.INITIAL_WINDOW_SIZE
#: Fields of a service.
_NAMES = {1: "name", 2: "group", 3: "version", 4: "protocol", 6: "path"}


async def call(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, authority: str, application: str, revision: str
) -> bytes:
    """The message that answers, not read yet. Raises MeshfastError, OSError, Refused."""
    message = protobuf.field(1, revision.encode())
    headers = [
        (":method", "POST"), (":scheme", "http"), (":path", f"/{SERVICE}/GetMetadataInfo"), (":authority", authority),
        ("content-type", "application/grpc+proto"), ("te", "trailers"),
        ("tri-service-group", application), ("tri-service-version", VERSION),
    ]  # fmt: skip
    block = http2.HeaderEncoder().encode([(name.encode(), value.encode()) for name, value in headers])
    frames = (
        http2.Settings(settings=((_WINDOW, LONGEST_CALL), (http2.Setting.ENABLE_PUSH, 0))),
        http2.WindowUpdate(increment=LONGEST_CALL),
        http2.Headers(1, http2.Flag.END_HEADERS, block),
        http2.Data(1, http2.Flag.END_STREAM, b"\0" + len(message).to_bytes(4, "big") + message),
    )
    writer.write(http2.PREFACE + b"".join(each.encode() for each in frames))
    body, decoder, status = bytearray(), http2.HeaderDecoder(), ""
    async for frame in _frames(reader):
        match frame:
            case http2.Settings() if not frame.is_ack:
                writer.write(http2.Settings(0, http2.Flag.ACK).encode())
            case http2.Ping() if not frame.is_ack:
                writer.write(http2.Ping(0, http2.Flag.ACK, frame.data).encode())
            case http2.Data(stream=1):
                body += frame.data
            case http2.Headers(stream=1) if frame.flags & http2.Flag.END_HEADERS:
                found = {bytes(each[0]): bytes(each[1]) for each in decoder.decode(frame.block)}
                said = found.get(b"grpc-message") or b"status " + found.get(b":status", b"")
                status = "" if found.get(b"grpc-status", b"0") == b"0" else said.decode(errors="replace")
            case http2.RstStream(stream=1) | http2.GoAway():
                raise ConnectionResetError(f"it ended the call with {frame.code}")
        if frame.stream == 1 and frame.is_last:
            break
    if not body:
        raise ProtocolError(status[:200] or "it answered nothing", 0)
    if len(body) < 5 or body[0] or int.from_bytes(body[1:5], "big") != len(body) - 5:
        raise ProtocolError("the answer is not one plain message", 0)
    return bytes(body[5:])


class _frames:
    """The frames that come, within what a call may take."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader, self._data, self._room = reader, b"", LONGEST_CALL

    def __aiter__(self) -> _frames:
        return self

    async def __anext__(self) -> http2.Frame:
        while (found := http2.parse_frame(self._data)) is None:
            more = await self._reader.read(1 << 15)
            if not more:
                raise ConnectionResetError("it hung up")
            self._data += more
        self._room -= found[1] + A_FRAME
        if self._room < 0:
            raise LimitError("the answer is too long", 0)
        self._data = self._data[found[1] :]
        return found[0]


class _Reader:
    """Reads one answer, whose fields are counted over all of its messages."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def fields(self, data: bytes) -> Iterator[tuple[int, int | bytes]]:
        """Number and value of each field of a message; Refused for what is none, and for too many."""
        try:
            for each in protobuf.fields(data):
                self._left -= 1
                if self._left < 0:
                    raise Refused("values")
                yield each
        except ProtocolError:
            raise Refused("protobuf") from None

    def entry(self, value: int | bytes) -> tuple[str, bytes]:
        """Of a map."""
        name, found = "", b""
        for number, each in self.fields(_bytes(value)):
            if number == 1:
                name = _text(each)
            elif number == 2:
                found = _bytes(each)
        return name, found

    def service(self, message: bytes) -> dict[str, object] | None:
        found: dict[str, object] = {}
        params: dict[str, str] = {}
        try:
            for number, value in self.fields(message):
                if number in _NAMES:
                    found[_NAMES[number]] = _text(value)
                elif number == 5:
                    found["port"] = value
                elif number == 7 and len(params) <= MOST_PARAMETERS:
                    name, text = self.entry(value)
                    params[name] = _text(text)
        except Refused:
            return None
        return found | {"params": params}


def _text(value: int | bytes) -> str:
    if isinstance(value, int):
        raise Refused("protobuf")
    return value.decode(errors="replace")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise Refused("protobuf")
    return value


def read_answer(message: bytes) -> Info:
    """MetadataInfoV2. A service that cannot be read is left out, as elsewhere."""
    app, revision, services, reader = "", "", dict[str, object](), _Reader()
    for number, value in reader.fields(message):
        if number == 1:
            app = _text(value)
        elif number == 2:
            revision = _text(value)
        elif number == 3:
            name, found = reader.entry(value)
            if len(services) >= MOST_SERVICES:
                raise Refused("services")
            services[name] = reader.service(found)
    return info_of({"app": app, "revision": revision, "services": services})
