"""Who comes to a port that serves, told apart by the first byte."""

from __future__ import annotations

import asyncio
import socket

from meshfast.http2 import PREFACE
from meshfast.sdk.dubbo_served import Connection
from meshfast.sdk.limits import PAUSE
from meshfast.sdk.ports import Port

__all__ = ["Arrival"]

#: Seconds after which one that has said nothing is asked to leave as Dubbo2 does: by HTTP/2 a client speaks at once.
SPEAKS = 0.1


class Arrival(asyncio.Protocol):
    """One that has said nothing yet, by which it would be known what it speaks."""

    def __init__(self, server: Port) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if len(self._server.connections) >= self._server.limits.connections:
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
            self.dismiss()

    def data_received(self, data: bytes) -> None:
        self._speaks(PREFACE.startswith(data[:1])).data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._over()

    def dismiss(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SPEAKS, self._speaks, False)

    def refuse(self) -> None:
        """What it speaks will."""

    def hurry(self) -> None:
        """It holds nothing."""

    def close(self) -> None:
        if self._transport:
            self._transport.close()

    def abort(self) -> None:
        if self._transport:
            self._transport.abort()

    def _over(self) -> None:
        self._server.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def _speaks(self, http2: bool) -> asyncio.Protocol:
        """Is it from now on."""
        assert self._transport
        self._over()
        found: asyncio.Protocol
        if http2:
            from meshfast.sdk.triple_served import Streams  # who is called by Dubbo2 alone pays nothing for it

            found = Streams(self._server)
        else:
            found = Connection(self._server)
        self._transport.set_protocol(found)
        found.connection_made(self._transport)
        return found
