"""Applications that outlive their sidecar: real consumers, that have no registry but it, call the standbys that it
showed them when it is killed, and go back to it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from conftest import obtain
from harness.driver import Driver
from harness.java import SERVICE
from harness.load import loaded
from harness.process import ANY, HOST, RUN, free_port, until
from harness.registered import Registered, registry
from harness.sidecar import Sidecar
from harness.way import LOOPS
from harness.zookeeper import ZooKeeper
from kazoo.client import KazooClient

VERSIONS = ("java-3.3", "java-2.7")
ROOT = "standby"
#: What Dubbo does by itself.
DEFAULT = {"cluster": "failover", "retries": 2}
#: What a call in flight may wait for an answer that its sidecar took with it, ms.
TIMEOUT = 2000
_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def zookeeper() -> Iterator[ZooKeeper]:
    """A registry with two providers, that know of no sidecar."""
    server = obtain(ZooKeeper)
    provider = obtain(lambda: Registered("java-3.3", f"standby-{next(_numbers)}"))
    for name in ("A", "B"):
        provider.export(name, registry=server.taking(root=ROOT), application=f"standing-{name}")
    yield server
    provider.kill()
    provider.close()
    server.close()


@pytest.fixture(scope="module", params=VERSIONS)
def consumer(request: pytest.FixtureRequest) -> Iterator[Driver]:
    java = obtain(lambda: Registered(request.param, f"asking-{next(_numbers)}"))
    yield java
    java.close()


class Beside:
    """A sidecar that shows one standby, and a reference that finds both."""

    def __init__(self, loop: str, consumer: Driver, main: dict[str, Any], **endpoint: Any) -> None:
        self.consumer, self.ref = consumer, f"beside-{next(_numbers)}"
        self.registry, state = free_port(), RUN / f"state-{self.ref}"
        shutil.rmtree(state, ignore_errors=True)
        door = {"name": "out", "bind": f"tcp://{ANY}:{free_port()}", "direction": "outbound"}
        shown = {"zookeeper": f"tcp://{HOST}:{self.registry}", "standby": 1, **endpoint}
        self.sidecar = Sidecar(loop, [], [door], more={"endpoint": shown, "registries": [main], "state": str(state)})

    def refer(self, **params: Any) -> None:
        address = f"zookeeper://{HOST}:{self.registry}"
        self.consumer.refer(self.ref, registry=address, timeout=TIMEOUT, **{**DEFAULT, **params})

    def calls(self, count: int = 20) -> int:
        """Makes so many; how many of them its sidecar saw."""
        before = self.sidecar.count("calls")
        for _ in range(count):
            self.consumer.call(self.ref, "whoami")
        return self.sidecar.count("calls") - before

    def listed(self, folder: str = "providers") -> list[str]:
        """What it shows, as anybody reads it."""
        client = KazooClient(f"{HOST}:{self.registry}")
        client.start(30)
        try:
            return sorted(unquote(name) for name in client.get_children(f"/dubbo/{SERVICE}/{folder}"))
        finally:
            client.stop()
            client.close()

    def standbys(self) -> list[str]:
        return [url for url in self.listed() if "&weight=0" in url]

    def close(self) -> None:
        self.consumer.do("release", ref=self.ref)
        self.sidecar.close()


Make = Callable[..., Beside]


@pytest.fixture
def beside(consumer: Driver, zookeeper: ZooKeeper) -> Iterator[Make]:
    made: list[Beside] = []

    def make(loop: str, **endpoint: Any) -> Beside:
        made.append(Beside(loop, consumer, registry(zookeeper.address, root=f"/{ROOT}"), **endpoint))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_no_call_fails_when_the_sidecar_is_killed(beside: Make, loop: str) -> None:
    """All calls pass the sidecar while it lives, none is lost with it, and they do again when it is back."""
    own = beside(loop)
    own.refer()
    until("both to be found", lambda: {own.consumer.call(own.ref, "whoami") for _ in range(8)} == {"A", "B"})
    (standby,) = own.standbys()
    assert "&lazy=true" in standby and "timestamp=" not in standby and len(own.listed()) == 2
    assert own.calls() == 20
    with loaded(own.consumer, own.ref, threads=4) as report:
        until("calls", lambda: report()["good"] > 50)
        own.sidecar.kill()
        dead = report()["good"]
        until("calls without it", lambda: report()["good"] > dead + 100)
        assert len({own.consumer.call(own.ref, "whoami") for _ in range(8)}) == 1
        own.sidecar.again()
        until("calls by it", lambda: own.sidecar.count("calls") > 50)
        told = report(end=True)
    assert (told["wrong"], told["failed"]) == (0, 0), told["errors"]
    until("all calls by it", lambda: own.calls() == 20)
    assert own.standbys() == [standby]


@pytest.mark.parametrize("loop", LOOPS[:1])
def test_who_may_not_keep_to_weights_finds_the_sidecar_alone(beside: Make, loop: str) -> None:
    own = beside(loop)
    own.refer(loadbalance="leastactive")
    until("an answer", lambda: own.calls() == 20)
    assert own.standbys() == [] and len(own.listed()) == 1
    assert "leastactive" in own.sidecar.get("/endpoint")
