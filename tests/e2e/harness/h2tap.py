"""A relay that knows HTTP/2's frames as far as to count them: what really passed between two peers."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import NamedTuple

from .process import HOST

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Head(NamedTuple):
    """A frame as it passed, and its payload. ``up`` is true on its way to the provider."""

    up: bool
    connection: int
    kind: int
    flags: int
    stream: int
    payload: bytes


class Tap:
    """Listens on a free ``port`` and joins each client to the port ``target``."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._frames: list[Head] = []
        self._sockets: list[socket.socket] = []
        self.connections = 0
        self._server = socket.create_server((HOST, 0), backlog=128)
        self.port = int(self._server.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name="tap", daemon=True)
        self._thread.start()

    def __enter__(self) -> Tap:
        return self

    def __exit__(self, *_: object) -> None:
        # First, or a thread that waits in it takes one more.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def frames(self) -> list[Head]:
        """The frames so far, in the order in which they passed."""
        with self._lock:
            return list(self._frames)

    def count(self, kind: int, up: bool | None = None, flags: int = 0) -> int:
        """How many of a kind passed, on either way or one, with these flags at least."""
        return sum(
            frame.kind == kind and up in (None, frame.up) and frame.flags & flags == flags for frame in self.frames()
        )

    def _accept(self) -> None:
        while True:
            try:
                down, _ = self._server.accept()
            except OSError:
                return
            try:
                up = socket.create_connection((HOST, self._target))
            except OSError:
                down.close()
                continue
            with self._lock:
                self._sockets += [down, up]
                self.connections += 1
                number = self.connections
            for one in (down, up):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for source, sink, way in ((down, up, True), (up, down, False)):
                threading.Thread(target=self._copy, args=(source, sink, way, number), name="tap", daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, up: bool, number: int) -> None:
        rest = bytearray()
        begun = not up
        while True:
            try:
                data = source.recv(1 << 16)
                rest += data
                if not begun and len(rest) >= len(PREFACE):
                    del rest[: len(PREFACE)]
                    begun = True
                if begun:
                    self._take(rest, up, number)
                if not data:
                    sink.shutdown(socket.SHUT_WR)
                    return
                sink.sendall(data)
            except OSError:
                # Whoever is on the other side sees the end, too.
                with contextlib.suppress(OSError):
                    sink.shutdown(socket.SHUT_RDWR)
                return

    def _take(self, rest: bytearray, up: bool, number: int) -> None:
        at = 0
        found = []
        while len(rest) - at >= 9:
            length = int.from_bytes(rest[at : at + 3], "big")
            if len(rest) - at < 9 + length:
                break
            stream = int.from_bytes(rest[at + 5 : at + 9], "big") & 0x7FFFFFFF
            found.append(
                Head(up, number, rest[at + 3], rest[at + 4], stream, bytes(rest[at + 9 : at + 9 + length]))
            )
            at += 9 + length
        del rest[:at]
        with self._lock:
            self._frames += found
