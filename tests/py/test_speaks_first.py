"""Callers that say nothing, where the listener detects: joined to a provider that speaks first, else as they were."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from engines import BACKENDS, play, running
from peers import Caller, Provider, closing

GREETING = b"\x4a\x00\x00\x00\x0a8.0.36\x00"
CART = "com.x.Cart"


@asynccontextmanager
async def greeter(words: bytes = GREETING):
    """Speaks first, then sends back what it is told."""
    n = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal n
        n += 1
        writer.write(words)
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], lambda: n
    finally:
        server.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_provider_that_speaks_first(backend):
    async def story() -> None:
        async with greeter() as (port, dialled):
            with running(backend, direction="inbound", forward=f"127.0.0.1:{port}") as engine:
                host, at = engine.address.removeprefix("tcp://").rsplit(":", 1)
                callers = [await asyncio.open_connection(host, int(at)) for _ in range(20)]
                for i, (reader, writer) in enumerate(callers):
                    assert await reader.readexactly(len(GREETING)) == GREETING
                    writer.write(b"login %d" % i)
                for i, (reader, writer) in enumerate(callers):
                    assert await reader.readexactly(len(b"login %d" % i)) == b"login %d" % i
                    writer.write_eof()
                    assert await reader.read() == b""
                    writer.close()
                assert dialled() == engine.count("opaque_silent") == engine.count("opaque_connections") == 20

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_caller_of_dubbo_that_begins_late(backend):
    """Its provider was asked in vain, and it is served as any other: on the connection that all share."""

    async def story() -> None:
        provider = await Provider("a").start()
        limits = {"detectTimeout": 1, "greetTimeout": 1}
        async with closing(provider):
            with running(backend, direction="inbound", forward=provider.address, limits=limits) as engine:
                caller = await Caller.connect(engine.address)
                async with closing(caller):
                    await engine.reaches("limit_greet_timeout")
                    assert [(await caller.ask(CART)).value for _ in range(10)] == ["a:x"] * 10
                    assert engine.count("opaque_connections") == 0

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_speaks_meanwhile_is_not_joined(backend):
    """A request that comes while its provider is listened to; whatever the provider says after that goes nowhere."""

    async def story() -> None:
        provider = await Provider("a").start()
        async with closing(provider):
            with running(
                backend, direction="inbound", forward=provider.address, limits={"detectTimeout": 1}
            ) as engine:
                callers = [await Caller.connect(engine.address) for _ in range(20)]
                async with closing(*callers):
                    await engine.reaches("limit_detect_timeout", 20)
                    for one in callers:
                        assert (await one.ask(CART)).value == "a:x"
                    assert engine.count("opaque_connections") == 0

    play(story)
