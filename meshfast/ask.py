"""A client of what a sidecar serves over HTTP: its admin address, and what it is for SDKs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import h11

from meshfast.address import dial

__all__ = ["Talk", "ask"]

#: A whole answer must be there by then, seconds.
TIMEOUT = 10.0


async def ask(address: str, target: str, method: str = "GET") -> tuple[int, bytes]:
    """Asks for a page: its status and body. ``address``: ``host:port``, ``tcp://host:port`` or ``unix:///path``.

    :raises OSError: nobody answers, not in time, or not in HTTP
    """
    async with asyncio.timeout(TIMEOUT):
        talk = await Talk.to(address)
        try:
            return await talk.ask(method, target, headers=[("connection", "close"), ("x-meshfast", "1")])
        finally:
            talk.close()


class Talk:
    """A connection over which one page after the other is asked for."""

    def __init__(self, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._address, self._reader, self._writer = address, reader, writer
        self._http = h11.Connection(h11.CLIENT)

    @classmethod
    async def to(cls, address: str) -> Talk:
        """:raises OSError: nobody is there"""
        return cls(address, *await dial(address))

    async def ask(
        self, method: str, target: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
    ) -> tuple[int, bytes]:  # fmt: skip
        """The status and the body of the answer.

        :raises OSError: there is none, or it is not HTTP
        """
        every = [("host", "localhost"), *headers]
        if body:
            every.append(("content-length", str(len(body))))
        if self.over:
            raise ConnectionError(f"{self._address} has ended the connection with its last answer")
        said = self._http.send(h11.Request(method=method, target=target, headers=every)) or b""
        said += (self._http.send(h11.Data(data=body)) or b"") if body else b""
        self._http.send(h11.EndOfMessage())
        self._writer.write(said)
        try:
            return await self._answer()
        except h11.RemoteProtocolError as error:
            raise ConnectionError(f"no HTTP answer from {self._address}: {error}") from None

    async def _answer(self) -> tuple[int, bytes]:
        status, body = 0, bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(65536))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                if self._http.our_state is self._http.their_state is h11.DONE:
                    self._http.start_next_cycle()
                return status, bytes(body)
            else:
                raise h11.RemoteProtocolError("it ended early")

    @property
    def over(self) -> bool:
        """Whether nothing more can be asked: so its last answer said, or there was none."""
        return self._http.our_state is not h11.IDLE

    async def ended(self) -> None:
        """Returns when the other end has gone, which says nothing unasked.

        :raises OSError: the connection broke
        """
        await self._reader.read(1)

    def close(self) -> None:
        self._writer.close()
