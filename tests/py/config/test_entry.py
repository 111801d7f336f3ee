"""ServiceEntries and WorkloadEntries with Istio's meaning: where their instances are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from config_mesh import Doc, entry, load, rule, sidecar, to, virtual

from meshfast import config
from meshfast.errors import ConfigError

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
    with pytest.raises(ConfigError, match="out lists no instances: its calls go where they were dialled"):
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


def test_names_that_are_not_resolved(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(yaml.safe_dump(entry(ports=HTTP, resolution="DNS")))
    mesh, warnings = config.check([tmp_path])
    assert mesh.services == () and [w.message for w in warnings] == ["names are not resolved yet"]
    assert at(entry(ports=HTTP, resolution="DNS", endpoints=ONE)) == ["10.0.0.1:80"]
    assert at(entry(ports=HTTP, resolution="DNS_ROUND_ROBIN", endpoints=ONE)) == ["10.0.0.1:80"]


def test_an_empty_protocol_is_none() -> None:
    spec = {"ports": [{"number": 80, "protocol": ""}], "endpoints": ONE}
    assert [e.speaks for e in load(entry(**spec)).clusters["shop"].endpoints] == [None]


def test_what_says_nothing_here_is_taken() -> None:
    spec = {
        "ports": HTTP, "endpoints": [ONE[0] | {"serviceAccount": "a", "weight": 0}], "addresses": ["10.9.0.0/16"],
        "subjectAltNames": ["a"], "location": "MESH_EXTERNAL",
    }  # fmt: skip
    assert [e.weight for e in load(entry(**spec)).clusters["shop"].endpoints] == [1]
