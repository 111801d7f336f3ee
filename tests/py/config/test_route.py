"""VirtualServices: targets, fallbacks, matches, and which one a service gets."""

from __future__ import annotations

import pytest
from config_mesh import conditions, entry, label, load, rule, rules, sidecar, targets, to, virtual

from meshfast import config
from meshfast.errors import ConfigError
from meshfast.model import Mesh, Pattern

SHOP = entry("shop", ("a.Cart", "a.Stock"))
SUBSETS = rule("shop", "trunk", "daily")
ENV = label("env")


def shop(*http: dict[str, object]) -> Mesh:
    return load(SHOP, SUBSETS, ENV, virtual(["a.Cart"], *http))


def test_without_virtual_service_all_instances() -> None:
    mesh = load(SHOP)
    assert [s.name for s in mesh.services] == ["a.Cart", "a.Stock"]
    assert targets(rules(mesh, "a.Cart")[0]) == [("shop", "ALL", "", 100, "-", None)]
    assert rules(mesh, "a.Cart")[0].matches == ()


def test_weights_and_timeout() -> None:
    mesh = shop({"route": [to("trunk", weight=70), to("daily", weight=30), to()], "timeout": "1.5s", "name": "x"})
    (only,) = rules(mesh, "a.Cart")
    assert targets(only) == [
        ("shop", "SUBSET", "trunk", 70, "-", None),
        ("shop", "SUBSET", "daily", 30, "-", None),
        ("shop", "ALL", "", 0, "-", None),
    ]
    assert (only.name, only.timeout_ms) == ("x", 1500)


def test_a_label_without_fallback_goes_to_the_baseline() -> None:
    mesh = shop({"route": [to("$env")]})
    assert targets(rules(mesh, "a.Cart")[0]) == [
        ("shop", "LABEL", "env", 100, "NO_AVAILABLE", 1),
        ("shop", "BASELINE", "env", 0, "-", None),
    ]


def test_a_chain_of_entries() -> None:
    mesh = shop({
        "route": [
            to("$env", weight=100, case="noinstances", target="trunk"),
            to("trunk", weight=0, case="noavailabled", target="daily"),
            to("daily", weight=0),
        ]
    })  # fmt: skip
    assert targets(rules(mesh, "a.Cart")[0]) == [
        ("shop", "LABEL", "env", 100, "NO_INSTANCE", 1),
        ("shop", "SUBSET", "trunk", 0, "NO_AVAILABLE", 2),
        ("shop", "SUBSET", "daily", 0, "-", None),
    ]


def test_a_fallback_that_is_no_entry_is_added_once() -> None:
    mesh = shop({"route": [to("$env", weight=50, target="trunk"), to("daily", weight=50, target="trunk")]})
    assert targets(rules(mesh, "a.Cart")[0]) == [
        ("shop", "LABEL", "env", 50, "NO_AVAILABLE", 2),
        ("shop", "SUBSET", "daily", 50, "NO_AVAILABLE", 2),
        ("shop", "SUBSET", "trunk", 0, "-", None),
    ]


@pytest.mark.parametrize("case", ["noavailable", "noavailabled", None])
def test_cases_of_a_fallback(case: str | None) -> None:
    fallback = {"case": case, "target": "trunk"} if case else {"target": "trunk"}
    mesh = shop({"route": [to("daily", **fallback)]})
    assert targets(rules(mesh, "a.Cart")[0])[0] == ("shop", "SUBSET", "daily", 100, "NO_AVAILABLE", 1)


def test_a_fallback_to_a_label_has_its_own_baseline() -> None:
    mesh = shop({"route": [to("trunk", target="$env")]})
    assert targets(rules(mesh, "a.Cart")[0]) == [
        ("shop", "SUBSET", "trunk", 100, "NO_AVAILABLE", 1),
        ("shop", "LABEL", "env", 0, "NO_AVAILABLE", 2),
        ("shop", "BASELINE", "env", 0, "-", None),
    ]


def test_a_fallback_to_another_host() -> None:
    mesh = load(
        SHOP, SUBSETS, entry("mock", ("m.Mock",)), rule("mock", "v1"),
        virtual(["a.Cart"], {"route": [to("trunk", target={"host": "m.Mock", "subset": "v1"})]}),
        virtual(["a.Stock"], {"route": [to("trunk", target={"host": "mock"})]}),
    )  # fmt: skip
    assert targets(rules(mesh, "a.Cart")[0])[1] == ("mock", "SUBSET", "v1", 0, "-", None)
    assert targets(rules(mesh, "a.Stock")[0])[1] == ("mock", "ALL", "", 0, "-", None)


def test_a_fallback_by_name_prefers_the_entry_of_its_own_host() -> None:
    mesh = load(
        SHOP, SUBSETS, entry("mock", ("m.Mock",)), rule("mock", "trunk", "own"),
        virtual(["a.Cart"], {"route": [to("trunk", host="mock", weight=50), to("trunk", weight=0),
                                       to("daily", weight=50, target="trunk")]}),
        virtual(["a.Stock"], {"route": [to("own", host="mock", weight=0), to("daily", weight=100, target="own")]}),
    )  # fmt: skip
    assert targets(rules(mesh, "a.Cart")[0])[2] == ("shop", "SUBSET", "daily", 50, "NO_AVAILABLE", 1)
    assert targets(rules(mesh, "a.Stock")[0])[1] == ("shop", "SUBSET", "daily", 100, "NO_AVAILABLE", 0)


def test_matches() -> None:
    match = [
        {"name": "m", "uri": {"prefix": "/a.Cart/"}, "authority": {"exact": "x"},
         "headers": {"h": {}, "g": {"exact": ""}}, "withoutHeaders": {"n": {}}},
        {"env": [{"exact": "dev"}, {"prefix": "t"}, {}]},
        {"headers": {"r": {"regex": "a+"}}},
        {},
    ]  # fmt: skip
    mesh = shop({"match": match, "route": [to()]})
    one, two, three, four, five, six = rules(mesh, "a.Cart")[0].matches
    assert one.name == "m"
    assert conditions(one) == [
        ("PATH", "PREFIX", "", "/a.Cart/"),
        ("AUTHORITY", "EXACT", "", "x"),
        ("HEADER", "PRESENT", "h", ""),
        ("HEADER", "EXACT", "g", ""),
        ("HEADER", "ABSENT", "n", ""),
    ]
    assert [conditions(m) for m in (two, three, four)] == [
        [("LABEL", "EXACT", "env", "dev")],
        [("LABEL", "PREFIX", "env", "t")],
        [("LABEL", "PRESENT", "env", "")],
    ]
    (regex,) = five.conditions
    assert isinstance(regex.value, bytes) and regex.source == "headers.r: {regex: a+}"
    assert conditions(six) == []


def test_source_labels_are_compared_here() -> None:
    match = [{"sourceLabels": {"app": "me"}}, {"sourceLabels": {"app": "you"}, "uri": {"exact": "/a.Cart/x"}}]
    route = virtual(["a.Cart"], {"match": match[1:], "route": [to()]}, {"match": match, "route": [to()]})
    mesh = load(sidecar(workload={"labels": {"app": "me"}}), SHOP, route)
    first, second = rules(mesh, "a.Cart")
    assert conditions(first.matches[0]) == [("PATH", "EXACT", "", "/a.Cart/x"), ("NEVER", "EXACT", "app", "you")]
    assert conditions(second.matches[0]) == []
    assert conditions(load(SHOP, route).services[0].rules[1].matches[0]) == [("NEVER", "EXACT", "app", "me")]


def test_a_label_is_known_although_it_is_for_others() -> None:
    mesh = load(
        SHOP, label("env", workloadSelector={"labels": {"app": "you"}}), virtual(["a.Cart"], {"route": [to("$env")]})
    )
    assert mesh.labels == ()
    assert targets(rules(mesh, "a.Cart")[0])[0][:3] == ("shop", "LABEL", "env")


def test_the_nearest_virtual_service_decides() -> None:
    def named(host: str) -> dict[str, object]:
        return virtual([host], {"name": host, "route": [to()]})

    shops = [entry("one", ("x.y.A", "x.y.B")), entry("two", ("x.y.C", "x.D", "z.E")), entry("three", ("x.y.z.F", "G"))]
    mesh = load(*shops, *map(named, ("*/*", "x.*", "x.y.*", "one/*", "x.y.B")))
    assert {s.name: s.rules[0].name for s in mesh.services} == {
        "x.y.A": "one/*", "x.y.B": "x.y.B", "x.y.C": "x.y.*", "x.D": "x.*", "z.E": "*/*", "x.y.z.F": "x.y.*",
        "G": "*/*",
    }  # fmt: skip
    assert {s.pattern for s in mesh.services} == {Pattern.EXACT}
    assert [t.cluster for s in mesh.services for t in s.rules[0].targets] == ["one"] * 2 + ["two"] * 3 + ["three"] * 2


def test_patterns_with_written_hosts_are_for_unknown_names_too() -> None:
    mesh = load(
        SHOP,
        virtual(["x.*", "x.y.*"], {"route": [to(host="a.Cart")]}),
        virtual(["*"], {"route": [to(host="shop")]}),
        virtual(["unknown.Service"], {"route": [to(host="shop")]}),
    )
    assert [(s.name, s.pattern.name) for s in mesh.services] == [
        ("a.Cart", "EXACT"), ("a.Stock", "EXACT"), ("unknown.Service", "EXACT"),
        ("x.y.", "PREFIX"), ("x.", "PREFIX"), ("", "ANY"),
    ]  # fmt: skip
    assert {t.cluster for s in mesh.services for r in s.rules for t in r.targets} == {"shop"}


def test_a_pattern_is_compiled_for_each_application() -> None:
    mesh = load(SHOP, SUBSETS, entry("b", ("b.B",)), rule("b", "trunk"), virtual(["*"], {"route": [to("trunk")]}))
    assert targets(rules(mesh, "b.B")[0]) == [("b", "SUBSET", "trunk", 100, "-", None)]
    assert targets(rules(mesh, "a.Cart")[0]) == [("shop", "SUBSET", "trunk", 100, "-", None)]
    with pytest.raises(ConfigError, match="subset trunk is not declared for b$|not declared for b\n"):
        load(SHOP, SUBSETS, entry("b", ("b.B",)), virtual(["*"], {"route": [to("trunk")]}))


def test_a_thousand_rules_are_compared_soon() -> None:
    http = [{"match": [{"headers": {"u": {"exact": f"u{i}"}}}], "route": [to()]} for i in range(1000)]
    assert len(rules(shop(*http), "a.Cart")) == 1000


def test_equal_texts_make_equal_meshes() -> None:
    text = b"apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a}\nspec: {hosts: [b.C]}\n"
    assert config.load_texts([("f", text)]) == config.load_texts([("f", text)])
    assert config.load_texts([("f", text)]) != config.load_texts([("f", text.replace(b"b.C", b"b.D"))])


@pytest.mark.parametrize("weights", [(1, 3), (30,), (70, 30), (0, 5), (2**31 - 1, 2**31 - 1)])
def test_weights_are_shares_of_their_sum(weights: tuple[int, ...]) -> None:
    mesh = shop({"route": [to(name, weight=w) for name, w in zip(("trunk", "daily"), weights, strict=False)]})
    assert [t.weight for t in rules(mesh, "a.Cart")[0].targets] == [*weights]
