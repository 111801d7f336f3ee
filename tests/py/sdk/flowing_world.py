"""A service of Python that streams, by Triple and by gRPC, and the SDK that calls it with nothing between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

from admins import on_loop
from proxies import BACKENDS
from sdk_world import PATIENT, no_engine

from meshfast import protobuf, sdk
from meshfast.sdk.context import attach, incoming
from meshfast.sdk.errors import GrpcError
from meshfast.sdk.serve import Limits, Offer, Serving

TALK, BARE = "com.x.Talk", "com.x.Bare"


class Text:
    """A message of protobuf."""

    def __init__(self, value: str = "") -> None:
        self.value = value

    def SerializeToString(self) -> bytes:
        return protobuf.field(1, self.value.encode())

    @classmethod
    def FromString(cls, data: bytes) -> Text:
        return cls(*(value.decode() for number, value in protobuf.fields(data) if isinstance(value, bytes)))


class World:
    """What is served, what its handlers were told, and what they made. ``gate``: some wait for it."""

    def __init__(self, **limits: Any) -> None:
        self.gate, self.made, self.read, self.gone, self.inside = asyncio.Event(), 0, 0, 0, 0
        names = "once count steps add tally chat endless hold swallow fail late where texts attaches"
        talk = {name: getattr(self, name) for name in names.split()}
        bare = {name: getattr(self, f"bare_{name}") for name in ("once", "count", "chat", "status")}
        offers = Offer(TALK, talk, protocols=("dubbo", "tri")), Offer(BARE, bare, protocols=("grpc",))
        self.serving = Serving(None, *offers, limits=Limits(**{"quiet": 0.0, **limits}))

    async def once(self, what: Any) -> Any:
        return what

    async def count(self, most: int, size: int = 0) -> AsyncIterator[str]:
        for number in range(most):
            self.made += 1
            yield f"{number}" + "x" * size

    def steps(self, most: int) -> Iterator[int]:
        yield from range(most)

    async def add(self, numbers: AsyncIterator[int]) -> int:
        return sum([number async for number in numbers])

    def tally(self, numbers: Iterator[int]) -> int:
        return sum(numbers)

    async def chat(self, words: AsyncIterator[str]) -> AsyncIterator[str]:
        async for word in words:
            yield word.upper()

    async def endless(self, size: int) -> AsyncIterator[bytes]:
        try:
            while True:
                self.made += 1
                yield bytes(size)
        finally:
            self.gone += 1

    async def attaches(self, size: int, fails: bool = False) -> str:
        sdk.attach(extra="v" * size)
        if fails:
            raise sdk.GrpcError(5, "not found")
        return "answered"

    async def hold(self, what: Any) -> Any:
        self.inside += 1
        try:
            await self.gate.wait()
            return what
        finally:
            self.inside -= 1
            self.gone += 1

    async def swallow(self, words: AsyncIterator[str]) -> int:
        """Reads none before the gate is open."""
        self.inside += 1
        await self.gate.wait()
        async for _ in words:
            self.read += 1
        return self.read

    async def fail(self, before: int) -> AsyncIterator[int]:
        for number in range(before):
            yield number
        raise ValueError("told to fail: ü")

    async def late(self, what: Any) -> AsyncIterator[Any]:
        yield what
        await self.gate.wait()
        yield what

    async def where(self, _: Any) -> AsyncIterator[dict[str, str]]:
        attach(back="yes", blob=b"\xff\0")
        for _ in range(2):
            await asyncio.sleep(0)
            yield {key: value for key, value in incoming.get({}).items() if isinstance(value, str)}

    async def texts(self, texts: AsyncIterator[Text]) -> AsyncIterator[Text]:
        async for text in texts:
            yield Text(text.value + "!")

    async def bare_once(self, body: bytes) -> bytes:
        return body

    async def bare_count(self, body: bytes) -> AsyncIterator[bytes]:
        for number in range(int(body)):
            yield b"%d" % number

    async def bare_chat(self, words: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for word in words:
            yield word[::-1]

    async def bare_status(self, body: bytes) -> AsyncIterator[bytes]:
        yield b"one"
        raise GrpcError(int(body), "no more")

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.serving.port}"

    @asynccontextmanager
    async def calls(self, **more: Any) -> AsyncIterator[sdk.Mesh]:
        settings: dict[str, Any] = {"timeout": 30.0, "timing": PATIENT, "fat": no_engine, **more}
        async with sdk.connect("tests", address=self.url, api="unix://@nobody-is-here", **settings) as mesh:
            yield mesh


def play(
    story: Callable[[World, sdk.Mesh], Awaitable[None]], backend: str = BACKENDS[0], limits: Any = None, **more: Any
) -> World:  # fmt: skip
    """And nothing is left when it has ended."""
    made: list[World] = []

    async def run() -> None:
        world = World(**(limits or {}))
        made.append(world)
        async with world.serving:
            async with world.calls(**more) as mesh:
                try:
                    await story(world, mesh)
                finally:
                    world.gate.set()
        server = world.serving._server
        assert (server.calls, server.streaming, server.held, len(server.tasks)) == (0, 0, 0, 0)
        assert not server.connections

    on_loop(backend, run)
    return made[0]
