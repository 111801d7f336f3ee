"""What the tests of one connection of the SDK stand on: its owner, and a transport of the test's."""

from __future__ import annotations

import asyncio
from typing import Any

from meshfast.sdk.calls import Calls, Limits
from meshfast.sdk.wire import Call, Wire


class Transport(asyncio.Transport):
    """Keeps what is written; ``full`` asks for a pause with the next write."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.writes = 0
        self.wire: Wire | None = None
        self.full = self.gone = False
        self.unread = 0

    def get_write_buffer_size(self) -> int:
        return self.unread

    def write(self, data: Any) -> None:
        self.written += data
        self.writes += 1
        if self.full and self.wire is not None:
            self.wire.pause_writing()

    def is_closing(self) -> bool:
        return self.gone

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self.gone and self.wire is not None:
            self.gone = True
            self.wire.connection_lost(None)


class Desk(Calls):
    """The owner of one connection; what it was told."""

    def __init__(self, wire: type[Wire], limits: Limits | None = None, silent: float = 60.0) -> None:
        super().__init__(limits or Limits())
        self.told: list[str] = []
        self.transport = Transport()
        self.wire = self.transport.wire = wire(self, silent, 60.0)
        self.wire.connection_made(self.transport)
        self.route = self.wire

    def heard(self, wire: Wire) -> None:
        self.told.append("heard")

    def silent(self, wire: Wire) -> None:
        self.told.append("silent")

    def readonly(self, wire: Wire) -> None:
        self.told.append("readonly")

    def ended(self, wire: Wire, why: str) -> None:
        self.told.append(f"ended: {why}")
        self.route = None
        self.lost(wire, why)

    def begin(self, frame: Any, idempotent: bool = False, two_way: bool = True, number: int = 0) -> Call:
        """A call; that it fails in the end is nobody's surprise."""
        future = self.loop.create_future()
        future.add_done_callback(lambda one: one.cancelled() or one.exception())
        return self.start(number or next(self.numbers), frame, future, 60.0, idempotent, two_way)

    def late_now(self, call: Call) -> None:
        """Its time is up."""
        call.deadline = 0.0
        self._watch(call)
        self._expire()

    def leave(self) -> None:
        self.end()
        if self.wire._timer is not None:
            self.wire._timer.cancel()
