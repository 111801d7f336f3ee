"""A connection of Dubbo2 that somebody made to a port that serves: frames, and the calls in them.

Frames are read whole. What is read, what waits to be sent and what is being done have limits, see ``Limits``.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial

from meshfast import dubbo
from meshfast.dubbo import HEAD_LENGTH, HESSIAN2, Head, Status
from meshfast.errors import LimitError, ProtocolError
from meshfast.sdk.limits import SMALL
from meshfast.sdk.perform import Failure
from meshfast.sdk.ports import Port

__all__ = ["Connection"]

log = logging.getLogger("meshfast.sdk")

CROWDED = "long requests have the memory that there is for them (the limit `memory`): try again"
#: Bytes of an event at most.
EVENT = 1024


class Connection(asyncio.Protocol):
    """One caller."""

    def __init__(self, server: Port) -> None:
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
        self._server.connections.add(self)
        if self._server.leaving:
            self.dismiss()

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
        elif size > SMALL and self._server.short(self):
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
            name = dubbo.serialization_name(head.serialization)
            text = f"{name} is not read here: use serialization=hessian2"
            self._refuse(head, Status.BAD_REQUEST, "serialization", text)
        elif self._server.full(self.calls):
            text = f"{self._server.calls} calls in flight; the limit `calls` is {self._limits.calls}"
            self._refuse(head, Status.SERVER_THREADPOOL_EXHAUSTED, "calls", text)
        elif len(frame) > SMALL and self._server.short(self):
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

    def dismiss(self) -> None:
        self.write(dubbo.readonly())

    def refuse(self) -> None:
        """It was told READONLY, and there is no other word."""

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
