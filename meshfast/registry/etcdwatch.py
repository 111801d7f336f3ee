"""What changes below a prefix of etcd: a stream of events that is asked for again where it ended, with the revision it
had come to, so that nothing is missed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

from meshfast.registry.asked import pause
from meshfast.registry.etcdjson import Event, Failed, WatchLine, WatchResult, b64, decode, encode, end_of, reason
from meshfast.registry.gateway import Channel, Request, Unreachable
from meshfast.registry.link import HANDSHAKE
from meshfast.registry.times import Times

__all__ = ["AGAIN", "CUTS", "LEVELS", "LONGEST_KEY", "STEADY", "Changed", "Fired", "Fires", "Known", "Watch"]

#: A stream that held for so many seconds may end; so many in a row that did not are too many.
STEADY, CUTS = 5.0, 3
#: Seconds until a prefix that may not be watched is tried again; half of it at least, by luck.
AGAIN = 10.0
#: Bytes of a key, and levels of it from the left, in which who follows something is looked for.
LONGEST_KEY, LEVELS = 256 * 1024, 16


#: Is told once.
Fired = Callable[[Any], object]
#: Takes the revision of what was read, and the names of children, None where they are not known.
Known = Callable[..., None]


class Changed(NamedTuple):
    """What a watch that fires is told."""

    path: str


class _Following:
    """``revision``: what was read is of it, 0 while that is under way; ``late``: the newest event that came
    meanwhile. ``names``: the children that there were, None where they are not known."""

    __slots__ = ("fired", "late", "names", "revision")

    def __init__(self, fired: Fired) -> None:
        self.fired = fired
        self.revision = self.late = 0
        self.names: frozenset[str] | None = None


class Fires:
    """Who is to be told once that a node, or which children it has, is not any more as it was read."""

    def __init__(self) -> None:
        self._following: dict[tuple[str, bool], list[_Following]] = {}  # by path, and whether of its children

    def follow(self, path: str, children: bool, fired: Fired) -> Known:
        """From now on; what it returns is to be called with the revision of what was read, and the names."""
        one = _Following(fired)
        self._following.setdefault((path, children), []).append(one)

        def known(revision: int, names: frozenset[str] | None = None) -> None:
            one.revision, one.names = revision, names
            if one.late > revision and one in self._following.get((path, children), ()):
                self._fire(path, children)

        return known

    def event(self, event: Event) -> None:
        if len(event.kv.key) > LONGEST_KEY:
            return
        path = event.kv.key.decode(errors="replace")
        revision, gone = event.kv.mod_revision, event.type == "DELETE"
        self._changed(path, False, revision, lambda one: True)
        at = path.find("/", 1)
        for _ in range(LEVELS):
            if at < 0:
                break
            name, _, deeper = path[at + 1 :].partition("/")
            self._changed(path[:at] or "/", True, revision, lambda one: _other(one, name, gone, bool(deeper)))  # noqa: B023
            at = path.find("/", at + 1)

    def everything(self, prefix: str) -> None:
        """All below a prefix may be another."""
        for path, children in [each for each in self._following if f"{each[0]}/".startswith(prefix)]:
            self._fire(path, children)

    def _changed(self, path: str, children: bool, revision: int, other: Callable[[_Following], bool]) -> None:
        for one in self._following.get((path, children), ()):
            if not one.revision:
                one.late = max(one.late, revision)
            elif revision > one.revision and other(one):
                self._fire(path, children)
                return

    def _fire(self, path: str, children: bool) -> None:
        """All who follow it, so that none is told by what another one read."""
        for one in self._following.pop((path, children)):
            one.fired(Changed(path))


def _other(one: _Following, name: str, gone: bool, deeper: bool) -> bool:
    """Whether an event of a key, or below it, makes for other children. That the last below one is gone is not looked
    for: it would have to be read each time."""
    if one.names is None:
        return True
    return (not deeper and name in one.names) if gone else name not in one.names


class Watch:
    """One prefix, which ends with a slash. ``open`` makes a connection to the server, ``token`` what to show it;
    ``refused`` is told why it may not be watched. ``ready`` when it is, or may not be."""

    def __init__(
        self, prefix: str, open: Callable[[], Awaitable[Channel]], token: Callable[[], str], fires: Fires, times: Times,
        refused: Callable[[str, str], None],
    ) -> None:  # fmt: skip
        self.ready = asyncio.Event()
        self._prefix, self._open, self._token, self._fires, self._times = prefix, open, token, fires, times
        self._refused = refused
        self._next = 0  # the revision that is not known yet; 0: from when it begins
        self._cluster = 0
        self._denied = False
        self._cuts = 0

    async def run(self) -> None:
        """Ends by an exception: the connection cannot be had, or what is missed cannot be told any more."""
        while True:
            begun = self._times.now()
            try:
                await self._stream()
                why = "etcd ends its watch"
            except ConnectionError as error:
                if not self.ready.is_set() or isinstance(error, Unreachable):
                    raise
                why = str(error)
            if self._denied:
                await pause(self._times, AGAIN * (0.5 + self._times.luck() / 2))
                continue
            self._cuts = 0 if self._times.now() - begun >= STEADY else self._cuts + 1
            if self._cuts >= CUTS:
                raise ConnectionError(f"{why}, again and again")

    async def _stream(self) -> None:
        channel = await self._open()
        request: dict[str, Any] = {"key": b64(self._prefix), "range_end": b64(end_of(self._prefix))}
        request["progress_notify"] = True  # where nothing changes for long: what was compacted is known to be
        if self._next:
            request["start_revision"] = self._next
        asked = Request("/v3/watch", encode({"create_request": request}), authorization=self._token())
        lines = channel.lines(asked)
        async with contextlib.aclosing(lines), _soon(self._prefix) as limit:
            async for line in lines:
                limit.reschedule(None)
                found = decode(line, WatchLine)
                if found.result is None:
                    raise Failed(reason(found.error) or "etcd ends its watch")
                if found.result.canceled:
                    self._canceled(found.result)
                    return
                self._took(found.result)

    def _took(self, found: WatchResult) -> None:
        if found.created:
            if self._denied:
                self._denied, self._next = False, 0
            if self._next and (found.header.cluster_id != self._cluster or found.header.revision < self._next - 1):
                raise Failed("it is another etcd by now, or an older one: everything is read anew")
            self._cluster = found.header.cluster_id
            if not self._next:
                again = self.ready.is_set()
                self._next = found.header.revision + 1
                self.ready.set()
                if again:  # it was not watched for a while
                    self._fires.everything(self._prefix)
        for each in found.events:
            self._fires.event(each)
        if found.events:  # of its last revision there may be more to come
            self._next = max(self._next, found.events[-1].kv.mod_revision)
        elif not found.created:
            self._next = max(self._next, found.header.revision + 1)

    def _canceled(self, found: WatchResult) -> None:
        if found.compact_revision:
            raise Failed("what changed meanwhile was compacted: everything is read anew")
        if "permission denied" not in found.cancel_reason:
            raise Failed(f"etcd ends its watch: {found.cancel_reason[:300] or 'it says no reason'}")
        if not self._denied:
            self._refused(self._prefix, found.cancel_reason[:300])
        self._denied, self._next = True, 0
        self.ready.set()


@contextlib.asynccontextmanager
async def _soon(prefix: str) -> AsyncIterator[asyncio.Timeout]:
    """The first line must come soon; who has it lifts that."""
    try:
        async with asyncio.timeout(HANDSHAKE) as limit:
            yield limit
    except TimeoutError:
        raise ConnectionError(f"etcd does not begin to watch {prefix} in {HANDSHAKE:g} s") from None
