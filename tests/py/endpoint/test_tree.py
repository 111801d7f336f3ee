"""Nodes, watches and sessions of an endpoint, without a socket."""

from __future__ import annotations

from typing import Any

import pytest

from meshfast.endpoint import jute
from meshfast.endpoint.codes import Err, Refused
from meshfast.endpoint.jute import ANYONE, Op
from meshfast.endpoint.limits import Limits, Used
from meshfast.endpoint.sessions import Sessions
from meshfast.endpoint.tree import Tree
from meshfast.endpoint.view import Fate
from meshfast.endpoint.watches import CHANGED, CHILDREN, CREATED, DELETED


class Told:
    """A watcher that remembers."""

    def __init__(self) -> None:
        self.all: list[tuple[int, str]] = []

    def event(self, zxid: int, event: jute.Event) -> None:
        self.all.append((event.type, event.path))

    def take(self) -> list[tuple[int, str]]:
        told, self.all = self.all, []
        return told


class Hiding:
    """A view that hides what lies under /hidden, drops what lies under /dropped, and remembers."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def fate(self, path: str, ephemeral: bool) -> Fate:
        top = path.split("/")[1] if path.count("/") > 1 else ""
        return {"hidden": Fate.UNLISTED, "dropped": Fate.DROPPED}.get(top, Fate.LISTED)

    def created(self, owner: int, path: str, data: bytes) -> None:
        self.seen.append((owner, path, data))

    def removed(self, path: str) -> None:
        self.seen.append(path)

    def asked(self, session: int, op: int, path: str) -> None:
        return None

    def left(self, session: int) -> None:
        self.seen.append(("left", session))

    def ended(self, session: int) -> None:
        self.seen.append(session)


def tree(view: Any = None, **limits: int) -> Tree:
    return Tree(Used(Limits(**limits)), view, lambda: 1_600_000_000.0)


def create(one: Tree, path: str, data: bytes = b"", flags: int = 0, owner: int = 7, op: int = Op.CREATE2) -> str:
    return one.create(op, path, data, ANYONE, flags, owner)[0]


def refused(code: int, function: Any, *args: Any) -> None:
    with pytest.raises(Refused) as error:
        function(*args)
    assert error.value.code == code


def test_numbers_of_transactions_rise_over_a_restart():
    before = Tree(Used(), None, lambda: 1_700_000_000.0)
    for _ in range(1000):
        create(before, "/a-", flags=2)
    assert Tree(Used(), None, lambda: 1_700_000_001.0).zxid > before.zxid < 1 << 63


def test_a_session_ends_with_all_that_it_made():
    one = tree()
    create(one, "/a")
    create(one, "/a/mine", flags=1, owner=1)
    create(one, "/a/yours", flags=1, owner=2)
    create(one, "/a/stays", owner=1)
    one.end(1)
    assert one.children("/a")[0] == ("yours", "stays")
    assert one.used.now == {"nodes": 3, "bytes": len("/a" + "/a/yours" + "/a/stays")}


def test_containers_go_when_their_children_have():
    one, told = tree(), Told()
    for path in ("/c", "/new"):
        create(one, path, op=Op.CREATE_CONTAINER)
    create(one, "/c/a")
    one.sweep()
    assert set(one.children("/")[0]) == {"zookeeper", "c", "new"}
    one.delete("/c/a", -1)
    one.exists("/c", told)
    one.sweep()
    assert set(one.children("/")[0]) == {"zookeeper", "new"} and told.take() == [(DELETED, "/c")]


def test_watches_hear_once_always_or_of_all_below():
    one, once, always, below = tree(), Told(), Told(), Told()
    create(one, "/a")
    one.children("/a", once)
    one.add_watch("/a", 0, always)
    one.add_watch("/a", 1, below)
    create(one, "/a/b")
    create(one, "/a/b/c")
    one.set("/a", b"x", -1)
    one.delete("/a/b/c", -1)
    one.delete("/a/b", -1)
    assert once.take() == [(CHILDREN, "/a")]
    assert always.take() == [(CHILDREN, "/a"), (CHANGED, "/a"), (CHILDREN, "/a")]
    assert below.take() == [
        (CREATED, "/a/b"), (CREATED, "/a/b/c"), (CHANGED, "/a"), (DELETED, "/a/b/c"), (DELETED, "/a/b"),
    ]  # fmt: skip
    for watcher in (once, always, below):
        one.data.drop(watcher)
        one.child.drop(watcher)
    assert one.used.now["watches"] == 0
    create(one, "/a/d")
    assert not once.all + always.all + below.all


def test_what_is_hidden_is_in_no_list_and_told_to_nobody():
    view, told = Hiding(), Told()
    one = tree(view)
    create(one, "/hidden")
    one.add_watch("/", 1, told)
    one.children("/hidden", told)
    create(one, "/hidden/a", b"x", flags=1)
    one.set("/hidden/a", b"y", 0)
    assert one.get("/hidden/a")[0] == b"y" and one.children("/hidden") == ((), one.exists("/hidden"))
    assert one.exists("/hidden").children == 0 and told.take() == []
    refused(Err.NODE_EXISTS, create, one, "/hidden/a")
    refused(Err.NOT_EMPTY, one.delete, "/hidden", -1)
    one.delete("/hidden/a", -1)
    one.delete("/hidden", -1)
    assert told.take() == [(DELETED, "/hidden")]  # once, though it watches all below and the children
    assert view.seen == [(0, "/hidden", b""), (7, "/hidden/a", b"x"), (7, "/hidden/a", b"y"), "/hidden/a", "/hidden"]
    one.data.drop(told)
    assert not any(one.used.now.values())


def test_what_is_dropped_is_answered_as_if_it_were_there():
    view = Hiding()
    one = tree(view)
    create(one, "/dropped")
    path, stat = one.create(Op.CREATE2, "/dropped/a", b"xyz", ANYONE, 0, 7)
    assert path == "/dropped/a" and (stat.length, stat.version) == (3, 0)
    refused(Err.NO_NODE, one.get, "/dropped/a")
    assert [path for _, path, _ in view.seen] == ["/dropped"] and one.used.now["nodes"] == 1
    one.delete("/dropped", -1)


def test_what_is_shown_is_watched_and_cannot_be_changed():
    one, told = tree(), Told()
    one.add_watch("/", 1, told)
    one.show("/a/b/c", b"1")
    assert told.take() == [(CREATED, "/a"), (CREATED, "/a/b"), (CREATED, "/a/b/c")]
    one.show("/a/b/c", b"1")
    assert told.take() == []
    one.show("/a/b/c", b"2")
    assert told.take() == [(CHANGED, "/a/b/c")] and one.get("/a/b/c")[0] == b"2"
    refused(Err.NO_AUTH, one.delete, "/a/b/c", -1)
    refused(Err.NO_AUTH, one.set, "/a/b/c", b"", -1)
    refused(Err.NODE_EXISTS, create, one, "/a/b")
    create(one, "/a/b/mine")
    one.hide("/a/b")
    one.hide("/a/b/mine")
    one.hide("/nothing")
    assert one.children("/a/b")[0] == ("c", "mine") and one.used.now["nodes"] == 1
    one.hide("/a/b/c")
    assert told.take()[-1] == (DELETED, "/a/b/c")


def test_what_is_shown_takes_the_place_of_what_was_hidden():
    one = tree(Hiding())
    create(one, "/hidden")
    create(one, "/hidden/a", b"theirs", flags=1, owner=1)
    one.show("/hidden/a", b"ours")
    assert one.get("/hidden/a")[0] == b"ours" and one.children("/hidden")[0] == ("a",)
    one.end(1)
    assert one.get("/hidden/a")[0] == b"ours" and one.used.now["nodes"] == 1


def test_nothing_is_shown_below_what_ends_with_a_session():
    one = tree()
    create(one, "/a", flags=1, owner=1)
    assert not one.show("/a/b/c") and one.show("/b/c")
    one.end(1)
    assert one.children("/")[0] == ("zookeeper", "b") and one.show("/a/b/c")


@pytest.mark.parametrize("limit, count", [("nodes", 3), ("bytes", 16)])
def test_limits_of_nodes(limit, count):
    one = tree(**{limit: count})
    for name in ("/a", "/b", "/c"):
        create(one, name, b"12")
    refused(Err.SYSTEM, create, one, "/more", b"123456")
    assert one.used.refused == {limit: 1} and set(one.children("/")[0]) == {"zookeeper", "a", "b", "c"}
    one.delete("/a", -1)
    create(one, "/d")


def test_limits_of_data_that_grows_and_of_levels():
    one = tree(bytes=16, levels=3)
    create(one, "/a", b"12")
    refused(Err.SYSTEM, one.set, "/a", bytes(15), -1)
    assert one.get("/a")[0] == b"12" and one.exists("/a").version == 0
    one.set("/a", bytes(14), -1)
    one.set("/a", b"", -1)
    for path in ("/a/b", "/a/b/c"):
        create(one, path, b"")
    refused(Err.BAD_ARGUMENTS, create, one, "/a/b/c/d")


def test_limits_of_watches():
    one, told = tree(watches=2), Told()
    one.add_watch("/a", 1, told)
    one.add_watch("/a", 1, told)
    one.add_watch("/b", 1, told)
    refused(Err.SYSTEM, one.add_watch, "/c", 1, told)
    refused(Err.SYSTEM, one.children, "/", told)
    one.remove_watches("/a", 5, told)
    one.children("/", told)
    assert one.used.refused == {"watches": 2}


def test_sessions_expire_by_the_clock():
    now = [0.0]
    one = tree(Hiding())
    sessions = Sessions(one, lambda: now[0])
    first, second = sessions.begin(5000), sessions.begin(3_600_000)
    assert first and second and (first.timeout, second.timeout) == (5.0, 30.0)
    create(one, "/a", flags=1, owner=first.id)
    now[0] = 4.0
    assert sessions.expire() == 1.0
    sessions.touch(first)
    now[0] = 8.9
    assert sessions.expire() == pytest.approx(0.1) and len(sessions) == 2
    now[0] = 9.0
    assert sessions.expire() == 21.0 and list(sessions) == [second]
    refused(Err.NO_NODE, one.get, "/a")
    assert one.view.seen[-2:] == ["/a", first.id] and sessions.expired == 1
    assert sessions.resume(first.id, first.password, 5000) is None


def test_sessions_are_bounded_and_their_own():
    sessions = Sessions(tree(sessions=2), lambda: 0.0)
    first = sessions.begin(0)
    assert first and first.timeout == 4.0 and sessions.begin(-5)
    assert sessions.begin(0) is None and sessions._tree.used.refused == {"sessions": 1}
    assert sessions.resume(first.id, bytes(16), 0) is None and sessions.resume(first.id, None, 0) is None
    assert sessions.resume(first.id, first.password, 20_000) is first and first.timeout == 20.0
    sessions.end(first)
    sessions.end(first)
    assert sessions.begin(0)
