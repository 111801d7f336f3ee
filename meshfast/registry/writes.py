"""Nodes of a registry that are kept standing: written when they are put, looked at now and then and after each
reconnect, and written again where they are gone or another session's.

A node of a session that has ended would vanish soon, so it is taken away and made anew. Of an address the new node is
made before the old one goes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping
from heapq import heappop, heappush
from typing import Any

from meshfast.registry import Key, Registration, Standing
from meshfast.registry.application import Form, Place, instance, place, place_of
from meshfast.registry.nodes import Instance, Node, Provider
from meshfast.registry.registered import key_of
from meshfast.registry.times import Hop, Later, Times
from meshfast.registry.url import Refused

__all__ = ["AGAIN", "CHECK", "IN_FLIGHT", "PER_SECOND", "SPREAD", "Writes"]

log = logging.getLogger("meshfast")

#: Seconds between looks at a node that stands.
CHECK = 30.0
#: Nodes that are written or looked at at once.
IN_FLIGHT = 64
#: After a reconnect nodes are looked at within so many seconds, and so many a second at most; those of a new session
#: are written without that first wait, and those of the first at once.
SPREAD, PER_SECOND = 5.0, 50
#: Seconds until what could not be written is tried again; half of it at least, by luck.
AGAIN = 10.0

#: By name, of whatever client: the connection is gone, and ``up`` goes on.
GONE = ("ConnectionLoss", "ConnectionClosedError", "SessionExpiredError")


class Writes:
    """``up`` and ``down`` follow the connection; ``client`` gives the one while there is one. ``form``: how an
    instance is written. ``before``: the paths that the process before left, ``held``: what it had registered by those
    that are instances; ``note``: paths are others now; ``noted`` is awaited before one is written."""

    def __init__(
        self,
        name: str,
        client: Callable[[], Any],
        hop: Hop,
        times: Times,
        root: str,
        services: str = "/services",
        form: Form = instance,
        before: Collection[str] = (),
        held: Mapping[str, Collection[Key]] | None = None,
        note: Callable[[], None] = lambda: None,
        noted: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.repairs = self.conflicts = 0
        self._name, self._client = name, client
        self._hop, self._times, self._note, self._noted = hop, times, note, noted
        self._root, self._services, self._form = root, services, form
        self._nodes: dict[Hashable, Node] = {}
        self._places: dict[Key, Place] = {}  # whose instance a registration belongs to
        self._unwritable: dict[Key, str] = {}
        self._before: dict[Key, set[str]] = {}
        for path in before:
            if (key := key_of(path)) is not None:
                self._before.setdefault(key, set()).add(path)
            elif (of := place_of(path)) is not None:
                self._resume(of, path, (held or {}).get(path, ()))
        self._queue: list[tuple[float, int, Node]] = []
        self._seq = 0
        self._timer: Later | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._session = 0
        self._quiet = asyncio.Event()
        self._quiet.set()

    # --- what is to stand

    def put(self, registration: Registration) -> None:
        key = registration.key
        if "interface" in registration.levels:
            self._put_provider(registration)
        else:
            self._drop_provider(key)
        of = None
        self._unwritable.pop(key, None)
        try:
            of = place(registration) if "instance" in registration.levels else None
        except Refused as refused:
            self._unwritable[key] = str(refused)
            log.error("registry %s: %s at %s is no instance: %s", self._name, key.service, key.address, refused)
        if self._places.get(key) != of:
            self._drop_member(key)
        if of is not None:
            self._put_member(registration, of)

    def drop(self, key: Key) -> None:
        self._drop_provider(key)
        self._drop_member(key)
        self._unwritable.pop(key, None)

    def sweep(self, keys: Collection[Key]) -> None:
        wanted = set(keys)
        for key in self._before.keys() - wanted:
            self._drop_provider(key)
        for one in list(self._nodes.values()):
            if isinstance(one, Instance) and one.path is not None and (one.waits - wanted or not one.members):
                one.only(wanted)
                self._soon(one)

    def standing(self, key: Key) -> Standing | None:
        one, of = self._nodes.get(key), self._nodes.get(self._places.get(key))
        found = [one.standing] if one is not None else []
        if isinstance(of, Instance) and (its := of.standing_of(key)) is not None:
            found.append(its)
        if key in self._unwritable:
            found.append(Standing("pending", self._unwritable[key]))
        if len(found) < 2:
            return found[0] if found else None
        states = {one.state for one in found}
        state = next(each for each in ("leaving", "pending", "registered") if each in states)
        error = next((one.error for one in found if one.error), "")
        return Standing(state, error, tuple(sorted({each for one in found for each in one.conflicts})))

    def _put_provider(self, registration: Registration) -> None:
        key = registration.key
        one = self._nodes.get(key)
        if not isinstance(one, Provider):
            one = self._nodes[key] = Provider(key, self._root)
        if one.registration != registration:
            one.old |= self._before.pop(key, set())
            one.put(registration)
            self._soon(one)

    def _drop_provider(self, key: Key) -> None:
        one = self._nodes.get(key)
        if one is None and key in self._before:
            one = self._nodes[key] = Provider(key, self._root)
        if isinstance(one, Provider):
            one.old |= self._before.pop(key, set())
            one.drop()
            self._soon(one)

    def _put_member(self, registration: Registration, of: Place) -> None:
        one = self._nodes.get(of)
        if not isinstance(one, Instance):
            one = self._nodes[of] = Instance(of, self._root, self._services, self._form)
        if one.members.get(registration.key) != registration:
            self._places[registration.key] = of
            one.put(registration)
            self._soon(one)

    def _drop_member(self, key: Key) -> None:
        one = self._nodes.get(self._places.get(key))
        if isinstance(one, Instance) and (key in one.members or key in one.waits):
            one.drop(key)
            self._soon(one)

    def _resume(self, of: Place, path: str, held: Collection[Key]) -> None:
        one = self._nodes[of] = Instance(of, self._root, self._services, self._form)
        one.path, one.waits = path, set(held)
        self._places |= dict.fromkeys(held, of)

    async def left(self) -> None:
        await self._quiet.wait()

    def held(self) -> dict[str, tuple[Key, ...]]:
        """What is registered by each instance's node."""
        found = [one for one in self._nodes.values() if isinstance(one, Instance) and one.path]
        return {one.path: tuple(sorted({*one.members, *one.waits})) for one in found if one.path}

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

    def _soon(self, one: Node) -> None:
        if one.leaves:
            self._quiet.clear()
        self._note()
        self._push(self._times.now(), one)
        self._pump()

    def _push(self, due: float, one: Node) -> None:
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

    async def _work(self, one: Node) -> None:
        task = asyncio.current_task()
        wait = CHECK * (0.9 + self._times.luck() / 10)
        try:
            if self._noted is not None:
                await self._noted()
            await one.settle(self)
            if one.path is None and not one.leaves:
                log.info("registry %s: %s is withdrawn", self._name, one.title)
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

    def _ended(self, one: Node, wait: float) -> None:
        again, one.again = one.again, False
        if again:
            self._push(self._times.now(), one)
        elif one.path is None and not one.leaves:
            if self._nodes.get(one.key) is one:
                del self._nodes[one.key]
        elif one.turn == 0:
            self._push(self._times.now() + wait, one)
        self._note()
        if isinstance(one, Instance):
            had = {*one.members, *one.waits, *one.leaving}
            self._places = {key: of for key, of in self._places.items() if of != one.key or key in had}
        if not any(each.leaves for each in self._nodes.values()):
            self._quiet.set()
        self._pump()

    def _fail(self, one: Node, error: Exception) -> None:
        text = f"{type(error).__name__} {error}".rstrip()
        if one.standing.error != text:
            log.error("registry %s: %s cannot be written: %s", self._name, one.title, text)
        one.standing.error = text
        if one.standing.state == "registered":
            one.standing.state = "pending"

    # --- what is asked of the registry, and found there

    @property
    def session(self) -> int:
        return self._session

    def stands(self, one: Node) -> None:
        if one.standing.state != "registered":
            log.info("registry %s: %s is registered", self._name, one.title)
        one.standing.state, one.standing.error = "registered", ""

    def repaired(self, one: Node, why: str) -> None:
        self.repairs += 1
        log.warning("registry %s: %s was %s: it is written again", self._name, one.title, why)

    def conflict(self, one: Node, service: str, found: tuple[str, ...]) -> None:
        if found and found != one.standing.conflicts:
            self.conflicts += 1
            log.warning(
                "registry %s: registry_conflict: the application registers %s at %s by itself, so callers reach it "
                "without its sidecar: let its SDK not register (dubbo.registry.register=false)",
                self._name, service, ", ".join(found),
            )  # fmt: skip
        one.standing.conflicts = found

    async def ask(self, what: str, *args: Any, **kwargs: Any) -> Any:
        return await self._answer(getattr(self._connected(), what)(*args, **kwargs))

    async def replace(self, path: str, data: bytes) -> bool:
        both = self._connected().transaction()
        both.delete(path)
        both.create(path, data, ephemeral=True)
        return not any(isinstance(each, Exception) for each in await self._answer(both.commit_async()))

    def _connected(self) -> Any:
        client = self._client()
        if client is None:
            raise ConnectionClosedError
        return client

    async def _answer(self, result: Any) -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        result.rawlink(lambda result: self._hop.put(_end, future, result))
        return await future


class ConnectionClosedError(Exception):
    """There is no client just now."""


def _end(future: asyncio.Future[Any], result: Any) -> None:
    if future.done():
        return
    if result.exception is not None:
        future.set_exception(result.exception)
    else:
        future.set_result(result.value)
