"""HTTP/1.1 for the admin pages and the application's own address: few connections, short requests, nobody waited for
without end.

A web page in a browser on this machine must reach nothing: requests with an Origin, or for a host that is not this
machine's, are refused, and what changes something needs a header that only a program can send.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

import h11

from meshfast.accepting import Accepting
from meshfast.address import Listen, Listening, here, listening
from meshfast.pieces import accepts_gzip, gathered, gzipped

__all__ = ["ASKED_BY", "Answer", "Limits", "Peer", "Request", "Server", "Used"]

log = logging.getLogger("meshfast")

#: The header that a request other than GET and HEAD must have; its value does not matter.
ASKED_BY = "X-Meshfast"

TEXT = "text/plain; charset=utf-8"
PIECE = 65536  # bytes that are written at once


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds and bytes. Who is over one is closed, and counted by its reason."""

    connections: int = 16
    request: int = 16384  # bytes of a whole request
    request_timeout: float = 10.0  # from its first byte, or from the connection, to its last
    idle_timeout: float = 90.0  # between two requests, but for who holds something; scrapes come each minute
    idle_grace: float = 1.0  # who was idle that long makes room where all connections are taken
    write_timeout: float = 10.0  # a piece of an answer that its reader does not take
    answer_timeout: float = 120.0  # a whole answer, but for one that goes on as long as its reader


@dataclass(slots=True)
class Used:
    """``refused`` counts by reason."""

    connections: int = 0
    requests: int = 0
    refused: Counter[str] = field(default_factory=Counter)


class Peer:
    """Whose connection it is, as long as that lasts. One that ``holds`` something may be idle without end."""

    __slots__ = ("holds",)

    def __init__(self) -> None:
        self.holds = False


class Request(NamedTuple):
    """What was asked."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: dict[str, str]
    body: bytes
    peer: Peer


@dataclass(slots=True)
class Answer:
    """What is answered. A body in pieces is sent while others are served, and compressed where that is accepted; one
    that comes by and by is the connection's last, and goes on until it ends or its reader goes."""

    body: bytes | Iterable[bytes] | AsyncIterator[bytes] = b""
    status: HTTPStatus = HTTPStatus.OK
    kind: str = TEXT
    reason: str = field(default="", kw_only=True)  # why it was refused, for the count


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, reason: str, text: str) -> None:
        self.answer = Answer(f"{text}\n".encode(), status, reason=reason)


@dataclass(eq=False, slots=True)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h11.Connection
    idle_since: float | None
    peer: Peer = field(default_factory=Peer)
    served: int = 0
    endless: bool = False  # it is sent pieces as they come


class Server:
    """Serves what ``answer`` says; it runs in the loop, so it must not take long, or awaits. ``what`` names it;
    ``asked_by``: whether what changes something needs that header; ``let_in``: why a connection is not, "" where it is;
    ``gone`` hears of each that was."""

    def __init__(
        self, answer: Callable[[Request], Answer | Awaitable[Answer]], used: Used, limits: Limits | None = None, *,
        what: str = "admin", asked_by: bool = True, let_in: Callable[[socket.socket], str] = lambda _: "",
        gone: Callable[[Peer], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self.limits = limits or Limits()
        self._answer, self._used, self._what, self._asked_by = answer, used, what, asked_by
        self._let_in, self._gone = let_in, gone
        self._listening: Listening | None = None
        self._accepting: Accepting | None = None
        self._open: dict[_Connection, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()  # of all who are connected
        self._leaving, self._ending = 0, False

    async def start(self, address: str, listen: Listen = listening) -> str:
        """Listens; returns the address with its real port. Raises as ``address.listening``."""
        self._listening = await listen(f"{self._what} address", address)
        self._accepting = Accepting(self._listening.sock, self._made, log)
        return self._listening.text

    async def stop(self, grace: float = 0.0) -> None:
        """Who is connected and has yet to be answered has ``grace`` seconds for that, but for answers without end."""
        self._ending = True
        if self._accepting and self._listening:
            await self._accepting.settled()
            self._listening.give_back()
        for one in [one for one in self._open if one.endless or (one.served and one.idle_since is not None)]:
            self._open[one].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # --- one connection

    def _made(self) -> asyncio.BaseProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=PIECE), self._came)

    def _came(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if why := self._let_in(writer.get_extra_info("socket")):
            self._used.refused["peer"] += 1
            await self._turn_away(reader, writer, HTTPStatus.FORBIDDEN, why)
            return
        if len(self._open) >= self.limits.connections and not self._make_room():
            self._used.refused["connections"] += 1
            await self._turn_away(reader, writer, HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
            return
        writer.transport.set_write_buffer_limits(high=0)  # drained means that the kernel has all of it
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=self.limits.request)
        one = _Connection(reader, writer, http, _now())
        task = asyncio.current_task()
        assert task
        self._open[one] = task
        self._used.connections = len(self._open)
        try:
            while await self._one(one) and not self._ending:
                http.start_next_cycle()
            if http.our_state is not h11.IDLE:
                await self._linger(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            pass
        except Exception:
            log.exception("%s: an answer broke off", self._what)
        finally:
            writer.transport.abort()
            self._open.pop(one, None)
            self._used.connections = len(self._open)
            self._gone(one.peer)

    async def _turn_away(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: HTTPStatus, why: str
    ) -> None:
        """Says why, to as many at once as are served; others see the connection end."""
        if self._leaving < self.limits.connections:
            self._leaving += 1
            try:
                head = f"HTTP/1.1 {status:d} {status.phrase}\r\ncontent-length: {len(why) + 1}\r\nconnection: close"
                writer.write(f"{head}\r\n\r\n{why}\n".encode())
                await self._linger(reader, writer)
            except (OSError, asyncio.CancelledError):
                pass
            finally:
                self._leaving -= 1
        writer.transport.abort()

    def _make_room(self) -> bool:
        """Ends the connection that was idle longest, if one was for a while."""
        idle = [(one.idle_since, one) for one in self._open if one.idle_since is not None and not one.peer.holds]
        since, one = min(idle, key=lambda pair: pair[0], default=(_now(), None))
        if one is None or _now() - since < self.limits.idle_grace:
            return False
        self._open.pop(one).cancel()
        self._used.refused["idle"] += 1
        return True

    async def _one(self, one: _Connection) -> bool:
        """One request and its answer; True when another may follow on this connection."""
        method, headers = "", dict[str, str]()
        try:
            found = await self._read(one)
            if found is None:
                return False
            asked, body = found
            method, headers = asked.method.decode(), asked_headers(asked)
            answer = await self._answered(one, asked, headers, body)
        except _Refused as refused:
            answer = refused.answer
        except h11.RemoteProtocolError as error:
            status = HTTPStatus(error.error_status_hint)
            answer = Answer(b"not a request this address serves\n", status, reason="malformed")
        if answer.reason:
            self._used.refused[answer.reason] += 1
        if one.http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return False
        await self._send(one, method, answer, headers)
        one.idle_since = _now()
        one.served += 1
        return {one.http.our_state, one.http.their_state} == {h11.DONE}

    async def _read(self, one: _Connection) -> tuple[h11.Request, bytes] | None:
        """The next request and all of its body; None at the connection's end."""
        request, size, body = None, 0, bytearray()
        begun = bool(one.http.trailing_data[0])
        wait = self.limits.idle_timeout if one.served and not begun else self.limits.request_timeout
        deadline = _now() + wait if begun or not one.peer.holds else None
        while True:
            event = one.http.next_event()
            if event is h11.NEED_DATA:
                if size > self.limits.request:
                    raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too long", "the request is too long")
                if one.http.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await self._write(one, one.http.send(go_on) or b"", _now() + self.limits.write_timeout)
                try:
                    async with asyncio.timeout_at(deadline):
                        data = await one.reader.read(4096)
                except TimeoutError:
                    if begun:
                        raise _Refused(HTTPStatus.REQUEST_TIMEOUT, "timeout", "the request took too long") from None
                    self._used.refused["idle"] += 1
                    return None
                if data and not begun:
                    begun, one.idle_since = True, None
                    deadline = _now() + self.limits.request_timeout
                size += len(data)
                one.http.receive_data(data)
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.EndOfMessage):
                assert request is not None
                return request, bytes(body)
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                return None

    async def _answered(self, one: _Connection, asked: h11.Request, headers: dict[str, str], body: bytes) -> Answer:
        method, target = asked.method.decode(), asked.target.decode()
        tcp = one.writer.get_extra_info("socket").family != socket.AF_UNIX
        self._used.requests += 1
        try:
            try:
                parts = urlsplit(target)
                query = parse_qsl(parts.query, keep_blank_values=True)
            except ValueError:
                raise _Refused(HTTPStatus.BAD_REQUEST, "malformed", "not a target this address serves") from None
            self._check(method, parts.netloc, headers, tcp)
            said = self._answer(Request(method, parts.path, query, headers, body, one.peer))
            answer = said if isinstance(said, Answer) else await said
        except _Refused as refused:
            answer = refused.answer
        except Exception:
            log.exception("%s: %s %.200s", self._what, method, target)
            answer = Answer(b"this page failed; see the log\n", HTTPStatus.INTERNAL_SERVER_ERROR, reason="failed")
        log.debug("%s: %s %.200s: %d", self._what, method, target, answer.status)
        return answer

    def _check(self, method: str, authority: str, headers: dict[str, str], tcp: bool) -> None:
        if "origin" in headers or headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise _Refused(HTTPStatus.FORBIDDEN, "origin", "web pages are not served")
        if tcp:
            for host in [headers.get("host", ""), *([authority] if authority else [])]:
                if not here(host):
                    raise _Refused(HTTPStatus.FORBIDDEN, "host", f"no host {host[:100]!r} here: use localhost")
        if self._asked_by and method not in ("GET", "HEAD") and ASKED_BY.lower() not in headers:
            raise _Refused(HTTPStatus.FORBIDDEN, "header", f"{method} needs the header {ASKED_BY}: 1")

    # --- answers

    async def _send(self, one: _Connection, method: str, answer: Answer, headers: dict[str, str]) -> None:
        deadline = _now() + self.limits.answer_timeout
        out = [("content-type", answer.kind), ("cache-control", "no-store"), ("x-content-type-options", "nosniff")]
        if isinstance(answer.body, AsyncIterator):
            await self._stream(one, answer.status, out, answer.body)
            return
        whole = isinstance(answer.body, bytes)
        pieces: Iterable[bytes] = [answer.body] if isinstance(answer.body, bytes) else gathered(answer.body)
        if isinstance(answer.body, bytes):
            out.append(("content-length", str(len(answer.body))))
        else:
            out.append(("vary", "accept-encoding"))
            if accepts_gzip(headers.get("accept-encoding", "")):
                out.append(("content-encoding", "gzip"))
                pieces = gzipped(pieces)
        if one.http.their_state is not h11.DONE:
            out.append(("connection", "close"))
        head = one.http.send(h11.Response(status_code=answer.status, headers=out, reason=answer.status.phrase)) or b""
        waiting, size = [head], len(head)
        for piece in pieces if method != "HEAD" else ():
            data = one.http.send(h11.Data(data=piece)) or b"" if piece else b""
            waiting.append(data)
            size += len(data)
            if size >= PIECE:
                await self._write(one, b"".join(waiting), deadline)
                waiting, size = [], 0
            if not whole:
                await asyncio.sleep(0)
        waiting.append(one.http.send(h11.EndOfMessage()) or b"")
        await self._write(one, b"".join(waiting), deadline)

    async def _stream(
        self, one: _Connection, status: HTTPStatus, out: list[tuple[str, str]], pieces: AsyncIterator[bytes]
    ) -> None:
        """Sends pieces as they come. Whatever its reader says meanwhile, or that it has gone, ends it."""
        one.endless = True
        said = asyncio.ensure_future(one.reader.read(1))
        coming: asyncio.Future[bytes] | None = None
        try:
            head = h11.Response(status_code=status, headers=[*out, ("connection", "close")], reason=status.phrase)
            data = one.http.send(head) or b""
            while True:
                await self._write(one, data, _now() + self.limits.write_timeout)
                coming = asyncio.ensure_future(_next(pieces))
                await asyncio.wait((said, coming), return_when=asyncio.FIRST_COMPLETED)
                if said.done():
                    break
                if not (piece := coming.result()):
                    await self._write(one, one.http.send(h11.EndOfMessage()) or b"", _now() + self.limits.write_timeout)
                    break
                data = one.http.send(h11.Data(data=piece)) or b""
        finally:
            waits = [each for each in (said, coming) if each is not None]
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
            if isinstance(pieces, AsyncGenerator):
                await pieces.aclose()

    async def _write(self, one: _Connection, data: bytes, deadline: float) -> None:
        one.writer.write(data)
        try:
            async with asyncio.timeout_at(min(_now() + self.limits.write_timeout, deadline)):
                await one.writer.drain()
        except TimeoutError:
            self._used.refused["slow reader"] += 1
            raise

    async def _linger(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What is still coming is read, for a moment: closing on unread bytes would take the answer back."""
        with contextlib.suppress(OSError):
            writer.write_eof()
        async with asyncio.timeout(self.limits.idle_grace):
            for _ in range(64):
                if not await reader.read(PIECE):
                    break


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    """b"": there are no more."""
    return await anext(pieces, b"")


def asked_headers(asked: h11.Request) -> dict[str, str]:
    """Names in small letters; of one that came twice, both with a comma between."""
    out: dict[str, str] = {}
    for name, value in asked.headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        out[key] = f"{out[key]}, {text}" if key in out else text
    return out
