"""Who leaves while a rule's delay has its call wait is done with: it takes nobody's place, and nobody is asked."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest
from changing import every, stage, to
from engines import BACKENDS, PATIENCE, play, running
from peers import Caller, until
from test_http1_change import TO, policy
from webs import Answer, App, connect, get, say
from webs2 import Peer, asks, calling

HOUR = {"delay": every(fixedDelay="1h")}


def leave(writer: asyncio.StreamWriter, how: str) -> None:
    """By FIN as most do, or by RST."""
    if how == "reset":
        socket_ = writer.get_extra_info("socket")
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("how", ["end", "reset"])
def test_http1(backend: str, how: str) -> None:
    async def story() -> None:
        async with App("base") as base:
            rule = {"fault": HOUR, "route": TO}
            with running(backend, policy=policy(base.port, rule), limits={"maxDelayed": 1}) as side:
                for i in range(1, 4):
                    _, writer = await connect(side.address)
                    writer.write(get("cart.shop", "/x") + b"more" * (i == 2))
                    await side.reaches("calls_delayed", i)
                    leave(writer, how)
                    await until(lambda: side.count("downstream_active") == 0, PATIENCE)
                assert (base.connections, side.count("limit_max_delayed")) == (0, 0)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_http1_that_only_ends_its_side_is_told(backend: str) -> None:
    async def story() -> None:
        async with App("base") as base:
            with running(backend, policy=policy(base.port, {"fault": HOUR, "route": TO})) as side:
                answer: Answer = await say(side.address, get("cart.shop", "/x"), end=True)
                assert (answer.status, "delay" in answer.body, base.connections) == (503, True, 0)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_http1_that_stays_is_heard_in_full(backend: str) -> None:
    """More than is read meanwhile."""

    async def story() -> None:
        async with App("base") as base:
            rule = {"fault": {"delay": every(fixedDelay="100ms")}, "route": TO}
            with running(backend, policy=policy(base.port, rule)) as side:
                for length in (10, 70_000, 3_000_000):
                    head = (
                        f"POST /x HTTP/1.1\r\nhost: cart.shop\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                    )
                    body = bytes(range(250)) * (length // 250) + b"x" * (length % 250)
                    assert (await say(side.address, head.encode(), body)).status == 200
                    assert base.asked[-1].body == body
                assert side.count("calls_delayed") == 3

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("protocol", ["dubbo", "http2"])
def test_calls(backend: str, how: str, protocol: str) -> None:
    async def story() -> None:
        limits: dict[str, Any] = {"maxDelayed": 2}
        async with stage(backend, {"fault": HOUR, "route": [to()]}, limits=limits) as it:
            for i in range(1, 3):
                if protocol == "dubbo":
                    caller = await Caller.connect(it.side.address)
                    asked = [asyncio.ensure_future(caller.ask("com.x.Cart")) for _ in range(2)]
                    await it.side.reaches("calls_delayed", 2 * i)
                    leave(caller.writer, how)
                    await asyncio.gather(*asked, return_exceptions=True)
                else:
                    async with calling(it.side.address) as web:
                        await ask_twice(web)
                        await it.side.reaches("calls_delayed", 2 * i)
                        leave(web._writer, how)
                await until(lambda: it.side.count("calls_active") == 0, PATIENCE)
            assert (it.asked, it.side.count("limit_max_delayed")) == (0, 0)

    play(story)


async def ask_twice(web: Peer) -> None:
    for i in range(2):
        web.open(asks(f"/{i}"), end=True)
