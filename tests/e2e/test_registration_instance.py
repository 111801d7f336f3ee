"""Applications that their sidecars register by an instance, and consumers that look for applications alone."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Peers, obtain
from harness import mesh
from harness.driver import Driver, PeerError
from harness.java import SERVICE
from harness.process import ANY, HOST, free_port, until
from harness.registered import Registered, registry
from harness.sidecar import Sidecar
from harness.way import LOOPS
from harness.zookeeper import ZooKeeper

Refer = Callable[..., str]
_numbers = itertools.count(1)
#: How long a change may take to be seen.
SECONDS = 30.0
ALONE = "FORCE_APPLICATION"


@pytest.fixture(scope="module")
def server() -> Iterator[ZooKeeper]:
    server = obtain(ZooKeeper)
    yield server
    server.close()


@pytest.fixture
def root() -> str:
    """A node of the test's own, where its instances are too."""
    return f"instance{next(_numbers)}"


class Beside:
    """A sidecar that registers an application at a port."""

    def __init__(self, loop: str, server: ZooKeeper, root: str, app: int, levels: list[str] | None = None) -> None:
        self.port = free_port()
        main = registry(server.address, root=f"/{root}", register=True, subscribe=False)
        more: dict[str, Any] = {
            "registries": [main],
            "registrations": [{"service": SERVICE, "listener": "in"}],
            "advertise": {"address": HOST, **({"levels": levels} if levels else {})},
        }
        self.sidecar = Sidecar(loop, [], [mesh.inbound(f"tcp://{ANY}:{self.port}", app)], more=more)


@pytest.fixture
def beside() -> Iterator[Callable[..., Beside]]:
    made: list[Beside] = []

    def make(*args: Any, **named: Any) -> Beside:
        made.append(Beside(*args, **named))
        return made[-1]

    yield make
    for one in made:
        one.sidecar.close()


def instances(server: ZooKeeper, folder: str) -> dict[str, Any]:
    """Those of all applications below a node, by application and name."""
    found = {}
    for application in server.children(folder):
        for name in server.children(f"{folder}/{application}"):
            if ":" in name and "%" not in name:
                data, _ = server.kazoo.get(f"{folder}/{application}/{name}")
                found[f"{application}/{name}"] = json.loads(data)
    return found


def answers(consumer: Driver, ref: str) -> str:
    try:
        return str(consumer.call(ref, "whoami"))
    except PeerError as error:
        return f"none: {error}"


@pytest.mark.parametrize("loop", LOOPS)
def test_java_that_looks_for_applications_alone(
    loop: str, server: ZooKeeper, root: str, peers: Peers, beside: Callable[..., Beside]
) -> None:
    """It finds an instance at the sidecar, until the application is killed, and when it is back."""
    app = free_port()
    provider = peers.fresh("java-3.3")
    provider.export("A", app)
    one = beside(loop, server, root, app, ["instance"])
    until("its instance", lambda: instances(server, f"/{root}"), SECONDS)
    assert server.providers(SERVICE, root) == []
    consumer = obtain(lambda: Registered("java-3.3", f"alone-{next(_numbers)}"))
    try:
        consumer.refer("ref", registry=server.taking(root=root), migration_step=ALONE)
        until("A answers", lambda: answers(consumer, "ref") == "A", SECONDS)
        assert one.sidecar.count("answers") >= 1
        provider.kill()
        until("it is gone", lambda: not instances(server, f"/{root}"), SECONDS)
        again = peers.fresh("java-2.7")
        again.export("B", app)
        until("B answers", lambda: answers(consumer, "ref") == "B", SECONDS)
    finally:
        consumer.close()
