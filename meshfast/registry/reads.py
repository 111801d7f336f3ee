"""Nodes of a registry that are kept read: when they are asked for, when their watch fires, and slowly after each
reconnect, for what was missed. A few requests are under way at once, the rest waits here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from enum import Enum
from heapq import heapify, heappop, heappush
from itertools import chain
from typing import Any

from meshfast.registry.notes import Notes
from meshfast.registry.times import Hop, Later, Times
from meshfast.registry.url import Refused

__all__ = ["IN_FLIGHT", "PER_SECOND", "SPREAD", "Kind", "Parse", "Reads", "Watched"]

#: Requests under way at once.
IN_FLIGHT = 64
#: After a reconnect what was read before is read again within so many seconds, and so many a second at most.
SPREAD, PER_SECOND = 5.0, 50
#: Children above so many are read so seldom that these are read a second: a long list must not be read for each change.
MANY, CHILDREN_A_SECOND = 500, 50_000
#: Seconds until what could not be read is tried again; half of it at least, by luck.
AGAIN = 10.0


class Kind(Enum):
    """What of a node is read."""

    CHILDREN = 0
    DATA = 1


#: Makes a value of what was read, given the one before; in a thread. Raises Refused.
Parse = Callable[[Any, Any], Any]


class Watched:
    """A node that is kept read. ``value`` is what ``parse`` made of it, None where there is no such node; it stays
    as it was while the node cannot be read. ``answered``: what is there is known; ``tried``: known or not."""

    __slots__ = (
        *("answered", "asked", "kind", "late", "missing", "parse", "path"),
        *("pause", "stale", "took", "tried", "value", "wanted"),
    )

    def __init__(self, path: str, kind: Kind, parse: Parse, took: Callable[[], None], late: bool) -> None:
        self.path, self.kind, self.parse, self.took, self.late = path, kind, parse, took, late
        self.value: Any = None
        self.answered = self.tried = False
        self.asked = False  # under way
        self.stale = True  # waits for its turn
        self.missing = False  # nothing was there
        self.pause = 0.0  # before it is read again
        self.wanted = True


class Reads:
    """``up`` and ``down`` follow the connection; ``client`` gives the one while there is one. ``dropped`` is told of
    paths that are read no longer."""

    def __init__(
        self,
        client: Callable[[], Any],
        hop: Hop,
        notes: Notes,
        times: Times,
        dropped: Callable[[str], None] = lambda path: None,
    ) -> None:
        self._client, self._hop, self._notes, self._times, self._dropped = client, hop, notes, times, dropped
        self._watched: dict[Kind, dict[str, tuple[Watched, ...]]] = {kind: {} for kind in Kind}
        self._watch = self._fired  # one object, which a client keeps once for each path
        self._now: deque[Watched] = deque()
        self._later: list[tuple[float, int, Watched]] = []
        self._seq = 0
        self._timer: Later | None = None
        self._in_flight = 0
        self._number = 0  # of the connection; what older ones answer is not taken
        self.made = 0  # requests, ever

    def watch(self, path: str, kind: Kind, parse: Parse, took: Callable[[], None], late: bool = False) -> Watched:
        """What stands at a path may be several things at once, as names in a registry are anybody's: each is watched
        by itself. ``took`` is called in the loop after each try. ``late``: after others, again."""
        one = Watched(path, kind, parse, took, late)
        self._watched[kind][path] = (*self._watched[kind].get(path, ()), one)
        self._now.append(one)
        self._pump()
        return one

    def drop(self, one: Watched) -> None:
        one.wanted = False
        alike = self._watched[one.kind].get(one.path, ())
        left = tuple(each for each in alike if each is not one)
        if left:
            self._watched[one.kind][one.path] = left
        elif alike:
            del self._watched[one.kind][one.path]
            if all(one.path not in each for each in self._watched.values()):
                self._dropped(one.path)

    def up(self) -> None:
        """What was never read is read at once, all else spread."""
        self._forget()
        now, luck = self._times.now(), self._times.luck
        again = []
        for one in self._all():
            one.asked, one.stale = False, True
            if one.tried:
                again.append((one.late, now + SPREAD * luck(), one))
            else:
                self._now.append(one)
        again.sort(key=lambda each: each[:2])
        due = now
        for _, at, one in again:
            due = max(at, due + 1 / PER_SECOND)
            self._push(due, one)
        self._pump()
        self._arm()

    def down(self) -> None:
        self._forget()

    def _all(self) -> Iterator[Watched]:
        for each in self._watched.values():
            yield from chain.from_iterable(each.values())

    def _forget(self) -> None:
        self._number += 1
        self._in_flight = 0
        self._now.clear()
        self._later.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _push(self, due: float, one: Watched) -> None:
        self._seq += 1
        heappush(self._later, (due, self._seq, one))

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        most = max(64, 2 * sum(map(len, self._watched.values())))
        if len(self._later) > most:  # of what was dropped meanwhile
            self._later = [each for each in self._later if each[2].wanted and each[2].stale]
            heapify(self._later)
        if self._later:
            self._timer = self._times.later(max(0.0, self._later[0][0] - self._times.now()), self._due)

    def _due(self) -> None:
        self._timer = None
        now = self._times.now()
        while self._later and self._later[0][0] <= now:
            self._now.append(heappop(self._later)[2])
        self._pump()
        self._arm()

    def _pump(self) -> None:
        client = self._client()
        while client is not None and self._now and self._in_flight < IN_FLIGHT:
            one = self._now.popleft()
            if one.wanted and one.stale and not one.asked:
                self._ask(client, one, one.missing)

    def _ask(self, client: Any, one: Watched, exists: bool) -> None:
        one.asked, one.stale = True, False
        self._in_flight += 1
        self.made += 1
        number = self._number
        call = client.exists_async if exists else client.get_children_async
        if one.kind is Kind.DATA and not exists:
            call = client.get_async
        try:
            result = call(one.path, watch=self._watch)
        except Exception as error:  # it closed just now, and says so by other means
            self._hop.put(self._answered, number, one, None, error)
            return
        result.rawlink(lambda result: self._parsed(result, number, one, exists))

    def _parsed(self, result: Any, number: int, one: Watched, exists: bool) -> None:
        """In a thread of the client's."""
        error, value = result.exception, result.value
        if error is None and exists:
            self._hop.put(self._looked, number, one, value is not None)
            return
        if error is None:
            try:
                if one.kind is Kind.CHILDREN:
                    one.pause = len(value) / CHILDREN_A_SECOND if len(value) > MANY else 0.0
                value = one.parse(value if one.kind is Kind.CHILDREN else value[0], one.value)
            except Exception as wrong:
                error = wrong
        self._hop.put(self._answered, number, one, value, error)

    def _fired(self, event: Any) -> None:
        """In a thread of the client's, which calls one and the same function once for each path."""
        if event.path is not None:
            self._hop.put(self._changed, event.path)

    def _changed(self, path: str) -> None:
        for one in [one for each in self._watched.values() for one in each.get(path, ())]:
            if not one.stale:
                one.stale = True
                if not one.asked:
                    self._again(one)
        self._pump()

    def _looked(self, number: int, one: Watched, there: bool) -> None:
        """Where nothing was, something may be by now; if not, its watch tells when it comes."""
        if number != self._number:
            return
        one.missing = not there
        if there:
            one.stale = True
        else:
            one.value, one.answered, one.tried = None, True, True
        self._settle(one)
        if one.wanted and not there:
            one.took()
        self._pump()

    def _settle(self, one: Watched) -> None:
        self._in_flight -= 1
        one.asked = False
        if one.stale:
            self._again(one)

    def _again(self, one: Watched) -> None:
        if one.pause:
            self._push(self._times.now() + one.pause, one)
            self._arm()
        else:
            self._now.append(one)

    def _answered(self, number: int, one: Watched, value: Any, error: Exception | None) -> None:
        if number != self._number:
            return
        name = type(error).__name__
        client = self._client()
        if name == "NoNodeError" and client is not None and one.wanted:
            self._in_flight -= 1
            self._ask(client, one, True)
            return
        if error is not None and name in ("ConnectionLoss", "ConnectionClosedError", "SessionExpiredError"):
            self._in_flight -= 1  # it is read again by ``up``, unless the server says so and the connection goes on
            one.asked = False
            self._later_again(one)
            self._pump()
            return
        self._settle(one)
        one.tried = True
        if error is None:
            one.value, one.answered = value, True
        elif one.wanted:
            one.answered |= isinstance(error, Refused)
            self._refuse(one, error)
        if one.wanted:
            one.took()
        self._pump()

    def _refuse(self, one: Watched, error: Exception) -> None:
        """What was known of it stays. Nonsense is read again when it changes, all else after a while too."""
        self._notes.count(error.reason if isinstance(error, Refused) else "unreadable")
        self._notes.warn(one.path, error)
        if not isinstance(error, Refused):
            self._later_again(one)

    def _later_again(self, one: Watched) -> None:
        one.stale = True
        self._push(self._times.now() + AGAIN * (0.5 + self._times.luck() / 2), one)
        self._arm()
