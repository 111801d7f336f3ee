"""Connections of HTTP/2 that made a few calls and are quiet then, and streams on them whose requests are not whole."""

from __future__ import annotations

import socket
from collections.abc import Iterator

from bench.harness.process import BenchError
from bench.harness.rival import SERVICE
from meshfast import http2

CALLS = 3  # as many as bring a proxy to keep what it knows by then
_MESSAGE = b"\0\0\0\0\x10" + b"0123456789abcdef"
_FIELDS = (
    (b":method", b"POST"), (b":scheme", b"http"), (b":path", f"/{SERVICE}/Echo".encode()),
    (b":authority", SERVICE.encode()), (b"te", b"trailers"), (b"content-type", b"application/grpc"),
    (b"user-agent", b"grpc-bench/1.0"), (b"grpc-accept-encoding", b"identity,deflate,gzip"), (b"x-user", b"bench"),
)  # fmt: skip
_encoder = http2.HeaderEncoder()
_BLOCKS = (_encoder.encode(_FIELDS), _encoder.encode(_FIELDS))  # into a connection's table, and from there
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
    """Makes CALLS calls; False when the connection ends before their answers, or one is no good."""
    decoder, frames = http2.HeaderDecoder(), _frames(connection)
    connection.sendall(http2.PREFACE + http2.Settings().encode())
    for n in range(CALLS):
        block = _BLOCKS[min(n, 1)]
        connection.sendall(
            http2.Headers(1 + 2 * n, http2.Flag.END_HEADERS, block).encode()
            + http2.Data(1 + 2 * n, http2.Flag.END_STREAM, _MESSAGE).encode()
        )
        if not _is_good(connection, frames, decoder):
            return False
    return True


def _is_good(connection: socket.socket, frames: Iterator[http2.Frame], decoder: http2.HeaderDecoder) -> bool:
    trailers, body = [(b"", b"")], b""
    for frame in frames:
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
    sent = (http2.Headers(1 + 2 * (CALLS + n), http2.Flag.END_HEADERS, _PLAIN).encode() for n in range(count))
    connection.sendall(b"".join(sent) + http2.Ping(0, 0, b"the last").encode())
    for frame in _frames(connection):
        if isinstance(frame, http2.Ping) and frame.is_ack:
            return
        if isinstance(frame, http2.RstStream | http2.GoAway | http2.Headers):
            raise BenchError(f"a stream was not left open: {frame}")
    raise BenchError("the connection ended while streams were opened")
