"""Connections of HTTP/2 that made one call and are quiet then, and streams on them whose requests are not whole."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from bench.harness.process import BenchError
from bench.harness.rival import SERVICE
from meshfast import http2

_MESSAGE = b"\0\0\0\0\x10" + b"0123456789abcdef"
_FIELDS = (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", f"/{SERVICE}/Echo".encode()),
    (b":authority", SERVICE.encode()), (b"te", b"trailers"), (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-bench/1.0"), (b"grpc-accept-encoding", b"identity,deflate,gzip"), (b"x-user", b"bench"),
)  # fmt: skip
_FIRST = http2.HeaderEncoder().encode(_FIELDS)  # goes into a connection's table, as any client's does
_PLAIN = http2.HeaderEncoder(0).encode(_FIELDS)  # the same on every stream: nothing goes there


def _frames(connection: socket.socket) -> Iterator[http2.Frame]:
    held = b""
    while part := connection.recv(65536):
        held += part
        while found := http2.parse_frame(held):
            frame, length = found
            held = held[length:]
            yield frame


def answered(connection: socket.socket) -> bool:
    """Makes one call; False when the connection ends before its answer, or the answer is no good."""
    connection.sendall(
        http2.PREFACE
        + http2.Settings().encode()
        + http2.Headers(1, http2.Flag.END_HEADERS, _FIRST).encode()
        + http2.Data(1, http2.Flag.END_STREAM, _MESSAGE).encode()
    )
    decoder, trailers, body = http2.HeaderDecoder(), [(b"", b"")], b""
    for frame in _frames(connection):
        if isinstance(frame, http2.Settings) and not frame.is_ack:
            connection.sendall(http2.Settings(0, http2.Flag.ACK).encode())
        elif isinstance(frame, http2.Headers):
            trailers = decoder.decode(frame.block)
        elif isinstance(frame, http2.Data):
            body += frame.data
        if frame.is_last:
            return body == _MESSAGE and (b"grpc-status", b"0") in trailers
    return False


def open_streams(connection: socket.socket, count: int) -> None:
    """So many calls whose fields are sent and whose message is not; the peer has seen them all. Raises BenchError."""
    sent = (http2.Headers(3 + 2 * n, http2.Flag.END_HEADERS, _PLAIN).encode() for n in range(count))
    connection.sendall(b"".join(sent) + http2.Ping(0, 0, b"the last").encode())
    for frame in _frames(connection):
        if isinstance(frame, http2.Ping) and frame.is_ack:
            return
        if isinstance(frame, http2.RstStream | http2.GoAway | http2.Headers):
            raise BenchError(f"a stream was not left open: {frame}")
    raise BenchError("the connection ended while streams were opened")
