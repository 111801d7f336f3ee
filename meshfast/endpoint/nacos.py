"""Nacos 2 for this sidecar's application: gRPC on a loopback address, JSON in Payloads. Of a service that it looks for
it finds the sidecar; of what it registers, nothing, though it is told that all went well.

A session is a connection that has said ConnectionSetup. What it registered stands a while longer than it, so that an
application that comes back is not seen to have been away.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from meshfast.address import Listen, listening
from meshfast.endpoint import nacosrequests, payload
from meshfast.endpoint.dubbo import Shown
from meshfast.endpoint.instances import Written
from meshfast.endpoint.later import State
from meshfast.endpoint.limits import Limits, Used
from meshfast.endpoint.login import Login
from meshfast.endpoint.nacosanswers import FAILED, NO_HANDLER, UNREGISTERED, WRONG, Answers, Refused, Session
from meshfast.endpoint.nacoskept import Book
from meshfast.endpoint.naming import Looker, Naming
from meshfast.endpoint.pushed import text
from meshfast.endpoint.returning import RETURN
from meshfast.serving import grpc, wire
from meshfast.serving.grpc import Connection, Stream

__all__ = ["Nacos"]

log = logging.getLogger("meshfast")

REQUEST, STREAM = "/Request/request", "/BiRequestStream/requestBiStream"
#: From the port that is said to that of gRPC.
OFFSET = 1000
#: Sessions are numbered from here, beyond those of a ZooKeeper.
FIRST_SESSION = 1 << 60
#: Seconds between two looks at who is silent.
SWEEP = 5.0


class Nacos:
    """``shown``, ``out``, ``parameters`` as of ``dubbo.Endpoint``. ``written``: where metadata of applications is kept,
    if another endpoint has one. Whoever has another listing of a service calls ``changed``."""

    def __init__(
        self, address: str, shown: Shown, out: str, *, parameters: Mapping[str, str] | None = None,
        limits: Limits | None = None, wires: wire.Limits | None = None, state: State | None = None,
        clock: Callable[[], float] = time.monotonic, properties: Mapping[str, str] | None = None,
        written: Written | None = None,
    ) -> None:  # fmt: skip
        self._address, self._state, self._clock = address, state, clock
        self.used = Used(limits or Limits())
        self.server = grpc.Server(self, wires)
        self.naming = Naming(shown, out, parameters or {}, self.used, clock)
        self.hears: Callable[[], None] = lambda: None
        self.leaves: Callable[[int], None] = lambda session: None
        self.book = Book(self.used, written or Written(), lambda: self.hears())
        self.wanted, self.written, self.refused = self.book.wanted, self.book.written, self.book.refused
        self.operations: Counter[str] = Counter()
        self.answers = Answers(self.used, self.book, self.naming, text(properties) if properties else None)
        self._login = Login()
        self._sessions = self.answers.sessions
        self._numbers = itertools.count(FIRST_SESSION + 1)
        self._away: dict[int, asyncio.TimerHandle] = {}  # sessions whose connection has ended, by number
        self._idle: set[wire.Wire] = set()  # connections without a session, at the last look
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, listen: Listen = listening) -> str:
        """Listens; gives the address that clients are told. Raises as ``address.listening``."""
        if self._state is not None:
            self.naming.restored = self.book.keep(self._state, FIRST_SESSION, self.naming.shows)
            self._linger(FIRST_SESSION)
        bound = await self._bind(listen)
        while not bound:  # any port will do, and so does the next
            bound = await self._bind(listen)
        self._timer = asyncio.get_running_loop().call_later(SWEEP, self._sweep)
        return bound

    async def _bind(self, listen: Listen) -> str:
        """Where it is; "" where that was left open, and its other port is taken."""
        login = Login(self._login.used)
        bound = await login.start(self._address, listen)
        host, _, port = bound.rpartition(":")
        try:
            await self.server.start("endpoint", f"{host}:{int(port) + OFFSET}", listen)
        except OSError:
            await login.stop()
            if self._address.endswith(":0"):
                return ""
            raise
        self._login = login
        return bound

    async def stop(self) -> None:
        """Lets go of all services. Clients come back to who listens next."""
        self.hears, self.leaves = lambda: None, lambda session: None
        if self._timer:
            self._timer.cancel()
        await self.book.close()
        await self.server.stop()
        await self._login.stop()
        for timer in self._away.values():
            timer.cancel()

    @property
    def sessions(self) -> int:
        return len(self._sessions)

    @property
    def awaited(self) -> int:
        """Registrations of sessions whose connection has ended."""
        return sum(map(self.book.count, self._away))

    @property
    def turned_away(self) -> Counter[str]:
        """What was refused, by reason."""
        return self.used.refused + self.server.shared.refused + self._login.used.refused + self.refused

    @property
    def consumed(self) -> frozenset[str]:
        """The services that somebody follows."""
        return frozenset(self.naming.services)

    def changed(self, service: str) -> None:
        """Tells who follows a service what is listed of it now."""
        if self.naming.changed(service) is not None:
            self.answers.tell(service)
            self.book.keeps()

    def end(self, session: int) -> None:
        """Its application is known to be gone."""
        if (timer := self._away.pop(session, None)) is not None:
            timer.cancel()
            self.book.end(session)

    # --- calls

    def begun(self, stream: Stream) -> bool:
        return stream.path in (REQUEST, STREAM)

    def said(self, stream: Stream, message: bytes) -> None:
        try:
            asked = payload.read(message)
        except payload.Malformed as error:
            self.used.refused["malformed"] += 1
            stream.end(grpc.INVALID, f"no Payload: {error}")
            return
        session = self._sessions.get(stream.connection)
        if session is not None:
            session.heard, session.asked = self._clock(), False
        if stream.path == REQUEST:
            self._answer(stream, session, asked)
        elif asked.type == "ConnectionSetupRequest":
            self._set_up(stream, session, asked)

    def over(self, stream: Stream) -> None:
        if stream.path == STREAM:
            stream.end()

    def gone(self, stream: Stream) -> None:
        session = self._sessions.get(stream.connection)
        if session is not None and session.stream is stream:
            self._leave(stream.connection)

    def lost(self, connection: Connection) -> None:
        self._leave(connection)

    # --- sessions

    def _set_up(self, stream: Stream, before: Session | None, asked: payload.Payload) -> None:
        self.operations["ConnectionSetupRequest"] += 1
        if before is not None:
            self.used.refused["malformed"] += 1
            stream.end(grpc.INVALID, "this connection has been set up")
        elif len(self._sessions) >= self.used.limits.sessions:
            self.used.refused["sessions"] += 1
            stream.end(grpc.RESOURCES, f"there are {self.used.limits.sessions} sessions")
        else:
            session = Session(next(self._numbers), stream, self._clock(), Looker(_is_java(asked.body)))
            self._sessions[stream.connection] = session

    def _leave(self, connection: Connection) -> None:
        session = self._sessions.pop(connection, None)
        if session is None:
            return
        self.answers.leave(session)
        if self.book.count(session.id):
            self._linger(session.id)
            self.leaves(session.id)

    def _linger(self, session: int) -> None:
        """Its application has a while to come back in another one."""
        self._away[session] = asyncio.get_running_loop().call_later(RETURN, self.end, session)

    def _sweep(self) -> None:
        now, limits = self._clock(), self.used.limits
        for connection, session in list(self._sessions.items()):
            if now - session.heard >= limits.timeout:
                self.used.refused["silent"] += 1
                connection.leave()
            elif now - session.heard >= limits.timeout / 2 and not session.asked:
                session.asked = True
                self.answers.push(session, "ClientDetectionRequest", {})
        without = {one for one in self.server.shared.connections if one not in self._sessions}
        for one in without & self._idle:
            self.used.refused["greeting"] += 1
            one.leave()
        self._idle = without
        self._timer = asyncio.get_running_loop().call_later(max(SWEEP, limits.greeting / 2), self._sweep)

    # --- what is asked

    def _answer(self, stream: Stream, session: Session | None, asked: payload.Payload) -> None:
        kind = nacosrequests.KINDS.get(asked.type)
        request: Any = None
        try:
            if kind is None or asked.type == "ConnectionSetupRequest":
                self.answers.unknown["other"] += 1
                raise Refused(NO_HANDLER, f"{asked.type[:100]} is not answered here")
            request = msgspec.json.decode(asked.body or b"{}", type=kind)
            self.operations[asked.type] += 1
            if asked.type == "ServerCheckRequest":
                self._reply(stream, asked.type, request, {"connectionId": _named(stream.connection)})
                return
            if session is None:
                raise Refused(UNREGISTERED, "Connection is unregistered.")
            waits = self.answers.first(session, request)
            if waits is not None:
                waits.add_done_callback(lambda _: self._handle(stream, session, asked.type, request))
            else:
                self._handle(stream, session, asked.type, request)
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
            self.used.refused["malformed"] += 1
            self._fail(stream, request, Refused(WRONG, f"{asked.type}: {error}"))
        except Refused as refused:
            self._fail(stream, request, refused)

    def _handle(self, stream: Stream, session: Session, type: str, request: Any) -> None:
        if stream.gone:
            return
        try:
            self._reply(stream, type, request, self.answers.answer(session, type, request))
        except Refused as refused:
            self._fail(stream, request, refused)

    def _reply(self, stream: Stream, type: str, request: Any, found: Mapping[str, Any]) -> None:
        answer = nacosrequests.ANSWERS.get(type) or type.replace("Request", "Response")
        told = {"resultCode": 200, "errorCode": 0, "requestId": request.request_id, **found}
        stream.send(payload.write(payload.Payload(answer, msgspec.json.encode(told))))
        stream.end()

    def _fail(self, stream: Stream, request: Any, refused: Refused) -> None:
        told = {
            "resultCode": FAILED, "errorCode": refused.code, "message": str(refused),
            "requestId": request.request_id if request is not None else None,
        }  # fmt: skip
        stream.send(payload.write(payload.Payload("ErrorResponse", msgspec.json.encode(told))))
        stream.end()


def _is_java(setup: bytes) -> bool:
    """Whether a client is Nacos's own for Java, as it says."""
    try:
        found = msgspec.json.decode(setup, type=nacosrequests.SetUp)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return False
    return (found.client_version or "").startswith("Nacos-Java-Client")


def _named(connection: Connection) -> str:
    return f"{connection.peer}_{id(connection):x}"
