"""Applications that register themselves in a real ZooKeeper, and sidecars that have no other list of instances."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from conftest import Offers, Peers, Triple, obtain
from harness import mesh
from harness.java import SERVICE
from harness.process import until
from harness.pydubbo import PyDubbo
from harness.registered import SECONDS, Followers, Registered, registry
from harness.triple import TEXTS
from harness.zookeeper import ZooKeeper

Refer = Callable[..., str]
ZooKeepers = Callable[[str], ZooKeeper]
Applications = Callable[[str], Registered]
_numbers = itertools.count(1)
#: Which provider registers where.
PROVIDERS = (("java-3.3", "3.9"), ("java-3.2", "3.8"), ("java-2.7", "3.9"), ("go", "3.8"))


@pytest.fixture(scope="module")
def zookeepers() -> Iterator[ZooKeepers]:
    """A server of each version, for the tests that leave it alone."""
    running: dict[str, ZooKeeper] = {}

    def get(version: str) -> ZooKeeper:
        if version not in running:
            running[version] = obtain(lambda: ZooKeeper(version))
        return running[version]

    yield get
    for server in running.values():
        server.close()


@pytest.fixture
def zookeeper() -> Iterator[ZooKeeper]:
    """A server of the test's own."""
    server = obtain(ZooKeeper)
    yield server
    server.close()


@pytest.fixture(scope="module")
def applications() -> Iterator[Applications]:
    """A JVM of each version, in which instances come and go."""
    running: dict[str, Registered] = {}

    def get(version: str) -> Registered:
        if version not in running:
            running[version] = obtain(lambda: Registered(version, "provider"))
        return running[version]

    yield get
    for java in running.values():
        java.close()


@pytest.fixture
def root() -> str:
    """A node of the test's own: what others register is not below it."""
    return f"root{next(_numbers)}"


@pytest.fixture
def followers(peers: Peers, refer: Refer) -> Iterator[Followers]:
    """Dubbo's own protocol, called by 3.3."""
    followers = Followers(peers.consumer("java-3.3"), refer)
    yield followers
    followers.stop()


@pytest.fixture
def triple_followers(triple: Triple, refer: Refer) -> Iterator[Followers]:
    """The same by Triple."""
    followers = Followers(triple.consumer, refer, "tri")
    yield followers
    followers.stop()


class Instances:
    """Those of one kind, which come and leave; each of Go has a process."""

    def __init__(self, kind: str, at: str, applications: Applications, offers: Offers) -> None:
        self._at, self._offers = at, offers
        self._java = None if kind == "go" else applications(kind)
        self._leave: dict[str, Callable[[], None]] = {}

    def come(self, name: str, **params: object) -> int:
        if self._java is None:
            process, port = self._offers(name, registry=self._at, **params)
            self._leave[name] = process.terminate
        else:
            java, port = self._java, self._java.export(name, registry=self._at, **params)
            self._leave[name] = lambda: java.leave(port)
        return port

    def leave(self, name: str) -> None:
        self._leave[name]()


@pytest.mark.parametrize(("kind", "version"), PROVIDERS, ids=[f"{kind}-{version}" for kind, version in PROVIDERS])
def test_come_and_go(
    kind: str, version: str, zookeepers: ZooKeepers, applications: Applications, offers: Offers,
    followers: Followers, root: str,
) -> None:  # fmt: skip
    """Instances are called from when they are there until they leave, with their labels, by group and version."""
    server = zookeepers(version)
    at = server.taking("all" if kind == "java-3.3" else "interface", root)
    instances = Instances(kind, at, applications, offers)
    first = instances.come("A", zone="z1")
    server.listed(SERVICE, first, root=root)
    policy = mesh.label_policy("colour")
    refs = followers.follow(registry(server.address, root=f"/{root}", services=[SERVICE]), policy=policy)
    followers.answered_by(refs, "A", what="first answer")
    second = instances.come("B")
    server.listed(SERVICE, first, second, root=root)
    followers.answered_by(refs, "A", "B", what="a new instance")
    blue = instances.come("blue", colour="blue")
    server.listed(SERVICE, first, second, blue, root=root)
    followers.answered_by(refs, "blue", what="a new environment", colour="blue")
    followers.answered_by(refs, "A", "B", colour="green")
    instances.leave("A")
    server.listed(SERVICE, second, blue, root=root)
    followers.answered_by(refs, "B", what="an instance less")
    apart = instances.come("apart", group="g", version="1.0.0")
    server.listed(SERVICE, second, blue, apart, root=root)
    followers.answered_by(followers.refs(group="g", version="1.0.0"), "apart", what="a new version")
    followers.answered_by(refs, "B")
    instances.leave("B")
    instances.leave("blue")
    instances.leave("apart")


@pytest.mark.parametrize("tag", ["dubbo.tag", "team"])
def test_label(
    tag: str, zookeepers: ZooKeepers, applications: Applications, offers: Offers, followers: Followers, root: str
) -> None:
    """Dubbo's own tag, and any parameter, is a label; calls go by it as they do by one of a file."""
    server = zookeepers("3.9")
    at = server.taking(root=root)
    offers("base", registry=at)
    offers("dev1", registry=at, **{tag: "dev1"})
    port = applications("java-3.3").export("dev2", registry=at, **{tag: "dev2"})
    policy = mesh.label_policy(tag)
    refs = followers.follow(registry(server.address, root=f"/{root}"), policy=policy)
    for name in ("dev1", "dev2"):
        followers.answered_by(refs, name, **{tag: name})
    followers.answered_by(refs, "base", **{tag: "nobody"})
    followers.answered_by(refs, "base")
    applications("java-3.3").leave(port)
    followers.answered_by(refs, "base", what="an environment less", **{tag: "dev2"})


def test_weight(zookeepers: ZooKeepers, applications: Applications, followers: Followers, root: str) -> None:
    server = zookeepers("3.9")
    at, java = server.taking(root=root), applications("java-3.3")
    ports = [java.export(name, registry=at, weight=weight) for name, weight in (("heavy", 300), ("light", 100))]
    rule = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "in-turn"},
        "spec": {"host": SERVICE, "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}},
    }
    refs = followers.follow(registry(server.address, root=f"/{root}"), policy=[rule])
    followers.answered_by(refs, "heavy", "light")
    for ref in refs:
        answers = Counter(followers.consumer.call(ref, "whoami") for _ in range(80))
        assert 55 <= answers["heavy"] <= 65, answers
    for port in ports:
        java.leave(port)


@pytest.mark.parametrize("metadata", ["local", "remote"])
@pytest.mark.parametrize("kind", ["java-3.3", "java-3.2", "go"])
def test_instances_of_an_application(
    kind: str, metadata: str, zookeepers: ZooKeepers, applications: Applications, offers: Offers,
    followers: Followers, root: str,
) -> None:  # fmt: skip
    """What is registered as an application, and not for each service, is found by what its metadata says it offers."""
    server, application = zookeepers("3.9"), f"shop{next(_numbers)}"
    root, above = ("dubbo", "/services") if metadata == "local" else (root, f"/{root}")
    at = server.taking("instance", "" if metadata == "local" else root)
    instances = Instances(kind, at, applications, offers)
    told = {"application": application, "metadata": metadata, "group": application}

    def are(count: int) -> None:
        until(f"{count} there", lambda: sum(":" in id for id in server.children(f"{above}/{application}")) == count)

    first = instances.come("A", **told)
    are(1)
    assert first not in server.providers(SERVICE, root)
    listed = registry(server.address, root=f"/{root}", services=[SERVICE])
    refs = followers.follow(listed, group=application)
    followers.answered_by(refs, "A", what="first answer of an application")
    instances.come("B", **told)
    are(2)
    followers.answered_by(refs, "A", "B", what="a new instance of an application")
    instances.leave("A")
    are(1)
    followers.answered_by(refs, "B", what="an instance of an application less")
    instances.leave("B")


def test_triple(
    zookeepers: ZooKeepers, applications: Applications, triple_followers: Followers, root: str
) -> None:
    """What is registered by Triple is called by it."""
    server = zookeepers("3.9")
    java, at = applications("java-3.3"), server.taking(root=root)
    port = java.export("A", registry=at, protocol="tri")
    refs = triple_followers.follow(registry(server.address, root=f"/{root}", services=[SERVICE]))
    triple_followers.answered_by(refs, "A")
    java.leave(port)


def test_pydubbo(zookeepers: ZooKeepers, triple_followers: Followers, root: str) -> None:
    """apache-dubbo's URL has neither a path nor an interface."""
    server = zookeepers("3.8")
    provider = obtain(lambda: PyDubbo("registered"))
    with contextlib.closing(provider):
        provider.export("A", registry=server.taking(root=root))
        until("its node", lambda: server.children(f"/{root}/{TEXTS}/providers"))
        listed = registry(server.address, root=f"/{root}", services=[TEXTS])
        refs = triple_followers.follow(listed, service=TEXTS)

        def asked(ref: str) -> bool:
            with contextlib.suppress(Exception):
                answers: list[object] = triple_followers.consumer.do("texts", ref=ref, items=1)
                return answers == ["A|q", ["A|0"], ["A|1|2"], ["A|t0"]]
            return False

        for ref in refs:
            until("an answer", lambda: asked(ref), SECONDS)  # noqa: B023


def test_killed(zookeepers: ZooKeepers, offers: Offers, followers: Followers, root: str) -> None:
    """An instance that dies is not called, long before its session ends; then it is not listed either."""
    server = zookeepers("3.9")
    at = server.taking(root=root)
    dying, gone = offers("dying", registry=at)
    _, stays = offers("staying", registry=at)
    refs = followers.follow(registry(server.address, root=f"/{root}", services=[SERVICE]))
    followers.answered_by(refs, "dying", "staying")
    dying.kill()
    followers.answered_by(refs, "staying", what="a dead instance")
    with followers.calling(refs):
        assert server.providers(SERVICE, root) in ([stays], sorted([gone, stays]))
        server.listed(SERVICE, stays, root=root)
    for sidecar in followers.sidecars:
        until("one instance", lambda: sidecar.count("registry_instances") == 1, SECONDS)  # noqa: B023


def test_registry_dies(zookeeper: ZooKeeper, offers: Offers, followers: Followers) -> None:
    """Without a registry all goes on as it was; when it is back, what changed meanwhile is seen."""
    at = zookeeper.taking()
    _, first = offers("A", registry=at)
    refs = followers.follow(registry(zookeeper.address, services=[SERVICE]))
    followers.answered_by(refs, "A")
    with followers.calling(refs):
        zookeeper.kill()
        for sidecar in followers.sidecars:
            until("it is missed", lambda: sidecar.count("registry_connected") == 0, SECONDS)  # noqa: B023
        zookeeper.start()
        zookeeper.listed(SERVICE, first)
        _, second = offers("B", registry=at)
        zookeeper.listed(SERVICE, first, second)
        followers.answered_by(refs, "A", "B", what="after a registry's restart")


def test_registry_hangs(zookeeper: ZooKeeper, offers: Offers, followers: Followers) -> None:
    """A registry that falls silent is as one that is not there."""
    at = zookeeper.taking()
    _, first = offers("A", registry=at)
    refs = followers.follow(registry(zookeeper.address, services=[SERVICE], session="3s"))
    followers.answered_by(refs, "A")
    with followers.calling(refs):
        zookeeper.freeze()
        for sidecar in followers.sidecars:
            until("it is missed", lambda: sidecar.count("registry_connected") == 0, SECONDS)  # noqa: B023
        zookeeper.thaw()
        _, second = offers("B", registry=at)
        until("the new one", lambda: second in zookeeper.providers(SERVICE), SECONDS)
        for ref in refs:
            until("the new one answers", lambda: "B" in followers.who(ref), SECONDS)  # noqa: B023


def test_all_vanish(zookeepers: ZooKeepers, offers: Offers, followers: Followers, root: str) -> None:
    """A list that is emptied while those that it had are alive is not believed."""
    server = zookeepers("3.9")
    at = server.taking(root=root)
    ports = [offers(name, registry=at)[1] for name in "AB"]
    server.listed(SERVICE, *ports, root=root)
    refs = followers.follow(registry(server.address, root=f"/{root}", services=[SERVICE]))
    followers.answered_by(refs, "A", "B")
    path = f"/{root}/{SERVICE}/providers"
    with followers.calling(refs):
        nodes = {name: server.kazoo.get(f"{path}/{name}")[0] for name in server.children(path)}
        for name in nodes:  # one after the other, as sessions end
            server.kazoo.delete(f"{path}/{name}")
        for sidecar in followers.sidecars:
            until("they are kept", lambda: sidecar.count("registry_retained") == 2, SECONDS)  # noqa: B023
        followers.answered_by(refs, "A", "B")
        for name, data in nodes.items():
            server.kazoo.create(f"{path}/{name}", data)
        for sidecar in followers.sidecars:
            until("they are listed", lambda: sidecar.count("registry_retained") == 0, SECONDS)  # noqa: B023


def test_two_registries(zookeepers: ZooKeepers, offers: Offers, followers: Followers, root: str) -> None:
    """What is in both is there once; what one has not, the other has; one that is gone takes nothing along."""
    servers = [zookeepers("3.9"), obtain(lambda: ZooKeeper("3.8"))]
    with contextlib.closing(servers[1]):
        ats = [server.taking(root=root) for server in servers]
        for name, at in (("left", ats[0]), ("right", ats[1]), ("both", ";".join(ats))):
            offers(name, registry=at)
        listed = [
            registry(server.address, name, root=f"/{root}", services=[SERVICE])
            for server, name in zip(servers, ("left", "right"), strict=True)
        ]
        rule = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "DestinationRule",
            "metadata": {"name": "in-turn"},
            "spec": {"host": SERVICE, "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}}},
        }
        refs = followers.follow(*listed, policy=[rule])
        followers.answered_by(refs, "left", "right", "both")
        for ref in refs:
            assert Counter(followers.consumer.call(ref, "whoami") for _ in range(30)) == dict.fromkeys(
                ("left", "right", "both"), 10
            )
        with followers.calling(refs):
            servers[1].kill()
            for sidecar in followers.sidecars:
                until("one is missed", lambda: sidecar.count("registry_connected") == 1, SECONDS)  # noqa: B023
            followers.answered_by(refs, "left", "right", "both")
            offers("new", registry=ats[0])
            followers.answered_by(refs, "left", "right", "both", "new")


def test_last_good(zookeeper: ZooKeeper, offers: Offers, followers: Followers) -> None:
    """A sidecar that starts while there is no registry serves what it knew last, says so, and follows afterwards."""
    at = zookeeper.taking()
    _, first = offers("A", registry=at)
    listed = registry(zookeeper.address, services=[SERVICE])
    refs = followers.follow(listed)
    followers.answered_by(refs, "A")
    followers.stop()
    zookeeper.kill()
    refs = followers.follow(listed)
    for ref in refs:
        assert followers.who(ref) == {"A"}
    for sidecar in followers.sidecars:
        assert "stale" in sidecar.get("/ready?verbose")
    zookeeper.start()
    zookeeper.listed(SERVICE, first)
    _, second = offers("B", registry=at)
    zookeeper.listed(SERVICE, first, second)
    followers.answered_by(refs, "A", "B", what="after a start without a registry")
    for sidecar in followers.sidecars:
        until("it is fresh", lambda: "stale" not in sidecar.get("/ready?verbose"), SECONDS)  # noqa: B023
