"""Short and whole names of Kubernetes' services, and those of namespaces."""

from __future__ import annotations

import pytest
import yaml
from config_mesh import Doc, entry, load, rule, sidecar, to, virtual

from meshfast import config
from meshfast.errors import ConfigError
from meshfast.model import Mesh

PORTS = [{"number": 80, "name": "http", "protocol": "HTTP"}]
WHOLE = "reviews.books.svc.cluster.local"


def inside(namespace: str, document: Doc) -> Doc:
    return document | {"metadata": document["metadata"] | {"namespace": namespace}}


def listed(name: str, host: str, end: int = 1) -> Doc:
    return entry(name, (host,), ports=PORTS, endpoints=[{"address": f"10.0.0.{end}", "labels": {"v": "v1"}}])


def names(mesh: Mesh) -> list[str]:
    return [s.name for s in mesh.services]


def rules_of(mesh: Mesh, service: str) -> list[str]:
    return [r.name for s in mesh.services if s.name == service for r in s.rules]


@pytest.mark.parametrize(
    ("own", "short"), [("", ["reviews"]), ("books", ["reviews"]), ("other", [])]
)
def test_callers_name_a_service_in_each_of_its_forms(own: str, short: list[str]) -> None:
    mesh = load(listed("r", WHOLE), sidecar(workload={"namespace": own} if own else {}))
    assert names(mesh) == [WHOLE, "reviews.books.svc", "reviews.books", *short]
    assert len({id(s.rules) for s in mesh.services}) == 1


def test_documents_of_its_namespace_call_it_by_its_short_name() -> None:
    own = sidecar(workload={"namespace": "books"})
    mine = inside("books", virtual(["reviews"], {"name": "mine", "route": [to("v1", host="reviews")]}))
    declared = inside("books", rule("reviews", "v1"))
    for documents in ((mine, declared), (mine, rule(WHOLE, "v1"))):
        mesh = load(listed("r", WHOLE), own, *documents)
        assert [rules_of(mesh, n) for n in names(mesh)] == [["mine"]] * 4
    with pytest.raises(ConfigError, match="unknown host reviews"):
        load(listed("r", WHOLE), own, inside("elsewhere", rule("reviews", "v1")))
    # Where it is not said in which namespace a document is, the only one there is is meant.
    assert rules_of(load(listed("r", WHOLE), virtual(["reviews"], {"name": "x", "route": [to()]})), WHOLE) == ["x"]
    two = listed("r", WHOLE), listed("s", "reviews.shop.svc.cluster.local", 2)
    with pytest.raises(ConfigError, match="unknown host reviews"):
        load(*two, rule("reviews", "v1"))
    assert "reviews" not in names(load(*two)) and "reviews.shop" in names(load(*two))
    assert "reviews" in names(load(*two, own))


@pytest.mark.parametrize("name", ["reviews", "r"])
def test_a_whole_name_means_what_is_listed_by_a_short_one(name: str) -> None:
    app = inside("books", listed(name, "reviews"))
    routes = virtual([WHOLE], {"name": "mine", "route": [to("v1", host=WHOLE)]})
    mesh = load(app, rule(WHOLE, "v1"), routes)
    assert names(mesh) == ["reviews"] and rules_of(mesh, "reviews") == ["mine"]
    with pytest.raises(ConfigError, match="unknown host reviews.shop"):
        load(app, rule("reviews.shop.svc.cluster.local", "v1"))
    for host in ("reviews.shop.svc.cluster.local", f"shop/{name}"):
        load(listed(name, "reviews"), rule(host, "v1"))  # its namespace is not said
    with pytest.raises(ConfigError, match="did you mean r.*? it is in another namespace"):
        load(app, rule(f"shop/{name}", "v1"))


def test_a_name_with_a_dot_is_what_it_is() -> None:
    with pytest.raises(ConfigError, match="unknown host reviews.books"):
        load(listed("r", WHOLE), inside("books", rule("reviews.books", "v1")))
    own = listed("r", "reviews.books"), listed("s", WHOLE, 2)
    assert names(load(*own)) == ["reviews.books", WHOLE, "reviews.books.svc", "reviews"]


def test_a_delegate_speaks_of_its_own_namespace() -> None:
    root = inside("a", virtual(["a.Cart"], {"delegate": {"name": "d", "namespace": "books"}}))
    delegate = inside("books", virtual([], {"name": "theirs", "route": [to(host="reviews")]}, name="d"))
    del delegate["spec"]["hosts"]
    mesh = load(listed("r", WHOLE), listed("c", "a.Cart", 2), root, delegate)
    assert [t.cluster for s in mesh.services if s.name == "a.Cart" for r in s.rules for t in r.targets] == ["r"]


def test_a_loader_sees_namespaces_come_and_go() -> None:
    loader = config.Loader()
    two = [listed("r", WHOLE), listed("s", "reviews.shop.svc.cluster.local", 2)]
    routes = inside("books", virtual(["reviews"], {"route": [to(host="reviews")]}))
    for shown in (two, two[:1], two):
        texts = [config.Text(f"{i}", yaml.safe_dump(d).encode()) for i, d in enumerate((*shown, routes))]
        assert loader.build(texts, config.Report()) == config.build(texts, config.Report())
