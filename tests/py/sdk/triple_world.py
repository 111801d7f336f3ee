"""What the tests of Triple in the SDK stand on: HTTP/2 servers that count what they execute, and one client of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import webs2
from sdk_world import CART, PATIENCE, PATIENT, no_engine, settled

from meshfast import http2, sdk
from meshfast.sdk.client import Client
from meshfast.sdk.interest import Interest
from meshfast.sdk.service import Service
from meshfast.sdk.streams import StreamsWire

GRPC = webs2.GRPC
Play = Callable[["Web", webs2.Stream], Awaitable[None]]


def message(stream: webs2.Stream) -> bytes:
    """What a call of gRPC says."""
    return bytes(stream.body[5:])


async def good(web: Web, stream: webs2.Stream) -> None:
    """Executes it: a whole answer."""
    web.executed[message(stream)] += 1
    text = web.name + b":" + message(stream)
    stream.head([(b":status", b"200"), GRPC])
    await stream.data(b"\0" + len(text).to_bytes(4, "big") + text)
    stream.head([(b"grpc-status", b"0")], True)


async def never(web: Web, stream: webs2.Stream) -> None:
    """Has it, and says nothing."""


class _Peer(webs2.Peer):
    web: Web

    async def _take(self, frame: http2.Frame) -> None:
        if self.web.hung:
            await asyncio.Event().wait()
        self.web.pings += isinstance(frame, http2.Ping) and not frame.is_ack
        await super()._take(frame)
        if isinstance(frame, http2.Ping):
            for one in self.web.then:
                self.write(one)


class Web(webs2.Server):
    """``play`` has each call once it is whole. ``hung``: reads no more; ``first``: what everyone is told who comes;
    ``then``: and who asks by a PING."""

    def __init__(self, name: str = "web", play: Play = good) -> None:
        super().__init__(self._handle)
        self.name, self.play = name.encode(), play
        self.executed: Counter[bytes] = Counter()
        self.streams: list[webs2.Stream] = []
        self.hung = False
        self.pings = 0
        self.first: list[http2.Frame] = []
        self.then: list[http2.Frame] = []

    async def _handle(self, stream: webs2.Stream) -> None:
        await stream.ended.wait()
        if stream.code < 0:
            self.streams.append(stream)
            await self.play(self, stream)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _Peer.web = self  # of its first turn; below it has its own
        peer = _Peer(reader, writer, self._handler)
        peer.web = self
        self.peers.append(peer)
        for frame in self.first:
            peer.write(frame)

    def shut(self) -> None:
        self._server.close()

    def cut(self, peer: webs2.Peer) -> None:
        """Ends a connection at once."""
        peer._writer.transport.abort()

    @property
    def url(self) -> str:
        return f"tcp://{self.address}"


class Streams:
    """One client by HTTP/2, as ``mesh`` has it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.cart = Service(client, CART, timeout=PATIENCE, protocol="grpc")

    @property
    def mode(self) -> str:
        return self.client.mode

    @property
    def counters(self) -> Counter[str]:
        return self.client.counters


@asynccontextmanager
async def streams(
    address: str, fat: Callable[[], Any] = no_engine, timing: sdk.Timing = PATIENT, limits: sdk.Limits | None = None
) -> AsyncIterator[Streams]:
    client = Client(address, fat, Interest(""), limits, timing, StreamsWire)
    client.open()
    try:
        yield Streams(client)
    finally:
        await client.close()
        await settled()
