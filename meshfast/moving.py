"""Established connections that go on in the next sidecar, between two frames, so that who calls sees nothing of it.

    next                            running
                                <-  {"keys": [key, ...], "connections": [[which key, Dubbo2, discard, silent, came],
                                    ...]} and their sockets; behind those, where anything came, a file of what came of
                                    each
    {"have": how many}          ->  they are held, and nobody reads them; 0: they cannot be
                                <-  {"go": true}: they are the next one's
                                <-  or {"back": true}: they are not
                                <-  {"wait": true}, now and then: others may come
    {"enough": true}            ->  no more is taken

Whoever dies, one of them is left who may go on with what is held.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from meshfast.errors import ProtocolError
from meshfast.hints import told
from meshfast.passing import MOST, Channel

__all__ = ["Arrivals", "Moved", "Moving", "Way", "move"]

log = logging.getLogger("meshfast")

#: Seconds for the next one to say that it has some: nobody reads them meanwhile. As long as passTimeout, within these.
ANSWER, LONGEST_ANSWER = 1.0, 10.0
#: Seconds for it to be told that they are not its own.
BACK = 10.0
#: Seconds after which the next one is told that more may come.
WORD = 5.0
#: No number is that large.
MANY = 1 << 62
#: How often it is looked who else may go.
MOMENT = 0.001


class Moved(NamedTuple):
    """A connection on its way. ``dubbo``: Dubbo2 is spoken, else it has not said what; ``discard``: bytes to come that
    are to be thrown away; ``silent``: ns for which nothing came; ``came``: bytes that were not looked at yet."""

    listener: str
    fd: int
    dubbo: bool
    discard: int
    silent: int
    came: bytes


class Way(Protocol):
    """Who takes connections in: see ``_core.Engine.adopt``."""

    def adopt(self, name: str, fd: int, dubbo: bool, discard: int, silent: int, came: bytes) -> bool: ...


class Moving(Way, Protocol):
    """And who lets them go: see ``_core.Engine``."""

    def pass_on(self, names: Iterable[str]) -> None: ...

    @property
    def passing(self) -> bool: ...

    def passed(self, most: int) -> list[tuple[str, int, bool, int, int, bytes]]: ...

    def drain(self) -> None: ...

    def counters(self) -> dict[str, int]: ...


async def move(
    engine: Moving, to: Channel, keys: Mapping[str, str], within: float, cut: Callable[[], int]
) -> tuple[int, int]:  # fmt: skip
    """Has the connections of listeners go on in another process, as far as they may by the limit ``passTimeout``; then
    the engine drains. Returns how many went, and how many that might have gone did not.

    ``keys``: by the names of listeners, what the other calls them; ``within``: that limit, in seconds; ``cut``: it is
    to end at once.
    """
    count, within = 0, min(max(within, ANSWER), LONGEST_ANSWER)
    batch: list[Moved] = []
    try:
        engine.pass_on(keys)
        said = asyncio.get_running_loop().time()
        while True:
            if (now := asyncio.get_running_loop().time()) > said + WORD:
                said = now
                await to.send({"wait": True})
            if to.told:
                if await to.recv() is None:
                    raise ConnectionResetError("it has gone")
                raise ProtocolError("it has enough")
            going = engine.passing and not cut()
            batch = [Moved(*one) for one in engine.passed(MOST - 1)]
            if batch:
                count += await _hand(to, batch, keys, within)
                batch = []
            elif not going:
                break
            else:
                await asyncio.sleep(MOMENT)
    except (OSError, ProtocolError) as error:  # a TimeoutError is an OSError
        log.error("takeover: process %d takes no more connections: %s", to.pid, told(error))
    engine.drain()
    return count, await _keep(engine, batch) + engine.counters()["limit_pass_timeout"]


async def _hand(to: Channel, batch: list[Moved], keys: Mapping[str, str], within: float) -> int:
    """They are the other's, and closed here: how many. Or an error, and those in the batch are not."""
    names = sorted({one.listener for one in batch})
    rows = [[names.index(one.listener), one.dubbo, one.discard, one.silent, len(one.came)] for one in batch]
    said = {"keys": [keys[name] for name in names], "connections": rows}
    fds = [one.fd for one in batch]
    came = b"".join(one.came for one in batch)
    file = _file(came) if came else -1
    try:
        async with _answering(within):
            await to.send(said, [*fds, file] if came else fds)
            found = await to.recv()
            if found is None:
                raise ConnectionResetError("it has gone")
            if found[0].get("have") != len(batch):
                raise ProtocolError(f"it has {found[0].get('have')!r} of {len(batch)}")
            await to.send({"go": True})
    except (TimeoutError, ProtocolError) as error:  # it may be there, and must not go on with them
        await _take_back(to, batch, error)
        raise
    finally:
        if came:
            os.close(file)
    for fd in fds:
        os.close(fd)
    return len(fds)


@contextlib.asynccontextmanager
async def _answering(within: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(within):
            yield
    except TimeoutError:
        raise TimeoutError(f"it has not answered in {within:g} s") from None


async def _take_back(to: Channel, batch: list[Moved], error: Exception) -> None:
    try:
        async with asyncio.timeout(BACK):
            await to.send({"back": True})
    except TimeoutError:  # it cannot be told, and two that read them would misread both
        for one in batch:
            os.close(one.fd)
        batch.clear()
        raise error from None


async def _keep(engine: Moving, batch: list[Moved]) -> int:
    """Goes on with those that came to nothing, and with all that had left since: how many."""
    kept, going = 0, True
    while batch or going:
        for one in batch:
            with _lost(one):
                await _adopt(engine, one)
                kept += 1
        await asyncio.sleep(0 if batch else MOMENT)
        going = engine.passing  # first: what has left by then is there to be had
        batch = [Moved(*one) for one in engine.passed(MOST)]
    return kept


@contextlib.contextmanager
def _lost(one: Moved) -> Any:
    """A connection that cannot be gone on with ends."""
    try:
        yield
    except (OSError, KeyError, MemoryError) as error:
        log.error("takeover: a connection is lost: %s", error)
        os.close(one.fd)


async def _adopt(engine: Way, one: Moved) -> None:
    while not engine.adopt(*one):
        await asyncio.sleep(MOMENT)


def _file(data: bytes) -> int:
    fd = os.memfd_create("meshfast", os.MFD_CLOEXEC)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(fd, left) :]
    except BaseException:
        os.close(fd)
        raise
    return fd


class Arrivals:
    """The side of who comes next. ``names``: its listeners by what the other calls them; ``count``: how many came;
    ``ending``: it takes no more."""

    def __init__(self, engine: Way, names: Mapping[str, str]) -> None:
        self.names, self.count, self.ending = names, 0, False
        self._engine = engine
        self._held: list[Moved] = []

    async def take(self, channel: Channel, said: Mapping[str, Any], fds: Sequence[int]) -> bool:
        """Whether it is about connections, and done with.

        :raises ProtocolError: it is none of the messages above, or they cannot be held
        """
        if "connections" in said:
            self._held = self._read(said["connections"], said.get("keys"), fds)
            with contextlib.suppress(OSError):  # it has ended, and may have taken them back before: that comes yet
                await channel.send({"have": len(self._held)})
        elif "go" in said:
            await self.go_on()
        elif "back" in said:
            self.close()
        else:
            return "wait" in said
        return True

    def _read(self, rows: Any, keys: Any, fds: Sequence[int]) -> list[Moved]:
        try:
            if self.ending:
                raise ProtocolError("this process ends")
            if self._held or any(not 0 <= number < MANY for row in rows for number in (row[0], *row[2:])):
                raise ProtocolError("others are held, or a number is none")
            length = sum(row[4] for row in rows)
            came = os.pread(fds[-1], length, 0) if length else b""
            if len(fds) != len(rows) + (length > 0) or len(came) != length:
                raise ProtocolError("connections without their sockets, or without what came of them")
            out, at = [], 0
            for fd, (which, dubbo, discard, silent, size) in zip(fds, rows, strict=False):
                out.append(Moved(self.names[keys[which]], fd, bool(dubbo), discard, silent, came[at : at + size]))
                at += size
            if length:
                os.close(fds[-1])
            return out
        except (KeyError, IndexError, TypeError, ValueError, OSError, ProtocolError) as error:
            for fd in fds:
                os.close(fd)
            raise ProtocolError(f"connections that cannot be read: {error!r}") from None

    async def go_on(self) -> None:
        """With what is held: nobody else does."""
        held, self._held = self._held, []
        for one in held:
            with _lost(one):
                await _adopt(self._engine, one)
                self.count += 1

    def close(self) -> None:
        """What is held is the other's."""
        for one in self._held:
            os.close(one.fd)
        self._held = []
