"""Unmodified Dubbo for Java, with Nacos's own client, whose registry is the Nacos that its sidecar is."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import obtain
from harness import mesh
from harness.driver import Driver, PeerError
from harness.java import SERVICE, Java
from harness.process import ANY, HOST, RUN, free_pair, free_port, until
from harness.registered import Registered, registry
from harness.sidecar import Sidecar
from harness.way import LOOPS
from harness.zookeeper import ZooKeeper
from zookeepers import Served

from meshfast.endpoint.later import State
from meshfast.endpoint.nacos import OFFSET, Nacos
from meshfast.registry import Instance, Listing, Offer

_numbers = itertools.count(1)
SECONDS = 60.0
#: How a consumer looks, and a provider registers: at either level alone, or as they do by themselves.
LEVELS = {
    "as it is": ({}, ""), "instance": ({"migration_step": "FORCE_APPLICATION"}, "?register-mode=instance"),
    "interface": ({"migration_step": "FORCE_INTERFACE"}, "?register-mode=interface"),
}  # fmt: skip


class Played(Served):
    """An endpoint whose listings the test sets, and whose sidecar is a provider at a port."""

    def __init__(self, port: int, state: State | None = None, at: int = 0) -> None:
        self.listings: dict[str, Listing] = {}
        self.interested: set[str] = set()
        super().__init__(
            make=lambda: Nacos(f"tcp://{HOST}:{at}", self, f"tcp://{HOST}:{port}", state=state)
        )

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
        return f"nacos://{self.address}"


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


@pytest.fixture
def javas() -> Iterator[Callable[[], Registered]]:
    """Starts applications, each in a process of its own."""
    made: list[Registered] = []

    def start() -> Registered:
        made.append(obtain(lambda: Registered("java-3.3", f"nacos-{next(_numbers)}")))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.mark.parametrize("level", LEVELS)
def test_a_consumer_finds_the_sidecar(played: Played, javas: Callable[[], Registered], level: str) -> None:
    played.list(SERVICE, "")
    java = javas()
    java.refer("ref", registry=played.registry, **LEVELS[level][0])
    assert java.call("ref", "whoami") == "A"
    assert played.interested == {SERVICE}
    assert played.do(lambda: played.whole.answers.unknown) == {}
    assert played.do(lambda: played.whole.used.refused + played.server.shared.refused) == {}


def test_one_property_is_enough(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    """An application that knows of no registry, and a JVM that is told of one."""
    played.list(SERVICE, "")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", f"-Ddubbo.registry.address={played.registry}")
    java = obtain(lambda: Java("java-3.3", f"nacos-property-{next(_numbers)}"))
    try:
        java.refer("ref")
        assert java.call("ref", "whoami") == "A" and played.interested == {SERVICE}
    finally:
        java.close()


@pytest.mark.parametrize("level", LEVELS)
def test_a_consumer_hears_later(played: Played, javas: Callable[[], Registered], level: str) -> None:
    played.list(SERVICE)
    java = javas()
    java.refer("ref", registry=played.registry, **LEVELS[level][0])
    assert not answers(java)
    played.list(SERVICE, "")
    until("it to find one", lambda: answers(java), SECONDS)
    played.list(SERVICE)
    assert answers(java)


@pytest.mark.parametrize("level", LEVELS)
def test_what_a_provider_registers_is_wanted(played: Played, javas: Callable[[], Registered], level: str) -> None:
    java, application = javas(), f"shop-{next(_numbers)}"
    kinds = {"as it is": {True, False}, "instance": {False}, "interface": {True}}[level]  # with a provider's URL

    def wanted() -> dict[str, Any]:
        return played.do(lambda: dict(played.whole.wanted))

    port = java.export("X", registry=played.registry + LEVELS[level][1], application=application)
    until("it to register", lambda: {one.provider is not None for one in wanted().values()} == kinds)
    for path, one in wanted().items():
        assert path.endswith(f":{port}")
        if one.provider is not None:
            assert one.provider.service == SERVICE and one.provider.instance.address.endswith(f":{port}")
            assert one.provider.instance.application == application
    assert played.do(lambda: list(played.whole.naming.names())) == []
    assert played.do(lambda: played.whole.answers.unknown) == {}
    java.leave(port)
    until("it to have gone", lambda: not wanted())


class Sides:
    """A provider and a consumer of Dubbo, each behind a sidecar that is its Nacos, and a real ZooKeeper behind both."""

    def __init__(self, loop: str, server: ZooKeeper, level: str = "as it is") -> None:
        self.server, self.root = server, f"nacos{next(_numbers)}"
        self.app, self.inbound, self.application = free_port(), free_port(), f"shop-{next(_numbers)}"
        self.asking, self.offering = LEVELS[level]
        main = registry(server.address, root=f"/{self.root}")
        self.beside, self.told = self._sidecar(loop, {**main, "register": True})
        self.own, self.known = self._sidecar(loop, main)
        self.javas: list[Registered] = []
        self.made = [self.beside, self.own]

    def _sidecar(self, loop: str, main: dict[str, Any]) -> tuple[Sidecar, str]:
        port, state = free_pair(OFFSET), RUN / f"nacos-{next(_numbers)}"
        shutil.rmtree(state, ignore_errors=True)
        doors = [{"name": "out", "bind": f"tcp://{ANY}:{free_port()}", "direction": "outbound"}]
        if main.get("register"):
            doors.append(mesh.inbound(f"tcp://{ANY}:{self.inbound}", self.app))
        more = {
            "endpoint": {"nacos": f"tcp://{HOST}:{port}"}, "registries": [main], "advertise": {"address": HOST},
            "state": str(state),
        }  # fmt: skip
        return Sidecar(loop, [], doors, more=more), f"nacos://{HOST}:{port}"

    def java(self) -> Registered:
        self.javas.append(obtain(lambda: Registered("java-3.3", f"nacos-{next(_numbers)}")))
        return self.javas[-1]

    def export(self, name: str) -> Registered:
        java = self.java()
        java.export(name, self.app, registry=self.told + self.offering, application=self.application)
        return java

    def refer(self) -> Registered:
        java = self.java()
        java.refer("ref", registry=self.known, **self.asking)
        return java

    def close(self) -> None:
        for one in [*self.javas, *self.made]:
            one.close()

    @property
    def stands(self) -> dict[str, Any]:
        """What stands in the real registry for the provider, and since which transaction."""
        found = {}
        for folder in (f"/{self.root}/{SERVICE}/providers", f"/{self.root}/{self.application}"):
            for name in self.server.children(folder):
                stat = self.server.kazoo.exists(f"{folder}/{name}")
                if stat is not None and stat.ephemeralOwner:
                    found[f"{folder}/{name}"] = (stat.czxid, stat.mzxid, stat.ephemeralOwner)
        return found


@pytest.fixture(scope="module")
def server() -> Iterator[ZooKeeper]:
    server = obtain(ZooKeeper)
    yield server
    server.close()


@pytest.fixture
def sides(server: ZooKeeper) -> Iterator[Callable[..., Sides]]:
    made: list[Sides] = []

    def make(loop: str, level: str = "as it is") -> Sides:
        made.append(Sides(loop, server, level))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("level", LEVELS)
def test_both_know_only_their_sidecars(sides: Callable[..., Sides], level: str, loop: str) -> None:
    """Each call passes both sidecars, once; the provider dies, and its sidecar takes it back."""
    two = sides(loop, level)
    consumer = two.refer()
    assert not answers(consumer)  # nobody offers it yet
    provider = two.export("A")
    until("A answers", lambda: answers(consumer), SECONDS)
    until("what it registers", lambda: len(two.stands) == (2 if level == "as it is" else 1), SECONDS)
    before = two.own.count("calls"), two.beside.count("calls")
    assert [consumer.call("ref", "whoami") for _ in range(10)] == ["A"] * 10
    assert (two.own.count("calls"), two.beside.count("calls")) == (before[0] + 10, before[1] + 10)
    provider.kill()
    until("it is gone", lambda: two.stands == {}, SECONDS)


@pytest.mark.parametrize("loop", LOOPS)
def test_sidecars_that_are_killed(sides: Callable[..., Sides], loop: str) -> None:
    """Between two calls, and started again: nothing changes in the real registry, and calls go on, of one that
    registers and looks anew as well."""
    two = sides(loop)
    provider, consumer = two.export("A"), two.refer()
    until("A answers", lambda: answers(consumer), SECONDS)
    until("what it registers", lambda: len(two.stands) == 2, SECONDS)
    stands = two.stands
    for sidecar in (two.own, two.beside, two.own, two.beside):
        sidecar.kill()
        sidecar.again()
        until("all are back", lambda: sidecar.count("endpoint_nacos_sessions") >= 4, SECONDS)  # noqa: B023
        until("A answers each call", lambda: all(answers(consumer) for _ in range(10)), SECONDS)
    until("it is said again", lambda: two.beside.count("endpoint_nacos_awaited") == 0, SECONDS)
    assert two.stands == stands
    provider.leave(two.app)
    until("it is gone", lambda: two.stands == {}, SECONDS)
