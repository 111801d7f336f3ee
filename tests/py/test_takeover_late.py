"""The word of the process before does not come in time, or what it passes cannot be held: it is heard on."""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from test_moved_out import run
from test_moving import Engine, file, is_open

from meshfast import takeover
from meshfast.moving import Arrivals
from meshfast.passed import Passed
from meshfast.passing import SIDECAR, Channel, Door
from meshfast.statedir import StateDir
from meshfast.takeover import Takeover


class World:
    """``old``: the process before, played; what comes next has told it that it is ready."""

    def __init__(self, old: Channel, directory: StateDir) -> None:
        self.old, self.directory = old, directory
        self.engine, self.alone, self.stop = Engine(), Mock(), asyncio.Event()
        self.ready: asyncio.Task[None]

    async def hear(self) -> dict[str, Any] | None:
        found = await self.old.recv()
        return None if found is None else found[0]

    async def offer(self) -> int:
        """A connection, whose descriptor is the next one's."""
        fd = file(b"")
        await self.old.send({"keys": ["key"], "connections": [[0, True, 0, 0, 0]]}, [fd])
        return fd


@asynccontextmanager
async def world(path: Path) -> AsyncIterator[World]:
    path.chmod(0o700)
    before = StateDir(str(path))
    door = Door(before.fd, SIDECAR)
    made = Takeover(asked=True)
    coming = asyncio.create_task(made.open(str(path)))
    old = await door.accept()
    assert await old.recv() == ({"want": "takeover"}, [])
    await old.send({"directory": True}, [before.fd])
    one = World(old, await coming)
    one.ready = asyncio.create_task(made.ready(Arrivals(one.engine, {"key": "in"}), one.alone, one.stop))
    assert await one.hear() == {"ready": [], "connections": ["key"]}
    try:
        yield one
    finally:
        made.close()
        await asyncio.gather(one.ready, return_exceptions=True)
        for each in (old, door, one.directory, before):
            each.close()


@pytest.mark.parametrize("ends", [False, True])
def test_it_lets_go_when_it_is_not_waited_for_any_more(tmp_path, monkeypatch, ends: bool) -> None:
    """Until then the sockets are shared with it, as it has them; its connections go on, too."""
    monkeypatch.setattr(takeover, "YOURS", 0.01)

    async def story() -> None:
        async with world(tmp_path) as one:
            await one.ready
            assert one.directory.owned and not one.alone.called
            fd = await one.offer()
            os.close(fd)
            assert await one.hear() == {"have": 1}
            if ends:
                one.old.close()
            else:
                await one.old.send({"go": True})
                await one.old.send({"yours": True})
                assert await one.hear() is None
            while not one.alone.called:
                await asyncio.sleep(0)
            assert len(one.engine.taken) == 1

    run(story())


@contextmanager
def no_room() -> Iterator[None]:
    """No descriptor more may be had."""
    lowest = os.dup(0)
    os.close(lowest)
    was = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, was[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, was)


def test_descriptors_are_wanting(tmp_path, caplog) -> None:
    """The connections stay, that is told as it is, and the state is the other's until its last word."""

    async def story() -> None:
        async with world(tmp_path) as one:
            fd = file(b"")
            with no_room():
                await one.old.send({"keys": ["key"], "connections": [[0, True, 0, 0, 0]]}, [fd])
                assert await one.hear() == {"have": 0}
            os.close(fd)
            assert "raise its limit of open files" in caplog.text
            await one.old.send({"back": True})
            fd = await one.offer()
            os.close(fd)
            assert await one.hear() == {"have": 1}
            assert not one.directory.owned and not one.ready.done()
            await one.old.send({"go": True})
            await one.old.send({"yours": True})
            await one.ready
            assert one.directory.owned and one.alone.called and len(one.engine.taken) == 1

    run(story())


def test_one_that_is_to_end_takes_no_more(tmp_path) -> None:
    """And says so: what it would wait for need not be waited for."""

    async def story() -> None:
        async with world(tmp_path) as one:
            one.stop.set()
            assert await one.hear() == {"enough": True}
            fd = await one.offer()
            assert await one.hear() == {"have": 0}
            await one.old.send({"back": True})
            await one.old.send({"yours": True})
            await one.ready
            assert one.engine.taken == [] and is_open(fd)
            os.close(fd)

    run(story())


def test_a_listener_is_shared_as_long_as_anybody_has_it() -> None:
    engine = Mock()
    side = Mock(listeners=[Mock(bind="tcp://a:1"), Mock(bind="tcp://b:1")])
    side.listeners[0].name, side.listeners[1].name = "in", "new"
    owner = Passed(engine, side, Mock(), ["tcp://a:1"])
    owner.share("in", True)
    owner.alone()
    assert engine.share.call_args.args == ("in", True)
    owner.alone()
    owner.share("new", True)
    owner.share("new", False)
    assert engine.share.call_args.args == ("new", False)
    owner.share("in", False)
    assert engine.share.call_args.args == ("in", False)


