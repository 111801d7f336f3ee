"""What an endpoint holds at most, and how much of it is used. Who is over a limit is refused, and counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["Full", "Limits", "Used"]


@dataclass(frozen=True, slots=True)
class Limits:
    """``refused`` of Used counts each by its name."""

    sessions: int = 64  # over it: the connection ends unanswered, as ZooKeeper does where there are too many
    connections: int = 80  # the same
    nodes: int = 100_000
    watches: int = 100_000
    bytes: int = 64 << 20  # of paths, data, rules of access and watched paths together
    levels: int = 64  # of a path
    services: int = 10_000  # folders of services that are shown; over it: one is an ordinary folder
    registrations: int = 10_000  # of what applications offer; over it: an ordinary node, and nothing more
    packet: int = 0xFFFFF  # bytes of a request; over it: the connection ends
    auth: int = 1024  # bytes by which a client says who it is; over it: the connection ends
    output: int = 4 << 20  # bytes that wait for a slow reader; over it: the connection ends
    pause: int = 64 << 10  # bytes that wait when no more is read from it
    timeout: float = 30.0  # seconds of a session, at most
    least: float = 4.0  # and at least, whatever was asked for
    greeting: float = 10.0  # seconds until a connection has said which session it wants
    farewell: float = 10.0  # seconds that one that is over may take to read what was said last


class Full(Exception):
    """A limit, by its name."""


@dataclass(slots=True)
class Used:
    """Of ``limits``, by name."""

    limits: Limits = field(default_factory=Limits)
    now: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def take(self, what: str, count: int) -> None:
        """:raises Full: it would be more than the limit"""
        most = {"nodes": self.limits.nodes, "watches": self.limits.watches, "bytes": self.limits.bytes}[what]
        if self.now[what] + count > most:
            self.refused[what] += 1
            raise Full(what)
        self.now[what] += count

    def give(self, what: str, count: int) -> None:
        self.now[what] -= count
