"""Whether the application behind a listener takes calls: found out by asking it, as one of its callers would.

One connection is kept, whose end is news at once: an application that is killed is known to be gone in milliseconds.
"""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable

from meshfast import dubbo
from meshfast.address import dial
from meshfast.errors import MeshfastError

__all__ = ["ENDED", "Health", "LEAVING", "Prober", "REFUSED"]

#: Seconds that one look may take.
PATIENCE = 1.0
#: Bytes of a frame that is read; what answers a heartbeat has one.
LONGEST = 65536

#: Who is not asked anything is connected to anew every so many looks: each one may be a line in its log.
ANEW = 15

#: What is no failure of one look, but the end: nobody listens, or the application says that it goes.
REFUSED, LEAVING = "refused", "it says READONLY"
#: The connection ended while an answer was awaited.
ENDED = "the connection ended"


class Health:
    """``up``: None as long as it is not known. Two failures withdraw, two successes bring back, and at most one return
    in ten seconds; who refuses or leaves is gone at once."""

    FAILURES, SUCCESSES, BETWEEN = 2, 2, 10.0

    def __init__(self) -> None:
        self.up: bool | None = None
        self.error = ""
        self.returned = -self.BETWEEN
        self._failures = self._successes = 0

    def take(self, error: str, now: float) -> bool:
        """What a look found, "" for nothing amiss; whether ``up`` is another."""
        before, self.error = self.up, error
        if error:
            self._successes, self._failures = 0, self._failures + 1
            if error in (REFUSED, LEAVING) or self._failures >= self.FAILURES:
                self.up = False
            return self.up is not before
        self._failures, self._successes = 0, self._successes + 1
        if self.up is None:
            self.up = True
        elif not self.up and self._successes >= self.SUCCESSES and now - self.returned >= self.BETWEEN:
            self.up, self.returned = True, now
        return self.up is not before


class Prober:
    """Asks one application. ``ended`` is called when the connection that is kept ends between two looks."""

    def __init__(self, address: str, protocol: str, ended: Callable[[], None]) -> None:
        self._address, self._asks, self._ended = address, protocol == "dubbo", ended
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._answer: asyncio.Future[str] | None = None
        self._id = self._looks = 0
        self._leaving = False

    async def look(self) -> str:
        """Why it takes no calls; "" if it does."""
        try:
            async with asyncio.timeout(PATIENCE):
                self._looks += 1
                if self._writer is None or (not self._asks and self._looks >= ANEW):
                    await self._connect()
                return await self._heartbeat() if self._asks else ""
        except TimeoutError:
            self.close()
            return f"no answer in {PATIENCE:g} s"
        except OSError as error:
            self.close()
            gone = isinstance(error, ConnectionRefusedError | FileNotFoundError)
            return REFUSED if gone or error.errno == errno.ECONNREFUSED else error.strerror or type(error).__name__

    def close(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None

    async def _connect(self) -> None:
        reader, writer = await dial(self._address)
        self.close()  # of another protocol the one before goes when there is a new one
        self._writer, self._leaving, self._looks = writer, False, 0
        self._reading = asyncio.get_running_loop().create_task(self._read(reader, writer))

    async def _heartbeat(self) -> str:
        assert self._writer
        self._id += 1
        self._answer = asyncio.get_running_loop().create_future()
        self._writer.write(dubbo.heartbeat(self._id))
        try:
            return await self._answer
        finally:
            self._answer = None

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        why = ENDED
        try:
            while True:
                if self._asks:
                    self._take(await _frame(reader))
                elif not await reader.read(LONGEST):
                    break
        except MeshfastError as error:
            why = f"it does not speak Dubbo: {error}"
        except (OSError, asyncio.IncompleteReadError):
            pass
        writer.transport.abort()
        if self._writer is writer:
            self._writer = self._reading = None
            if self._answer is not None:
                self._tell(why)
            else:
                self._ended()

    def _take(self, frame: bytes) -> None:
        head = dubbo.parse_head(frame, LONGEST)
        assert head
        said = dubbo.event(frame)
        if head.is_request and said in ("readonly", "writeable"):
            self._leaving = said == "readonly"
            if self._leaving and self._answer is None:
                self._ended()
        elif not head.is_request and head.is_event and head.request_id == self._id:
            self._tell(LEAVING if self._leaving else "")

    def _tell(self, what: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(what)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(dubbo.HEAD_LENGTH)
    found = dubbo.parse_head(head, LONGEST)
    assert found
    return head + await reader.readexactly(found.body_length)
