"""The client of a sidecar's admin address: what ``explain --admin`` and the demonstration use."""

from __future__ import annotations

import asyncio

import h11

__all__ = ["ask"]

#: A whole answer must be there by then, seconds.
TIMEOUT = 10.0


async def ask(address: str, target: str, method: str = "GET") -> tuple[int, bytes]:
    """Asks for a page: its status and body. ``address``: ``host:port``, ``tcp://host:port``, ``http://host:port`` or
    ``unix:///path``.

    :raises ValueError: it is no such address
    :raises OSError: nobody answers, not in time, or not in HTTP
    """
    path, host, port = parsed(address)
    async with asyncio.timeout(TIMEOUT):
        if path:
            reader, writer = await asyncio.open_unix_connection(path)
        else:
            reader, writer = await asyncio.open_connection(host.strip("[]"), port)
        try:
            return await _answer(reader, writer, method, target, f"{host}:{port}" if host else "localhost")
        except h11.RemoteProtocolError as error:
            raise ConnectionError(f"no HTTP answer from {address}: {error}") from None
        finally:
            writer.close()


def parsed(address: str) -> tuple[str, str, int]:
    """A socket's path, or a host and a port."""
    wrong = ValueError(
        f"{address!r} is not where admin pages are: write tcp://host:port, http://host:port or unix:///path"
    )
    scheme, slashes, rest = address.rpartition("://")
    if scheme == "unix" and len(rest) > 1:
        return ("\0" + rest[1:] if rest[0] == "@" else rest), "", 0
    host, _, port = rest.removesuffix("/").rpartition(":")
    plain = host.isprintable() and not any(c in host for c in "/ @")
    if scheme not in (("tcp", "http") if slashes else ("",)) or not host or not plain:
        raise wrong
    if not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
        raise wrong
    return "", host, int(port)


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str, target: str, host: str
) -> tuple[int, bytes]:
    http = h11.Connection(h11.CLIENT)
    headers = [("host", host), ("connection", "close")]
    writer.write(http.send(h11.Request(method=method, target=target, headers=headers)) or b"")
    http.send(h11.EndOfMessage())
    status, body = 0, b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Response):
            status = event.status_code
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            return status, body
        else:
            raise h11.RemoteProtocolError("it ended early")
