"""Faults, answers and changes of rules: what Istio's documents mean."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from config_mesh import Doc, entry, load, rule, rules, to, virtual

from meshfast import _core
from meshfast.changes import Abort, Delay, Fault, Headers, Level, Statuses
from meshfast.config import Loader, Report, Text, build
from meshfast.policies import Actions

SHOP = entry("shop", ("a.Cart",))
SUBSETS = rule("shop", "v1", "v2")


def actions(**route: Any) -> Actions:
    made = [one.actions for one in rules(load(SHOP, SUBSETS, virtual(["a.Cart"], {"route": [to()]} | route)), "a.Cart")]
    assert len(made) == 1
    assert made[0] is not None
    return made[0]


def every(**more: Any) -> Doc:
    return {"percentage": {"value": 100}, **more}


def test_nothing_is_nothing() -> None:
    (only,) = rules(load(SHOP, virtual(["a.Cart"], {"route": [to()], "headers": {}})), "a.Cart")
    assert only.actions is None


@pytest.mark.parametrize(
    ("percent", "millionths"),
    [(100, 1_000_000), (0.0001, 1), (0.00019, 1), (0.57, 5_699), (25, 250_000), (0.5, 5_000), (99.9999, 999_999)],
)  # fmt: skip
def test_shares_are_exact_and_cut_as_with_istio(percent: float, millionths: int) -> None:
    made = actions(fault={"abort": {"httpStatus": 500, "percentage": {"value": percent}}}).fault
    assert made is not None
    assert made.abort is not None
    assert made.abort.millionths == millionths


def test_without_a_percentage_it_never_happens() -> None:
    fault = {"delay": {"fixedDelay": "5s"}, "abort": {"httpStatus": 500}}
    document = virtual(["a.Cart"], {"route": [to()], "fault": fault})
    assert rules(load(SHOP, document), "a.Cart")[0].actions is None
    report = Report(warn=True)
    build([Text("a", yaml.safe_dump_all([SHOP, document]).encode())], report)
    assert report.warnings is not None
    said = [one.message for one in report.warnings]
    assert said.count("without percentage it never happens") == 2


def test_a_fault() -> None:
    made = actions(fault={"delay": {"fixedDelay": "1.5s", "percent": 10}, "abort": every(grpcStatus="NOT_FOUND")}).fault
    assert made == Fault(Delay(1500, 100_000), Abort(Statuses(200, 5, 60), "fault filter abort", 1_000_000))


@pytest.mark.parametrize(
    ("said", "statuses"),
    [
        ({"httpStatus": 503}, (503, 14, 80)), ({"httpStatus": 404}, (404, 12, 60)),
        ({"httpStatus": 429}, (429, 14, 100)),
        ({"httpStatus": 504}, (504, 14, 31)), ({"httpStatus": 403}, (403, 7, 40)), ({"httpStatus": 200}, (200, 2, 80)),
        ({"grpcStatus": "RESOURCE_EXHAUSTED"}, (200, 8, 100)), ({"grpcStatus": "OK"}, (200, 0, 80)),
        ({"dubboStatus": 35}, (503, 14, 35)), ({"dubboStatus": 70}, (500, 2, 70)),
        ({"httpStatus": 503, "dubboStatus": 31}, (503, 14, 31)),
    ],
)  # fmt: skip
def test_statuses_in_all_protocols(said: Doc, statuses: tuple[int, int, int]) -> None:
    made = actions(fault={"abort": every(**said)}).fault
    assert made is not None
    assert made.abort is not None
    assert made.abort.statuses == Statuses(*statuses)


def test_the_order_of_header_operations() -> None:
    own = {"request": {"set": {"z": "1", "a": "2"}, "add": {"a": "3"}, "remove": ["b"]}}
    one = {"request": {"set": {"a": "4"}, "remove": ["c"]}}
    merged = Level(("b", "c"), (("a", "2", False), ("z", "1", False), ("a", "3", True), ("a", "4", False)))
    assert actions(headers=own, route=[to() | {"headers": one}]).headers == (Headers((merged,)),)
    route = [to("v1", weight=1) | {"headers": one}, to("v2", weight=1)]
    first = Level(("c",), (("a", "4", False),))
    last = Level(("b",), (("a", "2", False), ("z", "1", False), ("a", "3", True)))
    assert actions(headers=own, route=route).headers == (Headers((first, last)), Headers((last,)))


def test_where_a_fallback_alone_leads_the_rules_own_hold() -> None:
    own = {"request": {"set": {"a": "rule"}}}
    route = [to("v1", target="v2") | {"headers": {"request": {"set": {"a": "v1"}}}}]
    made = actions(headers=own, route=route).headers
    assert [level.puts[-1][1] for one in made for level in one.request] == ["v1", "rule"]


def test_the_host_is_the_authority() -> None:
    assert actions(headers={"request": {"set": {"Host": "x.ex"}}}).headers == (Headers(authority="x.ex"),)
    both = actions(headers={"request": {"add": {":authority": "x.ex"}}}, rewrite={"authority": "r.ex"})
    assert (both.headers[0].authority, both.rewrite.authority if both.rewrite else "") == ("x.ex", "r.ex")


REWRITTEN = [
    ({"uri": {"prefix": "/old"}}, "/new", "/old/x?y=1", "/new/x?y=1"),
    ({"uri": {"prefix": "/old"}}, "/new", "/oldies", "/newies"),
    ({"uri": {"prefix": "/old"}}, "/", "/old/x", "//x"),
    (None, "/all", "/any", "/allany"),
    ({"headers": {"a": {}}}, "/all", "/any", "/allany"),
    ({"uri": {"exact": "/e"}}, "/f", "/e?q", "/f?q"),
    ({"uri": {"regex": "/r.*"}}, "/f", "/r/x", "/f"),
    ({"uri": {"prefix": "/CaSe"}, "ignoreUriCase": True}, "/c", "/case/x", "/c/x"),
    ({"uri": {"prefix": ""}}, "/all", "/any", "/allany"),
]


@pytest.mark.parametrize(("match", "uri", "path", "want"), REWRITTEN)
def test_rewrites(match: Doc | None, uri: str, path: str, want: str) -> None:
    made = actions(rewrite={"uri": uri}, **({"match": [match]} if match else {}))
    assert _core.change_path(made.rewrite, path) == want


def test_each_match_of_a_rule_rewrites_what_it_has_seen() -> None:
    seen = [{"prefix": "/a"}, {"prefix": "/b"}, {"exact": "/long"}, {"prefix": "/x/y"}]
    route = {"match": [{"uri": one} for one in seen], "rewrite": {"uri": "/n"}, "route": [to()], "name": "r"}
    made = rules(load(SHOP, virtual(["a.Cart"], route)), "a.Cart")
    rewrites = [one.actions.rewrite for one in made if one.actions]
    told = [(len(one.matches), one.name, how.strip) for one, how in zip(made, rewrites, strict=True) if how]
    assert told == [(2, "r", 2), (1, "r", -1), (1, "r", 4)]


def test_what_a_rule_that_hands_on_gives_to_those_that_have_none() -> None:
    fault, other = {"abort": every(httpStatus=500)}, {"abort": every(httpStatus=501)}
    root = virtual(["a.Cart"], {"delegate": {"name": "d"}, "fault": fault, "rewrite": {"uri": "/r"}})
    leaf = virtual([], {"match": [{"headers": {"a": {}}}], "route": [to(host="shop")], "fault": other},
                   {"route": [to(host="shop")], "rewrite": {"uri": "/l"}}, name="d")  # fmt: skip
    del leaf["spec"]["hosts"]
    made = [one.actions for one in rules(load(SHOP, root, leaf), "a.Cart")]
    told = [(one.fault.abort.statuses.http, one.rewrite.uri) for one in made if one and one.fault and one.rewrite
            if one.fault.abort]  # fmt: skip
    assert told == [(501, "/r"), (500, "/l")]


def test_a_loader_sees_them_change() -> None:
    loader = Loader()
    fault = {"fault": {"abort": every(httpStatus=500)}}
    for more in ({}, {"rewrite": {"uri": "/a"}}, {"rewrite": {"uri": "/b"}}, fault, {}):
        documents = [SHOP, virtual(["a.Cart"], {"route": [to()]} | more)]
        texts = [Text(f"{i}", yaml.safe_dump(one).encode()) for i, one in enumerate(documents)]
        assert loader.build(texts, Report()) == build(texts, Report())
