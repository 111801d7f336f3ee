"""RateLimit and mirrors: what they come to, what is refused, and what is hardly meant."""

from __future__ import annotations

import pytest
import yaml
from config_mesh import Doc, conditions, entry, label, load, rule, rules, sidecar, to, virtual

from meshfast import config
from meshfast.config.document import Report
from meshfast.errors import ConfigError
from meshfast.explain import explain
from meshfast.model import Mesh, TargetKind
from meshfast.policies import Limit
from meshfast.routing import Table

SHOP = entry("shop", ("a.Cart", "a.Stock"))
ALL = ["a.Cart", "a.Stock", "b.Pay"]
OTHER = entry("other", ("b.Pay",), endpoints=[{"address": "10.0.0.1"}], ports=[{"number": 1}])
SUBSETS = rule("shop", "v1", "v2")
ENV = label("env")


def limit(name: str = "few", **spec: object) -> Doc:
    return {"apiVersion": "meshfast.io/v1", "kind": "RateLimit", "metadata": {"name": name}, "spec": spec}


def limits(mesh: Mesh, service: str) -> list[Limit]:
    actions = {one.actions for one in rules(mesh, service)}
    assert len(actions) == 1  # each rule of a service has them
    (found,) = actions
    return list(found.limits) if found else []


def bad(*documents: Doc) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(*documents)
    return [f"{one.path}: {one.message}" for one in caught.value.problems]


def warned(*documents: Doc) -> tuple[Mesh, list[str]]:
    report = Report(warn=True)
    text = config.Text("f", yaml.safe_dump_all(documents, sort_keys=False).encode())
    mesh = config.build([text], report)
    return mesh, [f"{one.path}: {one.message}" for one in report.warnings or []]


@pytest.mark.parametrize(
    ("hosts", "services"),
    [
        (["a.Cart"], ["a.Cart"]), (["shop"], ["a.Cart", "a.Stock"]), (["shop/*", "b.Pay"], ALL),
        (["a.*"], ["a.Cart", "a.Stock"]), (["*.Pay"], ["b.Pay"]), (["*"], ALL),
    ],
)  # fmt: skip
def test_hosts(hosts: list[str], services: list[str]) -> None:
    mesh = load(SHOP, OTHER, limit(hosts=hosts, requests=5))
    assert [s.name for s in mesh.services if limits(mesh, s.name)] == services


def test_services_that_are_patterns() -> None:
    wild = entry("wild", ("*.shop", "b.Pay"))
    patterns = virtual(["a.*", "*"], {"route": [to(host="wild")]})

    def bounded(*hosts: str) -> list[tuple[str, str]]:
        mesh = load(SHOP, wild, patterns, limit(hosts=list(hosts), requests=1))
        return [(s.pattern.name, s.name) for s in mesh.services if any(r.actions for r in s.rules)]

    assert sorted(bounded("wild")) == [("EXACT", "b.Pay"), ("SUFFIX", ".shop")]
    assert bounded("a.*") == [("EXACT", "a.Cart"), ("EXACT", "a.Stock"), ("PREFIX", "a.")]
    assert {kind for kind, _ in bounded("*")} == {"EXACT", "SUFFIX", "PREFIX", "ANY"}


def test_names_of_kubernetes() -> None:
    whole = entry("cart", ("cart.demo.svc.cluster.local",))
    bound = limit(hosts=["cart.demo.svc.cluster.local"], requests=1)
    mesh = load(whole, sidecar(workload={"namespace": "demo"}), bound)
    assert "cart" in [s.name for s in mesh.services]
    assert all(limits(mesh, s.name) for s in mesh.services)


def test_what_it_says() -> None:
    mesh = load(SHOP, limit(hosts=["a.Cart"], requests=5), limit("b", hosts=["shop"], requests=6, unit="hour", burst=2))
    assert [(x.name, x.requests, x.unit, x.burst) for x in limits(mesh, "a.Cart")] == [
        ("few", 5, 1_000_000_000, 5), ("b", 6, 3_600_000_000_000, 2),
    ]  # fmt: skip
    assert [x.name for x in limits(mesh, "a.Stock")] == ["b"]


def test_every_rule_of_a_service_has_it() -> None:
    mesh = load(
        SHOP, SUBSETS, limit(hosts=["a.Cart"], requests=5),
        virtual(["a.Cart"], {"match": [{"headers": {"x": {}}}], "route": [to("v1")]}, {"route": [to("v2")]}),
    )  # fmt: skip
    assert len(rules(mesh, "a.Cart")) == 2
    assert [x.name for x in limits(mesh, "a.Cart")] == ["few"]


def test_matches_are_those_of_a_virtual_service() -> None:
    match = [{"headers": {"uid": {"exact": "7"}}, "env": [{"exact": "gray"}]}]
    match += [{"sourceLabels": {"app": "me"}}, {"port": 9}]
    me = sidecar(workload={"labels": {"app": "me"}})
    mesh = load(SHOP, ENV, me, limit(hosts=["a.Cart"], requests=5, match=match))
    (found,) = limits(mesh, "a.Cart")
    assert [conditions(one) for one in found.matches] == [
        [("HEADER", "EXACT", "uid", "7"), ("LABEL", "EXACT", "env", "gray")],
        [],
        [("NEVER", "EXACT", "/port", "9")],
    ]


def test_what_is_refused() -> None:
    assert bad(SHOP, limit(hosts=["nobody"], requests=1)) == ["spec.hosts[0]: unknown host nobody"]
    assert bad(SHOP, limit(hosts=["shop"])) == ["spec: requests is missing"]
    assert "0 is not from 1 to 100000000" in bad(SHOP, limit(hosts=["shop"], requests=0))[0]
    assert "day" in bad(SHOP, limit(hosts=["shop"], requests=1, unit="day"))[0]
    assert bad(SHOP, limit(hosts=["shop"], requests=1), limit(hosts=["shop"], requests=2)) == [
        "metadata.name: RateLimit few is there already"
    ]


def test_what_no_service_is() -> None:
    _, found = warned(SHOP, limit(hosts=["z.*"], requests=1))
    assert "spec.hosts: no service that is listed has such a name" in found


def test_what_has_not_changed_stays() -> None:
    loader = config.Loader()
    documents = [SHOP, OTHER, limit(hosts=["shop"], requests=1)]

    def build(*more: Doc) -> Mesh:
        texts = [(f"f{i}", one) for i, one in enumerate([*documents, *more])]
        return loader.build([config.Text(name, yaml.safe_dump(one).encode()) for name, one in texts], Report())

    first, second = build(), build()
    assert all(a is b for a, b in zip(first.services, second.services, strict=True))
    third = build(limit("b", hosts=["b.Pay"], requests=1))
    assert [a is b for a, b in zip(second.services, third.services, strict=True)] == [True, True, False]
    documents[2] = limit(hosts=["shop"], requests=2)
    assert [x.requests for x in limits(build(), "a.Cart")] == [2]


# --- mirrors


def mirrors(mesh: Mesh) -> list[tuple[str, str, str, int]]:
    (found,) = rules(mesh, "a.Cart")
    copied = found.actions.mirrors if found.actions else ()
    return [(m.cluster, TargetKind(m.kind).name, m.text, m.share) for m in copied]


def shop(**route: object) -> Mesh:
    return load(SHOP, OTHER, SUBSETS, ENV, virtual(["a.Cart"], {"route": [to("v1")], **route}))


ONE = {"address": "10.0.0.1", "labels": {"v": "v1"}}
V2 = {"host": "shop", "subset": "v2"}


@pytest.mark.parametrize(
    ("route", "share"),
    [
        ({}, 1_000_000), ({"mirrorPercentage": {"value": 25}}, 250_000), ({"mirrorPercentage": {"value": 0.00015}}, 1),
        ({"mirrorPercentage": {"value": 99.9999}}, 999_999), ({"mirrorPercent": 3}, 30_000),
        ({"mirror_percent": 4}, 40_000),
    ],
)  # fmt: skip
def test_shares(route: Doc, share: int) -> None:
    assert mirrors(shop(mirror=V2, **route)) == [("shop", "SUBSET", "v2", share)]


def test_several() -> None:
    found = [{"destination": V2, "percentage": {"value": 1}}, {"destination": {"host": "b.Pay"}}]
    found += [{"destination": {"host": "shop", "subset": "$env"}}]
    assert mirrors(shop(mirrors=found)) == [
        ("shop", "SUBSET", "v2", 10_000), ("other", "ALL", "", 1_000_000), ("shop", "LABEL", "env", 1_000_000),
    ]  # fmt: skip
    assert mirrors(shop(mirror=V2, mirrorPercentage={"value": 0})) == []


def test_mirrors_that_are_refused() -> None:
    def refused(**route: object) -> list[str]:
        return bad(SHOP, OTHER, SUBSETS, virtual(["a.Cart"], {"route": [to("v1")], **route}))

    assert refused(mirror=V2, mirrors=[{"destination": V2}]) == [
        "spec.http[0].mirrors: mirror and mirrors exclude each other"
    ]
    assert "101 is not from 0 to 100" in refused(mirror=V2, mirrorPercentage={"value": 101})[0]
    assert "subset v9 is not declared" in refused(mirror={"host": "shop", "subset": "v9"})[0]
    assert "9 mirrors; the limit is 8" in refused(mirrors=[{"destination": V2}] * 9)[0]


def test_mirrors_that_are_hardly_meant() -> None:
    one = virtual(["a.Cart"], {"route": [to("v1")], "mirror": {"host": "nobody"}})
    mesh, found = warned(SHOP, SUBSETS, one)
    assert "spec.http[0].mirror.host: no copy is sent: unknown host nobody" in found and mirrors(mesh) == []
    _, found = warned(SHOP, SUBSETS, virtual(["a.Cart"], {"route": [to("v1")], "mirrorPercent": 5}))
    assert "spec.http[0].mirrorPercent: mirrorPercent does nothing without mirror" in found


def test_a_delegate_has_the_mirrors_of_its_root() -> None:
    root = virtual(["a.Cart"], {"delegate": {"name": "leaf"}, "mirror": V2, "mirrorPercent": 7})
    leaf = virtual([], {"route": [to("v1", host="shop")]}, name="leaf")
    del leaf["spec"]["hosts"]
    assert mirrors(load(SHOP, SUBSETS, root, leaf)) == [("shop", "SUBSET", "v2", 70_000)]
    leaf["spec"]["http"][0]["mirror"] = {"host": "shop", "subset": "v1"}
    assert mirrors(load(SHOP, SUBSETS, root, leaf)) == [("shop", "SUBSET", "v1", 1_000_000)]


def test_explain_tells_of_both() -> None:
    table = Table()
    table.publish(
        load(
            entry("shop", ("a.Cart",), endpoints=[ONE], ports=[{"number": 1}]),
            SUBSETS,
            virtual(["a.Cart"], {"route": [to("v1")], "mirror": V2, "mirrorPercent": 7}),
            limit(hosts=["a.Cart"], requests=5, unit="minute"),
            limit("paid", hosts=["a.Cart"], requests=5, match=[{"headers": {"paid": {}}}]),
        )
    )
    told = [(s["outcome"], s["text"]) for s in explain(table, "a.Cart")["steps"] if s["about"] in ("limit", "mirror")]
    assert told == [
        ("+", "counts against the rate limit few: 5 a minute, 5 at once; 5 left now"),
        ("-", "does not count against the rate limit paid"),
        ("+", "mirrored to shop subset v2: 7 % of the calls"),
    ]
    with_header = explain(table, "a.Cart", headers={"paid": "1"})["steps"]
    assert "counts against the rate limit paid: 5 a second, 5 at once; 5 left now" in [s["text"] for s in with_header]
