"""A gRPC client made of bytes, over ``meshfast.http2``, for the tests of servers in Python."""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable

from meshfast import http2
from meshfast.http2 import Flag, Frame

PATIENCE = 30.0


class Raw:
    """One connection. What has come is kept by stream: ``messages``, ``trailers``, ``resets``; ``away``: GOAWAY, and
    ``over`` once the connection has ended. ``credit``: whether windows are opened again as data comes."""

    def __init__(self, port: int, *settings: tuple[int, int], begin: bool = True) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.sock.settimeout(PATIENCE)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.encoder, self.decoder = http2.HeaderEncoder(), http2.HeaderDecoder()
        self.came = bytearray()
        self.data: defaultdict[int, bytearray] = defaultdict(bytearray)
        self.messages: defaultdict[int, list[bytes]] = defaultdict(list)
        self.heads: dict[int, dict[bytes, bytes]] = {}
        self.trailers: dict[int, dict[bytes, bytes]] = {}
        self.resets: dict[int, int] = {}
        self.pongs: list[bytes] = []
        self.settings: dict[int, int] = {}
        self.acks = 0
        self.away: http2.GoAway | None = None
        self.over, self.credit, self.begun = False, True, False
        self.next = 1
        if begin:
            self.greet(*settings)

    def greet(self, *settings: tuple[int, int]) -> None:
        self.begun = True
        self.write(http2.PREFACE + http2.Settings(settings=settings).encode())

    def write(self, data: bytes) -> None:
        self.sock.sendall(data)

    def put(self, *frames: Frame) -> None:
        self.write(b"".join(one.encode() for one in frames))

    def head(self, path: str, more: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
        return self.encoder.encode([
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", path.encode()), (b":authority", b"x"),
            (b"content-type", b"application/grpc"), (b"te", b"trailers"), *more,
        ])  # fmt: skip

    def open(self, path: str, more: Iterable[tuple[bytes, bytes]] = ()) -> int:
        """The number of a call that has begun."""
        id, self.next = self.next, self.next + 2
        self.put(http2.Headers(id, Flag.END_HEADERS, self.head(path, more)))
        return id

    def say(self, id: int, message: bytes, last: bool = False) -> None:
        """A message, in as many frames as it needs; within the server's windows."""
        whole = b"\0" + len(message).to_bytes(4, "big") + message
        parts = [whole[at : at + 16384] for at in range(0, len(whole), 16384)]
        self.put(*(http2.Data(id, Flag.END_STREAM if last and part is parts[-1] else 0, part) for part in parts))

    def call(self, path: str, message: bytes) -> tuple[list[bytes], int]:
        """The messages of the answer, and its status."""
        id = self.open(path)
        self.say(id, message, last=True)
        return self.answer(id)

    def answer(self, id: int) -> tuple[list[bytes], int]:
        self.until(lambda: id in self.trailers or id in self.resets)
        return self.messages.pop(id, []), int(self.trailers.get(id, {}).get(b"grpc-status", b"-1"))

    def until(self, check: object) -> None:
        """Reads until something is so; an EOFError where the connection ends before."""
        assert callable(check)
        while not check():
            if self.over:
                raise EOFError(self.away)
            self.read()

    def read(self) -> None:
        """What comes next."""
        try:
            data = self.sock.recv(65536)
        except ConnectionError:
            data = b""
        if not data:
            self.over = True
            return
        self.came += data
        while (found := http2.parse_frame(self.came)) is not None:
            del self.came[: found[1]]
            self.took(found[0])

    def took(self, frame: Frame) -> None:
        match frame:
            case http2.Headers(id):
                headers = dict(self.decoder.decode(frame.block))
                if frame.is_last:
                    self.trailers[id] = headers
                self.heads.setdefault(id, headers)
            case http2.Data(id, data=data):
                self.data[id] += data
                if self.credit and data:
                    self.put(http2.WindowUpdate(0, increment=len(data)), http2.WindowUpdate(id, increment=len(data)))
                self.gather(id)
            case http2.Settings():
                if frame.is_ack:
                    self.acks += 1
                else:
                    self.settings.update(frame.settings)
                    if self.begun:
                        self.put(http2.Settings(flags=Flag.ACK))
            case http2.Ping(data=data) if frame.is_ack:
                self.pongs.append(data)
            case http2.RstStream(id, code=code):
                self.resets[id] = code
            case http2.GoAway():
                self.away = frame

    def gather(self, id: int) -> None:
        came = self.data[id]
        while len(came) >= 5 and len(came) >= 5 + (length := int.from_bytes(came[1:5], "big")):
            assert came[0] == 0
            self.messages[id].append(bytes(came[5 : 5 + length]))
            del came[: 5 + length]

    def ends(self) -> http2.GoAway | None:
        """What is said last, once the connection has ended."""
        while not self.over:
            self.read()
        return self.away

    def close(self) -> None:
        self.sock.close()
