"""Instances that are named by a host, through a whole sidecar, with a server of DNS on loopback."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from names_server import NameServer
from peers import Caller, Provider, closing
from proxies import BACKENDS, outbound, proxy
from webs2 import GRPC, Server, Stream, asks, calling

POLICY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop}}
spec:
  hosts: [com.x.Cart, cart.example]
  ports: [{{name: dubbo, number: {dubbo}, protocol: DUBBO}}, {{name: grpc, number: {grpc}, protocol: GRPC}}]
  resolution: DNS
  endpoints: [{{address: shop.example}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: web}}
spec:
  hosts: [one.example, two.example]
  ports: [{{name: grpc, number: 80, targetPort: {grpc}, protocol: GRPC}}]
  resolution: DNS
"""


def named(status: str, name: str) -> Any:
    async def handler(stream: Stream) -> None:
        await stream.ended.wait()
        stream.head([(b":status", status.encode()), GRPC, (b"grpc-status", b"0"), (b"name", name.encode())], end=True)

    return handler


@pytest.mark.parametrize("backend", BACKENDS)
def test_calls_follow_what_a_name_says(tmp_path: Path, backend: str) -> None:
    async def story() -> None:
        server = await NameServer().start()
        first = await Provider("first", host="127.0.0.2").start()
        second = await Provider("second", host="127.0.0.3").start(first.port)
        web = Server(named("200", "web"))
        async with web:
            grpc = int(web.address.rpartition(":")[2])
            server.put("shop.example", "127.0.0.2", ttl=1)
            server.put("one.example", "127.0.0.1", ttl=1)
            dns = {"servers": [server.address], "timeout": "1s"}
            policy = POLICY.format(dubbo=first.port, grpc=grpc)
            async with closing(first, second), proxy(tmp_path, backend, [outbound()], policy, dns=dns) as running:
                await follow(server, running)
        await server.stop()

    async def follow(server: NameServer, running: Any) -> None:
        caller = await Caller.connect(running.address("out"))
        async with closing(caller), calling(running.address("out")) as peer:
            assert (await caller.ask("com.x.Cart", "a")).value == "first:a"
            assert await web(peer, "one.example") == b"web"
            assert await web(peer, "two.example") is None  # it has no address
            server.put("shop.example", "127.0.0.3", ttl=1)
            async with asyncio.timeout(15):
                while (await caller.ask("com.x.Cart", "b")).value != "second:b":
                    await asyncio.sleep(0.01)
            server.mute = True
            told = await failing(running)
            assert told["shop.example"]["addresses"] == ["127.0.0.3"]
            assert told["two.example"]["error"] == "there is no such name" or told["two.example"]["failures"] > 1
            assert (await caller.ask("com.x.Cart", "c")).value == "second:c"
            assert (await running.counters())["dns_names"] == 3

    async def failing(running: Any) -> dict[str, Any]:
        async with asyncio.timeout(15):
            while (await running.counters())["dns_names_failing"] < 3 or "DNS: shop.example" not in running.log:
                await asyncio.sleep(0.01)
        dump = json.loads(await running.get("/config_dump"))
        assert dump["version"] == 1
        return {one["host"]: one for one in dump["names"]}

    async def web(peer: Any, authority: str) -> bytes | None:
        stream = await peer.ask(asks("/x.Y/z", GRPC, authority=authority))
        return stream.get(b"name")

    asyncio.run(story())
