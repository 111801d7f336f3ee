"""Nodes in memory with ZooKeeper's rules: versions, owners, numbers in sequence, watches. What is asked raises Refused
with ZooKeeper's code, in the order of its checks.

A view may hide what clients create, and show nodes of its own, which clients cannot change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from meshfast.endpoint import watches as of
from meshfast.endpoint.codes import Err, Refused
from meshfast.endpoint.jute import ANYONE, Acl, Event, Op, SetWatches2, Stat
from meshfast.endpoint.limits import Full, Used
from meshfast.endpoint.node import CONTAINER, Node
from meshfast.endpoint.paths import above, allowed, parent, proper
from meshfast.endpoint.view import Fate, View
from meshfast.endpoint.watches import ANY, ONCE, PERSISTENT, RECURSIVE, Watcher, Watches

__all__ = ["Tree"]

SPECIAL = ("/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config")
#: Second from which transactions are numbered, so that they go on rising after a restart.
EPOCH = 1_600_000_000


class Tree:
    """``now``: the wall clock, seconds."""

    def __init__(self, used: Used, view: View | None = None, now: Callable[[], float] = time.time) -> None:
        self.used, self.view = used, view
        self._now = now
        self.zxid = max(0, int(now()) - EPOCH) << 32
        self.data, self.child = Watches(used), Watches(used)
        self._owned: dict[int, dict[str, None]] = {}
        self._containers: dict[str, None] = {}
        self.wrote: Callable[[], None] = lambda: None  # hears of each transaction
        self._nodes = {path: Node(b"", ANYONE, 0, 0, 0) for path in SPECIAL}
        for path in SPECIAL[1:]:
            self._nodes[path].ours = True
            self._enlist(path)

    def __len__(self) -> int:
        return len(self._nodes)

    def paths(self) -> Iterable[tuple[str, Node]]:
        """All there is."""
        return self._nodes.items()

    # --- what clients ask

    def create(
        self, op: int, path: str, data: bytes | None, acl: Iterable[Acl], flags: int, owner: int,
        who: Iterable[tuple[str, str]] = (),
    ) -> tuple[str, Stat]:  # fmt: skip
        zxid = self._next()
        if not 0 <= flags <= 6:
            raise Refused(Err.BAD_ARGUMENTS)
        if flags > 4:
            raise Refused(Err.UNIMPLEMENTED)
        if "/" not in path or "\0" in path:
            raise Refused(Err.BAD_ARGUMENTS)
        rules = allowed(acl, who)
        if rules is None:
            raise Refused(Err.INVALID_ACL)
        folder = self._get(parent(path))
        if flags in (2, 3):
            path += f"{folder.cversion:010d}"
        if not proper(path) or path.count("/") > self.used.limits.levels:
            raise Refused(Err.BAD_ARGUMENTS)
        if path in self._nodes:
            raise Refused(Err.NODE_EXISTS)
        if folder.owner not in (0, CONTAINER):
            raise Refused(Err.NO_CHILDREN_FOR_EPHEMERALS)
        ephemeral = flags in (1, 3) and op != Op.CREATE_CONTAINER
        fate = self.view.fate(path, ephemeral) if self.view else Fate.LISTED
        node = Node(data, rules, zxid, self._ms(), owner if ephemeral else 0)
        if op == Op.CREATE_CONTAINER:
            node.owner = CONTAINER
        if fate is not Fate.DROPPED:
            self._take(path, node)
            self._place(path, node, fate is Fate.LISTED)
        stat = node.stat()
        if self.view and fate is not Fate.DROPPED:  # of that nobody would say that it has gone
            self.view.created(node.owner if ephemeral else 0, path, data or b"")
        return path, stat

    def delete(self, path: str, version: int) -> None:
        self._next()
        if "/" not in path or "\0" in path or path in SPECIAL:
            raise Refused(Err.BAD_ARGUMENTS)
        self._get(parent(path))
        node = self._get(path)
        if node.ours:
            raise Refused(Err.NO_AUTH)
        if version not in (-1, node.version):
            raise Refused(Err.BAD_VERSION)
        if node.children or node.unlisted:
            raise Refused(Err.NOT_EMPTY)
        self._remove(path, node)

    def set(self, path: str, data: bytes | None, version: int) -> Stat:
        zxid = self._next()
        if not proper(path):
            raise Refused(Err.BAD_ARGUMENTS)
        node = self._get(path)
        dropped = node.ours and self.view is not None and self.view.fate(path, False) is Fate.DROPPED
        if node.ours and not dropped:
            raise Refused(Err.NO_AUTH)
        if version not in (-1, node.version):
            raise Refused(Err.BAD_VERSION)
        if dropped:
            return node.stat()
        try:
            self.used.take("bytes", len(data or b"") - len(node.data or b""))
        except Full:
            raise Refused(Err.SYSTEM) from None
        self._change(path, node, data, zxid)
        stat = node.stat()
        if self.view:
            self.view.created(node.owner if node.owner != CONTAINER else 0, path, data or b"")
        return stat

    def exists(self, path: str, watcher: Watcher | None = None) -> Stat:
        if "\0" in path:
            raise Refused(Err.BAD_ARGUMENTS)
        self._watch(self.data, path, watcher)
        return self._get(path).stat()

    def get(self, path: str, watcher: Watcher | None = None) -> tuple[bytes | None, Stat]:
        node = self._get(path)
        self._watch(self.data, path, watcher)
        return node.data, node.stat()

    def acl(self, path: str) -> tuple[tuple[Acl, ...], Stat]:
        node = self._get(path)
        return node.acl, node.stat()

    def children(self, path: str, watcher: Watcher | None = None) -> tuple[tuple[str, ...], Stat]:
        node = self._get(path)
        self._watch(self.child, path, watcher)
        return tuple(node.children or ()), node.stat()

    def add_watch(self, path: str, mode: int, watcher: Watcher) -> None:
        if mode not in (0, 1):
            raise Refused(Err.MARSHALLING)
        self._watch(self.data, path, watcher, RECURSIVE if mode else PERSISTENT)
        if not mode:
            self._watch(self.child, path, watcher, PERSISTENT)

    def check_watches(self, path: str, type: int, watcher: Watcher) -> None:
        if not any(kind.has(path, watcher, mode) for kind, mode in self._kinds(type)):
            raise Refused(Err.NO_WATCHER)

    def remove_watches(self, path: str, type: int, watcher: Watcher) -> None:
        if not any([kind.remove(path, watcher, mode) for kind, mode in self._kinds(type)]):
            raise Refused(Err.NO_WATCHER)

    def set_watches(self, wanted: SetWatches2, watcher: Watcher) -> None:
        """The watches of a connection that took over a session: what came to pass since is told at once."""

        def tell(type: int, path: str) -> None:
            watcher.event(-1, Event(type, of.CONNECTED, path))

        for path in wanted.data:
            node = self._nodes.get(path or "/")
            if node is None:
                tell(of.DELETED, path)
            elif node.mzxid > wanted.zxid:
                tell(of.CHANGED, path)
            else:
                self._watch(self.data, path, watcher)
        for path in wanted.exist:
            if path in self._nodes:
                tell(of.CREATED, path)
            else:
                self._watch(self.data, path, watcher)
        for path in wanted.child:
            node = self._nodes.get(path or "/")
            if node is None:
                tell(of.DELETED, path)
            elif node.pzxid > wanted.zxid:
                tell(of.CHILDREN, path)
            else:
                self._watch(self.child, path, watcher)
        for path in wanted.persistent:
            self._watch(self.child, path, watcher, PERSISTENT)
            self._watch(self.data, path, watcher, PERSISTENT)
        for path in wanted.recursive:
            self._watch(self.data, path, watcher, RECURSIVE)

    # --- sessions, containers, what is shown

    def begin(self) -> None:
        """A session begins, which is a transaction."""
        self._next()

    def end(self, owner: int) -> None:
        """What a session made goes with it."""
        self._next()
        for path in list(self._owned.get(owner, ())):
            self._remove(path, self._nodes[path])

    def sweep(self) -> None:
        """Containers that had children and have none go."""
        for path in list(self._containers):
            node = self._nodes[path]
            if node.cversion and not node.children and not node.unlisted:
                self._next()
                self._remove(path, node)

    def show(self, path: str, data: bytes = b"", listed: bool = True) -> bool:
        """A node that no client can change, in the place of one that is in no list; one that a client made stays.
        Without ``listed`` it is there for who asks by its path alone. False: it would stand below a node that ends with
        a session, or above nodes of one that is in no list."""
        for folder in above(path):
            node = self._nodes.get(folder)
            if node is None:
                self._next()
                self._show(folder, b"")
            elif node.owner not in (0, CONTAINER):
                return False
        node = self._nodes.get(path)
        if node is not None and not node.ours and not node.listed:
            if node.children or node.unlisted:
                return False
            self._next()
            self._remove(path, node)
            node = None
        if node is None:
            self._next()
            self._show(path, data, listed)
        elif node.ours and node.data != data:
            self._change(path, node, data, self._next())
        return True

    def hide(self, path: str) -> None:
        """Takes back what was shown; what clients made stays, and a folder of theirs too."""
        node = self._nodes.get(path)
        if node is not None and node.ours and not node.children and not node.unlisted and path not in SPECIAL:
            self._next()
            self._remove(path, node)

    def restore(self, path: str, node: Node, listed: bool) -> None:
        """A node that a client made in another process; nobody watches yet. Its folder is shown if need be.

        :raises Full: it would be one too many
        """
        before = self._nodes.get(path)
        if not proper(path) or path in SPECIAL:
            return
        if before is not None and (not before.ours or before.data or not listed or node.owner not in (0, CONTAINER)):
            return
        if before is None and parent(path) not in self._nodes and not self.show(parent(path)):
            return
        self._count(path, node)
        if before is not None:  # shown for what is below it
            node.children, node.unlisted = before.children, before.unlisted
            self._nodes[path] = node
            self._own(path, node)
            return
        folder = self._nodes[parent(path)]
        kept = folder.cversion, folder.pzxid
        self._place(path, node, listed)
        if not folder.ours:
            folder.cversion, folder.pzxid = kept

    def _show(self, path: str, data: bytes, listed: bool = True) -> None:
        node = Node(data, ANYONE, self.zxid, self._ms(), 0)
        node.ours = True
        self._place(path, node, listed)

    # --- within

    def _next(self) -> int:
        self.zxid += 1
        self.wrote()
        return self.zxid

    def _ms(self) -> int:
        return int(self._now() * 1000)

    def _get(self, path: str) -> Node:
        node = self._nodes.get(path or "/")
        if node is None:
            raise Refused(Err.NO_NODE)
        return node

    def _watch(self, kind: Watches, path: str, watcher: Watcher | None, mode: int = ONCE) -> None:
        if watcher is not None:
            try:
                kind.add(path, watcher, mode)
            except Full:
                raise Refused(Err.SYSTEM) from None

    def _kinds(self, type: int) -> list[tuple[Watches, int]]:
        match type:
            case 1:
                return [(self.child, ONCE)]
            case 2:
                return [(self.data, ONCE)]
            case 3:
                return [(self.child, ANY), (self.data, ANY)]
            case 4:
                return [(self.data, PERSISTENT), (self.child, PERSISTENT)]
            case 5:
                return [(self.data, RECURSIVE)]
        raise Refused(Err.MARSHALLING)

    def _take(self, path: str, node: Node) -> None:
        try:
            self._count(path, node)
        except Full:
            raise Refused(Err.SYSTEM) from None

    def _count(self, path: str, node: Node) -> None:
        self.used.take("nodes", 1)
        try:
            self.used.take("bytes", node.size(path))
        except Full:
            self.used.give("nodes", 1)
            raise

    def _enlist(self, path: str) -> Node:
        folder = self._nodes[parent(path)]
        if folder.children is None:
            folder.children = {}
        folder.children[path.rpartition("/")[2]] = None
        return folder

    def _own(self, path: str, node: Node) -> None:
        if node.owner == CONTAINER:
            self._containers[path] = None
        elif node.owner:
            self._owned.setdefault(node.owner, {})[path] = None

    def _place(self, path: str, node: Node, listed: bool) -> None:
        node.listed = listed
        self._nodes[path] = node
        folder = self._nodes[parent(path)]
        folder.cversion += 1
        self._own(path, node)
        if not listed:
            folder.unlisted += 1
            return
        self._enlist(path).pzxid = self.zxid
        self.data.trigger(path, of.CREATED, self.zxid)
        self.child.trigger(parent(path), of.CHILDREN, self.zxid)

    def _remove(self, path: str, node: Node) -> None:
        folder = self._nodes[parent(path)]
        del self._nodes[path]
        if not node.ours:
            self.used.give("nodes", 1)
            self.used.give("bytes", node.size(path))
        if node.owner == CONTAINER:
            del self._containers[path]
        elif node.owner:
            owned = self._owned[node.owner]
            del owned[path]
            if not owned:
                del self._owned[node.owner]
        if node.listed:
            assert folder.children
            del folder.children[path.rpartition("/")[2]]
            folder.pzxid = self.zxid
            told = self.data.trigger(path, of.DELETED, self.zxid)
            self.child.trigger(path, of.DELETED, self.zxid, told)
            self.child.trigger(parent(path), of.CHILDREN, self.zxid)
        else:
            folder.unlisted -= 1
        if self.view and not node.ours:
            self.view.removed(path)

    def _change(self, path: str, node: Node, data: bytes | None, zxid: int) -> None:
        node.data, node.mzxid, node.mtime = data, zxid, self._ms()
        node.version += 1
        if node.listed:
            self.data.trigger(path, of.CHANGED, zxid)
