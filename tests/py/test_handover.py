"""Whoever asks a sidecar for its sockets: what he says may be anything, and there may be no descriptor for him."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from proxies import PATIENCE

from meshfast import handover, passing
from meshfast.handover import Handover
from meshfast.passing import SIDECAR, Channel, Door
from meshfast.statedir import StateDir


class World:
    def __init__(self, path: Path) -> None:
        self.path, self.stop, self.counts = path, Mock(), Counter[str]()
        path.chmod(0o700)
        owner = Mock(**{"all.return_value": {}, "inbound.return_value": {}, "behind.return_value": {}})
        self.handover = Handover(StateDir(str(path)), owner, self.stop, self.counts)

    async def next(self) -> Channel:
        """One that has asked, and is to say that it is ready."""
        channel = await passing.dial(str(self.path), SIDECAR)
        assert channel is not None
        await channel.send({"want": "takeover"})
        assert (await self.hear(channel)) == {"directory": True}
        return channel

    @staticmethod
    async def hear(channel: Channel) -> dict[str, Any]:
        found = await asyncio.wait_for(channel.recv(), PATIENCE)
        assert found is not None
        for fd in found[1]:
            os.close(fd)
        return found[0]


@asynccontextmanager
async def world(path: Path) -> AsyncIterator[World]:
    one = World(path)
    try:
        yield one
    finally:
        await one.handover.close()


NONSENSE = ({"ready": 5}, {"ready": [5]}, {"ready": None}, {"ready": [], "connections": {"a": 1}})


@pytest.mark.parametrize("said", NONSENSE)
def test_one_that_is_ready_with_nonsense_does_not_take_over(tmp_path: Path, said: dict[str, Any]) -> None:
    async def story() -> None:
        async with world(tmp_path) as one:
            channel = await one.next()
            await channel.send(said)
            assert "no list of addresses" in (await one.hear(channel))["refused"]
            channel.close()
            again = await one.next()
            assert not one.stop.called and one.handover.taken is None
            await again.send({"ready": ["tcp://a"]})
            while not one.stop.called:
                await asyncio.sleep(0.01)
            assert one.handover.taken == {"tcp://a"}
            again.close()

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_one_that_was_ready_in_time_takes_over_however_late_it_is_heard(tmp_path, monkeypatch) -> None:
    """It takes calls, and would have to end."""
    until = passing._until

    async def story() -> None:
        async with world(tmp_path) as one:
            channel = await passing.dial(str(tmp_path), SIDECAR)
            assert channel is not None

            async def over(sock: socket.socket, *, write: bool) -> None:
                listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                if one.handover._next is None or not sock.getsockname() or listens:
                    await until(sock, write=write)
                    return
                await channel.send({"ready": ["tcp://a"]})  # the other one waits for that, and its time is over
                raise TimeoutError

            monkeypatch.setattr(passing, "_until", over)
            await channel.send({"want": "takeover"})
            assert (await one.hear(channel)) == {"directory": True}
            while not one.stop.called:
                await asyncio.sleep(0)
            assert one.handover.taken == {"tcp://a"}
            channel.close()

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_descriptors_that_come_along_are_closed(tmp_path: Path) -> None:
    async def story() -> None:
        async with world(tmp_path) as one:
            before = 0
            for turn in range(20):
                channel = await one.next()
                await channel.send({"ready": 5}, [0, 0, 0])
                await one.hear(channel)
                channel.close()
                if not turn:
                    before = len(os.listdir("/proc/self/fd"))
            assert len(os.listdir("/proc/self/fd")) <= before + 3

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_without_descriptors_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accept, wanting = Door.accept, [OSError(errno.EMFILE, os.strerror(errno.EMFILE))] * 3

    async def scarce(door: Door) -> Channel:
        if wanting:
            raise wanting.pop()
        return await accept(door)

    async def story() -> None:
        monkeypatch.setattr(handover, "AGAIN", 0.01)
        monkeypatch.setattr(Door, "accept", scarce)
        async with world(tmp_path) as one:
            (await one.next()).close()
            assert not wanting

    asyncio.run(asyncio.wait_for(story(), PATIENCE))
