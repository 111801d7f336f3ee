"""What ``meshfast check`` warns of, refuses as the proxy would, and says of what is for others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from config_mesh import Doc, entry, label, rule, sidecar, to, virtual

from meshfast import config

ENDPOINTS = [{"address": "10.0.0.1", "labels": {"v": "trunk"}}, {"address": "10.0.0.2", "labels": {"env": "a"}}]
SHOP = entry("shop", ("a.Cart", "a.Stock"), ports=[{"number": 1}], endpoints=ENDPOINTS)
LISTENER = {"name": "out", "bind": "tcp://127.0.0.1:0"}


def write(directory: Path, *documents: Doc) -> str:
    (directory / "mesh.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return str(directory)


def warned(directory: Path, *documents: Doc) -> list[tuple[str, str]]:
    return [(w.path, w.message) for w in config.check([write(directory, *documents)])[1]]


def run(*arguments: str, stdout: int = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshfast", *arguments]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False)


def test_nothing_to_say(tmp_path: Path) -> None:
    exact = {"match": [{"uri": {"exact": "/a.Cart/x"}}], "route": [to()]}
    all_there = virtual(["a.Cart"], exact, {"route": [to("trunk")]})
    by_path = virtual(["a.Stock"], {"match": [{"uri": {"prefix": "/"}}], "route": [to()]})
    assert warned(tmp_path, SHOP, rule("shop", "trunk"), all_there, by_path, sidecar(listeners=[LISTENER])) == []
    assert warned(tmp_path, SHOP, virtual(["*", "a.*"], {"route": [to()]})) == []


def test_a_branch_whose_subset_has_no_instance(tmp_path: Path) -> None:
    subsets = rule("shop", "trunk", "gone", "lost")
    routes = virtual(["shop"], {"route": [to("trunk", weight=1, target="lost"), to("gone", weight=3)]})
    assert warned(tmp_path, SHOP, subsets, routes) == [
        ("spec.http[0].route[0].fallback.target", "subset lost of shop has no instance"),
        ("spec.http[0].route[1].destination.subset", "subset gone of shop has no instance"),
    ]


def test_a_baseline_that_nobody_is_in(tmp_path: Path) -> None:
    routes = virtual(["a.Cart"], {"route": [to("$env")]})
    assert warned(tmp_path, SHOP, label("env"), routes) == []
    only = entry("shop", ("a.Cart",), ports=[{"number": 1}], endpoints=ENDPOINTS[1:])
    assert [m for _, m in warned(tmp_path, only, label("env"), routes)] == [
        "every instance of shop has the label env: calls without it find none"
    ]


def test_rules_without_one_for_every_call(tmp_path: Path) -> None:
    some = virtual(["*"], {"match": [{"headers": {"a": {}}}], "route": [to()]})
    assert warned(tmp_path, SHOP, some) == [("spec.http", "no rule takes every call")]


def test_a_default_above_what_may_be_asked(tmp_path: Path) -> None:
    document = sidecar(listeners=[LISTENER], limits={"maxCallTimeout": "30s"})
    [(path, message)] = warned(tmp_path, document)
    assert path == "spec.limits.maxCallTimeout" and message.startswith("callTimeout (60000, by default) is above")


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ({"exact": "*"}, "* is no pattern here"),
        ({"prefix": "dev*"}, "* is no pattern here"),
        ({"exact": "dev1 // mine"}, "a comment begins with #"),
        ({"exact": "\u201cdev1\u201d"}, "quotes of a word processor"),
    ],
)
def test_a_text_that_is_hardly_meant(tmp_path: Path, wanted: dict[str, str], hint: str) -> None:
    routes = virtual(["a.Cart"], {"match": [{"headers": {"a": wanted}}], "route": [to()]}, {"route": [to()]})
    [warning] = config.check([write(tmp_path, SHOP, routes)])[1]
    assert warning.message.endswith("is compared as it is written") and warning.hint.startswith(hint)


@pytest.mark.parametrize(
    ("host", "message"),
    [
        ("b.Kart", "no ServiceEntry lists the service b.Kart"),
        ("b.*", "no service that is listed is b.*"),
    ],
)
def test_a_host_that_is_no_listed_service(tmp_path: Path, host: str, message: str) -> None:
    assert warned(tmp_path, SHOP, virtual([host], {"route": [to(host="shop")]})) == [("spec.hosts[0]", message)]


def test_no_instance_and_no_listener(tmp_path: Path) -> None:
    assert warned(tmp_path, entry("empty", ("b.B",)), sidecar(workload={"app": "x"})) == [
        ("spec", "empty has no instance"), ("spec", "no listener: meshfast proxy needs one"),
    ]  # fmt: skip


OUT, IN = {"name": "out", "bind": "tcp://127.0.0.1:7001"}, {"name": "in", "direction": "inbound"}
ALL = {"name": "all", "bind": "tcp://0.0.0.0:7003"}
BOTH = {"name": "both", "bind": "tcp://[::]:7004"}
SIX = {"name": "six", "bind": "tcp://[fd00::7]:7005"}
LOCAL = {"name": "local", "bind": "unix:///run/mesh/out.sock"}
APP = IN | {"bind": "tcp://0.0.0.0:7006", "forward": "tcp://127.0.0.1:7007"}
ROUND = IN | {"name": "round", "bind": "tcp://10.0.0.5:7008", "forward": "tcp://127.0.0.1:7001"}
RELAY = {"name": "relay", "bind": "tcp://127.0.0.1:7009", "protocol": "tcp", "forward": "tcp://127.0.0.1:7010"}


@pytest.mark.parametrize(
    ("address", "port", "listener"),
    [
        ("127.0.0.1", 7001, "out"), ("127.0.0.1", 7002, ""), ("127.0.0.2", 7001, ""), ("10.0.0.5", 7001, ""),
        ("127.0.0.1", 7003, "all"), ("127.9.9.9", 7003, "all"), ("::1", 7003, ""), ("10.0.0.5", 7003, ""),
        ("127.0.0.1", 7004, "both"), ("::1", 7004, "both"), ("fd00::7", 7004, ""),
        ("fd00::7", 7005, "six"), ("fd00:0::0:7", 7005, "six"), ("fd00::8", 7005, ""),
        ("unix:///run/mesh/out.sock", 0, "local"), ("unix:///run/mesh/./out.sock", 0, "local"),
        ("unix:///run/a", 0, ""), ("127.0.0.1", 7006, ""), ("10.0.0.5", 7008, "round"), ("127.0.0.1", 7009, ""),
    ],
)  # fmt: skip
def test_an_instance_that_is_a_listener_of_its_own(tmp_path: Path, address: str, port: int, listener: str) -> None:
    """An inbound one ends at the application, and a mesh lists it for all."""
    ports = {"ports": {"dubbo": port}} if port else {}
    shop = entry("shop", ("a.Cart",), endpoints=[ENDPOINTS[0] | {"ports": {"dubbo": 1}}, {"address": address, **ports}])
    said = warned(tmp_path, shop, sidecar(listeners=[OUT, ALL, BOTH, SIX, LOCAL, APP, ROUND, RELAY]))
    assert [path for path, _ in said] == ["spec.endpoints[1]"] * bool(listener)
    assert not listener or f"own listener {listener}:" in said[0][1]


def test_an_answer_that_may_close_its_caller(tmp_path: Path) -> None:
    def said(**limits: str) -> list[str]:
        return [path for path, _ in warned(tmp_path, sidecar(listeners=[LISTENER], limits=limits))]

    assert said(outputMax="4MiB", maxBody="4MiB") == said(maxBody="64MiB") == said(outputMax="8MiB") == []
    assert said(outputMax="4MiB", outputHigh="64KiB") == ["spec.limits.outputMax"]
    assert said(maxBody="65MiB") == ["spec.limits.maxBody"]
    done = run("check", str(tmp_path))
    assert done.returncode == 0 and "is above outputMax (67108864, by default): one answer" in done.stderr
    assert run("check", str(tmp_path), "--strict").returncode == 1


def test_exit_codes_and_forms(tmp_path: Path) -> None:
    path = write(tmp_path, entry("empty", ("b.B",)))
    done = run("check", path)
    assert done.returncode == 0 and "1 service" in done.stdout and "empty has no instance" not in done.stdout
    assert "mesh.yaml:6:3: warning: ServiceEntry/empty spec: empty has no instance" in done.stderr
    assert done.stderr.endswith("1 warning\n")
    assert run("check", path, "--strict").returncode == 1
    done = run("check", path, "-o", "json", "--strict")
    said = json.loads(done.stdout)
    assert (done.returncode, said["good"], said["problems"]) == (1, True, [])
    assert [w["message"] for w in said["warnings"]] == ["empty has no instance"]
    assert run("check", write(tmp_path, SHOP), "--strict").returncode == 0


def test_a_label_of_other_workloads(tmp_path: Path) -> None:
    other = label("env", workloadSelector={"labels": {"app": "cart"}})
    path = write(tmp_path, SHOP, other)
    said = run("check", path).stdout
    assert "1 label of others" in said and "workloads labelled app=cart" in said
    [only] = json.loads(run("check", path, "-o", "json").stdout)["labels_of_others"]
    assert (only["name"], only["for"]) == ("env", "workloads labelled app=cart")
    beta = {**label("env"), "apiVersion": "istio.alibabacloud.com/v1beta1"}
    beta["spec"] = {"rules": [{"labels": [{"name": "env"}], "protocols": "mqtt"}]}
    assert "the protocols mqtt" in run("check", write(tmp_path, SHOP, beta)).stdout


@pytest.mark.parametrize("admin", ["tcp://0.0.0.0:15000", "tcp://[::]:15000", "tcp://10.1.2.3:15000"])
def test_an_admin_address_that_the_proxy_refuses(tmp_path: Path, admin: str) -> None:
    path = write(tmp_path, sidecar(listeners=[LISTENER], admin=admin))
    for verb in ("check", "proxy"):
        done = run(verb, path)
        assert done.returncode == 1 and "other machines could reach it" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("check",), ("check", "-o", "json"), ("explain", "--service", "a.Cart"),
        ("explain", "--service", "a.Cart", "-o", "json"), ("version",), ("--help",), ("check", "--help"),
    ],
)  # fmt: skip
def test_a_reader_that_is_gone(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    path = write(tmp_path, *[entry(f"s{i}", (f"a.S{i}",)) for i in range(2000)], SHOP)
    if arguments[0] in ("check", "explain") and "--help" not in arguments:
        arguments = (*arguments, path)
    read, wrote = os.pipe()
    os.close(read)
    try:
        done = run(*arguments, stdout=wrote)
    finally:
        os.close(wrote)
    assert done.returncode == 0 and "roken" not in done.stderr and "Exception" not in done.stderr


def test_a_reader_that_is_gone_learns_the_verdict(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("kind: X\n")
    read, wrote = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "meshfast", "check", str(tmp_path)]
    try:
        assert subprocess.run(command, stdout=wrote, stderr=wrote, timeout=60, check=False).returncode == 1
    finally:
        os.close(wrote)


def test_rules_that_are_never_reached(tmp_path: Path) -> None:
    def one(name: str, *match: Doc) -> Doc:
        return {"name": name, "match": list(match), "route": [to()]}

    wide = one(
        "wide",
        {"uri": {"prefix": "/a.Cart/get"}},
        {"headers": {"user": {"regex": "u[0-9]+"}}},
        {"env": [{"exact": "dev1"}, {"exact": "dev2"}]},
        {"sourceLabels": {"app": "x"}},
        {"gateways": ["gw"]},
    )
    narrower = [
        one("path", {"uri": {"exact": "/a.Cart/getOne"}, "headers": {"a": {}}}),
        one("both", {"headers": {"user": {"exact": "u17"}}}, {"env": [{"exact": "dev2"}]}),
        one("reached", {"headers": {"user": {"exact": "v17"}}}, {"env": [{"exact": "dev2"}]}),
        one("source", {"sourceLabels": {"app": "x", "b": "c"}}),
        one("of a gateway", {"gateways": ["gw"]}),
        one("all"),
        one("last", {"headers": {"z": {}}}),
    ]
    said = warned(tmp_path, SHOP, label("env"), virtual(["a.Cart"], wide, *narrower))
    never = {path: message.partition(":")[2].split()[1] for path, message in said if "never reached" in message}
    assert never == {f"spec.http[{i}]": name for i, name in ((1, "wide"), (2, "wide"), (4, "wide"), (7, "all"))}
    ours = {"match": [{"gateways": ["mesh"]}], "route": [to()]}
    assert warned(tmp_path, SHOP, virtual(["a.Cart"], ours, one("theirs", {"gateways": ["gw"]}))) == []
