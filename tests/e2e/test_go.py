"""dubbo-go at either end: what an application does with it, alone and beside Java."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Offers, Peers
from harness import mesh
from harness.driver import Driver, PeerError
from harness.go import Go
from harness.load import loaded
from harness.process import ANY, free_port, until
from harness.relay import Relay
from harness.way import Way

Refer = Callable[..., str]
PortOf = Callable[..., int]
IDLE = 1000  # ms: the heartbeat of all parties
#: Consumer and provider.
ENDS = (("go", "go"), ("go", "java-3.3"), ("go", "java-2.7"), ("java-3.3", "go"), ("java-2.7", "go"))


@pytest.fixture(params=ENDS, ids=lambda ends: f"{ends[0]}>{ends[1]}")
def ends(
    request: pytest.FixtureRequest, go_consumer: Go, peers: Peers, port_of: PortOf, offers: Offers
) -> tuple[Driver, int]:
    """A consumer, and the port of instance A."""
    asking, offering = request.param
    port = offers("A")[1] if offering == "go" else port_of(offering)
    return go_consumer if asking == "go" else peers.consumer(asking), port


def calls(consumer: Driver, ref: str) -> None:
    """One of each kind, and many at once."""
    assert consumer.call(ref, "whoami") == "A"
    for text in ("", "caf\u00e9 \u20ac \U0001f600", "x" * 40_000):
        assert consumer.call(ref, "echo", text) == text
    assert not consumer.call(ref, "nothing")
    assert consumer.call(ref, "slow", 20, "q") == "A|q"
    with pytest.raises(PeerError, match="boo"):
        consumer.call(ref, "fail", "boo")
    seen = consumer.call(ref, "attachments", attachments={"env": "dev1", "empty": ""})
    assert seen["env"] == "dev1"
    for size in (1 << 16, 4 << 20):
        assert consumer.do("checksum", ref=ref, size=size) == "same"
        assert consumer.do("produce", ref=ref, size=size) == size
    report = consumer.do("flood", ref=ref, threads=50, calls=40)
    assert (report["good"], report["wrong"], report["failed"]) == (2000, 0, 0), report["errors"]


def test_calls(way: Way, ends: tuple[Driver, int], refer: Refer) -> None:
    asking, port = ends
    calls(asking, refer(asking, *way.to(port)))


@pytest.mark.parametrize("ends", ENDS[:2], indirect=True, ids=lambda ends: f"{ends[0]}>{ends[1]}")
def test_both_sides(proxied: Way, ends: tuple[Driver, int], refer: Refer) -> None:
    """Consumer, its sidecar, the provider's sidecar, provider."""
    asking, port = ends
    front, inbound = free_port(), free_port()
    proxied.sidecar([], [mesh.inbound(f"tcp://{ANY}:{inbound}", port)])
    proxied.sidecar([mesh.entry([mesh.endpoint(inbound)])], [mesh.outbound(f"tcp://{ANY}:{front}")])
    calls(asking, refer(asking, front))


@pytest.mark.parametrize("key", ["dubbo.tag", "env"])
@pytest.mark.parametrize("value", ["dev1", ["dev1"]], ids=["text", "list"])
def test_label(proxied: Way, go_consumer: Go, offers: Offers, refer: Refer, key: str, value: object) -> None:
    """A label that dubbo-go writes, as a text or as the list of one text that each of its lists of strings is."""
    front = free_port()
    instances = [mesh.endpoint(offers("base")[1])]
    instances += [mesh.endpoint(offers(name)[1], **{key: name}) for name in ("dev1", "dev2")]
    proxied.sidecar(
        [mesh.entry(instances), *mesh.label_policy(key)],
        [mesh.outbound(f"tcp://{ANY}:{front}")],
        labels={key: "dev2"},  # what the request says goes before
    )
    ref = refer(go_consumer, front)
    told: dict[str, Any] = {key: value}
    assert {go_consumer.call(ref, "whoami", attachments=told) for _ in range(10)} == {"dev1"}
    assert go_consumer.call(ref, "attachments", attachments=told)[key] == (
        "dev1" if value == "dev1" else "[]string[dev1]"
    )
    assert {go_consumer.call(ref, "whoami") for _ in range(10)} == {"dev2"}
    assert go_consumer.call(ref, "attachments")[key] == "dev2"


def test_idle(way: Way, go_consumer: Go, offers: Offers, refer: Refer) -> None:
    """Heartbeats of both ends, whose answers dubbo-go fills with two nulls, keep the connections."""
    _, port = offers("A", heartbeat=IDLE)
    with Relay(port) as before_provider:
        (address,) = way.to(before_provider.port, heartbeat=IDLE)
        with Relay(address) as after_consumer:
            ref = refer(go_consumer, after_consumer.port, heartbeat=IDLE)
            assert go_consumer.call(ref, "whoami") == "A"
            for relay in (after_consumer, before_provider):
                until("answered heartbeats", functools.partial(beats, relay))
            assert go_consumer.call(ref, "whoami") == "A"
            assert (after_consumer.connections, before_provider.connections) == (1, 1)


def beats(relay: Relay) -> bool:
    """Whether each side answered a few heartbeats of the other, as far as it was asked."""
    answered = [f for f in relay.frames() if f.is_event and not f.is_request]
    assert all(f.status == 20 and set(f.body) == {ord("N")} for f in answered)
    return len(answered) >= 3


def test_late_answers(proxied: Way, go_consumer: Go, offers: Offers, refer: Refer) -> None:
    """dubbo-go drops a connection over an answer whose caller has given up, with all calls on it: it must get none."""
    (port,) = proxied.to(offers("A")[1])
    with Relay(port) as after_consumer:
        patient = refer(go_consumer, after_consumer.port)
        hasty = refer(go_consumer, after_consumer.port, timeout=300)
        with loaded(go_consumer, patient, millis=50) as report:
            for _ in range(3):
                with pytest.raises(PeerError):
                    go_consumer.call(hasty, "slow", 1500, "q")
            after = report()["good"]
            # Longer than the provider takes for the last of them.
            until("their answers", lambda: report()["good"] > after + 8 * 2000 // 50)
            told = report(end=True)
        assert (told["wrong"], told["failed"]) == (0, 0), told["errors"]
        assert after_consumer.connections == 1


def test_what_a_provider_cannot_take(proxied: Way, go_consumer: Go, peers: Peers, offers: Offers, refer: Refer) -> None:
    """dubbo-go ends the connection over a frame too long for it or in a serialization it does not know: the calls of
    others are not on that connection."""
    (port,) = proxied.to(offers("A", max=1024000)[1])
    other = peers.consumer("java-3.3")
    long, unknown = refer(other, port), refer(other, port, serialization="nativejava")
    with loaded(go_consumer, refer(go_consumer, port), millis=20) as report:
        for _ in range(5):
            with pytest.raises(PeerError):
                other.do("checksum", ref=long, size=2 << 20)
            with pytest.raises(PeerError):
                other.call(unknown, "whoami")
        told = report(end=True)
    assert (told["wrong"], told["failed"]) == (0, 0), told["errors"]
