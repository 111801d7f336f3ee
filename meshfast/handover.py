"""One sidecar takes the place of another without that anybody is refused: ``meshfast proxy --takeover``.

The one that runs listens in its state directory. The next one asks there, and is given copies of all sockets that
listen, and of the descriptor by which the directory is had. When it takes calls itself it says so; then the first one
stops to accept, lets go of what only one can have, says that too, and drains. Whoever dies before that, the other one
goes on.

    next                      running
    {"want": "takeover"}  ->
                          <-  {"at": "tcp://10.0.0.7:20880"} and its sockets, one message or more for each address
                          <-  {"directory": true} and its descriptor; or, at any time, {"refused": why}
    {"ready": [...]}      ->  those addresses that it has taken
                          <-  {"yours": true}: nothing is written any more, sessions may be gone on with
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

from meshfast import passing
from meshfast.errors import ProtocolError, StateError
from meshfast.hints import told
from meshfast.passing import Channel, Door
from meshfast.sockets import Given
from meshfast.statedir import StateDir

__all__ = ["DOOR", "Handover", "Keeper", "Takeover"]

log = logging.getLogger("meshfast")

#: The socket's name in the state directory.
DOOR = "handover.sock"
#: Seconds for the next one from its first word until it takes calls, and for the other one's last word after that.
PREPARE, YOURS = 60.0, 15.0
#: Seconds for one answer while sockets are passed.
ANSWER = 10.0

#: Copies of descriptors by their addresses, for whoever gets them.
Offer = Callable[[], Mapping[str, list[int]]]


@runtime_checkable
class Keeper(Protocol):
    """A source that has what only one process can have: see ``RegistrySource``."""

    def own(self) -> None: ...

    def hand_over(self) -> None: ...


class Handover:
    """The side of who runs. ``offer`` makes what is passed; ``stop`` is called once somebody else takes calls, of the
    addresses in ``taken``. ``handed`` and ``refused`` count sockets that were passed, and who came to nothing."""

    def __init__(self, directory: StateDir, offer: Offer, stop: Callable[[], None]) -> None:
        self.handed = self.refused = 0
        self.taken: frozenset[str] | None = None
        self._offer, self._stop, self._directory = offer, stop, directory
        self._door = Door(directory.fd, DOOR)
        self._closed = False
        self._next: Channel | None = None
        self._tasks = {asyncio.get_running_loop().create_task(self._accept())}

    async def close(self, why: str = "") -> None:
        """Nobody takes over any more. ``why``: what who was about to is told."""
        if self._closed:
            return
        self._closed = True
        self._door.close()
        if why and self._next is not None and self.taken is None:
            with contextlib.suppress(OSError):
                await self._next.send({"refused": why})
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._next is not None:
            self._next.close()

    async def yours(self) -> None:
        """All that only one can have is free."""
        assert self._next is not None
        with contextlib.suppress(OSError):  # it has died, and whoever comes next finds what was left
            await self._next.send({"yours": True})
        self._next.close()

    async def _accept(self) -> None:
        while True:
            channel = await self._door.accept()
            task = asyncio.get_running_loop().create_task(self._serve(channel))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, channel: Channel) -> None:
        try:
            async with asyncio.timeout(PREPARE):
                found = await channel.recv()
                if found is None:
                    return
                for fd in found[1]:
                    os.close(fd)
                if found[0].get("want") != "takeover":
                    await self._refuse(channel, "this version of meshfast hands over by {'want': 'takeover'}")
                elif self._next is not None or self.taken is not None:
                    pid = self._next.pid if self._next is not None else 0
                    await self._refuse(channel, f"process {pid} is taking over already: wait for it, or end it")
                else:
                    self._next = channel
                    await self._take_over(channel)
        except (OSError, ProtocolError) as error:  # a TimeoutError is an OSError
            self.refused += 1
            log.error("takeover: process %d does not take over, this one goes on: %s", channel.pid, told(error))
        finally:
            if self.taken is None or self._next is not channel:
                channel.close()
                self._next = None if self._next is channel else self._next

    async def _refuse(self, channel: Channel, why: str) -> None:
        self.refused += 1
        log.error("takeover: process %d is refused: %s", channel.pid, why)
        await channel.send({"refused": why})

    async def _take_over(self, channel: Channel) -> None:
        passed = 0
        try:
            offers = self._offer()
        except OSError as error:
            await self._refuse(channel, f"its listeners cannot be passed: {told(error)}")
            return
        try:
            for key, fds in offers.items():
                for at in range(0, len(fds), passing.MOST):
                    await channel.send({"at": key}, fds[at : at + passing.MOST])
                passed += len(fds)
        finally:
            for fds in offers.values():
                for fd in fds:
                    os.close(fd)
        await channel.send({"directory": True}, [self._directory.fd])
        log.info("takeover: process %d has %d socket(s) that listen, and gets ready", channel.pid, passed)
        found = await channel.recv()
        if found is None:
            self.refused += 1
            log.warning("takeover: process %d has gone before it was ready: this one goes on", channel.pid)
            return
        self.handed += passed
        self.taken = frozenset(map(str, found[0].get("ready", ())))
        log.info("takeover: process %d takes calls: this one ends", channel.pid)
        self._stop()


class Takeover:
    """The side of who comes next. ``given``: the sockets that it was passed; ``took``: from whom, 0: nobody was there.
    What it is not passed it opens itself."""

    def __init__(self, *, asked: bool) -> None:
        """``asked``: whether somebody may be there."""
        self.asked, self.given = asked, Given()
        self.took = self.sockets = 0
        self._channel: Channel | None = None
        self._directory: StateDir | None = None

    async def open(self, path: str) -> StateDir:
        """The state directory, with all that who has it passes.

        :raises StateError: it is had and not passed, or others may write to it
        :raises OSError: it cannot be had
        """
        channel = await passing.dial(path, DOOR) if self.asked else None
        if channel is None:
            if self.asked:
                log.info("takeover: nobody has %s: starting as ever", path)
            self._directory = StateDir(path)
            return self._directory
        self._channel, self.took = channel, channel.pid
        log.info("takeover: process %d runs", channel.pid)
        await channel.send({"want": "takeover"})
        while True:
            try:
                async with asyncio.timeout(ANSWER):
                    found = await channel.recv()
            except TimeoutError:
                hint = "it hangs; end it, and start as ever"
                raise StateError(f"process {channel.pid} does not answer: {hint}") from None
            if found is None:
                raise StateError(f"process {channel.pid} ended before it had passed its listeners: start again")
            said, fds = found
            if "at" in said:
                self.given.add(str(said["at"]), fds)
                self.sockets += len(fds)
                continue
            if "directory" in said and len(fds) == 1:
                self._directory = StateDir(path, fds[0])
                return self._directory
            for fd in fds:
                os.close(fd)
            if "refused" in said:
                raise StateError(f"process {channel.pid} does not hand over: {said['refused']}")

    async def ready(self) -> None:
        """Calls are taken. Returns when the process before has let go of all.

        :raises StateError: that one ends for another reason
        """
        self.given.close()
        if self._channel is None:
            return
        try:
            await self._channel.send({"ready": self.given.taken})
            async with asyncio.timeout(YOURS):
                while (found := await self._channel.recv()) is not None:
                    for fd in found[1]:
                        os.close(fd)
                    if "refused" in found[0]:
                        raise StateError(f"process {self.took} does not hand over: {found[0]['refused']}")
                    if "yours" in found[0]:
                        break
                else:
                    log.warning("takeover: process %d died before its last word: going on with what it left", self.took)
        except TimeoutError:
            log.error("takeover: process %d has not let go in %g s: going on without its word", self.took, YOURS)
        except OSError as error:
            log.warning("takeover: process %d died, going on with what it left: %s", self.took, told(error))
        self._channel.close()
        assert self._directory is not None
        await asyncio.to_thread(self._directory.own)

    def close(self) -> None:
        """At its end, however far it came."""
        self.given.close()
        if self._channel is not None:
            self._channel.close()
