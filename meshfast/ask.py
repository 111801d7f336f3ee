"""The client of a sidecar's admin address: what ``explain --admin`` and the demonstration use."""

from __future__ import annotations

import asyncio

import h11

from meshfast.address import dial

__all__ = ["ask"]

#: A whole answer must be there by then, seconds.
TIMEOUT = 10.0


async def ask(address: str, target: str, method: str = "GET") -> tuple[int, bytes]:
    """Asks for a page: its status and body. ``address``: ``host:port``, ``tcp://host:port`` or ``unix:///path``.

    :raises OSError: nobody answers, not in time, or not in HTTP
    """
    async with asyncio.timeout(TIMEOUT):
        reader, writer = await dial(address)
        try:
            return await _answer(reader, writer, method, target)
        except h11.RemoteProtocolError as error:
            raise ConnectionError(f"no HTTP answer from {address}: {error}") from None
        finally:
            writer.close()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, target: str
) -> tuple[int, bytes]:
    http = h11.Connection(h11.CLIENT)
    headers = [("host", "localhost"), ("connection", "close"), ("x-meshfast", "1")]
    writer.write(http.send(h11.Request(method=method, target=target, headers=headers)) or b"")
    http.send(h11.EndOfMessage())
    status, body = 0, bytearray()
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return status, bytes(body)
        else:
            raise h11.RemoteProtocolError("it ended early")
