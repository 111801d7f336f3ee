"""A plain relay between TCP and UNIX sockets that can remember what passed: bridges SDKs to UNIX listeners, and shows
what a peer really writes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from dataclasses import dataclass
from typing import NamedTuple

from .process import ANY, HOST

HEAD = struct.Struct(">HBBqi")
MAGIC = 0xDABB


class Frame(NamedTuple):
    """One Dubbo2 frame as it passed. ``up`` is true on its way to the provider."""

    up: bool
    data: bytes

    @property
    def is_request(self) -> bool:
        return bool(self.data[2] & 0x80)

    @property
    def is_two_way(self) -> bool:
        return bool(self.data[2] & 0x40)

    @property
    def is_event(self) -> bool:
        return bool(self.data[2] & 0x20)

    @property
    def serialization(self) -> int:
        return self.data[2] & 0x1F

    @property
    def status(self) -> int:
        return self.data[3]

    @property
    def request_id(self) -> int:
        return int.from_bytes(self.data[4:12], "big")

    @property
    def body(self) -> bytes:
        return self.data[16:]


def take(data: bytearray, up: bool) -> list[Frame]:
    """Take the whole frames off the front of a stream; ``ValueError`` when it is not one."""
    frames = []
    while len(data) >= HEAD.size:
        magic, _, _, _, length = HEAD.unpack_from(data)
        if magic != MAGIC or length < 0:
            raise ValueError(f"no frame: {bytes(data[:16]).hex()}")
        if len(data) < HEAD.size + length:
            break
        frames.append(Frame(up, bytes(data[: HEAD.size + length])))
        del data[: HEAD.size + length]
    return frames


@dataclass(slots=True)
class _Pair:
    down: socket.socket
    up: socket.socket

    def close(self) -> None:
        for side in (self.down, self.up):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
            side.close()


class Relay:
    """Listens on a free TCP ``port`` or on the UNIX socket ``path``, and connects each client to ``target``: a port of
    127.0.0.1, or a UNIX socket's path."""

    def __init__(self, target: int | str, path: str = "", record: bool = True) -> None:
        self._target = target
        self._record = record
        self._lock = threading.Lock()
        self._pairs: list[_Pair] = []
        self._frames: list[Frame] = []
        self._server = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._server.bind(path or (ANY, 0))
        self._server.listen(128)
        self.port = 0 if path else int(self._server.getsockname()[1])
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening and cut every connection."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self.cut()

    def cut(self) -> None:
        """End the connections there are; what they said is kept."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            pair.close()

    def frames(self) -> list[Frame]:
        """The frames so far, of all connections, in the order in which they passed."""
        with self._lock:
            return list(self._frames)

    @property
    def connections(self) -> int:
        """How many clients came."""
        with self._lock:
            return len(self._pairs)

    def _accept(self) -> None:
        while True:
            try:
                down, _ = self._server.accept()
            except OSError:
                return
            target = self._target
            up = socket.socket(socket.AF_INET if isinstance(target, int) else socket.AF_UNIX)
            try:
                up.connect((HOST, target) if isinstance(target, int) else target)
            except OSError:
                up.close()
                down.close()
                continue
            pair = _Pair(down, up)
            with self._lock:
                self._pairs.append(pair)
            for args in ((down, up, True), (up, down, False)):
                threading.Thread(target=self._copy, args=args, name="relay-copy", daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        rest = bytearray()
        while True:
            try:
                data = source.recv(1 << 16)
                if self._record:
                    # Before it is sent on: whoever has the answer finds its frame here.
                    rest += data
                    with self._lock:
                        self._frames += take(rest, up)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                return
