"""What needs a connection of one's own: callback arguments, by which a provider calls who called it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from conftest import Peers
from harness import mesh
from harness.driver import PeerError
from harness.java import VERSIONS, Java
from harness.process import ANY, free_port, until
from harness.way import Way

Refer = Callable[..., str]
PortOf = Callable[..., int]
#: What a refusal must say: what cannot be, and a way that can.
ADVICE = re.compile(r"meshfast: .*callback.*(protocol: tcp|directly)", re.IGNORECASE)


def hears(consumer: Java, ref: str, key: str) -> None:
    """A subscriber is told all that is published to it, in order."""
    texts = [f"{key}-{i}" for i in range(20)]
    assert {consumer.call(ref, "publish", key, text) for text in texts} == {"heard"}
    until("what was published", lambda: len(consumer.do("heard", key=key)) >= len(texts))
    assert consumer.do("heard", key=key) == texts


@pytest.mark.parametrize("version", VERSIONS)
def test_callback_argument(way: Way, version: str, peers: Peers, port_of: PortOf, refer: Refer) -> None:
    """It works, for each subscriber alone; or it is refused at once with what to do instead, and only that call is."""
    addresses = way.to(port_of(version))
    subscribers = [(consumer, refer(consumer, *addresses)) for consumer in map(peers.consumer, VERSIONS)]
    refused = []
    for consumer, ref in subscribers:
        started = time.monotonic()
        try:
            assert consumer.do("subscribe", ref=ref, key=ref) == "A"
        except PeerError as error:
            refused.append(error.text)
            assert time.monotonic() - started < 5
        assert consumer.call(ref, "whoami") == "A"
    if refused:
        assert not way.is_direct
        assert len(refused) == len(subscribers) and all(map(ADVICE.search, refused)), refused
        return
    for consumer, ref in subscribers:
        hears(consumer, ref, ref)
    report = subscribers[0][0].do("flood", ref=subscribers[0][1], threads=20, calls=100)
    assert (report["good"], report["wrong"], report["failed"]) == (2000, 0, 0), report["errors"]
    for consumer, ref in subscribers:
        assert consumer.do("heard", key=ref) == [f"{ref}-{i}" for i in range(20)]


@pytest.mark.parametrize("version", VERSIONS)
def test_callback_argument_over_a_relay(
    proxied: Way, version: str, peers: Peers, port_of: PortOf, refer: Refer
) -> None:
    """A listener that only relays gives each caller a connection of its own, so that callbacks come back."""
    port = free_port()
    proxied.sidecar([], [mesh.inbound(f"tcp://{ANY}:{port}", port_of(version)) | {"protocol": "tcp"}])
    consumer = peers.consumer(version)
    ref = refer(consumer, port)
    assert consumer.do("subscribe", ref=ref, key=ref) == "A"
    hears(consumer, ref, ref)
