"""Applications that registered themselves instead of each service: their instances, and what those offer.

An instance names a revision of what its application offers. Until a new revision is known the instance is told with
the one before; a revision that nobody can tell costs only those instances that have no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from meshfast.registry.instance import Info, Node, info, node, providers
from meshfast.registry.notes import Notes
from meshfast.registry.providers import MOST_INSTANCES, SHARED_TEXTS
from meshfast.registry.reads import Kind, Parse, Reads, Watched
from meshfast.registry.times import Later, Times
from meshfast.registry.url import Provider, Refused

__all__ = ["Applications", "Ask"]

#: Instances that are asked for what they offer at once, and those of one application, whose revisions may be many.
ASKED, ASKED_OF_ONE = 16, 4
#: An application that does not answer is asked so often, so many seconds apart; after that less often.
TRIES, SOON, SELDOM = 3, 1.0, 10.0

#: Asks by a protocol at a host and port for an application's revision.
Ask = Callable[[str, str, int, str, str], Awaitable[Info]]


class _Revision:
    """What an application offers, or the search for it. ``tried``: it was looked for once, at least."""

    __slots__ = ("info", "key", "nodes", "task", "timer", "told", "tried", "tries", "watched")

    def __init__(self, key: tuple[str, str]) -> None:
        self.key = key
        self.nodes: dict[str, _Instance] = {}
        self.info: Info | None = None
        self.tried = self.told = False
        self.tries = 0
        self.watched: list[Watched] = []
        self.task: asyncio.Task[None] | None = None
        self.timer: Later | None = None


class _Instance:
    """``shown`` is what it is told with."""

    __slots__ = ("data", "made", "path", "revision", "shown")

    def __init__(self, path: str) -> None:
        self.path = path
        self.data: Watched
        self.revision: _Revision | None = None
        self.shown: tuple[Node, Info] | None = None
        self.made: dict[str, tuple[Provider, ...]] = {}

    def show(self, found: Node, info: Info) -> None:
        if self.shown is None or self.shown[0] != found or self.shown[1] is not info:
            self.shown = found, info
            self.made.clear()


class _Application:
    """``parse``: makes a node of the data of one of its instances."""

    __slots__ = ("holders", "instances", "name", "over", "parse", "room", "watched")

    def __init__(self, name: str, parse: Parse) -> None:
        self.name, self.parse = name, parse
        self.holders: set[str] = set()
        self.instances: dict[str, _Instance] = {}
        self.over = 0
        self.room = asyncio.Semaphore(ASKED_OF_ONE)
        self.watched: dict[str, Watched] = {}


class Applications:
    """``changed`` is called with the services that an application is held for, whenever its instances change.
    ``share``: texts that are kept once, of the thread that reads."""

    def __init__(
        self,
        reads: Reads,
        notes: Notes,
        times: Times,
        root: str,
        services: str,
        changed: Callable[[str], None],
        ask: Ask,
        share: dict[str, str],
    ) -> None:
        self._share, self._took = share, self._read  # the latter as one object for all instances
        self._reads, self._notes, self._times, self._ask = reads, notes, times, ask
        self._root, self._changed = root, changed
        # Where a registry's address names the root, Dubbo has its applications there too.
        self._bases = {services: _ids, root: _hosts}
        self._applications: dict[str, _Application] = {}
        self._revisions: dict[tuple[str, str], _Revision] = {}
        self._room = asyncio.Semaphore(ASKED)

    def hold(self, name: str, service: str) -> None:
        one = self._applications.get(name)
        if one is None:
            one = self._applications[name] = _Application(name, self._parse_of(name))
            one.holders.add(service)
            for base, ids in self._bases.items():
                path = f"{base}/{name}"
                one.watched[path] = self._reads.watch(path, Kind.CHILDREN, ids, lambda: self._listed(one))
        one.holders.add(service)

    def release(self, name: str, service: str) -> None:
        one = self._applications.get(name)
        if one is None:
            return
        one.holders.discard(service)
        if not one.holders:
            del self._applications[name]
            for watched in one.watched.values():
                self._reads.drop(watched)
            for path in list(one.instances):
                self._gone(one, path)

    def close(self) -> None:
        for name, one in list(self._applications.items()):
            for service in list(one.holders):
                self.release(name, service)

    def settled(self, name: str) -> bool:
        """Whether its instances were read, as far as they can be."""
        one = self._applications.get(name)
        return one is None or (
            all(each.tried for each in one.watched.values()) and all(each.data.tried for each in one.instances.values())
        )

    def waits(self, name: str) -> bool:
        """Whether it may offer more than is known: an answer is not there yet."""
        one = self._applications.get(name)
        return one is not None and (
            not all(each.answered for each in one.watched.values())
            or any(
                not each.data.answered or (each.shown is None and each.revision is not None and not each.revision.tried)
                for each in one.instances.values()
            )
        )

    def offers(self, name: str, service: str) -> Iterator[Provider]:
        one = self._applications.get(name)
        for each in one.instances.values() if one is not None else ():
            if each.shown is None:
                continue
            made = each.made.get(service)
            if made is None:
                made = each.made[service] = tuple(providers(*each.shown, service))
            yield from made

    def _tell(self, one: _Application) -> None:
        for service in one.holders:
            self._changed(service)

    def _listed(self, one: _Application) -> None:
        paths = [f"{above}/{id}" for above, watched in one.watched.items() for id in watched.value or ()]
        if len(paths) > MOST_INSTANCES:
            self._notes.count("instances", max(0, len(paths) - MOST_INSTANCES - one.over))
            one.over = max(one.over, len(paths) - MOST_INSTANCES)
        kept = dict.fromkeys(paths[:MOST_INSTANCES])
        for path in [each for each in one.instances if each not in kept]:
            self._gone(one, path)
        for path in kept:
            if path not in one.instances:
                self._come(one, path)
        self._tell(one)

    def _come(self, one: _Application, path: str) -> None:
        each = one.instances[path] = _Instance(path)
        each.data = self._reads.watch(path, Kind.DATA, one.parse, partial(self._took, one, each), late=True)

    def _parse_of(self, application: str) -> Parse:
        share = self._share

        def parse(data: bytes, before: Node | None) -> Node | None:
            if len(share) > SHARED_TEXTS:
                share.clear()
            found = node(data, share)
            if found is not None and found.application != application:
                raise Refused("other_application")
            return found

        return parse

    def _gone(self, one: _Application, path: str) -> None:
        each = one.instances.pop(path)
        self._reads.drop(each.data)
        self._part(each)

    def _read(self, one: _Application, each: _Instance) -> None:
        found: Node | None = each.data.value
        if found is None:
            self._part(each)
            each.shown = None
        else:
            key = one.name, found.revision
            revision = self._revisions.get(key)
            if revision is None:
                revision = self._revisions[key] = _Revision(key)
            if each.revision is not revision:
                self._part(each)
                each.revision = revision
                revision.nodes[each.path] = each
            if revision.info is not None:
                each.show(found, revision.info)
            else:
                self._search(one, revision, found)
        self._tell(one)

    def _part(self, each: _Instance) -> None:
        revision, each.revision = each.revision, None
        if revision is None:
            return
        revision.nodes.pop(each.path, None)
        if not revision.nodes:
            self._revisions.pop(revision.key, None)
            self._rest(revision)

    def _rest(self, revision: _Revision) -> None:
        """Nothing is looked for any more."""
        for each in revision.watched:
            self._reads.drop(each)
        revision.watched = []
        if revision.task is not None:
            revision.task.cancel()
            revision.task = None
        if revision.timer is not None:
            revision.timer.cancel()
            revision.timer = None

    def _search(self, one: _Application, revision: _Revision, found: Node) -> None:
        """By what one more instance says of itself."""
        if found.remote:
            if not revision.watched:
                self._look(one, revision)
        elif not _able(found):
            if not revision.told:
                revision.told = True
                self._notes.count("metadata_protocol")
                why = "it tells that neither by Dubbo2, nor by Triple's MetadataServiceV2, nor in the registry"
                self._notes.warn(f"what {one.name} offers", why)
            revision.tried = True
        elif revision.task is None and revision.timer is None:
            self._try(one, revision)

    def _look(self, one: _Application, revision: _Revision) -> None:
        """In the registry: where Java writes it, and if nothing is there where dubbo-go does."""

        def watch(above: str, took: Callable[[], None]) -> Watched:
            path = f"{self._root}{above}/{one.name}/{revision.key[1]}"
            return self._reads.watch(path, Kind.DATA, lambda data, before: info(data), took, late=True)

        def took() -> None:
            if not revision.watched:
                return  # it is known, or nobody asks
            if len(revision.watched) == 1 and revision.watched[0].missing:
                revision.watched.append(watch("", took))
            elif all(each.tried for each in revision.watched):
                self._found(one, revision, next((each.value for each in revision.watched if each.value), None))

        revision.watched.append(watch("/metadata", took))

    def _try(self, one: _Application, revision: _Revision) -> None:
        """Another instance each time."""
        revision.timer = None
        able = [each.data.value for each in revision.nodes.values() if each.data.value and _able(each.data.value)]
        if able:
            revision.task = asyncio.create_task(self._asking(one, revision, able[revision.tries % len(able)]))

    async def _asking(self, one: _Application, revision: _Revision, found: Node) -> None:
        host, (protocol, port) = found.host, found.asked
        result = None
        try:
            async with one.room, self._room:
                result = await self._ask(protocol, host, port, one.name, revision.key[1])
        except Exception as error:
            revision.tries += 1
            if revision.tries == TRIES:
                self._notes.count("metadata")
                self._notes.warn(f"what {one.name} offers, asked of {host}:{port}", error)
        if revision.task is not asyncio.current_task():
            return  # nobody waits for it any more
        revision.task = None
        if result is None:
            wait = SOON if revision.tries < TRIES else SELDOM * (0.5 + self._times.luck() / 2)
            revision.timer = self._times.later(wait, self._try, one, revision)
        self._found(one, revision, result)

    def _found(self, one: _Application, revision: _Revision, info: Info | None) -> None:
        revision.tried = True
        if info is not None and revision.info is None:
            revision.info = info
            self._rest(revision)
            for reason, n in info.refused.items():
                self._notes.count(reason, n)
            for each in revision.nodes.values():
                if each.data.value is not None:
                    each.show(each.data.value, info)
        self._tell(one)


def _ids(names: list[str], before: object) -> tuple[str, ...]:
    return tuple(sorted(names))


def _hosts(names: list[str], before: object) -> tuple[str, ...]:
    """Those of Dubbo, by host and port: beside them is what dubbo-go's applications offer, and what services have."""
    return tuple(sorted(name for name in names if ":" in name))


def _able(found: Node) -> bool:
    """Whether it can be asked."""
    return not found.remote and found.asked[1] > 0
