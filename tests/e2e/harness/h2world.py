"""Callers and a provider that a test plays itself, with whatever is between them."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

from .grpc import SERVICE
from .h2peer import CANCEL, MARK, SECONDS, Event, Fields, Peer, connect
from .process import HOST, until

ANSWER: Fields = [(":status", "200"), ("content-type", "application/grpc")]
GOOD: Fields = [("grpc-status", "0")]


def request(mark: str, method: str = "ask", more: Fields | None = None) -> Fields:
    """The header list of a gRPC call."""
    return [
        (":method", "POST"), (":scheme", "http"), (":path", f"/{SERVICE}/{method}"), (":authority", "peers"),
        ("te", "trailers"), ("content-type", "application/grpc"), (MARK, mark), *(more or []),
    ]  # fmt: skip


class Stream:
    """One call at one end."""

    def __init__(self, peer: Peer, number: int) -> None:
        self.peer, self.number = peer, number

    def headers(self, fields: Fields, end: bool = False, **extra: Any) -> None:
        self.peer.headers(self.number, fields, end, **extra)

    def data(self, data: bytes, end: bool = False) -> None:
        self.peer.data(self.number, data, end)

    def finish(self) -> None:
        self.peer.finish(self.number)

    def answer(self, body: bytes = b"", more: Fields | None = None) -> None:
        """A whole answer of gRPC's form."""
        self.headers([*ANSWER, *(more or [])])
        if body:
            self.data(body)
        self.headers(GOOD, True)

    def reset(self, code: int = CANCEL) -> None:
        self.peer.reset(self.number, code)

    def of(self, kind: str = "") -> list[Event]:
        return self.peer.of(self.number, kind)

    def first(self, seconds: float = SECONDS) -> Event:
        """The first header block that came."""
        found: Event = self.peer.until("headers", lambda: next(iter(self.of("HEADERS")), None), seconds)
        return found

    def end(self, seconds: float = SECONDS) -> Event:
        """What ended the other's half: HEADERS or DATA with END_STREAM, RST_STREAM, or the end of the connection."""
        found: Event = self.peer.until(f"the end of {self.number}", self._last, seconds)
        return found

    @property
    def is_over(self) -> bool:
        return self._last() is not None

    def gone(self, seconds: float = SECONDS) -> Event:
        """How the other end gave the call up: RST_STREAM, or the end of the connection."""
        found: Event = self.peer.until(
            f"{self.number} given up",
            lambda: next(iter(self.of("RSTSTREAM") or (self.peer.events[-1:] if self.peer.ended else ())), None),
            seconds,
        )
        return found

    def body(self) -> bytes:
        """The content so far."""
        return b"".join(one.data for one in self.of("DATA"))

    def status(self, seconds: float = SECONDS) -> str:
        """How the call ended: ``0`` and the like, or ``reset 7``, or ``closed``."""
        end = self.end(seconds)
        if end.kind == "RSTSTREAM":
            return f"reset {end.code}"
        return (end.get("grpc-status") or f"http {end.get(':status')}") if end.kind == "HEADERS" else "closed"

    def _last(self) -> Event | None:
        ends = [one for one in self.of() if one.end or one.kind == "RSTSTREAM"]
        return ends[0] if ends else self.peer.events[-1] if self.peer.ended else None


class Caller:
    """A caller's connection."""

    def __init__(self, port: int, **options: Any) -> None:
        self.peer = connect(port, **options)

    def call(self, mark: str, end: bool = True, more: Fields | None = None, **extra: Any) -> Stream:
        """Open a stream with a call of gRPC's form."""
        return self.raw(request(mark, more=more), end, **extra)

    def raw(self, fields: Fields, end: bool = True, **extra: Any) -> Stream:
        """Open a stream with any fields."""
        number = self.peer.next
        self.peer.next += 2
        self.peer.headers(number, fields, end, **extra)
        return Stream(self.peer, number)


class Provider:
    """A server on a free ``port``; its connections greet unless told otherwise. ``receive``: as ``connect``."""

    def __init__(self, receive: int = 0, **options: Any) -> None:
        self._options = options
        self._server = socket.create_server((HOST, 0), backlog=128)
        if receive:
            self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.port = int(self._server.getsockname()[1])
        self.peers: list[Peer] = []
        self._thread = threading.Thread(target=self._accept, name="provider", daemon=True)
        self._thread.start()

    def peer(self, number: int = 0) -> Peer:
        """A connection, by the order in which they came."""
        until(f"connection {number}", lambda: len(self.peers) > number, SECONDS)
        return self.peers[number]

    def find(self, mark: str) -> list[Stream]:
        """The calls with this mark that came so far."""
        found = []
        for peer in list(self.peers):
            found += [Stream(peer, number) for number in peer.marks.get(mark, ())]
        return found

    def take(self, mark: str, count: int = 1) -> Stream:
        """The call with this mark, at its ``count``-th coming."""
        until(f"{mark} at the provider", lambda: len(self.find(mark)) >= count, SECONDS)
        return self.find(mark)[count - 1]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)
        for peer in self.peers:
            peer.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            self.peers.append(Peer(sock, False, **self._options))


class World:
    """One test's callers and providers; ends them with the test."""

    def __init__(self) -> None:
        self._ends = contextlib.ExitStack()
        self._threads: list[threading.Thread] = []

    def provider(self, **options: Any) -> Provider:
        provider = Provider(**options)
        self._ends.callback(provider.close)
        return provider

    def caller(self, port: int, **options: Any) -> Caller:
        caller = Caller(port, **options)
        self._ends.callback(caller.peer.close)
        return caller

    def beside(self, act: Callable[..., object], *args: object) -> None:
        """Do something in a thread, which the end of the test ends, too."""

        def run() -> None:
            with contextlib.suppress(OSError, TimeoutError):
                act(*args)

        thread = threading.Thread(target=run, name="beside", daemon=True)
        self._threads.append(thread)
        thread.start()

    def close(self) -> None:
        self._ends.close()
        for thread in self._threads:
            thread.join(30)
