"""Where a request goes, in words: every branch, what a rule wants instead, and what may have been meant."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from config_mesh import Doc, entry, label, load, rule, sidecar, to, virtual

from meshfast.admin import Admin
from meshfast.explain import explain
from meshfast.model import Http, Mesh
from meshfast.routing import Table
from meshfast.sidecar import Sidecar
from meshfast.where import pages

ENDPOINTS = [{"address": f"10.0.0.{i}", "labels": {"v": v}} for i, v in enumerate(("v1", "v2", "v2"), 1)]
CART = entry("cart", ("com.x.Cart", "com.x.Stock"), ports=[{"number": 1}], endpoints=ENDPOINTS)
SUBSETS = rule("cart", "v1", "v2", "gone")
WEIGHTED = virtual(["com.x.Cart"], {"route": [to("gone", weight=1), to("v1", weight=1), to("v2", weight=2)]})


def answer(*documents: Doc, service: str = "com.x.Cart", method: str = "", **asked: Any) -> dict[str, Any]:
    table = Table()
    table.publish(load(*documents))
    return explain(table, service, method, **asked)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "meshfast", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_where_a_service_goes_that_is_not_listed() -> None:
    side = sidecar(
        listeners=[
            {"name": "a", "bind": "127.0.0.1:1", "forward": "10.0.0.9:1"},
            {"name": "b", "bind": "127.0.0.1:2", "transparent": True},
            {"name": "c", "bind": "127.0.0.1:3", "transparent": True, "unknown": "refuse"},
            {"name": "d", "bind": "127.0.0.1:4"},
            {"name": "e", "bind": "127.0.0.1:5", "direction": "inbound", "forward": "10.0.0.9:1"},
        ]
    )
    said = answer(CART, SUBSETS, WEIGHTED, side, service="com.x.Crat")
    ways = "by the listener a to 10.0.0.9:1 or by the listener b to where its caller dialled"
    assert said["hint"] == f"did you mean com.x.Cart?; it goes {ways}"
    assert said["error"] == "no such service"


def test_a_path_that_is_not_listed_goes_by_the_interface() -> None:
    def to_(service: str, interface: str, *more: Doc) -> str:
        said = answer(CART, SUBSETS, *more, service=service, headers={"interface": interface})
        return said["error"] or said["steps"][0]["text"]

    rest = virtual(["*"], {"route": [{"destination": {"host": "cart"}}]}, name="rest")
    assert to_("shop/com.x.Cart", "com.x.Cart") == "service com.x.Cart"
    assert to_("com.x.Stock", "com.x.Cart") == "service com.x.Stock"
    assert to_("com.x.Cart2", "com.x.None") == "no such service"
    assert to_("shop/com.x.Cart", "com.x.Cart", rest) == "service com.x.Cart"
    assert to_("shop/none", "com.x.None", rest) == "service *"


def write(directory: Path, *documents: Doc) -> str:
    (directory / "mesh.yaml").write_text(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True))
    return str(directory)


# --- branches


def test_every_branch_with_its_share() -> None:
    said = answer(CART, SUBSETS, WEIGHTED)
    assert [(b["target"], b["share"], b["address"], b["error"]) for b in said["branches"]] == [
        ("cart: subset v2", 50.0, said["address"], ""),
        ("cart: subset gone", 25.0, "", "no instance to send to"),
        ("cart: subset v1", 25.0, "10.0.0.1:1", ""),
    ]
    assert (said["error"], said["subset"], said["branches"][0]["instances"]) == ("", "v2", 2)
    assert said["steps"][-1]["text"] == f"instance {said['address']}, one of 2"
    assert said["branches"][1]["why"] == "no instance of cart in subset gone; no further fallback"
    assert all(answer(CART, SUBSETS, WEIGHTED) == said for _ in range(20))


def test_a_small_share_is_shown_all_the_same() -> None:
    routes = virtual(["com.x.Cart"], {"route": [to("v1", weight=2**31 - 1), to("v2", weight=1)]})
    assert [b["share"] for b in answer(CART, SUBSETS, routes)["branches"]] == [100.0, 0.0]


def test_how_an_instance_is_chosen() -> None:
    def said(load_balancer: Doc, **headers: str) -> list[str]:
        ruled = {**SUBSETS, "spec": {**SUBSETS["spec"], "trafficPolicy": {"loadBalancer": load_balancer}}}
        steps = answer(CART, ruled, headers=headers)["branches"][0]["steps"]
        return [step["text"].partition(", ")[2] or step["text"] for step in steps[1:]]

    assert said({"simple": "LEAST_REQUEST"}) == ["one of 3, by calls in flight"]
    warm = {"simple": "ROUND_ROBIN", "warmup": {"duration": "10s"}}
    assert said(warm) == ["one of 3, in turn, warming up for 10 s"]
    hashed: Doc = {"consistentHash": {"httpHeaderName": "x-user"}}
    chosen = "one of 3, by the hash of header x-user"
    assert said(hashed, **{"x-user": "ann"}) == ['hashed: "ann"', chosen]
    assert said(hashed) == ["it has not what is hashed: any instance", chosen]
    assert said({"consistentHash": {"dubboArgument": 1}}) == ["one of 3, by the hash of argument 1"]


BALANCED = {"trafficPolicy": {"loadBalancer": {"consistentHash": {"dubboArgument": 1}}}}
BY_ARGUMENT: Doc = {**SUBSETS, "spec": {"host": "cart", **BALANCED}}


def test_by_an_argument(tmp_path: Path) -> None:
    def steps(*arguments: str) -> list[str]:
        said = answer(CART, BY_ARGUMENT, arguments=arguments)
        return [step["text"] for step in said["steps"] if "hash" in step["text"]]

    assert steps("a", "ann")[0] == 'hashed: "ann"'
    assert steps("ann")[0] == "it has not what is hashed: any instance"
    path = write(tmp_path, CART, BY_ARGUMENT)
    said = run("explain", path, "--service", "com.x.Cart", "--method", "add", "--argument", "7", "--argument", "ann")
    assert "com.x.Cart.add(7, ann), no label" in said.stdout and 'hashed: "ann"' in said.stdout
    refused = run("explain", path, "--http", "/com.x.Cart/add", "--argument", "7")
    assert refused.returncode == 2 and "--argument is for --service" in refused.stderr
    assert run("explain", path, "--app", "cart", "--argument", "7").returncode == 2


def test_a_branch_that_falls_back() -> None:
    routes = virtual(["com.x.Cart"], {"route": [to("gone", weight=3, target="v1"), to("v2", weight=0)]})
    said = answer(CART, SUBSETS, routes)
    [only] = said["branches"]
    assert (only["share"], only["subset"], only["fallbacks"], only["address"]) == (100.0, "v1", 1, "10.0.0.1:1")
    assert (said["subset"], said["fallbacks"], said["why"]) == ("v1", 1, only["why"])


def test_exit_codes_do_not_depend_on_a_draw(tmp_path: Path) -> None:
    path = write(tmp_path, CART, SUBSETS, WEIGHTED)
    done = [run("explain", path, "--service", "com.x.Cart") for _ in range(4)]
    assert {(one.returncode, one.stdout) for one in done} == {(0, done[0].stdout)}
    lines = done[0].stdout.splitlines()
    assert lines[-3].startswith("50 % goes to 10.0.0.") and lines[-3].endswith("(subset v2)")
    assert lines[-2] == "25 % goes nowhere (cart: subset gone): no instance to send to"
    assert lines[-1] == "25 % goes to 10.0.0.1:1 (subset v1)"
    both = virtual(["com.x.Cart"], {"route": [to("gone", weight=1), to("gone", weight=1)]})
    done = [run("explain", write(tmp_path, CART, SUBSETS, both), "--service", "com.x.Cart")]
    assert done[0].returncode == 1 and done[0].stdout.count("goes nowhere") == 2


# --- rules that do not match


@pytest.mark.parametrize(
    ("match", "words"),
    [
        ({"uri": {"exact": "/com.x.Crat/add"}}, "uri is /com.x.Cart/add, not /com.x.Crat/add"),
        ({"uri": {"prefix": "/com.x.Crat/"}}, "uri is /com.x.Cart/add, which does not begin with /com.x.Crat/"),
        ({"uri": {"regex": ".*/drop"}}, "uri is /com.x.Cart/add, which does not match .*/drop"),
        ({"authority": {"exact": "b"}}, "authority is com.x.Cart, not b"),
        ({"headers": {"user": {"exact": "eve"}}}, "header user is bob, not eve"),
        ({"headers": {"usr": {"exact": "bob"}}}, "no header usr, which must be bob"),
        ({"headers": {"vip": {}}}, "no header vip"),
        ({"headers": {"empty": {"prefix": "a"}}}, "header empty is '', which does not begin with a"),
        ({"withoutHeaders": {"user": {}}}, "header user is bob, against withoutHeaders: {user: {}}"),
        (
            {"withoutHeaders": {"user": {"prefix": "b"}}},
            "header user is bob, against withoutHeaders: {user: {prefix: b}}",
        ),
        ({"env": [{"exact": "a"}]}, "label env is dev1, not a"),
        ({"zone": [{"exact": "a"}]}, "no label zone, which must be a"),
        ({"zone": [{}]}, "no label zone"),
        ({"sourceLabels": {"app": "y"}}, "label app of this workload is x, not y"),
        ({"sourceLabels": {"tier": "y"}}, "no label tier of this workload, which must be y"),
    ],
)  # fmt: skip
def test_what_a_rule_wanted(match: dict[str, Any], words: str) -> None:
    routes = virtual(["com.x.Cart"], {"name": "vip", "match": [match], "route": [to()]}, {"route": [to()]})
    documents = CART, label("env", "zone"), sidecar(workload={"labels": {"app": "x"}}), routes
    said = answer(*documents, method="add", headers={"user": "bob", "empty": ""}, labels={"env": "dev1"})
    told = [step["text"] for step in said["steps"] if step["outcome"] == "-"]
    assert told[0] == f"vip: {words}" and set(told) == {f"vip: {words}"}


def test_what_a_rule_matched_by() -> None:
    match = {
        "uri": {"prefix": "/com.x.Cart/"}, "headers": {"a": {}, "b": {"exact": "1"}, "c": {"regex": "x+"}},
        "withoutHeaders": {"d": {"exact": "2"}},
    }  # fmt: skip
    routes = virtual(["com.x.Cart"], {"match": [match], "route": [to()]})
    said = answer(CART, routes, headers={"a": "", "b": "1", "c": "xx", "d": "3"})
    assert [step["text"] for step in said["steps"]][1] == (
        "rule 1: uri begins with /com.x.Cart/, header a is there, header b is 1, header c matches x+, "
        "withoutHeaders: {d: {exact: 2}}"
    )


def test_a_path_without_a_method_says_so() -> None:
    routes = virtual(["com.x.Cart"], {"match": [{"uri": {"exact": "/com.x.Cart/add"}}], "route": [to()]})
    [step] = [step for step in answer(CART, routes)["steps"] if step["outcome"] == "-"]
    assert step["text"] == "rule 1: uri is /com.x.Cart/, not /com.x.Cart/add (no method was given)"


# --- names


def test_headers_are_found_by_their_exact_names_and_the_last_counts(tmp_path: Path) -> None:
    by_label = virtual(["com.x.Cart"], {"route": [to("$env")]})
    documents = CART, label("env"), by_label
    assert answer(*documents, headers={"env": "v9"})["labels"] == {"env": "v9"}
    assert answer(*documents, headers={"Env": "v9"})["labels"] == {}
    asked = ("--header", "env=a", "--header", "env=🚀", "--service", "com.x.Cart", "-o", "json")
    assert json.loads(run("explain", write(tmp_path, *documents), *asked).stdout)["labels"] == {"env": "🚀"}


@pytest.mark.parametrize(
    ("service", "hint"),
    [
        ("com.x.Kart", "did you mean com.x.Cart?"),
        ("com.x.cart", "did you mean com.x.Cart?"),
        ("cart", "cart is an application; it offers com.x.Cart, com.x.Stock"),
        ("zzz", "there are com.x.Cart, com.x.Stock"),
    ],
)
def test_a_service_that_is_not_listed(tmp_path: Path, service: str, hint: str) -> None:
    said = answer(CART, service=service)
    assert (said["error"], said["hint"], said["branches"]) == ("no such service", hint, [])
    done = run("explain", write(tmp_path, CART), "--service", service)
    assert done.returncode == 1 and done.stdout.endswith(f"goes nowhere: no such service\n{hint}\n")


def test_a_label_that_nobody_defines(tmp_path: Path) -> None:
    path = write(tmp_path, CART, label("env", "zone"))
    done = run("explain", path, "--service", "com.x.Cart", "--label", "evn=dev1")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "no TrafficLabel defines the label evn; did you mean env? defined are env, zone\n"
    done = run("explain", path, "--service", "com.x.Cart", "--label", "q=dev1", "-o", "json")
    said = json.loads(done.stdout)
    assert (done.returncode, said["refused"], said["hint"]) == (2, True, "defined are env, zone")
    done = run("explain", write(tmp_path, CART), "--service", "com.x.Cart", "--label", "env=dev1")
    assert done.returncode == 2 and "no label is defined" in done.stderr


def test_a_label_of_other_workloads_is_defined() -> None:
    others = label("env", workloadSelector={"labels": {"app": "other"}})
    assert answer(CART, others, labels={"env": "x"})["error"] == ""


@pytest.mark.parametrize(("verb", "meant"), [("explian", "explain"), ("chekc", "check"), ("porxy", "proxy")])
def test_a_verb_that_is_misspelt(verb: str, meant: str) -> None:
    done = run(verb, "x")
    assert done.returncode == 2 and f"did you mean {meant}?" in done.stderr
    assert "there are proxy, check, explain" in run("zzzz").stderr


# --- a running proxy


@pytest.mark.parametrize(
    ("address", "where"),
    [
        ("127.0.0.1:15000", "127.0.0.1:15000"), ("tcp://[::1]:1", "[::1]:1"),
        ("http://localhost:15000/", "localhost:15000"), ("unix:///run/a.sock", "unix:///run/a.sock"),
        ("unix://@a", "unix://@a"),
    ],
)  # fmt: skip
def test_where_admin_pages_are(address: str, where: str) -> None:
    assert pages(address) == where


@pytest.mark.parametrize(
    "address", ["https://a:1", "http://a:1/explain", "a", "a:b", "a:0", "http://a", "unix://", "tcp://u@a:1", ":1"]
)
def test_where_no_admin_pages_are(address: str) -> None:
    done = run("explain", "--admin", address, "--service", "a")
    assert done.returncode == 2 and "write tcp://host:port, http://host:port" in " ".join(done.stderr.split())


def test_by_a_running_proxy() -> None:
    async def nothing() -> Any:
        return
        yield

    async def story(mesh: Mesh) -> list[tuple[int, str, str]]:
        running = Sidecar(nothing())
        running.table.publish(mesh)
        admin = Admin(running)
        address = await admin.start("tcp://127.0.0.1:0")
        out = []
        for asked in (
            ["com.x.Cart", "--argument", "7", "--argument", "a&b"], ["com.x.Kart"], ["com.x.Cart", "--label", "evn=1"],
        ):  # fmt: skip
            command = [sys.executable, "-m", "meshfast", "explain", "--admin", f"http://{address}", "--service", *asked]
            child = await asyncio.create_subprocess_exec(*command, stdout=-1, stderr=-1)
            said, wrong = await asyncio.wait_for(child.communicate(), 60)
            assert child.returncode is not None
            out.append((child.returncode, said.decode(), wrong.decode()))
        await admin.stop()
        return out

    good, unlisted, refused = asyncio.run(story(load(CART, SUBSETS, WEIGHTED, label("env"))))
    assert good[0] == 0 and "com.x.Cart(7, a&b)" in good[1]
    assert "25 % goes nowhere (cart: subset gone): no instance" in good[1]
    assert unlisted[0] == 1 and "did you mean com.x.Cart?" in unlisted[1]
    assert (refused[0], refused[2]) == (2, "no TrafficLabel defines the label evn; did you mean env? defined are env\n")


# --- what a rule does besides

OPS = {"request": {"set": {"x-a": "1"}, "remove": ["x-b"]}, "response": {"add": {"x-c": "2"}}}
WEB = entry("cart", ("com.x.Cart", "shop.ex"), ports=[{"number": 1}], endpoints=ENDPOINTS)
DOES = virtual(
    ["com.x.Cart", "shop.ex"],
    {"match": [{"uri": {"prefix": "/moved"}}], "redirect": {"authority": "o.ex"}, "name": "moved"},
    {"match": [{"uri": {"prefix": "/here"}}], "directResponse": {"status": 404}},
    {"match": [{"uri": {"prefix": "/old"}}], "rewrite": {"uri": "/new", "authority": "n.ex"}, "route": [to("v1")]},
    {
        "fault": {
            "delay": {"fixedDelay": "1s", "percentage": {"value": 0.5}},
            "abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 100}},
        },
        "headers": OPS,
        "route": [to("v1", weight=1), to("v2", weight=1) | {"headers": {"request": {"set": {"x-a": "mine"}}}}],
    },
)


def lines(said: dict[str, Any]) -> list[str]:
    return [step["text"] for step in said["steps"] if step["about"] in ("action", "target")]


def test_how_a_rule_answers_itself(tmp_path: Path) -> None:
    said = answer(WEB, SUBSETS, DOES, service="", http=Http("GET", "http", "shop.ex", "/moved/x?q"))
    assert said["answered"] == "redirected by the rule with HTTP 301 (gRPC 2) to http://o.ex/moved/x?q"
    assert (said["error"], said["address"], said["rule"], said["branches"]) == ("", "", "moved", [])
    said = answer(WEB, SUBSETS, DOES, service="", http=Http("GET", "http", "shop.ex", "/here"))
    assert said["answered"] == "answered by the rule with HTTP 404 (gRPC 12)"
    (tmp_path / "a.yaml").write_text(yaml.safe_dump_all([WEB, SUBSETS, DOES]))
    done = run("explain", str(tmp_path), "--http", "/here", "--authority", "shop.ex")
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "answered by the rule with HTTP 404 (gRPC 12)")


def test_what_a_rule_changes() -> None:
    said = answer(WEB, SUBSETS, DOES, service="", http=Http("GET", "http", "shop.ex", "/old/x?q"))
    assert lines(said)[-2:] == ["the path becomes /new/x?q", "the authority becomes n.ex"]
    said = answer(WEB, SUBSETS, DOES)
    assert lines(said)[:2] == [
        "0.5 % of calls wait 1000 ms",
        "100 % of calls fail with HTTP 200, gRPC 14, Dubbo 80: fault filter abort",
    ]
    first, second = ([step["text"] for step in one["steps"]] for one in said["branches"])
    rule_ = "attachments of the request: remove x-b, set x-a: 1"
    assert first[-1] == rule_
    assert second[-2:] == ["attachments of the request: set x-a: mine", rule_]
    said = answer(WEB, SUBSETS, DOES, service="", http=Http("GET", "http", "shop.ex", "/"))
    assert said["branches"][0]["steps"][-1]["text"] == "headers of the answer: add x-c: 2"


def test_instances_that_are_named_by_a_host() -> None:
    shop = entry(ports=[{"number": 80}], resolution="DNS", endpoints=[{"address": "db.example"}])
    table = Table()
    table.publish(load(shop))
    said = explain(table, "a.Cart")
    assert (said["address"], said["hint"]) == (
        "", "db.example: a running sidecar asks for these names, see its /config_dump"
    )  # fmt: skip
