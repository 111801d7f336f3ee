"""While the sidecar is away its application takes who calls in: it has copies of the inbound listeners, and gives them
back to the next sidecar. So nobody is refused while a sidecar is started anew.

The wire is ``meshfast.custodians``; where no sidecar runs, the next one asks here:

    next sidecar               application
    {"want": "listeners"}  ->
                           <-  {"at": key}, and its sockets, for each; then {"all": how many}
    {"serving": true}      ->  it takes who comes
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from meshfast import passing
from meshfast.errors import ProtocolError, StateError
from meshfast.hints import told
from meshfast.passing import SIDECAR, Channel, Door, custodian
from meshfast.statedir import trusted

__all__ = ["Custody"]

log = logging.getLogger("meshfast.sdk")

#: Seconds between looks for a sidecar, at first and at most, and for one of its messages.
SOON, LATER, ANSWER = 0.05, 1.0, 10.0
#: Seconds in which a sidecar that has taken over is to be there.
MOVED = 2.0
#: SO_DETACH_FILTER: a sidecar that ended shuts what it has alone by a filter.
DETACH_FILTER = 27


class Closes(Protocol):
    def close(self) -> None:
        """Takes nobody any more."""


#: Takes who comes at a socket that listens, until what it gives is closed.
Adopt = Callable[[socket.socket], Closes]


class Custody:
    """Of the listeners that forward to ``port``, of the sidecar whose ``state`` directory this is. ``takes``: whether
    it takes who comes, now; ``times`` that it began to."""

    def __init__(self, state: str, port: int, adopt: Adopt) -> None:
        self._state, self._port, self._adopt = state, port, adopt
        self._held: list[tuple[str, int]] = []
        self._servers: list[Closes] = []
        self._door: Door | None = None
        self._came = asyncio.Event()  # a sidecar that was given back what was kept ...
        self._with: Channel | None = None  # ... by this
        self._tasks: set[asyncio.Task[None]] = set()
        self._why = ""  # what was wanting the last time
        self.times = 0

    @property
    def takes(self) -> bool:
        return bool(self._servers)

    @property
    def kept(self) -> int:
        """Sockets."""
        return len(self._held)

    def start(self) -> None:
        self._do(self._keep())

    async def leave(self) -> None:
        """Keeps nothing any more."""
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:  # also where that is cancelled
            if self._door is not None:
                self._door.close()
            if self._with is not None:
                self._with.close()
            self._rest()
            self._hold([])

    def _do(self, what: Awaitable[None]) -> None:
        task = asyncio.ensure_future(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the sidecar that runs

    async def _keep(self) -> None:
        now = asyncio.get_running_loop().time
        wait, by = SOON, 0.0
        while True:
            channel = await self._ask()
            if channel is not None:
                wait = SOON
                by = now() + MOVED if await self._followed(channel) else 0.0
                if not by:
                    self._take()
                continue
            if self._held and now() >= by:
                self._take()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._came.wait()
            wait = min(2 * wait, LATER)

    async def _ask(self) -> Channel | None:
        """A sidecar of which there is something to keep, which is kept by then; None: there is none."""
        channel, self._with = self._with, None
        self._came.clear()
        if channel is not None:
            self._rest()  # as it takes who comes, and this may have begun to again
            return channel
        try:
            channel = await passing.dial(self._state, SIDECAR)
            if channel is None:
                return None
            self._open()  # before it has anything: what cannot be given back is not taken
            await channel.send({"want": "custody", "port": self._port})
            found = await _listeners(channel)
        except (OSError, ProtocolError) as error:
            if channel is not None:
                channel.close()
            log.debug("custody: nothing is kept of the sidecar at %s: %s", self._state, told(error))
            return None
        if self._with is not None:  # it asked meanwhile
            self._with.close()
            self._with = None
        self._rest()
        self._hold(found)
        if not found:
            channel.close()
            return None
        log.info("custody: %d socket(s) before port %d are kept", len(found), self._port)
        return channel

    async def _followed(self, channel: Channel) -> bool:
        """Returns when it has gone; True, and at once, when another goes on, which may end before this one has."""
        try:
            while (said := await _word(channel)) is not None:
                if said.get("moved"):
                    return True
        except ProtocolError as error:
            log.warning("custody: %s", error)
        finally:
            channel.close()
        return False

    # --- what is kept

    def _open(self) -> None:
        """Where the next sidecar asks."""
        if self._door is None:
            try:
                at = os.open(self._state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    trusted(os.fstat(at), self._state)
                    self._door = Door(at, custodian(self._port))
                finally:
                    os.close(at)
            except (OSError, StateError) as error:
                self._wanting("nothing is kept of the sidecar", error)
                raise ConnectionAbortedError(told(error)) from None
            self._do(self._give(self._door))

    def _hold(self, found: list[tuple[str, int]]) -> None:
        for _, fd in self._held:
            os.close(fd)
        self._held = found

    def _take(self) -> None:
        """Takes who comes, from now on."""
        if self._servers:
            return
        try:
            for _, fd in self._held:
                sock = socket.socket(fileno=os.dup(fd))
                with contextlib.suppress(OSError):  # there is none
                    sock.setsockopt(socket.SOL_SOCKET, DETACH_FILTER, 0)
                self._servers.append(self._adopt(sock))
        except OSError as error:
            self._rest()
            self._wanting("nobody who calls in is taken", error)
            return
        log.warning("the sidecar at %s has gone: calls that come in are taken here until one is back", self._state)
        self.times += 1
        self._why = ""

    def _wanting(self, what: str, error: Exception) -> None:
        """What is tried again, told once."""
        if (why := told(error)) != self._why:
            self._why = why
            log.error("custody: %s at %s yet, trying again: %s", what, self._state, why)

    def _rest(self) -> None:
        """Whoever was taken is served on; others have the sockets, and those who wait there."""
        for each in self._servers:
            each.close()
        self._servers.clear()

    # --- the next sidecar

    async def _give(self, door: Door) -> None:
        while True:
            try:
                self._do(self._give_to(await door.accept()))
            except OSError as error:
                self._wanting("nobody who asks for what is kept is heard", error)
                await asyncio.sleep(LATER)

    async def _give_to(self, channel: Channel) -> None:
        try:
            async with asyncio.timeout(ANSWER):
                if await _word(channel) is None:
                    return
                for key, fd in self._held:
                    await channel.send({"at": key}, [fd])
                await channel.send({"all": len(self._held)})
            if (said := await _word(channel)) is None or not isinstance(serving := said.get("serving"), list):
                return
            self._rest()
            taken = set(map(str, serving))
            for _, fd in (one for one in self._held if one[0] not in taken):
                os.close(fd)
            self._held = [one for one in self._held if one[0] in taken]
            self._with, before = channel, self._with
            if before is not None:
                before.close()
            self._came.set()
        except (OSError, ProtocolError) as error:
            log.warning("custody: process %d is not given what is kept: %s", channel.pid, told(error))
        finally:
            if channel is not self._with:
                channel.close()


async def _word(channel: Channel) -> dict[str, Any] | None:
    """One of which no descriptors are wanted; None: it has ended."""
    if (found := await channel.recv()) is None:
        return None
    for fd in found[1]:
        os.close(fd)
    return found[0]


async def _listeners(channel: Channel) -> list[tuple[str, int]]:
    """All that is passed.

    :raises OSError: it ends before that
    :raises ProtocolError: it refuses
    """
    held: list[tuple[str, int]] = []
    try:
        async with asyncio.timeout(ANSWER):
            while (found := await channel.recv()) is not None:
                said, fds = found
                held += [(str(said.get("at", "")), fd) for fd in fds]
                if "all" in said:
                    return held
                if "refused" in said or "moved" in said:
                    raise ProtocolError(str(said.get("refused", "another sidecar goes on")))
        raise ConnectionResetError("it ended")
    except BaseException:
        for _, fd in held:
            os.close(fd)
        raise
