"""A file of the state directory that follows what changes: written soon after, aside, and once more at the end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Protocol

from meshfast.hints import News, told

__all__ = ["RETRY", "Later", "State"]

log = logging.getLogger("meshfast")

#: Seconds from a change to its writing, and how many times as long as encoding took at least.
DELAY, RARELY = 0.1, 20.0
#: Seconds until what could not be written is tried again.
RETRY = 10.0


class State(Protocol):
    """The state directory."""

    def read(self, name: str) -> bytes | None:
        """What was written last. Raises SourceError where that is not to be trusted."""

    def write(self, name: str, data: bytes) -> None:
        """Replaces it. Raises OSError."""


class Later:
    """``encoded`` gives what is to be written; whoever changes it says ``changed``. ``what``: of which the log says
    that it is "not kept over a restart"."""

    def __init__(self, state: State, name: str, encoded: Callable[[], bytes], what: str) -> None:
        self._state, self._name, self._encoded, self._what = state, name, encoded, what
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._delay, self._again, self._ended = DELAY, False, False
        self._trouble = News()
        self.failed = 0

    def changed(self) -> None:
        """Writes soon."""
        if self._ended:
            return
        if self._task is not None:
            self._again = True
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._delay, self._begin)

    async def close(self) -> None:
        """Writes for the last time."""
        self._ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await self._task
        self._write(self._encoded())

    def _begin(self) -> None:
        self._timer = None
        began = time.perf_counter()
        data = self._encoded()
        self._delay = max(DELAY, RARELY * (time.perf_counter() - began))
        self._task = asyncio.get_running_loop().create_task(self._written(data))

    async def _written(self, data: bytes) -> None:
        written = await asyncio.to_thread(self._write, data)
        self._task, again, self._again = None, self._again, False
        if not written:
            self._delay = max(self._delay, RETRY)
        if again or not written:
            self.changed()

    def _write(self, data: bytes) -> bool:
        """Whether it is written."""
        try:
            self._state.write(self._name, data)
        except OSError as error:
            self.failed += 1
            if self._trouble.is_new(text := told(error)):
                log.error("endpoint: %s not kept over a restart: %s", self._what, text)
            return False
        self._trouble.over()
        return True
