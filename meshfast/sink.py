"""Lines to a file or descriptor, by a thread of its own: who writes them never waits for a disk or a full pipe."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections import deque

__all__ = ["Sink"]

#: Bytes that wait for their reader; what comes on top is dropped and counted.
ROOM = 4 << 20
#: Two sinks may share a descriptor that is not their own, as the log and the access log do: no line is cut by another.
_shared = threading.Lock()
#: How often it is looked whether what is written to can take more, milliseconds.
LOOK = 500


class Sink:
    """``path``: a file that is appended to and can be opened anew; otherwise ``fd``, which stays open at the end.

    :raises OSError: the file cannot be opened
    """

    def __init__(self, path: str = "", fd: int = 2, room: int = ROOM) -> None:
        self.path = path
        self.dropped = 0  # lines
        self._fd = _opened(path) if path else fd
        self._next: int | None = None
        self._room, self._size = room, 0
        self._torn = False  # the last line that was written has no end
        self._waiting: deque[bytes] = deque()
        self._ended = False
        self._wake = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="meshfast-sink", daemon=True)
        self._thread.start()

    def put(self, data: bytes) -> bool:
        """Whole lines to write; False when there was no room."""
        with self._wake:
            if self._ended or self._size + len(data) > self._room:
                self.dropped += data.count(b"\n")
                return False
            self._waiting.append(data)
            self._size += len(data)
            self._wake.notify()
            return True

    def reopen(self) -> None:
        """Opens the file of that name anew: what had its name before was moved away.

        :raises OSError: it cannot be opened; what was written to stays
        """
        if not self.path:
            return
        fd = _opened(self.path)
        with self._wake:
            if self._next is not None:
                os.close(self._next)
            self._next = fd

    def close(self, seconds: float = 2.0) -> None:
        """Writes what waits, no longer than that."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._ended:
                    self._wake.wait()
                if not self._waiting:
                    break
                batch = b"".join(self._waiting)
                self._waiting.clear()
                if self._next is not None:
                    self._close()
                    self._fd, self._next, self._torn = self._next, None, False
            if self.path:
                self._write(batch)
            else:
                with _shared:
                    self._write(batch)
            with self._wake:
                self._size -= len(batch)
        self._close()

    def _write(self, batch: bytes) -> None:
        left = memoryview(b"\n" + batch if self._torn else batch)
        while left:
            try:
                done = os.write(self._fd, left)
            except BlockingIOError:  # somebody else made the descriptor so
                room = select.poll()
                room.register(self._fd, select.POLLOUT)
                room.poll(LOOK)
                continue
            except OSError:
                with self._wake:
                    self.dropped += bytes(left).count(b"\n")
                return
            self._torn = left[done - 1] != 10 if done else self._torn
            left = left[done:]

    def _close(self) -> None:
        if self.path:
            with contextlib.suppress(OSError):
                os.close(self._fd)


def _opened(path: str) -> int:
    """A FIFO that nobody reads is an error, not something to wait for."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        fd = os.open(path, flags, 0o640)
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), path) from None
    os.set_blocking(fd, True)
    return fd
