"""Istio's documents with Istio's meaning: for whom they are, and what of them is taken with a warning."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_mesh import Doc, conditions, entry, label, load, rule, rules, sidecar, targets, to, virtual

from meshfast import config, words
from meshfast.config import dfa
from meshfast.errors import ConfigError
from meshfast.model import Http, Mesh
from meshfast.routing import Table

TWO_PORTS = [{"name": "d", "number": 20880, "protocol": "DUBBO"}, {"name": "h", "number": 8080, "protocol": "GRPC"}]
ADMIN = {"name": "admin", "number": 9000}
ONE = [{"address": "10.0.0.1", "labels": {"v": "v1"}}]
SHOP = entry(ports=[*TWO_PORTS, ADMIN], endpoints=ONE)


def checked(tmp_path: Path, *documents: Doc) -> tuple[Mesh, list[str], list[str]]:
    """The mesh, what is warned of, and what is passed over."""
    (tmp_path / "f.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
    report = config.Report(warn=True)
    mesh, warnings = config.check([tmp_path], report)
    return mesh, [w.message for w in warnings], [f"{p.kind}: {p.why}" for p in report.passed]


def having(document: Doc, **spec: Any) -> Doc:
    return document | {"spec": document["spec"] | spec}


def called(document: Doc, **metadata: str) -> Doc:
    return document | {"metadata": document["metadata"] | metadata}


def match(**fields: Any) -> Doc:
    return {"match": [fields], "route": [to()]}


# --- for whom


def test_a_virtual_service_for_gateways_alone_is_passed_over(tmp_path: Path) -> None:
    for_gateway = having(virtual(["a.Cart"], {"redirect": {"uri": "/"}}), gateways=["istio-system/gw"])
    mesh, warnings, passed = checked(tmp_path, SHOP, for_gateway)
    assert (len(rules(mesh, "a.Cart")), warnings) == (1, [])
    assert passed == ["VirtualService: for istio-system/gw"]
    both = having(virtual(["a.Cart"], {"name": "mine", "route": [to()]}), gateways=["gw", "mesh"])
    assert rules(load(SHOP, both), "a.Cart")[0].name == "mine"


@pytest.mark.parametrize(
    ("to_", "own", "there", "why"),
    [
        (None, "ns", True, ""),
        (["*"], "ns", True, ""),
        (["."], "ns", False, "exported to shop"),
        (["."], "shop", True, ""),
        (["ns", "x"], "ns", True, ""),
        (["x", "."], "ns", False, "exported to shop, x"),
        (["~"], "shop", False, "exported to no namespace"),
        (["~"], "", False, "exported to no namespace"),
        (["."], "", True, "the namespace of this workload is not known"),
    ],
)
def test_export_to(tmp_path: Path, to_: list[str] | None, own: str, there: bool, why: str) -> None:
    own_sidecar = sidecar(workload={"namespace": own} if own else {}, listeners=[{"name": "o", "bind": "127.0.0.1:0"}])
    extra = {"exportTo": to_} if to_ else {}
    mesh, warnings, passed = checked(tmp_path, own_sidecar, called(having(SHOP, **extra), namespace="shop"))
    assert (list(mesh.clusters) == ["shop"]) == there
    assert [*warnings, *passed] == ([why if there else f"ServiceEntry: {why}"] if why else [])


def test_a_destination_rule_for_some_workloads(tmp_path: Path) -> None:
    general = rule("shop", "v1", name="a")
    own = having(rule("shop", "v2", name="b"), workloadSelector={"matchLabels": {"app": "me"}})
    mesh, _, passed = checked(tmp_path, SHOP, general, own, sidecar(workload={"labels": {"app": "you"}}))
    assert [s.name for s in mesh.clusters["shop"].subsets] == ["v1"]
    assert passed == ["DestinationRule: for workloads labelled app=me"]
    mesh = load(SHOP, general, own, sidecar(workload={"labels": {"app": "me", "x": "y"}}))
    assert [s.name for s in mesh.clusters["shop"].subsets] == ["v2"]  # it is there before the other, not beside it


def test_the_older_of_two_subsets_of_one_name_counts(tmp_path: Path) -> None:
    first, second = rule("shop", "v1", "v2", name="x"), rule("a.Cart", "v2", "v3", name="y")
    second["spec"]["subsets"][0]["labels"] = {"v": "v1"}
    for documents in ((first, second), (second, first)):
        mesh, warnings, _ = checked(tmp_path, SHOP, *documents)
        assert {s.name: s.labels["v"] for s in mesh.clusters["shop"].subsets} == {"v1": "v1", "v2": "v2", "v3": "v3"}
        assert warnings == ["subset v2 of shop is that of DestinationRule x, not this one"]
    older = called(second, creationTimestamp="2026-01-01T00:00:00Z")
    mesh = load(SHOP, called(first, creationTimestamp="2026-01-02T00:00:00Z"), older)
    assert {s.name: s.labels["v"] for s in mesh.clusters["shop"].subsets}["v2"] == "v1"


@pytest.mark.parametrize(
    ("hosts", "to_", "not_to"),
    [
        (["*"], ["a.Cart"], []),
        (["x", "*/*"], ["a.Cart"], []),
        ([], ["a.Cart"], []),
        (["a.Cart"], ["a.Cart", "a.cart:80", "a.cart"], ["a.Cart2", "xa.Cart", "aXCart", "a.Cart:x"]),
        (["shop", "*.Up-1.example"], ["a.Cart", "x.up-1.example", "y.x.up-1.example:1"], ["up-1.example", "shop"]),
        (["com.*"], ["com.x", "com.x.Y"], ["com", "comx"]),
        (["r.b.svc.cluster.local"], ["r", "r.b", "r.b.svc:80", "r.b.svc.cluster.local"], ["r.c"]),
    ],
)
def test_the_hosts_that_labels_go_on_to(hosts: list[str], to_: list[str], not_to: list[str]) -> None:
    beta = label("env") | {"apiVersion": "istio.alibabacloud.com/v1beta1"}
    beta["spec"]["rules"][0]["hosts"] = hosts
    (made,) = load(SHOP, beta).labels
    assert list(made.hosts) == hosts
    found = [bool(not made.goes or dfa.match(made.goes, name.encode())) for name in (*to_, *not_to)]
    assert found == [True] * len(to_) + [False] * len(not_to)


def test_a_label_has_no_end_of_hosts() -> None:
    beta = label("env") | {"apiVersion": "istio.alibabacloud.com/v1beta1"}
    beta["spec"]["rules"][0]["hosts"] = [f"com.example.very.long.name.{n * 7919:08x}" for n in range(2000)]
    with pytest.raises(ConfigError, match="2000 names are too many|4000 names are too many"):
        load(beta)


def test_names_are_those_of_a_namespace(tmp_path: Path) -> None:
    other = called(entry("shop", ("b.Stock",), ports=[{"number": 1}], endpoints=ONE), namespace="b")
    mesh = load(called(SHOP, namespace="a"), other, virtual(["a.Cart"], {"route": [to(host="b/shop")]}))
    assert list(mesh.clusters) == ["a/shop", "b/shop"]
    assert targets(rules(mesh, "a.Cart")[0])[0][0] == "b/shop"
    mesh = load(called(SHOP, namespace="a"), virtual(["x.y"], {"route": [to(host="a/shop")]}))
    assert targets(rules(mesh, "x.y")[0])[0][0] == "shop"
    with pytest.raises(ConfigError, match="is there already"):
        load(called(SHOP, namespace="a"), called(other, namespace="a"))


def test_kinds_that_are_not_a_sidecars_are_one_line(tmp_path: Path) -> None:
    others = [
        {"apiVersion": api, "kind": kind, "metadata": {"name": kind.lower()}}
        for api, kind in (
            ("v1", "Service"), ("apps/v1", "Deployment"), ("v1", "Secret"), ("networking.istio.io/v1", "Gateway"),
        )
    ]  # fmt: skip
    (tmp_path / "f.yaml").write_text(yaml.safe_dump_all([SHOP, *others, {**others[0], "metadata": {"name": "b"}}]))
    command = [sys.executable, "-m", "meshfast", "check", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "passed over: 2 Service, 1 Deployment, 1 Secret, 1 Gateway" in done.stdout.splitlines()
    told = json.loads(subprocess.run([*command, "-o", "json"], capture_output=True, timeout=60, check=False).stdout)
    assert [each["kind"] for each in told["passed_over"]][:2] == ["Service", "Deployment"]


# --- what a match asks of the workload


def kept(mesh: Mesh) -> list[list[Any]]:
    return [[c[:3] for c in conditions(m)] for m in rules(mesh, "a.Cart")[0].matches]


def test_the_workloads_namespace() -> None:
    routes = virtual(["a.Cart"], match(sourceNamespace="ns", headers={"a": {}}))
    header = ("HEADER", "PRESENT", "a")
    assert kept(load(SHOP, routes, sidecar(workload={"namespace": "ns"}))) == [[header]]
    assert kept(load(SHOP, routes)) == [[header, ("NEVER", "EXACT", "/namespace")]]


def test_a_match_with_gateways_of_its_own(tmp_path: Path) -> None:
    not_ours = {"sourceLabels": {"app": "other"}, "sourceNamespace": "other"}
    routes = virtual(["a.Cart"], match(gateways=["mesh"], **not_ours, statPrefix="x"))
    mesh, warnings, _ = checked(tmp_path, SHOP, routes)
    assert kept(mesh) == [[]]
    assert warnings == ["sourceLabels does nothing beside gateways"]
    only = virtual(["a.Cart"], {"match": [{"gateways": ["gw"]}], "route": [to()]}, {"route": [to()]})
    assert kept(load(SHOP, only)) == [[("NEVER", "EXACT", "/gateways")]]
    table = Table()
    table.publish(load(SHOP, only))
    said = table.explain("a.Cart", [], {}, method="m").steps
    assert [step.kind for step in said][:3] == ["service", "no_match", "match"]


# --- ports


@pytest.mark.parametrize(
    ("port", "condition"),
    [
        (20880, [("HTTP", "ABSENT", "", "")]),
        (8080, [("HTTP", "PRESENT", "", "")]),
        (9000, [("NEVER", "EXACT", "/port", "9000")]),
        (1, [("NEVER", "EXACT", "/port", "1")]),
    ],
)
def test_the_port_called_is_the_one_for_what_the_caller_speaks(port: int, condition: list[Any]) -> None:
    routes = virtual(["a.Cart"], match(port=port), {"route": [to()]})
    assert conditions(rules(load(SHOP, routes), "a.Cart")[0].matches[0]) == condition


def test_one_port_is_called_by_all() -> None:
    shop = entry(ports=[{"number": 80}], endpoints=ONE)
    assert kept(load(shop, virtual(["a.Cart"], match(port=80)))) == [[]]


def test_the_port_of_a_service_that_nobody_lists() -> None:
    shop = entry(ports=[{"number": 1}], endpoints=ONE)
    named = [{"destination": {"host": "shop"}}]
    routes = virtual(["b.com"], {"match": [{"port": 80}], "route": named}, {"match": [{"port": 81}], "route": named})
    table = Table()
    table.publish(load(shop, routes))

    def goes(authority: str, dubbo: bool = False) -> int | None:
        http = None if dubbo else Http(authority=authority)
        decision = table.explain("b.com", [("target-host", authority)], {}, method="m", http=http, random=0)
        return decision.route.rule if decision.route else None

    assert [goes(a) for a in ("b.com", "b.com:80", "[::1]:80", "b.com:81", "b.com:82")] == [0, 0, 0, 1, None]
    assert goes("b.com:80", dubbo=True) is None


def test_the_port_of_a_destination() -> None:
    named = [{"destination": {"host": "shop", "port": {"number": n}}, "weight": 1} for n in (20880, 8080, 9000)]
    mesh = load(SHOP, rule("shop", "v1"), virtual(["a.Cart"], {"route": named}))
    assert [t[0] for t in targets(rules(mesh, "a.Cart")[0])] == ["shop:20880", "shop:8080", "shop:9000"]
    found = [[(e.address, e.speaks and e.speaks.name) for e in mesh.clusters[f"shop:{n}"].endpoints]
             for n in (20880, 8080, 9000)]  # fmt: skip
    assert found == [[("10.0.0.1:20880", None)], [("10.0.0.1:8080", "HTTP")], [("10.0.0.1:9000", None)]]
    assert [s.name for s in mesh.clusters["shop:9000"].subsets] == ["v1"]
    alone = entry(ports=[{"number": 80, "targetPort": 8080}], endpoints=ONE)
    routes = virtual(["a.Cart"], {"route": [{"destination": {"host": "a.Cart", "port": {"number": 80}}}]})
    mesh = load(alone, routes)
    assert list(mesh.clusters) == ["shop"] and mesh.clusters["shop"].endpoints[0].address == "10.0.0.1:8080"


def test_of_several_ports_the_authority_says_which_is_called(tmp_path: Path) -> None:
    ports = [{"name": f"p{n}", "number": n, "protocol": "HTTP"} for n in (8080, 80, 9000)]
    shop = entry("shop", ("a.Cart", "b.B"), ports=[*ports, TWO_PORTS[0]], endpoints=ONE)
    at_80 = [{"destination": {"port": {"number": 80}}}]
    asks = {"match": [{"port": 9000, "headers": {"h": {}}}], "name": "asked", "route": at_80}
    mesh = load(shop, rule("shop", "v1"), virtual(["b.B"], asks, {"name": "all", "route": [to("v1")]}))
    table = Table()
    table.publish(mesh)

    def goes(service: str, authority: str, *headers: tuple[str, str]) -> str:
        http = Http(authority=authority) if authority else None
        decision = table.explain(service, list(headers), {}, method="m", http=http, random=0)
        return decision.route.address if decision.route else decision.error

    for service in ("a.Cart", "b.B"):
        assert [goes(service, f"{service}{port}") for port in ("", ":80", ":8080", ":9000", ":1")] == [
            "10.0.0.1:80", "10.0.0.1:80", "10.0.0.1:8080", "10.0.0.1:9000", "10.0.0.1:80",
        ]  # fmt: skip
        assert goes(service, "") == "10.0.0.1:20880"
    assert goes("b.B", "b.B:9000", ("h", "x")) == "10.0.0.1:80"
    assert goes("b.B", "b.B:8080", ("h", "x")) == "10.0.0.1:8080"
    assert checked(tmp_path, shop)[1] == []
    assert checked(tmp_path, entry(ports=[ports[0], ports[2]], endpoints=ONE))[1] == [
        "several ports of HTTP/2: calls whose authority names none go to 8080"
    ]


def test_rules_for_other_workloads_alone_leave_the_service_as_it_is(tmp_path: Path) -> None:
    others = virtual(["a.Cart"], {"name": "theirs", "match": [{"sourceLabels": {"app": "x"}}], "route": [to()]})
    mesh, warnings, _ = checked(tmp_path, SHOP, others)
    assert [(r.name, len(r.matches)) for r in rules(mesh, "a.Cart")] == [("theirs", 1), ("", 0)] and warnings == []
    mesh, warnings, _ = checked(tmp_path, SHOP, others, sidecar(workload={"labels": {"app": "x"}}))
    assert [r.name for r in rules(mesh, "a.Cart")] == ["theirs"]


def test_a_loader_sees_ports_change() -> None:
    def texts(*documents: Doc) -> list[config.Text]:
        return [config.Text(d["kind"], yaml.safe_dump(d).encode()) for d in documents]

    routes = virtual(["a.Cart"], {"match": [{"port": 80}], "route": [{"destination": {"port": {"number": 81}}}]})
    loader = config.Loader()
    for ports in ([80, 81], [80, 81], [81, 80], [81], [80, 81], [80, 82, 81], [80, 82, 81], [81, 82, 80, 83]):
        kinds = ("GRPC", "DUBBO", "HTTP2", "TRI")
        given = [{"number": n, "name": f"p{n}", "protocol": p} for n, p in zip(ports, kinds, strict=False)]
        documents = texts(entry(ports=given, endpoints=ONE), routes)
        assert loader.build(documents, config.Report()) == config.build(documents, config.Report())


def test_a_loader_sees_a_service_with_ports_go() -> None:
    ports = [{"name": f"p{n}", "number": n, "protocol": "GRPC"} for n in (80, 81)]
    apps = [entry(name, (f"com.{name}",), ports=ports, endpoints=ONE) for name in ("a", "b")]
    every = virtual(["*"], {"match": [{"port": 81}], "route": [{"destination": {"port": {"number": 80}}}]})
    loader = config.Loader()
    for shown in (apps, apps[:1], apps, [], apps[1:], apps):
        texts = [config.Text(str(d["metadata"]["name"]), yaml.safe_dump(d).encode()) for d in (*shown, every)]
        mesh = loader.build(texts, config.Report())
        assert mesh == config.build(texts, config.Report())
        assert len(mesh.services) == len(shown)


# --- hosts that end alike


def test_hosts_by_their_end(tmp_path: Path) -> None:
    wild = entry("wild", ("*.w.example", "a.w.example"), ports=[{"number": 1}], endpoints=ONE)
    suffix = virtual(["*.Cart"], {"name": "suffix", "route": [to(host="shop")]})
    longer = virtual(["*.b.w.example"], {"name": "longer", "route": [to(host="shop")]})
    shop = entry("shop", ("a.Cart", "com.x"), ports=[{"number": 1}], endpoints=[{"address": "10.0.0.2"}])
    mesh = load(shop, wild, suffix, longer, virtual(["com.*"], {"name": "prefix", "route": [to(host="shop")]}))
    assert sorted((s.pattern.name, s.name) for s in mesh.services) == [
        ("EXACT", "a.Cart"), ("EXACT", "a.w.example"), ("EXACT", "com.x"), ("PREFIX", "com."), ("SUFFIX", ".Cart"),
        ("SUFFIX", ".b.w.example"), ("SUFFIX", ".w.example"),
    ]  # fmt: skip
    table = Table()
    table.publish(mesh)

    def goes(service: str) -> str:
        decision = table.explain(service, [], {}, method="m", random=0)
        rule_ = table.rule(decision)
        return f"{rule_.name} {decision.route.address}" if decision.route and rule_ else decision.error

    assert goes("a.Cart") == "suffix 10.0.0.2:1"
    assert goes("z.y.Cart") == "suffix 10.0.0.2:1"
    assert goes("com.other.Cart") == "suffix 10.0.0.2:1"  # .Cart is longer than com.
    assert goes("com.x") == "prefix 10.0.0.2:1"
    assert goes("a.w.example") == goes("c.w.example") == goes("x.y.w.example") == " 10.0.0.1:1"
    assert goes("a.b.w.example") == "longer 10.0.0.2:1"
    assert "10.0.0" not in goes("w.example") and "10.0.0" not in goes(".Cart")
    assert checked(tmp_path, shop, virtual(["*.nobody"], {"route": [to(host="shop")]}))[1] == [
        "no service that is listed is *.nobody"
    ]


def test_a_rule_for_all_that_a_pattern_lists() -> None:
    wild = entry("wild", ("*.w.example",), ports=[{"number": 1}], endpoints=ONE)
    own = load(wild, virtual(["*.w.example"], {"name": "own", "route": [to()]}))
    assert [(s.pattern.name, s.name, s.rules[0].name) for s in own.services] == [("SUFFIX", ".w.example", "own")]
    wider = load(wild, virtual(["*.example"], {"name": "wider", "route": [to()]}))
    assert [(s.pattern.name, s.name, s.rules[0].name) for s in wider.services] == [("SUFFIX", ".w.example", "wider")]
    app = load(wild, virtual(["wild"], {"name": "app", "route": [to()]}))
    assert [s.rules[0].name for s in app.services] == ["app"]


# --- the whole mesh, and what adds only quality


def test_the_default_route_of_the_whole_mesh() -> None:
    pattern = virtual(["*/*"], {"route": [to("v1", host="*/*"), to("", host="*/*", weight=1)]}, name="default-route")
    shop = entry("shop", ("a.Cart", "a.Stock"), ports=[{"number": 1}], endpoints=ONE)
    pattern["spec"]["http"][0]["route"][0]["weight"] = 2
    mesh = load(shop, rule("shop/*", "v1"), pattern)
    assert [s.name for s in mesh.services] == ["a.Cart", "a.Stock"]
    assert targets(rules(mesh, "a.Stock")[0])[0][:4] == ("shop", "SUBSET", "v1", 2)


def test_what_adds_only_quality_is_a_warning(tmp_path: Path) -> None:
    policy = {
        "connectionPool": {"tcp": {"idleTimeout": "1s"}},
        "tls": {"mode": "DISABLE"},
        "portLevelSettings": [{"port": {"number": 1}, "loadBalancer": {"simple": "RANDOM"}}],
    }  # fmt: skip
    route = {"route": [to()], "corsPolicy": {}}
    document = having(rule("shop", "v1"), trafficPolicy=policy)
    _, warnings, _ = checked(tmp_path, SHOP, document, virtual(["a.Cart"], route))
    names = ["idleTimeout", "corsPolicy"]
    assert sorted(warnings) == sorted(f"{name} is not done yet" for name in names)


def test_failover_needs_outlier_detection(tmp_path: Path) -> None:
    locality = {"loadBalancer": {"localityLbSetting": {"failover": [{"from": "a", "to": "b"}]}}}
    rule_ = having(rule("shop"), trafficPolicy=locality)
    assert checked(tmp_path, SHOP, rule_)[1][0] == "failover does nothing without outlierDetection"
    load(SHOP, having(rule_, trafficPolicy=locality | {"outlierDetection": {}}))
    locality["loadBalancer"]["localityLbSetting"]["enabled"] = False  # type: ignore[assignment]
    load(SHOP, having(rule_, trafficPolicy=locality | {"outlierDetection": {}}))


def test_a_match_is_told_in_words() -> None:
    asks = ({"port": 8080}, {"port": 20880}, {"gateways": ["gw"]}, {"sourceNamespace": "x"})
    routes = virtual(["a.Cart"], *(match(**each) for each in asks))
    made = [r.matches[0].conditions[0] for r in rules(load(SHOP, routes), "a.Cart")]
    asked = words.Asked("a.Cart", "m", {}, {}, {"/namespace": "ns"})
    assert [words.differs(c, asked, "") for c in made] == [
        "the port called is another one, against port: 8080",
        "the port called is another one, against port: 20880",
        "sidecars are not among its gateways: [gw]",
        "namespace of this workload is ns, not x",
    ]
    assert words.holds(made[0]) == "port: 8080"
