"""VirtualServices with Istio's meaning, as Envoy under Istio's control plane was seen to carry them out."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from config_mesh import Doc, entry, load, rule, sidecar, to, virtual
from test_istio import called, checked

from meshfast.errors import ConfigError
from meshfast.model import Http
from meshfast.routing import Table

ENDS = [{"address": f"10.0.0.{n}", "labels": {"v": f"v{n}"}} for n in (1, 2, 3)]
SHOP = entry("shop", ("shop.example",), ports=[{"number": 80, "name": "http", "protocol": "HTTP"}], endpoints=ENDS)
SUBSETS = rule("shop", "v1", "v2", "v3")
Headers = list[tuple[str, str]]


def table(*documents: Doc, **workload: object) -> Table:
    out = Table()
    out.publish(load(SHOP, SUBSETS, *documents, *([sidecar(workload=workload)] if workload else [])))
    return out


def goes(where: Table, path: str = "/", headers: Headers | None = None, **http: str) -> str:
    """The last number of the instance's address; "" for none."""
    view = Http(**{"method": "GET", "authority": "shop.example", **http, "path": path})
    found = where.explain("shop.example", headers or [], {}, method="GET", http=view, random=0)
    return found.route.address.partition(":")[0][-1] if found.route else ""


def met(match: Doc, path: str = "/", headers: Headers | None = None, **http: str) -> bool:
    routes = virtual(["shop.example"], {"match": [match], "route": [to("v1")]}, {"route": [to("v2")]})
    return goes(table(routes), path, headers, **http) == "1"


# --- what matches


@pytest.mark.parametrize(
    ("match", "path", "fits"),
    [
        ({"uri": {"prefix": "/foo"}}, "/foobar", True),
        ({"uri": {"exact": "/foo"}}, "/foo?a=1", True),
        ({"uri": {"exact": "/foo"}}, "/foo/", False),
        ({"uri": {"prefix": ""}}, "/any", True),
        ({"uri": {"regex": "/f.o"}}, "/foo", True),
        ({"uri": {"regex": "/f"}}, "/foo", False),
        ({"uri": {"exact": "/Foo"}, "ignoreUriCase": True}, "/fOO", True),
        ({"uri": {"prefix": "/Foo"}, "ignoreUriCase": True}, "/fOObar", True),
        ({"uri": {"regex": "/Foo"}, "ignoreUriCase": True}, "/foo", False),
        ({"queryParams": {"q": {"exact": "1"}}}, "/?q=2&q=1", False),
        ({"queryParams": {"q": {"exact": "1"}}}, "/?q=1&q=2", True),
        ({"queryParams": {"q": {"exact": "1"}}}, "/?q=%31", False),
        ({"queryParams": {"q": {"exact": "1"}}}, "/?Q=1", False),
        ({"queryParams": {"q": {"exact": ""}}}, "/?q", True),
        ({"queryParams": {"q": {"exact": ""}}}, "/?q=", True),
        ({"queryParams": {"q": {}}}, "/?q", True),
        ({"queryParams": {"q": {}}}, "/?r", False),
    ],
)
def test_paths_and_parameters(match: Doc, path: str, fits: bool) -> None:
    assert met(match, path) == fits


@pytest.mark.parametrize(
    ("wanted", "headers", "fits"),
    [
        ({"regex": "a|b"}, [("h", "ab")], False),
        ({"regex": "a|b"}, [("h", "b")], True),
        ({"regex": ".*"}, [], False),
        ({}, [("H", "")], True),
        ({}, [], False),
        ({"exact": ""}, [("h", "")], True),
        ({"exact": ""}, [("h", "x")], False),
        ({"exact": ""}, [], False),
        ({"exact": "a,b"}, [("h", "a"), ("H", "b")], True),
        ({"exact": "b"}, [("h", "a"), ("h", "b")], False),
    ],
)
def test_headers(wanted: Doc, headers: Headers, fits: bool) -> None:
    assert met({"headers": {"h": wanted}}, headers=headers) == fits


@pytest.mark.parametrize(
    ("wanted", "absent", "values"),
    [
        ({"exact": "foo"}, True, {"foo": False, "bar": True}),
        ({}, True, {"": False, "foo": False}),
        ({"regex": ".*"}, False, {"": False, "foo": False}),
        ({"prefix": "f"}, True, {"foo": False, "bar": True}),
        ({"exact": ""}, False, {"": False, "foo": True}),
        ({"regex": "*"}, True, {"": False, "foo": False}),
    ],
)
def test_headers_that_are_not_to_be_there(wanted: Doc, absent: bool, values: dict[str, bool]) -> None:
    match = {"withoutHeaders": {"h": wanted}}
    assert met(match) == absent
    assert {value: met(match, headers=[("h", value)]) for value in values} == values


@pytest.mark.parametrize(
    "match",
    [
        {"headers": {"h": {"prefix": ""}}}, {"headers": {"h": {"regex": "*"}}}, {"uri": {"regex": ""}},
        {"headers": {"h": {"regex": ""}}},
    ],
)  # fmt: skip
def test_what_istio_refuses(match: Doc) -> None:
    with pytest.raises(ConfigError):
        met(match)


def test_a_match_of_nothing_takes_all_and_drops_what_is_behind(tmp_path: Path) -> None:
    routes = virtual(["shop.example"], {"match": [{}], "route": [to("v1")]}, {"route": [to("v2")]})
    assert goes(table(routes)) == "1"
    warned = checked(tmp_path, SHOP, SUBSETS, routes)[1]
    assert len(warned) == 1 and warned[0].startswith("this rule is never reached")


# --- shares


def shares(*weights: int | None) -> dict[str, int]:
    route = [to(f"v{n}", weight=weight) for n, weight in enumerate(weights, 1)]
    where = table(virtual(["shop.example"], {"route": route}))
    counted: Counter[str] = Counter()
    drawn = random.Random(7)
    for _ in range(4000):
        view = Http(authority="shop.example")
        found = where.explain("shop.example", [], {}, method="m", http=view, random=drawn.getrandbits(32))
        counted[found.route.address.partition(":")[0][-1] if found.route else ""] += 1
    return {end: round(n / 200) * 5 for end, n in sorted(counted.items())}


def test_weights_are_shares_of_their_sum() -> None:
    assert shares(1, 1, 2) == {"1": 25, "2": 25, "3": 50}
    assert shares(1, 1) == {"1": 50, "2": 50}
    assert shares(0) == shares(7) == shares(None) == {"1": 100}
    assert shares(0, 3) == {"2": 100}
    with pytest.raises(ConfigError, match="the weights add up to 0"):
        shares(0, 0)


# --- several for one host


def at(created: str, path: str, subset: str, name: str, **match: object) -> Doc:
    made = virtual(["shop.example"], {"match": [{"uri": {"prefix": path}, **match}], "route": [to(subset)]}, name=name)
    return called(made, creationTimestamp=f"2026-01-0{created}T00:00:00Z")


def test_the_oldest_takes_the_host_whether_its_rules_match_or_not() -> None:
    older, newer = at("1", "/a", "v1", "z"), at("2", "/b", "v2", "a")
    for documents in ((older, newer), (newer, older)):
        where = table(*documents)
        assert (goes(where, "/a"), goes(where, "/b")) == ("1", "")
    assert goes(table(at("1", "/", "v1", "b"), at("1", "/", "v2", "a"))) == "2"  # by name


def test_one_that_has_no_rule_for_this_caller_leaves_the_host_to_the_next() -> None:
    older, newer = at("1", "/", "v1", "a", sourceLabels={"app": "other"}), at("2", "/", "v2", "b")
    assert goes(table(older, newer)) == "2"
    assert goes(table(older, newer, labels={"app": "other"})) == "1"
    assert goes(table(at("1", "/", "v1", "a", gateways=["gw"]), newer)) == "2"
    mesh = at("1", "/", "v1", "a", gateways=["mesh"], sourceLabels={"app": "other"})
    assert goes(table(mesh, newer)) == "1"


def test_one_for_this_namespace_is_before_those_for_all() -> None:
    def exported(document: Doc, namespace: str, *to_: str) -> Doc:
        return called(document, namespace=namespace) | {"spec": document["spec"] | {"exportTo": list(to_)}}

    public = called(at("1", "/", "v1", "a"), namespace="other")
    named = exported(at("2", "/", "v2", "b"), "other", "me", "x")
    private = exported(at("3", "/", "v3", "c"), "me", ".")
    assert goes(table(public, named, private, namespace="me")) == "3"
    assert goes(table(public, named, namespace="me")) == "2"
    assert goes(table(public, named, namespace="you")) == "1"
    assert goes(table(public, private, namespace="you")) == "1"
    assert goes(table(public, named, private)) == "1"  # by age alone where it is not known


# --- delegates


def test_a_delegates_matches_are_joined_with_its_roots() -> None:
    root = virtual(
        ["shop.example"],
        {
            "match": [{"uri": {"prefix": "/x"}, "headers": {"a": {"exact": "1"}}}],
            "delegate": {"name": "d"},
        },
    )
    delegate = virtual(
        [],
        {"match": [{"uri": {"prefix": "/x/y"}}], "route": [to("v1", host="shop")]},
        {"match": [{"uri": {"prefix": "/z"}}], "route": [to("v3", host="shop")]},
        {"route": [to("v2", host="shop")]},
        name="d",
    )
    del delegate["spec"]["hosts"]
    where = table(root, delegate)
    a = [("a", "1")]
    assert [goes(where, path, a) for path in ("/x/y", "/x/q", "/z")] == ["1", "2", ""]
    assert goes(where, "/x/y") == ""
