"""What a tree answers to each request."""

from __future__ import annotations

from typing import Any, Protocol

from meshfast.endpoint import jute
from meshfast.endpoint.codes import Err, Refused
from meshfast.endpoint.jute import Op
from meshfast.endpoint.limits import Used
from meshfast.endpoint.paths import digest
from meshfast.endpoint.tree import Tree
from meshfast.endpoint.watches import Watcher

__all__ = ["KNOWN", "NAMES", "Asker", "answer"]

#: Names of operations, for their count.
NAMES = {
    Op.CREATE: "create", Op.DELETE: "delete", Op.EXISTS: "exists", Op.GET_DATA: "getData", Op.SET_DATA: "setData",
    Op.GET_ACL: "getACL", Op.GET_CHILDREN: "getChildren", Op.SYNC: "sync", Op.PING: "ping",
    Op.GET_CHILDREN2: "getChildren2", Op.CREATE2: "create2", Op.CHECK_WATCHES: "checkWatches",
    Op.REMOVE_WATCHES: "removeWatches", Op.CREATE_CONTAINER: "createContainer", Op.AUTH: "auth",
    Op.SET_WATCHES: "setWatches", Op.SET_WATCHES2: "setWatches2", Op.ADD_WATCH: "addWatch", Op.WHO_AM_I: "whoAmI",
    Op.CLOSE: "closeSession",
}  # fmt: skip
#: Operations that ZooKeeper has and a tree has not: refused, and the connection goes on.
KNOWN = {
    7: "setACL", 14: "multi", 16: "reconfig", 20: "deleteContainer", 21: "createTTL", 22: "multiRead", 102: "sasl",
    103: "getEphemerals", 104: "getAllChildrenNumber",
}  # fmt: skip


class Asker(Watcher, Protocol):
    """A connection. ``who``: the scheme and id of all that it has shown itself to be."""

    session_id: int
    who: list[tuple[str, str]]


def answer(tree: Tree, asker: Asker, op: int, request: Any) -> Any:
    """The record that follows the header, or None.

    :raises Refused: with the code that the header carries
    """
    match request:
        case jute.Create(path, data, acl, flags):
            name, stat = tree.create(op, path, data, acl, flags, asker.session_id, asker.who)
            return jute.Created(name) if op == Op.CREATE else jute.Created2(name, stat)
        case jute.Exists(path, watch):
            return jute.StatReply(tree.exists(path, asker if watch else None))
        case jute.GetData(path, watch):
            return jute.Data(*tree.get(path, asker if watch else None))
        case jute.GetChildren(path, watch):
            return jute.Children(tree.children(path, asker if watch else None)[0])
        case jute.GetChildren2(path, watch):
            return jute.Children2(*tree.children(path, asker if watch else None))
        case jute.SetData(path, data, version):
            return jute.StatReply(tree.set(path, data, version))
        case jute.Delete(path, version):
            tree.delete(path, version)
        case jute.GetAcl(path):
            return jute.AclReply(*tree.acl(path))
        case jute.Sync(path):
            return jute.Synced(path)
        case jute.AddWatch(path, mode):
            tree.add_watch(path, mode, asker)
            return jute.Code(0)
        case jute.CheckWatches(path, type):
            tree.check_watches(path, type, asker)
        case jute.RemoveWatches(path, type):
            tree.remove_watches(path, type, asker)
        case jute.SetWatches():
            tree.set_watches(jute.SetWatches2(*request, (), ()), asker)
        case jute.SetWatches2():
            tree.set_watches(request, asker)
        case jute.Auth(_, scheme, auth):
            _show(tree.used, asker, scheme, auth or b"")
        case jute.Nothing() if op == Op.WHO_AM_I:
            return jute.Identities(tuple(_user(scheme, id) for scheme, id in asker.who))
    return None


def _user(scheme: str, id: str) -> jute.Identity:
    return jute.Identity(scheme, id.partition(":")[0] if scheme == "digest" else id)


def _show(used: Used, asker: Asker, scheme: str, auth: bytes) -> None:
    if len(auth) > used.limits.auth:
        used.refused["auth"] += 1
        raise Refused(Err.AUTH_FAILED)
    if scheme == "digest":
        who = (scheme, digest(auth))
    elif scheme == "ip":
        who = asker.who[0]
    else:
        raise Refused(Err.AUTH_FAILED)
    if who not in asker.who and len(asker.who) < 16:
        asker.who.append(who)
