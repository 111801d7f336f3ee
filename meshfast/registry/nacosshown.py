"""The nodes of a Nacos: the children that a path has, its data, and those that are made and taken away. What is
followed is answered by what was asked last (see ``nacospolls``); what is written is looked at just then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from meshfast.registry.asked import BadVersionError, NodeExistsError, NoNodeError, Step
from meshfast.registry.gateway import TooLong
from meshfast.registry.nacosapi import NONE, Api, Host, hosts_of, version_of
from meshfast.registry.nacosbeats import Beats
from meshfast.registry.nacosnodes import (
    MAPPING,
    Kind,
    Means,
    Provider,
    app_data,
    interfaces,
    means,
    node_of,
    provider_of,
)
from meshfast.registry.nacospolls import EVERY, MAPPINGS_EVERY, Polls
from meshfast.registry.registered import MARK
from meshfast.registry.times import Times
from meshfast.registry.url import Refused, encode

__all__ = ["NAMES_A_SECOND", "Changed", "Fired", "Shown"]

#: Names of services that are read a second, at most about: a long list is read less often.
NAMES_A_SECOND = 2_000

NAMES, MAPPINGS = ("names",), ("mappings",)

Fired = Callable[["Changed"], object]


class Changed(NamedTuple):
    """What a watch is told."""

    path: str


class Stat(NamedTuple):
    """Of an instance: the session of who registered it, a sidecar's own alone; of a config its version."""

    ephemeralOwner: int  # noqa: N815, as kazoo's
    version: str


class Hosts:
    """A service's instances; ``raw``: as they were told. ``nodes``: as providers' nodes; ``data``: by address, as those
    of an application's instances."""

    def __init__(self, raw: bytes, service: str) -> None:
        self.raw = raw
        self.hosts, self.wrong = hosts_of(raw)
        self.nodes: tuple[str, ...] = ()
        self.data: dict[str, bytes] = {}
        if service.startswith("providers:"):
            self.nodes = tuple(node_of(each) for each in self.hosts.values() if each.there)
        else:
            self.data = {at: app_data(service, each) for at, each in self.hosts.items()}


class _Missing(Exception):
    """What a node is made of is not known."""

    def __init__(self, keys: Iterable[Hashable]) -> None:
        super().__init__()
        self.keys = list(keys)


class Shown:
    """``session``: by which a sidecar's own nodes are known; ``apart``: makes sense of long answers elsewhere;
    ``count`` and ``failed``: see ``Notes.count`` and ``Polls``."""

    def __init__(
        self,
        api: Api,
        beats: Beats,
        times: Times,
        session: int,
        apart: Callable[..., Any],
        count: Callable[[str, int], None],
        failed: Callable[[Hashable, Exception, bool], bool],
    ) -> None:
        self._api, self._beats, self._session, self._apart, self._count = api, beats, session, apart, count
        self.polls = Polls(self._look, _every, times, self._changed, failed)
        self._beyond = 0  # names that were too many, as far as they were counted
        self._watches: dict[tuple[str, bool], tuple[Fired, Any]] = {}

    # --- what is followed

    async def _look(self, key: Any, before: Any) -> Any:
        """What a key has; the very same where that is so."""
        what, *rest = key
        found: Any
        if what == "hosts":
            raw = await self._api.hosts(rest[0])
            if before is not None and before.raw == raw:
                return before
            found = await self._apart(len(raw), Hosts, raw, rest[0])
            if found.wrong > (before.wrong if before is not None else 0):
                self._count("shape", found.wrong - (before.wrong if before is not None else 0))
            return found
        if what == "names":
            names, beyond = await self._api.names()
            if beyond > self._beyond:
                self._count("names", beyond - self._beyond)
                self._beyond = beyond
            found = interfaces(names)
        elif what == "mappings":
            found = tuple(sorted(await self._api.configs(MAPPING)))
        else:
            found = await self._api.config(*rest)
        return before if found == before else found

    def _value(self, key: Hashable) -> Any:
        one = self.polls.known(key)
        if one is None:
            raise _Missing([key])
        return one.value

    def _made(self, path: str, children: bool) -> tuple[Any, set[Hashable]]:
        """What a node has, of children or data, and what it is made of.

        :raises _Missing: that is not known yet
        """
        at = means(path)
        if children:
            return self._children(path, at)
        if at.kind is Kind.CONFIG:
            config: Hashable = ("config", at.name, at.more)
            return self._value(config), {config}
        if at.kind is Kind.INSTANCE:
            hosts: Hashable = ("hosts", at.name)
            return self._value(hosts).data.get(at.more), {hosts}
        return None, set()

    def _children(self, path: str, at: Means) -> tuple[Any, set[Hashable]]:
        if at.kind is Kind.SERVICES:
            return tuple(map(encode, sorted(self._value(NAMES)))), {NAMES}
        if at.kind is Kind.MAPPINGS:
            return tuple(map(encode, self._value(MAPPINGS))), {MAPPINGS}
        if at.kind is Kind.INSTANCES:
            key: Hashable = ("hosts", at.name)
            return tuple(sorted(self._value(key).data)), {key}
        if at.kind is not Kind.PROVIDERS:
            return (), set()
        keys: set[Hashable] = {("hosts", name) for name in self._value(NAMES).get(at.name, ())}
        for old in self.polls.uses(path):  # one that is listed no longer, maybe only while it moves from page to page
            if old != NAMES and (cell := self.polls.known(old)) is not None and cell.value.hosts:
                keys.add(old)
        if missing := [key for key in keys if self.polls.known(key) is None]:
            raise _Missing(missing)
        nodes = dict.fromkeys(node for key in sorted(keys, key=str) for node in self._value(key).nodes)
        return tuple(nodes), {NAMES, *keys}

    async def _read(self, path: str, children: bool, watch: Fired | None) -> Any:
        while True:
            try:
                found, keys = self._made(path, children)
            except _Missing as missing:
                await asyncio.gather(*map(self.polls.have, missing.keys))
                continue
            except TooLong as error:
                raise Refused("too_long", str(error)) from None
            if watch is not None:
                self._watches[path, children] = (watch, found)
                self.polls.use(path, keys)
            else:
                self.polls.tidy(keys)
            return found

    def _changed(self, paths: Iterable[str]) -> None:
        for path in paths:
            for children in (True, False):
                fired, was = self._watches.get((path, children), (None, None))
                if fired is None:
                    continue
                try:
                    found, keys = self._made(path, children)
                except _Missing:
                    pass
                else:
                    if found == was:
                        self.polls.use(path, keys)
                        continue
                del self._watches[path, children]
                fired(Changed(path))

    def forget(self, path: str) -> None:
        """Nobody reads it any more."""
        for children in (True, False):
            self._watches.pop((path, children), None)
        self.polls.use(path, ())

    async def children(self, path: str, watch: Fired | None) -> list[str]:
        try:
            return list(await self._read(path, True, watch))
        except TooLong as error:
            raise Refused("too_long", str(error)) from None

    async def data(self, path: str, watch: Fired | None) -> tuple[bytes, Stat]:
        if watch is None:
            found = await self._now(path)
        else:
            found = await self._read(path, False, watch)
        if found is None:
            raise NoNodeError
        own = means(path).kind is Kind.INSTANCE and watch is None
        return found, Stat(self._session if own and self._is_own(path, found) else 0, version_of(found))

    async def exists(self, path: str, watch: Fired | None) -> Stat | None:
        if watch is not None:
            found = await self._read(path, False, watch)
            return None if found is None else Stat(0, version_of(found))
        one = _of(path)
        host = await self._host(one)
        if host is None or not one.metadata.items() <= host.metadata.items():  # an operator may have added to it
            return None
        self._beats.keep(one)
        return Stat(self._session, "")

    # --- what is written

    async def _now(self, path: str) -> bytes | None:
        """The data of a node as it is just now."""
        at = means(path)
        if at.kind is Kind.CONFIG:
            return await self._api.config(at.name, at.more)
        if at.kind is not Kind.INSTANCE:
            return None
        hosts, _ = hosts_of(await self._api.hosts(at.name))
        return app_data(at.name, hosts[at.more]) if at.more in hosts else None

    def _is_own(self, path: str, data: bytes) -> bool:
        """Nobody but this sidecar, or the process before, has anything registered at its address that is marked; it is
        kept from now on."""
        one = _of(path, data)
        if one.metadata.get(MARK) != "1":
            return False
        self._beats.keep(one)
        return True

    async def _host(self, one: Provider) -> Host | None:
        hosts, _ = hosts_of(await self._api.hosts(one.service))
        return hosts.get(f"{one.host}:{one.port}")

    async def create(self, path: str, value: bytes, ephemeral: bool) -> str:
        at = means(path)
        if at.kind is Kind.CONFIG and not ephemeral:
            try:
                await self._api.publish(at.name, at.more, value, NONE)
            except BadVersionError:
                raise NodeExistsError from None
            return path
        one = _of(path, value)
        known = self._beats.at(one.service, one.host, one.port)
        if known is not None and known.get("protocol") != one.metadata.get("protocol"):
            raise RuntimeError(
                f"a Nacos has one instance for each address, and {one.host}:{one.port} is registered by "
                f"{known.get('protocol')}: register one protocol alone, or each behind a listener of its own"
            )
        host = await self._host(one)
        if host is not None and _same(host, one):
            self._beats.keep(one)
            raise NodeExistsError
        if host is not None and host.metadata.get(MARK) != "1":
            raise RuntimeError("no sidecar wrote what stands there: the application registers itself at that address")
        await self._put(one)
        return path

    async def _put(self, one: Provider) -> None:
        await self._api.register(one.service, one.host, one.port, one.metadata)
        self._beats.keep(one)

    async def set(self, path: str, value: bytes, version: Any) -> None:
        at = means(path)
        if at.kind is Kind.CONFIG:
            await self._api.publish(at.name, at.more, value, "" if version == -1 else str(version))
        else:
            await self._put(_of(path, value))

    async def all(self, steps: Sequence[Step]) -> list[Any]:
        """An instance that changes hands: what is said of it is replaced."""
        for step in steps:
            if step.value is not None:
                await self._put(_of(step.path, step.value))
        return [True for _ in steps]

    async def delete(self, path: str) -> bool:
        """What is there by another name stays; so does what was registered there since, whatever the server still says
        of it."""
        at = means(path)
        host: Host | None
        if at.kind is Kind.INSTANCE:
            hosts, _ = hosts_of(await self._api.hosts(at.name))
            host = hosts.get(at.more)
            there = host is not None and host.metadata.get(MARK) == "1"
            one = _of(path)
        else:
            one = _of(path)
            host = await self._host(one)
            there = host is not None and _same(host, one)
        own = self._beats.at(one.service, one.host, one.port)
        if own is not None and at.kind is Kind.PROVIDER and own != one.metadata:
            raise NoNodeError
        if own is not None:
            await self._beats.end(one.service, one.host, one.port)
            there = True  # by a beat that was under way, maybe
        if not there:
            raise NoNodeError
        await self._api.deregister(one.service, one.host, one.port)
        return True


def _every(key: Any, value: Any) -> float:
    if key == NAMES:
        return max(EVERY, sum(map(len, (value or {}).values())) / NAMES_A_SECOND)
    return EVERY if key[0] == "hosts" else MAPPINGS_EVERY


def _same(host: Host, one: Provider) -> bool:
    return dict(host.metadata) == dict(one.metadata)


def _of(path: str, data: bytes = b"") -> Provider:
    """What is to be registered at a path, with this data."""
    at = means(path)
    if at.kind is Kind.PROVIDER:
        return provider_of(at.more)
    if at.kind is not Kind.INSTANCE:
        raise RuntimeError(f"nothing is registered at {path}")
    host, _, port = at.more.rpartition(":")
    metadata = msgspec.json.decode(data)["Metadata"] if data else {}
    return Provider(at.name, host, int(port), metadata)
