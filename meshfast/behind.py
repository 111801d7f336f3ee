"""Work that follows what happens, later and not as often: what is written down of a state that changes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

__all__ = ["Behind"]

EVERY_S = 1.0  # seconds between two times


class Behind:
    """``ask``, and ``do`` is called soon, once for all who asked meanwhile, and at most once in ``every`` seconds."""

    def __init__(self, do: Callable[[], Awaitable[None]], every: float = EVERY_S) -> None:
        self._do, self._every = do, every
        self._task: asyncio.Task[None] | None = None
        self._asked, self._ending = False, asyncio.Event()
        self._at = -every

    def ask(self) -> None:
        """In a loop."""
        self._asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Returns when what was asked for is done, which waits for nothing any more."""
        self._ending.set()
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._asked:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._at + self._every - time.monotonic())):
                    await self._ending.wait()
            self._asked, self._at = False, time.monotonic()
            await self._do()
