"""Generated policies before Envoy and before us: the same calls reach the same instances in the same shares.

Weights of routes and of instances, subsets, matches, levels and shares of localities, retries. MESHFAST_TWINS: another
seed, and how many policies ("7:200").
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from conftest import obtain
from harness.process import HOST, free_port
from harness.sidecar import Sidecar
from harness.twin_envoy import Instances, ask, envoy_of
from harness.twin_istio import documents
from harness.twins import OWN, Case, cases, unlike

GOOD, BAD, CALLS = 6, 2, 300
SEED, N = map(int, os.environ.get("MESHFAST_TWINS", "1:30").split(":"))
#: A normal deviate that chance gives once in 10 million times.
UNLIKELY = 5.2
CASES = cases(SEED, N, GOOD, BAD)


class Twins:
    """The instances, Envoy and a sidecar on each loop before them, all with every case."""

    def __init__(self) -> None:
        self.instances = Instances(GOOD, BAD)
        self._envoy, port = envoy_of(CASES, self.instances.ports, self.instances.dead)
        self.ports = {"envoy": port}
        self._sidecars: list[Sidecar] = []
        made = documents(CASES, self.instances.ports, self.instances.dead)
        for loop in ("epoll", "io_uring"):
            port = self.ports[loop] = free_port()
            out = {"name": "out", "bind": f"tcp://{HOST}:{port}", "direction": "outbound", "protocol": "http2"}
            labels = {"istio-locality": ".".join(OWN)}
            limits = {"retryPercent": 100}  # as many as Envoy has, which has no budget that always holds
            self._sidecars.append(Sidecar(loop, [*made], [out], limits, labels))

    def close(self) -> None:
        for one in (*self._sidecars, self._envoy, self.instances):
            one.close()

    def outcome(self, proxy: str, case: Case, options: list[object]) -> tuple[list[int], list[int]]:
        """What callers were told, and how often each instance was asked."""
        before = self.instances.counts()
        told = ask(self.ports[proxy], case, options)
        return told, [now - was for was, now in zip(before, self.instances.counts(), strict=True)]


@pytest.fixture(scope="module")
def twins() -> Iterator[Twins]:
    twins = obtain(Twins)
    yield twins
    twins.close()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_twins(twins: Twins, case: Case) -> None:
    for options in case.requests_of(CALLS):
        told, asked = twins.outcome("envoy", case, options)
        for loop in ("epoll", "io_uring"):
            ours, ours_asked = twins.outcome(loop, case, options)
            seen = f"{case}\n{options}\nenvoy: {told} {asked}\n{loop}: {ours} {ours_asked}"
            assert unlike(told, ours) < UNLIKELY, seen
            assert unlike(asked, ours_asked) < UNLIKELY, seen


def test_what_is_unlike_is_seen() -> None:
    assert unlike([150, 150], [160, 140]) < 1.5
    assert unlike([150, 150], [220, 80]) > UNLIKELY
    assert unlike([300, 0], [260, 40]) > UNLIKELY
    assert unlike([100, 100, 100], [95, 102, 103]) < 1
    assert unlike([0, 0], [0, 0]) == 0
    assert unlike([0, 0], [3, 0]) > UNLIKELY
    assert {case.name for case in CASES} == {f"c{i}" for i in range(N)}
