"""How dubbo-go's providers stop: for some seconds each answer carries ``closing=true``, and READONLY is never said.

Its consumers take the mark for the whole address they called, which before a sidecar is every instance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from conftest import Offers, Peers
from harness import mesh
from harness.driver import Driver
from harness.go import Go
from harness.load import loaded
from harness.process import ANY, free_port, until
from harness.way import Way

Refer = Callable[..., str]


def total(report: dict[str, Any]) -> int:
    """How many calls have ended."""
    return int(report["good"] + report["wrong"] + report["failed"])


def stops(caller: Driver, ref: str, leaving: Go) -> dict[str, Any]:
    """What a load saw of an instance that stops beside another."""
    with loaded(caller, ref) as report:
        until("calls", lambda: report()["good"] > 400)
        leaving.terminate()
        leaving.wait(60)
        after = total(report())
        until("calls afterwards", lambda: total(report()) > after + 400)
        return report(end=True)


def test_graceful_stop(way: Way, go_consumer: Go, offers: Offers, refer: Refer) -> None:
    """A provider that says in its answers that it closes gets no more calls, and nobody else is taken for closing."""
    leaving, port = offers("leaving")
    addresses = way.to(port, offers("staying")[1])
    # Who knows one address has none to go to when it is told that this one closes.
    ref = refer(go_consumer, *addresses, cluster="failover" if way.is_direct else "failfast")
    report = stops(go_consumer, ref, leaving)
    assert (report["wrong"], report["failed"]) == (0, 0), report["errors"]
    assert report["answered_by"].keys() == {"leaving", "staying"}
    assert (report["marked"] > 0) == way.is_direct


def test_graceful_stop_under_java(proxied: Way, peers: Peers, offers: Offers, refer: Refer) -> None:
    """The same for Java's calls, which alone lose those that are on their way when it is gone."""
    caller = peers.consumer("java-3.3")
    leaving, port = offers("leaving")
    report = stops(caller, refer(caller, *proxied.to(port, offers("staying")[1])), leaving)
    assert (report["wrong"], report["failed"]) == (0, 0), report["errors"]
    assert report["answered_by"].keys() == {"leaving", "staying"}


@pytest.mark.parametrize("asking", ["go", "java-3.3"])
def test_graceful_stop_behind_its_sidecar(
    proxied: Way, asking: str, go_consumer: Go, peers: Peers, offers: Offers, refer: Refer
) -> None:
    """The same where the one that stops is called through an inbound listener."""
    caller = go_consumer if asking == "go" else peers.consumer(asking)
    leaving, port = offers("leaving")
    front, inbound = free_port(), free_port()
    proxied.sidecar([], [mesh.inbound(f"tcp://{ANY}:{inbound}", port)])
    proxied.sidecar(
        [mesh.entry([mesh.endpoint(inbound), mesh.endpoint(offers("staying")[1])])],
        [mesh.outbound(f"tcp://{ANY}:{front}")],
    )
    report = stops(caller, refer(caller, front), leaving)
    assert (report["wrong"], report["failed"]) == (0, 0), report["errors"]
    assert report["answered_by"].keys() == {"leaving", "staying"}
    assert report.get("marked", 0) == 0
