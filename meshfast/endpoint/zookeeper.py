"""ZooKeeper's protocol on a loopback address, over a tree in memory."""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from meshfast.accepting import Accepting
from meshfast.address import Listen, Listening, listening
from meshfast.endpoint import jute
from meshfast.endpoint.answers import KNOWN, NAMES, answer
from meshfast.endpoint.codes import Err, Refused
from meshfast.endpoint.jute import JuteError, Op, ReplyHeader
from meshfast.endpoint.limits import Limits, Used
from meshfast.endpoint.sessions import Session, Sessions
from meshfast.endpoint.tree import Tree
from meshfast.endpoint.view import View

__all__ = ["Connection", "Server"]

log = logging.getLogger("meshfast")

#: Requests of one connection that are answered before others have a turn.
TURN = 128
#: Seconds between two looks at empty containers.
SWEEP = 60.0
_LENGTH = struct.Struct(">i")


class Server:
    """A tree and its sessions on one address. ``clock`` and ``now``: of sessions, and of nodes."""

    def __init__(
        self, limits: Limits | None = None, view: View | None = None, *,
        clock: Callable[[], float] = time.monotonic, now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.used = Used(limits or Limits())
        self.tree = Tree(self.used, view, now)
        self.sessions = Sessions(self.tree, clock)
        self.connections: set[Connection] = set()
        self.operations: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self._listening: Listening | None = None
        self._accepting: Accepting | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}

    async def start(self, address: str, listen: Listen = listening) -> str:
        """Listens; gives the address with its real port.

        :raises ValueError: another machine could reach it
        :raises OSError: it is taken
        """
        if address.startswith("unix:"):
            raise ValueError(f"endpoint {address}: a ZooKeeper client has no UNIX sockets; write tcp://127.0.0.1:port")
        self._listening = await listen("endpoint", address)
        self._accepting = Accepting(self._listening.sock, lambda: Connection(self), log)
        self._sweep()
        self.expect(0.0)
        return self._listening.text

    async def stop(self) -> None:
        """Sessions are not ended: their clients come back to who listens next, or are told."""
        for timer in self._timers.values():
            timer.cancel()
        if self._accepting and self._listening:
            await self._accepting.settled()
            self._listening.give_back()
        for connection in list(self.connections):
            connection.leave()

    def expect(self, seconds: float) -> None:
        """Looks for sessions that are over, that much later at most."""
        timer, loop = self._timers.get("expire"), asyncio.get_running_loop()
        if timer is None or timer.cancelled() or timer.when() > loop.time() + seconds:
            if timer:
                timer.cancel()
            self._timers["expire"] = loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        del self._timers["expire"]
        left = self.sessions.expire()
        if left is not None:
            self.expect(max(left, 0.05))

    def _sweep(self) -> None:
        self.tree.sweep()
        self._timers["sweep"] = asyncio.get_running_loop().call_later(SWEEP, self._sweep)


class Connection(asyncio.Protocol):
    """One client. Its requests are answered in order; none is read while its answers wait for it to read them."""

    def __init__(self, server: Server) -> None:
        self._server, self._limits = server, server.used.limits
        self.session_id = 0
        self.who: list[tuple[str, str]] = []
        self._session: Session | None = None
        self._transport: asyncio.Transport | None = None
        self._in = bytearray()
        self._out: list[bytes] | None = None  # what is said while requests are looked at is sent at once
        self._said = 0
        self._full = self._waiting = self._ready = self._again = self._gone = False
        self._timer: asyncio.TimerHandle | None = None  # of its greeting, then of its farewell

    # --- the transport's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._server.connections) >= self._limits.connections:
            self._refuse("connections")
            return
        self._server.connections.add(self)
        peer = transport.get_extra_info("peername")
        self.who.append(("ip", str(peer[0]) if peer else ""))
        transport.set_write_buffer_limits(high=self._limits.pause)
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._limits.greeting, self._refuse, "greeting")

    def connection_lost(self, exc: Exception | None) -> None:
        self._detach()
        self._server.connections.discard(self)
        if self._timer:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._full = True
        self._hold()

    def resume_writing(self) -> None:
        self._full = False
        self._go_on()

    def data_received(self, data: bytes) -> None:
        self._in += data
        self._pump()

    # --- what is asked

    def _pump(self) -> None:
        """Answers what has come, as far as it may."""
        if self._out is not None or self._gone:
            return
        self._out = []
        at = done = 0
        try:
            while not (self._full or self._waiting or self._gone or self._again):
                if done == TURN:
                    self._again = True
                    asyncio.get_running_loop().call_soon(self._later)
                    break
                taken = self._one(at)
                if not taken:
                    break
                at, done = at + taken, done + 1
        finally:
            del self._in[:at]
            said, self._out = self._gathered(), None
            self._write(said)
        if self._full or self._waiting or self._again:
            self._hold()

    def _later(self) -> None:
        self._again = False
        self._go_on()

    def _one(self, at: int) -> int:
        """How many bytes were taken: a packet, or none."""
        if len(self._in) < at + 4:
            return 0
        length: int = _LENGTH.unpack_from(self._in, at)[0]
        if not 0 <= length <= self._limits.packet:
            word = bytes(self._in[at : at + 4])
            if self._session is None and word in (b"ruok", b"srvr"):
                self._send(b"imok" if word == b"ruok" else self._served())
                self._end()
            else:
                self._refuse("packet")
            return 0
        if len(self._in) < at + 4 + length:
            return 0
        packet = bytes(self._in[at + 4 : at + 4 + length])
        try:
            if self._session is None:
                self._greet(packet)
            elif not self._request(packet, self._session):
                return 0
        except JuteError:
            self._refuse("malformed")
        return 4 + length

    def _greet(self, packet: bytes) -> None:
        hello, at = jute.read(jute.Connect, packet)
        old = at == len(packet)  # such a client expects no flag in the answer either
        sessions = self._server.sessions
        session = None
        if hello.session == 0:
            session = sessions.begin(hello.timeout)
            if session is None:
                self.leave()
                return
        elif hello.zxid <= self._server.tree.zxid:
            session = sessions.resume(hello.session, hello.password, hello.timeout)
        if session is None:
            reply = jute.ConnectReply(0, 0, 0, bytes(16))
        else:
            reply = jute.ConnectReply(0, int(session.timeout * 1000), session.id, session.password)
            session.connection, self._session, self.session_id = self, session, session.id
            self._server.expect(session.timeout)
        if self._timer:
            self._timer.cancel()
        self._send(jute.sized(jute.write(reply) + (b"" if old else b"\0")))
        if session is None:
            self._end()

    def _request(self, packet: bytes, session: Session) -> bool:
        """Whether it is done; it is looked at again when what it waits for has come."""
        header, at = jute.read(jute.Header, packet)
        kind = jute.REQUESTS.get(header.op)
        self._server.sessions.touch(session)
        if kind is None:
            self._server.unknown[KNOWN.get(header.op, "other")] += 1
            self._reply(header.xid, Err.UNIMPLEMENTED)
            if header.op not in KNOWN:
                self._end()
            return True
        try:
            request, _ = jute.read(kind, packet, at)
        except JuteError:
            self._server.used.refused["malformed"] += 1
            self._reply(header.xid, Err.MARSHALLING)
            return True
        view, path = self._server.tree.view, getattr(request, "path", None)
        if view is not None and path is not None and not self._ready:
            wait = view.asked(session.id, header.op, path)
            if wait is not None and not wait.done():
                self._waiting = True
                wait.add_done_callback(self._came)
                return False
        self._ready = False
        self._server.operations[NAMES[header.op]] += 1
        self._answer(header, request, session)
        return True

    def _came(self, _: object) -> None:
        self._waiting, self._ready = False, True
        self._go_on()

    def _answer(self, header: jute.Header, request: Any, session: Session) -> None:
        if header.op == Op.PING:
            self._reply(-2, 0)
        elif header.op == Op.CLOSE:
            session.connection = None  # which has to say so still
            self._server.sessions.end(session)
            self._reply(header.xid, 0)
            self._end()
        else:
            try:
                body = answer(self._server.tree, self, header.op, request)
            except Refused as refused:
                self._reply(header.xid, refused.code)
                if header.op == Op.AUTH:
                    self._end()
            else:
                self._reply(header.xid, 0, body)

    # --- what is told

    def event(self, zxid: int, event: jute.Event) -> None:
        self._send(jute.packed(ReplyHeader(-1, zxid, 0), event))

    def _reply(self, xid: int, code: int, body: Any = None) -> None:
        header = ReplyHeader(xid, self._server.tree.zxid, code)
        self._send(jute.packed(header) if body is None else jute.packed(header, body))

    def _send(self, data: bytes) -> None:
        if self._gone:
            return
        if self._out is not None:
            self._out.append(data)
            self._said += len(data)
            if self._said < self._limits.pause:
                return
            data = self._gathered()
        self._write(data)

    def _gathered(self) -> bytes:
        said = b"".join(self._out or ())
        if self._out:
            self._out.clear()
        self._said = 0
        return said

    def _write(self, data: bytes) -> None:
        if not data or self._transport is None or self._transport.is_closing():
            return
        if self._transport.get_write_buffer_size() + len(data) > self._limits.output:
            self._refuse("output")
            return
        self._transport.write(data)

    def _served(self) -> bytes:
        tree, server = self._server.tree, self._server
        return (
            f"Zookeeper version: 3.9.0-meshfast\nConnections: {len(server.connections)}\n"
            f"Zxid: {tree.zxid:#x}\nMode: standalone\nNode count: {len(tree)}\n"
        ).encode()

    # --- its end

    def leave(self) -> None:
        """At once."""
        self._detach()
        if self._transport:
            self._transport.abort()

    def _end(self) -> None:
        """When what was said has been sent."""
        self._write(self._gathered())
        self._detach()
        if self._transport and not self._transport.is_closing():
            self._transport.close()
            self._timer = asyncio.get_running_loop().call_later(self._limits.farewell, self._late)

    def _late(self) -> None:
        self._server.used.refused["farewell"] += 1
        self.leave()

    def _refuse(self, why: str) -> None:
        self._server.used.refused[why] += 1
        self.leave()

    def _detach(self) -> None:
        if self._gone:
            return
        self._gone = True
        self._server.tree.data.drop(self)
        self._server.tree.child.drop(self)
        if self._timer:
            self._timer.cancel()
        if self._session is not None and self._session.connection is self:
            self._session.connection = None
            if self._server.tree.view:
                self._server.tree.view.left(self._session.id)

    # --- reading

    def _hold(self) -> None:
        if self._transport and not self._transport.is_closing() and self._transport.is_reading():
            self._transport.pause_reading()

    def _go_on(self) -> None:
        if self._gone or self._full or self._waiting or self._again:
            return
        self._pump()
        if not (self._gone or self._full or self._waiting or self._again) and self._transport:
            self._transport.resume_reading()
