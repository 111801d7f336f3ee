"""Unmodified SDKs that name the endpoint as their Nacos."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest
from conftest import obtain
from harness.driver import Driver, PeerError
from harness.java import SERVICE
from harness.process import free_port, until
from harness.registered import Registered
from zookeepers import Served

from meshfast.endpoint.later import State
from meshfast.endpoint.nacos import Nacos
from meshfast.registry import Instance, Listing, Offer

_numbers = itertools.count(1)


class Played(Served):
    """An endpoint whose listings the test sets, and whose sidecar is a provider at a port."""

    def __init__(self, port: int, state: State | None = None, at: int = 0) -> None:
        self.listings: dict[str, Listing] = {}
        self.interested: set[str] = set()
        super().__init__(
            make=lambda: Nacos(f"tcp://127.0.0.1:{at or free_port()}", self, f"tcp://127.0.0.1:{port}", state=state)
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


def test_a_consumer_finds_the_sidecar(played: Played) -> None:
    played.list(SERVICE, "")
    java = obtain(lambda: Registered("java-3.3", f"nacos-{next(_numbers)}"))
    try:
        java.refer("ref", registry=played.registry)
        assert java.call("ref", "whoami") == "A"
        assert played.interested == {SERVICE}
    finally:
        java.close()
