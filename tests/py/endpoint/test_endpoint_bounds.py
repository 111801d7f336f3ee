"""What one client may cost, and what it cannot break: rules of access, who it is, long answers, shown nodes."""

from __future__ import annotations

from test_endpoint import until
from test_endpoint_dubbo import Played, client_of
from test_tree import Hiding, create, tree
from zookeepers import Raw, served

from meshfast.endpoint import jute
from meshfast.endpoint.codes import Err
from meshfast.endpoint.jute import ANYONE, Acl, Op
from meshfast.endpoint.limits import Limits
from meshfast.endpoint.lists import nodes
from meshfast.registry import Instance, Offer
from meshfast.registry.url import URL, decode, encode


def test_rules_of_access_count_as_bytes():
    """Nodes with a megabyte of rules each would be no more than their paths otherwise."""
    with served(Limits(bytes=200_000)) as endpoint:
        client = Raw(endpoint.port)
        client.greet()
        rules = tuple(Acl(31, "digest", f"u{i}:{'x' * 90}") for i in range(500))
        codes = [
            client.ask(Op.CREATE, jute.Create(f"/n{i}", b"", rules, 0))[0] for i in range(8)
        ]  # fmt: skip
        assert codes[0] == 0 and codes[-1] == Err.SYSTEM
        for i in range(codes.count(0)):
            assert client.ask(Op.DELETE, jute.Delete(f"/n{i}", -1))[0] == 0
        assert endpoint.do(lambda: endpoint.server.used.now["bytes"]) == 0
        client.close()


def test_who_somebody_is_is_bounded():
    with served() as endpoint:
        client = Raw(endpoint.port)
        client.greet()
        code, _ = client.ask(Op.AUTH, jute.Auth(0, "digest", b"u" * 100_000 + b":p"), xid=-4)
        assert code == Err.AUTH_FAILED
        assert client.ended()
        client.close()
        assert endpoint.do(lambda: endpoint.server.used.refused["auth"]) == 1


def test_one_long_answer_is_no_more_than_may_wait():
    with served(Limits(output=100_000)) as endpoint:
        client, other = Raw(endpoint.port), Raw(endpoint.port)
        client.greet()
        other.greet()
        for i in range(200):
            assert other.create(f"/{'n' * 600}{i}")[0] == 0
        client.send(Op.GET_CHILDREN, jute.GetChildren("/", False))
        assert client.ended()
        client.close()
        assert endpoint.do(lambda: endpoint.server.used.refused["output"]) == 1
        assert other.ask(Op.EXISTS, jute.Exists("/", False))[0] == 0
        until("it to be gone", lambda: endpoint.do(lambda: len(endpoint.server.connections)) == 1)
        other.close()


def test_what_is_shown_takes_the_place_of_no_node_that_has_others_below():
    """They would stand below nothing, and the end of their session would fail, with all that come after it."""
    one = tree(Hiding())
    create(one, "/hidden")
    create(one, "/hidden/a", owner=0)
    create(one, "/hidden/a/b", flags=1)
    assert not one.show("/hidden/a")
    one.end(7)
    assert one.exists("/hidden/a").children == 0
    assert one.show("/hidden/a")


def test_what_every_server_has_is_never_hidden():
    one = tree()
    assert one.show("/zookeeper/config/providers")
    for path in ("/zookeeper/config/providers", "/zookeeper/config", "/zookeeper"):
        one.hide(path)
    assert one.children("/zookeeper")[0] == ("quota", "config")


def test_metadata_says_nothing_else_once_it_is_in_a_url():
    """An application's metadata is JSON: whatever its texts say, a URL made of them says no more."""
    said = {
        "a;disabled": "true", "b": "1&disabled=true", "c": "x;category=routers", "d=e": "1", "path": "p?disabled=true",
        "methods": "m,n;disabled=true", "serialization": "hessian2;weight=0", "plain": "yes",
    }  # fmt: skip
    one = Instance("10.0.0.1:20880", "dubbo", "shop", said)
    (name,) = nodes("x.Hello", (Offer("x.Hello", "", "", (one,)),), "127.0.0.1:15001", {})[0]
    found = URL.parse(decode(name))
    assert found.path == "x.Hello" and found.parameters["plain"] == "yes" and found.parameters["weight"] == "100"
    assert not {"disabled", "category", "a", "b", "c", "d", "serialization", "methods"} & found.parameters.keys()


def test_what_is_dropped_is_kept_nowhere():
    """It ends with no session, and no limit counts it."""
    played = Played()
    try:
        client = client_of(played)
        for path in ("/dubbo", "/dubbo/mapping"):
            assert client.ask(Op.CREATE, jute.Create(path, b"", ANYONE, 0))[0] == 0
        said = b'{"services": {}, "revision": "r1"}'
        assert client.ask(Op.CREATE, jute.Create("/dubbo/mapping/x.Hello", said, ANYONE, 0))[0] == 0
        folder = "/dubbo/mapping/x.Hello/providers"
        assert client.ask(Op.EXISTS, jute.Exists(folder, False))[0] == 0  # as of a service that is called so
        node = encode("dubbo://10.0.0.1:20881/x.Hello?interface=x.Hello&application=shop")
        assert client.ask(Op.CREATE, jute.Create(f"{folder}/{node}", b"", ANYONE, 1))[0] == 0
        assert played.do(lambda: (dict(played.whole.wanted), dict(played.whole.written._data))) == ({}, {})
        client.close()
    finally:
        played.close()
