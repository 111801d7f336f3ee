"""A source of files -> one whose meshes have the instances that registries list, and yields anew when those change.

Policy is from files, instances from registries, both live. A registry that is gone, empty or talks nonsense takes
nothing away: what it listed last stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from meshfast.config import Report, Text
from meshfast.config.registry import GROUP
from meshfast.errors import MeshfastError, SourceError
from meshfast.hints import told
from meshfast.model import Mesh, RegistrySpec
from meshfast.registry import EVERY, Listing, Registry, Tell
from meshfast.registry.lease import Lease
from meshfast.source import Bad, Event, Good, Moved
from meshfast.source.accept import Accepting, Offers
from meshfast.source.feed import Feed
from meshfast.source.file import FileSource
from meshfast.source.lastgood import Keeping
from meshfast.source.registries import Registries
from meshfast.statedir import StateDir

__all__ = ["RegistrySource", "connect"]

START = 10.0  # seconds that a start without a last good waits for first answers
SOON = 0.5  # seconds that new policy waits for those of services that are new in it
QUIET = 0.1  # seconds without another change after which changes are put in force
MOST = 1.0  # seconds that they wait at most
LOOK = 5.0  # seconds between looks at instances that are kept, and until what was refused is tried again
TOLD = 5  # lines of the log about one kind of news at a time

#: By kind, its client: a module of meshfast.registry, loaded only where it is used, and a class.
CLIENTS = {"etcd": "Etcd", "nacos": "Nacos", "zookeeper": "ZooKeeper"}

Factory = Callable[[RegistrySpec, Tell], Registry]

log = logging.getLogger("meshfast")


def connect(spec: RegistrySpec, tell: Tell, lease: Lease | None = None) -> Registry:
    """The client of a registry; it needs a running loop. ``lease``: see ``registry.tree``.

    :raises SourceError: what it needs is not installed
    """
    secret = f"{quote(spec.user, safe='')}:{quote(spec.password.text, safe='')}@" if spec.user else ""
    address = f"{spec.kind}://{secret}{','.join(spec.hosts)}"
    try:
        module = importlib.import_module(f"meshfast.registry.{spec.kind}")  # only now: kazoo comes with it
        made: Registry = vars(module)[CLIENTS[spec.kind]](
            spec.name, address, tell, session=spec.session_ms / 1000, lease=lease if spec.register else None,
            **_options(spec),
        )  # fmt: skip
    except ImportError as error:
        raise SourceError(f"registry {spec.name}: {error}") from None
    return made


def _options(spec: RegistrySpec) -> dict[str, Any]:
    """What only some kinds have."""
    if spec.kind == "nacos":
        return {"namespace": spec.namespace, "group": spec.group or GROUP}
    return {"root": spec.root} | ({"leased": spec.register} if spec.kind == "etcd" else {})


@dataclass(frozen=True, slots=True)
class InForce:
    """A mesh, and what it was made of."""

    mesh: Mesh
    texts: list[Text]
    asked: frozenset[str]
    offers: Offers


class RegistrySource:
    """The events of ``inner`` with what ``registries`` list. Who takes a mesh and cannot use it calls ``refuse`` before
    it asks for the next. ``factory`` makes the client of a registry; ``directory`` opens the state directory. Where
    another process has that too, sessions are gone on with when ``own`` is called."""

    def __init__(
        self, inner: FileSource, registries: Registries, *, factory: Factory | None = None,
        directory: Callable[[str], Awaitable[StateDir]] | None = None,
    ) -> None:  # fmt: skip
        self.registries = registries
        self._inner, self._factory, self._directory = inner, factory or self._connect, directory or _opened
        self._over: list[asyncio.Task[None]] = []  # clients that others have taken the place of
        self._lease: Lease | None = None
        self._accepting = Accepting()
        inner.build = self._of_files
        self._of: tuple[Mesh, Offers] | None = None  # what the files were made into last, and with what
        self._force: InForce | None = None
        self._next: InForce | None = None  # what was given last, until it is known whether it is in force
        self._aside: dict[RegistrySpec, Feed] = {}  # registries that this may come back to
        self._refused = False
        self._doubted: dict[str, dict[str, int]] = {}  # instances that are kept since the last look, by service
        self._not_before = 0.0
        self._keeping: Keeping | None = None
        self._changed, self._told = asyncio.Event(), asyncio.Event()
        self._wanting = False
        registries.demand.changed = self._want_soon

    def refuse(self) -> None:
        """What was given last is not in force."""
        self._refused = True

    def _of_files(self, texts: list[Text], report: Report) -> Mesh:
        """In a thread."""
        offers = self.registries.offers
        mesh = self._accepting.build(texts, report, offers)
        self._of = mesh, offers
        return mesh

    async def __aiter__(self) -> AsyncIterator[Event]:
        events = aiter(self._inner)
        coming: asyncio.Future[Event] | None = asyncio.ensure_future(_anext(events))
        try:
            while coming is not None or self.registries.feeds:
                await self._wait(coming)
                self._tend()
                if coming is not None and coming.done():
                    try:
                        event = coming.result()
                    except StopAsyncIteration:
                        coming = None
                        continue
                    yield await self._taken(event) if isinstance(event, Good) else event
                    await self._settle()
                    coming = asyncio.ensure_future(_anext(events))
                elif self._force is not None and self._changed.is_set():
                    await self._rest()
                    before = self._force
                    if (moved := await self._moved(before)) is not None:
                        yield moved
                        if self._refused:
                            self._force = before
                            asyncio.get_running_loop().call_later(LOOK, self._changed.set)
        finally:
            if coming is not None:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)
            await self._close([*self.registries, *self._aside.values()])
            await asyncio.gather(*self._over, return_exceptions=True)
            if self._keeping is not None:
                await self._keeping.close()

    async def _wait(self, coming: asyncio.Future[Event] | None) -> None:
        changed = asyncio.ensure_future(self._changed.wait())
        waits: list[asyncio.Future[Any]] = [changed, *([coming] if coming is not None else [])]
        due = self.registries.demand.due
        pauses = [LOOK] if any(feed.kept for feed in self.registries) else []
        pauses += [max(0.0, due - self.registries.clock())] if due is not None else []
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=min(pauses, default=None))
        changed.cancel()

    def _tend(self) -> None:
        """What time does."""
        self.registries.demand.expire()
        if not any(feed.kept for feed in self.registries):
            return
        peers = self.registries.peers()
        for feed in self.registries:
            gone = feed.forget(peers)
            if gone:
                log.info("registry %s: instances of %s are given up", feed.spec.name, _some(gone))
                self.registries.dirty.update(gone)
                self._changed.set()

    # --- policy

    async def _taken(self, event: Good) -> Event:
        """A new mesh of the files, with all that is listed for it."""
        texts, mesh, asked = self._inner.texts, event.mesh, self._accepting.asked
        first = self._force is None
        self.registries.look_out(mesh.sidecar.listeners)
        try:
            if first and self._keeping is None and mesh.sidecar.state:
                self._keeping = Keeping(await self._directory(mesh.sidecar.state), self.registries)
                self.registries.directory = self._keeping.directory
                if self._keeping.directory.owned:
                    self._lease = Lease(self._keeping.directory)
            if self._follow(mesh, asked):
                await self._answers(START if first and not self.registries.last_good else SOON)
            self._merge()
            offers = self.registries.offers
            if self._of is None or self._of[0] is not mesh or self._of[1] is not offers:
                mesh = await asyncio.to_thread(self._accepting.build, texts, Report(), offers)
        except MeshfastError as error:
            return Bad(error)
        except OSError as error:
            return Bad(SourceError(f"state: {told(error)}"))
        except Exception as error:  # a mistake of ours or no memory: the last good mesh stays
            why = SourceError(f"registries cannot be followed: {told(error)}")
            why.__cause__ = error
            return Bad(why)
        self._note()
        self._refused, self._next = False, InForce(mesh, texts, asked, offers)
        return Good(mesh)

    async def _settle(self) -> None:
        """What was given is in force now, or what was before goes on."""
        if self._next is not None and not self._refused:
            self._force = self._next
        elif self._force is not None and (self._next is not None or self._aside):
            self._follow(self._force.mesh, self._force.asked)
            self._changed.set()
        self._next = None
        if self._force is not None:
            over, self._aside = [*self._aside.values()], {}
            if any(feed.spec.register for feed in over):
                await self.registries.handed_over()
            await self._close(over)

    def _follow(self, mesh: Mesh, asked: frozenset[str]) -> bool:
        """Follows the registries of a mesh for what it asks; whether there are answers to come."""
        before = self.registries.feeds
        new: list[Feed] = []
        feeds: dict[RegistrySpec, Feed] = {}
        for spec in mesh.sidecar.registries:
            if spec.subscribe or spec.register:
                known = before.get(spec) or self._aside.get(spec)
                if known is None:
                    new.append(known := self._feed(spec))
                feeds[spec] = known
        if list(feeds) != list(before):
            self._aside = {spec: feed for spec, feed in {**self._aside, **before}.items() if spec not in feeds}
            self.registries.feeds = feeds
            self.registries.dirty.update(*(feed.told for feed in (*feeds.values(), *before.values())))
        self.registries.demand.rules(asked)
        self._want()
        if new and self._force is None and self._keeping is not None:
            self._keeping.read()
            self._want()
            self._merge()
        for feed in new:
            assert feed.registry is not None
            feed.registry.start()
        return any(feed.waiting for feed in feeds.values())

    def own(self) -> None:
        """The process before has let go of its sessions: goes on with them, where something is registered. What was
        read until now stays until it is read anew."""
        assert self._keeping is not None
        self._lease = Lease(self._keeping.directory)
        for spec, feed in self.registries.feeds.items():
            if spec.register and feed.registry is not None:
                before, feed.registry = feed.registry, self._client(spec, feed)
                feed.registry.want(feed.wanted)
                feed.registry.start()
                self._over.append(asyncio.get_running_loop().create_task(before.close()))

    def hand_over(self) -> None:
        """Another process goes on with the sessions, once this one has ended."""
        if self._lease is not None:
            self._lease.handed = True

    def _connect(self, spec: RegistrySpec, tell: Tell) -> Registry:
        reads = self._keeping is not None and not self._keeping.directory.owned
        return connect(replace(spec, register=False) if reads else spec, tell, self._lease)

    def _feed(self, spec: RegistrySpec) -> Feed:
        feed = Feed(spec, self.registries.clock)
        for other, before in self.registries.feeds.items():
            if other.name == spec.name:  # its address is another one: what it listed stays until it answers
                feed.told = {service: before.served(service) for service in before.told}  # what is kept, too
        feed.registry = self._client(spec, feed)
        return feed

    def _client(self, spec: RegistrySpec, feed: Feed) -> Registry:
        return self._factory(spec, lambda service, listing: self._tell(feed, service, listing))

    def _want_soon(self) -> None:
        """Once for all that is asked for in a turn of the loop: an application looks for a thousand services."""
        if not self._wanting:
            self._wanting = True
            asyncio.get_running_loop().call_soon(self._want)

    def _want(self) -> None:
        """Asks all registries for what is wanted now."""
        self._wanting = False
        for feed in self.registries:
            gone = feed.want(self.registries.demand.wanted)
            if gone:
                self.registries.dirty.update(gone)
                self._changed.set()

    async def _close(self, feeds: list[Feed]) -> None:
        ends = (feed.registry.close() for feed in feeds if feed.registry is not None)
        for found in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(found, Exception):
                log.error("registries: %s", told(found))

    async def _answers(self, seconds: float) -> None:
        """Waits a while for first answers; where all there is is asked for, until no more come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(feed.waiting for feed in self.registries):
                    self._told.clear()
                    await self._told.wait()
                while any(EVERY in feed.wanted for feed in self.registries) and await self._another():
                    pass
        late = [feed.spec.name for feed in self.registries if feed.waiting]
        if late:
            log.warning("registry %s: no answer yet; what is there is served", ", ".join(late))

    async def _another(self) -> bool:
        self._told.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(QUIET):
                await self._told.wait()
        return self._told.is_set()

    # --- what registries tell

    def _tell(self, feed: Feed, service: str, listing: Listing) -> None:
        if not feed.wants(service):
            return
        kept = feed.retained
        if feed.take(service, listing):
            self.registries.dirty.add(service)
            self._changed.set()
        if feed.retained > kept:
            one = self._doubted.setdefault(feed.spec.name, {})
            one[service] = one.get(service, 0) + feed.retained - kept
        self._told.set()

    async def _rest(self) -> None:
        """Until changes have come to rest."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(MOST):
                while self._changed.is_set():
                    self._changed.clear()
                    await asyncio.sleep(QUIET)
        # Whatever registries do, at most half of the time goes into it.
        await asyncio.sleep(max(0.0, self._not_before - time.monotonic()))
        self._changed.clear()

    async def _moved(self, now: InForce) -> Event | None:
        """The mesh in force with what is listed now; None where that is the same."""
        self._merge()
        offers, began = self.registries.offers, time.monotonic()
        if now.offers is offers:
            return None
        try:
            mesh = await asyncio.to_thread(self._accepting.build, now.texts, Report(), offers)
        except Exception as error:  # whatever it is, the last good mesh stays, and registries are followed
            log.error("registries: what is listed cannot be put in force: %s: %s", type(error).__name__, error)
            return None
        finally:
            self._not_before = 2 * time.monotonic() - began
        self._note()
        self._refused, self._force = False, InForce(mesh, now.texts, now.asked, offers)
        return Moved(mesh, "registries")

    def _merge(self) -> None:
        doubted, self._doubted = self._doubted, {}
        for name, found in doubted.items():
            log.warning(
                "registry %s: %d instance(s) of %s are listed no longer, all at once: they are kept for a while",
                name, sum(found.values()), _some(list(found)),
            )  # fmt: skip
        dirty = set(self.registries.dirty)
        self.registries.merge()
        if dirty and self._keeping is not None:
            self._keeping.changed(self.registries.snapshot)
        for service in dirty:
            self.registries.changed(service)

    def _note(self) -> None:
        """Says what is listed and not in force."""
        self.registries.count()
        held, left = self._accepting.held, self._accepting.left_out
        for service in sorted(held.keys() - self.registries.held.keys())[:TOLD]:
            log.error("registries: the listing of %s stays as it was, as it contradicts policy: %s",
                      service, held[service])  # fmt: skip
        for one in [one for one in left if one not in self.registries.left_out][:TOLD]:
            log.warning("%s: %s is left out: %s", one.origin.file, one.origin.document, left[one])
        self.registries.held, self.registries.left_out = dict(held), dict(left)


async def _opened(path: str) -> StateDir:
    return StateDir(path)


async def _anext(events: AsyncIterator[Event]) -> Event:
    return await anext(events)


def _some(names: list[str]) -> str:
    return ", ".join(names[:TOLD]) + (f" and {len(names) - TOLD} more" if len(names) > TOLD else "")
