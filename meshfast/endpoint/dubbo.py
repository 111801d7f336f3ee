"""What a Dubbo application finds in the registry that its sidecar is: of a service that it looks for, the sidecar; of
what it registers, nothing, though it is told that all went well.

``/{root}/{service}/providers`` is there as soon as it is asked for. What applications register below it is kept as
wanted and in no list; the services that applications are mapped to are dropped; all else is an ordinary node.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from meshfast.address import Listen, listening
from meshfast.endpoint.folders import READS, Folder, Kind, looked_at, looks, service_of
from meshfast.endpoint.instances import Written
from meshfast.endpoint.kept import Keeper, State
from meshfast.endpoint.limits import Limits
from meshfast.endpoint.lists import nodes
from meshfast.endpoint.pushed import push
from meshfast.endpoint.standby import CONSUMED, Standbys
from meshfast.endpoint.tree import Tree
from meshfast.endpoint.view import Fate
from meshfast.endpoint.zookeeper import Server
from meshfast.registry import Listing
from meshfast.registry.application import place_of
from meshfast.registry.url import URL, Provider, Refused, decode, encode, provider

__all__ = ["Endpoint", "Shown", "Wanted"]

log = logging.getLogger("meshfast")

#: Seconds that a consumer's first look at a service waits for an answer, and all such waits of a session together.
FIRST, TOGETHER = 1.0, 5.0


class Shown(Protocol):
    """What there is to be found."""

    def known(self, service: str) -> Listing | None:
        """What is listed of a service now; None: nobody has answered yet."""

    def interest(self, service: str) -> Callable[[], None]:
        """Follows a service until what is returned is called."""

    def connected(self) -> bool:
        """Whether it is worth while to wait for an answer."""


class Wanted(NamedTuple):
    """What an application registered. ``provider``: None where it is an instance of an application, of which ``data``
    tells. ``session``: 0 where it stays without one."""

    session: int
    provider: Provider | None
    data: bytes


class Endpoint:
    """A ZooKeeper for this sidecar's application. ``out``: where the sidecar takes its calls; ``parameters`` of the
    providers that are shown win over what instances say. Whoever has another listing of a service calls ``changed``.
    ``state``: where sessions and what they made are kept over a restart; ``standbys``: what is shown beside the
    sidecar; ``properties``: of the application's configuration."""

    def __init__(
        self, address: str, shown: Shown, out: str, *, parameters: Mapping[str, str] | None = None,
        limits: Limits | None = None, state: State | None = None, clock: Callable[[], float] = time.monotonic,
        standbys: Standbys | None = None, properties: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._address, self._shown, self._clock, self.standbys = address, shown, clock, standbys
        self._out, self._parameters = out.removeprefix("tcp://"), dict(parameters or {})
        self.server = Server(limits, self, clock=clock)
        self.tree: Tree = self.server.tree
        self.wanted: dict[str, Wanted] = {}
        self.written = Written()
        self.consumers: dict[str, URL] = {}
        self._consuming: dict[str, dict[str, int]] = {}  # by service and path: the session that said so
        self.hears: Callable[[], None] = lambda: None  # that something else is wanted than before
        self.leaves: Callable[[int], None] = lambda session: None  # of a session whose connection has ended
        self.refused: Counter[str] = Counter()  # of what was registered, by reason
        self.waits = self.unanswered = 0  # first looks that had to wait, and those in vain
        self.unshown: dict[str, str] = {}  # services of which an offer is not shown, and why
        self._folders: dict[str, Folder] = {}
        self._of: dict[str, dict[str, Folder]] = {}  # by service
        self._count: Counter[Kind] = Counter()  # of the folders
        self._held: Counter[str] = Counter()  # nodes that are shown, by how many of the folders
        self._sessions: dict[int, dict[str, Callable[[], None] | None]] = {}
        self._patience: dict[int, float] = {}
        self._vain: dict[int, set[str]] = {}  # services for which a session has waited in vain
        push(self.tree, properties or {})
        self.keeper = Keeper(state, self.tree, self.server.sessions, self) if state is not None else None

    async def start(self, listen: Listen = listening) -> str:
        """Listens; gives the address with its real port. Raises as ``address.listening``."""
        if self.keeper is not None:
            self.keeper.read()
        return await self.server.start(self._address, listen)

    async def stop(self) -> None:
        """Lets go of all services. Sessions go on with the next that has the same state."""
        self.leaves = lambda session: None
        await self.server.stop()
        if self.keeper is not None:
            await self.keeper.close()
        for session in list(self._sessions):
            self.ended(session)

    def end(self, session: int) -> None:
        """Ends a session before it expires, with all that it registered: its application is known to be gone."""
        if (one := self.server.sessions.get(session)) is not None:
            self.server.sessions.end(one)

    def counters(self) -> dict[str, int | Counter[str]]:
        """What there is, and what was since the start; those by a name of their own as they are."""
        server = self.server
        return {
            "connections": len(server.connections), "sessions": len(server.sessions), "begun": server.sessions.begun,
            "resumed": server.sessions.resumed, "expired": server.sessions.expired, "nodes": server.used.now["nodes"],
            "watches": server.used.now["watches"], "bytes": server.used.now["bytes"], "shown": len(self._folders),
            "wanted": len(self.wanted), "consumers": len(self.consumers), "waits": self.waits,
            "unanswered": self.unanswered, "unshown": len(self.unshown), "operations": server.operations,
            "unknown": server.unknown, "limits": server.used.refused, "refused": self.refused,
            "unwritten": self.keeper.failed if self.keeper is not None else 0,
        }  # fmt: skip

    def changed(self, service: str) -> None:
        """Shows what is listed of a service now."""
        for one in self._of.get(service, {}).values():
            if one.looking:
                self._fill(one)

    def tend(self) -> None:
        """Does what is due; somebody calls it from time to time."""
        for service in self.standbys.again() if self.standbys is not None else ():
            self.changed(service)

    def labelled(self, labels: Mapping[str, str]) -> None:
        """The traffic labels in force, with this workload's values."""
        if self.standbys is not None and self.standbys.label(labels):
            for service in self.services:
                self.changed(service)

    @property
    def services(self) -> list[str]:
        """Those that it has been asked for."""
        return sorted(self._of)

    @property
    def consumed(self) -> frozenset[str]:
        """Those that somebody follows."""
        return frozenset(one.service for one in self._folders.values() if one.looking)

    def folders(self) -> list[Folder]:
        """The paths that it has been asked for."""
        return list(self._folders.values())

    # --- what the tree tells

    def fate(self, path: str, ephemeral: bool) -> Fate:
        parts = path.split("/")[1:]
        if parts[1:2] == ["mapping"] and len(parts) > 2 or parts[1:3] == ["config", "mapping"] and len(parts) > 3:
            return Fate.DROPPED
        if (found := looked_at(path)) is not None and found[0] is Kind.MAPPING:
            return Fate.DROPPED
        if _registered(parts) is not None or ephemeral and _is_instance(path, parts):
            return Fate.UNLISTED
        return Fate.LISTED

    def created(self, owner: int, path: str, data: bytes) -> None:
        parts = path.split("/")[1:]
        if (service := _registered(parts)) is not None:
            try:
                found = provider(parts[-1], service)
            except Refused as refused:
                self.refused[refused.reason] += 1
                log.warning("endpoint: what the application registered for %s cannot be read: %s", service, refused)
                return
            if found is not None:
                self._want(path, Wanted(owner, found, b""))
        elif owner and _is_instance(path, parts):
            self._want(path, Wanted(owner, None, data))
        elif len(parts) > 3 and parts[-2] == "consumers":
            self.consumers.pop(path, None)
            self._consuming.setdefault(parts[-3], {})[path] = owner
            try:
                self.consumers[path] = URL.parse(decode(parts[-1]))
            except Refused as refused:
                self.refused[refused.reason] += 1
            self._consumed(path, parts[-3])
        elif self.written.take(path, data):
            self.hears()

    def removed(self, path: str) -> None:
        parts = path.split("/")
        if len(parts) > 4 and parts[-2] == "consumers":
            self.consumers.pop(path, None)
            if (known := self._consuming.get(parts[-3])) is not None and known.pop(path, 0) and not known:
                del self._consuming[parts[-3]]
            self._consumed(path, parts[-3], gone=True)
        self.written.drop(path)
        if self.wanted.pop(path, None) is not None:
            self.hears()
        folder = path.rpartition("/")[0]
        if folder not in self._folders and looked_at(folder) is not None:
            self._take_back(folder)

    def asked(self, session: int, op: int, path: str) -> asyncio.Future[None] | None:
        found = looked_at(path) if op in READS else None
        if found is None:
            return None
        kind, service = found
        look = looks(kind, op)
        one = self._refer(session, kind, service, path, look)
        if one is None or not look or self._fill(one) or one.names:
            return None
        patience = min(FIRST, self._patience.get(session, TOGETHER))
        if patience <= 0 or not self._shown.connected() or service in self._vain.get(session, ()):
            return None
        return self._first(session, one, patience)

    def left(self, session: int) -> None:
        self.leaves(session)

    def ended(self, session: int) -> None:
        self._patience.pop(session, None)
        self._vain.pop(session, None)
        for path, release in self._sessions.pop(session, {}).items():
            one = self._folders[path]
            if release is not None:
                one.looking -= 1
                release()
            if not any(path in others for others in self._sessions.values()):
                self._forget(path, one)

    # --- what is kept

    def asked_for(self, session: int) -> dict[str, bool]:
        return {path: release is not None for path, release in self._sessions.get(session, {}).items()}

    def listed(self) -> dict[str, list[str]]:
        return {path: list(one.names) for path, one in self._folders.items() if one.names}

    def again(self, session: int, folders: Mapping[str, bool], listed: Mapping[str, list[str]]) -> None:
        for path, look in folders.items():
            found = looked_at(path)
            if found is None or (one := self._refer(session, *found, path, look)) is None:
                continue
            if look and not self._fill(one) and not one.names:
                self._show(one, listed.get(path, ()))

    # --- within

    def _want(self, path: str, wanted: Wanted) -> None:
        before = self.wanted.get(path)
        if before is None and len(self.wanted) >= self.server.used.limits.registrations:
            self.server.used.refused["registrations"] += 1
            return
        self.wanted[path] = wanted
        if wanted != before:
            self.hears()

    def _consumed(self, path: str, name: str, gone: bool = False) -> None:
        service, standbys = service_of(name), self.standbys
        if standbys is None or service is None:
            return
        if standbys.gone(service, path) if gone else standbys.announced(service, path, self.consumers.get(path)):
            self.changed(service)
        if service not in self._of:
            standbys.forget(service)

    def _refer(self, session: int, kind: Kind, service: str, path: str, look: bool) -> Folder | None:
        """The folder for a session that asks for it; None: there are too many, or it has no place."""
        one = self._folders.get(path)
        if one is None:
            if self._count[kind] >= self.server.used.limits.services:
                self.server.used.refused["services"] += 1
                return None
            if kind is Kind.PROVIDERS and not self.tree.show(path):
                return None
            one = self._folders[path] = self._of.setdefault(service, {})[path] = Folder(path, service, kind)
            self._count[kind] += 1
        mine = self._sessions.setdefault(session, {})
        if path not in mine:
            self.tree.wrote()
        if mine.setdefault(path, None) is None and look:
            mine[path] = self._shown.interest(service)
            one.looking += 1
        return one

    def _forget(self, path: str, one: Folder) -> None:
        del self._folders[path], self._of[one.service][path]
        self._count[one.kind] -= 1
        if not self._of[one.service]:
            del self._of[one.service]
            self.unshown.pop(one.service, None)
            if self.standbys is not None:
                self.standbys.forget(one.service)
        self._hide(one.nodes)
        self._take_back(path)

    def _take_back(self, path: str) -> None:
        while path:
            self.tree.hide(path)
            path = path.rpartition("/")[0]

    def _fill(self, one: Folder) -> bool:
        """Whether anything is known. What was shown once is never taken back for nothing: where there is no instance,
        the sidecar says so to the call."""
        service = one.service
        listing = self._shown.known(service)
        if listing is None:
            return False
        more = CONSUMED if self.standbys is not None and self.standbys.fits(service) else {}
        own, refused = nodes(service, listing, self._out, {**more, **self._parameters})
        names = dict.fromkeys(own)
        if self.standbys is not None and own and self._are_known(one):
            names |= dict.fromkeys(self.standbys.nodes(service, listing, own.values()))
        if refused and service not in self.unshown:
            self.unshown[service] = "its instances want a token each"
            log.warning("endpoint: %s is not shown whole: %s", service, self.unshown[service])
        elif not refused:
            self.unshown.pop(service, None)
        if names or not one.names:
            self._show(one, names)
        first, one.first = one.first, []
        for waiting in first:
            if not waiting.done():
                waiting.set_result(None)
        return True

    def _are_known(self, one: Folder) -> bool:
        """Whether all who look there have said who they are; they do so where providers are, and need not elsewhere."""
        if one.kind is Kind.PROVIDERS:
            return True
        known = set(self._consuming.get(encode(one.service), {}).values())
        return all(session in known for session, mine in self._sessions.items() if mine.get(one.path) is not None)

    def _show(self, one: Folder, names: Iterable[str]) -> None:
        """What is new is there before what was goes."""
        before, one.nodes = one.nodes, one.become(names, self._out)
        for path, node in one.nodes.items():
            if before.get(path) != node:
                self.tree.show(path, node.data, node.listed)
            if path not in before:
                self._held[path] += 1
        self._hide(path for path in before if path not in one.nodes)

    def _hide(self, paths: Iterable[str]) -> None:
        """But for what is shown for another folder too."""
        for path in list(paths):
            self._held[path] -= 1
            if not self._held[path]:
                del self._held[path]
                self._take_back(path)

    def _first(self, session: int, one: Folder, patience: float) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        began, timer = self._clock(), loop.call_later(patience, self._in_vain, session, one.service, future)
        self.waits += 1

        def over(_: object) -> None:
            timer.cancel()
            if future in one.first:
                one.first.remove(future)
            if session in self._sessions:
                self._patience[session] = self._patience.get(session, TOGETHER) - (self._clock() - began)

        future.add_done_callback(over)
        one.first.append(future)
        return future

    def _in_vain(self, session: int, service: str, future: asyncio.Future[None]) -> None:
        if not future.done():
            if session in self._sessions:
                self._vain.setdefault(session, set()).add(service)
            self.unanswered += 1
            future.set_result(None)


def _registered(parts: list[str]) -> str | None:
    """The service of ``/{root}/{service}/providers/{url}``."""
    return service_of(parts[-3]) if len(parts) > 3 and parts[-2] == "providers" and "%3A%2F%2F" in parts[-1] else None


def _is_instance(path: str, parts: list[str]) -> bool:
    """``/services/{application}/{instance}``; below a root of its own ``/{root}/{application}/{host:port}``."""
    return len(parts) > 2 and (parts[0] == "services" and len(parts) == 3 or place_of(path) is not None)
