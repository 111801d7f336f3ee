"""Policy with mirrors and rate limits for the tests, and what a sidecar counts of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

from engines import Running
from peers import Frame, Provider, closing, until
from webs2 import Server

CART = "com.x.Cart"
TO_ALL = "mirrors: [{destination: {host: cart}}]"
TO_V2 = "mirror: {host: cart, subset: v2}"

HEAD = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: cart}}
spec:
  hosts: [com.x.Cart, com.x.Stock, cart.shop]
  ports: [{{number: 1, name: any, protocol: TCP}}]
  resolution: STATIC
  endpoints:
{endpoints}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: cart}}
spec:
  host: cart
  subsets: [{{name: v1, labels: {{v: "1"}}}}, {{name: v2, labels: {{v: "2"}}}}, {{name: v3, labels: {{v: "3"}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: cart}}
spec:
  hosts: [cart]
  http:
  - route: [{{destination: {{subset: v1}}}}]
    {more}
"""


def policy(*instances: tuple[int, str], more: str = "timeout: 10s", limits: str = "") -> str:
    """Calls of ``cart`` go to v1, and whatever ``more`` says of the rule; ``instances``: port and version each."""
    lines = [f'  - {{address: 127.0.0.1, ports: {{any: {port}}}, labels: {{v: "{v}"}}}}' for port, v in instances]
    return HEAD.format(endpoints="\n".join(lines), more=more) + limits


def mirrored(real: Provider | Server, copy: Provider | Server, more: str = "") -> str:
    """All calls are mirrored to v2, or as ``more`` says."""
    return policy((real.port, "1"), (copy.port, "2"), more=more or "mirror: {host: cart, subset: v2}")


def limit(name: str = "few", requests: int = 3, unit: str = "hour", hosts: str = "[cart]", more: str = "") -> str:
    """A RateLimit document."""
    spec = f"{{hosts: {hosts}, requests: {requests}, unit: {unit}{', ' if more else ''}{more}}}"
    return f"---\napiVersion: meshfast.io/v1\nkind: RateLimit\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def became(side: Running) -> dict[str, int]:
    """What became of all copies, in all."""
    found = [one.counts for one in side.table.mirrors()]
    return {name: n for name in ("ok", "error", "failed", "skipped") if (n := sum(one[name] for one in found))}


async def comes_to(side: Running, **counts: int) -> None:
    await until(lambda: became(side) == counts, 15.0)


async def silent(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
    """Never answers."""


@asynccontextmanager
async def two(handler: Callable[..., Awaitable[None]] | None = None):  # type: ignore[no-untyped-def]
    real, copy = await Provider("real").start(), await Provider("copy", handler).start()
    async with closing(real, copy):
        yield real, copy
