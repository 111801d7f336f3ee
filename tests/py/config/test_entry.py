"""ServiceEntries and WorkloadEntries with Istio's meaning: where their instances are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from config_mesh import Doc, entry, load, rule, sidecar, to, virtual

from meshfast import config, model
from meshfast.errors import ConfigError
from meshfast.model import Mesh

HTTP = [{"name": "http", "number": 80, "protocol": "HTTP"}]
ONE = [{"address": "10.0.0.1"}]
NONE = entry("out", ("out.example", "*.out.example"), ports=[{"number": 443, "protocol": "TLS"}], resolution="NONE")
THROUGH = sidecar(listeners=[{"name": "o", "bind": "tcp://127.0.0.1:0", "transparent": True}])


def workload(name: str, address: str, labels: Doc, *, namespace: str = "", meta: Doc | None = None, **spec: Any) -> Doc:
    return {
        "apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
        "metadata": {"name": name, **({"namespace": namespace} if namespace else {}), "labels": meta or {}},
        "spec": {"address": address, "labels": labels, **spec},
    }  # fmt: skip


def at(*documents: Doc, name: str = "shop") -> list[str]:
    return [e.address or e.http for e in load(*documents).clusters[name].endpoints]


@pytest.mark.parametrize(
    ("target", "own", "number"),
    [(8080, {}, 8080), (8080, {"http": 9090}, 9090), (None, {}, 80), (None, {"http": 1}, 1)],
)
def test_the_port_of_an_instance(target: int | None, own: dict[str, int], number: int) -> None:
    ports = [HTTP[0] | ({"targetPort": target} if target else {})]
    assert at(entry(ports=ports, resolution="STATIC", endpoints=[{"address": "10.0.0.1", "ports": own}])) == [
        f"10.0.0.1:{number}"
    ]


def test_instances_are_selected_by_label_in_their_namespace() -> None:
    shop = entry(ports=HTTP, resolution="STATIC", workloadSelector={"labels": {"app": "a"}})
    first = workload("w1", "10.2.0.1", {"app": "a"}, ports={"http": 8081}, weight=5, locality="r1/z1")
    other = workload("w2", "10.2.0.2", {"app": "a"}, namespace="elsewhere")
    renamed = workload("w3", "10.2.0.3", {"app": "a"}, meta={"app": "b"})
    added = workload("w4", "10.2.0.4", {"x": "y"}, meta={"app": "a"})
    (one, two) = load(shop, first, other, renamed, added, rule("shop", "v")).clusters["shop"].endpoints
    assert (one.http or one.address, one.weight, one.locality) == ("10.2.0.1:8081", 5, "r1/z1")
    assert (two.address, two.labels) == ("10.2.0.4:80", {"x": "y", "app": "a"})
    shop["metadata"]["namespace"] = "elsewhere"
    assert at(shop, first, other) == ["10.2.0.2:80"]
    nope = workload("w", "10.0.0.1", {"app": "a"}, namespace="elsewhere", ports={"nope": 1})
    with pytest.raises(ConfigError, match="the ServiceEntry has no port named nope"):
        load(shop, nope)


def test_a_loader_sees_workloads_come_and_go() -> None:
    shop = entry(ports=HTTP, workloadSelector={"labels": {"app": "a"}})
    routes = virtual(["a.Cart"], {"route": [to(host="shop")]})
    loader = config.Loader()
    for number in (1, 2, 2, 1, 0, 1):
        workloads = [workload(f"w{i}", f"10.0.0.{i + 1}", {"app": "a"}) for i in range(number)]
        texts = [config.Text(f"{i}", yaml.safe_dump(d).encode()) for i, d in enumerate((shop, routes, *workloads))]
        mesh = loader.build(texts, config.Report())
        assert mesh == config.build(texts, config.Report())
        assert len(mesh.clusters["shop"].endpoints) == number


def test_calls_that_go_where_they_were_dialled_are_not_listed() -> None:
    mesh = load(NONE, entry(endpoints=[], ports=HTTP), THROUGH, rule("out.example", "v"))
    assert list(mesh.clusters) == ["shop"] and [s.name for s in mesh.services] == ["a.Cart"]
    default = {k: v for k, v in NONE["spec"].items() if k != "resolution"}
    assert load(NONE | {"spec": default}).services == ()
    with pytest.raises(ConfigError, match="calls of out go where they were dialled"):
        load(NONE, entry(), virtual(["a.Cart"], {"route": [to(host="out.example")]}))
    moved = load(NONE, entry(endpoints=[], ports=HTTP), virtual(["out.example"], {"route": [to(host="shop")]}))
    assert [s.name for s in moved.services] == ["a.Cart", "out.example"]


@pytest.mark.parametrize(
    ("listener", "said"),
    [
        ({}, "which the listener o does not know"),
        ({"forward": "tcp://127.0.0.1:1"}, "which the listener o does not know"),
        ({"transparent": True, "unknown": "refuse"}, "and the listener o refuses them"),
    ],
)
def test_a_listener_must_know_where_a_call_was_dialled(listener: Doc, said: str) -> None:
    own = sidecar(listeners=[{"name": "o", "bind": "tcp://127.0.0.1:0", **listener}])
    with pytest.raises(ConfigError, match=f"its calls go where they were dialled, {said}"):
        load(NONE, own)


def names(mesh: Mesh, cluster: str = "shop") -> list[tuple[str, str, bool]]:
    return [(one.host, one.endpoint.http or one.endpoint.address, one.single) for one in mesh.clusters[cluster].named]


def test_instances_that_are_named_by_a_host() -> None:
    places = [ONE[0], {"address": "US.foo.example", "ports": {"http": 8080}}, {"address": "uk.foo.example."}]
    mesh = load(entry(ports=HTTP, resolution="DNS", endpoints=places), rule("shop", "v"))
    assert [e.address for e in mesh.clusters["shop"].endpoints] == ["10.0.0.1:80"]
    assert names(mesh) == [
        ("us.foo.example", "us.foo.example:8080", False), ("uk.foo.example.", "uk.foo.example.:80", False)
    ]  # fmt: skip
    mesh = load(entry(ports=HTTP, resolution="DNS_ROUND_ROBIN", endpoints=[{"address": "db.example"}]))
    assert names(mesh) == [("db.example", "db.example:80", True)]
    selected = entry(ports=HTTP, resolution="DNS", workloadSelector={"labels": {"app": "a"}})
    assert names(load(selected, workload("w", "w.example", {"app": "a"}))) == [("w.example", "w.example:80", False)]


def test_hosts_that_are_their_own_instances() -> None:
    mesh = load(entry("out", ("a.example", "b.example"), ports=HTTP, resolution="DNS"), rule("b.example", "v"))
    assert [s.name for s in mesh.services] == ["a.example", "b.example"]
    assert names(mesh, "out") == [("a.example", "a.example:80", False)]
    assert names(mesh, "out/b.example") == [("b.example", "b.example:80", False)]
    assert [s.name for s in mesh.clusters["out/b.example"].subsets] == ["v"]
    moved = load(
        entry("out", ("a.example", "b.example"), ports=HTTP, resolution="DNS"),
        virtual(["a.example"], {"route": [to(host="b.example")]}),
    )
    assert moved.services[0].rules[0].targets[0].cluster == "out/b.example"
    two = load(
        entry("two", ("a.example",), ports=[HTTP[0], {"number": 81, "name": "x", "protocol": "HTTP"}], resolution="DNS")
    )
    assert names(two, "two:81") == [("a.example", "a.example:81", False)]


def test_a_loader_sees_names_come_and_go() -> None:
    loader = config.Loader()
    for hosts in (("a.example",), ("a.example", "b.example"), ("b.example",), ("a.example", "b.example")):
        documents = [entry("out", hosts, ports=HTTP, resolution="DNS"), rule(hosts[0], "v")]
        texts = [config.Text(f"{i}", yaml.safe_dump(d).encode()) for i, d in enumerate(documents)]
        assert loader.build(texts, config.Report()) == config.build(texts, config.Report())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"ports": HTTP, "hosts": ["*.example"]}, ["no host can be asked for"]),
        ({}, ["no port is given"]),
        ({"ports": NONE["spec"]["ports"]}, []),
    ],
)
def test_names_that_cannot_be_asked_for(tmp_path: Path, spec: Doc, said: list[str]) -> None:
    document = entry(resolution="DNS")
    document["spec"] |= spec
    (tmp_path / "f.yaml").write_text(yaml.safe_dump(document))
    mesh, warnings = config.check([tmp_path])
    assert mesh.services == () and [w.message for w in warnings] == said


@pytest.mark.parametrize(
    ("address", "resolution", "said"),
    [
        ("db.example", "STATIC", 'write the IP address, or resolution: DNS for names'),
        ("db.example", "", 'write the IP address, or resolution: DNS for names'),
        ("db example", "DNS", "neither an IP address nor the name of a host"),
        ("10.0.0.256", "DNS", "neither an IP address nor the name of a host"),
        ("a" * 64 + ".example", "DNS", "neither an IP address nor the name of a host"),
        ("https://db.example", "DNS", "neither an IP address nor the name of a host"),
    ],
)
def test_what_is_no_name(address: str, resolution: str, said: str) -> None:
    more = {"resolution": resolution} if resolution else {}
    with pytest.raises(ConfigError, match=said):
        load(entry(ports=HTTP, endpoints=[{"address": address}], **more))


def test_one_of_its_addresses_is_for_one_endpoint() -> None:
    places = [{"address": "a.example"}, {"address": "b.example"}]
    with pytest.raises(ConfigError, match="DNS_ROUND_ROBIN is for one endpoint"):
        load(entry(ports=HTTP, resolution="DNS_ROUND_ROBIN", endpoints=places))


def test_who_is_asked() -> None:
    assert load(sidecar()).sidecar.dns == model.Dns()
    dns = {"servers": ["10.0.0.53", "127.0.0.1:8600", "fd00::1"], "timeout": "1s", "refresh": "5s", "least": "200ms"}
    assert load(sidecar(dns=dns | {"addresses": 9})).sidecar.dns == model.Dns(
        ("10.0.0.53:53", "127.0.0.1:8600", "[fd00::1]:53"), 1000, 5000, 200, 9
    )
    for bad in ({"servers": ["unix:///x"]}, {"servers": ["ns.example"]}, {"least": "2m"}, {"timeout": "0s"}):
        with pytest.raises(ConfigError):
            load(sidecar(dns=bad))


def test_an_empty_protocol_is_none() -> None:
    spec = {"ports": [{"number": 80, "protocol": ""}], "endpoints": ONE}
    assert [e.speaks for e in load(entry(**spec)).clusters["shop"].endpoints] == [None]


def test_what_says_nothing_here_is_taken() -> None:
    spec = {
        "ports": HTTP, "endpoints": [ONE[0] | {"serviceAccount": "a", "weight": 0}], "addresses": ["10.9.0.0/16"],
        "subjectAltNames": ["a"], "location": "MESH_EXTERNAL",
    }  # fmt: skip
    assert [e.weight for e in load(entry(**spec)).clusters["shop"].endpoints] == [1]
