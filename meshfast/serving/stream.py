"""One call of gRPC as its server has it: what came, what waits to be sent, and how it ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

__all__ = ["CANCELLED", "DEADLINE", "INTERNAL", "INVALID", "OK", "RESOURCES", "UNAVAILABLE", "UNIMPLEMENTED", "UNKNOWN"]
__all__ += ["Fields", "Stream", "percent"]

#: Numbers of ``grpc-status``.
OK, CANCELLED, UNKNOWN, INVALID, DEADLINE = 0, 1, 2, 3, 4
RESOURCES, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 8, 12, 13, 14

Fields = list[tuple[bytes, bytes]]


@dataclass(eq=False, slots=True)
class Stream:
    """``window``: bytes that may be sent now; ``room``: that may come; ``fields``: of the request; ``kind``: its
    content-type; ``head``: fields of the answer's head besides; ``drained``: called once nothing waits to be sent;
    ``owner``: what its service has of it."""

    connection: Any  # the Connection that it is of
    id: int
    path: str
    window: int
    room: int
    fields: Fields = field(default_factory=list, repr=False)
    kind: bytes = b"application/grpc"
    head: Fields = field(default_factory=list, repr=False)
    came: bytearray = field(default_factory=bytearray, repr=False)
    kept: int = 0  # bytes of messages that its service has not done with
    out: deque[bytes] = field(default_factory=deque, repr=False)
    waiting: int = 0  # bytes of these
    drained: Callable[[], None] | None = field(default=None, repr=False)
    silent: bool = False  # the caller says no more
    answered: bool = False  # the head of an answer has been sent
    status: tuple[int, str] | None = None  # how it ends, behind what waits
    trailers: Fields = field(default_factory=list, repr=False)
    gone: bool = False
    owner: Any = field(default=None, repr=False)

    def send(self, message: bytes) -> None:
        """One message; nothing where it has ended."""
        if not self.gone and self.status is None:
            whole = b"\0" + len(message).to_bytes(4, "big") + message
            self.out.append(whole)
            self.waiting += len(whole)
            self.connection.queued += len(whole)
            self.connection.flush(self)

    def end(self, status: int = OK, text: str = "", trailers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """The last word, behind the messages."""
        if not self.gone and self.status is None:
            self.status = status, text
            self.trailers += trailers
            self.connection.flush(self)

    def keep(self, count: int) -> None:
        """A message of so many bytes is not done with: its caller is let send that much less until ``done``."""
        if not self.gone:
            self.kept += count
            self.connection.count(count)

    def done(self, count: int) -> None:
        """With so many of the bytes that were kept."""
        if not self.gone:  # else all was given back with it
            self.kept -= count
            self.connection.count(-count)
            self.connection.grant(self)


def percent(text: str) -> bytes:
    """As gRPC has its messages on the wire."""
    return b"".join(
        bytes((one,)) if 0x20 <= one <= 0x7E and one != 0x25 else b"%%%02X" % one
        for one in text.encode(errors="replace")[:1000]
    )
