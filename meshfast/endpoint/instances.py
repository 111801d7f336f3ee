"""What applications offer that register by an instance: its node names a revision, and what that means the application
has written beside it, or tells who asks it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from meshfast.errors import MeshfastError
from meshfast.registry.applications import Ask
from meshfast.registry.instance import Info, Node, info
from meshfast.registry.metadata import ask
from meshfast.registry.url import Refused

__all__ = ["Instances", "Written"]

log = logging.getLogger("meshfast")

#: An application that does not tell is asked again after so many seconds, and after so many tries less often.
SOON, SELDOM, TRIES = 1.0, 10.0, 3


Key = tuple[str, str]  # application, revision


class Written:
    """Nodes in which an application says what it offers, wherever it has them: ``/{root}/metadata/{application}/
    {revision}`` or ``/{root}/{application}/{revision}``."""

    def __init__(self) -> None:
        self._data: dict[Key, dict[str, bytes]] = {}  # by path

    def take(self, path: str, data: bytes) -> bool:
        """Whether it may be one."""
        if not (data.startswith(b"{") and b'"services"' in data and b'"revision"' in data):
            return False
        self._data.setdefault(_key(path), {})[path] = data
        return True

    def drop(self, path: str) -> None:
        if (found := self._data.get(_key(path))) is not None and found.pop(path, None) is not None and not found:
            del self._data[_key(path)]

    def get(self, application: str, revision: str) -> bytes | None:
        return next(iter(self._data.get((application, revision), {}).values()), None)


@dataclass(slots=True)
class _Search:
    """Of a revision that is asked for."""

    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    tries: int = 0

    def end(self) -> None:
        if self.task is not None:
            self.task.cancel()
        if self.timer is not None:
            self.timer.cancel()


class Instances:
    """``changed`` is called when more is known than before. ``written``: of what the application has written."""

    def __init__(self, written: Written, changed: Callable[[], None], asks: Ask = ask) -> None:
        self._written, self._changed, self._ask = written, changed, asks
        self._known: dict[Key, Info] = {}
        self._last: dict[str, Info] = {}  # by path: what was offered last
        self._searches: dict[Key, _Search] = {}

    def follow(self, nodes: Mapping[str, Node]) -> None:
        """These are the instances, by their paths; what others offered is forgotten."""
        keys = {(one.application, one.revision) for one in nodes.values()}
        self._known = {key: found for key, found in self._known.items() if key in keys}
        self._last = {path: found for path, found in self._last.items() if path in nodes}
        self._stop(self._searches.keys() - keys)

    def offered(self, path: str, one: Node, at: tuple[str, str, int] | None) -> Info | None:
        """What an instance offers; until its revision is known what it offered before, None where that is nothing.
        ``at``: by which protocol, and where, it is asked if it has written nothing; None: it is not."""
        key = one.application, one.revision
        found = self._known.get(key)
        if found is None and one.remote and (data := self._written.get(*key)) is not None:
            try:
                found = self._known[key] = info(data)
            except Refused as refused:
                log.warning("endpoint: what %s offers cannot be read: %s", one.application, refused)
        if found is not None:
            self._last[path] = found
            self._stop([key])
        elif not one.remote and at is not None and key not in self._searches:
            self._begin(key, at)
        return self._last.get(path)

    @property
    def searching(self) -> bool:
        """Whether somebody is asked, so that more may be offered than is known."""
        return bool(self._searches)

    def close(self) -> None:
        self._stop(list(self._searches))

    def _begin(self, key: Key, at: tuple[str, str, int]) -> None:
        search = self._searches.setdefault(key, _Search())
        search.timer = None
        search.task = asyncio.get_running_loop().create_task(self._asking(search, key, at))

    async def _asking(self, search: _Search, key: Key, at: tuple[str, str, int]) -> None:
        try:
            found = await self._ask(*at, *key)
        except (MeshfastError, Refused, OSError) as error:
            if self._searches.get(key) is not search:
                return
            search.tries += 1
            if search.tries == TRIES:
                log.warning("endpoint: %s, asked at %s:%d, does not tell what it offers: %s", key[0], *at[1:], error)
            wait = SOON if search.tries < TRIES else SELDOM
            search.timer = asyncio.get_running_loop().call_later(wait, self._begin, key, at)
            return
        if self._searches.pop(key, None) is search:
            self._known[key] = found
            self._changed()

    def _stop(self, keys: Iterable[Key]) -> None:
        for key in list(keys):
            if (search := self._searches.pop(key, None)) is not None:
                search.end()


def _key(path: str) -> Key:
    above, _, revision = path.rpartition("/")
    return above.rpartition("/")[2], revision
