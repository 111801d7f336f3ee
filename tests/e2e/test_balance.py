"""Which of its instances a call of a real peer reaches, by each balancer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from conftest import GrpcPeers, Peers
from harness import mesh
from harness.grpc import OK, Grpc
from harness.process import ANY, free_port
from harness.through import Through
from harness.way import Way

Refer = Callable[..., str]
PortOf = Callable[..., int]
NAMES = "ABC"
READABLE = [("java-2.7", "hessian2"), ("java-3.3", "hessian2"), ("java-3.3", "fastjson2")]


def rule(load_balancer: mesh.Document) -> mesh.Document:
    spec = {"host": mesh.APP, "trafficPolicy": {"loadBalancer": load_balancer}}
    return {"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule", "metadata": {"name": "a"}, "spec": spec}


def hashed(**by: Any) -> mesh.Document:
    return {"consistentHash": by}


def kept(where: Callable[[str], str]) -> set[str]:
    """Asks for twelve texts three times each; every text has one instance, and these are all that have some."""
    place = {text: where(text) for text in map(str, range(12))}
    for text, name in place.items():
        assert [where(text), where(text)] == [name, name]
    return set(place.values())


@pytest.mark.parametrize(("version", "serialization"), READABLE, ids=[f"{v}-{s}" for v, s in READABLE])
def test_dubbo(
    peers: Peers, proxied: Way, version: str, serialization: str, port_of: PortOf, refer: Refer
) -> None:  # fmt: skip
    consumer = peers.consumer(version)
    entry = mesh.entry([mesh.endpoint(port_of(version, name)) for name in NAMES])

    def by(load_balancer: mesh.Document) -> str:
        port = free_port()
        proxied.sidecar([entry, rule(load_balancer)], [mesh.outbound(f"tcp://{ANY}:{port}")])
        return refer(consumer, port, serialization=serialization)

    turns = by({"simple": "ROUND_ROBIN"})
    assert Counter(consumer.call(turns, "whoami") for _ in range(9)) == dict.fromkeys(NAMES, 3)
    for simple in ("LEAST_REQUEST", "RANDOM"):
        ref = by({"simple": simple})
        assert {consumer.call(ref, "whoami") for _ in range(60)} == set(NAMES)
    ref = by(hashed(httpHeaderName="user"))
    assert len(kept(lambda user: consumer.call(ref, "whoami", attachments={"user": user}))) > 1
    ref = by(hashed(dubboArgument=1))
    assert len(kept(lambda text: consumer.call(ref, "later", 0, text).partition("|")[0])) > 1
    ref = by(hashed(dubboArgument=0))
    assert len(kept(lambda number: consumer.call(ref, "later", int(number), "x").partition("|")[0])) > 1


def test_grpc(behind: Through, asking: Grpc, offering: str, grpc_peers: GrpcPeers) -> None:
    ports = [grpc_peers.fresh(offering, name)[1] for name in NAMES]

    def by(load_balancer: mesh.Document) -> Callable[..., str]:
        ref = asking.refer(*behind.by([rule(load_balancer)], *ports))

        def who(**metadata: str) -> str:
            reply = asking.ask(ref, "ask", b"x", metadata=list(metadata.items()))
            assert reply["code"] == OK, reply["message"]
            return str(reply["body"].partition(b"|")[0].decode())

        return who

    who = by({"simple": "ROUND_ROBIN"})
    assert Counter(who() for _ in range(9)) == dict.fromkeys(NAMES, 3)
    for simple in ("LEAST_REQUEST", "RANDOM"):
        who = by({"simple": simple})
        assert {who() for _ in range(60)} == set(NAMES)
    who = by(hashed(httpHeaderName="user"))
    assert len(kept(lambda user: who(user=user))) > 1
