"""What an application finds that looks for the applications that offer a service."""

from __future__ import annotations

import json
from typing import Any

import pytest
from kazoo.exceptions import NoAuthError
from test_endpoint import Kazoo
from test_endpoint_dubbo import OUT, Played, client_of, offer, providers
from test_endpoint_kept import Memory
from test_standby import Played as Standing
from test_standby import consume
from zookeepers import Raw

from meshfast.endpoint import jute
from meshfast.endpoint.codes import Err
from meshfast.endpoint.folders import Kind, looked_at
from meshfast.endpoint.jute import Op
from meshfast.endpoint.limits import Limits
from meshfast.registry.instance import info, node

HELLO = "/dubbo/mapping/x.Hello"
AT = f"/services/meshfast.x.Hello/{OUT}"


@pytest.fixture
def played():
    one = Played()
    yield one
    one.close()


def data(client: Raw, path: str, watch: bool = False) -> bytes | None:
    code, body = client.ask(Op.GET_DATA, jute.GetData(path, watch))
    return body.data if code == 0 else None


def names(client: Raw, path: str) -> tuple[str, ...]:
    code, body = client.ask(Op.GET_CHILDREN, jute.GetChildren(path, False))
    return body.names if code == 0 else ()


def offered(client: Raw, root: str = "/dubbo", at: str = AT) -> set[tuple[str, str, str, str, int]]:
    """What the instance's metadata says, which is at both places the same."""
    found = node(data(client, at) or b"")
    assert found and found.remote and (found.host, found.port) == tuple([*OUT.split(":")[:1], 15001])
    told = [data(client, f"{root}{folder}/{found.application}/{found.revision}") for folder in ("/metadata", "")]
    assert told[0] and told[0] == told[1]
    return {
        (one.name, one.group, one.version, one.protocol, one.port)
        for each in info(told[0]).services.values() for one in each
    }  # fmt: skip


@pytest.mark.parametrize(("path", "found"), [
    ("/dubbo/mapping/x.Hello", (Kind.MAPPING, "x.Hello")), ("/a/b/mapping/x", (Kind.MAPPING, "x")),
    ("/dubbo/x.Hello/providers", (Kind.PROVIDERS, "x.Hello")),
    ("/dubbo/mapping/providers", (Kind.PROVIDERS, "mapping")),
    ("/dubbo/config/mapping/x", None), ("/dubbo/mapping", None), ("/mapping/x", None), ("/dubbo/mapping/x/y", None),
    ("/dubbo/mapping/*", None), ("/dubbo/mapping/" + "x" * 1024, None), ("/a/b/c/d/e/mapping/x", None),
])  # fmt: skip
def test_which_paths_are_looked_at(path, found):
    assert looked_at(path) == found


def test_a_consumer_finds_an_instance_which_is_the_sidecar(played):
    played.list("x.Hello", offer("x.Hello", {}), offer("x.Hello", {}, group="g", version="1", protocol="tri"))
    client = client_of(played)
    assert data(client, HELLO) == b"meshfast.x.Hello"
    assert names(client, "/services/meshfast.x.Hello") == (OUT,)
    assert offered(client) == {
        ("x.Hello", "", "", "dubbo", 15001), ("x.Hello", "g", "1", "tri", 15001),
    }  # fmt: skip
    told = json.loads(data(client, AT) or b"")["payload"]["metadata"]
    assert json.loads(told["dubbo.endpoints"]) == [{"port": 15001, "protocol": p} for p in ("dubbo", "tri")]
    assert told["meshfast"] == "1" and "timestamp" not in told
    assert names(client, "/dubbo/meshfast.x.Hello") == (OUT,)  # Java reads all that is listed there as instances
    assert played.do(lambda: played.shown.interests["x.Hello"]) == 1
    client.ask(Op.CLOSE)
    client.close()
    assert played.do(lambda: (played.shown.interests["x.Hello"], len(played.paths()))) == (0, 4)


def test_it_hears_of_another_offer_and_never_of_none(played):
    client = client_of(played)
    played.list("x.Hello")
    assert data(client, HELLO, True) is None
    assert client.ask(Op.EXISTS, jute.Exists(HELLO, True))[0] == Err.NO_NODE
    assert client.ask(Op.EXISTS, jute.Exists("/services/meshfast.x.Hello", False))[0] == Err.NO_NODE
    played.list("x.Hello", offer("x.Hello", {}))
    assert [(event.type, event.path) for _, event in client.told()] == [(1, HELLO)]
    before = data(client, AT, True)
    revision = json.loads(before)["payload"]["metadata"]["dubbo.metadata.revision"]
    played.list("x.Hello", offer("x.Hello", {}), offer("x.Hello", {}, version="2"))
    assert [(event.type, event.path) for _, event in client.told()] == [(3, AT)]
    assert len(offered(client)) == 2
    assert data(client, f"/dubbo/metadata/meshfast.x.Hello/{revision}")  # who has just read it finds it
    assert data(client, HELLO, True) and data(client, AT, True)
    played.list("x.Hello", offer("x.Hello", {}), offer("x.Hello", {}, version="3"))
    assert len(client.told()) == 1 and data(client, f"/dubbo/metadata/meshfast.x.Hello/{revision}") is None
    data(client, AT, True)
    played.list("x.Hello")
    assert client.told() == [] and len(offered(client)) == 2
    client.close()


def test_instances_that_come_and_go_change_nothing(played):
    client = client_of(played)
    played.list("x.Hello", offer("x.Hello", {"timestamp": "1"}))
    before = data(client, HELLO), data(client, AT, True)
    played.list("x.Hello", offer("x.Hello", {"timestamp": "2"}, {"timestamp": "3", "pid": "7"}))
    assert client.told() == [] and (data(client, HELLO), data(client, AT)) == before
    client.close()


def test_services_are_apart(played):
    """What is looked for later changes nothing that was read before."""
    client = client_of(played)
    for name in ("x.Hello", "x.Cart"):
        played.list(name, offer(name, {}))
    assert data(client, HELLO, True) and data(client, AT, True)
    assert data(client, "/dubbo/mapping/x.Cart") == b"meshfast.x.Cart"
    assert client.told() == [] and {one[0] for one in offered(client)} == {"x.Hello"}
    assert {one[0] for one in offered(client, at=f"/services/meshfast.x.Cart/{OUT}")} == {"x.Cart"}
    client.close()


def test_both_levels_are_shown_and_waited_for_once(played):
    client = client_of(played)
    assert data(client, HELLO) is None and providers(client, "x.Hello") == []
    assert played.do(lambda: (played.whole.waits, played.whole.unanswered)) == (1, 1)
    played.list("x.Hello", offer("x.Hello", {}))
    assert data(client, HELLO) and len(providers(client, "x.Hello")) == 1
    client.close()


def test_roots_are_apart_and_share_the_instance(played):
    played.list("x.Hello", offer("x.Hello", {}))
    first, second = client_of(played), client_of(played)
    assert data(first, HELLO) and data(second, "/other/mapping/x.Hello") == b"meshfast.x.Hello"
    assert offered(second, "/other", f"/other/meshfast.x.Hello/{OUT}") == offered(first)
    first.ask(Op.CLOSE)
    assert offered(second, "/other")
    assert second.ask(Op.EXISTS, jute.Exists(HELLO.replace("Hello", "Other"), False))[0] == Err.NO_NODE
    second.ask(Op.CLOSE)
    assert played.do(lambda: len(played.paths())) == 4
    for client in (first, second):
        client.close()


def test_a_provider_says_what_it_is_mapped_to_and_that_is_dropped(played):
    """As Dubbo does: read, then written by the version that was read."""
    played.list("x.Hello", offer("x.Hello", {}))
    with Kazoo(played.port) as client:
        for path in (HELLO, "/a/b/mapping/x.Hello"):
            found, stat = client.get(path)
            client.set(path, found + b",shop", version=stat.version)
            assert client.get(path)[0] == b"meshfast.x.Hello"
        with pytest.raises(NoAuthError):
            client.set(AT, b"{}")
    client = client_of(played)
    assert data(client, HELLO) and client.create(HELLO, b"shop")[0] == Err.NODE_EXISTS
    assert client.ask(Op.SET_DATA, jute.SetData(HELLO, b"shop", 7))[0] == Err.BAD_VERSION
    client.close()


def test_it_is_bounded_apart_from_folders():
    played = Played(Limits(services=2))
    client = client_of(played)
    for number in range(4):
        played.list(f"x{number}", offer(f"x{number}", {}))
    assert [data(client, f"/dubbo/mapping/x{number}") is not None for number in range(4)] == [True, True, False, False]
    assert len(providers(client, "x3")) == 1 and played.do(lambda: played.server.used.refused["services"]) == 2
    client.close()
    played.close()


def test_it_is_there_after_a_restart_before_anything_is_known():
    state: Any = Memory()
    played = Played(state=state)
    played.list("x.Hello", offer("x.Hello", {}))
    client = client_of(played)
    before = data(client, HELLO), data(client, AT), offered(client)
    session = client.session
    client.close()
    played.close()
    played = Played(state=state)
    client = Raw(played.port)
    assert client.greet(session=session.session, password=session.password, zxid=client.zxid).session
    assert (data(client, HELLO), data(client, AT), offered(client)) == before
    client.close()
    played.close()


def test_standbys_are_shown_only_to_those_who_are_known():
    """As instances beside the sidecar, where all who look at a mapping have said who they are."""
    played = Standing()
    played.list(offer("x.Hello", {"token": "t"}))
    with Kazoo(played.port) as known, Kazoo(played.port) as other:
        consume(known)
        assert known.get(HELLO)
        found = sorted(known.get_children("/services/meshfast.x.Hello"))
        assert found == ["10.0.0.0:20880", OUT]
        for name, weight, mark in zip(found, ("0", "100"), (None, "1"), strict=True):
            data = known.get(f"/services/meshfast.x.Hello/{name}")[0]
            one = node(data)
            told = info(known.get(f"/dubbo/metadata/meshfast.x.Hello/{one.revision}")[0])
            assert told.services["x.Hello"][0].parameters["weight"] == weight
            assert json.loads(data)["payload"]["metadata"].get("meshfast") == mark
        assert other.get(HELLO) and known.get_children("/services/meshfast.x.Hello") == [OUT]
        assert len(known.get_children("/dubbo/x.Hello/providers")) == 2
    played.close()
