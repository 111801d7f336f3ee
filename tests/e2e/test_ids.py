"""Request ids that mean nothing to a sidecar: equal ones of several consumers, extreme ones, on one connection."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Callable

import pytest
from conftest import Peers
from harness import mesh
from harness.java import SERVICE, VERSIONS
from harness.process import ANY, HOST, free_port
from harness.way import Way

from meshfast import dubbo

#: As a provider in Java reads them, signed: both ends of the range, and what lies around zero.
IDS = (0, -1, 1, -(1 << 63), (1 << 63) - 1, 1 - (1 << 63), 1 << 24, -(1 << 24), (1 << 32) - 1, 0xDABB << 47)


def answers(address: int, ids: tuple[int, ...], rounds: int) -> Counter[tuple[int, str]]:
    """Asks under every id ``rounds`` times before the first answer is read; each answer's id and text."""
    found: Counter[tuple[int, str]] = Counter()
    with socket.create_connection((HOST, address), 30) as to:
        for turn in range(rounds):
            for at, request_id in enumerate(ids):
                args = [20 - 2 * at % 20, f"{turn}-{at}"]  # those asked first answer last
                frame = dubbo.encode_request(request_id, SERVICE, "slow", args, parameter_types="ILjava/lang/String;")
                to.sendall(frame)
        with to.makefile("rb") as frames:
            while found.total() < rounds * len(ids):
                head = frames.read(dubbo.HEAD_LENGTH)
                parsed = dubbo.parse_head(head)
                assert parsed, "the connection ended"
                body = frames.read(parsed.body_length)
                if not parsed.is_event:
                    found[parsed.request_id, str(dubbo.decode_response(head + body).value)] += 1
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_extreme_ids(way: Way, version: str, port_of: Callable[..., int]) -> None:
    (address,) = way.to(port_of(version))
    mask = (1 << 64) - 1
    want = Counter((request_id & mask, f"A|{turn}-{at}") for turn in range(5) for at, request_id in enumerate(IDS))
    got = answers(address, IDS, 5)
    assert Counter({(request_id & mask, text): n for (request_id, text), n in got.items()}) == want


def test_two_sdks_count_from_the_same_number(
    proxied: Way, peers: Peers, port_of: Callable[..., int], refer: Callable[..., str]
) -> None:
    port = free_port()
    sidecar = proxied.sidecar(
        [mesh.entry([mesh.endpoint(port_of("java-3.3"))])], [mesh.outbound(f"tcp://{ANY}:{port}")]
    )
    consumers = [peers.consumer(version) for version in VERSIONS]
    refs = [refer(consumer, port, connections=2) for consumer in consumers]
    floods = [
        consumer.start("flood", ref=ref, threads=20, calls=1000, size=100, seconds=300)
        for consumer, ref in zip(consumers, refs, strict=True)
    ]
    for flood in floods:
        report = flood.result(300)
        assert (report["good"], report["wrong"], report["failed"]) == (20_000, 0, 0), report["errors"]
    assert sidecar.count("answers_late") == 0
    assert sidecar.count("upstream_active") == 1  # all of them over one connection
    assert sidecar.count("downstream_active") >= 4
