"""Sidecars that take over from each other, and applications that take who calls in while theirs is away: with a real
ZooKeeper, and consumers that know of nothing."""

from __future__ import annotations

import itertools
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Peers, obtain
from harness import mesh
from harness.java import SERVICE
from harness.load import loaded
from harness.process import ANY, HOST, PROJECT, RUN, Process, free_port, until
from harness.registered import registry
from harness.sidecar import Sidecar
from harness.way import LOOPS
from harness.zookeeper import ZooKeeper

Refer = Callable[..., str]
_numbers = itertools.count(1)
SECONDS = 30.0
TIMES = 3
#: So that 3.3 dials anew within a second; without it that takes a minute.
BACK = ("heartbeat=1000", "dubbo.application.least-reconnect-duration=1000")


@pytest.fixture(scope="module")
def server() -> Iterator[ZooKeeper]:
    server = obtain(ZooKeeper)
    yield server
    server.close()


class Served:
    """An application of Python behind a sidecar that registers it."""

    def __init__(self, server: ZooKeeper, root: str, loop: str) -> None:
        number = next(_numbers)
        self.port, app = free_port(), free_port()
        api, state = f"unix://{RUN}/takeover-{number}.api", RUN / f"takeover-{number}"
        shutil.rmtree(state, ignore_errors=True)
        more = {
            "endpoint": {"http": api},
            "registries": [registry(server.address, root=f"/{root}", register=True, subscribe=False)],
            "advertise": {"address": HOST},
            "state": str(state),
        }
        self.sidecar = Sidecar(loop, [], [mesh.inbound(f"tcp://{ANY}:{self.port}", app)], more=more)
        command = [sys.executable, PROJECT / "tests" / "e2e" / "pysdk" / "serve.py", api, "P", state, *BACK]
        self.python = Process(f"pysdk-takeover-{number}", command, env={"PYTHONPATH": str(PROJECT)})

    def registered(self) -> None:
        until("it is said again", lambda: self.sidecar.count("endpoint_http_connections") == 1, SECONDS)
        until("it is registered", lambda: '"state": "registered"' in self.sidecar.get("/registries"), SECONDS)

    def close(self) -> None:
        self.python.close()
        self.sidecar.close()


@pytest.mark.parametrize("version", ["java-3.3", "java-2.7"])
@pytest.mark.parametrize("loop", LOOPS)
def test_neither_a_registry_nor_callers_see_it(
    loop: str, version: str, server: ZooKeeper, peers: Peers, refer: Refer
) -> None:
    """A watcher hears nothing, and of a consumer that calls two of them all the while no call fails."""
    root = f"takeover{next(_numbers)}"
    one, other = Served(server, root, loop), Served(server, root, loop)
    try:
        server.listed(SERVICE, one.port, other.port, root=root)
        folder = f"/{root}/{SERVICE}/providers"
        before, heard = server.children(folder), list[Any]()
        server.kazoo.get_children(folder, watch=heard.append)
        consumer = peers.consumer(version)
        ref = refer(consumer, registry=server.taking(root=root))
        with loaded(consumer, ref, threads=4) as report:
            for _ in range(TIMES):
                good = report()["good"]
                until("calls go on", lambda: report()["good"] > good + 50)  # noqa: B023
                served = one.sidecar.count("calls")
                assert served > 0
                assert one.sidecar.take_over() == 0, one.sidecar.tail()
                one.registered()
                until("calls go on by it", lambda: one.sidecar.count("calls") > 0, 2 * SECONDS)
            good = report()["good"]
            until("calls go on", lambda: report()["good"] > good + 50)
            told = report(end=True)
        print(f"{loop}, {version}: {told}")
        assert (told["wrong"], told["failed"]) == (0, 0), told["errors"]
        assert server.children(folder) == before and heard == []
        assert "cut off" not in one.sidecar.log.read_text(), one.sidecar.tail()
    finally:
        one.close()
        other.close()


@pytest.mark.parametrize("version", ["java-3.3", "java-2.7"])
@pytest.mark.parametrize("way", ["out", "in"])
@pytest.mark.parametrize("loop", LOOPS)
def test_a_caller_with_one_provider_sees_nothing(
    loop: str, way: str, version: str, peers: Peers, port_of: Callable[..., int], refer: Refer
) -> None:
    """All it knows is one address: of its own sidecar, or of its provider's. Its connection goes on in each that takes
    over, as it is waited for its calls to end."""
    app, port, state = port_of(version), free_port(), RUN / f"takeover-{next(_numbers)}"
    shutil.rmtree(state, ignore_errors=True)
    listener = mesh.outbound(f"tcp://{ANY}:{port}") if way == "out" else mesh.inbound(f"tcp://{ANY}:{port}", app)
    documents = [mesh.entry([mesh.endpoint(app)])] if way == "out" else []
    sidecar = Sidecar(loop, documents, [listener], {"passTimeout": 60000}, more={"state": str(state)}, workers=2)
    try:
        consumer = peers.consumer(version)
        ref = refer(consumer, port)
        with loaded(consumer, ref, threads=8, pause=0) as report:
            for n in range(2 * TIMES):
                good = report()["good"]
                until("calls go on", lambda: report()["good"] > good + 500)  # noqa: B023
                assert sidecar.count("calls") > 0
                assert (sidecar.count("downstream_connections") > 0) is (n == 0)  # nobody has dialled anew
                assert sidecar.take_over() == 0, sidecar.tail()
                until("its connection is here", lambda: sidecar.count("connections_adopted") > 0)
            good = report()["good"]
            until("calls go on", lambda: report()["good"] > good + 500)
            told = report(end=True)
        print(f"{loop}, {way}, {version}: {told}")
        assert (told["wrong"], told["failed"]) == (0, 0), told["errors"]
        log = sidecar.log.read_text()
        assert "cut off" not in log and re.findall(r"(\d+) stay until they leave", log) == ["0"] * 2 * TIMES, log
    finally:
        sidecar.close()
