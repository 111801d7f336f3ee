"""The access log of HTTP/2 calls: exact statuses, content however it went, labels, and the way that was chosen."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from engines import BACKENDS, play, running
from webs2 import GRPC, Server, Stream, asks, calling

from meshfast import http2
from meshfast.record import Record

PATH = "/com.x.Cart/add"
MIB = b"m" * (1 << 20)
POLICY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: cart}}
spec:
  hosts: [com.x.Cart, shop]
  ports: [{{number: 1, name: grpc, protocol: GRPC}}]
  endpoints:
  - {{address: 127.0.0.1, ports: {{grpc: {port}}}, labels: {{env: dev1}}}}
  - {{address: 127.0.0.1, ports: {{grpc: {base}}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: cart}}
spec: {{host: cart, subsets: [{{name: none, labels: {{env: none}}}}]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: by-label}}
spec:
  hosts: ["*"]
  http:
  - {{match: [{{headers: {{x-none: {{exact: "1"}}}}}}], route: [{{destination: {{subset: none}}}}]}}
  - {{route: [{{destination: {{subset: $env}}}}]}}
---
apiVersion: istio.alibabacloud.com/v1
kind: TrafficLabel
metadata: {{name: env}}
spec: {{rules: [{{labels: [{{name: env}}]}}]}}
"""


async def answer(stream: Stream) -> None:
    """As the call asks for by its field x-do."""
    do = (stream.get(b"x-do") or b"").decode()
    match do.split():
        case ["http", status, *_]:
            stream.head([(b":status", status.encode())], True)
        case ["grpc", status]:
            stream.head([(b":status", b"200"), GRPC, (b"grpc-status", status.encode())], True)
        case ["stream"]:
            stream.head([(b":status", b"200"), GRPC])
            await asyncio.wait_for(stream.ended.wait(), 30)
            await stream.data(MIB)
            stream.head([(b"grpc-status", b"0")], True)
        case ["break"]:
            stream.head([(b":status", b"206")])
            await stream.data(b"half")
            stream.reset(http2.ErrorCode.INTERNAL_ERROR)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_told(backend: str) -> None:
    async def story() -> None:
        async with Server(answer) as server, Server(answer) as base:
            limits = {"maxMethods": 100}
            policy = POLICY.format(port=server.port, base=base.port)
            with running(backend, policy=policy, limits=limits, access_sample=1.0) as it:
                async with calling(it.address) as peer:
                    told = []
                    for do, more in (
                        ("http 418", ()), ("http 599", ()), ("http 204", ()), ("break", ()),
                        ("grpc 0", (GRPC,)), ("grpc 5", (GRPC,)), ("grpc 4711", (GRPC,)), ("http 503", (GRPC,)),
                    ):  # fmt: skip
                        service = "shop" if not more else "cart"
                        await peer.ask(asks(PATH, (b"x-do", do.encode()), *more, authority=service))
                        one = Record(*(await record(it))[0])
                        told.append((one.protocol, one.status, one.http_status, one.outcome))
                    assert told == [
                        ("http", 418, 418, "ok"), ("http", 599, 599, "remote_error"), ("http", 204, 204, "ok"),
                        ("http", 206, 206, "remote_error"),
                        ("grpc", 0, 200, "ok"), ("grpc", 5, 200, "remote_error"), ("grpc", 4711, 200, "remote_error"),
                        ("grpc", 14, 503, "remote_error"),
                    ]  # fmt: skip
                    told = []
                    for path, more in (("/com.x.None/add", (GRPC,)), ("/a/../b", ()), ("/x", ())):
                        came = await peer.ask(asks(path, *more, authority="nobody"))
                        one = Record(*(await record(it))[0])
                        told.append((one.status, one.http_status, one.rule, one.tries, one.peer))
                        assert one.http_status == int(came.get(b":status") or 0)
                    assert told == [(12, 200, -1, 0, ""), (400, 400, -1, 0, ""), (404, 404, -1, 0, "")]
                    methods = {(one["service"], one["method"]): one for one in it.engine.method_stats()}
                    assert methods["com.x.Cart", "add"]["grpc"] == {"0": 1, "5": 1, "14": 1, "other": 1}
                    assert methods["shop", "POST"]["http"] == {"2xx": 1, "4xx": 1, "5xx": 2}

    play(story)


async def record(it: Any) -> list[tuple[Any, ...]]:
    """The record of the one call that has just been answered: its end is told a moment later."""
    async with asyncio.timeout(30):
        while not (found := it.engine.access_records()):
            await asyncio.sleep(0.001)
    assert len(found) == 1
    return list(found)


@pytest.mark.parametrize("backend", BACKENDS)
def test_content_and_the_way(backend: str) -> None:
    """Content counts wherever it went straight, waited for a connection, or came back piece by piece."""

    async def story() -> None:
        async with Server(answer) as server, Server(answer) as base:
            policy = POLICY.format(port=server.port, base=base.port)
            with running(backend, policy=policy, access_sample=1.0) as it:
                async with calling(it.address) as peer:
                    for _ in range(2):  # the first waits for the connection
                        call = peer.open(asks(PATH, (b"x-do", b"stream"), GRPC, (b"baggage", b"env=dev1")))
                        await call.data(MIB[:5000])
                        await asyncio.wait_for(call.begun.wait(), 30)
                        await call.data(MIB[:40000], True)
                        await asyncio.wait_for(call.ended.wait(), 30)
                        one = Record(*(await record(it))[0])
                        assert (one.bytes_up, one.bytes_down, len(call.body)) == (45000, len(MIB), len(MIB))
                        assert (one.labels, one.subset, one.peer) == ({"env": "dev1"}, "dev1", server.address)
                        assert (one.rule, one.fallbacks, one.tries, one.request_id) == (1, 0, 1, call.number)
                        assert (one.direction, one.service, one.method) == ("outbound", "com.x.Cart", "add")
                        assert 0 < one.duration < 60
                    await peer.ask(asks(PATH, (b"x-do", b"grpc 0"), GRPC, (b"env", b"dev9")))
                    one = Record(*(await record(it))[0])
                    assert (one.subset, one.rule, one.fallbacks, one.bytes_up) == ("baseline", 1, 1, 0)
                    await peer.ask(asks(PATH, GRPC, (b"x-none", b"1")))
                    one = Record(*(await record(it))[0])
                    assert (one.status, one.rule, one.tries, one.outcome) == (14, 0, 0, "no_peer")
                    rows = [one for one in it.table.stats() if one["subset"] == "dev1"]
                    assert [(one["bytes_up"], one["bytes_down"]) for one in rows] == [(90000, 2 * len(MIB))]

    play(story)


def test_a_service_leaves_places_to_others() -> None:
    """Methods are what callers say: who says many takes no more places than are one service's."""

    async def story() -> None:
        async with Server() as app:
            limits = {"maxMethods": 8, "maxServiceMethods": 3}
            with running("epoll", direction="inbound", forward=app.address, limits=limits) as it:
                async with calling(it.address) as peer:
                    for i in range(10):
                        await peer.ask(asks(f"/com.x.Many/m{i}", GRPC))
                    await peer.ask(asks("/com.x.Cart/add", GRPC))
                found = {(one["service"], one["method"]): one["begun"] for one in it.engine.method_stats()}
                many = {("com.x.Many", name): 1 for name in ("m0", "m1", "m2")}
                assert found == many | {("com.x.Many", "other"): 7, ("com.x.Cart", "add"): 1}
                assert (it.count("limit_max_service_methods"), it.count("limit_max_methods")) == (7, 0)

    play(story)
