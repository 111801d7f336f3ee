"""What there is to be found, as a test has it; and connections to a sidecar's address for SDKs, by hand."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import h11

from meshfast.registry import Listing


class Shown:
    """Listings that the test sets."""

    def __init__(self) -> None:
        self.listings: dict[str, Listing] = {}
        self.interests: Counter[str] = Counter()
        self.is_connected = True

    def known(self, service: str) -> Listing | None:
        return self.listings.get(service)

    def interest(self, service: str) -> Any:
        self.interests[service] += 1

        def release() -> None:
            self.interests[service] -= 1

        return release

    def connected(self) -> bool:
        return self.is_connected


class Talk:
    """One connection: a request, and its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.http = h11.Connection(h11.CLIENT)

    @classmethod
    async def to(cls, address: str) -> Talk:
        path = address.removeprefix("unix://")
        return cls(*await asyncio.open_unix_connection("\0" + path[1:] if path.startswith("@") else path))

    def send(self, method: str, target: str, body: object = None) -> None:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = [("host", "localhost"), ("content-length", str(len(data)))]
        self.writer.write(self.http.send(h11.Request(method=method, target=target, headers=headers)) or b"")
        self.writer.write((self.http.send(h11.Data(data=data)) or b"") if data else b"")
        self.http.send(h11.EndOfMessage())

    async def event(self) -> Any:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(await asyncio.wait_for(self.reader.read(65536), 30))
        return event

    async def ask(self, method: str, target: str, body: object = None) -> tuple[int, Any]:
        self.send(method, target, body)
        status, data = 0, b""
        while not isinstance(event := await self.event(), h11.EndOfMessage):
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                data += event.data
            else:
                raise AssertionError(event)
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
        return status, json.loads(data) if data.startswith((b"{", b"[")) else data.decode()

    async def line(self) -> Any:
        """The next of a watch."""
        while not isinstance(event := await self.event(), h11.Data):
            assert isinstance(event, h11.Response) and event.status_code == 200, event
        return json.loads(event.data)

    async def ended(self) -> None:
        while await asyncio.wait_for(self.reader.read(65536), 30):
            pass

    def close(self) -> None:
        self.writer.transport.abort()
