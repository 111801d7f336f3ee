"""A state directory that takes nothing for a while: that is told once, and what was to be written is, once it can be,
though nothing has changed since."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Iterator
from typing import cast

import pytest
from peers import until

from meshfast.endpoint import later, returning
from meshfast.endpoint.later import Later
from meshfast.endpoint.returning import Returning
from meshfast.registry import Instance
from meshfast.registry.url import Provider
from meshfast.source import lastgood
from meshfast.source.lastgood import Keeping
from meshfast.source.registries import Registries
from meshfast.statedir import StateDir

ONE = Provider("com.x.Hello", "", "", Instance("10.0.0.1:20880", "dubbo", "shop", {}))

Ask = Callable[[], None]
Close = Callable[[], Awaitable[None]]


class Disk:
    """A state directory. ``full``: why nothing can be written."""

    path = "/state"

    def __init__(self) -> None:
        self.full: int = errno.ENOSPC
        self.tries = self.written = 0

    def read(self, name: str) -> bytes | None:
        return None

    def write(self, name: str, data: bytes) -> None:
        self.tries += 1
        if self.full:
            raise OSError(self.full, "it is full")
        self.written += 1

    def close(self) -> None: ...


def as_later(disk: Disk) -> tuple[Ask, Close]:
    one = Later(disk, "sessions.json", lambda: b"[]", "sessions are")
    return one.changed, one.close


def as_returning(disk: Disk) -> tuple[Ask, Close]:
    one = Returning(disk, lambda: [ONE])
    return one.changed, one.close


def as_keeping(disk: Disk) -> tuple[Ask, Close]:
    one = Keeping(cast(StateDir, disk), Registries())
    return lambda: one.changed(dict), one.close


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for module in (later, returning, lastgood):
        monkeypatch.setattr(module, "RETRY", 0.01, raising=False)
    yield


@pytest.mark.parametrize("make", [as_later, as_returning, as_keeping])
def test_it_is_told_once_and_tried_again(
    make: Callable[[Disk], tuple[Ask, Close]], caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        disk = Disk()
        ask, close = make(disk)
        ask()
        await until(lambda: disk.tries >= 3)
        assert len(caplog.records) == 1
        disk.full = errno.EROFS
        await until(lambda: len(caplog.records) == 2)
        disk.full = 0
        await until(lambda: disk.written > 0)
        assert len(caplog.records) == 2
        disk.full = errno.EROFS
        ask()
        await until(lambda: len(caplog.records) == 3)
        await close()
        tries = disk.tries
        for _ in range(100):
            await asyncio.sleep(0)
        assert disk.tries == tries and len(caplog.records) == 3

    asyncio.run(run())
