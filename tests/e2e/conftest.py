"""Fixtures of the tests with real peers. MESHFAST_REQUIRE_PEERS=1: a peer that is missing fails instead of skipping."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
from harness import table
from harness.go import Go
from harness.grpc import KINDS, Grpc
from harness.h2world import World
from harness.java import VERSIONS, Java
from harness.process import LOGS, PeerMissing
from harness.pysdk import World as SdkWorld
from harness.pysdk import Worlds
from harness.through import Through
from harness.triple import TripleJava
from harness.way import DIRECT, LOOPS, PROXIED, WAYS, Way

T = TypeVar("T")
#: Starts an instance by name; gives it and its port.
Offers = Callable[..., tuple[Go, int]]
_numbers = itertools.count(1)
PAIRS = [(consumer, provider) for consumer in VERSIONS for provider in VERSIONS]
SAME = [(version, version) for version in VERSIONS]

pytest_terminal_summary = table.pytest_terminal_summary
pytest_runtest_makereport = table.pytest_runtest_makereport


def obtain(make: Callable[[], T]) -> T:
    """``make()``; where a peer is missing, a skip that says so, or a failure if peers are required."""
    try:
        return make()
    except PeerMissing as missing:
        if os.environ.get("MESHFAST_REQUIRE_PEERS") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


class Peers:
    """The JVMs of a session: one consumer and one provider a version, and short-lived ones for tests that end them."""

    def __init__(self) -> None:
        self._lasting: dict[str, Java] = {}
        self._passing: list[Java] = []

    def consumer(self, version: str) -> Java:
        return self._get(version, "consumer")

    def provider(self, version: str) -> Java:
        return self._get(version, "provider")

    def fresh(self, version: str) -> Java:
        """A JVM of the test's own."""
        java = obtain(lambda: Java(version, f"fresh-{next(_numbers)}"))
        self._passing.append(java)
        return java

    def _get(self, version: str, role: str) -> Java:
        key = f"{version}-{role}"
        if key not in self._lasting:
            self._lasting[key] = obtain(lambda: Java(version, role))
        return self._lasting[key]

    def end_fresh(self) -> None:
        """End the JVMs of one test."""
        while self._passing:
            self._passing.pop().close()

    def end(self) -> None:
        """End them all."""
        self.end_fresh()
        for java in self._lasting.values():
            java.close()


@pytest.fixture(scope="session")
def _peers() -> Iterator[Peers]:
    for log in LOGS.glob("*.log"):
        log.unlink()
    peers = Peers()
    yield peers
    peers.end()


@pytest.fixture
def peers(_peers: Peers) -> Iterator[Peers]:
    """The JVMs; those made for the test end with it."""
    yield _peers
    _peers.end_fresh()


@pytest.fixture(scope="session")
def _ports(_peers: Peers) -> dict[tuple[str, str], int]:
    return {}


@pytest.fixture
def port_of(_peers: Peers, _ports: dict[tuple[str, str], int]) -> Callable[..., int]:
    """The port of a lasting instance, by version and name; exported when first asked for."""

    def port(version: str, name: str = "A") -> int:
        if (version, name) not in _ports:
            _ports[version, name] = _peers.provider(version).export(name)
        return _ports[version, name]

    return port


@pytest.fixture
def worlds() -> Iterator[Worlds]:
    """Sidecars for the SDK for Python."""
    made: list[SdkWorld] = []

    def make(loop: str, *documents: Any) -> SdkWorld:
        made.append(SdkWorld(loop, *documents))
        return made[-1]

    yield make
    for one in made:
        one.sidecar.close()


@pytest.fixture(params=[DIRECT, *LOOPS])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    """Straight, and through a sidecar on each loop."""
    way = Way(request.param)
    yield way
    way.close()


@pytest.fixture(params=LOOPS)
def proxied(request: pytest.FixtureRequest) -> Iterator[Way]:
    """Through a sidecar on each loop: for what needs one."""
    way = Way(request.param)
    yield way
    way.close()


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}>{pair[1]}")
def pair(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Consumer's and provider's version, every combination."""
    value: tuple[str, str] = request.param
    return value


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    """One version for both ends."""
    value: str = request.param
    return value


@pytest.fixture
def refer(peers: Peers) -> Iterator[Callable[..., str]]:
    """Makes references and releases them after the test: ``refer(consumer, *addresses, **params) -> ref``."""
    made: list[tuple[Java | Go, str]] = []

    def make(consumer: Java | Go, *addresses: int | str, **params: Any) -> str:
        ref = f"ref-{next(_numbers)}"
        consumer.refer(ref, *addresses, **params)
        made.append((consumer, ref))
        return ref

    yield make
    for consumer, ref in made:
        if consumer.child.poll() is None:
            consumer.do("release", ref=ref)


class Triple:
    """The JVMs that speak Triple: a consumer, and a provider whose instances each have a port."""

    def __init__(self) -> None:
        self.consumer = obtain(lambda: TripleJava("consumer"))
        self.provider = obtain(lambda: TripleJava("provider"))
        self._ports: dict[str, int] = {}

    def port(self, name: str = "A") -> int:
        """The port of a lasting instance; exported when first asked for."""
        if name not in self._ports:
            self._ports[name] = self.provider.export(name)
        return self._ports[name]

    def end(self) -> None:
        """End both."""
        self.consumer.close()
        self.provider.close()


@pytest.fixture(scope="session")
def triple(_peers: Peers) -> Iterator[Triple]:
    """One consumer and one provider for all tests; made after the logs of the last run have gone."""
    peers = Triple()
    yield peers
    peers.end()


@pytest.fixture(scope="session")
def go_consumer(_peers: Peers) -> Iterator[Go]:
    """dubbo-go, one consumer for all tests; made after the logs of the last run have gone."""
    go = obtain(lambda: Go("consumer"))
    yield go
    go.close()


@pytest.fixture
def offers(_peers: Peers) -> Iterator[Offers]:
    """Starts a dubbo-go instance in a process of its own; gives that and its port."""
    running: list[Go] = []

    def start(name: str, **params: Any) -> tuple[Go, int]:
        running.append(obtain(lambda: Go(name)))
        return running[-1], running[-1].export(name, **params)

    yield start
    for go in running:
        go.close()


@pytest.fixture(params=WAYS)
def through(request: pytest.FixtureRequest) -> Iterator[Through]:
    """HTTP/2 as far as it is switched on: straight, through one sidecar, through two."""
    through = Through(request.param)
    yield through
    through.close()


@pytest.fixture(params=PROXIED)
def behind(request: pytest.FixtureRequest) -> Iterator[Through]:
    """The same for what needs a sidecar."""
    behind = Through(request.param)
    yield behind
    behind.close()


class GrpcPeers:
    """The gRPC processes: one caller and one instance of each kind for all tests, and others that end with theirs."""

    def __init__(self) -> None:
        self._lasting: dict[tuple[str, str], tuple[Grpc, int]] = {}
        self._passing: list[Grpc] = []

    def caller(self, kind: str) -> Grpc:
        return self._get(kind, "caller")[0]

    def instance(self, kind: str, name: str = "A") -> tuple[Grpc, int]:
        """A lasting instance and its port."""
        return self._get(kind, name)

    def fresh(self, kind: str, name: str, **params: Any) -> tuple[Grpc, int]:
        """An instance of the test's own."""
        peer = obtain(lambda: Grpc(kind, name))
        self._passing.append(peer)
        return peer, peer.export(name, **params)

    def end_fresh(self) -> None:
        while self._passing:
            self._passing.pop().close()

    def end(self) -> None:
        self.end_fresh()
        for peer, _ in self._lasting.values():
            peer.close()

    def _get(self, kind: str, name: str) -> tuple[Grpc, int]:
        if (kind, name) not in self._lasting:
            peer = obtain(lambda: Grpc(kind, name))
            self._lasting[kind, name] = peer, 0
            if name != "caller":
                self._lasting[kind, name] = peer, peer.export(name)
        return self._lasting[kind, name]


@pytest.fixture(scope="session")
def _grpc(_peers: Peers) -> Iterator[GrpcPeers]:
    peers = GrpcPeers()
    yield peers
    peers.end()


@pytest.fixture
def grpc_peers(_grpc: GrpcPeers) -> Iterator[GrpcPeers]:
    """The gRPC processes; those made for the test end with it."""
    yield _grpc
    _grpc.end_fresh()


@pytest.fixture(params=KINDS)
def asking(request: pytest.FixtureRequest, grpc_peers: GrpcPeers) -> Grpc:
    """A gRPC caller of each kind."""
    return grpc_peers.caller(request.param)


@pytest.fixture(params=KINDS)
def offering(request: pytest.FixtureRequest) -> str:
    """Each kind of instance."""
    kind: str = request.param
    return kind


@pytest.fixture
def world() -> Iterator[World]:
    """HTTP/2 ends that the test plays itself."""
    world = World()
    yield world
    world.close()
