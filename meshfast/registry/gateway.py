"""What is asked of a server by HTTP/1.1, on a few connections that are kept, and answers that come line by line."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from typing import NamedTuple

import h11

__all__ = [
    "ANSWER", "CONNECTIONS", "FORM", "JSON", "MOST_ANSWER", "MOST_LINE", "Channel", "Pool", "Request", "TooLong",
    "Unreachable", "host_of",
]  # fmt: skip

#: Connections on which is asked, at most; who finds none waits.
CONNECTIONS = 8
#: Seconds for a whole answer.
ANSWER = 10.0
#: Bytes of an answer, and of a line of one that goes on.
MOST_ANSWER = 16 * 1024 * 1024
MOST_LINE = 16 * 1024 * 1024
#: New connections that are tried for one request.
TRIES = 2
#: Bytes of one read.
PIECE = 256 * 1024
#: A peer that is gone without a word is noticed by the kernel: idle seconds, seconds between probes, probes.
KEEPALIVE = (10, 5, 3)


#: What a body is.
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


class Request(NamedTuple):
    """``target``: the path, with what is asked of it; ``authorization``: "" for none."""

    target: str
    body: bytes = b""
    method: str = "POST"
    kind: str = JSON
    authorization: str = ""


class Unreachable(ConnectionError):
    """There is no connection to be had."""


class TooLong(Exception):
    """An answer is longer than allowed; the connection is closed."""


def host_of(address: str) -> tuple[str, int]:
    """``10.0.0.1:2379`` and ``[::1]:2379``."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class Channel:
    """One connection, with one request at a time. Errors are OSError: it ended, or spoke no HTTP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str) -> None:
        self.kept = False  # it has answered, and can be asked again
        self._reader, self._writer, self._name = reader, writer, name
        self._http = h11.Connection(h11.CLIENT)

    @classmethod
    async def open(cls, address: str, seconds: float) -> Channel:
        """:raises Unreachable: it cannot be had in so many seconds"""
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_connection(*host_of(address), limit=PIECE)
        except TimeoutError:
            raise Unreachable(f"it does not take a connection in {seconds:g} s") from None
        except OSError as error:
            raise Unreachable(f"{type(error).__name__}: {error}") from None
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), KEEPALIVE, strict=True):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        return cls(reader, writer, address)

    async def ask(self, request: Request, seconds: float = ANSWER) -> tuple[int, bytes]:
        """The status and the body of the answer; the connection is closed unless all of it was read.

        :raises TooLong: it is longer than ``MOST_ANSWER``
        :raises OSError: the connection ended, or it is no HTTP; TimeoutError: it takes longer
        """
        self.kept = False
        try:
            async with asyncio.timeout(seconds):
                status = await self._begin(request)
                out = bytearray()
                async for piece in self._pieces():
                    out += piece
                    if len(out) > MOST_ANSWER:
                        raise TooLong(f"an answer of more than {MOST_ANSWER} bytes")
            if (self._http.our_state, self._http.their_state) == (h11.DONE, h11.DONE):
                self._http.start_next_cycle()
                self.kept = True
            return status, bytes(out)
        except TimeoutError:
            raise TimeoutError(f"it does not answer in {seconds:g} s") from None
        except h11.ProtocolError as error:
            raise ConnectionError(f"it speaks no HTTP/1.1: {error}") from None
        finally:
            if not self.kept:
                self.close()

    async def lines(self, request: Request) -> AsyncGenerator[bytes, None]:
        """The lines of an answer that goes on until it is closed, without their ends; of another than 200 the whole
        body, as one. Nothing is waited for by the clock.

        :raises OSError: as ``ask``; TooLong: a line of more than ``MOST_LINE`` bytes
        """
        try:
            await self._begin(request)
            rest = bytearray()
            async for piece in self._pieces():
                seen = len(rest)
                rest += piece
                if rest.find(b"\n", seen) >= 0:
                    *whole, last = rest.split(b"\n")
                    rest = last
                    for line in whole:
                        if line.strip():
                            yield bytes(line)
                if len(rest) > MOST_LINE:
                    raise TooLong(f"a line of more than {MOST_LINE} bytes")
            if rest.strip():
                yield bytes(rest)
        except h11.ProtocolError as error:
            raise ConnectionError(f"it speaks no HTTP/1.1: {error}") from None
        finally:
            self.close()

    def close(self) -> None:
        self._writer.close()

    async def _begin(self, asked: Request) -> int:
        headers = [("host", self._name)]
        if asked.method != "GET":
            headers += [("content-type", asked.kind), ("content-length", str(len(asked.body)))]
        if asked.authorization:
            headers.append(("authorization", asked.authorization))
        head = self._http.send(h11.Request(method=asked.method, target=asked.target, headers=headers)) or b""
        self._writer.write(head + (self._http.send(h11.Data(data=asked.body)) or b"" if asked.body else b""))
        self._http.send(h11.EndOfMessage())
        await self._writer.drain()
        while True:
            event = await self._event()
            if isinstance(event, h11.Response):
                return event.status_code
            if not isinstance(event, h11.InformationalResponse):
                raise ConnectionError("it closed the connection")

    async def _pieces(self) -> AsyncIterator[bytes]:
        while not isinstance(event := await self._event(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise ConnectionError("it closed the connection")
            yield bytes(event.data)

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(PIECE))
        return event


class Pool:
    """Connections to one server. ``alone`` asks on one that is not of the pool's number: what must not wait."""

    def __init__(self, address: str, connect: float) -> None:
        self.address = address
        self._connect = connect  # seconds
        self._free: list[Channel] = []
        self._all: set[Channel] = set()
        self._room = asyncio.Semaphore(CONNECTIONS)
        self._closed = False

    async def ask(self, request: Request, seconds: float = ANSWER, alone: bool = False) -> tuple[int, bytes]:
        """See ``Channel.ask``. Where a connection ends in it, it is asked again: on others that were kept, and once
        more on a new one. What is asked may be done twice so, and is to bear that.

        :raises Unreachable: the server is gone
        """
        anew = 0
        async with contextlib.nullcontext() if alone else self._room:
            while True:
                channel = self._free.pop() if self._free else None
                if channel is None:
                    channel = await Channel.open(self.address, self._connect)
                if self._closed:
                    channel.close()
                    raise Unreachable("it is not asked any more")
                before = channel.kept
                self._all.add(channel)
                try:
                    return await channel.ask(request, seconds)
                except TimeoutError:
                    raise
                except OSError:
                    anew += not before
                    if anew == TRIES:
                        raise
                finally:
                    if channel.kept and not self._closed:
                        self._free.append(channel)
                    else:
                        self._all.discard(channel)
                        channel.close()

    def close(self) -> None:
        self._closed = True
        for each in self._all:
            each.close()
        self._all.clear()
        self._free.clear()
