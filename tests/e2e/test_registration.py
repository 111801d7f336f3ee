"""Applications that know no registry, registered by their sidecars in a real ZooKeeper, and consumers that find them
there."""

from __future__ import annotations

import itertools
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Peers, Triple, obtain
from harness import mesh
from harness.java import SERVICE, VERSIONS, Java
from harness.load import loaded
from harness.process import ANY, HOST, RUN, free_port, until
from harness.sidecar import Sidecar
from harness.way import LOOPS
from harness.zookeeper import ZooKeeper

Refer = Callable[..., str]
_numbers = itertools.count(1)
#: How long a change may take to be seen.
SECONDS = 30.0


@pytest.fixture(scope="module")
def server() -> Iterator[ZooKeeper]:
    """A server for the tests that leave it alone."""
    server = obtain(ZooKeeper)
    yield server
    server.close()


@pytest.fixture
def own_server() -> Iterator[ZooKeeper]:
    """A server of the test's own."""
    server = obtain(ZooKeeper)
    yield server
    server.close()


class Registered:
    """One application, and a sidecar that registers it and can be started again."""

    def __init__(
        self, server: ZooKeeper, root: str, loop: str = LOOPS[0], session: str = "10s", user: str = "",
        protocol: str = "dubbo",
    ) -> None:  # fmt: skip
        self.address = server.address.replace("://", f"://{user}@") if user else server.address
        self.server, self.root, self.loop, self.session = server, root, loop, session
        self.protocol = protocol
        self.app, self.port = free_port(), free_port()
        self.state = RUN / f"registered-{next(_numbers)}"
        shutil.rmtree(self.state, ignore_errors=True)
        self.sidecar: Sidecar | None = None

    def start(self) -> Sidecar:
        registry = {"name": "main", "address": self.address, "root": f"/{self.root}", "session": self.session}
        more: dict[str, Any] = {
            "state": str(self.state),
            "registries": [{**registry, "register": True, "subscribe": False}],
            "registrations": [{"service": SERVICE, "listener": "in", "protocol": self.protocol}],
            "advertise": {"address": HOST},
        }
        self.sidecar = Sidecar(self.loop, [], [mesh.inbound(f"tcp://{ANY}:{self.port}", self.app)], more=more)
        return self.sidecar

    def close(self) -> None:
        if self.sidecar is not None:
            self.sidecar.close()


Registering = Callable[..., Registered]


@pytest.fixture
def registering() -> Iterator[Registering]:
    """Makes them, and ends them."""
    made: list[Registered] = []

    def make(*args: Any, **fields: Any) -> Registered:
        made.append(Registered(*args, **fields))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def root() -> str:
    """A node of the test's own."""
    return f"registration{next(_numbers)}"


def follow(refer: Refer, consumer: Java, server: ZooKeeper, root: str) -> str:
    """A reference by what the registry lists."""
    return refer(consumer, registry=server.taking(root=root))


def nodes(server: ZooKeeper, root: str) -> dict[str, tuple[int, int]]:
    """Those of the providers: whose session they are of, and when they were made."""
    folder = f"/{root}/{SERVICE}/providers"
    found = {}
    for name in server.children(folder):
        stat = server.kazoo.exists(f"{folder}/{name}")
        if stat is not None:
            found[name] = (stat.ephemeralOwner, stat.czxid)
    return found


@pytest.mark.parametrize("loop", LOOPS)
def test_consumers_find_it_and_call_through_the_sidecar(
    loop: str, server: ZooKeeper, root: str, peers: Peers, refer: Refer, registering: Registering
) -> None:
    """Those of 2.7 and of 3.3, which know of no sidecar; until the application is killed, and when it is back."""
    one = registering(server, root, loop)
    provider = peers.fresh("java-3.3")
    provider.export("A", one.app)
    sidecar = one.start()
    server.listed(SERVICE, one.port, root=root)
    for version in VERSIONS:
        ref = follow(refer, peers.consumer(version), server, root)
        assert peers.consumer(version).call(ref, "whoami") == "A"
    assert sidecar.count("answers") >= len(VERSIONS)
    began = time.monotonic()
    provider.kill()
    server.listed(SERVICE, root=root)
    print(f"{loop}: an application that was killed is gone after {time.monotonic() - began:.2f} s")
    again = peers.fresh("java-2.7")
    again.export("B", one.app)
    server.listed(SERVICE, one.port, root=root)
    for version in VERSIONS:
        consumer = peers.consumer(version)
        ref = follow(refer, consumer, server, root)
        until("B answers", lambda: consumer.call(ref, "whoami") == "B", SECONDS)  # noqa: B023


@pytest.mark.parametrize("loop", LOOPS)
def test_nobody_sees_that_a_sidecar_was_killed(
    loop: str, server: ZooKeeper, root: str, peers: Peers, registering: Registering
) -> None:
    """Killed again and again, within its session: nodes are the same, and a watcher hears nothing."""
    one = registering(server, root, loop)
    peers.fresh("java-3.3").export("A", one.app)
    one.start()
    server.listed(SERVICE, one.port, root=root)
    before = nodes(server, root)
    heard: list[Any] = []
    server.kazoo.get_children(f"/{root}/{SERVICE}/providers", watch=heard.append)
    for _ in range(3):
        assert one.sidecar is not None
        one.sidecar.kill()
        sidecar = one.start()
        until("it is registered", lambda: '"state": "registered"' in sidecar.get("/registries"), SECONDS)  # noqa: B023
        assert sidecar.count("registry_sessions") == 0
    assert nodes(server, root) == before and heard == []


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sidecar_leaves_under_load(
    version: str, server: ZooKeeper, root: str, peers: Peers, refer: Refer, registering: Registering
) -> None:
    """Of two sidecars one ends and comes back, while a consumer that follows the registry loses no call."""
    pair = [registering(server, root), registering(server, root)]
    for name, one in zip("AB", pair, strict=True):
        peers.fresh("java-3.3").export(name, one.app)
        one.start()
    server.listed(SERVICE, *(one.port for one in pair), root=root)
    consumer = peers.consumer(version)
    ref = follow(refer, consumer, server, root)
    until("both answer", lambda: {consumer.call(ref, "whoami") for _ in range(8)} == {"A", "B"}, SECONDS)
    with loaded(consumer, ref, threads=4) as report:
        until("calls", lambda: report()["good"] > 50)
        leaving = pair[0].sidecar
        assert leaving is not None
        leaving.terminate()
        server.listed(SERVICE, pair[1].port, root=root)
        assert leaving.wait(SECONDS) == 0
        before = report()["good"]
        until("calls go on", lambda: report()["good"] > before + 50)
        pair[0].start()
        server.listed(SERVICE, *(one.port for one in pair), root=root)
        told = report(end=True)
        assert (told["wrong"], told["failed"]) == (0, 0), told["errors"]


def test_a_registry_that_was_killed_has_it_again(
    own_server: ZooKeeper, root: str, peers: Peers, registering: Registering
) -> None:
    """By the session that it was of, and by another one where it has ended."""
    one = registering(own_server, root, session="2s")
    peers.fresh("java-3.3").export("A", one.app)
    sidecar = one.start()
    own_server.listed(SERVICE, one.port, root=root)
    before = nodes(own_server, root)
    own_server.kill()
    own_server.start()
    until("it is connected", lambda: sidecar.count("registry_connected") == 1, SECONDS)
    own_server.listed(SERVICE, one.port, root=root)
    assert set(nodes(own_server, root)) == set(before)
    sidecar.child.send_signal(signal.SIGSTOP)
    own_server.listed(SERVICE, root=root)
    sidecar.child.send_signal(signal.SIGCONT)
    own_server.listed(SERVICE, one.port, root=root)
    assert set(nodes(own_server, root)) == set(before)


def test_an_application_that_registers_itself_besides_is_told(
    server: ZooKeeper, root: str, peers: Peers, registering: Registering
) -> None:
    """Its own node is not ours to take away."""
    one = registering(server, root)
    peers.fresh("java-2.7").export("A", one.app, registry=server.taking(root=root))
    server.listed(SERVICE, one.app, root=root)
    sidecar = one.start()
    server.listed(SERVICE, one.app, one.port, root=root)
    until("it is told", lambda: sidecar.count("registration_conflicts") == 1, SECONDS)
    assert f"{HOST}:{one.app}" in sidecar.get("/registries")


def test_with_a_user_it_is_for_those_with_the_same(
    server: ZooKeeper, root: str, peers: Peers, refer: Refer, registering: Registering
) -> None:
    """As the SDK has it: what it writes nobody else reads or changes."""
    user = "me:secret"
    one = registering(server, root, user=user)
    peers.fresh("java-3.3").export("A", one.app)
    one.start()
    server.kazoo.add_auth("digest", user)
    server.listed(SERVICE, one.port, root=root)
    [name] = nodes(server, root)
    acls, _ = server.kazoo.get_acls(f"/{root}/{SERVICE}/providers/{name}")
    assert [(acl.id.scheme, acl.id.id.partition(":")[0]) for acl in acls] == [("digest", "me")]
    consumer = peers.consumer("java-3.3")
    ref = refer(consumer, registry=server.taking(root=root).replace("://", f"://{user}@"))
    assert consumer.call(ref, "whoami") == "A"


def test_triple(
    server: ZooKeeper, root: str, peers: Peers, refer: Refer, triple: Triple, registering: Registering
) -> None:
    """A consumer of Triple finds and calls it; the application is killed, which its port tells."""
    one = registering(server, root, protocol="tri")
    provider = peers.fresh("java-3.3")
    provider.export("A", one.app, protocol="tri")
    one.start()
    server.listed(SERVICE, one.port, root=root)
    ref = follow(refer, triple.consumer, server, root)
    assert triple.consumer.call(ref, "whoami") == "A"
    began = time.monotonic()
    provider.kill()
    server.listed(SERVICE, root=root)
    print(f"an application of Triple that was killed is gone after {time.monotonic() - began:.2f} s")
