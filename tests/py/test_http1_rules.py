"""What rules see of HTTP/1 requests."""

from __future__ import annotations

import pytest
from engines import BACKENDS, play, running
from webs import App, get, say, shop


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_see_the_request_itself(backend):
    """Path, query, method, scheme and authority, and a field that comes twice as a list; it goes to a port for HTTP."""

    async def story() -> None:
        async with App("base") as base:
            with running(backend, policy=shop((base.port, ""))) as side:
                users = ("x-user: a", "X-User: b")
                assert (await say(side.address, get("Cart.Shop:81", "/kept/x?a=1", *users))).status == 503
                for target, host, fields in (
                    ("/kept?a=1", "cart.shop:81", users), ("/kept/x?a=2", "cart.shop:81", users),
                    ("/kept/x?a=1", "cart.shop", users), ("/kept/x?a=1", "cart.shop:81", users[:1]),
                ):
                    assert (await say(side.address, get(host, target, *fields))).body == "base", target

    play(story)


AT_DUBBO = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop}}
spec:
  hosts: [cart.shop]
  ports: [{{number: 20880, name: dubbo, protocol: DUBBO}}]
  endpoints:
  - {{address: 127.0.0.1, ports: {{dubbo: {one}}}, labels: {{kind: one}}}}
  - {{address: 127.0.0.1, ports: {{dubbo: {two}}}, labels: {{kind: two}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop}}
spec:
  host: shop
  subsets:
  - {{name: one, labels: {{kind: one}}}}
  - {{name: two, labels: {{kind: two}}}}
  - {{name: none, labels: {{no: such}}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: by-path}}
spec:
  hosts: [cart.shop]
  http:
  - match: [{{uri: {{prefix: /one/}}}}]
    route: [{{destination: {{subset: one}}}}]
  - match: [{{uri: {{prefix: /none/}}}}]
    route: [{{destination: {{subset: none}}}}]
  - route: [{{destination: {{subset: two}}}}]
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_hold_for_a_port_that_is_dubbos(backend):
    """Where instances have no other port, what the request asks chooses among them all the same."""

    async def story() -> None:
        async with App("one") as one, App("two") as two:
            with running(backend, policy=AT_DUBBO.format(one=one.port, two=two.port)) as side:
                assert (await say(side.address, get("cart.shop", "/one/x"))).body == "one"
                assert (await say(side.address, get("cart.shop", "/x"))).body == "two"
                assert (await say(side.address, get("cart.shop", "/none/x"))).status == 503

    play(story)
