"""Nodes of a registry that are to stand: a service's provider, and an application's instance with all that is
read before it. Each knows what it asks of the registry so that it stands; when that is asked is said by ``writes``.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, Protocol

from meshfast.registry import Key, Registration, Standing
from meshfast.registry import application as app
from meshfast.registry.application import Place
from meshfast.registry.registered import besides, marks_of, node, same, url
from meshfast.registry.url import encode

__all__ = ["LONGEST", "LOOK", "TRIES", "Asks", "Instance", "Node", "Provider"]

#: Which of the looks at a node that stands is also for what is beside it: the second, and each so many later.
LOOK = 10
#: Bytes of what an application offers. ZooKeeper ends a connection by which a MiB is written, and all with it; an etcd
#: refuses a request of 1.5.
LONGEST = 1_000_000
#: How often a mapping is written that somebody else writes just then.
TRIES = 16


class Asks(Protocol):
    """What is asked of the registry: kazoo's methods by name, as ``create_async``; exceptions have kazoo's names."""

    @property
    def session(self) -> int: ...

    async def ask(self, what: str, *args: Any, **kwargs: Any) -> Any: ...

    async def replace(self, path: str, data: bytes) -> bool:
        """A node that was made in another session is taken over, and at no moment does anybody find none; False: it has
        changed meanwhile."""

    def stands(self, one: Node) -> None: ...

    def repaired(self, one: Node, why: str) -> None: ...

    def conflict(self, one: Node, service: str, found: tuple[str, ...]) -> None: ...


class Node(ABC):
    """``path`` is to stand, those of ``old`` are not to. ``seen``: the session that lives made it, or found it;
    ``looks``: how often it was looked at since it was put; ``title``: what it is, for the log."""

    def __init__(self, key: Hashable, title: str) -> None:
        self.key, self.title = key, title
        self.path: str | None = None
        self.old: set[str] = set()
        self.seen = False
        self.looks = 0
        self.busy = self.again = False  # again: it is another by now
        self.turn = 0  # the entry of the queue that counts
        self.standing = Standing()

    async def settle(self, asks: Asks) -> None:
        """Once that has been asked which it takes, it is as it is to be."""
        path = self.path
        if path is not None:
            await self.stand(asks, path)
            if self.path != path:
                return  # it is another by now, and those before stay until that stands
        for old in sorted(self.old):
            if old == self.path:
                continue
            await delete(asks, old)
            if old != self.path:
                self.old.discard(old)

    @abstractmethod
    async def stand(self, asks: Asks, path: str) -> None:
        """Has it written at ``path``, as it is to be."""

    @property
    def leaves(self) -> bool:
        """Whether something is to be taken away yet."""
        return bool(self.old)

    @property
    def looks_beside(self) -> bool:
        return self.looks <= 1 or self.looks % LOOK == 1


class Provider(Node):
    """Of a service, by its interface. Named after all that it says, so that it is another where that changes."""

    def __init__(self, key: Key, root: str) -> None:
        super().__init__(key, f"{key.service} at {key.address}")
        self.registration: Registration | None = None
        self._host = key.address.rpartition(":")[0].encode()
        self._folder = f"{root}/{encode(key.service)}/providers"

    def put(self, registration: Registration) -> None:
        before = [path for path in (self.path, *sorted(self.old)) if path]
        named = [path for path in before if same(path.rpartition("/")[2], registration)]
        stamp = "" if "timestamp" in registration.parameters else now()
        path = named[0] if named else f"{self._folder}/{node(registration, stamp)}"
        if self.path is not None:
            self.old.add(self.path)
        self.old.discard(path)
        if path != self.path:
            self.path, self.seen = path, False
        self.registration, self.looks, self.standing = registration, 0, Standing()

    def drop(self) -> None:
        if self.path is not None:
            self.old.add(self.path)
        self.registration = self.path = None
        self.standing = Standing("leaving")

    async def stand(self, asks: Asks, path: str) -> None:
        registration = self.registration
        await self._stand(asks, path)
        if self.path != path or self.registration is not registration or registration is None:
            return
        self.seen = True
        asks.stands(self)
        if self.looks_beside:
            names = await asks.ask("get_children_async", self._folder)
            found = tuple(besides(names, registration))
            asks.conflict(self, registration.service, found)
        self.looks += 1

    async def _stand(self, asks: Asks, path: str) -> None:
        seen = self.seen
        if not seen and await create(asks, path, self._host):
            return
        found = await asks.ask("exists_async", path)
        if found is not None and found.ephemeralOwner == asks.session:
            return
        if seen:
            asks.repaired(self, "gone" if found is None else "another session's")
        if found is not None:
            await delete(asks, path)
        if not await create(asks, path, self._host):
            raise RuntimeError("it is made by somebody else, again and again")


class Instance(Node):
    """Of an application, at one address, with all that it offers there: its node has the revision of a MetadataInfo,
    which is written before, as are the mappings of its services; both stay. ``waits``: what the process before had
    registered by it, of which nobody has said yet whether it still is; until then it stays as it is. ``leaving``: what
    is not to be registered by it, and may be as yet."""

    def __init__(self, place: Place, root: str, services: str, form: app.Form = app.instance) -> None:
        super().__init__(place, f"{place.application} at {place.address}")
        self.place, self._form = place, form
        self.members: dict[Key, Registration] = {}
        self.waits: set[Key] = set()
        self.leaving: set[Key] = set()
        self._root, self._folder = root, f"{services}/{place.application}"
        self._stamp = ""
        self._mapped: set[str] = set()  # services that name it
        self._metadata: app.Metadata | None = None  # of the members

    def put(self, registration: Registration) -> None:
        self.members[registration.key] = registration
        self.leaving.discard(registration.key)
        self._changed(registration.key)
        self.path = f"{self._folder}/{self.place.address}"
        self.old.discard(self.path)

    def drop(self, key: Key) -> None:
        self.leaving.add(key)
        self.members.pop(key, None)
        self._changed(key)

    def only(self, keys: set[Key]) -> None:
        """Of what the process before had registered no others."""
        self.leaving |= self.waits - keys
        self.waits &= keys
        self._leave()

    def _changed(self, key: Key) -> None:
        self.waits.discard(key)
        self._metadata, self.seen, self.looks, self.standing = None, False, 0, Standing()
        self._leave()

    def _leave(self) -> None:
        if not self.members and not self.waits and self.path is not None:
            self.old.add(self.path)
            self.path, self.standing = None, Standing("leaving")

    @property
    def leaves(self) -> bool:
        return bool(self.old or self.leaving)

    def standing_of(self, key: Key) -> Standing | None:
        if key in self.leaving:
            return Standing("leaving", self.standing.error)
        return self.standing if key in self.members else None

    async def settle(self, asks: Asks) -> None:
        await super().settle(asks)
        if self.path is None and not self.old:
            self.leaving.clear()

    async def stand(self, asks: Asks, path: str) -> None:
        if self.waits or not self.members:
            return
        made = self._metadata = self._metadata or app.metadata(self.place.application, map(url, self.members.values()))
        services = {one.service for one in self.members.values()}
        again = self.seen and self.looks_beside
        if not self.seen or again:
            await self._lead(asks, made, services if again else services - self._mapped)
            if self._metadata is not made:
                return  # it is another by now
            self._mapped = services
        await self._stand(asks, path, made)
        if self._metadata is not made or self.path != path:
            return
        self.seen = True
        self.leaving.clear()
        asks.stands(self)
        if self.looks_beside:
            first = next(iter(self.members.values()))
            names = await asks.ask("get_children_async", self._folder)
            asks.conflict(self, self.place.application, tuple(app.besides(names, first)))
        self.looks += 1

    async def _lead(self, asks: Asks, made: app.Metadata, services: set[str]) -> None:
        """What whoever looks for it reads first. Java has metadata in a folder of its own. dubbo-go has it where the
        instances are if they are below the root, and Java takes all that is there for instances."""
        if len(made.data) > LONGEST:
            more = f"what it offers takes {len(made.data)} bytes, and a node has room for {LONGEST}"
            raise RuntimeError(f"{more}: register it by interface (advertise.levels)")
        own = self._folder == f"{self._root}/{self.place.application}"
        for folder in ("/metadata",) if own else ("/metadata", ""):
            await keep(asks, f"{self._root}{folder}/{self.place.application}/{made.revision}", made.data)
        for service in sorted(services):
            await join(asks, f"{self._root}/mapping/{service}", self.place.application)

    async def _stand(self, asks: Asks, path: str, made: app.Metadata) -> None:
        found = await read(asks, path)
        if self._metadata is not made:
            return
        if found is not None and found[1].ephemeralOwner == asks.session:
            data = self._data(made, app.stamp_of(found[0]) if app.marked(found[0]) else "")
            if data != found[0]:
                await asks.ask("set_async", path, data)
            return
        if self.seen:
            asks.repaired(self, "gone" if found is None else "another session's")
        if found is not None and not app.marked(found[0]):
            raise RuntimeError("no sidecar wrote what stands there: the application registers itself at that address")
        data = self._data(made, "")
        if not await (create(asks, path, data) if found is None else asks.replace(path, data)):
            raise RuntimeError("it is made by somebody else, again and again")

    def _data(self, made: app.Metadata, stamp: str) -> bytes:
        """``stamp``: which it has, and keeps."""
        members = list(self.members.values())
        said = [text for one in members if app.is_stamp(text := one.parameters.get("timestamp", ""))]
        self._stamp = min(said, key=int) if said else stamp or self._stamp or now()
        marks = marks_of(members[0])
        return self._form(self.place, {one.protocol for one in members}, made.revision, marks, self._stamp)


# --- what is asked


def now() -> str:
    return str(int(time.time() * 1000))


async def create(asks: Asks, path: str, data: bytes, ephemeral: bool = True) -> bool:
    """False: it is there."""
    try:
        await asks.ask("create_async", path, data, ephemeral=ephemeral, makepath=True)
    except Exception as error:
        if type(error).__name__ == "NodeExistsError":
            return False
        raise
    return True


async def delete(asks: Asks, path: str) -> None:
    try:
        await asks.ask("delete_async", path)
    except Exception as error:
        if type(error).__name__ != "NoNodeError":
            raise


async def read(asks: Asks, path: str) -> tuple[bytes, Any] | None:
    """Its data and what the registry says of it; None: there is none."""
    try:
        data, stat = await asks.ask("get_async", path)
    except Exception as error:
        if type(error).__name__ == "NoNodeError":
            return None
        raise
    return data or b"", stat


async def keep(asks: Asks, path: str, data: bytes) -> None:
    """It is there with this data, and stays."""
    found = await read(asks, path)
    if found is None and not await create(asks, path, data, ephemeral=False):
        found = await read(asks, path)
    if found is not None and found[0] != data:
        await asks.ask("set_async", path, data)


async def join(asks: Asks, path: str, application: str) -> None:
    """An application is in a mapping, as Dubbo puts it there: by the version that was read, so that nobody who does
    the same just then is lost."""
    for _ in range(TRIES):
        found = await read(asks, path)
        if found is None:
            if await create(asks, path, application.encode(), ephemeral=False):
                return
            continue
        data = app.joined(found[0], application)
        if data is None:
            return
        try:
            await asks.ask("set_async", path, data, version=found[1].version)
            return
        except Exception as error:
            if type(error).__name__ not in ("BadVersionError", "NoNodeError"):
                raise
    raise RuntimeError(f"{path} is written by others again and again")
