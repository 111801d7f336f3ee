"""What an application finds in the Nacos that its sidecar is, and what becomes of what it writes there."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest
from nacosclients import Client, Played
from test_endpoint import until
from test_endpoint_dubbo import offer

from meshfast import http2
from meshfast.registry.instance import info, node

HELLO = "providers:x.Hello::"
PROVIDER = {
    "protocol": "dubbo", "path": "x.Hello", "interface": "x.Hello", "application": "shop", "category": "providers",
    "side": "provider", "methods": "a",
}  # fmt: skip


@pytest.fixture
def played():
    one = Played()
    yield one
    one.close()


@pytest.fixture
def client(played):
    one = Client(played)
    yield one
    one.close()


def wanted(played: Played) -> dict[str, Any]:
    return played.do(lambda: dict(played.whole.wanted))


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


# --- what it finds


def test_the_sidecar_is_the_provider(played, client):
    played.list("x.Hello", offer("x.Hello", {"weight": "7"}), offer("x.Hello", {}, group="g", version="1.0.0"))
    (one,) = client.subscribe(HELLO)
    assert (one["ip"], one["port"]) == ("127.0.0.1", 15001)
    assert (one["weight"], one["healthy"], one["enabled"], one["ephemeral"]) == (1.0, True, True, True)
    assert one["serviceName"] == f"DEFAULT_GROUP@@{HELLO}"
    assert one["metadata"].items() >= {
        "protocol": "dubbo", "path": "x.Hello", "category": "providers", "meshfast": "1", "weight": "100",
        "interface": "x.Hello",
    }.items()  # fmt: skip
    (other,) = client.subscribe("providers:x.Hello:1.0.0:g")
    assert (other["metadata"]["group"], other["metadata"]["version"]) == ("g", "1.0.0")
    assert client.subscribe("providers:x.Hello:2.0.0:") == []
    assert client.subscribe("consumers:x.Hello::") == client.subscribe("other") == client.subscribe("") == []
    names = client.good("ServiceListRequest", groupName="DEFAULT_GROUP", pageNo=1, pageSize=2147483647)
    assert names["serviceNames"] == ["meshfast.x.Hello", "providers:x.Hello:1.0.0:g", HELLO] and names["count"] == 3
    second = client.good("ServiceListRequest", groupName="DEFAULT_GROUP", pageNo=2, pageSize=2)
    assert second["serviceNames"] == [HELLO] and played.refused() == {}


def test_the_sidecar_is_the_instance(played, client):
    played.list("x.Hello", offer("x.Hello", {}), offer("x.Hello", {}, version="1.0.0", protocol="tri"))
    assert client.text("x.Hello", "mapping") == "meshfast.x.Hello"
    hosts = client.good("ServiceQueryRequest", serviceName="meshfast.x.Hello", groupName="g")["serviceInfo"]["hosts"]
    assert [(one["ip"], one["port"], one["serviceName"]) for one in hosts] == [
        ("127.0.0.1", 15001, "g@@meshfast.x.Hello")
    ]
    metadata = hosts[0]["metadata"]
    assert metadata["dubbo.metadata.storage-type"] == "remote" and metadata["meshfast"] == "1"
    revision = metadata["dubbo.metadata.revision"]
    found = info(client.text("meshfast.x.Hello", revision))
    assert {(one.name, one.version, one.protocol, one.port) for one in found.services["x.Hello"]} == {
        ("x.Hello", "", "dubbo", 15001), ("x.Hello", "1.0.0", "tri", 15001)
    }  # fmt: skip
    played.list("x.Hello", offer("x.Hello", {}))
    later = client.subscribe("meshfast.x.Hello")[0]["metadata"]["dubbo.metadata.revision"]
    assert later != revision and client.text("meshfast.x.Hello", revision) is not None
    assert client.text("meshfast.x.Hello", "0" * 32) is None
    assert client.bad("ConfigPublishRequest", dataId="meshfast.x.Hello", group=later, content="{}")[0] == 403


def test_who_subscribes_is_told(played, client):
    other = Client(played)
    assert client.subscribe(HELLO) == client.subscribe("meshfast.x.Hello") == []
    played.list("x.Hello", offer("x.Hello", {}))
    told = {found["serviceName"]: found for _, found in client.told}
    assert sorted(told) == ["meshfast.x.Hello", HELLO]
    assert [one["port"] for one in told[HELLO]["serviceInfo"]["hosts"]] == [15001]
    played.list("x.Hello", offer("x.Hello", {}, {}))  # the same is shown
    played.list("x.Hello")  # nobody is there: it stays
    assert client.told == [] and len(client.subscribe(HELLO)) == 1
    client.subscribe(HELLO, on=False)
    played.list("x.Hello", offer("x.Hello", {"timeout": "9"}))
    assert [found["serviceName"] for _, found in client.told] == ["meshfast.x.Hello"]
    assert other.told == []
    other.close()


def test_java_comes_back_soon(played, client):
    """Unless somebody else looks too, who may understand it otherwise."""
    played.list("x.Hello", offer("x.Hello", {}))
    (one,) = client.subscribe(HELLO)
    soon = {"heartbeat": "1000", "dubbo.application.least-reconnect-duration": "1000"}
    assert one["metadata"].items() >= soon.items()
    go = Client(played, version="Nacos-Go-Client:v2.2.5")
    (one,) = go.subscribe(HELLO)
    assert not soon.keys() & one["metadata"].keys()
    assert [found["serviceInfo"]["hosts"] for _, found in client.told] == [[one]]
    go.close()


def test_stamps_rise(played, client):
    played.list("x.Hello", offer("x.Hello", {}))
    stamps = [
        client.good("ServiceQueryRequest", serviceName=HELLO, groupName="g")["serviceInfo"]["lastRefTime"]
        for _ in range(5)
    ]
    assert stamps == sorted(set(stamps))


def test_a_first_look_waits(played, client):
    first = client.begin("SubscribeServiceRequest", serviceName=HELLO, groupName="g", subscribe=True)
    second = client.begin("ConfigQueryRequest", dataId="x.Hello", group="mapping", tenant="")
    assert client.ask("HealthCheckRequest")[0] == "HealthCheckResponse"  # nobody else waits
    assert first not in client.trailers and second not in client.trailers
    played.list("x.Hello", offer("x.Hello", {}))
    assert len(client.reply(first)[1]["serviceInfo"]["hosts"]) == 1
    assert client.reply(second)[1]["content"] == "meshfast.x.Hello"
    assert played.do(lambda: (played.whole.naming.waits, played.whole.naming.unanswered)) == (2, 0)


def test_a_first_look_in_vain(played, client):
    assert client.subscribe(HELLO) == []  # after a second
    assert client.subscribe(HELLO) == []  # at once
    assert client.text("x.Hello", "mapping") is None
    assert played.do(lambda: (played.whole.naming.waits, played.whole.naming.unanswered)) == (1, 1)
    played.shown.is_connected = False
    assert client.subscribe("providers:y.Other::") == []
    assert played.do(lambda: played.whole.naming.waits) == 1


def test_services_are_followed_while_somebody_looks(played, client):
    played.list("x.Hello", offer("x.Hello", {}))
    other = Client(played)
    for one in (client, other):
        one.subscribe(HELLO)
        one.text("x.Hello", "mapping")
    assert played.shown.interests["x.Hello"] == 2 and played.do(lambda: played.whole.consumed) == {"x.Hello"}
    other.close()
    until("it to be gone", lambda: played.do(lambda: played.whole.sessions) == 1)
    assert played.shown.interests["x.Hello"] == 1
    client.put(http2.Data(client.stream, http2.Flag.END_STREAM))  # it says no more
    until("its session to end", lambda: not played.do(lambda: played.whole.consumed))
    assert played.shown.interests["x.Hello"] == 0
    assert played.do(lambda: played.whole.used.now["watches"]) == 0


def test_a_token_each_is_not_shown(played, client):
    played.list("x.Hello", offer("x.Hello", {"token": "a"}, {"token": "b"}))
    assert client.subscribe(HELLO) == [] and client.text("x.Hello", "mapping") is None
    assert played.do(lambda: played.whole.naming.unshown) == {"x.Hello": "its instances want a token each"}


# --- what it writes


def test_what_it_registers_is_wanted_and_shown_to_nobody(played, client):
    heard: list[int] = []
    played.whole.hears = lambda: heard.append(1)
    client.register("providers:x.Hello:1.0.0:g", **PROVIDER, version="1.0.0", group="g")
    client.register("providers:x.Hello:1.0.0:g", **PROVIDER, version="1.0.0", group="g")  # the same again
    ((path, one),) = wanted(played).items()
    assert path == "nacos/DEFAULT_GROUP/providers:x.Hello:1.0.0:g/10.0.0.9:20881"
    assert one.provider[:3] == ("x.Hello", "g", "1.0.0") and one.session > 1 << 56
    assert (one.provider.instance.address, one.provider.instance.protocol) == ("10.0.0.9:20881", "dubbo")
    assert one.provider.instance.application == "shop" and len(heard) == 1
    played.shown.is_connected = False
    assert client.subscribe("providers:x.Hello:1.0.0:g") == []
    client.register("providers:x.Hello:1.0.0:g", on=False)
    assert wanted(played) == {} and len(heard) == 2


def test_an_instance_of_an_application(played, client):
    offered = msgspec.json.encode({"app": "shop", "revision": "r1", "services": {}}).decode()
    client.good("ConfigPublishRequest", dataId="shop", group="r1", content=offered)
    client.register("shop", **{"dubbo.metadata.revision": "r1", "dubbo.metadata.storage-type": "remote"})
    (one,) = wanted(played).values()
    found = node(one.data)
    assert one.provider is None and (found.application, found.host, found.port) == ("shop", "10.0.0.9", 20881)
    assert found.revision == "r1" and found.remote
    assert played.do(lambda: played.whole.written.get("shop", "r1")) == offered.encode()
    client.good("ConfigRemoveRequest", dataId="shop", group="r1")
    assert played.do(lambda: played.whole.written.get("shop", "r1")) is None


def test_several_at_once(played, client):
    def batch(*ports: int) -> None:
        some = [{"ip": "10.0.0.9", "port": port, "metadata": PROVIDER} for port in ports]
        client.good("BatchInstanceRequest", serviceName=HELLO, groupName="g", type="batchRegisterInstance",
                    instances=some)  # fmt: skip

    batch(1, 2)
    batch(2, 3)
    assert sorted(path.rpartition(":")[2] for path in wanted(played)) == ["2", "3"]
    batch()
    assert wanted(played) == {}


@pytest.mark.parametrize(
    "name, metadata, reason",
    [
        (HELLO, {"path": "x.Hello"}, "protocol"),
        (HELLO, PROVIDER | {"interface": "y.Other"}, "other_service"),
        (HELLO, PROVIDER | {f"p{n}": "1" for n in range(260)}, "parameters"),
        ("consumers:x.Hello::", PROVIDER, None),
        (HELLO, PROVIDER | {"category": "configurators"}, None),
        (HELLO, PROVIDER | {"disabled": "true"}, None),
    ],
)
def test_what_is_not_wanted(played, client, name, metadata, reason):
    """It is told that all went well, as by a real one; the log says so."""
    client.register(name, **metadata)
    assert wanted(played) == {} and played.do(lambda: dict(played.whole.refused)) == ({reason: 1} if reason else {})


def test_configurations(played, client):
    other = Client(played)
    assert client.text("a", "dubbo") is None
    listen = {"configListenContexts": [{"dataId": "a", "group": "dubbo", "tenant": "", "md5": ""}], "listen": True}
    assert client.good("ConfigBatchListenRequest", **listen)["changedConfigs"] == []
    other.good("ConfigPublishRequest", dataId="a", group="dubbo", content="one")
    assert client.text("a", "dubbo") == "one"
    ((kind, found),) = client.told
    assert (kind, found["dataId"], found["group"]) == ("ConfigChangeNotifyRequest", "a", "dubbo")
    changed = client.good("ConfigBatchListenRequest", **listen)["changedConfigs"]
    assert changed == [{"tenant": "", "group": "dubbo", "dataId": "a"}]
    assert client.bad("ConfigPublishRequest", dataId="a", group="dubbo", content="x", casMd5="0")[0] == 500
    client.good("ConfigPublishRequest", dataId="a", group="dubbo", content="two", casMd5=md5("one"))
    client.good("ConfigPublishRequest", dataId="b", group="dubbo", content="three", casMd5="0")
    assert (client.text("a", "dubbo"), client.text("b", "dubbo")) == ("two", "three")
    assert client.ask("ConfigQueryRequest", dataId="a", group="dubbo", tenant="other")[1]["errorCode"] == 300
    client.good("ConfigRemoveRequest", dataId="a", group="dubbo")
    assert client.text("a", "dubbo") is None and len(client.told) == 2
    client.good("ConfigBatchListenRequest", **{**listen, "listen": False})
    other.good("ConfigPublishRequest", dataId="a", group="dubbo", content="four")
    assert client.told == []
    other.close()


def test_mappings_are_answered_and_dropped(played, client):
    listen = [{"dataId": "x.Hello", "group": "mapping", "tenant": "", "md5": ""}]
    assert client.good("ConfigBatchListenRequest", configListenContexts=listen)["changedConfigs"] == []
    client.good("ConfigPublishRequest", dataId="x.Hello", group="mapping", content="shop", casMd5="0")
    played.shown.is_connected = False
    assert client.text("x.Hello", "mapping") is None and client.told == []
    played.list("x.Hello", offer("x.Hello", {}))
    assert [(kind, found["dataId"]) for kind, found in client.told] == [("ConfigChangeNotifyRequest", "x.Hello")]
    assert client.text("x.Hello", "mapping") == "meshfast.x.Hello"
    played.list("x.Hello", offer("x.Hello", {"timeout": "7"}))
    assert client.told == []


def test_properties_are_pushed():
    played = Played(properties={"dubbo.consumer.timeout": "2000"})
    client = Client(played)
    assert client.text("dubbo.properties", "dubbo") == "dubbo.consumer.timeout=2000\n"
    assert client.text("dubbo.properties", "shop") is None
    refused = client.bad("ConfigPublishRequest", dataId="dubbo.properties", group="dubbo", content="x")
    assert refused == (403, "dubbo.properties of dubbo is the sidecar's")
    client.close()
    played.close()
