"""What is counted and told of HTTP/1 connections, and that rules see their first request as one of HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engines import BACKENDS, PATIENCE, play, running
from peers import until
from webs import App, connect, get, say, shop, unused

from meshfast.record import Record

CART = "cart.shop"


def rows(side: Any) -> dict[str, dict[str, Any]]:
    """What was counted, by subset."""
    return {one["subset"]: one for one in side.table.stats() if one["service"] == CART}


@pytest.mark.parametrize("backend", BACKENDS)
def test_counts_and_the_log(backend):
    """A connection is counted where its first request went, its bytes as they go; a line is written when it ends."""

    async def story() -> None:
        async with App("base") as base, App("dev") as dev:
            policy = shop((base.port, ""), (dev.port, "dev"))
            with running(backend, policy=policy, access_sample=1.0) as side:
                reader, writer = await connect(side.address)
                for _ in range(2):  # one connection, whatever it asks
                    writer.write(b"GET /a HTTP/1.1\r\nhost: cart.shop\r\nenv: dev\r\n\r\n")
                    await asyncio.wait_for(reader.readuntil(b"dev"), PATIENCE)
                own = rows(side)["dev"]
                assert (own["begun"], own["done"], own["relayed"]) == (1, 0, 1)
                assert (own["bytes_up"], own["bytes_down"] > 6) == (92, True)
                assert not side.engine.access_records()
                writer.close()
                assert (await say(side.address, get(CART))).body == "base"
                assert (await say(side.address, get(CART, "/", "env: gone"))).body == "base"
                assert (await say(side.address, get("other"))).status == 404
                assert (await say(side.address, b"GET / HTTP/1.1\r\n\r\n")).status == 400
                lines: list[Record] = []

                def all_there() -> bool:
                    lines.extend(Record(*one) for one in side.engine.access_records())
                    return len(lines) == 5

                await until(all_there, PATIENCE)
                assert sorted((one.status, one.outcome, one.subset, one.method) for one in lines) == [
                    (0, "ok", "baseline", "GET"), (0, "ok", "baseline", "GET"), (0, "ok", "dev", "GET"),
                    (400, "bad_request", "", ""), (404, "no_route", "", "GET"),
                ]  # fmt: skip
                [first] = [one for one in lines if one.subset == "dev"]
                assert (first.service, first.labels, first.bytes_up) == (CART, {"env": "dev"}, 92)
                assert first.peer.endswith(f":{dev.port}") and first.duration > 0
                found = rows(side)
                assert all(one["begun"] == one["done"] for one in found.values())
                other = found["baseline"]
                assert (found["dev"]["relayed"], other["relayed"], other["fallbacks"]) == (1, 2, 2)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_never_was_relayed(backend):
    """Answers of ours count where a service was found, and inbound connections in the log alone."""

    async def story() -> None:
        async with App("app") as app:
            with running(backend, policy=shop((unused(), ""))) as side:
                assert (await say(side.address, get(CART))).status == 503
                found = rows(side).values()
                assert all(one["begun"] == one["done"] and not one["relayed"] for one in found)
                assert sum(one["http"].get("5xx", 0) for one in found) == 1
                assert sum(one["outcomes"]["no_peer"] for one in found) == 1
            forward = {"direction": "inbound", "forward": f"127.0.0.1:{app.port}"}
            with running(backend, access_sample=1.0, **forward) as side:
                assert (await say(side.address, get("any"))).body == "app"
                lines: list[Record] = []
                await until(lambda: lines.extend(Record(*a) for a in side.engine.access_records()) or lines, PATIENCE)
                assert (lines[0].direction, lines[0].service, lines[0].outcome) == ("inbound", "", "ok")
                assert lines[0].bytes_up == len(get("any")) and lines[0].peer.endswith(f":{app.port}")

    play(story)


RULES = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop}}
spec:
  hosts: [cart.shop]
  ports: [{{number: 20880, name: dubbo, protocol: DUBBO}}, {{number: 50051, name: tri, protocol: TRI}}]
  endpoints:
  - {{address: 127.0.0.1, ports: {{dubbo: {dead}, tri: {one}}}, labels: {{kind: one}}}}
  - {{address: 127.0.0.1, ports: {{dubbo: {dead2}, tri: {two}}}, labels: {{kind: two}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: kinds}}
spec: {{host: shop, subsets: [{{name: one, labels: {{kind: one}}}}, {{name: two, labels: {{kind: two}}}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: kinds}}
spec:
  hosts: [cart.shop]
  http:
  - match:
    - {{uri: {{prefix: /two}}}}
    - {{queryParams: {{to: {{exact: two}}}}}}
    - {{authority: {{exact: "Cart.shop:8080"}}}}
    - {{headers: {{x-list: {{exact: "a,b"}}}}}}
    route: [{{destination: {{host: shop, subset: two}}}}]
  - route: [{{destination: {{host: shop, subset: one}}}}]
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_and_ports_of_http(backend):
    """It goes to the port that speaks HTTP, and rules see path, query, authority and repeated fields as of any HTTP."""

    async def story() -> None:
        async with App("one") as one, App("two") as two:
            policy = RULES.format(dead=unused(), dead2=unused(), one=one.port, two=two.port)
            with running(backend, policy=policy) as side:
                for wanted, request in (
                    ("one", get(CART)), ("two", get(CART, "/two/x")), ("two", get(CART, "/a?b=c&to=two")),
                    ("one", get(CART, "/a?to=one")), ("two", get("cart.SHOP:8080")), ("one", get("cart.shop:80")),
                    ("one", get(CART, "/", "target-host: cart.shop:8080")),
                    ("two", get(CART, "/", "x-list: a", "X-List: b")), ("one", get(CART, "/", "x-list: b")),
                ):  # fmt: skip
                    assert (await say(side.address, request)).body == wanted, request

    play(story)
