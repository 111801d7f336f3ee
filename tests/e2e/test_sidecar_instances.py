"""Applications whose only registry is their sidecar, and that register and look by applications alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import obtain
from harness import mesh
from harness.driver import Driver, PeerError
from harness.go import Go
from harness.java import SERVICE
from harness.process import ANY, HOST, free_port, until
from harness.registered import Registered, registry
from harness.sidecar import Sidecar
from harness.way import LOOPS
from harness.zookeeper import ZooKeeper

ALONE = {"migration_step": "FORCE_APPLICATION"}
#: Who registers, and who looks, how.
PAIRS = [("java-3.3", "java-3.3"), ("java-3.2", "java-3.3"), ("go", "go"), ("java-3.3", "go"), ("go", "java-3.2")]
SECONDS = 30.0
_numbers = itertools.count(1)


@pytest.fixture
def server() -> Iterator[ZooKeeper]:
    server = obtain(ZooKeeper)
    yield server
    server.close()


@pytest.fixture
def drivers() -> Iterator[Callable[[str], Any]]:
    """Starts an application of a kind, in a process of its own."""
    made: list[Driver] = []

    def start(kind: str) -> Any:
        name = f"only-{next(_numbers)}"
        made.append(obtain(lambda: Go(name) if kind == "go" else Registered(kind, name)))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def sidecars() -> Iterator[Callable[..., tuple[Sidecar, str]]]:
    """Starts a sidecar that is its application's registry; gives that registry's address too."""
    made: list[Sidecar] = []

    def start(loop: str, main: dict[str, Any], *doors: mesh.Document, **fields: Any) -> tuple[Sidecar, str]:
        own = free_port()
        out = {"name": "out", "bind": f"tcp://{ANY}:{free_port()}", "direction": "outbound"}
        more = {
            "endpoint": {"zookeeper": f"tcp://{HOST}:{own}"}, "registries": [main], "advertise": {"address": HOST},
            **fields,
        }  # fmt: skip
        made.append(Sidecar(loop, [], [out, *doors], more=more))
        return made[-1], f"zookeeper://{HOST}:{own}"

    yield start
    for one in made:
        one.close()


def answers(consumer: Driver) -> str:
    try:
        return str(consumer.call("ref", "whoami"))
    except PeerError as error:
        return f"none: {error}"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize(("offers", "asks"), PAIRS, ids=[f"{offers}-{asks}" for offers, asks in PAIRS])
def test_both_know_only_their_sidecars(
    server: ZooKeeper, drivers: Callable[[str], Any], sidecars: Callable[..., tuple[Sidecar, str]], offers: str,
    asks: str, loop: str,
) -> None:  # fmt: skip
    """Each call passes both sidecars, once; the provider dies, and its sidecar takes its instance back."""
    app, inbound, application = free_port(), free_port(), f"shop-{next(_numbers)}"
    main = registry(server.address)
    beside, told = sidecars(loop, {**main, "register": True}, mesh.inbound(f"tcp://{ANY}:{inbound}", app))
    own, known = sidecars(loop, main)
    consumer, provider = drivers(asks), drivers(offers)
    consumer.refer("ref", registry=known, **({} if asks == "go" else ALONE))
    assert answers(consumer) != "A"  # nobody offers it yet
    provider.export("A", app, registry=f"{told}?register-mode=instance", application=application)
    until("its instance", lambda: server.children(f"/services/{application}") == [f"{HOST}:{inbound}"], SECONDS)
    assert server.providers(SERVICE) == []
    until("A answers", lambda: answers(consumer) == "A", SECONDS)
    before = own.count("calls"), beside.count("calls")
    assert {answers(consumer) for _ in range(10)} == {"A"}
    assert (own.count("calls"), beside.count("calls")) == (before[0] + 10, before[1] + 10)
    provider.kill()
    until("it is gone", lambda: not server.children(f"/services/{application}"), SECONDS)


def test_who_registers_besides_its_sidecar_is_called_through_it(
    server: ZooKeeper, drivers: Callable[[str], Any], sidecars: Callable[..., tuple[Sidecar, str]]
) -> None:
    """By an instance of its own at the same address, which a sidecar that follows the registry passes over."""
    app, inbound = free_port(), free_port()
    main = registry(server.address)
    provider, consumer = drivers("java-3.3"), drivers("java-3.3")
    provider.export("A", app, registry=server.taking("instance"), application="shop")
    until("its own", lambda: server.children("/services/shop"), SECONDS)
    (name,) = server.children("/services/shop")
    doors = [mesh.inbound(f"tcp://{ANY}:{inbound}", app)]
    beside = sidecars(
        LOOPS[0], {**main, "register": True, "subscribe": False}, *doors, advertise={"address": name.split(":")[0]},
        registrations=[{"service": SERVICE, "listener": "in", "parameters": {"application": "shop"}}],
    )[0]  # fmt: skip
    until("both", lambda: len(server.children("/services/shop")) == 2, SECONDS)
    own, known = sidecars(LOOPS[0], main)
    consumer.refer("ref", registry=known, **ALONE)
    until("A answers", lambda: answers(consumer) == "A", SECONDS)
    before = beside.count("calls"), own.count("calls")
    assert {answers(consumer) for _ in range(10)} == {"A"}
    assert (beside.count("calls"), own.count("calls")) == (before[0] + 10, before[1] + 10)
    assert beside.count("registration_conflicts") >= 1
