"""What rules answer and change as curl and nghttpd see it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import obtain
from harness import mesh, rules
from harness.nghttpd import Nghttpd, run
from harness.process import ANY, HOST, free_port
from harness.rules import always, has, never
from harness.way import Way

SITE = "shop.example"
VERSIONS = {"h2": "--http2-prior-knowledge", "h1": "--http1.1"}
Ask = Callable[..., tuple[str, dict[str, str], str]]


@pytest.fixture(scope="module")
def server() -> Iterator[Nghttpd]:
    server = obtain(Nghttpd)
    yield server
    server.close()


def at(path: str, **what: object) -> mesh.Document:
    return {"match": [{"uri": {"prefix": path}}], **what}


@pytest.fixture
def ask(proxied: Way, server: Nghttpd) -> Ask:
    """Asks by curl: the status, the headers by name, and the content."""
    entry = mesh.entry([], hosts=[SITE])
    entry["spec"]["ports"] = [{"name": "http", "number": 80, "protocol": "HTTP2"}]
    entry["spec"]["endpoints"] = [{"address": HOST, "ports": {"http": server.port}}]
    change = {"set": {"x-mine": "set"}, "remove": ["server"]}
    rule = rules.rules(
        at("/old", rewrite={"uri": "/index"}),
        at("/parts", rewrite={"uriRegexRewrite": {"match": "^/parts/([a-z]+)/.*$", "rewrite": r"/\1.html"}}),
        at("/moved", redirect={"uri": "/here", "authority": "other.example", "redirectCode": 308}),
        at("/secure", redirect={"scheme": "https"}),
        at("/said", directResponse={"status": 418, "body": {"string": "caf\u00e9\n"}}, headers={"response": change}),
        at("/none", directResponse={"status": 204}),
        {"match": has("x-fault", "abort"), "fault": {"abort": always(httpStatus=503, text="not today")}},
        {"match": has("x-fault", "never"), "fault": {"abort": never(httpStatus=503), "delay": never(fixedDelay="1h")}},
        {"match": has("x-fault", "delay"), "fault": {"delay": always(fixedDelay="300ms")}},
        {"headers": {"response": change}},
        hosts=[SITE],
    )
    port = free_port()
    proxied.sidecar([entry, rule], [{"name": "out", "bind": f"tcp://{ANY}:{port}"}])

    def ask(version: str, path: str, *options: str) -> tuple[str, dict[str, str], str]:
        told = ["curl", "-sS", "-i", "--max-time", "30", VERSIONS[version], *options]
        said = run(*told, "--resolve", f"{SITE}:{port}:{HOST}", f"http://{SITE}:{port}{path}")
        head, _, content = said.replace("\r\n", "\n").partition("\n\n")
        first, *lines = head.split("\n")
        pairs = (line.partition(": ")[::2] for line in lines)
        return first.split()[1], {name.lower(): value.replace(str(port), "PORT") for name, value in pairs}, content

    return ask


@pytest.mark.parametrize("version", VERSIONS)
def test_answers(ask: Ask, version: str) -> None:
    """Redirects, answers and aborts, which reach nobody."""
    status, headers, _ = ask(version, "/moved?q=1")
    assert (status, headers["location"]) == ("308", "http://other.example/here?q=1")
    status, headers, _ = ask(version, "/secure/x?q=1")
    assert (status, headers["location"]) == ("301", f"https://{SITE}:PORT/secure/x?q=1")
    status, headers, content = ask(version, "/said")
    assert (status, headers["x-mine"], content) == ("418", "set", "caf\u00e9\n")
    assert ask(version, "/said", "-I")[::2] == ("418", "")
    assert ask(version, "/none")[::2] == ("204", "")
    assert ask(version, "/large", "-H", "x-fault: abort")[::2] == ("503", "not today")


def test_changes(ask: Ask, server: Nghttpd) -> None:
    """Another path for the server, other headers for its caller; a delay is waited for."""
    page = (server.files / "index.html").read_text()
    for path in ("/old.html", "/old.html?q=1", "/parts/index/of"):
        assert ask("h2", path)[::2] == ("200", page)
    status, headers, content = ask("h2", "/index.html")
    assert (status, headers["x-mine"], "server" in headers, content) == ("200", "set", False, page)
    assert ask("h2", "/missing")[0] == "404"
    taken = float(ask("h2", "/index.html", "-H", "x-fault: delay", "-o", "/dev/stderr", "-w", "- %{time_total}")[0])
    assert taken >= 0.3
    assert [ask("h2", "/index.html", "-H", "x-fault: never")[0] for _ in range(5)] == ["200"] * 5


@pytest.fixture(scope="module")
def servers(server: Nghttpd) -> Iterator[list[Nghttpd]]:
    more = [obtain(lambda name=name: Nghttpd(name)) for name in ("b", "c", "d")]
    yield [server, *more]
    for one in more:
        one.close()


def test_cookie(proxied: Way, servers: list[Nghttpd], tmp_path: Path) -> None:
    """curl keeps the cookie that it is given, and its calls keep their instance."""
    entry = mesh.entry([], hosts=[SITE])
    entry["spec"]["ports"] = [{"name": "http", "number": 80, "protocol": "HTTP2"}]
    entry["spec"]["endpoints"] = [{"address": HOST, "ports": {"http": one.port}} for one in servers]
    hashed = {"consistentHash": {"httpCookie": {"name": "sid", "ttl": "1h", "path": "/"}}}
    rule = rules.policy(loadBalancer=hashed)
    port = free_port()
    proxied.sidecar([entry, rule], [{"name": "out", "bind": f"tcp://{ANY}:{port}"}])
    seen = set()
    for caller in range(12):
        jar = tmp_path / f"jar-{caller}"
        told = ["curl", "-sS", "--max-time", "30", VERSIONS["h2"], "-c", jar, "-b", jar, "-i"]
        told += ["--resolve", f"{SITE}:{port}:{HOST}", f"http://{SITE}:{port}/who"]
        first, *others = (run(*told) for _ in range(6))
        assert re.search(r'^set-cookie: sid="[0-9a-f]{16}"; Max-Age=3600; Path=/; HttpOnly', first, re.M), first
        places = {said[-1] for said in (first, *others)}
        assert len(places) == 1 and not any("set-cookie" in said for said in others)
        seen |= places
    assert len(seen) > 1
