"""Routing by label with real peers: by attachment, by trace id over two hops, by the workload's own label."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from conftest import SAME, Peers
from harness import mesh
from harness.driver import Driver
from harness.java import Java
from harness.process import ANY, HOST, free_port, until
from harness.way import Way

Pair = tuple[str, str]
Refer = Callable[..., str]
PortOf = Callable[..., int]
# Serializations whose attachments can be read on the way.
READABLE = [("java-2.7", "hessian2"), ("java-3.3", "hessian2"), ("java-3.3", "fastjson2")]


def instances(version: str, port_of: PortOf) -> list[mesh.Document]:
    """A baseline and two environments."""
    return [
        mesh.endpoint(port_of(version, "base")),
        mesh.endpoint(port_of(version, "dev1"), env="dev1"),
        mesh.endpoint(port_of(version, "dev2"), env="dev2"),
    ]


def who(consumer: Driver, ref: str, **attachments: str) -> set[str]:
    """Who answers a few equal calls."""
    return {consumer.call(ref, "whoami", attachments=attachments) for _ in range(10)}


@pytest.mark.parametrize(("version", "serialization"), READABLE, ids=[f"{v}-{s}" for v, s in READABLE])
def test_label_by_attachment(
    peers: Peers, proxied: Way, version: str, serialization: str, port_of: PortOf, refer: Refer
) -> None:
    consumer, port = peers.consumer(version), free_port()
    proxied.sidecar(
        [mesh.entry(instances(version, port_of)), *mesh.label_policy()], [mesh.outbound(f"tcp://{ANY}:{port}")]
    )
    ref = refer(consumer, port, serialization=serialization)
    assert who(consumer, ref) == {"base"}
    assert who(consumer, ref, env="dev1") == {"dev1"}
    assert who(consumer, ref, env="dev2") == {"dev2"}
    assert who(consumer, ref, env="nobody") == {"base"}
    assert consumer.call(ref, "attachments", attachments={"env": "dev1"})["env"] == "dev1"


@pytest.mark.parametrize("version", [c for c, _ in SAME])
def test_label_of_the_workload(peers: Peers, proxied: Way, version: str, port_of: PortOf, refer: Refer) -> None:
    consumer, port = peers.consumer(version), free_port()
    proxied.sidecar(
        [mesh.entry(instances(version, port_of)), *mesh.label_policy()],
        [mesh.outbound(f"tcp://{ANY}:{port}")],
        labels={"env": "dev2"},
    )
    ref = refer(consumer, port)
    assert who(consumer, ref) == {"dev2"}
    assert consumer.call(ref, "attachments")["env"] == "dev2"  # stamped: the next hop sees it
    assert consumer.do("order", ref=ref, seed=9) == "same"  # and the arguments are what they were
    assert who(consumer, ref, env="dev1") == {"dev1"}


TRACES = {
    "x-request-id": "7d1f-plain",
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


@pytest.mark.parametrize("key", TRACES)
def test_label_over_two_hops(peers: Peers, proxied: Way, version: str, key: str, port_of: PortOf, refer: Refer) -> None:
    consumer, middle, value = peers.consumer(version), peers.provider(version), TRACES[key]
    front, inbound, outbound = free_port(), free_port(), free_port()
    second = proxied.sidecar(
        [mesh.entry(instances(version, port_of)), *mesh.label_policy(trace=key)],
        [
            mesh.inbound(f"tcp://{ANY}:{inbound}", port_of(version, "A")),
            mesh.outbound(f"tcp://{ANY}:{outbound}"),
        ],
    )
    proxied.sidecar(
        [mesh.entry([mesh.endpoint(inbound)]), *mesh.label_policy(trace=key)],
        [mesh.outbound(f"tcp://{ANY}:{front}")],
    )
    middle.next(outbound)
    ref = refer(consumer, front)
    # The application in the middle passes on the trace id and nothing else.
    assert consumer.call(ref, "hop", key, attachments={"env": "dev1", key: value}) == "A>dev1"
    assert consumer.call(ref, "hop", key, attachments={"env": "dev2", key: other(value)}) == "A>dev2"
    assert consumer.call(ref, "hop", key, attachments={key: other(other(value))}) == "A>base"
    assert second.count("labels_context") >= 2


def other(trace: str) -> str:
    """Another trace id of the same form."""
    digits = "0123456789abcdef"
    return "".join(
        digits[(digits.index(c) + 1) % 16] if c in digits and 3 <= i < 35 else c for i, c in enumerate(trace)
    )


def test_new_environment_under_load(peers: Peers, proxied: Way, version: str, port_of: PortOf, refer: Refer) -> None:
    consumer, port = peers.consumer(version), free_port()
    policy = mesh.label_policy()
    before = instances(version, port_of)
    sidecar = proxied.sidecar([mesh.entry(before), *policy], [mesh.outbound(f"tcp://{ANY}:{port}")])
    ref = refer(consumer, port)
    assert who(consumer, ref, env="dev3") == {"base"}
    consumer.do("load", ref=ref, load=ref, threads=8, millis=5)
    sidecar.write("mesh", [mesh.entry([*before, mesh.endpoint(port_of(version, "dev3"), env="dev3")]), *policy])
    until("the new environment", lambda: who(consumer, ref, env="dev3") == {"dev3"}, 5)
    sidecar.write("mesh", [mesh.entry(before), *policy])
    until("the baseline again", lambda: who(consumer, ref, env="dev3") == {"base"}, 5)
    report = consumer.do("stop", load=ref)
    assert (report["wrong"], report["failed"]) == (0, 0), report["errors"]
    assert report["answered_by"].keys() == {"base"}


def test_both_sides(peers: Peers, proxied: Way, pair: Pair, port_of: PortOf, refer: Refer) -> None:
    """Consumer, its sidecar, the provider's sidecar, provider."""
    consumer: Java = peers.consumer(pair[0])
    front, inbound = free_port(), free_port()
    proxied.sidecar([], [mesh.inbound(f"tcp://{ANY}:{inbound}", port_of(pair[1]))])
    proxied.sidecar([mesh.entry([mesh.endpoint(inbound)])], [mesh.outbound(f"tcp://{ANY}:{front}")])
    ref = refer(consumer, front)
    assert consumer.do("order", ref=ref, seed=9) == "same"
    report = consumer.do("flood", ref=ref, threads=50, calls=100)
    assert (report["good"], report["wrong"], report["failed"]) == (5000, 0, 0), report["errors"]


def test_two_workers(peers: Peers, proxied: Way, version: str, port_of: PortOf, refer: Refer) -> None:
    """Connections spread over two threads, each with its own connections to the instances."""
    consumer, port = peers.consumer(version), free_port()
    proxied.sidecar(
        [mesh.entry(instances(version, port_of)), *mesh.label_policy()],
        [mesh.outbound(f"tcp://{ANY}:{port}")],
        workers=2,
    )
    ref = refer(consumer, port, connections=16)
    assert who(consumer, ref, env="dev1") == {"dev1"}
    report = consumer.do("flood", ref=ref, threads=50, calls=200)
    assert (report["good"], report["wrong"], report["failed"]) == (10_000, 0, 0), report["errors"]
    assert report["answered_by"].keys() == {"base"}


def test_telnet(proxied: Way, port_of: PortOf) -> None:
    """Dubbo's port also speaks telnet: bytes that are no Dubbo frame pass as they are."""
    inbound = free_port()
    proxied.sidecar([], [mesh.inbound(f"tcp://{ANY}:{inbound}", port_of("java-2.7"))])
    with socket.create_connection((HOST, inbound), timeout=10) as telnet:
        telnet.sendall(b"ls\r\n")
        said = b""
        while b"dubbo>" not in said:
            data = telnet.recv(4096)
            assert data, said
            said += data
    assert b"Command: ls" in said  # that it is disabled: who answers is the application
