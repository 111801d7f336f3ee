"""The side of a sidecar that comes next: what it is passed by the one that runs (see ``handover``), or by applications
that kept it while none did (see ``custodians``)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from meshfast import passing
from meshfast.errors import ProtocolError, StateError
from meshfast.hints import told
from meshfast.moving import Arrivals
from meshfast.passing import SIDECAR, Channel, custodian
from meshfast.sockets import Given
from meshfast.statedir import StateDir

__all__ = ["Keeper", "Takeover"]

log = logging.getLogger("meshfast")

#: Seconds for the next word of the process before, to its last, and for one answer while sockets are passed.
YOURS, ANSWER = 15.0, 10.0


@runtime_checkable
class Keeper(Protocol):
    """A source that has what only one process can have: see ``RegistrySource``."""

    def own(self) -> None: ...

    def hand_over(self) -> None: ...


class Takeover:
    """The side of who comes next. ``given``: the sockets that it was passed; ``took``: from whom, 0: nobody was there.
    What it is not passed it opens itself."""

    def __init__(self, *, asked: bool) -> None:
        """``asked``: whether somebody may be there."""
        self.asked, self.given = asked, Given()
        self.took = self.sockets = 0
        self._channel: Channel | None = None
        self._directory: StateDir | None = None
        self.kept: dict[int, Channel] = {}  # applications that keep what was given, by their ports
        self._following: asyncio.Task[None] | None = None
        self._settled = asyncio.Event()  # nobody is waited for any more
        self._refused = ""

    async def open(self, path: str) -> StateDir:
        """The state directory, with all that who has it passes.

        :raises StateError: it is had and not passed, or others may write to it
        :raises OSError: it cannot be had
        """
        channel = await passing.dial(path, SIDECAR) if self.asked else None
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

    async def collect(self, path: str, ports: Iterable[int]) -> None:
        """What applications at these ports keep, where no sidecar ran that could pass it.

        :raises StateError: one has it and does not give it back
        :raises OSError: it cannot be asked
        """
        for port in () if self._channel is not None else sorted(set(ports)):
            channel = await passing.dial(path, custodian(port))
            if channel is None:
                continue
            self.kept[port] = channel
            await self._give_back(channel, port)

    async def _give_back(self, channel: Channel, port: int) -> None:
        try:
            await channel.send({"want": "listeners"})
            async with asyncio.timeout(ANSWER):
                while (found := await channel.recv()) is not None:
                    said, fds = found
                    if "at" in said:
                        self.given.add(str(said["at"]), fds)
                        self.sockets += len(fds)
                        continue
                    for fd in fds:
                        os.close(fd)
                    if "all" in said:
                        log.info("custody: process %d has kept the listeners before port %d", channel.pid, port)
                        return
        except TimeoutError:
            text = f"process {channel.pid} keeps the listeners before port {port} and does not answer: end it"
            raise StateError(text) from None
        except ConnectionError:
            log.warning("custody: process %d has gone, which kept the listeners before port %d", channel.pid, port)

    async def _serving(self) -> None:
        for channel in self.kept.values():
            try:
                await channel.send({"serving": self.given.taken})
            except OSError as error:
                log.info("custody: process %d has gone: %s", channel.pid, told(error))

    async def ready(self, arrivals: Arrivals, alone: Callable[[], None], stop: asyncio.Event) -> None:
        """Calls are taken, and ``arrivals`` takes connections. Returns when the process before has let go of all, or is
        not waited for any more: then it may yet have the sockets, and its connections are taken when it wakes.

        ``alone``: is called once it has nothing any more; ``stop``: is set when this one is to end.

        :raises StateError: that one ends for another reason
        """
        self.given.close()
        await self._serving()
        if self._channel is None:
            alone()
            return
        self._following = asyncio.create_task(self._follow(self._channel, arrivals, alone, stop))
        await self._settled.wait()
        if self._refused:
            raise StateError(self._refused)
        assert self._directory is not None
        await asyncio.to_thread(self._directory.own)

    async def _follow(
        self, channel: Channel, arrivals: Arrivals, alone: Callable[[], None], stop: asyncio.Event
    ) -> None:  # fmt: skip
        hurry = asyncio.create_task(self._hurry(channel, arrivals, stop))
        try:
            with contextlib.suppress(OSError):  # it has ended; what it said before that comes yet
                await channel.send({"ready": self.given.taken, "connections": sorted(arrivals.names)})
            if not await self._last_word(channel, arrivals):
                log.warning("takeover: process %d died before its last word: going on with what it left", self.took)
                await arrivals.go_on()
            alone()
        except StateError as error:
            if self._settled.is_set():
                log.error("takeover: %s, but this one has gone on", error)
            self._refused = str(error)
        finally:
            hurry.cancel()
            arrivals.close()
            channel.close()
            if arrivals.count:
                log.info("takeover: %d connection(s) of process %d go on here", arrivals.count, self.took)
            self._settled.set()

    async def _last_word(self, channel: Channel, arrivals: Arrivals) -> bool:
        """False: it died before."""
        while True:
            try:
                found = await channel.recv(None if self._settled.is_set() else YOURS)
                if found is None:
                    return False
                said, fds = found
                if await arrivals.take(channel, said, fds):
                    continue
            except TimeoutError:
                log.error("takeover: process %d has not let go in %g s: going on without its word", self.took, YOURS)
                self._settled.set()
                continue
            except ProtocolError as error:  # whatever it was that it gives, it is to keep it
                log.error("takeover: connections stay in process %d: %s", self.took, error)
                with contextlib.suppress(OSError):
                    await channel.send({"have": 0})
                continue
            for fd in fds:
                os.close(fd)
            if "refused" in said:
                raise StateError(f"process {self.took} does not hand over: {said['refused']}")
            if "yours" in said:
                return True

    @staticmethod
    async def _hurry(channel: Channel, arrivals: Arrivals, stop: asyncio.Event) -> None:
        """Where this one is to end what the process before has stays there, and it need not wait for more to be had."""
        await stop.wait()
        arrivals.ending = True
        with contextlib.suppress(OSError):  # it has ended
            await channel.send({"enough": True})

    def close(self) -> None:
        """At its end, however far it came."""
        if self._following is not None:
            self._following.cancel()
        self.given.close()
        for channel in (*self.kept.values(), *((self._channel,) if self._channel is not None else ())):
            channel.close()
