"""Dubbo's own rules, as its registries hold them, followed for calls of real consumers by a sidecar."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Peers
from harness import mesh
from harness.driver import PeerError
from harness.java import Java
from harness.process import ANY, free_port, until
from harness.way import Way
from test_mesh import READABLE

Refer = Callable[..., str]
PortOf = Callable[..., int]


def rule(scope: str, key: str, **rest: object) -> mesh.Document:
    return {"configVersion": "v3.0", "scope": scope, "key": key, "enabled": True, **rest}


def tags(*tagged: tuple[str, int]) -> mesh.Document:
    """Each with one instance, by its port."""
    listed = [{"name": name, "addresses": [f"127.0.0.1:{port}"]} for name, port in tagged]
    return rule("application", mesh.APP, tags=listed)


def conditions(*lines: str, service: str = mesh.SERVICE) -> mesh.Document:
    return rule("service", service, conditions=list(lines), force=True)


@pytest.mark.parametrize(("version", "serialization"), READABLE, ids=[f"{v}-{s}" for v, s in READABLE])
def test_tags_conditions_and_arguments(
    peers: Peers, proxied: Way, version: str, serialization: str, port_of: PortOf, refer: Refer
) -> None:  # fmt: skip
    consumer = peers.consumer(version)
    ports = {name: port_of(version, name) for name in "ABC"}
    entry = mesh.entry([mesh.endpoint(port, zone=name) for name, port in ports.items()])

    def by(*rules: mesh.Document) -> str:
        port = free_port()
        proxied.sidecar([entry, *rules], [mesh.outbound(f"tcp://{ANY}:{port}")])
        return refer(consumer, port, serialization=serialization)

    def who(ref: str, **attachments: str) -> set[str]:
        return {consumer.call(ref, "whoami", attachments=attachments) for _ in range(60)}

    tagged = by(tags(("gray", ports["B"])))
    assert who(tagged, **{"dubbo.tag": "gray"}) == {"B"}
    assert who(tagged, **{"dubbo.tag": "other"}) == who(tagged) == {"A", "C"}

    ruled = by(conditions("method=whoami & attachments[uid]=1~10 => zone=C", "arguments[1]=to-a => zone=A"))
    assert who(ruled, uid="7") == {"C"}
    assert who(ruled, uid="11") == set("ABC")
    assert {consumer.call(ruled, "later", 0, "to-a").partition("|")[0] for _ in range(6)} == {"A"}
    assert {consumer.call(ruled, "later", 0, "x").partition("|")[0] for _ in range(40)} == set("ABC")


def test_a_rule_that_changes(peers: Peers, proxied: Way, port_of: PortOf, refer: Refer) -> None:
    consumer, port = peers.consumer("java-3.3"), free_port()
    entry = mesh.entry([mesh.endpoint(port_of("java-3.3", name), zone=name) for name in "AB"])
    sidecar = proxied.sidecar([entry, conditions("=> zone=A")], [mesh.outbound(f"tcp://{ANY}:{port}")])
    ref = refer(consumer, port)
    assert {consumer.call(ref, "whoami") for _ in range(60)} == {"A"}
    sidecar.write("mesh", [entry, conditions("=> zone=B")])
    until("the second rule", lambda: consumer.call(ref, "whoami") == "B")
    assert {consumer.call(ref, "whoami") for _ in range(60)} == {"B"}
    sidecar.write("mesh", [entry, conditions("method=whoami =>", "=> zone=B")])
    until("the third rule", lambda: refused(consumer, ref))
    assert consumer.call(ref, "later", 0, "x").startswith("B|")


def refused(consumer: Java, ref: str) -> bool:
    """Whether nobody may be called."""
    try:
        consumer.call(ref, "whoami")
    except PeerError as error:
        return "no instance" in str(error)
    return False
