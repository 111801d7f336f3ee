"""One sidecar takes the place of another without that anybody is refused: ``meshfast proxy --takeover``.

The one that runs listens in its state directory. The next one asks there, and is given copies of all sockets that
listen, and of the descriptor by which the directory is had. When it takes calls itself it says so; then the first one
stops to accept, lets go of what only one can have, says that too, and drains. Whoever dies before that, the other one
goes on.

    next                      running
    {"want": "takeover"}  ->
                          <-  {"at": "tcp://10.0.0.7:20880"} and its sockets, one message or more for each address
                          <-  {"directory": true} and its descriptor; or, at any time, {"refused": why}
    {"ready": [...], "connections": [...]}
                          ->  those addresses that it has taken; of which it takes connections, see ``moving``
                          <-  {"yours": true}: nothing is written any more, sessions may be gone on with

An application asks there, too, for what it keeps while no sidecar runs: see ``custodians``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping

from meshfast import passing
from meshfast.custodians import Custodians
from meshfast.errors import ProtocolError
from meshfast.hints import told
from meshfast.moving import Moving, move
from meshfast.passed import Owner
from meshfast.passing import SIDECAR, Channel, Door
from meshfast.statedir import StateDir

__all__ = ["Handover"]

log = logging.getLogger("meshfast")

#: Seconds for the next one from its first word until it takes calls.
PREPARE = 60.0
#: Seconds without taking anybody, where descriptors are wanting.
AGAIN = 1.0


class Handover:
    """The side of who runs. ``owner`` has what is passed; ``stop`` is called once somebody else takes calls, of the
    addresses in ``taken``. ``counts``: "handed", sockets that were passed, and "refused", who came to nothing."""

    def __init__(self, directory: StateDir, owner: Owner, stop: Callable[[], None], counts: Counter[str]) -> None:
        self.counts = counts
        self.taken: frozenset[str] | None = None
        self.going_on: frozenset[str] = frozenset()  # of those, where connections may go on
        self._owner, self._stop, self._directory = owner, stop, directory
        self._door = Door(directory.fd, SIDECAR)
        self._custodians = Custodians(owner, counts)
        self._ending = ""
        self._next: Channel | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._do(self._accept())

    def go_on(self, kept: Mapping[int, Channel], taken: Collection[str]) -> None:
        """With applications that kept what was taken."""
        for port, channel in kept.items():
            self._do(self._custodians.go_on(channel, port, taken))

    def _do(self, what: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(what)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def refuse(self, why: str) -> None:
        """Nobody takes over any more; what who was about to is told."""
        self._ending = why
        if self._next is not None and self.taken is None:
            with contextlib.suppress(OSError):
                await self._next.send({"refused": why})

    async def close(self) -> None:
        """Nobody is there any more: who keeps sockets for a while goes on with them. Again is harmless."""
        self._door.close(handed=self.taken is not None)
        self._custodians.leave()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._next is not None:
            self._next.close()

    async def move(self, engine: Moving, keys: Mapping[str, str], within: float, cut: Callable[[], int]) -> None:
        """Connections of listeners, by their names and addresses, go on there; then the engine drains. Arguments as of
        ``moving.move``."""
        assert self._next is not None
        keys = {name: key for name, key in keys.items() if key in self.going_on and key in (self.taken or ())}
        if not keys:
            engine.drain()
            return
        count, stayed = await move(engine, self._next, keys, within, cut)
        text = "takeover: %d connection(s) go on in process %d, %d stay until they leave"
        log.info(text, count, self._next.pid, stayed)

    async def yours(self) -> None:
        """All that only one can have is free."""
        assert self._next is not None
        await self._custodians.moved()
        with contextlib.suppress(OSError):  # it has died, and whoever comes next finds what was left
            await self._next.send({"yours": True})
        self._next.close()

    async def _accept(self) -> None:
        while True:
            try:
                channel = await self._door.accept()
            except OSError as error:  # descriptors may be wanting for a while, and nobody may wait for ever
                log.error("takeover: who asks cannot be taken, trying again in %g s: %s", AGAIN, told(error))
                await asyncio.sleep(AGAIN)
                continue
            self._do(self._serve(channel))

    async def _serve(self, channel: Channel) -> None:
        custody = False
        try:
            async with asyncio.timeout(PREPARE) as patience:
                found = await channel.recv()
                if found is None:
                    return
                for fd in found[1]:
                    os.close(fd)
                want, port = found[0].get("want"), found[0].get("port")
                if self._ending:
                    await self._refuse(channel, self._ending)
                elif want == "custody" and self.taken is not None:
                    await channel.send({"refused": "another sidecar goes on: ask that one"})
                elif want == "custody" and isinstance(port, int):
                    custody = await self._custodians.pass_to(channel, port)
                elif want != "takeover":
                    await self._refuse(channel, f"this version of meshfast does not know what {str(want)[:40]!r} is")
                elif self._next is not None or self.taken is not None:
                    pid = self._next.pid if self._next is not None else 0
                    await self._refuse(channel, f"process {pid} is taking over already: wait for it, or end it")
                else:
                    self._next = channel
                    await self._take_over(channel, patience)
            if custody:
                await self._custodians.keep(channel)
        except (OSError, ProtocolError) as error:  # a TimeoutError is an OSError
            self.counts["refused"] += 1
            late = isinstance(error, TimeoutError)
            why = f"it was not ready within {PREPARE:g} s" if late else told(error)
            log.error("takeover: process %d does not take over, this one goes on: %s", channel.pid, why)
            with contextlib.suppress(OSError):  # or two would go on
                await channel.send({"refused": why})
        finally:
            if self.taken is None or self._next is not channel:
                channel.close()
                self._next = None if self._next is channel else self._next

    async def _refuse(self, channel: Channel, why: str) -> None:
        self.counts["refused"] += 1
        log.error("takeover: process %d is refused: %s", channel.pid, why)
        await channel.send({"refused": why})

    async def _take_over(self, channel: Channel, patience: asyncio.Timeout) -> None:
        passed = 0
        try:
            offers = self._owner.all()
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
        left = (patience.when() or 0) - asyncio.get_running_loop().time()
        patience.reschedule(None)
        found = await channel.recv(left)  # who has said it in time takes calls, however late it is read
        if found is None:
            self.counts["refused"] += 1
            log.warning("takeover: process %d has gone before it was ready: this one goes on", channel.pid)
            return
        for fd in found[1]:
            os.close(fd)
        going_on, taken = (_addresses(found[0], of) for of in ("connections", "ready"))
        self.counts["handed"] += passed
        self.going_on, self.taken = going_on, taken
        log.info("takeover: process %d takes calls: this one ends", channel.pid)
        self._stop()


def _addresses(message: Mapping[str, object], of: str) -> frozenset[str]:
    """
    :raises ProtocolError: they are none
    """
    found = message.get(of, [])
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ProtocolError(f"its {of!r} is no list of addresses")
    return frozenset(found)
