"""Meshes from files and directories, watched.

By polling ``stat``, not by inotify: a few system calls four times a second see every way in which a file comes to have
other contents (written in place, replaced by rename, a symlink swapped as Kubernetes does for a ConfigMap, a network
file system), and there is no queue that can overflow.

A file that is written slowly where it lies is a shorter file in between, and often a good one. So what takes something
away is taken later than the rest: once the file that said it has rested. Until then that file counts as it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path

from meshfast import config
from meshfast.config import Text, file
from meshfast.errors import ConfigError, Problem, SourceError
from meshfast.model import Mesh
from meshfast.source import Bad, Event, Good, Same
from meshfast.source.doubt import Doubt, Look, Seen
from meshfast.source.lost import lost

POLL = 0.25  # seconds between looks
SETTLE = 0.05  # seconds between looks while something is being written
PATIENCE = 10  # such looks before a file that never rests is read as it is
REST = 1.0  # seconds without a change before what a file says no longer is taken away

TOLD = 20  # lines of the log about what a load takes and does not do
FRESH = 100_000_000  # ns; a later write within the clock's tick of 4 to 10 ms would leave the same time

log = logging.getLogger("meshfast")

Build = Callable[[list[Text], config.Report], Mesh]


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load found: an event or none, the texts that it is made of, and the files that count as they were, each
    with the time until which it is in doubt."""

    event: Event | None
    digest: bytes
    texts: dict[str, Text]
    held: Mapping[str, float] = field(default_factory=dict)


class FileSource:
    """The meshes that ``paths`` (files, and directories of them) describe, one after the other.

    Iterating gives the first event at once and then one for each change; what was read before and is still the same
    gives none. A file caught half-written is read again when its writer is done, and given as Bad only when what is
    wrong with it stays. ``rest``: seconds that a file that is written in place must be left alone before what it says
    no longer is given up.
    """

    def __init__(
        self, paths: Iterable[str | os.PathLike[str]], *, poll: float = POLL, settle: float = SETTLE, rest: float = REST
    ) -> None:
        self.paths = [Path(path) for path in paths]
        self._poll, self._settle = poll, settle
        self._digest = b""
        self._given: tuple[Mesh, dict[str, Text]] | None = None  # the last mesh, and its texts
        self.build: Build = config.Loader().build  # in a thread, makes a mesh of texts
        self._doubt = Doubt(rest)
        self._held: Set[str] = frozenset()  # files that count as they were
        self._due = math.inf  # when the first of them has rested
        self._asked = asyncio.Event()

    @property
    def texts(self) -> list[Text]:
        """Those of the mesh that was given last."""
        return [*self._given[1].values()] if self._given is not None else []

    def again(self) -> None:
        """Reads all of it now, whatever it looks like; gives Same when nothing is new."""
        self._asked.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        asked = False
        while True:
            looked, event = await self._read(asked)
            if event is not None:
                yield event
            elif asked:
                yield Same()
            while self._look() == looked and not self._asked.is_set() and time.monotonic() < self._due:
                await self._pause()
            asked = self._asked.is_set()
            self._asked.clear()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0, min(self._poll, self._due - time.monotonic()))):
                await self._asked.wait()

    async def _read(self, asked: bool) -> tuple[Look, Event | None]:
        """Loads what is there once it rests. The look that goes with it, and no event when nothing is new."""
        for _ in range(PATIENCE):
            looked = await self._rested()
            loaded = await asyncio.to_thread(self._load, asked)
            if self._look() == looked:
                break
        self._hold(loaded)
        if loaded.digest == self._digest:
            return looked, None
        self._digest = loaded.digest
        if isinstance(loaded.event, Good):
            self._given = loaded.event.mesh, loaded.texts
        return looked, loaded.event

    def _hold(self, loaded: Loaded) -> None:
        self._due = min(loaded.held.values(), default=math.inf)
        if loaded.held.keys() - self._held:
            log.info(
                "configuration: %s: what it says no longer is in force until it has rested for %g s",
                ", ".join(sorted(loaded.held)), self._doubt.rest,
            )  # fmt: skip
        self._held = loaded.held.keys()

    async def _rested(self) -> Look:
        looked = self._look()
        if not self._digest and not _fresh(looked):
            return looked
        for _ in range(PATIENCE):
            await asyncio.sleep(self._settle)
            again = self._look()
            if again == looked:
                break
            looked = again
        return looked

    def look(self) -> Look:
        """What tells one state of the files from another: names, inodes, sizes and times, through symlinks."""
        out: list[Seen] = []
        try:
            found = file.files(self.paths)
        except OSError as error:
            return ((str(error.filename), error.errno),)
        for path in found:
            try:
                is_ = os.stat(path)
            except OSError as error:
                out.append((path, error.errno))
            else:
                out.append((path, is_.st_dev, is_.st_ino, is_.st_size, is_.st_mtime_ns, is_.st_ctime_ns))
        return tuple(out)

    def _look(self) -> Look:
        look = self.look()
        self._doubt.see(look, time.monotonic())
        return look

    def _load(self, asked: bool) -> Loaded:
        report = config.Report()
        texts = file.read(self.paths, report)
        if self._given is None:
            return self._build(texts, report)
        mesh, before = self._given
        texts = [_known(text, before) for text in texts]
        self._look()  # what is read now is no newer than this
        doubted = {} if asked else self._doubt.until(time.monotonic())
        found = self._build(texts, report)
        if not doubted or not isinstance(found.event, Good):
            return found
        gone = lost(mesh, found.event.mesh)
        held = {
            name: until
            for name, until in doubted.items()
            if name in before and (name in gone or "" in gone or _cut(before[name], found.texts.get(name)))
        }
        if not held:
            return found
        # They count as they were, and the other files go on without them.
        mixed = found.texts | {name: before[name] for name in held}
        if mixed != before:
            found = self._build(list(mixed.values()), config.Report())
            if isinstance(found.event, Good):
                return replace(found, held=held)
        return Loaded(None, self._digest, before, held)

    def _build(self, texts: list[Text], report: config.Report) -> Loaded:
        digest = hashlib.blake2b()
        for text in texts:
            digest.update(f"{text.name}\0{len(text.data)}\0".encode(errors="surrogateescape") + text.data)
        for problem in report.problems:
            digest.update(str(problem).encode(errors="surrogateescape"))
        event: Event
        try:
            event = Good(self.build(texts, report))
            _tell(report.noted)
            self._doubt.links = frozenset(text.name for text in texts if os.path.islink(text.name))
        except ConfigError as error:
            event = Bad(error)
        except Exception as error:  # a mistake of ours or no memory: the last good mesh stays, and watching goes on
            why = SourceError(f"the configuration cannot be read: {type(error).__name__}: {error}")
            why.__cause__ = error
            event = Bad(why)
        return Loaded(event, digest.digest(), {text.name: text for text in texts})


def _tell(noted: list[Problem]) -> None:
    """Logs what is taken and not done, of files that were read anew."""
    for one in noted[:TOLD]:
        log.warning("configuration: %s: %s%s", one.origin, one.message, f": {one.hint}" if one.hint else "")
    if len(noted) > TOLD:
        log.warning("configuration: %d more that are not done; meshfast check lists them", len(noted) - TOLD)


def _fresh(looked: Look) -> bool:
    """Whether a file was written so lately that another write might not show."""
    since = time.time_ns() - FRESH
    return any(len(seen) > 2 and isinstance(seen[4], int) and seen[4] > since for seen in looked)


def _known(text: Text, before: Mapping[str, Text]) -> Text:
    """The one that is held already, where it says the same."""
    known = before.get(text.name)
    return known if known is not None and known.data == text.data else text


def _cut(before: Text, now: Text | None) -> bool:
    """Whether its last line may be half of one: a shorter name, another number."""
    return now is not None and before.data.endswith(b"\n") and not now.data.endswith(b"\n")
