"""What of a Nacos is asked for again and again, and who is to hear when it is another.

Its open API has nothing that tells of changes and that all servers have, so everything is asked for anew: services
once in ``EVERY`` seconds, less often where there are many.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from typing import Any

from meshfast.registry.times import Later, Times

__all__ = ["EVERY", "MAPPINGS_EVERY", "PER_SECOND", "Cell", "Polls"]

#: Seconds between two questions for the same: for instances and for the names of services, and for configs. By a tenth
#: more or less, by luck.
EVERY, MAPPINGS_EVERY = 1.0, 5.0
#: Questions a second at most, however much is followed.
PER_SECOND = 50
#: Seconds until what could not be had is asked for again, at least.
AGAIN = 5.0


class Cell:
    """One thing. ``value`` is what it is now, once it is ``known``; ``paths`` are shown by it."""

    __slots__ = ("asking", "failing", "key", "known", "paths", "timer", "value")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.value: Any = None
        self.known = self.failing = False
        self.paths: set[str] = set()
        self.asking: asyncio.Task[Any] | None = None
        self.timer: Later | None = None


class Polls:
    """``ask`` gives what a key has now, given what was known; ``every``: its seconds; ``changed`` is told of the paths
    that are shown by what is another; ``failed`` of what could not be had, once until it can: whether to go on."""

    def __init__(
        self,
        ask: Callable[[Hashable, Any], Awaitable[Any]],
        every: Callable[[Hashable, Any], float],
        times: Times,
        changed: Callable[[Iterable[str]], None],
        failed: Callable[[Hashable, Exception, bool], bool],
    ) -> None:
        self._ask, self._every, self._times, self._changed, self._failed = ask, every, times, changed, failed
        self._cells: dict[Hashable, Cell] = {}
        self._uses: dict[str, set[Hashable]] = {}
        self._closed = False

    def known(self, key: Hashable) -> Cell | None:
        one = self._cells.get(key)
        return one if one is not None and one.known else None

    async def have(self, key: Hashable) -> None:
        """Once it returns, it is known.

        :raises Exception: as ``ask``
        """
        one = self._cells.get(key)
        if one is None:
            one = self._cells[key] = Cell(key)
        if not one.known:
            await asyncio.shield(self._asked(one))

    def use(self, path: str, keys: Iterable[Hashable]) -> None:
        """By these, and no others, a path is shown from now on; by none, it is forgotten."""
        wanted, before = set(keys), self._uses.pop(path, set())
        if wanted:
            self._uses[path] = wanted
        for key in wanted:
            if (one := self._cells.get(key)) is not None:
                one.paths.add(path)
                if one.timer is None and one.asking is None:
                    self._arm(one)
        for key in before - wanted:
            if (one := self._cells.get(key)) is not None:
                one.paths.discard(path)
        self.tidy(before)

    def tidy(self, keys: Iterable[Hashable]) -> None:
        """Those that nobody uses are forgotten."""
        for key in keys:
            one = self._cells.get(key)
            if one is not None and not one.paths and one.asking is None:
                self._drop(one)

    def uses(self, path: str) -> set[Hashable]:
        return self._uses.get(path, set())

    def close(self) -> None:
        self._closed = True
        for one in list(self._cells.values()):
            self._drop(one)

    def _drop(self, one: Cell) -> None:
        del self._cells[one.key]
        if one.timer is not None:
            one.timer.cancel()
        if one.asking is not None:
            one.asking.cancel()

    def _asked(self, one: Cell) -> asyncio.Task[Any]:
        if one.asking is None:
            one.asking = asyncio.get_running_loop().create_task(self._asking(one))
            one.asking.add_done_callback(_seen)
        return one.asking

    async def _asking(self, one: Cell) -> None:
        error: Exception | None = None
        try:
            found = await self._ask(one.key, one.value)
        except Exception as wrong:
            error = wrong
        finally:
            one.asking = None
        if self._cells.get(one.key) is not one or self._closed:
            return
        if error is None:
            other = not one.known or found is not one.value
            again = one.known
            one.value, one.known, one.failing = found, True, False
            if other and again:
                self._changed(list(one.paths))
            self._arm(one)
            return
        before, one.failing = one.failing, True
        if not one.known:
            self._drop(one)  # whoever waits for it hears of it, and asks again
            raise error
        if self._failed(one.key, error, not before):
            self._arm(one, AGAIN)

    def _arm(self, one: Cell, least: float = 0.0) -> None:
        """Once it is used; who reads it once lets it go."""
        if self._cells.get(one.key) is not one or not one.paths:
            return
        seconds = max(self._every(one.key, one.value), least, len(self._cells) / PER_SECOND)
        if one.timer is not None:
            one.timer.cancel()
        one.timer = self._times.later(seconds * (0.9 + self._times.luck() / 5), self._due, one)

    def _due(self, one: Cell) -> None:
        one.timer = None
        if self._cells.get(one.key) is one and one.asking is None and not self._closed:
            self._asked(one)


def _seen(task: asyncio.Task[Any]) -> None:
    """Its error has been told to those who wait, if anybody does."""
    if not task.cancelled():
        task.exception()
