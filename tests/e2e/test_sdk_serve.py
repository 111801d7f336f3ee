"""Applications of Python that serve by the SDK, registered by their sidecars in a real ZooKeeper, and consumers of
Apache Dubbo that find them there and know of no sidecar."""

from __future__ import annotations

import itertools
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Peers, obtain
from harness import mesh
from harness.driver import PeerError
from harness.java import SERVICE, VERSIONS, Java
from harness.load import loaded
from harness.process import ANY, HOST, PROJECT, RUN, Process, free_port, until
from harness.registered import registry
from harness.sidecar import Sidecar
from harness.way import LOOPS
from harness.zookeeper import ZooKeeper

Refer = Callable[..., str]
_numbers = itertools.count(1)
SECONDS = 30.0
LONG = 200_000


@pytest.fixture(scope="module")
def server() -> Iterator[ZooKeeper]:
    server = obtain(ZooKeeper)
    yield server
    server.close()


@pytest.fixture
def root() -> str:
    """A node of the test's own."""
    return f"sdkserve{next(_numbers)}"


class Served:
    """A sidecar, and the application of Python behind it, which can be started again."""

    def __init__(self, server: ZooKeeper, root: str, name: str, loop: str = LOOPS[0], *protocols: str) -> None:
        """``protocols``: those of the application that serves by Triple as well."""
        number = next(_numbers)
        self.protocols = protocols
        self.name, self.port, app = name, free_port(), free_port()
        self.api = f"unix://{RUN}/sdk-{number}.api"
        state = RUN / f"sdk-{number}"
        shutil.rmtree(state, ignore_errors=True)
        more = {
            "endpoint": {"http": self.api},
            "registries": [registry(server.address, root=f"/{root}", register=True, subscribe=False)],
            "advertise": {"address": HOST},
            "state": str(state),
        }
        self.sidecar = Sidecar(loop, [], [mesh.inbound(f"tcp://{ANY}:{self.port}", app)], more=more)
        self.python = self.start()

    def start(self) -> Process:
        folder = PROJECT / "tests" / "e2e" / "pysdk"
        command = [sys.executable, folder / "serve.py", self.api, self.name]
        if self.protocols:
            command = [sys.executable, folder / "triple.py", self.name, "0", self.api, *self.protocols]
        self.python = Process(f"pysdk-{self.name}-{next(_numbers)}", command, env={"PYTHONPATH": str(PROJECT)})
        return self.python

    def close(self) -> None:
        self.python.close()
        self.sidecar.close()


Serve = Callable[..., Served]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes them, and ends them."""
    made: list[Served] = []

    def make(*args: object) -> Served:
        made.append(Served(*args))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for one in made:
        one.close()


def who(consumer: Java, ref: str) -> str:
    """Who answers; "" where nobody does: a sidecar dials an application that was away once in a second."""
    try:
        return str(consumer.call(ref, "whoami"))
    except PeerError:
        return ""


@pytest.mark.parametrize("loop", LOOPS)
def test_consumers_of_java_call_it(
    loop: str, server: ZooKeeper, root: str, peers: Peers, refer: Refer, serve: Serve
) -> None:
    """Values, exceptions, attachments and long bodies; until it is killed, and when it is back."""
    one = serve(server, root, "P", loop)
    server.listed(SERVICE, one.port, root=root)
    for version in VERSIONS:
        consumer = peers.consumer(version)
        ref = refer(consumer, registry=server.taking(root=root))
        assert consumer.call(ref, "whoami") == "P"
        assert consumer.call(ref, "echo", "ü€𝄞") == "ü€𝄞" and consumer.call(ref, "nothing") is None
        assert consumer.call(ref, "slow", 10, "x") == "P|x"
        assert consumer.call(ref, "attachments", attachments={"env": "dev1", "traceparent": "00-1"}).items() >= {
            ("env", "dev1"), ("traceparent", "00-1")
        }  # fmt: skip
        assert consumer.do("checksum", ref=ref, size=LONG) == "same"
        assert consumer.do("produce", ref=ref, size=LONG) == LONG
        with pytest.raises(PeerError) as caught:
            consumer.call(ref, "fail", "boo")
        assert caught.value.kind == "java.lang.RuntimeException" and "boo" in caught.value.text
        with pytest.raises(PeerError, match="has no method left"):
            consumer.call(ref, "left")
        consumer.call(ref, "record", version)
        until("it is recorded", lambda: version in consumer.call(ref, "recorded"), SECONDS)  # noqa: B023
    assert one.sidecar.count("answers") >= 2 * len(VERSIONS)
    began = time.monotonic()
    one.python.kill()
    server.listed(SERVICE, root=root)
    print(f"{loop}: an application of Python that was killed is gone after {time.monotonic() - began:.2f} s")
    one.start()
    server.listed(SERVICE, one.port, root=root)
    for version in VERSIONS:
        consumer = peers.consumer(version)
        ref = refer(consumer, registry=server.taking(root=root))
        until("it answers", lambda: who(consumer, ref) == "P", SECONDS)  # noqa: B023


#: A consumer, and what it calls by.
LEAVING = [*((version, ()) for version in VERSIONS), ("java-3.3", ("tri",))]


@pytest.mark.parametrize(("version", "protocols"), LEAVING, ids=["-".join((one, *by)) for one, by in LEAVING])
def test_it_leaves_under_load(
    version: str, protocols: tuple[str, ...], server: ZooKeeper, root: str, peers: Peers, refer: Refer, serve: Serve
) -> None:
    """Of two one ends, while a consumer that follows the registry loses no call."""
    pair = [serve(server, root, name, LOOPS[0], *protocols) for name in "PQ"]
    server.listed(SERVICE, *(one.port for one in pair), root=root)
    consumer = peers.consumer(version)
    ref = refer(consumer, registry=server.taking(root=root))
    until("both answer", lambda: {consumer.call(ref, "whoami") for _ in range(8)} == {"P", "Q"}, SECONDS)
    with loaded(consumer, ref, threads=4) as report:
        until("calls", lambda: report()["good"] > 50)
        pair[0].python.terminate()
        server.listed(SERVICE, pair[1].port, root=root)
        assert pair[0].python.wait(SECONDS) == 0
        before = report()["good"]
        until("calls go on", lambda: report()["good"] > before + 50)
        told = report(end=True)
        assert (told["wrong"], told["failed"]) == (0, 0), told["errors"]


@pytest.mark.parametrize("loop", LOOPS)
def test_nobody_sees_that_a_sidecar_was_killed(
    loop: str, server: ZooKeeper, root: str, peers: Peers, refer: Refer, serve: Serve
) -> None:
    """Killed again and again, within its session: a watcher hears nothing, and the application is there again."""
    one = serve(server, root, "P", loop)
    server.listed(SERVICE, one.port, root=root)
    folder = f"/{root}/{SERVICE}/providers"
    before, heard = server.children(folder), list[Any]()
    server.kazoo.get_children(folder, watch=heard.append)
    for _ in range(3):
        one.sidecar.kill()
        one.sidecar.again()
        until("it is said again", lambda: one.sidecar.count("endpoint_http_connections") == 1, SECONDS)
        until("it is registered", lambda: '"state": "registered"' in one.sidecar.get("/registries"), SECONDS)
    assert server.children(folder) == before and heard == []
    consumer = peers.consumer("java-3.3")
    ref = refer(consumer, registry=server.taking(root=root))
    until("it answers", lambda: who(consumer, ref) == "P", SECONDS)
