"""HTTP/1 requests that a rule delays, answers or changes: one a connection then, so that no other goes unseen."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from changing import document, every
from engines import BACKENDS, PATIENCE, play, running
from webs import App, get, say

Doc = dict[str, Any]
TO = [{"destination": {"host": "shop"}}]


def policy(port: int, *http: Doc) -> str:
    api = "networking.istio.io/v1"
    spec = {
        "hosts": ["cart.shop"],
        "ports": [{"number": 80, "name": "web", "protocol": "HTTP"}],
        "endpoints": [{"address": "127.0.0.1", "ports": {"web": port}}],
    }
    rules = {"hosts": ["cart.shop"], "http": list(http)}
    documents = [document(api, "ServiceEntry", "shop", spec), document(api, "VirtualService", "rules", rules)]
    return "\n---\n".join(map(json.dumps, documents))


@pytest.mark.parametrize("backend", BACKENDS)
def test_answers(backend: str) -> None:
    async def story() -> None:
        async with App("base") as base:
            own = {"response": {"set": {"x-a": "1"}}}
            rules = [
                {"match": [{"uri": {"prefix": "/abort"}}], "fault": {"abort": every(httpStatus=418)}, "route": TO},
                {"match": [{"uri": {"prefix": "/moved"}}], "redirect": {"uri": "/to", "redirectCode": 308}},
                {"match": [{"uri": {"prefix": "/empty"}}], "directResponse": {"status": 204}},
                {"directResponse": {"status": 200, "body": {"string": "here"}}, "headers": own},
            ]  # fmt: skip
            with running(backend, policy=policy(base.port, *rules)) as side:
                got = await say(side.address, get("cart.shop", "/abort"))
                assert (got.status, got.body) == (418, "fault filter abort")
                got = await say(side.address, get("cart.shop:8080", "/moved?q"))
                assert (got.status, got.headers["location"]) == (308, "http://cart.shop:8080/to?q")
                assert (await say(side.address, get("cart.shop", "/empty"))).status == 204
                got = await say(side.address, get("cart.shop", "/x"))
                assert (got.status, got.body, got.headers["x-a"]) == (200, "here", "1")
                assert got.headers["connection"] == "close"
                assert base.connections == 0
                assert [side.count(f"calls_{name}") for name in ("aborted", "redirected", "direct")] == [1, 1, 2]

    play(story)


def kept(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: cart.shop", *fields, "", ""]).encode()


CHANGES = {
    "match": [{"uri": {"prefix": "/old"}}],
    "rewrite": {"uri": "/new", "authority": "other.ex"},
    "headers": {"request": {"set": {"X-A": "set"}, "add": {"x-b": "more"}, "remove": ["X-C"]}},
    "route": TO,
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_changed_requests(backend: str) -> None:
    """Also of two that come at once on one connection: the second is not served unchanged."""

    async def story() -> None:
        async with App("base") as base:
            with running(backend, policy=policy(base.port, CHANGES, {"route": TO})) as side:
                fields = ("X-a: mine", "X-B: mine", "x-c: mine", "Connection: keep-alive")
                got = await say(side.address, kept("/old/x?q=1", *fields))
                assert got.body == "base"
                seen = base.asked[-1]
                assert (seen.target, seen.headers["host"]) == ("/new/x?q=1", "other.ex")
                assert (seen.headers["x-a"], seen.headers["connection"]) == ("set", "close")
                assert seen.headers["x-envoy-original-path"] == "/old/x?q=1"
                assert "x-c" not in seen.headers
                reader, writer = await asyncio.open_connection(*side.address.split(":"))
                body = b"POST /old HTTP/1.1\r\nHost: cart.shop\r\nContent-Length: 5\r\n\r\nhello"
                writer.write(body + get("cart.shop", "/old/second"))
                answer = await asyncio.wait_for(reader.read(), PATIENCE)
                writer.close()
                assert answer.count(b"HTTP/1.1 ") == 1
                assert (base.asked[-1].target, base.asked[-1].body) == ("/new", b"hello")
                assert (await say(side.address, get("cart.shop", "/plain", "X-a: mine"))).body == "base"
                assert base.asked[-1].headers["x-a"] == "mine"
                # What becomes something else goes as it came.
                await say(side.address, kept("/old", "Connection: Upgrade, close", "Upgrade: x"), end=True)
                assert base.asked[-1].target == "/old"
                assert (side.count("calls_changed"), side.count("changes_lost")) == (2, 1)
                assert (await say(side.address, get("cart.shop", "/old/../x"))).status in (200, 400)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_delay(backend: str) -> None:
    async def story() -> None:
        async with App("base") as base:
            rule = {"fault": {"delay": every(fixedDelay="100ms"), "abort": every(httpStatus=503)}, "route": TO}
            with running(backend, policy=policy(base.port, rule)) as side:
                loop = asyncio.get_running_loop()
                begun = loop.time()
                assert (await say(side.address, get("cart.shop", "/x"))).status == 503
                assert loop.time() - begun >= 0.1
                assert (side.count("calls_delayed"), side.count("calls_aborted")) == (1, 1)

    play(story)


def test_no_more_delays_than_may_be() -> None:
    async def story() -> None:
        async with App("base") as base:
            rule = {"fault": {"delay": every(fixedDelay="1s")}, "route": TO}
            with running("epoll", policy=policy(base.port, rule), limits={"maxDelayed": 1}) as side:
                first = asyncio.ensure_future(say(side.address, get("cart.shop", "/x")))
                await side.reaches("calls_delayed")
                assert (await say(side.address, get("cart.shop", "/x"))).status == 200  # at once
                assert (side.count("calls_delayed"), side.count("limit_max_delayed")) == (1, 1)
                assert (await first).status == 200
                assert (await say(side.address, get("cart.shop", "/x"))).status == 200
                assert (side.count("calls_delayed"), side.count("limit_max_delayed")) == (2, 1)

    play(story)
