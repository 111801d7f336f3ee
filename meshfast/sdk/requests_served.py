"""The requests of a call that streams, as its handler reads them: in the loop, or in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from meshfast.errors import StateError
from meshfast.sdk.errors import ConnectionLost
from meshfast.sdk.flows import PREFIX
from meshfast.sdk.limits import SMALL

__all__ = ["NO_MORE", "Served"]

#: In the place of a value.
NO_MORE = object()


class Served:
    """``read``: makes a value of a message; ``done``: told how many bytes were read. ``ended``: there are no more;
    ``lost``: its caller has gone. Several may read: each value is one's alone."""

    def __init__(self, read: Callable[[bytes], Awaitable[Any]], done: Callable[[int], None]) -> None:
        self._read, self._done = read, done
        self._came: deque[bytes] = deque()
        self._turn = asyncio.Lock()  # of who waits for one, or reads it
        self._wake: asyncio.Future[None] | None = None
        self._reading: asyncio.Task[Any] | None = None
        self.ended = self.lost = False

    def put(self, message: bytes) -> None:
        self._came.append(message)
        self.awake()

    def awake(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        found = await self.next()
        if found is NO_MORE:
            raise StopAsyncIteration
        return found

    async def next(self) -> Any:
        """One, or that there are no more. Who gives up waiting for one leaves it to who asks next."""
        async with self._turn:
            while not self._came:
                if self.lost:
                    raise ConnectionLost("its caller has gone")
                if self.ended:
                    return NO_MORE
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
            try:
                value = await self._value(self._came[0])
            except Exception:
                self._taken()
                raise
            self._taken()
            return value

    async def _value(self, message: bytes) -> Any:
        """A long one goes on being read where nobody waits for it any more: who asks next has it so much the sooner."""
        if len(message) <= SMALL:  # at once
            return await self._read(message)
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._read(message))
        return await asyncio.shield(self._reading)

    def _taken(self) -> None:
        self._reading = None
        self._done(PREFIX + len(self._came.popleft()))

    def waited(self) -> Iterator[Any]:
        """The same for a thread."""
        loop, home = asyncio.get_running_loop(), threading.get_ident()

        def each() -> Iterator[Any]:
            while True:
                if threading.get_ident() == home:  # it would wait for itself
                    raise StateError("a handler that reads in the loop says AsyncIterator in its annotation")
                if (found := asyncio.run_coroutine_threadsafe(self.next(), loop).result()) is NO_MORE:
                    return
                yield found

        return each()
