"""Applications of Dubbo for Java in a Nacos, rnacos: sidecars find them there, and register theirs by beats. Where it
is not built nothing of it is tested: it takes a quarter of an hour, so only `make nightly` does.
"""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Peers, obtain
from harness import mesh
from harness.driver import PeerError
from harness.java import SERVICE, Java
from harness.nacos import PROGRAM, Nacos
from harness.process import ANY, HOST, PROJECT, RUN, free_port, until
from harness.registered import Followers, Registered, registry, took
from harness.sidecar import Sidecar
from harness.way import LOOPS

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason=f"no rnacos at {PROGRAM}: `make rnacos` builds it")

Refer = Callable[..., str]
#: A consumer that looks for applications alone.
ALONE = {"migration_step": "FORCE_APPLICATION"}
PROVIDERS = f"providers:{SERVICE}::"
_numbers = itertools.count(1)


@pytest.fixture
def nacos() -> Iterator[Nacos]:
    """A server of the test's own."""
    server = Nacos()
    yield server
    server.close()


@pytest.fixture
def applications() -> Iterator[Registered]:
    """A JVM in which instances come and go: of the test's own, as its clients go on looking for a server that ended."""
    java = obtain(lambda: Registered("java-3.3", "nacos"))
    yield java
    java.close()


@pytest.fixture
def followers(peers: Peers, refer: Refer) -> Iterator[Followers]:
    followers = Followers(peers.consumer("java-3.3"), refer)
    yield followers
    followers.stop()


class Beside:
    """A sidecar that registers an application, which knows no registry."""

    def __init__(self, nacos: Nacos, loop: str, user: str = "", levels: tuple[str, ...] = ("interface",)) -> None:
        self.app, self.port, self.loop = free_port(), free_port(), loop
        state = RUN / f"state-nacos-{next(_numbers)}"
        shutil.rmtree(state, ignore_errors=True)
        address = nacos.address.replace("://", f"://{user}@") if user else nacos.address
        self._more: dict[str, Any] = {
            "state": str(state),
            "workload": {"app": "beside"},
            "registries": [registry(address, register=True, subscribe=False)],
            "registrations": [{"service": SERVICE, "listener": "in"}],
            "advertise": {"address": HOST, "levels": list(levels)},
        }
        self.sidecar: Sidecar | None = None

    def start(self) -> Sidecar:
        listener = mesh.inbound(f"tcp://{ANY}:{self.port}", self.app)
        self.sidecar = Sidecar(self.loop, [], [listener], more=self._more)
        return self.sidecar

    def close(self) -> None:
        if self.sidecar is not None:
            self.sidecar.close()


@pytest.fixture
def besides(nacos: Nacos) -> Iterator[Callable[..., Beside]]:
    made: list[Beside] = []

    def make(loop: str = LOOPS[0], **fields: Any) -> Beside:
        made.append(Beside(nacos, loop, **fields))
        return made[-1]

    yield make
    for one in made:
        one.close()


def registered(sidecar: Sidecar) -> None:
    until("it is registered", lambda: '"state": "registered"' in sidecar.get("/registries"))


def test_come_and_go(nacos: Nacos, applications: Registered, followers: Followers) -> None:
    """Instances are called from when they are there until they leave."""
    first = applications.export("A", registry=nacos.taking())
    nacos.listed(SERVICE, first)
    refs = followers.follow(registry(nacos.address, services=[SERVICE]))
    followers.answered_by(refs, "A", what="nacos: first answer")
    second = applications.export("B", registry=nacos.taking())
    nacos.listed(SERVICE, first, second)
    followers.answered_by(refs, "A", "B", what="nacos: a new instance")
    applications.leave(first)
    nacos.listed(SERVICE, second)
    followers.answered_by(refs, "B", what="nacos: an instance less")
    print({what: f"{seconds:.2f} s" for what, seconds in took.items() if what.startswith("nacos")})


@pytest.mark.parametrize("metadata", ["local", "remote"])
def test_an_application_is_found(metadata: str, nacos: Nacos, applications: Registered, followers: Followers) -> None:
    """As an instance alone: by the mapping, its service, and what it says that it offers."""
    applications.export("A", registry=nacos.taking("instance"), application="shop", metadata=metadata)
    until("A is written", lambda: nacos.hosts("shop") and nacos.config(SERVICE, "mapping") == b"shop")
    assert nacos.providers(SERVICE) == []
    refs = followers.follow(registry(nacos.address, services=[SERVICE]))
    followers.answered_by(refs, "A")
    applications.export("B", registry=nacos.taking("instance"), application="shop2", metadata=metadata)
    followers.answered_by(refs, "A", "B", what="nacos: a second application")


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_no_call_notices_that_nacos_is_away(
    how: str, nacos: Nacos, applications: Registered, followers: Followers
) -> None:
    """Under load; one that was killed has forgotten everything, and is told again by those who were there."""
    first = applications.export("A", registry=nacos.taking())
    nacos.listed(SERVICE, first)
    refs = followers.follow(registry(nacos.address, services=[SERVICE], session="3s"))
    followers.answered_by(refs, "A")
    with followers.calling(refs):
        if how == "frozen":
            nacos.freeze()
            for sidecar in followers.sidecars:
                until("it is seen", lambda: sidecar.count("registry_connected") == 0)  # noqa: B023
            nacos.thaw()
        else:
            nacos.kill()
            nacos.start()
            for sidecar in followers.sidecars:
                until("it is connected", lambda: sidecar.count("registry_connected") == 1)  # noqa: B023
            until("A is there again", lambda: nacos.providers(SERVICE) == [first], 60)
    applications.export("B", registry=nacos.taking())
    followers.answered_by(refs, "A", "B", what=f"nacos: a new instance after it was {how}")


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("level", ["interface", "instance"])
def test_a_consumer_calls_through_the_sidecar(
    level: str, loop: str, nacos: Nacos, peers: Peers, besides: Callable[..., Beside]
) -> None:
    """It finds it in Nacos and knows of no sidecar; the application is killed, and its instance goes at once."""
    one = besides(loop, levels=(level,))
    provider = peers.fresh("java-3.3")
    provider.export("A", one.app)
    sidecar = one.start()
    service = PROVIDERS if level == "interface" else "beside"
    until("it is listed", lambda: [each["port"] for each in nacos.hosts(service)] == [one.port])
    consumer = obtain(lambda: Registered("java-3.3", "consumer"))
    try:
        consumer.refer("ref", registry=nacos.address, **(ALONE if level == "instance" else {}))
        until("A answers", lambda: whoami(consumer, "ref") == "A")
        before = sidecar.count("answers")
        assert {consumer.call("ref", "whoami") for _ in range(10)} == {"A"}
        assert sidecar.count("answers") - before == 10
    finally:
        consumer.close()
    began = time.monotonic()
    provider.kill()
    until("it is gone", lambda: not nacos.hosts(service))
    print(f"{loop}: an application that was killed is gone from Nacos after {time.monotonic() - began:.2f} s")


def whoami(consumer: Java, ref: str) -> str:
    try:
        return str(consumer.call(ref, "whoami"))
    except PeerError as error:
        return f"none: {error}"


@pytest.mark.parametrize("level", ["interface", "instance"])
def test_nobody_sees_that_a_sidecar_was_killed(
    level: str, nacos: Nacos, peers: Peers, besides: Callable[..., Beside]
) -> None:
    """Killed again and again: the instance stays as it was, and whoever looks finds it each time; a stop takes it away
    first."""
    one = besides(levels=(level,))
    peers.fresh("java-3.3").export("A", one.app)
    registered(one.start())
    service = PROVIDERS if level == "interface" else "beside"
    (before,) = nacos.hosts(service)
    seen: list[Any] = []
    over = threading.Event()

    def look() -> None:
        while not over.wait(0.02):
            seen.append(nacos.hosts(service))

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(3):
            assert one.sidecar is not None
            one.sidecar.kill()
            registered(one.start())
    finally:
        over.set()
        looking.join()
    assert seen and all(each == [before] for each in seen)
    sidecar = one.sidecar
    sidecar.terminate()
    until("it is gone", lambda: not nacos.hosts(service))
    assert sidecar.child.poll() is None  # it serves on for a while
    sidecar.wait(30)
    assert not nacos.hosts(service)


def test_a_nacos_that_was_killed_has_it_again(nacos: Nacos, peers: Peers, besides: Callable[..., Beside]) -> None:
    """It has forgotten it, or somebody took it away: it is there by the next beat."""
    one = besides(levels=("interface", "instance"))
    peers.fresh("java-3.3").export("A", one.app)
    registered(one.start())
    before = nacos.hosts(PROVIDERS), nacos.hosts("beside")
    nacos.kill()
    nacos.start()
    until("it is there again", lambda: (nacos.hosts(PROVIDERS), nacos.hosts("beside")) == before)
    nacos.ask("DELETE", "ns/instance", serviceName=PROVIDERS, ip=HOST, port=one.port)
    until("it is there again", lambda: nacos.hosts(PROVIDERS) == before[0])


def test_beside_one_that_registers_itself(
    nacos: Nacos, applications: Registered, followers: Followers, peers: Peers, besides: Callable[..., Beside]
) -> None:
    """One by its sidecar, one by itself, at both levels: whoever looks finds both, each once; so does the mapping."""
    applications.export("A", registry=nacos.taking("all"), application="direct")
    until("A is written", lambda: nacos.config(SERVICE, "mapping") == b"direct")
    one = besides(levels=("interface", "instance"))
    peers.fresh("java-3.3").export("B", one.app)
    registered(one.start())
    assert nacos.config(SERVICE, "mapping") == b"direct,beside"
    refs = followers.follow(registry(nacos.address, services=[SERVICE]))
    followers.answered_by(refs, "A", "B")
    ((theirs,), (ours,)) = nacos.hosts("direct"), nacos.hosts("beside")
    assert theirs["metadata"].keys() - ours["metadata"].keys() <= {"dubbo.metadata-service.url-params"}
    by_port = {each["port"]: each["metadata"] for each in nacos.hosts(PROVIDERS)}
    mine = by_port.pop(one.port)
    (other,) = by_port.values()
    assert {"protocol", "path", "category", "interface", "side"} <= mine.keys() & other.keys()


def test_a_user(peers: Peers, besides: Callable[..., Beside]) -> None:
    """Without the password nothing is done, and the log says why; with it all is."""
    server = Nacos("shop", "hush:hush")
    right, wrong, none = (Beside(server, LOOPS[0], user=user) for user in ("shop:hush%3Ahush", "shop:other", ""))
    try:
        peers.fresh("java-3.3").export("A", right.app)
        registered(right.start())
        for one, says in ((wrong, "unknown user"), (none, "it asks for a user")):
            sidecar = one.start()
            until("it is told", lambda: says in sidecar.get("/registries"))  # noqa: B023
    finally:
        for each in (right, wrong, none):
            each.close()
        server.close()


def test_the_verb(nacos: Nacos, applications: Registered) -> None:
    port = applications.export("A", registry=nacos.taking())
    nacos.listed(SERVICE, port)

    def run(*words: str) -> Any:
        command = [sys.executable, "-m", "meshfast", "registry", *words, "-o", "json"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=60, check=True)
        return json.loads(done.stdout)

    assert [each["service"] for each in run("ls", nacos.address)] == [SERVICE]
    (offered,) = run("get", nacos.address, SERVICE)
    assert [each["address"].rpartition(":")[2] for each in offered["instances"]] == [str(port)]
