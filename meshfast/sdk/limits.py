"""What a port that serves takes at most, and how long it waits."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast.serving import wire

__all__ = ["Limits", "PAUSE", "SMALL"]

#: Bytes that wait to be sent to a caller when nothing more is read from it.
PAUSE = 256 << 10
#: Bytes of a request that is taken where there is no memory for longer ones.
SMALL = 32 << 10


@dataclass(frozen=True, slots=True)
class Limits:
    """``refused`` of Server counts each by its name. Of statuses the first is Dubbo2's, the second gRPC's."""

    calls: int = 200  # in flight, without streams; over it status 100, 8
    share: int = 4  # above half of that a caller has at most so many times what is left of it
    connections: int = 1000  # over it: the connection ends
    payload: int = 8 << 20  # bytes of a body or message; over it: status 40, 8, and for an answer 50, 8
    memory: int = 64 << 20  # bytes of all requests; over it: status 100, 8 for long ones
    output: int = 16 << 20  # bytes that wait for a caller that reads slowly; over it: status 100, 8
    stuck: float = 30.0  # seconds in which a caller takes nothing of it; over it: the connection ends, or its stream
    threads: int = 32  # for handlers that are no coroutines
    readers: int = 32  # calls of those that take a stream: each has a thread; over it: status 8. ``share`` as of calls
    items: int = 1_000_000  # values of a request; over it: status 40, 13. Of an answer, where some are in more than
    #                         one place; over it: status 50, 13
    quiet: float = 0.2  # seconds without a call after which nobody is served any more, when leaving
    leave: float = 10.0  # and at most
    streams: int = 1000  # calls that stream, in flight; over it: status 8. Of ``share`` as of ``calls``
    concurrent: int = 1000  # calls of one connection of HTTP/2; over it: REFUSED_STREAM
    headers: int = 16 << 10  # bytes of one list, with 32 for each; over it: status 8, or the connection ends
    trailers: int = 64 << 10  # the same of what ends an answer, attachments too, or fewer where its caller takes fewer;
    #                           over it: status 13, or the answer's own without attachments
    window: int = 256 << 10  # bytes that a stream may be sent before its handler has read them
    resets: int = 1000  # streams that were reset, more than were answered; over it: the connection takes no more

    def wire(self) -> wire.Limits:
        """As a connection of HTTP/2 has them. ``output`` is seen to before its own."""
        return wire.Limits(
            connections=self.connections, streams=self.concurrent, message=self.payload, bytes=self.memory,
            small=SMALL, resets=self.resets, headers=self.headers, trailers=self.trailers, window=self.window,
            pause=PAUSE, output=2 * self.output + self.payload,
        )  # fmt: skip
