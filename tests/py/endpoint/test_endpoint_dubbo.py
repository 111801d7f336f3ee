"""What an application finds in its sidecar's registry, and what becomes of what it writes there."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from apis import Shown
from test_endpoint import Kazoo, until
from zookeepers import Raw, Served, served

from meshfast.endpoint import jute
from meshfast.endpoint.codes import Err
from meshfast.endpoint.dubbo import Endpoint
from meshfast.endpoint.jute import Op
from meshfast.endpoint.limits import Limits
from meshfast.endpoint.lists import nodes
from meshfast.registry import Instance, Offer
from meshfast.registry.url import URL, decode, encode

OUT = "127.0.0.1:15001"
COMMON = {"application": "shop", "dubbo": "2.0.2", "release": "3.3.6", "methods": "a,b", "timeout": "500"}


class Played(Served):
    """An endpoint over listings that the test sets; ``clock``: of waits and sessions."""

    def __init__(self, limits: Limits | None = None, state: Any = None) -> None:
        self.shown, self.now = Shown(), [0.0]
        make = lambda: Endpoint(  # noqa: E731
            "tcp://127.0.0.1:0", self.shown, f"tcp://{OUT}", limits=limits, state=state, clock=lambda: self.now[0]
        )
        super().__init__(make=make)

    def paths(self) -> Any:
        return list(dict(self.server.tree.paths()))

    def list(self, service: str, *offers: Offer) -> None:
        def change() -> None:
            self.shown.listings[service] = offers
            self.whole.changed(service)

        self.do(change)


@pytest.fixture
def played():
    one = Played()
    yield one
    one.close()


def offer(
    service: str, *instances: dict[str, str], group: str = "", version: str = "", protocol: str = "dubbo"
) -> Offer:
    made = (
        Instance(f"10.0.0.{number}:20880", protocol, "shop", COMMON | each) for number, each in enumerate(instances)
    )
    return Offer(service, group, version, tuple(made))


def providers(client: Raw, service: str, watch: bool = False) -> list[str]:
    code, body = client.ask(Op.GET_CHILDREN, jute.GetChildren(f"/dubbo/{service}/providers", watch))
    assert code == 0
    return [unquote(name) for name in body.names]


def client_of(played: Served) -> Raw:
    client = Raw(played.port)
    client.greet()
    return client


def shown_url(*instances: dict[str, str], service: str = "x.Hello", **of: str) -> URL:
    names, refused = nodes(service, (offer(service, *instances, **of),), OUT, {})
    assert len(names) == 1 and not refused
    return URL.parse(decode(next(iter(names))))


# --- the provider that is shown


def test_the_sidecar_is_the_provider():
    url = shown_url({"timestamp": "1", "pid": "7", "weight": "5", "dubbo.tag": "gray"}, group="g", version="1.0.0")
    assert (url.protocol, url.host, url.port, url.path) == ("dubbo", "127.0.0.1", 15001, "x.Hello")
    assert url.parameters == COMMON | {
        "interface": "x.Hello", "group": "g", "version": "1.0.0", "side": "provider", "dynamic": "true",
        "weight": "100", "meshfast": "1",
    }  # fmt: skip


def test_it_says_what_all_instances_say():
    url = shown_url(
        {
            "timeout": "500",
            "release": "3.10.0",
            "methods": "a,c",
            "prefer.serialization": "fastjson2,hessian2",
            "x": "1",
        },
        {"timeout": "900", "release": "3.9.1", "methods": "a,b", "prefer.serialization": "hessian2", "x": "1"},
    )
    found = url.parameters
    assert "timeout" not in found and found["x"] == "1"
    assert (found["release"], found["methods"], found["prefer.serialization"]) == ("3.9.1", "a,b,c", "hessian2")


def test_nothing_in_common_is_said_by_nobody():
    found = shown_url({"prefer.serialization": "a"}, {"prefer.serialization": "b"}, {"methods": "*"}).parameters
    assert "prefer.serialization" not in found and found["methods"] == "*"


def test_the_name_does_not_change_with_the_instances():
    one = nodes("x", (offer("x", {"timestamp": "1", "pid": "1", "bind.port": "1"}),), OUT, {})
    two = nodes("x", (offer("x", {"timestamp": "2", "pid": "2"}, {"timestamp": "3", "anyhost": "true"}),), OUT, {})
    assert one == two


def test_one_for_each_group_version_and_protocol():
    listing = (
        offer("x", {}),
        offer("x", {}, version="2"),
        offer("x", {}, group="g", protocol="tri"),
        Offer("x", "none"),
    )
    names, _ = nodes("x", listing, OUT, {"heartbeat": "1000"})
    urls = [URL.parse(decode(name)) for name in names]
    assert [(one.protocol, one.parameters.get("group"), one.parameters.get("version")) for one in urls] == [
        ("dubbo", None, None), ("dubbo", None, "2"), ("tri", "g", None),
    ]  # fmt: skip
    assert all(one.parameters["heartbeat"] == "1000" for one in urls)


def test_a_token_of_all_is_shown_and_one_each_is_not():
    assert shown_url({"token": "t"}, {"token": "t"}).parameters["token"] == "t"
    for others in ({"token": "u"}, {}):
        listing = (offer("x", {"token": "t"}, others), offer("x", {}, version="2"))
        names, refused = nodes("x", listing, OUT, {})
        assert len(names) == 1 and refused == [listing[0]]


# --- what consumers find


def test_a_consumer_finds_the_sidecar_and_hears_of_changes(played):
    played.list("x.Hello", offer("x.Hello", {}))
    client = client_of(played)
    assert client.create("/dubbo", b"") and client.create("/dubbo/x.Hello", b"")
    first = providers(client, "x.Hello", watch=True)
    assert len(first) == 1 and first[0].startswith(f"dubbo://{OUT}/x.Hello?") and "&weight=100" in first[0]
    assert played.do(lambda: played.shown.interests["x.Hello"]) == 1 and client.told() == []
    played.list("x.Hello", offer("x.Hello", {}), offer("x.Hello", {}, version="2"))
    assert [event for _, event in client.told()] == [jute.Event(4, 3, "/dubbo/x.Hello/providers")]
    assert providers(client, "x.Hello", watch=True)[:1] == first and len(providers(client, "x.Hello")) == 2
    played.list("x.Hello", offer("x.Hello", {}, version="2"))
    assert len(client.told()) == 1 and len(providers(client, "x.Hello", watch=True)) == 1
    played.list("x.Hello")
    assert client.told() == [] and len(providers(client, "x.Hello")) == 1  # never taken back for nothing
    name = client.ask(Op.GET_CHILDREN, jute.GetChildren("/dubbo/x.Hello/providers", False))[1].names[0]
    path = f"/dubbo/x.Hello/providers/{name}"
    assert client.ask(Op.GET_DATA, jute.GetData(path, False))[1].data == b"127.0.0.1"
    assert client.ask(Op.DELETE, jute.Delete(path, -1))[0] == Err.NO_AUTH
    client.ask(Op.CLOSE)
    client.close()
    assert played.do(lambda: played.shown.interests["x.Hello"]) == 0


def test_a_service_of_nobody_is_an_empty_folder(played):
    played.list("x.Hello")
    client = client_of(played)
    assert client.ask(Op.EXISTS, jute.Exists("/dubbo/x.Hello/providers", False))[0] == 0
    assert providers(client, "x.Hello") == []
    assert client.ask(Op.EXISTS, jute.Exists("/dubbo/x.Hello/routers", False))[0] == Err.NO_NODE
    client.close()


def test_the_first_look_waits_for_the_answer_and_the_rest_for_it(played):
    client = client_of(played)
    xid = client.send(Op.GET_CHILDREN, jute.GetChildren("/dubbo/x.Hello/providers", False))
    client.send(Op.EXISTS, jute.Exists("/", False))
    until("it to wait", lambda: played.do(lambda: played.whole.waits) == 1)
    other = client_of(played)
    assert other.ask(Op.EXISTS, jute.Exists("/", False))[0] == 0
    played.list("x.Hello", offer("x.Hello", {}))
    code, body = client.answer(xid, Op.GET_CHILDREN)
    assert code == 0 and len(body.names) == 1 and client.answer(xid + 1, Op.EXISTS)[0] == 0
    assert played.do(lambda: played.whole.unanswered) == 0
    client.close()
    other.close()


def test_it_waits_no_longer_than_it_may_and_hears_later(played):
    client = client_of(played)
    assert providers(client, "x.Hello", watch=True) == []
    assert played.do(lambda: (played.whole.waits, played.whole.unanswered)) == (1, 1)
    played.list("x.Hello", offer("x.Hello", {}))
    assert [event.type for _, event in client.told()] == [4] and len(providers(client, "x.Hello")) == 1
    client.close()


def test_all_waits_of_a_session_are_bounded(played):
    client = client_of(played)
    for number in range(2):
        xid = client.send(Op.GET_CHILDREN, jute.GetChildren(f"/dubbo/x{number}/providers", False))
        until("it to wait", lambda n=number: played.do(lambda: played.whole.waits) == n + 1)
        played.now[0] += 3.0
        played.list(f"x{number}")
        assert client.answer(xid, Op.GET_CHILDREN)[0] == 0
    assert providers(client, "x9") == [] and played.do(lambda: played.whole.waits) == 2
    client.close()


def test_nobody_waits_for_a_registry_that_is_not_there(played):
    played.shown.is_connected = False
    client = client_of(played)
    assert providers(client, "x.Hello") == [] and played.do(lambda: played.whole.waits) == 0
    client.close()


def test_one_that_goes_while_it_waits_leaves_nothing(played):
    client = client_of(played)
    client.send(Op.GET_CHILDREN, jute.GetChildren("/dubbo/x.Hello/providers", True))
    until("it to wait", lambda: played.do(lambda: played.whole.waits) == 1)
    client.close()
    until("its end", lambda: played.do(lambda: not played.server.connections))
    played.now[0] = 31.0
    played.do(played.server.sessions.expire)
    played.list("x.Hello", offer("x.Hello", {}))
    assert played.do(lambda: (played.shown.interests["x.Hello"], len(played.paths()))) == (0, 4)


def test_folders_are_bounded_and_forgotten():
    played = Played(Limits(services=2, levels=64))
    client = client_of(played)
    for number in range(4):
        client.ask(Op.EXISTS, jute.Exists(f"/dubbo/x{number}/providers", False))
    assert client.ask(Op.EXISTS, jute.Exists("/dubbo/x1/providers", False))[0] == 0
    assert client.ask(Op.EXISTS, jute.Exists("/dubbo/x2/providers", False))[0] == Err.NO_NODE
    for path in ("/a" * 60 + "/x/providers", f"/dubbo/{'x' * 2000}/providers", "/dubbo//providers", "/providers"):
        assert client.ask(Op.EXISTS, jute.Exists(path, False))[0] == Err.NO_NODE
    assert played.do(lambda: played.server.used.refused["services"]) == 3
    client.ask(Op.CLOSE)
    client.close()
    assert played.do(lambda: len(played.paths())) == 4
    played.close()


# --- what providers write


def url(service: str = "x.Hello", **parameters: str) -> str:
    more = {"interface": service, "side": "provider", "timestamp": "1"} | parameters
    return encode(f"dubbo://10.0.0.7:20880/{service}?" + "&".join(f"{k}={v}" for k, v in more.items()))


def test_what_is_registered_is_wanted_and_in_no_list(played):
    heard = []
    played.do(lambda: setattr(played.whole, "hears", lambda: heard.append(1)))
    played.list("x.Hello")
    with Kazoo(played.port) as client, Kazoo(played.port) as other:
        path = f"/dubbo/x.Hello/providers/{url(group='g', version='1')}"
        seen = []
        assert other.get_children("/dubbo/x.Hello/providers", watch=seen.append) == []
        client.create(path, b"10.0.0.7", ephemeral=True, makepath=True)
        assert client.exists(path) and other.get_children("/dubbo/x.Hello/providers") == []
        (wanted,) = played.do(lambda: list(played.whole.wanted.values()))
        assert (wanted.provider.service, wanted.provider.group, wanted.provider.version) == ("x.Hello", "g", "1")
        assert wanted.provider.instance.address == "10.0.0.7:20880" and wanted.session == client.client_id[0]
        client.delete(path)
        assert played.do(lambda: dict(played.whole.wanted)) == {}
        client.create(path, b"", ephemeral=True)
        client.create("/services/shop/10.0.0.7:20880", b"{}", ephemeral=True, makepath=True)
        assert other.get_children("/services/shop") == [] and len(played.whole.wanted) == 2
        client.stop()
        until("both to go", lambda: played.do(lambda: not played.whole.wanted))
        assert not seen
    assert len(heard) == 6


def test_what_is_registered_is_bounded():
    played = Played(Limits(registrations=2))
    client = client_of(played)
    for path in ("/dubbo", "/dubbo/x.Hello", "/dubbo/x.Hello/providers"):
        client.create(path)
    for port in range(20880, 20884):
        one = f"dubbo%3A%2F%2F10.0.0.7%3A{port}%2Fx.Hello"
        assert client.create(f"/dubbo/x.Hello/providers/{one}", flags=1)[0] == 0
    assert played.do(lambda: (len(played.whole.wanted), played.server.used.refused["registrations"])) == (2, 2)
    client.close()
    played.close()


def test_what_is_registered_unreadably_is_counted_and_answered(played):
    client = client_of(played)
    for path in ("/dubbo", "/dubbo/x.Hello", "/dubbo/x.Hello/providers", "/dubbo/x.Hello/consumers"):
        client.create(path)
    for bad in ("dubbo%3A%2F%2F10.0.0.7%3A99999%2Fx.Hello", "redis%3A%2F%2F10.0.0.7%3A1%2Fx.Hello", "%3A%2F%2F%zz"):
        assert client.create(f"/dubbo/x.Hello/providers/{bad}", flags=1)[0] == 0
    assert client.create("/dubbo/x.Hello/consumers/%zz", flags=1)[0] == 0
    assert played.do(lambda: sum(played.whole.refused.values())) == 4 and not played.whole.wanted
    assert providers(client, "x.Hello") == []
    client.close()


def test_who_consumes_is_known_and_mappings_are_dropped(played):
    with Kazoo(played.port) as client:
        consumer = encode("consumer://10.0.0.7/x.Hello?group=g&release=3.3.6&version=1")
        client.create(f"/dubbo/x.Hello/consumers/{consumer}", ephemeral=True, makepath=True)
        (found,) = played.do(lambda: list(played.whole.consumers.values()))
        assert found.parameters["release"] == "3.3.6"
        for path in ("/dubbo/mapping/x.Hello", "/dubbo/config/mapping/x.Hello"):
            client.create(path, b"shop", makepath=True)
            assert client.exists(path) is None
        client.create("/dubbo/metadata/x.Hello/provider/shop", b"{}", makepath=True)
        assert client.get("/dubbo/metadata/x.Hello/provider/shop")[0] == b"{}"
        client.delete(f"/dubbo/x.Hello/consumers/{consumer}")
        assert not played.whole.consumers


def test_who_lost_its_connection_is_told_of_and_can_be_ended(played):
    left = []
    played.do(lambda: setattr(played.whole, "leaves", left.append))
    first, second, third = client_of(played), client_of(played), client_of(played)
    for path in ("/dubbo", "/dubbo/x.Hello", "/dubbo/x.Hello/providers"):
        first.create(path)
    first.create(f"/dubbo/x.Hello/providers/{url()}", flags=1)
    again = Raw(played.port)
    assert again.greet(session=first.session.session, password=first.session.password).session
    second.ask(Op.CLOSE)
    again.close()
    until("it to be told of", lambda: left == [first.session.session])  # not who was taken over, not who said so
    assert len(played.do(lambda: dict(played.whole.wanted))) == 1
    played.do(lambda: [played.whole.end(first.session.session) for _ in range(2)])
    assert not played.do(lambda: dict(played.whole.wanted))
    played.do(lambda: played.whole.end(third.session.session))
    assert third.ended() and left == [first.session.session] and not played.do(lambda: len(played.server.sessions))
    for client in (first, second, third):
        client.close()


def test_a_folder_that_was_shown_goes_with_the_last_below_it(played):
    first, second = client_of(played), client_of(played)
    assert first.ask(Op.EXISTS, jute.Exists("/dubbo/x.Hello/providers", False))[0] == 0
    path = f"/dubbo/x.Hello/providers/{url()}"
    assert second.create(path)[0] == 0
    first.ask(Op.CLOSE)
    assert second.ask(Op.GET_DATA, jute.GetData(path, False))[0] == 0
    assert second.ask(Op.DELETE, jute.Delete(path, -1))[0] == 0
    assert played.do(lambda: len(played.paths())) == 4
    first.close()
    second.close()


def test_bare_servers_know_nothing_of_dubbo():
    with served() as one:
        client = client_of(one)
        assert client.ask(Op.EXISTS, jute.Exists("/dubbo/x.Hello/providers", False))[0] == Err.NO_NODE
        client.close()
