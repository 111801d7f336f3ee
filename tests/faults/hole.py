"""An address that takes no more connections and says nothing: what is dialled there hangs, as if SYNs were dropped."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import time

from faults.process import RowError

MOST = 64  # connections until a queue of none is full
HANGS_S = 0.2


class Hole:
    """A listener whose queue is full; a context manager."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Hole:
        self._stack.enter_context(self._listener)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        for _ in range(MOST):
            if self.swallows():
                return self
        raise RowError(f"a listener with no queue took {MOST} connections")

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def swallows(self) -> bool:
        """One more connection is not made, and not refused either. Each that is made stays."""
        one = self._stack.enter_context(socket.socket())
        one.setblocking(False)
        if one.connect_ex(self._listener.getsockname()) != errno.EINPROGRESS:
            return False
        until = time.monotonic() + HANGS_S
        while (left := until - time.monotonic()) > 0:
            if select.select([], [one], [], left)[1]:
                return False
        return True
