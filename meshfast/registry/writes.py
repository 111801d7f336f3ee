"""Nodes of a ZooKeeper that are kept standing: written when they are put, looked at now and then and after each
reconnect, and written again where they are gone or another session's.

A node of a session that has ended would vanish soon, so it is taken away and made anew. Of an address the new node is
made before the old one goes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection
from heapq import heappop, heappush
from typing import Any

from meshfast.registry import Key, Registration, Standing
from meshfast.registry.registered import besides, key_of, node, same
from meshfast.registry.times import Hop, Later, Times
from meshfast.registry.url import encode

__all__ = ["AGAIN", "CHECK", "IN_FLIGHT", "LOOK", "PER_SECOND", "SPREAD", "Writes"]

log = logging.getLogger("meshfast")

#: Seconds between looks at a node that stands.
CHECK = 30.0
#: Which of these looks is also for what the application registered besides: the second, and each so many later.
LOOK = 10
#: Nodes that are written or looked at at once.
IN_FLIGHT = 64
#: After a reconnect nodes are looked at within so many seconds, and so many a second at most; those of a new session
#: are written without that first wait, and those of the first at once.
SPREAD, PER_SECOND = 5.0, 50
#: Seconds until what could not be written is tried again; half of it at least, by luck.
AGAIN = 10.0

#: Of kazoo's: the connection is gone, and ``up`` goes on.
GONE = ("ConnectionLoss", "ConnectionClosedError", "SessionExpiredError")


class _Node:
    """``path`` is to stand, those of ``old`` are not to. ``seen``: ZooKeeper's session that lives made it, or found it;
    ``looks``: how often it was looked at since it was put."""

    __slots__ = ("again", "busy", "key", "looks", "old", "path", "registration", "seen", "standing", "turn")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.registration: Registration | None = None
        self.path: str | None = None
        self.old: set[str] = set()
        self.seen = False
        self.looks = 0
        self.busy = self.again = False  # again: it is another by now
        self.turn = 0  # the entry of the queue that counts
        self.standing = Standing()


class Writes:
    """``up`` and ``down`` follow the connection; ``client`` gives the kazoo client while there is one.
    ``before``: the paths that the process before left. ``note``: paths are others now; ``noted``
    is awaited before one is written."""

    def __init__(
        self,
        name: str,
        client: Callable[[], Any],
        hop: Hop,
        times: Times,
        root: str,
        before: Collection[str] = (),
        note: Callable[[], None] = lambda: None,
        noted: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.repaired = self.conflicts = 0
        self._name, self._client = name, client
        self._hop, self._times, self._root, self._note, self._noted = hop, times, root, note, noted
        self._nodes: dict[Key, _Node] = {}
        self._before: dict[Key, set[str]] = {}
        for path in before:
            if (key := key_of(path)) is not None:
                self._before.setdefault(key, set()).add(path)
        self._queue: list[tuple[float, int, _Node]] = []
        self._seq = 0
        self._timer: Later | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._session = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    # --- what is to stand

    def put(self, registration: Registration) -> None:
        key = registration.key
        one = self._nodes.get(key) or self._nodes.setdefault(key, _Node(key))
        if one.registration == registration:
            return
        one.old |= self._before.pop(key, set())
        named = [path for path in (one.path, *sorted(one.old)) if path and same(path.rpartition("/")[2], registration)]
        stamp = "" if "timestamp" in registration.parameters else str(int(time.time() * 1000))
        path = named[0] if named else f"{self._folder(registration.service)}/{node(registration, stamp)}"
        if one.path is not None:
            one.old.add(one.path)
        one.old.discard(path)
        if path != one.path:
            one.path, one.seen = path, False
        one.registration, one.looks, one.standing = registration, 0, Standing()
        self._soon(one)

    def drop(self, key: Key) -> None:
        one = self._nodes.get(key)
        if one is None:
            if key not in self._before:
                return
            one = self._nodes[key] = _Node(key)
        one.old |= self._before.pop(key, set())
        if one.path is not None:
            one.old.add(one.path)
        one.registration = one.path = None
        one.standing = Standing("leaving")
        self._soon(one)

    def sweep(self, keys: Collection[Key]) -> None:
        for key in self._before.keys() - set(keys):
            self.drop(key)

    def standing(self, key: Key) -> Standing | None:
        one = self._nodes.get(key)
        return one.standing if one is not None else None

    async def left(self) -> None:
        await self._quiet.wait()

    def paths(self) -> list[str]:
        """All that stands, or may."""
        found = set().union(*self._before.values(), *(one.old for one in self._nodes.values()))
        return sorted(found.union(one.path for one in self._nodes.values() if one.path))

    # --- the connection

    def up(self, session: int) -> None:
        self._forget()
        first, new, self._session = not self._session, session != self._session, session
        due = now = self._times.now()
        for one in self._nodes.values():
            one.seen = one.seen and not new
            at = now if not one.seen or one.old else now + SPREAD * self._times.luck()
            self._push(now if first else max(at, due), one)
            due += 1 / PER_SECOND
        self._pump()

    def down(self) -> None:
        self._forget()

    def _forget(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()
        self._queue.clear()
        for one in self._nodes.values():
            one.busy, one.again, one.turn = False, False, 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- turns

    def _soon(self, one: _Node) -> None:
        if one.old:
            self._quiet.clear()
        self._note()
        self._push(self._times.now(), one)
        self._pump()

    def _push(self, due: float, one: _Node) -> None:
        self._seq += 1
        one.turn = self._seq
        heappush(self._queue, (due, self._seq, one))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._queue and self._queue[0][1] != self._queue[0][2].turn:
            heappop(self._queue)
        if self._queue and self._client() is not None:
            self._timer = self._times.later(max(0.0, self._queue[0][0] - self._times.now()), self._due)

    def _due(self) -> None:
        self._timer = None
        self._pump()

    def _pump(self) -> None:
        now = self._times.now()
        while self._client() is not None and self._queue and self._queue[0][0] <= now:
            if len(self._tasks) >= IN_FLIGHT:
                return  # the next that ends comes here
            _, turn, one = heappop(self._queue)
            if turn != one.turn:
                continue
            if one.busy:
                one.again, one.turn = True, 0
            else:
                one.busy, one.turn = True, 0
                task = asyncio.get_running_loop().create_task(self._work(one))
                self._tasks.add(task)
        self._arm()

    async def _work(self, one: _Node) -> None:
        task = asyncio.current_task()
        wait = CHECK * (0.9 + self._times.luck() / 10)
        try:
            if self._noted is not None:
                await self._noted()
            await self._settle(one)
        except asyncio.CancelledError:
            return
        except Exception as error:
            if type(error).__name__ in GONE:
                wait = AGAIN  # unless ``up`` comes before
            else:
                wait = AGAIN * (0.5 + self._times.luck() / 2)
                self._fail(one, error)
        assert task
        self._tasks.discard(task)
        one.busy = False
        self._ended(one, wait)

    def _ended(self, one: _Node, wait: float) -> None:
        again, one.again = one.again, False
        if again:
            self._push(self._times.now(), one)
        elif one.path is None and not one.old:
            if self._nodes.get(one.key) is one:
                del self._nodes[one.key]
        elif one.turn == 0:
            self._push(self._times.now() + wait, one)
        self._note()
        if not any(each.old for each in self._nodes.values()):
            self._quiet.set()
        self._pump()

    def _fail(self, one: _Node, error: Exception) -> None:
        text = f"{type(error).__name__} {error}".rstrip()
        if one.standing.error != text:
            log.error("registry %s: %s at %s cannot be written: %s", self._name, one.key.service, one.key.address, text)
        one.standing.error = text
        if one.standing.state == "registered":
            one.standing.state = "pending"

    # --- what is asked of the registry

    async def _settle(self, one: _Node) -> None:
        path, registration = one.path, one.registration
        if path is not None and registration is not None:
            await self._stand(one, path)
            if one.path == path and one.registration is registration:
                one.seen = True
                self._stands(one)
                if one.looks <= 1 or one.looks % LOOK == 1:
                    await self._look(one, registration)
                one.looks += 1
        for old in sorted(one.old):
            if old == one.path:
                continue
            await self._delete(old)
            if old != one.path:
                one.old.discard(old)
        if one.path is None and not one.old:
            log.info("registry %s: %s at %s is withdrawn", self._name, one.key.service, one.key.address)

    def _stands(self, one: _Node) -> None:
        if one.standing.state != "registered":
            log.info("registry %s: %s at %s is registered", self._name, one.key.service, one.key.address)
        one.standing.state, one.standing.error = "registered", ""

    async def _stand(self, one: _Node, path: str) -> None:
        host = one.key.address.rpartition(":")[0].encode()
        seen = one.seen
        if not seen and await self._create(path, host):
            return
        found = await self._ask("exists_async", path)
        if found is not None and found.ephemeralOwner == self._session:
            return
        if seen:
            self.repaired += 1
            log.warning("registry %s: %s at %s was %s: it is written again", self._name, one.key.service,
                        one.key.address, "gone" if found is None else "another session's")  # fmt: skip
        if found is not None:
            await self._delete(path)
        if not await self._create(path, host):
            raise RuntimeError("it is made by somebody else, again and again")

    async def _create(self, path: str, data: bytes) -> bool:
        try:
            await self._ask("create_async", path, data, ephemeral=True, makepath=True)
        except Exception as error:
            if type(error).__name__ == "NodeExistsError":
                return False
            raise
        return True

    async def _delete(self, path: str) -> None:
        try:
            await self._ask("delete_async", path)
        except Exception as error:
            if type(error).__name__ != "NoNodeError":
                raise

    async def _look(self, one: _Node, registration: Registration) -> None:
        names = await self._ask("get_children_async", self._folder(registration.service))
        found = tuple(besides(names, registration))
        if found and found != one.standing.conflicts:
            self.conflicts += 1
            log.warning(
                "registry %s: registry_conflict: the application registers %s at %s by itself, so callers reach it "
                "without its sidecar: let its SDK not register (dubbo.registry.register=false)",
                self._name, one.key.service, ", ".join(found),
            )  # fmt: skip
        one.standing.conflicts = found

    async def _ask(self, what: str, *args: Any, **kwargs: Any) -> Any:
        client = self._client()
        if client is None:
            raise ConnectionClosedError
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        result = getattr(client, what)(*args, **kwargs)
        result.rawlink(lambda result: self._hop.put(_end, future, result))
        return await future

    def _folder(self, service: str) -> str:
        return f"{self._root}/{encode(service)}/providers"


class ConnectionClosedError(Exception):
    """There is no client just now."""


def _end(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    if result.exception is not None:
        future.set_exception(result.exception)
    else:
        future.set_result(result.value)
