"""Unmodified SDKs that name the endpoint as their ZooKeeper: they find the one provider that it shows, hear of another,
and what they register there is kept and shown to nobody."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Peers, Triple, obtain
from harness.driver import Driver, PeerError
from harness.go import Go
from harness.java import SERVICE, Java
from harness.process import free_port, until
from harness.pydubbo import PyDubbo
from harness.registered import Registered
from harness.triple import TEXTS
from harness.way import Way
from zookeepers import Served

from meshfast.endpoint.dubbo import Endpoint
from meshfast.endpoint.kept import State
from meshfast.registry import Instance, Listing, Offer

Refer = Callable[..., str]
_numbers = itertools.count(1)
VERSIONS = ("java-3.3", "java-3.2", "java-2.7")


class Played(Served):
    """An endpoint whose listings the test sets, and whose sidecar is a provider at a port."""

    def __init__(self, port: int, state: State | None = None, at: int = 0) -> None:
        self.listings: dict[str, Listing] = {}
        self.interested: set[str] = set()
        super().__init__(make=lambda: Endpoint(f"tcp://127.0.0.1:{at}", self, f"tcp://127.0.0.1:{port}", state=state))

    def known(self, service: str) -> Listing | None:
        return self.listings.get(service)

    def interest(self, service: str) -> Callable[[], None]:
        self.interested.add(service)
        return lambda: None

    def connected(self) -> bool:
        return True

    def list(self, service: str, *versions: str, protocol: str = "dubbo") -> None:
        instances = (Instance("10.0.0.7:20880", protocol, "shop", {"application": "shop", "release": "3.3.6"}),)

        def change() -> None:
            self.listings[service] = tuple(Offer(service, "", version, instances) for version in versions)
            self.whole.changed(service)

        self.do(change)

    @property
    def registry(self) -> str:
        return f"zookeeper://{self.address}"


class Memory:
    """What a state directory holds."""

    data: bytes | None = None

    def read(self, name: str) -> bytes | None:
        return self.data

    def write(self, name: str, data: bytes) -> None:
        self.data = data


@pytest.fixture
def played(port_of: Callable[..., int]) -> Iterator[Played]:
    one = Played(port_of("java-3.3"))
    yield one
    one.close()


def answers(java: Driver) -> bool:
    try:
        return bool(java.call("ref", "whoami") == "A")
    except PeerError:
        return False


def consumer(peers: Peers, version: str) -> Driver:
    return obtain(lambda: Registered(version, f"consumer-{next(_numbers)}"))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_consumer_finds_the_sidecar(played: Played, peers: Peers, version: str) -> None:
    played.list(SERVICE, "")
    java = consumer(peers, version)
    try:
        java.refer("ref", registry=played.registry)
        assert java.call("ref", "whoami") == "A"
        assert played.interested == {SERVICE}
        assert played.do(lambda: played.server.unknown) == {}
        until("it to announce itself", lambda: played.do(lambda: played.whole.consumers))
        (found,) = played.do(lambda: list(played.whole.consumers.values()))
        assert found.parameters["interface"] == SERVICE
    finally:
        java.close()


def test_through_a_sidecar(proxied: Way, port_of: Callable[..., int], peers: Peers) -> None:
    (out,) = proxied.to(port_of("java-3.3"))
    played, java = Played(out), consumer(peers, "java-3.3")
    try:
        played.list(SERVICE, "")
        java.refer("ref", registry=played.registry)
        assert java.call("ref", "whoami") == "A"
    finally:
        java.close()
        played.close()


@pytest.mark.parametrize("version", ["java-3.3", "java-2.7"])
def test_one_property_is_enough(played: Played, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that knows of no registry, and a JVM that is told of one."""
    played.list(SERVICE, "")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", f"-Ddubbo.registry.address={played.registry}")
    java = obtain(lambda: Java(version, f"property-{next(_numbers)}"))
    try:
        java.refer("ref")
        assert java.call("ref", "whoami") == "A" and played.interested == {SERVICE}
    finally:
        java.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_consumer_hears_later(played: Played, peers: Peers, version: str) -> None:
    played.list(SERVICE)
    java = consumer(peers, version)

    try:
        java.refer("ref", registry=played.registry)
        assert not answers(java)
        played.list(SERVICE, "")
        until("it to find one", lambda: answers(java))
        played.list(SERVICE)
        assert answers(java)
    finally:
        java.close()


@pytest.mark.parametrize("version", VERSIONS)
def test_what_a_provider_registers_is_wanted(played: Played, peers: Peers, version: str) -> None:
    java = obtain(lambda: Registered(version, f"provider-{next(_numbers)}"))

    def wanted() -> list[Any]:
        return [one.provider for one in played.do(lambda: list(played.whole.wanted.values())) if one.provider]

    try:
        port = java.export("X", registry=played.registry)
        until("it to register", wanted)
        assert {(one.service, one.instance.protocol) for one in wanted()} == {(SERVICE, "dubbo")}
        assert all(one.instance.address.endswith(f":{port}") for one in wanted())
        assert played.do(lambda: played.server.tree.children(f"/dubbo/{SERVICE}/providers"))[0] == ()
        assert played.do(lambda: played.server.unknown) == {}
        java.leave(port)
        until("it to have gone", lambda: not wanted())
    finally:
        java.close()


def test_a_killed_provider_is_gone_when_its_session_is(played: Played, peers: Peers) -> None:
    java = obtain(lambda: Registered("java-3.3", f"killed-{next(_numbers)}"))
    try:
        java.export("X", registry=played.registry)
        until("it to register", lambda: played.do(lambda: played.whole.wanted))
        java.kill()
        until("its connections to end", lambda: not played.do(lambda: played.server.connections))
        assert played.do(lambda: played.whole.wanted)
        sessions = played.server.sessions
        played.do(lambda: [sessions.end(one) for one in list(sessions)])
        assert not played.do(lambda: played.whole.wanted)
    finally:
        java.close()


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("crashed", [False, True])
def test_restarts_are_not_seen(port_of: Callable[..., int], version: str, crashed: bool) -> None:
    """Sessions go on in the next endpoint, with what they registered and their watches; calls never stop."""
    port, state = port_of("java-3.3"), Memory()
    played, java = Played(port, state, free_port()), obtain(lambda: Registered(version, f"restarted-{next(_numbers)}"))
    try:
        played.list(SERVICE, "")
        java.export("X", registry=played.registry)
        java.refer("ref", registry=played.registry)
        registered, asking = (1, 1) if version == "java-2.7" else (2, 4)
        until("it to register", lambda: played.do(lambda: len(played.whole.wanted)) == registered)
        until("it to find one", lambda: answers(java))
        until("all its sessions", lambda: played.do(lambda: len(played.server.sessions)) == asking)
        wanted = played.do(lambda: dict(played.whole.wanted))
        sessions = played.do(lambda: {one.id for one in played.server.sessions})
        until("all to be kept", lambda: all(str(one).encode() in (state.data or b"") for one in sessions))
        kept, at = state.data, played.port
        played.close()
        assert answers(java)
        if crashed:
            state.data = kept
        played = Played(port, state, at)
        until("all to come back", lambda: played.do(lambda: played.server.sessions.resumed) >= len(sessions))
        assert played.do(lambda: played.server.sessions.begun) == 0
        assert played.do(lambda: dict(played.whole.wanted)) == wanted and answers(java)
        played.list(SERVICE, "2.0.0")
        until("it to hear", lambda: not answers(java))
        played.list(SERVICE, "2.0.0", "")
        until("it to hear again", lambda: answers(java))
    finally:
        java.close()
        played.close()


def test_pydubbo(triple: Triple) -> None:
    """It registers a URL without a path, and looks for services that nobody registered before."""
    python = obtain(lambda: PyDubbo(f"endpoint-{next(_numbers)}"))
    played = Played(triple.port())
    try:
        played.list(TEXTS, "", protocol="tri")
        python.do("refer", ref="ref", registry=played.registry)
        # It ends a stream with an empty message more, which Java answers.
        assert python.talk("ref", "chat", 2, 3) == ["A|0-xxx", "A|1-xxx", "A|"]
        port = python.export("X", registry=played.registry)
        until("it to register", lambda: played.do(lambda: played.whole.wanted))
        (wanted,) = played.do(lambda: list(played.whole.wanted.values()))
        assert wanted.provider.service == TEXTS
        assert wanted.provider.instance.address.endswith(f":{port}") and wanted.provider.instance.protocol == "tri"
        assert played.do(lambda: played.server.unknown) == {}
    finally:
        python.close()
        played.close()


def test_go(played: Played) -> None:
    played.list(SERVICE, "")
    go = obtain(lambda: Go(f"endpoint-{next(_numbers)}"))
    try:
        go.refer("ref", registry=played.registry + "?register-mode=interface")
        until("it has heard who is there", lambda: answers(go), 60)  # it does not wait for that itself
        assert played.do(lambda: played.server.unknown) == {}
    finally:
        go.close()
