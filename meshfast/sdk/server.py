"""A port that serves Dubbo2: connections, frames, and the calls in them. What one caller does harms no other.

Frames are read whole. What is read, what waits to be sent and what is being done have limits, see ``Limits``.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections import Counter
from dataclasses import dataclass
from functools import partial

from meshfast import dubbo
from meshfast.accepting import Accepting
from meshfast.dubbo import HEAD_LENGTH, HESSIAN2, Head, Status
from meshfast.errors import LimitError, ProtocolError
from meshfast.sdk.perform import LONG, Failure, Performer

__all__ = ["Limits", "Server"]

log = logging.getLogger("meshfast.sdk")

CROWDED = "long requests have the memory that there is for them (the limit `memory`): try again"
#: Bytes of an event at most.
EVENT = 1024
#: Connections that wait at its own port.
WAITING = 100
#: Bytes that wait to be sent to a caller when nothing more is read from it; seconds for a cancelled handler to end.
PAUSE, STAYS = 256 << 10, 1.0


@dataclass(frozen=True, slots=True)
class Limits:
    """``refused`` of Server counts each by its name."""

    calls: int = 200  # in flight; over it status 100
    share: int = 4  # above half of that a caller has at most so many times what is left of it
    connections: int = 1000  # over it: the connection ends
    payload: int = 8 << 20  # bytes of a body; over it: status 40, and for an answer 50
    memory: int = 64 << 20  # bytes of all frames; over it: status 100 for long ones
    output: int = 16 << 20  # bytes that wait for a caller that reads slowly; over it: status 100
    stuck: float = 30.0  # seconds in which a caller takes nothing of it; over it: the connection ends
    threads: int = 32  # for handlers that are no coroutines
    items: int = 1_000_000  # values of an answer, where some are in more than one place; over it: status 50
    quiet: float = 0.2  # seconds without a call after which nobody is served any more, when leaving
    leave: float = 10.0  # and at most


class Server:
    """``performer`` has what is offered."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.performer = Performer(self.limits.threads, self.limits.items)
        self.refused: Counter[str] = Counter()
        self.calls = self.held = 0  # in flight; bytes of frames that are not whole, or of those calls
        self.served = 0
        self.leaving = False
        self.connections: set[Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.coming: set[asyncio.Task[object]] = set()  # callers that were taken and are no connections yet
        self._own: list[Accepting] = []
        self.last = 0.0  # when a call came, by the loop's clock

    async def start(self, host: str, port: int) -> int:
        """Listens; gives the port.

        :raises OSError: it is taken
        """
        loop = asyncio.get_running_loop()
        bound = await loop.create_server(lambda: Connection(self), host, port, start_serving=False)
        try:
            for one in bound.sockets:
                sock = socket.socket(fileno=os.dup(one.fileno()))
                self._own.append(self.adopt(sock))
                sock.listen(WAITING)
            number: int = bound.sockets[0].getsockname()[1]
        except BaseException:
            self._shut()
            raise
        finally:
            bound.close()
        return number

    def _shut(self) -> None:
        for one in self._own:
            one.close()
        self._own.clear()

    def adopt(self, sock: socket.socket) -> Accepting:
        """Takes, too, who comes at a socket that listens already, until what this gives is closed. It is closed with
        that."""
        return Accepting(sock, lambda: Connection(self), log, self.coming)

    async def leave(self) -> None:
        """Tells callers to go elsewhere, and serves on until no call is in flight and none has come for a while."""
        self.leaving = True
        for one in self.connections:
            one.write(dubbo.readonly())
        now = asyncio.get_running_loop().time
        began, self.last = now(), max(self.last, now() if self.connections else 0.0)
        while now() < began + self.limits.leave:
            if not self.calls and now() >= self.last + self.limits.quiet:
                return
            await asyncio.sleep(0.01)
        log.warning("%d call(s) are cut off: they took longer than %g s to end", self.calls, self.limits.leave)

    async def stop(self) -> None:
        """At once, but for answers that are on their way."""
        self._shut()
        await asyncio.gather(*self.coming, return_exceptions=True)
        for one in list(self.connections):
            one.close()
        for task in self.tasks:
            task.cancel()
        if self.tasks and (stays := (await asyncio.wait(self.tasks, timeout=STAYS))[1]):
            log.error("%d handler(s) go on, cancelled as they are: their calls are over", len(stays))
        deadline = asyncio.get_running_loop().time() + 1.0
        while self.connections and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        for one in list(self.connections):
            one.abort()
        self.performer.stop()

    def crowded(self, asks: Connection) -> bool:
        """Whether all memory is had. Who began a frame and has not gone on with it has none then."""
        for one in self.connections - {asks} if self.held > self.limits.memory else ():
            one.hurry()
        return self.held > self.limits.memory

    def full(self, mine: int) -> bool:
        """Whether a caller that has so many calls in flight may have no more."""
        left = self.limits.calls - self.calls
        return left <= 0 or (left < self.limits.calls // 2 and mine >= self.limits.share * left)


class Connection(asyncio.Protocol):
    """One caller."""

    def __init__(self, server: Server) -> None:
        self._server, self._limits = server, server.limits
        self.calls = 0
        self._transport: asyncio.Transport | None = None
        self._in = bytearray()
        self._skip = 0  # bytes of a frame that is refused
        self._full = self._ending = False
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = 0

    # --- the transport's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._server.connections) >= self._limits.connections:
            self._server.refused["connections"] += 1
            transport.abort()
            return
        self._server.connections.add(self)
        transport.set_write_buffer_limits(high=PAUSE)
        sock = transport.get_extra_info("socket")
        for option, value in (("SO_KEEPALIVE", 1), ("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
            level = socket.SOL_SOCKET if option.startswith("SO") else socket.IPPROTO_TCP
            sock.setsockopt(level, getattr(socket, option), value)
        if self._server.leaving:
            self.write(dubbo.readonly())

    def data_received(self, data: bytes) -> None:
        self._in += data
        self._server.held += len(data)
        self._pump()

    def eof_received(self) -> bool:
        """Who has said all may still read."""
        self._end()
        return bool(self.calls)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._taken(len(self._in))
        if self._timer:
            self._timer.cancel()

    def pause_writing(self) -> None:
        """It reads more slowly than it asks: it is not asked what else it wants."""
        assert self._transport
        self._full = True
        self._transport.pause_reading()
        self._look()

    def resume_writing(self) -> None:
        self._full = False
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._pump()
        if self._transport and not self._full and not self._ending and not self._transport.is_closing():
            self._transport.resume_reading()

    def _look(self) -> None:
        """Whether it has taken anything since the last look."""
        assert self._transport
        waits = self._transport.get_write_buffer_size()
        if self._timer is not None and waits >= self._waiting:
            self._server.refused["stuck"] += 1
            self._transport.abort()
            return
        self._waiting = waits
        self._timer = asyncio.get_running_loop().call_later(self._limits.stuck, self._look)

    # --- frames

    def _pump(self) -> None:
        at, self._heard = 0, asyncio.get_running_loop().time()
        try:
            while not (self._full or self._ending) and (taken := self._one(at)):
                at += taken
        except (ProtocolError, LimitError) as error:
            self._server.refused["malformed"] += 1
            log.warning("a caller's bytes are no Dubbo2, its connection ends: %s", error)
            at = len(self._in)
            self._end()
        self._taken(at)

    def _taken(self, count: int) -> None:
        del self._in[:count]
        self._server.held -= count

    def _one(self, at: int) -> int:
        """How many bytes were taken: a frame or a piece of one that is passed over, or none."""
        there = len(self._in) - at
        if self._skip:
            taken = min(self._skip, there)
            self._skip -= taken
            return taken
        if there < HEAD_LENGTH:
            return 0
        head = dubbo.parse_head(bytes(self._in[at : at + HEAD_LENGTH]))
        assert head
        size = HEAD_LENGTH + head.body_length
        if head.body_length > (EVENT if head.is_event else self._limits.payload):
            most = f"{head.body_length} bytes; the limit `payload` is {self._limits.payload}"
            self._refuse(head, Status.BAD_REQUEST, "payload", most)
        elif there >= size:
            self._frame(head, bytes(self._in[at : at + size]))
            return size
        elif size > LONG and self._server.crowded(self):
            self._refuse(head, Status.SERVER_THREADPOOL_EXHAUSTED, "memory", CROWDED)
        else:
            return 0
        self._skip = size
        return self._one(at)

    def _frame(self, head: Head, frame: bytes) -> None:
        if not head.is_request:
            return
        if head.is_event:
            if head.is_two_way:
                self.write(bytes((0xDA, 0xBB, frame[2] & 0x3F, Status.OK)) + frame[4:])
            return
        self._server.last = asyncio.get_running_loop().time()
        if head.serialization != HESSIAN2:
            text = f"{dubbo.serialization_name(head.serialization)} is not read here: use serialization=hessian2"
            self._refuse(head, Status.BAD_REQUEST, "serialization", text)
        elif self._server.full(self.calls):
            text = f"{self._server.calls} calls in flight; the limit `calls` is {self._limits.calls}"
            self._refuse(head, Status.SERVER_THREADPOOL_EXHAUSTED, "calls", text)
        elif len(frame) > LONG and self._server.crowded(self):
            self._refuse(head, Status.SERVER_THREADPOOL_EXHAUSTED, "memory", CROWDED)
        else:
            self.calls += 1
            self._server.calls += 1
            self._server.held += len(frame)
            task = asyncio.get_running_loop().create_task(self._serve(head, frame))
            self._server.tasks.add(task)
            task.add_done_callback(partial(self._served, len(frame)))

    def _refuse(self, head: Head, status: Status, why: str, text: str) -> None:
        self._server.refused[why] += 1
        if head.is_request and head.is_two_way and not head.is_event:
            self.write(dubbo.error_answer(head.request_id, status, text))

    # --- calls

    def _served(self, size: int, task: asyncio.Task[None]) -> None:
        self._server.tasks.discard(task)
        self._server.held -= size
        self._server.served += 1
        self._server.calls -= 1
        self.calls -= 1
        if self._ending and not self.calls and self._transport:
            self._transport.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a call ended without an answer", exc_info=error)

    async def _serve(self, head: Head, frame: bytes) -> None:
        try:
            said = await self._server.performer.perform(head.request_id, frame)
        except Failure as failure:
            said = self._failed(head, failure.status, failure.why, failure.text)
        except Exception:  # a mistake of ours must not leave a caller waiting
            log.exception("a call failed")
            said = self._failed(head, Status.SERVER_ERROR, "failed", "this call failed; see the log of the provider")
        if len(said) > HEAD_LENGTH + self._limits.payload:
            text = f"the answer has {len(said) - HEAD_LENGTH} bytes; the limit `payload` is {self._limits.payload}"
            said = self._failed(head, Status.BAD_RESPONSE, "payload", text)
        if head.is_two_way:
            self._tell(head, said)

    def _failed(self, head: Head, status: Status, why: str, text: str) -> bytes:
        self._server.refused[why] += 1
        return dubbo.error_answer(head.request_id, status, text)

    # --- what is said

    def _tell(self, head: Head, said: bytes) -> None:
        waits = self._transport.get_write_buffer_size() if self._transport else 0
        if waits and waits + len(said) > self._limits.output:
            text = f"{waits} bytes wait for this caller to read them; the limit `output` is {self._limits.output}"
            said = self._failed(head, Status.SERVER_THREADPOOL_EXHAUSTED, "output", text)
        self.write(said)

    def write(self, data: bytes) -> None:
        if self._transport and not self._transport.is_closing():
            self._transport.write(data)

    def _end(self) -> None:
        """Reads nothing more, and closes when what is due was said."""
        self._ending = True
        if self._transport and not self._transport.is_closing():
            self._transport.pause_reading()
            if not self.calls:
                self._transport.close()

    def hurry(self) -> None:
        if self._in and not self._full and asyncio.get_running_loop().time() > self._heard + self._limits.stuck:
            self._server.refused["stuck"] += 1
            self._taken(len(self._in))
            self.abort()

    def close(self) -> None:
        self._ending = True
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()
