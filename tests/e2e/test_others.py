"""Peers that are not Java: apache-dubbo-js, and Envoy's dubbo_proxy before and behind us."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from conftest import Peers, obtain
from harness.driver import Driver, PeerError
from harness.envoy import Envoy
from harness.node import Node
from harness.way import Way

Refer = Callable[..., str]
PortOf = Callable[..., int]


@pytest.fixture(scope="session")
def node() -> Iterator[Node]:
    """One node process for all tests."""
    node = obtain(lambda: Node("consumer"))
    yield node
    node.close()


def test_node(node: Node, way: Way, version: str, port_of: PortOf) -> None:
    (port,) = way.to(port_of(version))
    ref = f"{way.path}-{version}"
    node.refer(ref, port)

    def call(method: str, *args: object) -> object:
        return node.do("call", ref=ref, method=method, args=list(args))

    assert call("whoami") == "A"
    assert call("echo", "caf\u00e9 \u20ac \U0001f600") == "caf\u00e9 \u20ac \U0001f600"
    assert call("echo", "x" * 40_000) == "x" * 40_000
    assert call("nothing") is None
    assert call("slow", 20, "q") == "A|q"
    assert call("attachments")
    with pytest.raises(PeerError, match="boo"):
        call("fail", "boo")
    report = node.do("flood", ref=ref, threads=50, calls=40)
    assert (report["good"], report["wrong"], report["failed"]) == (2000, 0, 0), report["errors"]


@pytest.fixture
def envoy() -> Iterator[Callable[[int], int]]:
    """Starts an Envoy before a port; gives its own."""
    running: list[Envoy] = []

    def start(target: int) -> int:
        running.append(obtain(lambda: Envoy(str(target), target)))
        return running[-1].port

    yield start
    for one in running:
        one.close()


def through_envoy(consumer: Driver, ref: str) -> None:
    """What Envoy's filter carries: Hessian2 only, attachments re-encoded."""
    assert consumer.call(ref, "whoami") == "A"
    assert consumer.call(ref, "nothing") is None
    reply = consumer.call_full(ref, "attachments", attachments={"env": "dev1", "reply": "x"})
    assert reply["value"]["env"] == "dev1"
    assert reply["attachments"]["replied"] == "x"
    with pytest.raises(PeerError, match="boo"):
        consumer.call(ref, "failChecked", "boo")
    consumer.call(ref, "record", ref)
    report = consumer.do("flood", ref=ref, threads=20, calls=100)
    assert (report["good"], report["wrong"], report["failed"]) == (2000, 0, 0), report["errors"]
    assert ref in consumer.call(ref, "recorded")


def test_envoy_behind(
    peers: Peers, way: Way, version: str, port_of: PortOf, envoy: Callable[[int], int], refer: Refer
) -> None:
    consumer = peers.consumer(version)
    through_envoy(consumer, refer(consumer, *way.to(envoy(port_of(version))), serialization="hessian2"))


def test_envoy_before(
    peers: Peers, way: Way, version: str, port_of: PortOf, envoy: Callable[[int], int], refer: Refer
) -> None:
    consumer = peers.consumer(version)
    (port,) = way.to(port_of(version))
    through_envoy(consumer, refer(consumer, envoy(port), serialization="hessian2"))
