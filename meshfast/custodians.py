"""Applications that have copies of inbound listeners, so that they take who comes while no sidecar runs.

    application                        sidecar
    {"want": "custody", "port": P}  ->  P: its own, to which the listeners forward
                                    <-  {"at": key}, and its sockets, for each; then {"all": how many}
                                    <-  {"moved": true}: another sidecar goes on with them
                                        the end: nobody else takes who comes
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections import Counter
from collections.abc import Collection

from meshfast import passing
from meshfast.errors import ProtocolError
from meshfast.hints import told
from meshfast.passed import Owner
from meshfast.passing import Channel

__all__ = ["Custodians"]

log = logging.getLogger("meshfast")


class Custodians:
    """``counts``: "handed", sockets that were passed."""

    def __init__(self, owner: Owner, counts: Counter[str]) -> None:
        self._owner, self._counts = owner, counts
        self._channels: dict[Channel, tuple[str, ...]] = {}
        self._left = False

    async def pass_to(self, channel: Channel, port: int) -> bool:
        """Gives what there is; whether there is anything.

        :raises OSError: it has gone, or the sidecar ends
        """
        found = self._owner.inbound(port)
        try:
            for name in found:  # before it has them, so that nothing of its is shut
                self._owner.share(name, True)
            self._channels[channel] = tuple(found)
            for key, fds in found.values():
                for at in range(0, len(fds), passing.MOST):
                    await channel.send({"at": key}, fds[at : at + passing.MOST])
            await channel.send({"all": len(found)})
        except BaseException:
            self._over(channel)
            raise
        finally:
            for _, fds in found.values():
                for fd in fds:
                    os.close(fd)
        if found:
            self._counts["handed"] += sum(len(fds) for _, fds in found.values())
            log.info("custody: process %d keeps %s", channel.pid, ", ".join(found))
        return bool(found)

    async def go_on(self, channel: Channel, port: int, taken: Collection[str]) -> None:
        """With one that has what this sidecar has ``taken``, which is shared for it, until it has gone."""
        try:
            names = self._owner.behind(port)
            self._channels[channel] = tuple(names)
            if not set(names.values()) <= set(taken):  # there are more by now: it is to ask anew
                await channel.send({"moved": True})
            await self.keep(channel)
        except (OSError, ProtocolError) as error:
            log.warning("custody: process %d keeps nothing any more: %s", channel.pid, told(error))
        finally:
            self._over(channel)
            channel.close()

    async def keep(self, channel: Channel) -> None:
        """Returns when it has gone: then they are this sidecar's alone."""
        try:
            while (found := await channel.recv()) is not None:
                for fd in found[1]:
                    os.close(fd)
        finally:
            self._over(channel)

    def _over(self, channel: Channel) -> None:
        for name in self._channels.pop(channel, ()):
            if not self._left:
                with contextlib.suppress(OSError):  # it ends
                    self._owner.share(name, False)

    async def moved(self) -> None:
        """Another sidecar goes on: who kept asks that one, so that what is had stays shared when it leaves here."""
        self._left = True
        for channel in list(self._channels):  # one may come or go meanwhile
            with contextlib.suppress(OSError):
                await channel.send({"moved": True})

    def leave(self) -> None:
        """They stay shared, and who keeps them goes on when it sees the end."""
        self._left = True
