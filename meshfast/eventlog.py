"""What the workers tell, as lines of the log: few, however much happens."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable

__all__ = ["Event", "EventLog"]

log = logging.getLogger("meshfast")

#: What happens again to the same peer is logged once in so many seconds, and so many peers of one kind.
EVERY = 1.0
PEERS = 20

UNKNOWN = "(address unknown)"

#: kind, worker, code, its text, peer: as from ``Engine.events``
Event = tuple[str, int, int, str, str]


class EventLog:
    """One line a second for each kind and peer; the rest is counted in the next one.

    Of callers that send what is not theirs to send the port is new each time, so their host is what counts.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = 0.0
        self._seen: dict[tuple[str, str], int] = {}  # in this second: how often after the line
        self._lines: dict[str, int] = {}
        self._more: dict[str, int] = {}

    def take(self, events: Iterable[Event]) -> None:
        """Logs what is to be logged of these."""
        self.flush()
        for kind, worker, code, text, peer in events:
            log.debug("event: %s %s, code %d, worker %d", kind, peer or "-", code, worker)
            key = (kind, _host(peer) if kind == "bad_downstream" else peer)
            if key in self._seen:
                self._seen[key] += 1
            elif self._lines.get(kind, 0) >= PEERS:
                self._more[kind] = self._more.get(kind, 0) + 1
            else:
                self._seen[key] = 0
                self._lines[kind] = self._lines.get(kind, 0) + 1
                why = f": {text}" if text else ""
                log.log(_level(kind), "%s %s%s (worker %d)", _words(kind), peer or UNKNOWN, why, worker)

    def flush(self) -> None:
        """Says what was held back, once its second is over."""
        if self._clock() - self._since < EVERY:
            return
        for (kind, peer), held in self._seen.items():
            if held:
                log.log(_level(kind), "%s %s: %d more within %g s", _words(kind), peer or UNKNOWN, held, EVERY)
        for kind, held in self._more.items():
            log.log(_level(kind), "%s: %d more of other addresses within %g s", _words(kind), held, EVERY)
        self._seen.clear()
        self._lines.clear()
        self._more.clear()
        self._since = self._clock()


def _host(peer: str) -> str:
    host, colon, port = peer.rpartition(":")
    return host if colon and port.isdigit() else peer


def _words(kind: str) -> str:
    return kind.replace("_", " ")


def _level(kind: str) -> int:
    return logging.INFO if kind in ("peer_up", "peer_returned") else logging.WARNING
