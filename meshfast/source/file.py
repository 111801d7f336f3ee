"""Meshes from files and directories, watched.

By polling ``stat``, not by inotify: a few system calls four times a second see every way in which a file comes to have
other contents (written in place, replaced by rename, a symlink swapped as Kubernetes does for a ConfigMap, a network
file system), and there is no queue that can overflow.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

from meshfast import config
from meshfast.config import file
from meshfast.errors import ConfigError, SourceError
from meshfast.source import Bad, Event, Good, Same

POLL = 0.25  # seconds between looks
SETTLE = 0.05  # seconds between looks while something is being written
PATIENCE = 10  # such looks before a file that never rests is read as it is

FRESH = 100_000_000  # ns; a later write within the clock's tick of 4 to 10 ms would leave the same time

Seen = tuple[str | int | None, ...]
Look = tuple[Seen, ...]


class FileSource:
    """The meshes that ``paths`` (files, and directories of them) describe, one after the other.

    Iterating gives the first event at once and then one for each change; what was read before and is still the same
    gives none. A file caught half-written is read again when its writer is done, and given as Bad only when what is
    wrong with it stays.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]], *, poll: float = POLL, settle: float = SETTLE) -> None:
        self.paths = [Path(path) for path in paths]
        self._poll, self._settle = poll, settle
        self._digest = b""
        self._loader = config.Loader()
        self._asked = asyncio.Event()

    def again(self) -> None:
        """Reads all of it now, whatever it looks like; gives Same when nothing is new."""
        self._asked.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        asked = False
        while True:
            looked, event = await self._read()
            if event is not None:
                yield event
            elif asked:
                yield Same()
            while self.look() == looked and not self._asked.is_set():
                await self._pause()
            asked = self._asked.is_set()
            self._asked.clear()

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll):
                await self._asked.wait()

    async def _read(self) -> tuple[Look, Event | None]:
        """Loads what is there once it rests. The look that goes with it, and no event when nothing is new."""
        looked = await self._rested()
        for _ in range(PATIENCE):
            event, digest = await asyncio.to_thread(self._load)
            after = self.look()
            if after == looked:
                break
            looked = await self._rested()
        if digest == self._digest:
            return looked, None
        self._digest = digest
        return looked, event

    async def _rested(self) -> Look:
        looked = self.look()
        if not self._digest and not _fresh(looked):
            return looked
        for _ in range(PATIENCE):
            await asyncio.sleep(self._settle)
            again = self.look()
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
                out.append((str(path), error.errno))
            else:
                out.append((str(path), is_.st_dev, is_.st_ino, is_.st_size, is_.st_mtime_ns, is_.st_ctime_ns))
        return tuple(out)

    def _load(self) -> tuple[Event, bytes]:
        report = config.Report()
        texts = file.read(self.paths, report)
        digest = hashlib.blake2b()
        for text in texts:
            digest.update(f"{text.name}\0{len(text.data)}\0".encode(errors="surrogateescape") + text.data)
        for problem in report.problems:
            digest.update(str(problem).encode(errors="surrogateescape"))
        try:
            return Good(self._loader.build(texts, report)), digest.digest()
        except ConfigError as error:
            return Bad(error), digest.digest()
        except Exception as error:  # a mistake of ours or no memory: the last good mesh stays, and watching goes on
            why = SourceError(f"the configuration cannot be read: {type(error).__name__}: {error}")
            why.__cause__ = error
            return Bad(why), digest.digest()


def _fresh(looked: Look) -> bool:
    """Whether a file was written so lately that another write might not show."""
    since = time.time_ns() - FRESH
    return any(len(seen) > 2 and isinstance(seen[4], int) and seen[4] > since for seen in looked)
