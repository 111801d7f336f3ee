"""A port that serves: who comes, and how it leaves. What one caller does harms no other."""

from __future__ import annotations

import asyncio
import logging
import os
import socket

from meshfast.accepting import Accepting
from meshfast.sdk.arrivals import Arrival
from meshfast.sdk.limits import Limits
from meshfast.sdk.ports import Port

__all__ = ["Limits", "Server"]

log = logging.getLogger("meshfast.sdk")

#: Connections that wait at its own port; seconds for a cancelled handler to end.
WAITING, STAYS = 100, 1.0


class Server(Port):
    """See ``Port``."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__(limits)
        self._own: list[Accepting] = []

    async def start(self, host: str, port: int) -> int:
        """Listens; gives the port.

        :raises OSError: it is taken
        """
        loop = asyncio.get_running_loop()
        bound = await loop.create_server(lambda: Arrival(self), host, port, start_serving=False)
        try:
            for one in bound.sockets:
                sock = socket.socket(fileno=os.dup(one.fileno()))
                self._own.append(self.adopt(sock))
                sock.listen(WAITING)
            number: int = bound.sockets[0].getsockname()[1]
        except BaseException:
            self._shut()
            raise
        finally:
            bound.close()
        return number

    def _shut(self) -> None:
        for one in self._own:
            one.close()
        self._own.clear()

    def adopt(self, sock: socket.socket) -> Accepting:
        """Takes, too, who comes at a socket that listens already, until what this gives is closed. It is closed with
        that."""
        return Accepting(sock, lambda: Arrival(self), log, self.coming)

    async def leave(self) -> None:
        """Tells callers to go elsewhere, and serves on until no call is in flight and none has come for a while; then
        nobody is let in any more, and who was is answered."""
        self.leaving = True
        for one in list(self.connections):
            one.dismiss()
        now = asyncio.get_running_loop().time
        began, self.last = now(), max(self.last, now() if self.connections else 0.0)
        while now() < began + self.limits.leave:
            if not self.calls and not self.streaming and now() >= self.last + self.limits.quiet:
                break
            await asyncio.sleep(0.01)
        self.refusing = True
        self._shut()
        await asyncio.gather(*self.coming, return_exceptions=True)
        for one in list(self.connections):
            one.refuse()
        while now() < began + self.limits.leave:
            if not self.calls and not self.streaming and not any(isinstance(one, Arrival) for one in self.connections):
                return
            await asyncio.sleep(0.01)
        count = self.calls + self.streaming
        log.warning("%d call(s) are cut off: they took longer than %g s to end", count, self.limits.leave)

    async def stop(self) -> None:
        """At once, but for answers that are on their way."""
        self._shut()
        try:
            await asyncio.gather(*self.coming, return_exceptions=True)
            for one in list(self.connections):
                one.close()
            for task in self.tasks:
                task.cancel()
            if self.tasks and (stays := (await asyncio.wait(self.tasks, timeout=STAYS))[1]):
                log.error("%d handler(s) go on, cancelled as they are: their calls are over", len(stays))
            deadline = asyncio.get_running_loop().time() + 1.0
            while self.connections and asyncio.get_running_loop().time() < deadline:
                await asyncio.sleep(0.01)
        finally:  # also where this is cancelled: nobody would do it then
            for one in list(self.connections):
                one.abort()
            for task in self.tasks:
                if not task.cancelling():
                    task.cancel()
            self.performer.stop()
