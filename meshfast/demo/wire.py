"""A Dubbo2 consumer and a provider on asyncio streams: one connection each, any number of calls on it at a time."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Awaitable, Callable, Mapping

from meshfast import dubbo

TRACE = "x-request-id"
METHOD = "walk"

Address = tuple[str, int]


async def read_frame(reader: asyncio.StreamReader) -> tuple[dubbo.Head, bytes] | None:
    """The next whole frame and its head; None when the connection has ended. ProtocolError: not Dubbo2."""
    try:
        start = await reader.readexactly(dubbo.HEAD_LENGTH)
        head = dubbo.parse_head(start)
        if head is None:
            return None
        return head, start + await reader.readexactly(head.body_length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def heartbeat_answer(head: dubbo.Head) -> bytes:
    """The answer to a heartbeat: an event with the same id and a null body."""
    return struct.pack(">HBBQIc", 0xDABB, 0x20 | head.serialization, 20, head.request_id, 1, b"N")


class Client:
    """Calls over one connection, made when first needed and again when it was lost.

    A call that gets no answer raises TimeoutError, or ConnectionError when the connection ended; it is not repeated,
    so that what was lost is seen.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def call(
        self, service: str, args: tuple[str, ...], attachments: Mapping[str, str], timeout: float
    ) -> dubbo.Response:
        """Calls METHOD of `service`; `timeout` in seconds covers connecting too."""
        number = next(self._numbers)
        frame = dubbo.encode_request(number, service, METHOD, args, attachments)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(timeout):
                (await self._connected()).write(frame)
                return dubbo.decode_response(await answer)
        finally:
            self._waiting.pop(number, None)

    async def _connected(self) -> asyncio.StreamWriter:
        async with self._connecting:
            if self._writer is None:
                reader, self._writer = await asyncio.open_connection(*self.address)
                self._reading = asyncio.create_task(self._read(reader, self._writer))
            return self._writer

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while (frame := await read_frame(reader)) is not None:
            head, data = frame
            if head.is_request:
                if head.is_event and head.is_two_way:
                    writer.write(heartbeat_answer(head))
                continue
            waiting = self._waiting.get(head.request_id)
            if waiting is not None and not waiting.done():
                waiting.set_result(data)
        self._writer = None
        writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("the connection ended before the answer came"))

    async def close(self) -> None:
        """Ends the connection; calls that still wait fail."""
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            await self._reading


Answer = Callable[[dubbo.Request], Awaitable[tuple[str, Mapping[str, str]]]]


class Server:
    """Answers every call with what `answer` returns for it: a value and attachments."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._calls: set[asyncio.Task[None]] = set()
        self._connections: dict[asyncio.StreamWriter, asyncio.Task[None]] = {}
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
            while (frame := await read_frame(reader)) is not None:
                head, data = frame
                if head.is_event:
                    if head.is_request and head.is_two_way:
                        writer.write(heartbeat_answer(head))
                elif head.is_request:
                    call = asyncio.create_task(self._one(head, data, writer))
                    self._calls.add(call)
                    call.add_done_callback(self._calls.discard)
        finally:
            writer.close()
            del self._connections[writer]

    async def _one(self, head: dubbo.Head, data: bytes, writer: asyncio.StreamWriter) -> None:
        value, attachments = await self._answer(dubbo.parse_request(data))
        if head.is_two_way and not writer.is_closing():
            writer.write(dubbo.encode_response(head.request_id, value, attachments))
