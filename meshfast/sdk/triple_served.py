"""A connection of Triple and gRPC that somebody made to a port that serves: which calls are let in, and as what."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from meshfast.dubbo import Status
from meshfast.sdk.fields import read
from meshfast.sdk.invocation import ECHO, GENERIC, Key
from meshfast.sdk.perform import Failure
from meshfast.sdk.ports import Port
from meshfast.sdk.protocols import GRPC, TRIPLE
from meshfast.sdk.triple_performed import STATUS, Call
from meshfast.serving.grpc import Connection
from meshfast.serving.stream import Stream

__all__ = ["Streams"]

_PATH = re.compile(r"/([^/]+)/([^/]+)")
_TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])")
_SECONDS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_KINDS = (b"application/grpc", b"application/grpc+proto")
#: Dubbo's own version where none is said.
_VERSIONS = ("", "1.0.0")


class Streams(Connection):
    """One caller."""

    def __init__(self, port: Port) -> None:
        super().__init__(_Calls(port), port.shared)
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._port.connections.add(self)
        self.leaving = self._port.leaving
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._port.connections.discard(self)
        super().connection_lost(exc)

    def begins(self) -> None:
        super().begins()
        if self._port.refusing:
            self.last_word()

    def dismiss(self) -> None:
        self.leave_softly()

    def refuse(self) -> None:
        if self._begun:  # else when it has
            self.last_word()

    def hurry(self) -> None:
        """Each call of it looks for itself whether it goes on."""

    def close(self) -> None:
        for stream in list(self.streams.values()):
            if stream.owner is not None:
                stream.owner.stop()
        self.last_word()

    def abort(self) -> None:
        self.leave()


class _Calls:
    """The service that a connection has: everything that is offered at its port. ``calls``, ``streaming`` and
    ``reading``: its own."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self.calls = self.streaming = self.reading = 0

    def begun(self, stream: Stream) -> bool:
        try:
            stream.owner = self._call(stream)
        except Failure as failure:
            self._port.refused[failure.why] += 1
            stream.end(STATUS[failure.status], failure.text)
        return True

    def said(self, stream: Stream, message: bytes) -> None:
        if stream.owner is not None:
            stream.owner.said(message)

    def over(self, stream: Stream) -> None:
        if stream.owner is not None:
            stream.owner.ended()

    def gone(self, stream: Stream) -> None:
        if stream.owner is not None:
            stream.owner.gone()

    def lost(self, connection: Connection) -> None:
        """Its streams have gone before."""

    def _call(self, stream: Stream) -> Call:
        """
        :raises Failure: it is none that is let in
        """
        port, limits = self._port, self._port.limits
        port.last = asyncio.get_running_loop().time()
        said = dict(stream.fields)
        if said.get(b"content-type") not in _KINDS:
            kind = said.get(b"content-type", b"")[:60].decode(errors="replace")
            raise Failure(Status.SERVICE_NOT_FOUND, "serialization", f"{kind} is not read here: use application/grpc")
        path = _PATH.fullmatch(stream.path)
        if path is None:
            raise Failure(Status.SERVICE_NOT_FOUND, "unknown", f"{stream.path[:100]!r} is no /service/method")
        service, name = path.groups()
        key = self._key(service, said)
        offered = port.performer.offers.get(key)
        method = None
        if name not in GENERIC and name != ECHO or offered is None or TRIPLE not in offered.protocols:
            method = port.performer.find(key, name, TRIPLE, GRPC)
        seconds = _within(said)
        attachments: dict[str, Any] = read(stream.fields)
        app = said.get(b"tri-consumer-appname")
        if app is not None:
            attachments["remote.application"] = app.decode("latin-1")
        streams, reads = method is not None and method.streams, method is not None and method.reads
        if port.crowded(self.streaming) if streams else port.full(self.calls):
            what = "streams" if streams else "calls"
            now, most = (port.streaming, limits.streams) if streams else (port.calls, limits.calls)
            raise _full(what, now, most)
        if reads and port.waited(self.reading):
            raise _full("readers", port.reading, limits.readers)
        self._count(streams, reads, 1)
        call = Call(port, stream, key, name, method, attachments, lambda: self._ended(streams, reads))
        if seconds is not None:
            call.within(seconds)
        return call

    def _key(self, service: str, said: Mapping[bytes, bytes]) -> Key:
        """Java does not say a version that is 1.0.0."""
        group = said.get(b"tri-service-group", b"").decode("latin-1")
        version = said.get(b"tri-service-version", b"").decode("latin-1")
        found = [Key(service, group, "" if version == "0.0.0" else version)]
        if not version:
            found = [Key(service, group, one) for one in _VERSIONS]
        return next((one for one in found if one in self._port.performer.offers), found[0])

    def _count(self, streams: bool, reads: bool, more: int) -> None:
        if streams:
            self.streaming += more
            self._port.streaming += more
        else:
            self.calls += more
            self._port.calls += more
        if reads:
            self.reading += more
            self._port.reading += more

    def _ended(self, streams: bool, reads: bool) -> None:
        self._count(streams, reads, -1)
        self._port.served += 1


def _full(what: str, now: int, most: int) -> Failure:
    return Failure(Status.SERVER_THREADPOOL_EXHAUSTED, what, f"{now} {what} in flight; the limit `{what}` is {most}")


def _within(said: Mapping[bytes, bytes]) -> float | None:
    """Seconds that the caller waits.

    :raises Failure: it says so in a way that is none
    """
    found: list[float] = []
    if (told := said.get(b"grpc-timeout")) is not None:
        parts = _TIMEOUT.fullmatch(told)
        if parts is None:
            text = f"grpc-timeout {told[:40].decode(errors='replace')!r} is none"
            raise Failure(Status.BAD_REQUEST, "malformed", text)
        found.append(int(parts[1]) * _SECONDS[parts[2]])
    if (told := said.get(b"tri-service-timeout")) is not None and told.isdigit() and len(told) < 12:
        found.append(int(told) / 1000)
    return min(found, default=None)
