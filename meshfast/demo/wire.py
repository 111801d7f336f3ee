"""What the applications of the demonstration say to each other, in either protocol, and the server that takes both on
one port."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

TRACE = "x-request-id"
METHOD = "walk"
DUBBO, TRIPLE = PROTOCOLS = ("Dubbo2", "Triple")

Address = tuple[str, int]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Spawn = Callable[[Coroutine[Any, Any, None]], None]


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call came back with. ``error``: why it has no value; empty otherwise."""

    value: str = ""
    trace: str = ""
    error: str = ""


class Consumer(ABC):
    """Calls over one connection, made when first needed and again when it was lost.

    A call that gets no answer raises TimeoutError, or ConnectionError when the connection ended; it is not repeated,
    so that what was lost is seen.
    """

    @abstractmethod
    async def call(self, service: str, text: str, headers: Mapping[str, str], timeout: float) -> Reply:
        """Calls METHOD of `service`; `timeout` in seconds covers connecting too."""

    @abstractmethod
    async def close(self) -> None:
        """Ends the connection; calls that still wait fail."""


Answer = Callable[["Asked"], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that came in. ``protocol``: in which, so that the next one is made in it, too."""

    protocol: str
    headers: Mapping[str, str]

    @property
    def trace(self) -> str:
        return self.headers.get(TRACE, "")


class Serving(ABC):
    """One connection that a server took. ``spawn`` runs a call beside it."""

    def __init__(self, streams: Streams, answer: Answer, spawn: Spawn) -> None:
        self.reader, self.writer = streams
        self.answer = answer
        self.spawn = spawn

    @abstractmethod
    async def serve(self, begun: bytes) -> None:
        """Until it ends; `begun` is what was read of it already."""

    def leave(self) -> None:
        """No new call is taken any more."""
        self.writer.close()


class Server:
    """Answers every call with what `answer` returns for it. ``kinds``: a protocol's first two bytes, and its end."""

    def __init__(self, answer: Answer, kinds: dict[bytes, type[Serving]]) -> None:
        self._answer = answer
        self._kinds = kinds
        self._calls: set[asyncio.Task[None]] = set()
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
        self._serving: set[Serving] = set()
        self._server: asyncio.Server | None = None
        self._stopping = False

    async def start(self, address: Address) -> None:
        """Listens. OSError when the address is taken."""
        self._server = await asyncio.start_server(self._accept, *address)

    async def stop(self, grace: float) -> None:
        """Takes no new connection, gives the calls in flight `grace` seconds, and closes."""
        self._stopping = True
        if self._server is not None:
            self._server.close()
        if self._calls:
            await asyncio.wait(self._calls, timeout=grace)
        for one in self._serving:
            one.leave()
        for writer in self._connections:
            writer.close()
        if self._connections:
            await asyncio.wait(self._connections.values(), timeout=grace)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # No coroutine: asyncio would start it a turn later, and `stop` in between would not see the connection.
        if self._stopping:
            writer.close()
        else:
            self._connections[writer] = asyncio.create_task(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            begun = await reader.readexactly(2)
            if (kind := self._kinds.get(begun)) is not None:
                one = kind((reader, writer), self._answer, self._spawn)
                self._serving.add(one)
                try:
                    await one.serve(begun)
                finally:
                    self._serving.discard(one)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            del self._connections[writer]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        call = asyncio.create_task(work)
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)
