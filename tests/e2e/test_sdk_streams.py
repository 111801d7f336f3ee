"""The SDK for Python calls by streams of each kind: servers of grpcio and grpc-go, Dubbo for Java 3.3, and itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from conftest import GrpcPeers, Triple
from harness import mesh
from harness.grpc import SERVICE as ECHO
from harness.grpc import messages, summary
from harness.java import SERVICE
from harness.pysdk import STEADY, Worlds
from harness.triple import STREAMS, TEXTS, endpoint, entry
from harness.way import LOOPS
from test_sdk_triple import StringValue

from meshfast import sdk
from meshfast.sdk.service import Service


async def each(stream: Any) -> list[Any]:
    return [one async for one in stream]


async def echoes(echo: Service) -> None:
    """The peers' streams, of few and of many messages, and one that is left."""
    for count, size in ((0, 10), (1, 10), (1000, 100), (100, 100_000)):
        sent = list(messages(count, size))
        assert await echo.stream("collect", requests=sent).answer() == summary(count, size).encode()
        asked = json.dumps({"count": count, "size": size, "pause": 0}).encode()
        assert await each(echo.stream("produce", asked)) == sent
        assert await each(echo.stream("chat", requests=sent)) == sent
    async with echo.stream("chat", sends=True) as chat:
        for message in messages(50, 1000):
            await chat.send(message)
            assert await anext(chat) == message
    stream = echo.stream("hang", b"")
    assert await anext(stream) == b"A"
    stream.cancel()
    with pytest.raises(sdk.CallTimeout):
        await each(echo.stream("hang", b"", timeout=0.3))
    with pytest.raises(sdk.StatusError):
        await each(echo.stream("none", b""))


@pytest.mark.parametrize("loop", LOOPS)
def test_grpc(worlds: Worlds, grpc_peers: GrpcPeers, offering: str, loop: str) -> None:
    _, port = grpc_peers.instance(offering)
    world = worlds(loop, mesh.entry([mesh.endpoint(port)], hosts=[SERVICE, ECHO]))

    async def story() -> None:
        async with sdk.connect("tests", timeout=30.0, timing=STEADY, **world.where) as found:
            await echoes(found.service(ECHO, protocol="grpc"))
            assert found.counters["falls"] == 0

    asyncio.run(asyncio.wait_for(story(), 120))


class Texts:
    """Of Texts.java what streams."""

    def gather(self, texts: AsyncIterator[StringValue]) -> AsyncIterator[StringValue]:
        raise NotImplementedError

    def chat(self, texts: AsyncIterator[StringValue]) -> AsyncIterator[StringValue]:
        raise NotImplementedError


@pytest.mark.parametrize("loop", LOOPS)
def test_java(worlds: Worlds, triple: Triple, loop: str) -> None:
    """Of a Java interface, in Dubbo's wrapper, and of protobuf; and a provider hears that its caller has left."""
    world = worlds(loop, entry([endpoint(triple.port())]))

    async def story() -> None:
        async with sdk.connect("tests", timeout=30.0, timing=STEADY, **world.where) as found:
            streams = found.service(STREAMS, protocol="tri")
            types = ("java.util.Map",)
            for items, size in ((1, 0), (1000, 10), (32, 500_000)):
                told = {"items": items, "size": size, "fail": False}
                expected = [f"A|{number}|{'x' * size}" for number in range(items)]
                assert await each(streams.stream("count", told, types=types)) == expected
            with pytest.raises(sdk.StatusError, match="told to fail"):
                await each(streams.stream("count", {"items": 3, "size": 1, "fail": True}, types=types))
            for items, size in ((1, 0), (500, 10), (100, 5000)):
                sent = ["x" * size] * items
                assert await streams.stream("gather", requests=sent).answer() == f"A|{items}|{items * size}"
            before = await streams.call("cancelled")
            async with streams.stream("chat", sends=True) as chat:
                for number in range(100):
                    await chat.send(f"{number}")
                    assert await anext(chat) == f"A|{number}"
            while await streams.call("cancelled") <= before:
                pass  # the provider is told, or time is up for all of this
            texts = found.stub(Texts, TEXTS, protocol="tri")

            async def words() -> AsyncIterator[StringValue]:
                for word in ("a", "b"):
                    yield StringValue(word)

            assert [one.value async for one in texts.chat(words())] == ["A|a", "A|b"]
            assert [one.value async for one in texts.gather(words())] == ["A|2|2"]

    asyncio.run(asyncio.wait_for(story(), 120))


@pytest.mark.parametrize("loop", LOOPS)
def test_threads(worlds: Worlds, grpc_peers: GrpcPeers, loop: str) -> None:
    _, port = grpc_peers.instance("grpcio")
    world = worlds(loop, mesh.entry([mesh.endpoint(port)], hosts=[SERVICE, ECHO]))
    with world.blocking() as found:
        echo = found.service(ECHO, protocol="grpc")
        sent = list(messages(300, 1000))
        assert list(echo.stream("chat", requests=iter(sent))) == sent
        assert echo.stream("collect", requests=sent).answer() == summary(300, 1000).encode()
