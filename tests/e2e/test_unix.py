"""UNIX sockets on either side of us. No Dubbo SDK has a UNIX client or server, so a plain byte relay bridges to TCP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from conftest import Peers
from harness import mesh
from harness.relay import Relay
from harness.way import Way

Refer = Callable[..., str]
PortOf = Callable[..., int]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket's."""
    with TemporaryDirectory(prefix="mf") as name:
        yield Path(name)


def test_unix(peers: Peers, proxied: Way, version: str, folder: Path, port_of: PortOf, refer: Refer) -> None:
    consumer = peers.consumer(version)
    listening, instance = str(folder / "sidecar.sock"), str(folder / "provider.sock")
    with Relay(port_of(version), path=instance, record=False):
        proxied.sidecar([mesh.entry([mesh.endpoint(instance)])], [mesh.outbound(f"unix://{listening}")])
        with Relay(listening, record=False) as bridge:
            ref = refer(consumer, bridge.port)
            assert consumer.call(ref, "echo", "caf\u00e9") == "caf\u00e9"
            assert consumer.do("checksum", ref=ref, size=4 << 20) == "same"
            report = consumer.do("flood", ref=ref, threads=20, calls=100)
            assert (report["good"], report["wrong"], report["failed"]) == (2000, 0, 0), report["errors"]
