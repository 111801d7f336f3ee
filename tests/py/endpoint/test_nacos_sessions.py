"""Sessions of the Nacos that a sidecar is, its limits, and what it refuses."""

from __future__ import annotations

import http.client

import msgspec
import pytest
from nacosclients import Client, Played, packed
from test_endpoint import until
from test_nacos import HELLO, PROVIDER, wanted

from meshfast.endpoint.limits import Limits
from meshfast.endpoint.nacos import STREAM
from meshfast.endpoint.returning import RETURN


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


def test_what_an_application_registered_stands_for_a_while(played, client, monkeypatch):
    """It comes back, and nothing has changed; it does not, and is gone; its ports are closed, and it is at once."""
    heard: list[int] = []
    left: list[int] = []
    client.register(HELLO, **PROVIDER)
    client.register("shop", **{"dubbo.metadata.revision": "r1"})
    played.whole.hears, played.whole.leaves = lambda: heard.append(1), left.append
    before = wanted(played)
    client.close()
    until("it to be away", lambda: played.do(lambda: played.whole.awaited) == 2)
    assert wanted(played) == before and heard == [] and left == [before[next(iter(before))].session]
    again = Client(played)
    again.register(HELLO, **PROVIDER)
    assert played.do(lambda: played.whole.awaited) == 1
    played.do(lambda: played.whole.end(left[0]))
    assert [one.provider is not None for one in wanted(played).values()] == [True]
    again.close()
    until("it to be away", lambda: len(left) == 2)
    timer = played.do(lambda: played.whole._away[left[1]])
    assert 0 < played.do(lambda: timer.when() - played.loop.time()) <= RETURN
    played.do(lambda: timer._run())  # its time has come
    assert wanted(played) == {} and played.do(lambda: played.whole.awaited) == 0


def test_a_session_that_took_over_keeps_what_another_had(played, client):
    client.register(HELLO, **PROVIDER)
    other = Client(played)
    other.register(HELLO, **PROVIDER)
    client.register(HELLO, on=False)  # which is the other's by now
    assert len(wanted(played)) == 1
    client.close()
    until("it to be gone", lambda: played.do(lambda: played.whole.sessions) == 1)
    assert len(wanted(played)) == 1 and played.do(lambda: played.whole.awaited) == 0
    other.close()


def test_without_a_session_nothing_is_answered(played):
    client = Client(played, set_up=False)
    assert client.good("ServerCheckRequest")["connectionId"]
    assert client.bad("HealthCheckRequest") == (301, "Connection is unregistered.")
    assert client.bad("InstanceRequest", serviceName="a", type="registerInstance", instance={})[0] == 301
    client.set_up()
    client.good("HealthCheckRequest")
    id = client.open(STREAM)  # and another
    client.say(id, packed("ConnectionSetupRequest"))
    assert client.answer(id)[1] == 3
    client.good("HealthCheckRequest")
    client.close()


def test_who_is_silent_is_asked_and_then_gone(played, client):
    other = Client(played)
    played.now[0] = 20.0
    other.good("HealthCheckRequest")
    played.do(played.whole._sweep)
    client.until(lambda: client.messages[client.stream])
    assert b"ClientDetectionRequest" in client.messages.pop(client.stream)[0]
    assert other.told == []
    played.now[0] = 30.0
    played.do(played.whole._sweep)
    client.ends()
    other.good("HealthCheckRequest")
    assert played.refused() == {"silent": 1}
    other.close()


def test_who_answers_is_there(played, client):
    played.now[0] = 20.0
    played.do(played.whole._sweep)
    client.until(lambda: client.messages[client.stream])
    client.tell("ClientDetectionResponse", resultCode=200)
    until("it to be heard", lambda: played.do(lambda: next(iter(played.whole._sessions.values())).heard) == 20.0)
    played.now[0] = 45.0
    played.do(played.whole._sweep)
    client.good("HealthCheckRequest")


def test_connections_without_a_session_are_ended(played, client):
    idle = Client(played, set_up=False)
    idle.good("ServerCheckRequest")
    played.do(played.whole._sweep)
    played.do(played.whole._sweep)
    idle.ends()
    client.good("HealthCheckRequest")
    assert played.refused() == {"greeting": 1}
    idle.close()


# --- limits, and what is wrong


def test_limits():
    played = Played(Limits(sessions=2, watches=3, nodes=2, bytes=100, registrations=2, services=2))
    client, second = Client(played), Client(played)
    third = Client(played, set_up=False)
    id = third.open(STREAM)
    third.say(id, packed("ConnectionSetupRequest"))
    assert third.answer(id)[1] == 8
    played.shown.is_connected = False
    for name in ("a", "b", "c"):
        assert client.subscribe(f"providers:{name}::") == []
    assert client.bad("SubscribeServiceRequest", serviceName="d", groupName="g", subscribe=True) == (
        503, "over the limit of watches"
    )  # fmt: skip
    assert client.bad("ConfigBatchListenRequest", configListenContexts=[{"dataId": "a", "group": "g"}])[0] == 503
    for name in ("a", "b"):
        second.good("ConfigPublishRequest", dataId=name, group="g", content="x")
    assert second.bad("ConfigPublishRequest", dataId="c", group="g", content="x") == (503, "over the limit of nodes")
    assert second.bad("ConfigPublishRequest", dataId="a", group="g", content="x" * 99)[1] == "over the limit of bytes"
    assert second.text("a", "g") == "x"
    for port in (1, 2):
        second.register(HELLO, port, **PROVIDER)
    one = {"ip": "10.0.0.9", "port": 3, "metadata": PROVIDER}
    asked = {"serviceName": HELLO, "groupName": "g", "type": "registerInstance", "instance": one}
    assert second.bad("InstanceRequest", **asked) == (503, "over the limit of registrations")
    assert played.refused() == {
        "sessions": 1, "services": 1, "watches": 2, "nodes": 1, "bytes": 1, "registrations": 1
    }  # fmt: skip
    for each in (client, second, third):
        each.close()
    played.close()


@pytest.mark.parametrize(
    "type, fields, code",
    [
        ("Other" + "x" * 300, {}, 302),
        ("ConnectionSetupRequest", {}, 302),
        ("PersistentInstanceRequest", {"serviceName": "a", "instance": {"ip": "10.0.0.9", "port": 1}}, 302),
        ("InstanceRequest", {}, 400),
        ("InstanceRequest", {"serviceName": "a", "type": "other", "instance": {}}, 400),
        ("InstanceRequest", {"serviceName": "a", "type": "registerInstance", "instance": {"port": "x"}}, 400),
        ("BatchInstanceRequest", {"serviceName": "a", "type": "batchRegisterInstance"}, 400),
        ("ConfigQueryRequest", {"dataId": 5}, 400),
        ("ServiceListRequest", {"pageNo": "x"}, 400),
    ],
)
def test_what_is_refused(played, client, type, fields, code):
    found, text = client.bad(type, **fields)
    assert found == code and text and len(text) < 300
    client.good("HealthCheckRequest")
    assert wanted(played) == {}


def test_bytes_that_are_no_payload(played, client):
    messages, status = client.call("/Request/request", b"\xff\xff")
    assert (messages, status) == ([], 3) and played.refused() == {"malformed": 1}
    client.good("HealthCheckRequest")


def test_a_login_is_answered_over_http(played):
    web = http.client.HTTPConnection("127.0.0.1", played.port, timeout=30)
    web.request("POST", "/nacos/v1/auth/users/login", "username=a&password=b")
    answer = web.getresponse()
    assert (answer.status, msgspec.json.decode(answer.read())["tokenTtl"]) == (200, 18000)
    web.request("GET", "/nacos/v1/ns/instance/list")
    answer = web.getresponse()
    assert answer.status == 404 and b"come by gRPC" in answer.read()
    web.close()
