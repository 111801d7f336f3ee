"""HTTP/2 in the configuration: ports for it, what rules ask of it, and what explain says of such a request."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from config_mesh import Doc, conditions, entry, label, load, rules, to, virtual

from meshfast import config
from meshfast.admin import Admin
from meshfast.ask import ask
from meshfast.commands.explain import command
from meshfast.config import dfa
from meshfast.errors import ConfigError, StateError
from meshfast.explain import explain
from meshfast.httpview import joined, param, view
from meshfast.model import Family, Http
from meshfast.routing import Table
from meshfast.sidecar import Sidecar
from meshfast.where import pages

DUBBO = {"name": "dubbo", "number": 20880, "protocol": "DUBBO"}
TRI = {"name": "tri", "number": 50051, "protocol": "TRI"}
ONE = [{"address": "10.0.0.1"}]
Pairs = list[tuple[str, str]]


def places(*ports: Doc, endpoints: list[Doc] = ONE) -> list[tuple[str, str]]:
    """Where the instances take calls of Dubbo and of HTTP/2, without the host 10.0.0.1."""
    spec = {"ports": list(ports)} if ports else {}
    found = load(entry(**spec, endpoints=endpoints)).clusters["shop"].endpoints
    return [tuple(e.at(family).removeprefix("10.0.0.1:") for family in Family) for e in found]


# --- ports


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        ([DUBBO, TRI], ("20880", "50051")),
        ([TRI, DUBBO], ("20880", "50051")),
        ([DUBBO], ("20880", "")),
        ([TRI], ("", "50051")),
        ([{"number": 1}], ("1", "1")),
        ([{"number": 1, "protocol": "tcp", "name": "tri"}], ("1", "1")),
        ([DUBBO, {**TRI, "number": 20880}], ("20880", "20880")),
        ([DUBBO, {"name": "any", "number": 7}], ("20880", "7")),
        ([DUBBO, {"name": "a", "number": 7}, {"name": "b", "number": 8}], ("20880", "")),
        ([{"name": "dubbo", "number": 1}, {"name": "grpc", "number": 2}, {"name": "qos", "number": 3}], ("1", "2")),
        ([{"name": "dubbo", "number": 1}, {"name": "qos", "number": 3}], ("1", "3")),
        ([{"name": "web", "number": 80, "protocol": "HTTP"}, {**TRI, "protocol": "gRPC"}], ("", "50051")),
        ([{"name": "web", "number": 80, "protocol": "HTTP"}, DUBBO], ("20880", "80")),
        ([{**TRI, "protocol": "HTTP2", "targetPort": 9}, DUBBO], ("20880", "9")),
        ([{**TRI, "protocol": "TRIPLE"}, {"name": "grpc", "number": 5}], ("5", "50051")),
    ],
)
def test_which_port_takes_which_calls(ports: list[Doc], found: tuple[str, str]) -> None:
    assert places(*ports) == [found]


def test_ports_of_an_instance() -> None:
    own = {"address": "10.0.0.1", "ports": {"tri": 1, "dubbo": 2}}
    assert places(DUBBO, TRI, endpoints=[own]) == [("2", "1")]
    assert places(DUBBO, TRI, endpoints=[{**own, "ports": {"tri": 1}}]) == [("20880", "1")]
    assert places(DUBBO, TRI, endpoints=[{**own, "ports": {"tri": 20880}}]) == [("20880", "20880")]
    assert places(DUBBO, TRI, {"name": "qos", "number": 4}, endpoints=[{**own, "ports": {"qos": 1}}]) == [
        ("20880", "50051")
    ]
    assert places(endpoints=[own]) == [("2", "1")]
    assert places(endpoints=[{**own, "ports": {"grpc": 1, "other": 2}}]) == [("", "1")]
    assert places(endpoints=[{**own, "ports": {"http": 1, "tri": 3}}]) == [("", "3")]
    assert places(endpoints=[{**own, "ports": {"any": 1}}]) == [("1", "1")]
    socket = {"address": "unix:///a"}
    assert places(DUBBO, endpoints=[socket]) == [("unix:///a", "")]
    assert places(TRI, endpoints=[socket]) == [("", "unix:///a")]
    assert places(DUBBO, TRI, endpoints=[socket]) == places(endpoints=[socket]) == [("unix:///a", "unix:///a")]


def test_an_address_is_one_instance_s() -> None:
    two = [{"address": "10.0.0.1"}, {"address": "10.0.0.1", "ports": {"dubbo": 50051, "tri": 1}}]
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1:50051 is listed twice"):
        places(DUBBO, TRI, endpoints=two)


# --- conditions


def match(**one: Any) -> list[list[tuple[Any, ...]]]:
    mesh = load(entry(ports=[DUBBO], endpoints=ONE), virtual(["a.Cart"], {"match": [one], "route": [to()]}))
    return [conditions(found) for found in rules(mesh, "a.Cart")[0].matches]


def test_conditions() -> None:
    assert match(
        method={"exact": "GET"}, scheme={"prefix": "http"}, authority={"exact": "A:1"},
        queryParams={"a": {"exact": ""}, "b": {}, "c": {"prefix": "x"}},
    ) == [
        [
            ("METHOD", "EXACT", "", "GET"), ("SCHEME", "PREFIX", "", "http"), ("AUTHORITY", "EXACT", "", "A:1"),
            ("PARAM", "EXACT", "a", ""), ("PARAM", "PRESENT", "b", ""), ("PARAM", "PREFIX", "c", "x"),
        ]
    ]  # fmt: skip


@pytest.mark.parametrize("prefix", [False, True])
@pytest.mark.parametrize("text", ["/", "/a.B/c", "/aa", "/é/K", ""])
def test_texts_in_any_case(text: str, prefix: bool) -> None:
    blob = dfa.folded(text.encode(), prefix=prefix)
    for other in (text, text.upper(), text.lower(), text + "x", text[:-1], "\u212a", "/É/k", "/A.b/C/d", "X" + text):
        data = other.encode()
        begin = data[: len(text.encode())] if prefix else data
        assert dfa.match(blob, data) == (begin.lower() == text.encode().lower()), other


def test_a_uri_in_any_case() -> None:
    [[(field, op, _, blob)]] = match(uri={"prefix": "/A.Cart/"}, ignoreUriCase=True)
    assert (field, op, dfa.match(blob, b"/a.cART/x"), dfa.match(blob, b"/a.cart")) == ("PATH", "REGEX", True, False)
    assert match(uri={"regex": "/A"}, ignoreUriCase=True) == match(uri={"regex": "/A"})
    assert match(uri={"exact": "/A"}, ignoreUriCase=False) == [[("PATH", "EXACT", "", "/A")]]
    assert match(uri={"exact": "/" + "a" * (dfa.MAX_FOLDED - 1)}, ignoreUriCase=True)
    with pytest.raises(ConfigError, match="4095 bytes are too long for ignoreUriCase"):
        match(uri={"exact": "/" + "a" * dfa.MAX_FOLDED}, ignoreUriCase=True)


# --- the request


@pytest.mark.parametrize(
    ("path", "authority", "meant"),
    [
        ("/a.Cart/add", "h:1", ("a.Cart", "add", "h")),
        ("/ctx/a.Cart/add?x=/y", "h", ("a.Cart", "add", "h")),
        ("/index.html", "H.example:8080", ("h.example", "POST", "")),
        ("/", "[::1]:80", ("[::1]", "POST", "")),
        ("*", "[::1]", ("[::1]", "POST", "")),
        ("/a//m", "", ("", "POST", "")),
    ],
)
def test_which_service_is_meant(path: str, authority: str, meant: tuple[str, str, str]) -> None:
    assert view(Http("POST", "http", authority, path), [])[1:4] == meant


@pytest.mark.parametrize(
    ("path", "kind", "more", "meant", "why"),
    [
        ("/a.B/m", "application/json", [], ("h", "POST", ""), ""),
        ("/a.B/m", "application/json", [("Tri-Service-Version", "1")], ("a.B", "m", "h"), ""),
        ("/a.B/m", "application/grpcfoo", [], ("h", "POST", ""), ""),
        ("/a.B/m", "application/triple+wrapper", [], ("a.B", "m", "h"), ""),
        ("/a.B", "application/grpc", [], ("", "a.B", "h"), "names no service and method"),
        ("//m", "application/grpc", [], ("", "m", "h"), "names no service and method"),
        ("/a.B//m", "application/grpc", [], ("", "m", "h"), "two readers"),
        ("/x/%2e%2e/a.B/m", "", [], ("a.B", "m", "h"), "two readers"),
        ("x/a.B/m", "", [], ("a.B", "m", "h"), "neither begins with /"),
    ],
)
def test_what_the_content_type_says(path: str, kind: str, more: Pairs, meant: tuple[str, ...], why: str) -> None:
    http = Http("POST", "http", "h:1", path)
    said = view(http, [*([("Content-Type", kind)] if kind else []), *more])
    assert said[1:4] == meant
    assert why in said.error and bool(why) is bool(said.error)
    assert answer(http, [("content-type", kind)] if kind else [])["error"]


def test_versions_and_labels_as_on_the_wire() -> None:
    asked = Http(path="/a.B/m")
    assert dict(view(asked, []).headers) == {"version": "1.0.0"}
    assert dict(view(asked, [("version", "2")]).headers) == {"version": "2"}
    assert dict(view(asked, [("version", "2"), ("tri-x", "y")]).headers)["version"] == "1.0.0"
    assert dict(view(Http(path="/x"), []).headers) == {}
    said = view(asked, [("baggage", "Env=dev%31;p, a=b"), ("a", "c")])
    assert said.labels == [("Env", "dev1"), ("a", "b"), *said.headers]


@pytest.mark.parametrize(
    ("protocols", "found"),
    [("*", "dtgh"), ("dubbo", "dt"), ("grpc", "tg"), ("http", "tgh"), ("triple", "t"), ("dubbo, http", "dtgh")],
)
def test_labels_of_some_protocols(protocols: str, found: str) -> None:
    """A label is found in requests of its protocols alone, and in no other."""
    beta: Doc = {**label("env"), "apiVersion": "istio.alibabacloud.com/v1beta1"}
    beta["spec"]["rules"][0]["protocols"] = protocols
    table = Table()
    table.publish(load(CART, ROUTES, beta))
    kinds: dict[str, tuple[Http | None, Pairs]] = {
        "d": (None, []), "t": (Http(path="/a.B/m"), [("tri-x", "1")]), "g": (Http(path="/a.B/m"), []),
        "h": (Http(authority="cart.shop", path="/"), []),
    }  # fmt: skip
    for kind, (http, more) in kinds.items():
        said = explain(table, "com.x.Cart", headers=[("env", "dev1"), *more], http=http)
        assert said["labels"] == ({"env": "dev1"} if kind in found else {}), kind


def test_headers_and_parameters() -> None:
    sent = [("X", "a"), ("tri-service-group", "g"), ("group", "mine"), ("x", "b"), ("Cookie", "k"), ("cookie", "l")]
    shown = joined(view(Http(path="/a.B/m"), sent).headers)
    assert (shown["x"], shown["cookie"], shown["group"], shown["tri-service-group"]) == ("a,b", "k; l", "g", "g")
    http = Http(path="/?a=1&a=2&b&=c")
    assert [param(http, name) for name in ("a", "b", "", "d")] == ["1", "", "c", None]
    assert param(Http(path="/"), "a") is None and param(Http(path="/?"), "") is None


# --- decisions

CART = entry(
    "cart", ("com.x.Cart", "cart.shop"), ports=[DUBBO, TRI],
    endpoints=[
        {"address": "10.0.0.1"},
        {"address": "10.0.0.2", "labels": {"env": "dev1"}},
        {"address": "10.0.0.3", "labels": {"env": "dev2"}, "ports": {"tri": 1}},
    ],
)  # fmt: skip
STOCK = entry("stock", ("com.x.Stock",), ports=[DUBBO], endpoints=[{"address": "10.0.1.1"}])
ROUTES = virtual(
    ["com.x.Cart", "cart.shop"],
    {
        "name": "web",
        "match": [{"method": {"exact": "GET"}, "queryParams": {"a": {"exact": "1"}}, "authority": {"prefix": "Cart."}}],
        "route": [to("$env")],
    },
    {
        "name": "cased",
        "match": [{"uri": {"prefix": "/COM.x."}, "ignoreUriCase": True, "headers": {"group": {"exact": "g"}}}],
        "route": [to("$env")],
    },
    {
        "name": "secure",
        "match": [{"scheme": {"exact": "https"}}, {"headers": {"X-User": {"exact": "a,b"}}}],
        "route": [to("$env")],
    },
)  # fmt: skip
MESH = (CART, STOCK, ROUTES, label("env"))
BAGGAGE = ("Baggage", "ENV=dev1")
GROUP = [("Tri-Service-Group", "g")]


def answer(http: Http | None, pairs: Pairs | None = None, service: str = "", **asked: Any) -> dict[str, Any]:
    table = Table()
    table.publish(load(*MESH))
    return explain(table, service, headers=pairs, http=http, **asked)


@pytest.mark.parametrize(
    ("http", "pairs", "rule", "service", "address"),
    [
        (Http("GET", authority="CART.SHOP", path="/x?a=1"), [], "web", "cart.shop", "10.0.0.1:50051"),
        (Http("GET", authority="cart.shop", path="/x?a=2"), [], "", "cart.shop", ""),
        (Http("GET", authority="cart.shop", path="/?a=1"), [BAGGAGE], "web", "cart.shop", "10.0.0.2:50051"),
        (Http("GET", authority="cart.shop:80", path="/x?a=1"), [], "web", "cart.shop", "10.0.0.1:50051"),
        (Http("GET", authority="cart.shop:80", path="/com.x.Cart/m?a=1"), [], "web", "com.x.Cart", "10.0.0.1:50051"),
        (Http("GET", authority="cart.shop", path="/?b&a=1"), [("Env", "dev1")], "web", "cart.shop", "10.0.0.2:50051"),
        (Http(path="/com.x.Cart/m"), [*GROUP, ("env", "dev2")], "cased", "com.x.Cart", "10.0.0.3:1"),
        (Http(path="/ctx/com.x.Cart/m"), GROUP, "", "com.x.Cart", ""),
        (Http(path="/com.x.Cart/m", scheme="https"), [], "secure", "com.x.Cart", "10.0.0.1:50051"),
        (Http(path="/com.x.Cart/m"), [("x-user", "a"), ("x-user", "b")], "secure", "com.x.Cart", "10.0.0.1:50051"),
        (Http(path="/com.x.Stock/m"), [], "", "com.x.Stock", ""),
    ],
)
def test_decisions(http: Http, pairs: list[tuple[str, str]], rule: str, service: str, address: str) -> None:
    said = answer(http, pairs)
    assert (said["rule"], said["service"], said["address"]) == (rule, service, address)
    table = Table()
    table.publish(load(*MESH))
    try:
        route = table.lookup(service, view(http, pairs).headers, said["labels"], http=http, random=0)
    except StateError:
        route = None
    assert (route.address if route else "") == address


def test_dubbo_is_as_it_was() -> None:
    said = answer(None, GROUP, "com.x.Cart", method="m")
    assert said["error"] == "no rule of the service matches the request"
    assert answer(None, [("group", "g")], "com.x.Cart", method="m")["address"] == "10.0.0.1:20880"
    assert "http" not in said and said["headers"] == {"Tri-Service-Group": "g"}


def test_what_is_said() -> None:
    texts = [step["text"] for step in answer(Http(path="/com.x.Cart/m", authority="x", scheme=""))["steps"]]
    assert texts[1:] == [
        "web: method is POST, not GET",
        "cased: no header group, which must be g",
        "secure: no scheme, which must be https",
        "secure: no header X-User, which must be a,b",
    ]
    said = answer(Http("GET", authority="cart.shop", path="/q?a=2"))["steps"]
    assert said[1]["text"] == "web: query parameter a is 2, not 1"
    assert said[2]["text"] == "cased: uri is /q, which does not begin with /COM.x. in any case"
    texts = [step["text"] for step in answer(Http(path="/com.x.Cart/m"), GROUP)["steps"]]
    assert "cased: uri begins with /COM.x. in any case, header group is g" in texts
    said = answer(Http(path="/com.x.Stock/m"))
    assert (said["error"], said["why"]) == (
        "no instance to send to", "no instance of stock has a port for HTTP/2; no further fallback",
    )  # fmt: skip
    assert answer(Http(path="/com.x.Stok/m"))["hint"] == "did you mean com.x.Stock?"


# --- the command, and a running proxy's page


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(command, arguments)
    return done.exit_code, done.output


def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "mesh.yaml"
    path.write_text(yaml.safe_dump_all(MESH, sort_keys=False))
    mesh = str(path)
    code, said = run(mesh, "--http", "/com.x.Cart/m", "--header", "tri-service-group: g", "--header", "env: dev1")
    assert (code, said.splitlines()[0].rstrip()) == (0, "POST /com.x.Cart/m, env=dev1")
    assert said.splitlines()[-1] == "goes to 10.0.0.2:50051 (subset dev1)"
    code, said = run(mesh, "--http", "/q?a=1", "--method", "GET", "--authority", "cart.shop:80", "-o", "json")
    found = json.loads(said)
    assert found["http"] == {"method": "GET", "scheme": "http", "authority": "cart.shop:80", "path": "/q?a=1"}
    assert (code, found["address"]) == (0, "10.0.0.1:50051")
    assert run(mesh, "--http", "/com.x.Cart/m", "--scheme", "https", "--header", "a: b=c", "-o", "json")[0] == 0
    for wrong in (
        ("--service", "a", "--http", "/b/c"), (), ("--service", "a", "--authority", "b"), ("--http", "b/c"),
        ("--http", "/b/c", "--header", "b"),
    ):  # fmt: skip
        assert run(mesh, *wrong)[0] == 2, wrong


def test_by_a_running_proxy(tmp_path: Path) -> None:
    (tmp_path / "mesh.yaml").write_text(yaml.safe_dump_all(MESH, sort_keys=False))
    asked = ("--http", "/com.x.Cart/m?a=&b", "--header", "Tri-Service-Group=g", "--header", "x-user: a", "--header",
             "x-user: b", "--header", "env: dev2", "--authority", "h:1", "-o", "json")  # fmt: skip
    code, said = run(str(tmp_path), *asked)
    assert (code, json.loads(said)["address"], json.loads(said)["headers"]["x-user"]) == (0, "10.0.0.3:1", "a,b")

    async def nothing() -> Any:
        return
        yield

    async def story() -> tuple[tuple[int, str], list[int]]:
        running = Sidecar(nothing())
        running.table.publish(config.load([tmp_path]))
        admin = Admin(running)
        address = await admin.start("tcp://127.0.0.1:0")
        told = await asyncio.to_thread(run, "--admin", address, *asked)
        refused = []
        for query in ("http=/a/b&service=c", "service=a&scheme=b", "authority=a", "http=/a/b&path=c"):
            refused.append((await ask(pages(address), f"/explain?{query}"))[0])
        await admin.stop()
        return told, refused

    told, refused = asyncio.run(story())
    assert told == (code, said)
    assert refused == [400] * 4
