"""Providers that stop, die and fall silent while real consumers call."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
from conftest import Peers
from harness import mesh
from harness.driver import PeerError
from harness.java import SERIALIZATIONS
from harness.process import ANY, free_port, until
from harness.relay import Frame, Relay
from harness.way import Way

Refer = Callable[..., str]
PortOf = Callable[..., int]
# A 2.7 provider ends its threads before it says READONLY, and until then answers new calls with status 100 and this.
STOPPED = "isShutdown:true"
CALL_MS = 10_000  # what a call may take
IDLE = 1000  # ms: the heartbeat of all parties, for the minute it usually is


def test_idle(peers: Peers, way: Way, version: str, refer: Refer) -> None:
    """Connections with nothing to say are kept by heartbeats, each answered in its own serialization."""
    consumer, provider = peers.consumer(version), peers.fresh(version)
    with Relay(provider.export("A", heartbeat=IDLE)) as before_provider:
        (port,) = way.to(before_provider.port, heartbeat=IDLE)
        with Relay(port) as after_consumer:
            ref = refer(consumer, after_consumer.port, heartbeat=IDLE)
            assert consumer.call(ref, "whoami") == "A"
            for relay in (after_consumer, before_provider):
                until("answered heartbeats", functools.partial(beats, relay))
                assert relay.connections == 1
            assert consumer.call(ref, "whoami") == "A"
            assert (after_consumer.connections, before_provider.connections) == (1, 1)


def beats(relay: Relay) -> bool:
    """Whether a few heartbeats were answered."""
    return answered(relay.frames()) >= 3


def answered(frames: list[Frame]) -> int:
    """How many heartbeats have their answer: the same id, serialization and body, back the other way."""
    asked = {(f.up, f.request_id, f.serialization, f.body) for f in frames if f.is_event and f.is_two_way}
    return sum(
        (not f.up, f.request_id, f.serialization, f.body) in asked
        for f in frames
        if f.is_event and not f.is_request and f.status == 20
    )


def test_graceful_stop(peers: Peers, way: Way, version: str, port_of: PortOf, refer: Refer) -> None:
    """A provider that says goodbye loses no call."""
    consumer, leaving = peers.consumer(version), peers.fresh(version)
    ref = refer(consumer, *way.to(leaving.export("leaving"), port_of(version, "staying")))
    consumer.do("load", ref=ref, load=ref, threads=16, millis=20)
    until("both answer", lambda: consumer.do("progress", load=ref)["good"] > 100)
    leaving.terminate()
    leaving.wait(30)
    after = consumer.do("progress", load=ref)["good"]
    until("the other goes on", lambda: consumer.do("progress", load=ref)["good"] > after + 200)
    report = consumer.do("stop", load=ref)
    assert report["answered_by"].keys() == {"leaving", "staying"}
    assert report["wrong"] == 0
    assert {error for error in report["errors"] if STOPPED not in error} == set()
    if version != "java-2.7":
        assert report["failed"] == 0, report["errors"]


def test_kill(peers: Peers, way: Way, version: str, port_of: PortOf, refer: Refer) -> None:
    """A provider that dies: who waits is told at once, who comes later is served elsewhere."""
    consumer, dying = peers.consumer(version), peers.fresh(version)
    ref = refer(consumer, *way.to(dying.export("dying"), port_of(version, "staying")))
    consumer.do("load", ref=ref, load=ref, threads=32, millis=1000)
    until("both answer", lambda: consumer.do("progress", load=ref)["good"] >= 64)
    dying.kill()
    until("errors", lambda: consumer.do("progress", load=ref)["failed"] > 0)
    report = consumer.do("stop", load=ref)
    assert report["wrong"] == 0
    if way.is_direct:
        return  # the SDK alone goes on asking the dead one for a while, each time for seconds
    # The kernel shuts the door after the connections: whoever comes between is let in, and lost like those before.
    assert 0 < report["failed"] <= 2 * 32, report["errors"]
    assert max(report["failure_millis"]) < CALL_MS, report["errors"]  # none was left to its own time
    report = consumer.do("flood", ref=ref, threads=10, calls=50)
    assert (report["good"], report["wrong"], report["failed"]) == (500, 0, 0), report["errors"]
    assert report["answered_by"].keys() == {"staying"}


ANSWERED = [(version, name) for version, names in SERIALIZATIONS.items() for name in names]


@pytest.mark.parametrize(("version", "serialization"), ANSWERED, ids=[f"{v}-{s}" for v, s in ANSWERED])
def test_nobody_there(peers: Peers, proxied: Way, version: str, serialization: str, refer: Refer) -> None:
    """A call that nobody can take is answered at once, with a text that the caller's own serialization can read."""
    consumer = peers.consumer(version)
    ref = refer(consumer, *proxied.to(free_port()), serialization=serialization)
    with pytest.raises(PeerError) as refused:
        consumer.call(ref, "whoami")
    assert "meshfast: " in refused.value.text, refused.value.text
    with pytest.raises(PeerError):
        consumer.call(ref, "whoami")


def test_sidecar_stops(peers: Peers, proxied: Way, version: str, port_of: PortOf, refer: Refer) -> None:
    """A sidecar that is told to stop finishes what it has and tells its callers to go elsewhere: no call is lost."""
    consumer, ports = peers.consumer(version), [free_port(), free_port()]
    entry = mesh.entry([mesh.endpoint(port_of(version))])
    leaving, staying = [proxied.sidecar([entry], [mesh.outbound(f"tcp://{ANY}:{port}")]) for port in ports]
    ref = refer(consumer, *ports)
    slow = [consumer.start("call", ref=ref, method="later", args=[1000, str(i)]) for i in range(20)]
    for sidecar in (leaving, staying):
        until("calls on both", functools.partial(sidecar.count, "calls_active"))
    consumer.do("load", ref=ref, load=ref, threads=16, millis=20)
    until("load", lambda: consumer.do("progress", load=ref)["good"] > 100)
    leaving.terminate()
    assert [future.result(10)["value"] for future in slow] == [f"A|{i}" for i in range(20)]
    assert leaving.wait(20) == 0
    after = consumer.do("progress", load=ref)["good"]
    until("the other goes on", lambda: consumer.do("progress", load=ref)["good"] > after + 200)
    report = consumer.do("stop", load=ref)
    assert (report["wrong"], report["failed"]) == (0, 0), report["errors"]


def test_dead_behind_a_relay(peers: Peers, proxied: Way, version: str, port_of: PortOf, refer: Refer) -> None:
    """An address that accepts and hangs up at once, as a balancer before a dead instance does, is left alone soon."""
    consumer = peers.consumer(version)
    with Relay(free_port()) as hangs_up:
        ref = refer(consumer, *proxied.to(hangs_up.port, port_of(version, "staying")))
        report = consumer.do("flood", ref=ref, threads=10, calls=200)
        assert report["wrong"] == 0
        assert report["failed"] <= 100, report["errors"]
