"""The clock and the dice of a registry, and the way from its threads into the loop. Tests turn them by hand."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

__all__ = ["Hop", "Later", "Times"]

#: What one turn of the loop takes over from threads.
A_TURN = 64


class Later(Protocol):
    def cancel(self) -> None: ...


class Times:
    """Monotonic seconds, calls after some, and numbers from 0 to 1."""

    def now(self) -> float:
        return time.monotonic()

    def later(self, seconds: float, call: Callable[..., object], *args: object) -> Later:
        return asyncio.get_running_loop().call_later(seconds, call, *args)

    def luck(self) -> float:
        return random.random()


class Hop:
    """Calls handed over by threads, made in the loop in the order given, some in each of its turns."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._asked = False

    def put(self, call: Callable[..., object], *args: Any) -> None:
        """From any thread. After the loop's end nothing is called."""
        self._calls.append((call, args))
        if not self._asked:  # a thread that sees it set has put its call before the loop looks
            self._asked = True
            try:
                self._loop.call_soon_threadsafe(self._run)
            except RuntimeError:  # the loop is closed
                self._calls.clear()

    def _run(self) -> None:
        self._asked = False
        for _ in range(min(A_TURN, len(self._calls))):
            call, args = self._calls.popleft()
            try:
                call(*args)
            except Exception as error:  # one must not keep back those behind it
                self._loop.call_exception_handler({"message": "in a registry's event", "exception": error})
        if self._calls and not self._asked:
            self._asked = True
            self._loop.call_soon(self._run)
