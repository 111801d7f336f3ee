"""What is said of connections that are not read, and other fields that change nothing for a call."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml
from config_mesh import Doc, entry, load, rule, rules, sidecar, to, virtual
from test_istio import checked

from meshfast import config
from meshfast.errors import ConfigError

HTTP = {"name": "http", "number": 80, "protocol": "HTTP"}
TLS = {"name": "tls", "number": 443, "protocol": "TLS"}
ONE = [{"address": "10.0.0.1"}]
OUT = {"name": "out", "bind": "tcp://127.0.0.1:0"}
SHOP = entry(ports=[HTTP], endpoints=ONE)


def tls(host: str, *names: str, **spec: object) -> Doc:
    return {"match": [{"sniHosts": list(names), "port": 443, **spec}], "route": [{"destination": {"host": host}}]}


def test_rules_that_send_connections_where_they_were_dialled() -> None:
    routes = virtual(["a.example", "b.example"])
    routes["spec"] = {"hosts": routes["spec"]["hosts"], "tls": [tls(h, h) for h in routes["spec"]["hosts"]]}
    assert [s.name for s in load(SHOP, routes).services] == ["a.Cart"]
    routes["spec"]["tls"].append(tls("gateway.example", "a.example", gateways=["gw"]))
    load(SHOP, routes)
    mine = virtual(["a.Cart"], {"name": "mine", "route": [to()]})
    mine["spec"]["tcp"] = [{"route": [{"destination": {"host": "a.Cart"}, "weight": 1}]}]
    assert rules(load(SHOP, mine), "a.Cart")[0].name == "mine"


@pytest.mark.parametrize(
    "rule",
    [
        tls("b.example", "a.example"),
        tls("a.example", "a.example", gateways=["mesh", "gw"]) | {"route": [{"destination": {"host": "gw"}}]},
        {"route": [{"destination": {"host": "a.example", "subset": "v1"}}]},
        {"route": [{"destination": {"host": "a.example"}, "weight": 1}] * 2},
    ],
)
def test_rules_that_send_them_elsewhere_are_refused(rule: Doc) -> None:
    routes = virtual(["a.example"])
    routes["spec"] = {"hosts": ["a.example"], "tls": [rule]}
    with pytest.raises(ConfigError, match="no other is dialled for them"):
        load(SHOP, routes)


def test_hosts_that_no_rule_here_is_for_are_as_they_were() -> None:
    theirs = {"match": [{"gateways": ["gw"]}], "route": [to(host="shop")]}
    for host in ("other.example", "*.example", "com.*", "*"):
        assert [s.name for s in load(SHOP, virtual([host], theirs)).services] == ["a.Cart"]


def test_a_port_that_is_not_read_beside_one_that_is(tmp_path: Path) -> None:
    mesh, warnings, _ = checked(tmp_path, entry(ports=[HTTP, TLS], endpoints=ONE))
    assert mesh.clusters["shop"].endpoints[0].address == "10.0.0.1:80"
    assert warnings == ["TLS is not read: its connections go where they were dialled, not to these instances"]
    with pytest.raises(ConfigError, match="TLS is not read"):
        load(entry(ports=[TLS], endpoints=ONE))
    there = virtual(["a.Cart"], {"route": [{"destination": {"host": "shop", "port": {"number": 443}}}]})
    with pytest.raises(ConfigError, match="it is for TLS, which is not read"):
        load(entry(ports=[HTTP, TLS], endpoints=ONE), there)


def test_an_instance_of_another_network(tmp_path: Path) -> None:
    _, warnings, _ = checked(tmp_path, entry(ports=[HTTP], endpoints=[ONE[0] | {"network": "n2"}]))
    assert warnings == ["network is not done yet"]


def secured(mode: str, where: str) -> Doc:
    tls = {"tls": {"mode": mode}}
    spec = {
        "host": {"trafficPolicy": tls},
        "port": {"trafficPolicy": {"portLevelSettings": [{"port": {"number": 80}, **tls}]}},
        "subset": {"subsets": [{"name": "v1", "labels": {"v": "v1"}, "trafficPolicy": tls}]},
    }[where]
    made = rule("shop", name="r")
    return made | {"spec": {"host": "shop", **spec}}


WHERE = pytest.mark.parametrize("where", ["host", "port", "subset"])
OTHER = entry("other", ("b.B",), ports=[HTTP], endpoints=ONE)


@WHERE
def test_the_meshs_own_encryption(tmp_path: Path, where: str) -> None:
    mutual = secured("ISTIO_MUTUAL", where)
    with pytest.raises(ConfigError, match="ISTIO_MUTUAL is not supported"):
        load(SHOP, mutual, sidecar())
    _, warnings, _ = checked(tmp_path, SHOP, mutual, sidecar(tls="plain", listeners=[OUT]))
    assert warnings == ["ISTIO_MUTUAL: its calls go out in plain text"]
    loader = config.Loader()
    for own, good in (("plain", True), ("plain", True), ("refuse", False), ("close", True), ("plain", True)):
        documents = (SHOP, mutual, sidecar(tls=own))
        texts = [config.Text(f"{i}", yaml.safe_dump(d).encode()) for i, d in enumerate(documents)]
        with nullcontext() if good else pytest.raises(ConfigError):
            report = config.Report()
            mesh = loader.build(texts, report)
            assert mesh == config.build(texts, config.Report())
            assert bool(mesh.clusters["shop"].endpoints) == (own == "plain")
            assert [one.message.partition(":")[0] for one in report.noted] == ["1 DestinationRules ask for encryption"]
    mutual["spec"]["workloadSelector"] = {"matchLabels": {"app": "other"}}
    load(SHOP, mutual, sidecar())


@WHERE
@pytest.mark.parametrize("mode", ["SIMPLE", "MUTUAL", "ISTIO_MUTUAL"])
def test_a_host_that_is_closed_leaves_others_alone(tmp_path: Path, where: str, mode: str) -> None:
    two = SHOP | {"spec": SHOP["spec"] | {"ports": [HTTP, {"name": "d", "number": 2, "protocol": "DUBBO"}]}}
    documents = (two, OTHER, secured(mode, where), sidecar(tls="close", listeners=[OUT]))
    at_port = virtual(["a.Cart"], {"route": [{"destination": {"host": "shop", "port": {"number": 80}}}]})
    mesh, warnings, _ = checked(tmp_path, *documents, at_port)
    assert {name: len(one.endpoints) for name, one in mesh.clusters.items()} == {"shop": 0, "shop:80": 0, "other": 1}
    assert warnings == [f"{mode}: calls to its host are refused"]
    if mode != "ISTIO_MUTUAL":
        with pytest.raises(ConfigError, match=f"{mode} is not supported"):
            load(two, secured(mode, where), sidecar(tls="plain"))


def test_what_means_nothing_any_more() -> None:
    load(SHOP, virtual(["a.Cart"], {"route": [to()], "websocketUpgrade": True}))
