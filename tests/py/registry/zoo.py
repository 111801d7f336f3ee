"""A ZooKeeper in a few lines: what the registry uses of a kazoo client, over a tree that a test changes; a clock."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from heapq import heappop, heappush
from types import SimpleNamespace

from kazoo.exceptions import BadVersionError, ConnectionLoss, NodeExistsError, NoNodeError, RolledBackError
from kazoo.protocol.states import EventType, WatchedEvent

from meshfast.registry.times import Times

#: Seconds until a test gives up waiting.
PATIENCE = 60.0


async def until(predicate):
    deadline = time.monotonic() + PATIENCE
    while not predicate():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0)


async def calm():
    """All that happens by itself has happened: every step of it is taken in the loop."""
    for _ in range(200):
        await asyncio.sleep(0)


class Hand(Times):
    """A clock turned by hand, and dice of a seed."""

    class Later:
        def __init__(self, call):
            self.call = call

        def cancel(self):
            self.call = None

    def __init__(self, seed=1):
        self.seconds = 100.0
        self.waits: list[float] = []
        self._due: list = []
        self._seq = itertools.count()
        self._dice = random.Random(seed)

    def now(self):
        return self.seconds

    def later(self, seconds, call, *args):
        one = self.Later(lambda: call(*args))
        heappush(self._due, (self.seconds + seconds, next(self._seq), one))
        self.waits.append(seconds)
        return one

    def luck(self):
        return self._dice.random()

    async def turn(self, seconds):
        """Everything that is due by then, each at its time."""
        await calm()
        end = self.seconds + seconds
        while self._due and self._due[0][0] <= end:
            at, _, one = heappop(self._due)
            self.seconds = max(self.seconds, at)
            if one.call is not None:
                one.call()
                await calm()
        self.seconds = end
        await calm()


class Result:
    def __init__(self):
        self.value = self.exception = None
        self._ready, self._link = False, None

    def rawlink(self, callback):
        self._link = callback
        if self._ready:
            callback(self)

    def end(self, value=None, exception=None):
        self.value, self.exception, self._ready = value, exception, True
        if self._link is not None:
            self._link(self)


class Client:
    def __init__(self, zoo, told, session):
        self.zoo, self.told, self.session = zoo, told, session
        self.waiting: list = []
        self.watches: dict[tuple[str, str], set] = {}
        self.live = False
        self.stopped = False

    def get_children_async(self, path, watch=None):
        return self._ask("children", path, watch)

    def get_async(self, path, watch=None):
        return self._ask("data", path, watch)

    def exists_async(self, path, watch=None):
        return self._ask("exists", path, watch)

    def create_async(self, path, value=b"", ephemeral=False, makepath=False):
        assert makepath
        return self._ask("create", path, (value, ephemeral))

    def set_async(self, path, value, version=-1):
        return self._ask("set", path, (value, version))

    def delete_async(self, path):
        return self._ask("delete", path, None)

    def transaction(self):
        return Transaction(self)

    def stop(self):
        self.stopped, self.live = True, False
        self.zoo.stops += 1

    def close(self):
        pass

    def _ask(self, what, path, watch):
        result = Result()
        self.zoo.asked.append((what, path))
        if not self.live:
            result.end(exception=ConnectionLoss())
        elif self.zoo.slow:
            self.waiting.append((what, path, watch, result))
        else:
            self._answer(what, path, watch, result)
        return result

    def answer(self):
        """What was held back while the zoo was slow."""
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            self._answer(*each)

    def _answer(self, what, path, watch, result):
        error = self.zoo.errors.get(path)
        if error is not None:
            result.end(exception=error)
        elif what == "replace":
            if path in self.zoo.nodes:
                self.zoo.replace(path, watch, self.session[0])
                result.end([True, path])
            else:
                result.end([NoNodeError(), RolledBackError()])
        elif what == "create":
            if path in self.zoo.nodes:
                result.end(exception=NodeExistsError())
            else:
                data, ephemeral = watch
                self.zoo.put(path, data, self.session[0] if ephemeral else 0)
                result.end(path)
        elif path not in self.zoo.nodes and what != "exists":
            result.end(exception=NoNodeError())
        elif what == "delete":
            self.zoo.drop(path)
            result.end(True)
        elif what == "set":
            data, version = watch
            if version in (-1, self.zoo.versions[path]):
                result.end(self.zoo.put(path, data, self.zoo.owners.get(path, 0)))
            else:
                result.end(exception=BadVersionError())
        else:
            if watch is not None:
                self.watches.setdefault(("children" if what == "children" else "data", path), set()).add(watch)
            stat = SimpleNamespace(ephemeralOwner=self.zoo.owners.get(path, 0), version=self.zoo.versions.get(path, 0))
            value = self.zoo.children(path) if what == "children" else (self.zoo.nodes.get(path), stat)
            if what == "exists":
                value = stat
            result.end(value if path in self.zoo.nodes else None)

    def fire(self, kind, path, event):
        for watch in self.watches.pop((kind, path), ()):
            watch(WatchedEvent(event, "CONNECTED", path))


class Transaction:
    """A node is taken away and made again, at once."""

    def __init__(self, client):
        self.client, self.path, self.data = client, "", b""

    def delete(self, path):
        self.path = path

    def create(self, path, value, ephemeral=False):
        assert path == self.path and ephemeral
        self.data = value

    def commit_async(self):
        return self.client._ask("replace", self.path, self.data)


class Zoo:
    """``nodes`` by path, with their data; change them by ``put`` and ``drop``. ``connect`` goes into a registry."""

    def __init__(self):
        self.nodes: dict[str, bytes] = {"/": b""}
        self.versions: dict[str, int] = {"/": 0}
        self.errors: dict[str, Exception] = {}
        self.clients: list[Client] = []
        self.owners: dict[str, int] = {}  # of ephemeral nodes: the session
        self.changes: list[tuple[str, str]] = []
        self.asked: list[tuple[str, str]] = []
        self.slow = False
        self.mode = "up"  # "down": nobody is there; "expired": whatever session is offered has ended
        self.attempts: list = []
        self.stops = 0
        self._session = itertools.count(7)
        self._children: dict[str, dict[str, None]] = {}

    @property
    def client(self):
        return self.clients[-1]

    def children(self, path):
        return [each.rpartition("/")[2] for each in reversed(self._children.get(path, {}))]

    def connect(self, ensemble, seconds, session, told):
        self.attempts.append(session)
        client = Client(self, told, session)
        self.clients.append(client)
        if self.mode == "down":
            told("ended", "Connection refused", None)
        elif self.mode == "expired" and session is not None:
            told("expired", "Session has expired", None)
        else:
            client.session = session or (next(self._session), b"p" * 16)
            client.live = True
            told("connected", "", client.session)
        return client

    def lose(self, what="ended"):
        """The connection is gone, with all that waits; its watches are gone with it."""
        client = self.client
        client.live, client.watches = False, {}
        waiting, client.waiting = client.waiting, []
        for *_, result in waiting:
            result.end(exception=ConnectionLoss())
        client.told("suspended", "Connection dropped", None)
        if what == "ended":
            client.told("ended", "Connection dropped", None)

    def again(self):
        """The same client is connected again, as it does within an ensemble."""
        self.client.live = True
        self.client.told("connected", "", self.client.session)

    def put(self, path, data=b"", owner=0):
        above = path.rpartition("/")[0] or "/"
        if path != "/" and above not in self.nodes:
            self.put(above)
        new = path not in self.nodes
        self.versions[path] = 0 if new else self.versions[path] + 1
        self.nodes[path] = data
        self.changes.append(("put", path))
        self.owners.pop(path, None)
        if owner:
            self.owners[path] = owner
        self._fire("data", path, EventType.CREATED if new else EventType.CHANGED)
        if new:
            self._children.setdefault(above, {})[path] = None
            self._fire("children", above, EventType.CHILD)

    def drop(self, path):
        for below in [each for each in self.nodes if each.startswith(path + "/")]:
            self.drop(below)
        self.owners.pop(path, None)
        if self.nodes.pop(path, None) is not None:
            self.changes.append(("drop", path))
            above = path.rpartition("/")[0] or "/"
            self._children[above].pop(path, None)
            for kind in ("data", "children"):
                self._fire(kind, path, EventType.DELETED)
            self._fire("children", above, EventType.CHILD)

    def replace(self, path, data, owner):
        """For whoever looks it was never gone."""
        self.owners[path] = owner
        self.nodes[path] = data
        self.changes.append(("replace", path))
        self._fire("data", path, EventType.DELETED)

    def expire(self, session):
        """A session has ended."""
        for path in [each for each, owner in self.owners.items() if owner == session]:
            self.drop(path)

    def _fire(self, kind, path, event):
        for client in self.clients:
            if client.live:
                client.fire(kind, path, event)
