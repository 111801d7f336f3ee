"""Dubbo2 on asyncio streams: a consumer and a provider, any number of calls on a connection at a time."""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Mapping

from meshfast import dubbo
from meshfast.demo.wire import DUBBO, METHOD, TRACE, Address, Asked, Consumer, Reply, Serving


async def read_frame(reader: asyncio.StreamReader, begun: bytes = b"") -> tuple[dubbo.Head, bytes] | None:
    """The next whole frame and its head, of which `begun` is there already; None when the connection has ended.
    ProtocolError: not Dubbo2."""
    try:
        start = begun + await reader.readexactly(dubbo.HEAD_LENGTH - len(begun))
        head = dubbo.parse_head(start)
        if head is None:
            return None
        return head, start + await reader.readexactly(head.body_length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def heartbeat_answer(head: dubbo.Head) -> bytes:
    """The answer to a heartbeat: an event with the same id and a null body."""
    return struct.pack(">HBBQIc", 0xDABB, 0x20 | head.serialization, 20, head.request_id, 1, b"N")


class Client(Consumer):
    """What its base says, in Dubbo2; headers are attachments."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._connecting = asyncio.Lock()

    async def call(self, service: str, text: str, headers: Mapping[str, str], timeout: float) -> Reply:
        number = next(self._numbers)
        frame = dubbo.encode_request(number, service, METHOD, (text,), headers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            async with asyncio.timeout(timeout):
                (await self._connected()).write(frame)
                response = dubbo.decode_response(await answer)
        finally:
            self._waiting.pop(number, None)
        if response.exception is not None:
            return Reply(error=f"status {response.status}: {response.exception}")
        return Reply(str(response.value), response.attachments.get(TRACE, ""))

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
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            await self._reading


class Provider(Serving):
    """The server's end of a connection."""

    async def serve(self, begun: bytes) -> None:
        while (frame := await read_frame(self.reader, begun)) is not None:
            begun = b""
            head, data = frame
            if head.is_event:
                if head.is_request and head.is_two_way:
                    self.writer.write(heartbeat_answer(head))
            elif head.is_request:
                self.spawn(self._one(head, data))

    async def _one(self, head: dubbo.Head, data: bytes) -> None:
        asked = Asked(DUBBO, dubbo.parse_request(data).attachments)
        value = await self.answer(asked)
        if head.is_two_way and not self.writer.is_closing():
            self.writer.write(dubbo.encode_response(head.request_id, value, {TRACE: asked.trace}))
