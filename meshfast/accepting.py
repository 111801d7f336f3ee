"""Taking who comes at a socket that listens, and that others may go on with."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

__all__ = ["Accepting"]

#: Connections that are taken in one turn.
BACKLOG = 256
#: Seconds without taking any, where descriptors are wanting.
AGAIN = 1.0


class Accepting:
    """Each who comes gets a protocol that ``made`` makes, until this is closed, and the socket with it. An
    asyncio.Server would drop whom it took in the turn in which it is closed, and nobody would hear of it.

    ``coming``: those who were taken and have no protocol yet; may be shared with others.
    """

    def __init__(
        self, sock: socket.socket, made: Callable[[], asyncio.BaseProtocol], log: logging.Logger,
        coming: set[asyncio.Task[object]] | None = None,
    ) -> None:  # fmt: skip
        self.coming = set[asyncio.Task[object]]() if coming is None else coming
        self._sock, self._made, self._log = sock, made, log
        self._loop = asyncio.get_running_loop()
        self._again: asyncio.TimerHandle | None = None
        sock.setblocking(False)
        self._listen()

    def close(self) -> None:
        """Who was taken is served on; who waits is left to others. Again is harmless."""
        if self._again:
            self._again.cancel()
        if self._sock.fileno() >= 0:
            self._loop.remove_reader(self._sock)
            self._sock.close()

    async def settled(self) -> None:
        """Closed, and all who were taken have their protocol."""
        self.close()
        await asyncio.gather(*self.coming, return_exceptions=True)

    def _listen(self) -> None:
        self._loop.add_reader(self._sock, self._take)

    def _take(self) -> None:
        for _ in range(BACKLOG):
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                self._log.error("who calls in cannot be taken, trying again in %g s: %s", AGAIN, error)
                self._loop.remove_reader(self._sock)
                self._again = self._loop.call_later(AGAIN, self._listen)
                return
            sock.setblocking(False)
            task: asyncio.Task[object] = self._loop.create_task(self._loop.connect_accepted_socket(self._made, sock))
            self.coming.add(task)
            task.add_done_callback(self._came)

    def _came(self, task: asyncio.Task[object]) -> None:
        self.coming.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.warning("a caller has gone again: %s", error)
