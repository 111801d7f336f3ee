"""Sockets for kazoo that are asked seldom: one system call for many requests, and for many answers.

kazoo asks the system eight times for each node that it reads, and each time another thread may take the interpreter
from it. A sidecar that begins reads ten thousand of them.
"""

from __future__ import annotations

import select
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

__all__ = ["Buffered", "Waker", "wait", "wakers"]

#: Bytes that are read at once, and of requests that are kept for the next time that it would wait.
READ, KEPT = 64 * 1024, 64 * 1024


class Buffered:
    """A connection, of one thread. What is sent goes out before that thread waits for anything: see ``wait``."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._in, self._at = b"", 0
        self._out = bytearray()

    def fileno(self) -> int:
        return self._sock.fileno()

    def setblocking(self, flag: bool) -> None:
        self._sock.setblocking(flag)

    def pending(self) -> int:
        """Bytes that are here already."""
        return len(self._in) - self._at

    def recv(self, most: int) -> bytes:
        if self._at == len(self._in):
            if most >= READ:
                return self._sock.recv(most)
            self._in, self._at = self._sock.recv(READ), 0
        start = self._at
        self._at = min(start + most, len(self._in))
        return self._in[start : self._at]

    def send(self, data: bytes | memoryview) -> int:
        self._out += data
        return len(data)

    @property
    def full(self) -> bool:
        return len(self._out) >= KEPT

    def flush(self, seconds: float | None) -> bool:
        """Whether all is sent; False: the other end took nothing for so long."""
        while self._out:
            try:
                sent = self._sock.send(self._out)
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._sock, select.POLLOUT)
                if not poll.poll(_milliseconds(seconds)):
                    return False
            else:
                del self._out[:sent]
        return True

    def close(self) -> None:
        self._sock.close()


class _Wakes:
    """How often the other thread was woken and has not looked; while there is any, one byte is in the pair."""

    def __init__(self) -> None:
        self.reader, self.writer = socket.socketpair()
        self.lock = threading.Lock()
        self.count = 0


class Waker:
    """One end of a pair by which threads wake the one that waits, as of sockets to which single bytes are sent."""

    def __init__(self, wakes: _Wakes, own: socket.socket) -> None:
        self._wakes, self._own = wakes, own

    def fileno(self) -> int:
        return self._own.fileno()

    def pending(self) -> int:
        return self._wakes.count

    def send(self, data: bytes) -> int:
        """:raises OSError: it is closed"""
        wakes = self._wakes
        with wakes.lock:
            if not wakes.count or self._own.fileno() < 0:
                self._own.send(b"\0")
            wakes.count += len(data)
        return len(data)

    def recv(self, most: int) -> bytes:
        wakes = self._wakes
        with wakes.lock:
            taken = min(most, wakes.count)
            wakes.count -= taken
            if taken and not wakes.count:
                self._own.recv(1)
        return bytes(taken)

    def close(self) -> None:
        with self._wakes.lock:
            self._own.close()


def wakers() -> tuple[Waker, Waker]:
    """The reading and the writing end."""
    wakes = _Wakes()
    return Waker(wakes, wakes.reader), Waker(wakes, wakes.writer)


def wait(
    reading: Sequence[Any], writing: Sequence[Any], timeout: float | None
) -> tuple[list[Any], list[Any], list[Any]]:
    """As select.select, of any number of descriptors; kazoo's own makes and ends an epoll each time.

    :raises TimeoutError: the other end of a connection takes no more
    """
    if not reading and all(isinstance(each, Buffered) for each in writing):
        return [], list(writing), []  # there is always room for what is sent to one
    kept = [each for each in reading if isinstance(each, Buffered)]
    ready = [each for each in reading if isinstance(each, Buffered | Waker) and each.pending()]
    if not ready or any(each.full for each in kept):
        for each in kept:
            if not each.flush(timeout):
                raise TimeoutError("it takes no requests")
    if ready:
        return ready, [], []
    poll, asked = select.poll(), Counter[int]()
    for each in reading:
        asked[each.fileno()] |= select.POLLIN
    for each in writing:
        asked[each.fileno()] |= select.POLLOUT
    for fd, events in asked.items():
        poll.register(fd, events)
    found = dict(poll.poll(_milliseconds(timeout)))
    return (
        [each for each in reading if found.get(each.fileno(), 0) & ~select.POLLOUT],
        [each for each in writing if found.get(each.fileno(), 0) & ~select.POLLIN],
        [],
    )


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else max(0.0, seconds) * 1000
