"""Several VirtualServices for one thing: which of them decides, and rules that are handed on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from config_mesh import Doc, conditions, entry, load, rule, rules, sidecar, to, virtual

from meshfast import config
from meshfast.errors import ConfigError
from meshfast.model import Http, Mesh
from meshfast.routing import Table

ONE = [{"address": f"10.0.0.{i}", "labels": {"v": f"v{i}"}} for i in (1, 2, 3)]
SHOP = entry(ports=[{"number": 1}], endpoints=ONE)
RULE = rule("shop", "v1", "v2", "v3")


def bare(name: str, *http: Doc, **metadata: str) -> Doc:
    document = virtual(["x"], *http, name=name)
    del document["spec"]["hosts"]
    return document | {"metadata": {"name": name, **metadata}}


def handed(to_: str, *matches: Doc, **more: Any) -> Doc:
    return {"delegate": {"name": to_}, **({"match": list(matches)} if matches else {}), **more}


def route(subset: str, *matches: Doc, **more: Any) -> Doc:
    return {"route": [to(subset)], **({"match": list(matches)} if matches else {}), **more}


def goes(mesh: Mesh, path: str, headers: Doc | None = None) -> str:
    """The last digit of the address; "" where no rule takes it."""
    table = Table()
    table.publish(mesh)
    http = Http(authority="a.Cart", path=path)
    found = table.explain("a.Cart", headers or {}, {}, method="m", http=http, random=0).route
    return found.address.partition(":")[0][-1] if found else ""


def checked(tmp_path: Path, *documents: Doc) -> list[str]:
    (tmp_path / "f.yaml").write_text(yaml.safe_dump_all(documents))
    return [w.message for w in config.check([tmp_path])[1]]


# --- rules that are handed on


def test_matches_are_joined(tmp_path: Path) -> None:
    root = virtual(["a.Cart"], handed("d", {"uri": {"prefix": "/x"}, "headers": {"a": {"exact": "1"}}}))
    parts = [
        route("v1", {"uri": {"prefix": "/x/y"}}), route("v3", {"uri": {"prefix": "/z"}}), route("v2"),
    ]  # fmt: skip
    documents = (SHOP, RULE, root, bare("d", *parts))
    mesh = load(*documents)
    assert goes(mesh, "/x/y", {"a": "1"}) == "1"
    assert goes(mesh, "/x/q", {"a": "1"}) == "2"
    assert goes(mesh, "/x/y", {"a": "2"}) == goes(mesh, "/z", {"a": "1"}) == ""
    assert [c[0] for c in conditions(rules(mesh, "a.Cart")[0].matches[0])] == ["PATH", "HEADER"]
    assert len(rules(mesh, "a.Cart")) == 2
    assert [m for m in checked(tmp_path, *documents) if "contradicts" in m] == [
        f"its match contradicts the one at {tmp_path}/f.yaml:{line(tmp_path, 'delegate')}"
    ]


def line(tmp_path: Path, word: str) -> str:
    text = (tmp_path / "f.yaml").read_text().splitlines()
    at = next(i for i, each in enumerate(text, 1) if f"- {word}:" in each)
    return f"{at}:{text[at - 1].index(word) + 1}"


@pytest.mark.parametrize(
    ("root", "leaf", "there"),
    [
        ({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/ab"}}, True),
        ({"uri": {"prefix": "/a"}}, {"uri": {"exact": "/b"}}, False),
        ({"uri": {"exact": "/a"}}, {"uri": {"exact": "/a"}}, True),
        ({"uri": {"exact": "/a"}}, {"uri": {"prefix": "/a"}}, False),
        ({"uri": {"regex": "/a"}}, {"uri": {"regex": "/a"}}, False),
        ({"uri": {"regex": "/a"}}, {"headers": {"h": {}}}, True),
        ({"headers": {"h": {}}}, {"headers": {"h": {"exact": "1"}}}, False),
        ({"headers": {"h": {"exact": "1"}}}, {"headers": {"g": {"exact": "2"}}}, True),
        ({"port": 1}, {"port": 1}, True),
        ({"port": 1}, {"port": 2}, False),
        ({"sourceNamespace": "a"}, {}, False),
        ({"sourceNamespace": "a"}, {"sourceNamespace": "a"}, True),
        ({"sourceLabels": {"a": "b"}}, {"sourceLabels": {"a": "c"}}, False),
        ({"sourceLabels": {"a": "b"}}, {"sourceLabels": {"b": "c"}}, True),
        ({"gateways": ["mesh"]}, {"gateways": ["mesh", "g"]}, False),
        ({"uri": {"prefix": "/a"}, "ignoreUriCase": True}, {"uri": {"prefix": "/a"}}, False),
        ({"queryParams": {"q": {"prefix": "a"}}}, {"queryParams": {"q": {"exact": "ab"}}}, True),
    ],
)
def test_what_contradicts_itself_is_left_out(root: Doc, leaf: Doc, there: bool) -> None:
    leaf = leaf or {"headers": {"z": {}}}
    mesh = load(SHOP, RULE, virtual(["a.Cart"], handed("d", root), route("v3")), bare("d", route("v1", leaf)))
    assert len(rules(mesh, "a.Cart")) == 1 + there


def test_what_is_handed_on_has_the_roots_retries_unless_it_has_its_own() -> None:
    root = virtual(["a.Cart"], handed("d", retries={"attempts": 2}))
    leaf = route("v1", {"headers": {"a": {}}}, retries={"attempts": 1})
    mesh = load(SHOP, RULE, root, bare("d", leaf, route("v2")))
    assert [r.actions and r.actions.retries and r.actions.retries.attempts for r in rules(mesh, "a.Cart")] == [1, 2]


def test_what_is_handed_on_has_the_roots_name_and_timeout() -> None:
    root = virtual(["a.Cart"], handed("d", name="r", timeout="2s"))
    mesh = load(SHOP, RULE, root, bare("d", route("v1", {"headers": {"a": {}}}, name="l", timeout="1s"), route("v2")))
    assert [(r.name, r.timeout_ms) for r in rules(mesh, "a.Cart")] == [("r-l", 1000), ("r", 2000)]


def test_who_is_not_there_and_whom_nobody_asks(tmp_path: Path) -> None:
    with_hosts = virtual(["b.B"], {"route": [to(host="shop")]}, name="d")
    root = virtual(["a.Cart"], handed("d"), route("v3"))
    said = checked(tmp_path, SHOP, RULE, root, with_hosts, bare("alone", route("v1")))
    assert "no VirtualService d without hosts is there" in said
    assert "it has no hosts, and no rule hands on to it" in said
    twice = checked(tmp_path, SHOP, RULE, root, bare("d", handed("e"), route("v1", {"headers": {"a": {}}})))
    assert twice[0] == "a delegate hands on once more"
    named = {"delegate": {"name": "d", "namespace": "n"}}
    there = virtual(["a.Cart"], named)
    assert goes(load(SHOP, RULE, there, bare("d", route("v2"), namespace="n"), bare("d", route("v1"))), "/") == "2"
    with pytest.raises(ConfigError, match="route and delegate exclude each other"):
        load(SHOP, RULE, virtual(["a.Cart"], named | {"route": [to()]}))
    with pytest.raises(ConfigError, match="route is missing"):
        load(SHOP, RULE, virtual(["a.Cart"], {"name": "x"}))


def test_a_loader_sees_the_other_change() -> None:
    root, loader = virtual(["a.Cart"], handed("d", {"headers": {"a": {}}}), route("v3")), config.Loader()
    for parts in ([route("v1")], [route("v2")], [route("v2")], None, [route("v1")]):
        documents = [SHOP, RULE, root, *([bare("d", *parts)] if parts else [])]
        texts = [config.Text(f"{i}", yaml.safe_dump(d).encode()) for i, d in enumerate(documents)]
        assert loader.build(texts, config.Report()) == config.build(texts, config.Report())


# --- several for one host


def dated(document: Doc, created: str) -> Doc:
    return document | {"metadata": document["metadata"] | {"creationTimestamp": created}}


def test_the_older_one_decides_alone(tmp_path: Path) -> None:
    only_a = virtual(["a.Cart"], route("v1", {"uri": {"prefix": "/a"}}), name="z")
    every = virtual(["a.Cart"], route("v2"), name="y")
    older, newer = dated(only_a, "2026-01-01T00:00:00Z"), dated(every, "2026-01-02T00:00:00Z")
    for documents in ((older, newer), (newer, older)):
        mesh = load(SHOP, RULE, *documents)
        assert goes(mesh, "/a") == "1" and goes(mesh, "/b") == ""
        said = checked(tmp_path, SHOP, RULE, *documents)
        assert "a.Cart is routed by VirtualService z, this one is never asked" in said
    assert goes(load(SHOP, RULE, only_a, every), "/b") == "2"  # by name, without dates


def test_an_older_one_for_other_workloads_is_passed() -> None:
    others = virtual(["a.Cart"], route("v1", {"sourceLabels": {"app": "other"}}), name="a")
    mine = virtual(["a.Cart"], route("v2"), name="b")
    assert goes(load(SHOP, RULE, others, mine), "/") == "2"
    assert goes(load(SHOP, RULE, others, mine, sidecar(workload={"labels": {"app": "other"}})), "/") == "1"


# --- matches


@pytest.mark.parametrize(
    ("match", "path", "headers", "there"),
    [
        ({"uri": {"prefix": "/foo"}}, "/foobar", {}, True),
        ({"uri": {"exact": "/foo"}}, "/foo?a=1", {}, True),
        ({"uri": {"prefix": ""}}, "/any", {}, True),
        ({"uri": {"regex": "/Foo"}, "ignoreUriCase": True}, "/foo", {}, False),
        ({"queryParams": {"q": {"exact": "1"}}}, "/?q=2&q=1", {}, False),
        ({"queryParams": {"q": {"exact": "1"}}}, "/?q=%31", {}, False),
        ({"queryParams": {"q": {"exact": "1"}}}, "/?q=1&q=2", {}, True),
        ({"headers": {"h": {"regex": "a|b"}}}, "/", {"h": "ab"}, False),
        ({"withoutHeaders": {"h": {"exact": "foo"}}}, "/", {}, True),
        ({"withoutHeaders": {"h": {"exact": "foo"}}}, "/", {"h": "foo"}, False),
        ({"withoutHeaders": {"h": {"exact": "foo"}}}, "/", {"h": "bar"}, True),
        ({"withoutHeaders": {"h": {}}}, "/", {}, True),
        ({"withoutHeaders": {"h": {}}}, "/", {"h": ""}, False),
        ({"withoutHeaders": {"h": {"regex": ".*"}}}, "/", {}, False),
        ({"withoutHeaders": {"h": {"regex": ".*"}}}, "/", {"h": "x"}, False),
        ({"withoutHeaders": {"h": {"prefix": "f"}}}, "/", {}, True),
        ({"withoutHeaders": {"h": {"exact": ""}}}, "/", {}, False),
        ({"withoutHeaders": {"h": {"exact": ""}}}, "/", {"h": "x"}, True),
    ],
)
def test_a_match_means_what_it_means_to_istio(match: Doc, path: str, headers: Doc, there: bool) -> None:
    assert goes(load(SHOP, RULE, virtual(["a.Cart"], route("v1", match))), path, headers) == ("1" if there else "")


@pytest.mark.parametrize(("weights", "shares"), [((1, 1, 2), (0.25, 0.25, 0.5)), ((0,), (1,)), ((0, 5), (0, 1))])
def test_weights_are_shares_of_their_sum(weights: tuple[int, ...], shares: tuple[float, ...]) -> None:
    entries = [to(f"v{i}", weight=weight) for i, weight in enumerate(weights, 1)]
    (made,) = rules(load(SHOP, RULE, virtual(["a.Cart"], {"route": entries})), "a.Cart")
    total = sum(t.weight for t in made.targets)
    assert tuple(t.weight / total for t in made.targets) == shares
