"""What may stand above a tree: it hides what clients create, and shows what is not theirs."""

from __future__ import annotations

import asyncio
import enum
from typing import Protocol

__all__ = ["Fate", "View"]


class Fate(enum.Enum):
    """What becomes of a node that a client creates. UNLISTED: there for who asks by its path, in no list and told to
    nobody; DROPPED: answered as if it were there."""

    LISTED = enum.auto()
    UNLISTED = enum.auto()
    DROPPED = enum.auto()


class View(Protocol):
    """Called in the turn of the loop that serves a request."""

    def fate(self, path: str, ephemeral: bool) -> Fate:
        """Of a node that a client creates."""

    def created(self, owner: int, path: str, data: bytes) -> None:
        """A client made this node, or set its data anew, unless it is DROPPED; ``owner``: the session it will end
        with, or 0."""

    def removed(self, path: str) -> None:
        """A node that a client had made has gone."""

    def asked(self, session: int, op: int, path: str) -> asyncio.Future[None] | None:
        """Before a session's request about a path is answered; what it must wait for, if anything. The view says for
        how long."""

    def left(self, session: int) -> None:
        """The session has no connection any longer; it may come back until it expires."""

    def ended(self, session: int) -> None:
        """The session is over; its nodes have gone."""
