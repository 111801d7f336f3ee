"""OpenSergo's TrafficRouter: a VirtualService with fallbacks of its own."""

from __future__ import annotations

import pytest
from config_mesh import Doc, entry, load, rule, rules, targets

from meshfast.errors import ConfigError

ONE = [{"address": "10.0.0.1", "labels": {"v": "v1"}}]
SHOP = entry(ports=[{"number": 1}], endpoints=ONE)
SUBSETS = rule("shop", "v1", "gray")


def router(*http: Doc) -> Doc:
    return {
        "apiVersion": "traffic.opensergo.io/v1alpha1", "kind": "TrafficRouter", "metadata": {"name": "r"},
        "spec": {"hosts": ["a.Cart"], "http": list(http)},
    }  # fmt: skip


def test_its_rules_are_those_of_a_virtual_service() -> None:
    gray = {"host": "a.Cart", "subset": "gray", "fallback": {"host": "a.Cart", "subset": "v1"}}
    match = [{"headers": {"tag": {"exact": "v2"}}, "queryParams": {"a": {"exact": "1"}}}]
    mesh = load(SHOP, SUBSETS, router({"name": "g", "match": match, "route": [{"destination": gray}]},
                                      {"route": [{"destination": {"host": "a.Cart"}}]}))  # fmt: skip
    first, second = rules(mesh, "a.Cart")
    assert (first.name, len(first.matches[0].conditions)) == ("g", 2)
    assert targets(first) == [("shop", "SUBSET", "gray", 100, "NO_INSTANCE", 1), ("shop", "SUBSET", "v1", 0, "-", None)]
    assert targets(second) == [("shop", "ALL", "", 100, "-", None)]
    assert first.origin is not None and first.origin.document == "TrafficRouter/r"


def test_mistakes_are_told_where_they_stand() -> None:
    wrong = router({"route": [{"destination": {"host": "a.Cart", "fallback": {"host": "a.Card"}}, "wait": 1}]})
    with pytest.raises(ConfigError) as caught:
        load(SHOP, wrong)
    said = [(p.path, p.message) for p in caught.value.problems]
    assert said == [("spec.http[0].route[0].wait", "unknown field wait")]
    del wrong["spec"]["http"][0]["route"][0]["wait"]
    with pytest.raises(ConfigError, match="unknown host a.Card"):
        load(SHOP, wrong)
    with pytest.raises(ConfigError, match="expected a list of mappings"):
        load(SHOP, router() | {"spec": {"hosts": ["a.Cart"], "http": 1}})
