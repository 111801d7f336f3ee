"""A registry that is a tree of nodes, as Dubbo writes it: what providers wrote under ``{root}/{interface}/providers``,
and, where ``{root}/mapping/{interface}`` names applications, what these offer whose instances stand under ``/services``
or the root.

Everything happens in the loop; what threads there are only read and hand over. What was told stays so while the
connection is away, and what cannot be read is counted and takes nothing else along.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from typing import Any

from meshfast.registry import EVERY, Key, Listing, Registration, Standing, Tell
from meshfast.registry.application import Form, instance
from meshfast.registry.applications import Applications, Ask
from meshfast.registry.instance import applications
from meshfast.registry.lease import Lease, Left
from meshfast.registry.link import Connect, Ensemble, Link
from meshfast.registry.metadata import ask
from meshfast.registry.notes import Notes
from meshfast.registry.providers import Listed, listing, read
from meshfast.registry.reads import Kind, Reads, Watched
from meshfast.registry.times import Later, Times
from meshfast.registry.url import Provider, Refused, decode, encode, named
from meshfast.registry.writes import Writes

__all__ = ["MOST_SERVICES", "Tree", "path_of"]

#: Services that are watched.
MOST_SERVICES = 100_000
#: Instances that are listed in one turn of the loop, and in a second: a long listing is not made for each change.
A_TURN, A_SECOND = 2_000, 50_000

#: The root where nobody says another. An application whose registry's address has a ``group`` has its instances below
#: that too, and looks there alone.
DUBBO = "/dubbo"
#: What stands beside services.
RESERVED = frozenset(("config", "mapping", "metadata"))


class _Service:
    """A service that is wanted. ``held``: the applications that offer it; ``told``: what was, None before the first
    time."""

    __slots__ = ("counted", "held", "mapping", "name", "providers", "timer", "told")

    def __init__(self, name: str) -> None:
        self.name = name
        self.counted: Listed | None = None
        self.held: tuple[str, ...] = ()
        self.told: Listing | None = None
        self.timer: Later | None = None
        self.providers: Watched
        self.mapping: Watched


class Tree:
    """See ``Registry`` and ``Writer``. ``session``: seconds; ``lease``: by which a session that has registrations is
    gone on with by the next process, ``where`` it is of the same servers and root; ``form``: how an instance is written
    there."""

    def __init__(
        self,
        name: str,
        ensemble: Ensemble,
        tell: Tell,
        connect: Connect,
        *,
        root: str = "/dubbo",
        services: str = "/services",
        session: float = 15.0,
        times: Times | None = None,
        ask: Ask = ask,
        lease: Lease | None = None,
        where: str = "",
        form: Form = instance,
    ) -> None:
        self.name = name
        self._notes = Notes(name)
        self.state = self._notes.state
        self._tell, self._root = tell, path_of(root)
        self._every = False
        self._asked: set[str] = set()
        self._services: dict[str, _Service] = {}
        self._roots: list[Watched] = []
        self._dirty: dict[str, None] = {}
        self._flushing = False
        self._closed = self._ended = False  # the latter: its session, by ``close``
        self._share: dict[str, str] = {}  # of the client's one thread for answers
        self._times = times = times or Times()
        self._lease, self._where = lease, f"{where}{ensemble.hosts}{self._root or '/'}"
        left = lease.take(name, self._where) if lease is not None else None
        resumed = (left.session, left.password) if left is not None else None
        self._link = Link(ensemble, session, self._notes, times, self._up, self._down, connect, resumed)
        self._reads = Reads(lambda: self._link.client, self._link.hop, self._notes, times, self._dropped)
        self._applications = Applications(
            self._reads, self._notes, times, self._root, path_of(services), self._change, ask, self._share
        )
        self._writes = Writes(
            name, lambda: self._link.client, self._link.hop, times, self._root,
            services=path_of(services) if self._root == DUBBO else self._root, form=form,
            before=left.nodes if left is not None else (), held=left.held if left is not None else {},
            note=self._leave_to_next, noted=lease.kept if lease is not None else None,
        )  # fmt: skip

    def start(self) -> None:
        self._link.start()

    async def close(self) -> None:
        self._closed = True
        self._reads.down()
        self._writes.down()
        self._applications.close()
        handed = self._lease is not None and self._lease.handed
        ended = self._link.client is not None and not handed
        await self._link.close(handed)
        if self._lease is not None:
            self._ended = ended
            if ended and self._link.session is not None:
                self._lease.end(self.name, self._link.session[0])
            await self._lease.kept()

    def want(self, services: Collection[str]) -> None:
        asked = {each for each in services if each != EVERY}
        for name in asked - self._asked:
            if name in self._services:  # as one of all: it may never have been told
                self._change(name)
        self._asked = asked
        if (EVERY in services) != self._every:
            self._every = not self._every
            if self._every:
                self._roots = [
                    self._reads.watch(self._root or "/", Kind.CHILDREN, _names, self._settle),
                    self._reads.watch(f"{self._root}/mapping", Kind.CHILDREN, _names, self._settle),
                ]
            for each in () if self._every else self._roots:
                self._reads.drop(each)
        self._settle()

    def _up(self) -> None:
        self._reads.up()
        self._writes.up(self._link.session[0] if self._link.session is not None else 0)
        self._leave_to_next()

    def _down(self) -> None:
        self._reads.down()
        self._writes.down()

    def _dropped(self, path: str) -> None:
        """It is read no longer, and its watch is for nobody: a client may forget it."""

    # --- registrations

    @property
    def repaired(self) -> int:
        return self._writes.repairs

    @property
    def conflicts(self) -> int:
        return self._writes.conflicts

    def put(self, registration: Registration) -> None:
        self._writes.put(registration)

    def drop(self, key: Key) -> None:
        self._writes.drop(key)

    def sweep(self, keys: Collection[Key]) -> None:
        self._writes.sweep(keys)

    def standing(self, key: Key) -> Standing | None:
        return self._writes.standing(key)

    async def left(self) -> None:
        await self._writes.left()

    def _leave_to_next(self) -> None:
        if self._lease is not None and not self._closed:
            self._lease.put(self.name, self._left)

    def _left(self) -> Left | None:
        """What the next process is to go on with."""
        session, paths = self._link.session if not self._ended else None, self._writes.paths()
        if session is None or not paths:
            return None
        return Left(self._where, *session, tuple(paths), self._writes.held())

    # --- services

    def _there(self) -> set[str]:
        """The services that stand in the registry, if all are wanted."""
        return set().union(*(each.value or () for each in self._roots)) if self._every else set()

    def _settle(self) -> None:
        """Watches what is wanted, and no more."""
        wanted = self._asked | self._there()
        for name in [each for each in self._services if each not in wanted]:
            if (one := self._services.pop(name, None)) is not None:
                self._leave(one)
        for name in sorted(wanted - self._services.keys()):
            if len(self._services) >= MOST_SERVICES:
                self._notes.count("services")
            else:
                self._enter(name)

    def _enter(self, name: str) -> None:
        try:
            path = f"{self._root}/{encode(named(name))}/providers"
        except Refused as error:
            self._notes.count(error.reason)
            return
        one = self._services[name] = _Service(name)

        def parse(names: list[str], before: Listed | None) -> Listed:
            return read(names, before, name, self._share)

        def took() -> None:
            found: Listed | None = one.providers.value
            if found is not None and found is not one.counted:
                one.counted = found
                for reason, n in found.refused.items():
                    self._notes.count(reason, n)
            self._change(name)

        def mapped() -> None:
            held: tuple[str, ...] = one.mapping.value or ()
            for each in held:
                if each not in one.held:
                    self._applications.hold(each, name)
            for each in one.held:
                if each not in held:
                    self._applications.release(each, name)
            one.held = held
            self._change(name)

        one.providers = self._reads.watch(path, Kind.CHILDREN, parse, took)
        path = f"{self._root}/mapping/{name}"
        one.mapping = self._reads.watch(path, Kind.DATA, lambda data, before: applications(data), mapped)

    def _leave(self, one: _Service) -> None:
        self._reads.drop(one.providers)
        self._reads.drop(one.mapping)
        for each in one.held:
            self._applications.release(each, one.name)
        self._dirty.pop(one.name, None)
        if one.timer is not None:
            one.timer.cancel()
        if one.told and self._every:  # it has left the registry
            self._hand(one.name, ())

    def _change(self, name: str) -> None:
        one = self._services.get(name)
        if one is None or name in self._dirty or one.timer is not None:
            return
        size = sum(len(each.instances) for each in one.told or ())
        if size > A_TURN // 4:
            one.timer = self._times.later(size / A_SECOND, self._mark, one)
        else:
            self._mark(one)

    def _mark(self, one: _Service) -> None:
        one.timer = None
        if self._services.get(one.name) is one:
            self._dirty[one.name] = None
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        room = A_TURN
        while self._dirty and room > 0 and not self._closed:
            name = next(iter(self._dirty))
            del self._dirty[name]
            one = self._services.get(name)
            room -= 20 + (self._say(one) if one is not None else 0)
        if self._dirty and not self._closed:
            self._flush_soon()

    def _say(self, one: _Service) -> int:
        """Tells what is new; returns how many instances were looked at."""
        if one.told is None and not self._ready(one):
            return 0
        found = listing(self._found(one))
        size = sum(len(each.instances) for each in found)
        if one.told is None and not found and (one.name not in self._asked or not self._known(one)):
            return 0  # of all that there are it may be no service
        if found != one.told:
            one.told = found
            self._hand(one.name, found)
        return size

    def _hand(self, name: str, found: Listing) -> None:
        try:
            self._tell(name, found)
        except Exception as error:  # the others are to be told all the same
            context = {"message": f"registry {self.name}: telling of {name}", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)

    def _ready(self, one: _Service) -> bool:
        """Whether a first answer can be given: not a few instances while others are being read."""
        listed: Listed | None = one.providers.value
        if listed is not None and any(listed.nodes.values()):
            return True  # those that registered at both levels stand there, all of them
        return one.providers.tried and one.mapping.tried and all(map(self._applications.settled, one.held))

    def _known(self, one: _Service) -> bool:
        """Whether nobody is the answer, not that it cannot be read."""
        known = one.providers.answered and one.mapping.answered
        return known and not any(map(self._applications.waits, one.held))

    def _found(self, one: _Service) -> Iterator[Provider]:
        listed: Listed | None = one.providers.value
        if listed is not None:
            yield from (each for each in listed.nodes.values() if each is not None)
        for name in one.held:
            yield from self._applications.offers(name, one.name)


def path_of(text: str) -> str:
    """``dubbo``, ``/dubbo/`` -> ``/dubbo``; the root itself is ""."""
    return "/" + text.strip("/") if text.strip("/") else ""


def _names(names: list[str], before: Any) -> frozenset[str]:
    found = set()
    for each in names:
        if each not in RESERVED:
            try:
                found.add(named(decode(each)))
            except Refused:
                continue
    return frozenset(found)
