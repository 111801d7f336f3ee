"""Several ServiceEntries of one namespace for the same hosts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from config_mesh import Doc, entry, load, rule, sidecar, to, virtual
from test_istio import checked

from meshfast import config
from meshfast.errors import ConfigError
from meshfast.model import Http
from meshfast.routing import Table

HTTP = {"name": "http", "number": 80, "protocol": "HTTP"}
ALT = {"name": "alt", "number": 8080, "protocol": "HTTP"}


def shop(name: str, *ends: int, ports: tuple[Doc, ...] = (HTTP,), created: str = "", **spec: object) -> Doc:
    places = [{"address": f"10.0.0.{end}", "labels": {"v": f"v{end}"}} for end in ends]
    out = entry(name, ("shop.example",), ports=list(ports), endpoints=places, **spec)
    if created:
        out["metadata"]["creationTimestamp"] = created
    return out


def goes(*documents: Doc, authority: str = "shop.example") -> set[str]:
    table = Table()
    table.publish(load(*documents))
    out = set()
    for random in range(0, 1 << 32, 1 << 28):
        found = table.explain("shop.example", [], {}, method="m", http=Http(authority=authority), random=random)
        out |= {found.route.address} if found.route else set()
    return out


def test_their_instances_are_united() -> None:
    documents = shop("a", 1, 2), shop("b", 2, 3)
    assert goes(*documents) == {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"}
    mesh = load(*documents, rule("b", "v3"), virtual(["shop.example"], {"route": [to("v3")]}))
    assert list(mesh.clusters) == ["a"]
    assert [s.name for s in mesh.clusters["a"].subsets] == ["v3"]
    assert goes(*documents, rule("b", "v3"), virtual(["a"], {"route": [to("v3")]})) == {"10.0.0.3:80"}


def test_ports_are_told_apart_by_number() -> None:
    documents = shop("a", 1), shop("b", 2, ports=(ALT,)), shop("c", 3, ports=(HTTP, ALT))
    assert goes(*documents) == {"10.0.0.1:80", "10.0.0.3:80"}
    assert goes(*documents, authority="shop.example:8080") == {"10.0.0.2:8080", "10.0.0.3:8080"}
    older = shop("b", 2, ports=(ALT,), created="2026-01-01T00:00:00Z")
    newer = shop("a", 1, created="2026-01-02T00:00:00Z")
    assert goes(newer, older) == {"10.0.0.1:80"}  # an authority without a port means 80
    assert goes(newer, older, authority="shop.example:9") == {"10.0.0.2:8080"}


def test_names_are_united_too() -> None:
    first, second = shop("a", resolution="DNS"), shop("b", resolution="DNS")
    for each in (first, second):
        each["spec"]["endpoints"] = [{"address": f"{each['metadata']['name']}.example"}]
    assert [one.host for one in load(first, second).clusters["a"].named] == ["a.example", "b.example"]


def inside(namespace: str, document: Doc) -> Doc:
    return document | {"metadata": document["metadata"] | {"namespace": namespace}}


@pytest.mark.parametrize(("own", "end"), [("x", "1"), ("y", "2"), ("z", "2"), ("", "2")])
def test_of_several_namespaces_one_is_meant(tmp_path: Path, own: str, end: str) -> None:
    younger = inside("x", shop("a", 1, created="2026-01-02T00:00:00Z"))
    older = inside("y", shop("a", 2, created="2026-01-01T00:00:00Z"))
    listening = sidecar(workload={"namespace": own} if own else {}, listeners=[{"name": "o", "bind": "127.0.0.1:0"}])
    for documents in ((younger, older), (older, younger)):
        assert goes(*documents, listening) == {f"10.0.0.{end}:80"}
        said = checked(tmp_path, *documents, listening)[1]
        assert said == [f"shop.example is that of {'x' if end == '1' else 'y'}/a, this one is never asked"]
    mesh = load(younger, older, listening, virtual(["b.example"], {"route": [to(host="x/a")]}))
    assert [t.cluster for t in mesh.services[-1].rules[0].targets] == ["x/a"]


def test_those_for_more_hosts_are_not() -> None:
    more = shop("b", 2)
    more["spec"]["hosts"].append("more.example")
    with pytest.raises(ConfigError, match="offered twice"):
        load(shop("a", 1), more)
    with pytest.raises(ConfigError, match="offered twice"):
        load(shop("a", 1), inside("other", shop("b", 2)))  # it is not said which namespace the first is of


def test_a_loader_sees_them_come_and_go() -> None:
    loader = config.Loader()
    every = [shop("a", 1), shop("b", 2), shop("c", 3), rule("shop.example", "v1")]
    for shown in (every, every, every[1:], every[:1], every[:2], every):
        texts = [config.Text(d["metadata"]["name"], yaml.safe_dump(d).encode()) for d in shown]
        before = loader.build(texts, config.Report())
        assert before == config.build(texts, config.Report())
        again = loader.build(texts, config.Report())
        assert all(again.clusters[name] is one for name, one in before.clusters.items())
