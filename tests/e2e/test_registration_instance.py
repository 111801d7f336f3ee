"""Applications that their sidecars register by an instance, and consumers that look for applications alone."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Peers, obtain
from harness import mesh
from harness.driver import Driver, PeerError
from harness.go import Go
from harness.java import SERVICE
from harness.process import ANY, HOST, RUN, free_port, until
from harness.registered import Registered, registry
from harness.sidecar import Sidecar
from harness.way import LOOPS
from harness.zookeeper import ZooKeeper
from kazoo.exceptions import NoNodeError

_numbers = itertools.count(1)
#: How long a change may take to be seen.
SECONDS = 30.0
ALONE = {"migration_step": "FORCE_APPLICATION"}
#: Who looks for applications alone; dubbo-go does so by itself.
CONSUMERS: dict[str, dict[str, Any]] = {"java-3.3": ALONE, "go": {}}
#: What is said of itself, not of what is offered.
OWN = {"timestamp", "dubbo.metadata.revision"}
MARKS = {"meshfast", "meshfast.behind"}


@pytest.fixture(scope="module")
def server() -> Iterator[ZooKeeper]:
    server = obtain(ZooKeeper)
    yield server
    server.close()


@pytest.fixture
def own_server() -> Iterator[ZooKeeper]:
    """A server of the test's own, where instances are below /services as they are by default."""
    server = obtain(ZooKeeper)
    yield server
    server.close()


@pytest.fixture
def root() -> str:
    """A node of the test's own, where its instances are too."""
    return f"instance{next(_numbers)}"


class Beside:
    """A sidecar that registers an application at a port: what is configured, or what that says to it."""

    def __init__(
        self, loop: str, server: ZooKeeper, root: str, app: int, levels: list[str] | None = None, says: bool = False,
        state: str = "",
    ) -> None:  # fmt: skip
        self.port, self.own = free_port(), free_port()
        main = registry(server.address, root=f"/{root}", register=True, subscribe=False)
        more: dict[str, Any] = {
            "registries": [main], "advertise": {"address": HOST, **({"levels": levels} if levels else {})},
        }  # fmt: skip
        if state:
            shutil.rmtree(RUN / state, ignore_errors=True)
            more["state"] = str(RUN / state)
        doors = [mesh.inbound(f"tcp://{ANY}:{self.port}", app)]
        if says:
            doors.append({"name": "out", "bind": f"tcp://{ANY}:{free_port()}", "direction": "outbound"})
            more["endpoint"] = {"zookeeper": f"tcp://{HOST}:{self.own}"}
        else:
            more["registrations"] = [{"service": SERVICE, "listener": "in"}]
        self.sidecar = Sidecar(loop, [], doors, more=more)


@pytest.fixture
def beside() -> Iterator[Callable[..., Beside]]:
    made: list[Beside] = []

    def make(*args: Any, **named: Any) -> Beside:
        made.append(Beside(*args, **named))
        return made[-1]

    yield make
    for one in made:
        one.sidecar.close()


@pytest.fixture
def drivers() -> Iterator[Callable[[str], Any]]:
    """Starts an application of a kind, in a process of its own."""
    made: list[Driver] = []

    def start(kind: str) -> Any:
        name = f"instance-{next(_numbers)}"
        made.append(obtain(lambda: Go(name) if kind == "go" else Registered(kind, name)))
        return made[-1]

    yield start
    for one in made:
        one.close()


def instances(server: ZooKeeper, folder: str) -> dict[str, Any]:
    """Those of all applications below a node, by application and name."""
    found = {}
    for application in server.children(folder):
        for name in server.children(f"{folder}/{application}"):
            if ":" in name and "%" not in name:
                with contextlib.suppress(NoNodeError):  # gone meanwhile
                    data, _ = server.kazoo.get(f"{folder}/{application}/{name}")
                    found[f"{application}/{name}"] = json.loads(data)
    return found


def metadata(server: ZooKeeper, root: str, instance: dict[str, Any]) -> dict[str, Any]:
    revision = instance["payload"]["metadata"]["dubbo.metadata.revision"]
    data, _ = server.kazoo.get(f"/{root}/metadata/{instance['name']}/{revision}")
    return json.loads(data)  # type: ignore[no-any-return]


def answers(consumer: Driver, ref: str = "ref") -> str:
    try:
        return str(consumer.call(ref, "whoami"))
    except PeerError as error:
        return f"none: {error}"


@pytest.mark.parametrize("loop", LOOPS)
def test_java_that_looks_for_applications_alone(
    loop: str, server: ZooKeeper, root: str, peers: Peers, beside: Callable[..., Beside], drivers: Callable[[str], Any]
) -> None:
    """It finds an instance at the sidecar, until the application is killed, and when it is back."""
    app = free_port()
    provider = peers.fresh("java-3.3")
    provider.export("A", app)
    one = beside(loop, server, root, app, ["instance"])
    until("its instance", lambda: instances(server, f"/{root}"), SECONDS)
    assert server.providers(SERVICE, root) == []
    consumer = drivers("java-3.3")
    consumer.refer("ref", registry=server.taking(root=root), **ALONE)
    until("A answers", lambda: answers(consumer) == "A", SECONDS)
    assert one.sidecar.count("answers") >= 1
    provider.kill()
    until("it is gone", lambda: not instances(server, f"/{root}"), SECONDS)
    again = peers.fresh("java-2.7")
    again.export("B", app)
    until("B answers", lambda: answers(consumer) == "B", SECONDS)


def test_whoever_looks_finds_it(
    own_server: ZooKeeper, peers: Peers, beside: Callable[..., Beside], drivers: Callable[[str], Any]
) -> None:
    """By default it stands at both levels: for applications alone, for those that try both, and for 2.7."""
    app = free_port()
    peers.fresh("java-3.3").export("A", app)
    one = beside(LOOPS[0], own_server, "dubbo", app)
    until("its instance", lambda: instances(own_server, "/services"), SECONDS)
    own_server.listed(SERVICE, one.port)
    for kind, told in (*CONSUMERS.items(), ("java-3.2", ALONE), ("java-3.3", {}), ("java-2.7", {})):
        consumer = drivers(kind)
        consumer.refer("ref", registry=own_server.address, **told)
        until(f"{kind} is answered", lambda: answers(consumer) == "A", SECONDS)  # noqa: B023
        before = one.sidecar.count("answers")
        assert {answers(consumer) for _ in range(10)} == {"A"}
        assert one.sidecar.count("answers") - before == 10


@pytest.mark.parametrize("metadata_at", ["local", "remote"])
@pytest.mark.parametrize("kind", ["java-3.3", "java-3.2", "go"])
def test_an_application_that_says_so_to_its_sidecar(
    kind: str, metadata_at: str, own_server: ZooKeeper, beside: Callable[..., Beside], drivers: Callable[[str], Any]
) -> None:
    """It registers by an instance, and so does its sidecar; it goes, and so does that."""
    app, application = free_port(), f"shop-{next(_numbers)}"
    one = beside(LOOPS[0], own_server, "dubbo", app, says=True)
    provider = drivers(kind)
    provider.export(
        "A", app, registry=f"zookeeper://{HOST}:{one.own}?register-mode=instance", application=application,
        metadata=metadata_at,
    )  # fmt: skip
    name = f"{application}/{HOST}:{one.port}"
    until("its instance", lambda: list(instances(own_server, "/services")) == [name], SECONDS)
    assert own_server.providers(SERVICE) == []
    for asking, told in CONSUMERS.items():
        consumer = drivers(asking)
        consumer.refer("ref", registry=own_server.address, **told)
        until(f"{asking} is answered", lambda: answers(consumer) == "A", SECONDS)  # noqa: B023
    assert one.sidecar.count("answers") >= len(CONSUMERS)
    provider.kill()
    until("it is gone", lambda: not instances(own_server, "/services"), SECONDS)


@pytest.mark.parametrize("mode", ["all", "instance", "interface"])
def test_the_nodes_are_those_of_a_direct_provider(
    mode: str, own_server: ZooKeeper, beside: Callable[..., Beside], drivers: Callable[[str], Any]
) -> None:
    """Key by key, but for the marks and for what the SDK says of itself; at the levels of the application."""
    java, app = drivers("java-3.3"), free_port()
    told = {"application": "direct", "metadata": "remote", "group": "g", "version": "1.0.0", "weight": 200}
    direct = java.export("A", registry=own_server.taking(mode), **told)
    one = beside(LOOPS[0], own_server, "dubbo", app, says=True)
    told["application"] = "beside"
    java.export("B", app, registry=f"zookeeper://{HOST}:{one.own}?register-mode={mode}", **told)
    own_server.listed(SERVICE, *([] if mode == "instance" else [direct, one.port]))
    if mode == "interface":
        assert instances(own_server, "/services") == {}
        return
    until("both", lambda: len(instances(own_server, "/services")) == 2, SECONDS)
    own_server.listed(SERVICE, *([] if mode == "instance" else [direct, one.port]))
    by_name = {found["name"]: found for found in instances(own_server, "/services").values()}
    theirs, ours = by_name["direct"], by_name["beside"]
    assert list(ours) == list(theirs) and ours["payload"].keys() == theirs["payload"].keys()
    mine, its = ours["payload"]["metadata"], theirs["payload"]["metadata"]
    assert mine.keys() == its.keys() | MARKS
    different = {key for key in its if mine[key] != its[key]}
    assert different <= OWN | {"dubbo.endpoints"}
    for key in ("address", "sslPort", "serviceType", "uriSpec"):
        assert key == "address" or ours[key] == theirs[key]
    (mine,), (its,) = (metadata(own_server, "dubbo", each)["services"].values() for each in (ours, theirs))
    assert mine.keys() == its.keys() and (mine["port"], its["port"]) == (one.port, direct)
    params = {**its["params"], "application": "beside"}
    for name in ("REGISTRY_CLUSTER", "metadata-type"):  # of the registry that it was told of
        params.pop(name, None)
    assert {name: text for name, text in mine["params"].items() if name not in MARKS} == params
    mapping, _ = own_server.kazoo.get(f"/dubbo/mapping/{SERVICE}")
    assert sorted(mapping.decode().split(",")) == ["beside", "direct"]


def test_an_application_that_registers_itself_besides_is_told(
    own_server: ZooKeeper, beside: Callable[..., Beside], drivers: Callable[[str], Any]
) -> None:
    """By an instance; what it made is not ours to take away, and a sidecar that follows calls the one beside."""
    java, app = drivers("java-3.3"), free_port()
    java.export("A", app, registry=own_server.taking("instance"), application="tests")
    until("its own", lambda: instances(own_server, "/services"), SECONDS)
    one = beside(LOOPS[0], own_server, "dubbo", app)
    until("both", lambda: len(instances(own_server, "/services")) == 2, SECONDS)
    until("it is told", lambda: one.sidecar.count("registration_conflicts") >= 1, SECONDS)


def test_a_sidecar_that_comes_back_takes_over_what_it_left(
    own_server: ZooKeeper, peers: Peers, beside: Callable[..., Beside]
) -> None:
    """It was killed, and kept no state: its node is another session's at once, and whoever looks finds one."""
    app = free_port()
    peers.fresh("java-3.3").export("A", app)
    one = beside(LOOPS[0], own_server, "dubbo", app)
    path = f"/services/tests/{HOST}:{one.port}"
    until("its instance", lambda: own_server.kazoo.exists(path), SECONDS)
    before, seen = own_server.kazoo.exists(path).ephemeralOwner, []
    own_server.kazoo.ChildrenWatch("/services/tests", lambda names: seen.append(list(names)))
    one.sidecar.kill()
    one.sidecar.again()

    def is_other() -> bool:
        found = own_server.kazoo.exists(path)
        return found is not None and found.ephemeralOwner != before

    until("another session's", is_other, SECONDS)
    assert seen and all(names == [f"{HOST}:{one.port}"] for names in seen)


@pytest.mark.parametrize("metadata_at", ["local", "remote"])
def test_nobody_sees_that_a_sidecar_was_killed(
    metadata_at: str, own_server: ZooKeeper, beside: Callable[..., Beside], drivers: Callable[[str], Any]
) -> None:
    """Which has a state directory: the application's session goes on, and what it offers may have to be asked again."""
    app, application = free_port(), f"shop-{next(_numbers)}"
    one = beside(LOOPS[0], own_server, "dubbo", app, says=True, state=f"state-{application}")
    provider = drivers("java-3.3")
    provider.export(
        "A", app, registry=f"zookeeper://{HOST}:{one.own}?register-mode=instance", application=application,
        metadata=metadata_at,
    )  # fmt: skip
    path = f"/services/{application}/{HOST}:{one.port}"
    until("its instance", lambda: own_server.kazoo.exists(path), SECONDS)
    kept = RUN / f"state-{application}" / "sessions.json"  # written a moment behind what is said
    until("its session to be kept", lambda: f"/services/{application}/" in kept.read_text(), SECONDS)
    before = own_server.kazoo.exists(path)
    for _ in range(3):
        one.sidecar.kill()
        one.sidecar.again()
        until("it is registered", lambda: '"state": "registered"' in one.sidecar.get("/registries"), SECONDS)
    now = own_server.kazoo.exists(path)
    assert (now.czxid, now.mzxid, now.ephemeralOwner) == (before.czxid, before.mzxid, before.ephemeralOwner)
