"""What an endpoint keeps for the next process, so that clients come back to their sessions and find their nodes there:
sessions with their passwords, and all that clients made. Watches are set again by those who had them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from meshfast.endpoint.jute import ANYONE, Acl
from meshfast.endpoint.later import Later, State
from meshfast.endpoint.limits import Full
from meshfast.endpoint.node import CONTAINER, Node
from meshfast.endpoint.sessions import Session, Sessions
from meshfast.endpoint.tree import Tree
from meshfast.errors import SourceError
from meshfast.hints import told

__all__ = ["Keeper", "State"]

log = logging.getLogger("meshfast")

NAME = "sessions.json"


class _Session(msgspec.Struct, array_like=True):
    id: int
    password: bytes
    timeout: float
    folders: dict[str, bool]  # that it asked for, and whether for what they list


class _Node(msgspec.Struct, array_like=True):
    path: str
    data: bytes | None
    acl: tuple[Acl, ...]
    owner: int
    listed: bool
    czxid: int
    mzxid: int
    pzxid: int
    ctime: int
    mtime: int
    version: int
    cversion: int


class _All(msgspec.Struct):
    zxid: int
    sessions: list[_Session]
    nodes: list[_Node]
    shown: dict[str, list[str]]  # what folders listed


class Folders(Protocol):
    """What is shown to whom."""

    def asked_for(self, session: int) -> Mapping[str, bool]: ...

    def listed(self) -> Mapping[str, list[str]]: ...

    def again(self, session: int, folders: Mapping[str, bool], listed: Mapping[str, list[str]]) -> None: ...

    def created(self, owner: int, path: str, data: bytes) -> None: ...


class Keeper:
    """Reads once, and writes a while after each change."""

    def __init__(self, state: State, tree: Tree, sessions: Sessions, folders: Folders) -> None:
        self._state, self._tree, self._sessions, self._folders = state, tree, sessions, folders
        self._later = Later(state, NAME, self._encoded, "sessions are")
        self.restored = 0

    def read(self) -> None:
        """Goes on with what is there; what cannot be trusted is told and not used."""
        try:
            data = self._state.read(NAME)
            found = None if data is None else msgspec.json.decode(data, type=_All)
        except (SourceError, OSError, msgspec.MsgspecError, RecursionError) as error:
            log.error("endpoint: sessions that were kept are not used: %s", told(error))
            found = None
        if found is not None:
            self._restore(found)
        self._tree.wrote = self._later.changed

    async def close(self) -> None:
        """Writes for the last time."""
        await self._later.close()

    @property
    def failed(self) -> int:
        return self._later.failed

    def _encoded(self) -> bytes:
        asked: Callable[[int], Mapping[str, bool]] = self._folders.asked_for
        sessions = [_Session(one.id, one.password, one.timeout, dict(asked(one.id))) for one in self._sessions]
        nodes = [
            _Node(path, node.data, node.acl, node.owner, node.listed, node.czxid, node.mzxid, node.pzxid, node.ctime,
                  node.mtime, node.version, node.cversion)
            for path, node in self._tree.paths() if not node.ours and path != "/"
        ]  # fmt: skip
        return msgspec.json.encode(_All(self._tree.zxid, sessions, nodes, dict(self._folders.listed())))

    def _restore(self, found: _All) -> None:
        self._tree.zxid = max(self._tree.zxid, found.zxid)
        ids = {0, CONTAINER}
        for one in found.sessions[: self._tree.used.limits.sessions]:
            self._sessions.put(Session(one.id, one.password, one.timeout, 0.0))
            self._folders.again(one.id, one.folders, found.shown)
            ids.add(one.id)
            self.restored += 1
        for kept in sorted(found.nodes, key=lambda node: node.path):
            if kept.owner in ids:
                node = Node(kept.data, ANYONE if kept.acl == ANYONE else kept.acl, kept.czxid, kept.ctime, kept.owner)
                node.mzxid, node.pzxid, node.mtime = kept.mzxid, kept.pzxid, kept.mtime
                node.version, node.cversion = kept.version, kept.cversion
                try:
                    self._tree.restore(kept.path, node, kept.listed)
                except Full:
                    continue
                self._folders.created(kept.owner if kept.owner != CONTAINER else 0, kept.path, kept.data or b"")
        if self.restored:
            log.info("endpoint: %d session(s) of the process before go on", self.restored)
