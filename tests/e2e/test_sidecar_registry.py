"""Applications whose only registry is their sidecar: what they call is found by it in a real ZooKeeper, or in files."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Offers, Peers, obtain
from harness import mesh
from harness.driver import Driver, PeerError
from harness.java import SERVICE
from harness.process import ANY, HOST, free_port, until
from harness.registered import Registered, registry
from harness.sidecar import Sidecar
from harness.way import LOOPS
from harness.zookeeper import ZooKeeper

VERSIONS = ("java-3.3", "java-2.7")
LABELLED = mesh.label_policy()
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def zookeeper() -> Iterator[ZooKeeper]:
    server = obtain(ZooKeeper)
    yield server
    server.close()


@pytest.fixture(scope="module", params=VERSIONS)
def consumer(request: pytest.FixtureRequest) -> Iterator[Driver]:
    java = obtain(lambda: Registered(request.param, f"asking-{next(_numbers)}"))
    yield java
    java.close()


class Own:
    """A sidecar that is its application's registry, and the application's reference."""

    def __init__(self, loop: str, consumer: Driver, documents: list[mesh.Document], **more: Any) -> None:
        self.consumer, self.ref = consumer, f"own-{next(_numbers)}"
        self.registry = free_port()
        door = {"name": "out", "bind": f"tcp://{ANY}:{free_port()}", "direction": "outbound"}
        endpoint = {"zookeeper": f"tcp://{HOST}:{self.registry}"}
        self.sidecar = Sidecar(loop, documents, [door], more={"endpoint": endpoint, **more})
        consumer.refer(self.ref, registry=f"zookeeper://{HOST}:{self.registry}")

    def who(self, **attachments: str) -> set[str]:
        try:
            return {self.consumer.call(self.ref, "whoami", attachments=attachments) for _ in range(8)}
        except PeerError:
            return set()

    def close(self) -> None:
        self.consumer.do("release", ref=self.ref)
        self.sidecar.close()


@pytest.fixture
def owns(consumer: Driver) -> Iterator[Callable[..., Own]]:
    made: list[Own] = []

    def make(loop: str, *documents: mesh.Document, **more: Any) -> Own:
        made.append(Own(loop, consumer, list(documents), **more))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_found_in_a_registry(
    owns: Callable[..., Own], zookeeper: ZooKeeper, offers: Offers, loop: str
) -> None:
    """One property is all that the application is told; instances come and go, and environments are kept."""
    root = f"own{next(_numbers)}"
    there = zookeeper.taking(root=root)
    a = offers("A", registry=there)[0]
    own = owns(loop, *LABELLED, registries=[registry(zookeeper.address, root=f"/{root}")])
    until("A", lambda: own.who() == {"A"})
    assert own.sidecar.count("calls") >= 8
    offers("B", registry=there)
    until("both", lambda: own.who() == {"A", "B"})
    offers("D", registry=there, env="dev1")
    until("an environment", lambda: own.who(env="dev1") == {"D"})
    assert own.who() <= {"A", "B"}
    a.terminate()
    until("B alone", lambda: own.who() == {"B"})


@pytest.mark.parametrize("loop", LOOPS)
def test_found_in_files(
    owns: Callable[..., Own], peers: Peers, port_of: Callable[..., int], loop: str
) -> None:
    """Where there is no registry at all the application finds what ServiceEntries list."""
    own = owns(loop, mesh.entry([mesh.endpoint(port_of("java-3.3"))]))
    until("A", lambda: own.who() == {"A"})
    assert own.sidecar.count("calls") >= 8


@pytest.mark.parametrize("loop", LOOPS)
def test_both_know_only_their_sidecars(
    owns: Callable[..., Own], peers: Peers, zookeeper: ZooKeeper, loop: str
) -> None:
    """A provider registers with its sidecar, which registers it; a consumer finds its own sidecar, and both pass the
    call on. The provider leaves, or dies, and its sidecar takes it back."""
    root = f"both{next(_numbers)}"
    main = registry(zookeeper.address, root=f"/{root}", register=True)
    app, own_registry, inbound = free_port(), free_port(), free_port()
    listeners = [mesh.inbound(f"tcp://{HOST}:{inbound}", app), mesh.outbound(f"tcp://{HOST}:{free_port()}")]
    endpoint = {"zookeeper": f"tcp://{HOST}:{own_registry}"}
    more = {"endpoint": endpoint, "registries": [main], "advertise": {"address": HOST}}
    beside = Sidecar(loop, [], listeners, more=more)
    provider = obtain(lambda: Registered("java-3.3", f"both-{next(_numbers)}"))
    try:
        provider.export("A", app, registry=f"zookeeper://{HOST}:{own_registry}")
        zookeeper.listed(SERVICE, inbound, root=root)
        own = owns(loop, registries=[main])
        until("A", lambda: own.who() == {"A"})
        assert own.sidecar.count("calls") >= 8 and beside.count("calls") >= 8
        provider.kill()
        zookeeper.listed(SERVICE, root=root)
    finally:
        provider.close()
        beside.close()
