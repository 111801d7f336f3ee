"""What a registry says of itself: its state, and a few lines of the log."""

from __future__ import annotations

import logging

from meshfast.registry import State

__all__ = ["Notes"]

log = logging.getLogger("meshfast")

#: Warnings of what cannot be read, for each connection; the rest is counted.
LINES = 20


class Notes:
    def __init__(self, name: str) -> None:
        self.state = State()
        self._name = name
        self._lines = LINES

    def count(self, reason: str, n: int = 1) -> None:
        self.state.refused[reason] = self.state.refused.get(reason, 0) + n

    def warn(self, what: str, error: Exception | str) -> None:
        if self._lines:
            self._lines -= 1
            why = error if isinstance(error, str) else f"{type(error).__name__} {error}".rstrip()
            more = "" if self._lines else "; no more of this until it connects anew"
            log.warning("registry %s: %s: %.300s%s", self._name, what, why, more)

    def connected(self, now: float, resumed: bool) -> None:
        self._lines = LINES
        if not self.state.connected:
            self.state.connected, self.state.since = True, now
            log.info("registry %s: connected%s", self._name, ", its session resumed" if resumed else "")

    def lost(self, now: float, why: str) -> None:
        said = why or "the connection ended"
        if self.state.connected:
            self.state.connected, self.state.since = False, now
            log.warning("registry %s: not connected: %.300s; what it listed stays", self._name, said)
        elif self.state.error != said and not self.state.sessions:
            log.warning("registry %s: not connected: %.300s", self._name, said)
        self.state.error = said
