"""The requests of a call that streams, as its handler reads them: in the loop, or in a thread."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

from meshfast.sdk.errors import ConnectionLost
from meshfast.sdk.flows import PREFIX

__all__ = ["NO_MORE", "Served"]

#: In the place of a value.
NO_MORE = object()


class Served:
    """``read``: makes a value of a message; ``done``: told how many bytes were read. ``ended``: there are no more;
    ``lost``: its caller has gone."""

    def __init__(self, read: Callable[[bytes], Awaitable[Any]], done: Callable[[int], None]) -> None:
        self._read, self._done = read, done
        self._came: deque[bytes] = deque()
        self._wake: asyncio.Future[None] | None = None
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
        """One, or that there are no more."""
        while not self._came:
            if self.lost:
                raise ConnectionLost("its caller has gone")
            if self.ended:
                return NO_MORE
            self._wake = asyncio.get_running_loop().create_future()
            await self._wake
        message = self._came.popleft()
        try:
            return await self._read(message)
        finally:
            self._done(PREFIX + len(message))

    def waited(self) -> Iterator[Any]:
        """The same for a thread."""
        loop = asyncio.get_running_loop()

        def each() -> Iterator[Any]:
            while (found := asyncio.run_coroutine_threadsafe(self.next(), loop).result()) is not NO_MORE:
                yield found

        return each()
