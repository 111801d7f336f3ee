"""A node of a tree."""

from __future__ import annotations

from meshfast.endpoint.jute import ANYONE, Acl, Stat

__all__ = ["CONTAINER", "Node"]

#: Owner of a node that goes once its children have gone.
CONTAINER = -(1 << 63)
#: Bytes of a rule of access besides its texts.
RULE = 64


class Node:
    """``ours``: a client may not change it."""

    __slots__ = (
        "data", "acl", "czxid", "mzxid", "pzxid", "ctime", "mtime", "version", "cversion", "owner", "children",
        "unlisted", "listed", "ours",
    )  # fmt: skip

    def __init__(self, data: bytes | None, acl: tuple[Acl, ...], zxid: int, now: int, owner: int) -> None:
        self.data, self.acl, self.owner = data, acl, owner
        self.czxid = self.mzxid = self.pzxid = zxid
        self.ctime = self.mtime = now
        self.version = self.cversion = self.unlisted = 0
        self.children: dict[str, None] | None = None
        self.listed, self.ours = True, False

    def size(self, path: str) -> int:
        rules = 0 if self.acl is ANYONE else sum(RULE + len(one.scheme) + len(one.id) for one in self.acl)
        return len(path) + len(self.data or b"") + rules

    def stat(self) -> Stat:
        children = len(self.children or ())
        owner = 0 if self.owner == CONTAINER else self.owner
        return Stat(
            self.czxid, self.mzxid, self.ctime, self.mtime, self.version, self.cversion * 2 - children, 0, owner,
            len(self.data or b""), children, self.pzxid,
        )  # fmt: skip
