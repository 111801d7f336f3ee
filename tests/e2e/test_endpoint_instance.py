"""Applications that look for applications alone, and whose only registry is their sidecar."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Peers, obtain
from harness import mesh
from harness.driver import Driver, PeerError
from harness.go import Go
from harness.java import SERVICE
from harness.process import ANY, HOST, free_port, until
from harness.registered import Registered
from harness.sidecar import Sidecar
from harness.way import LOOPS
from test_endpoint_dubbo import Played

from meshfast.endpoint.folders import Kind

_numbers = itertools.count(1)
FORCED = {"migration_step": "FORCE_APPLICATION"}
#: How a consumer is told to look for applications alone; dubbo-go does so by itself.
ALONE: dict[str, dict[str, Any]] = {"java-3.3": FORCED, "java-3.2": FORCED, "go": {}}
#: How long a change may take to be seen.
SECONDS = 30.0


@pytest.fixture(params=list(ALONE))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def consumer(kind: str) -> Iterator[Driver]:
    name = f"alone-{next(_numbers)}"
    one = obtain(lambda: Go(name) if kind == "go" else Registered(kind, name))
    yield one
    one.close()


@pytest.fixture
def played(port_of: Callable[..., int]) -> Iterator[Played]:
    one = Played(port_of("java-3.3"))
    yield one
    one.close()


def answers(consumer: Driver, ref: str = "ref") -> str:
    try:
        return str(consumer.call(ref, "whoami"))
    except PeerError as error:
        return f"none: {error}"


def kinds(played: Played) -> set[Kind]:
    """What consumers have looked for."""
    return played.do(lambda: {one.kind for one in played.whole.folders() if one.looking})  # type: ignore[no-any-return]


def test_it_finds_the_sidecar(played: Played, kind: str, consumer: Driver) -> None:
    played.list(SERVICE, "")
    consumer.refer("ref", registry=played.registry, **ALONE[kind])
    until("A answers", lambda: answers(consumer) == "A", SECONDS)
    assert kinds(played) == {Kind.MAPPING} and played.do(lambda: played.server.unknown) == {}


def test_it_hears_later(played: Played, kind: str, consumer: Driver) -> None:
    """Of a service that nobody offered, of other versions, and of none that is taken back for nothing."""
    played.list(SERVICE)
    consumer.refer("ref", registry=played.registry, **ALONE[kind])
    assert answers(consumer) != "A"
    played.list(SERVICE, "1.0.0")
    played.list(SERVICE, "1.0.0", "")
    until("A answers", lambda: answers(consumer) == "A", SECONDS)
    played.list(SERVICE, "1.0.0")
    until("nobody answers", lambda: answers(consumer) != "A", SECONDS)
    played.list(SERVICE, "1.0.0", "")
    until("A answers again", lambda: answers(consumer) == "A", SECONDS)
    played.list(SERVICE)
    assert answers(consumer) == "A"


def test_below_another_root(played: Played, kind: str, consumer: Driver) -> None:
    """A registry's address with a group, below which instances are as well then."""
    played.list(SERVICE, "")
    consumer.refer("ref", registry=f"{played.registry}?group=other", **ALONE[kind])
    until("A answers", lambda: answers(consumer) == "A", SECONDS)
    assert kinds(played) == {Kind.MAPPING}


@pytest.mark.parametrize("step", ["APPLICATION_FIRST", "FORCE_INTERFACE"])
def test_both_levels_are_called_once(peers: Peers, port_of: Callable[..., int], step: str) -> None:
    """Whatever a consumer of Dubbo for Java finds at both levels, each call goes through the sidecar once."""
    loop, out, own = LOOPS[0], free_port(), free_port()
    doors = [{"name": "out", "bind": f"tcp://{ANY}:{out}", "direction": "outbound"}]
    more = {"endpoint": {"zookeeper": f"tcp://{HOST}:{own}"}}
    sidecar = Sidecar(loop, [mesh.entry([mesh.endpoint(port_of("java-3.3"))])], doors, more=more)
    one = obtain(lambda: Registered("java-3.3", f"both-{next(_numbers)}"))
    try:
        one.refer("ref", registry=f"zookeeper://{HOST}:{own}", migration_step=step)
        until("A answers", lambda: answers(one) == "A", SECONDS)
        before = sidecar.count("calls")
        assert {answers(one) for _ in range(20)} == {"A"}
        assert sidecar.count("calls") - before == 20
    finally:
        one.close()
        sidecar.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_through_a_sidecar(port_of: Callable[..., int], kind: str, consumer: Driver, loop: str) -> None:
    own = free_port()
    doors = [{"name": "out", "bind": f"tcp://{ANY}:{free_port()}", "direction": "outbound"}]
    more = {"endpoint": {"zookeeper": f"tcp://{HOST}:{own}"}}
    sidecar = Sidecar(loop, [mesh.entry([mesh.endpoint(port_of("java-3.3"))])], doors, more=more)
    try:
        consumer.refer("ref", registry=f"zookeeper://{HOST}:{own}", **ALONE[kind])
        until("A answers", lambda: answers(consumer) == "A", SECONDS)
        assert sidecar.count("calls") >= 1
    finally:
        sidecar.close()
