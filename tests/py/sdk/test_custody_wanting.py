"""An application that keeps a sidecar's listeners has no descriptors for a while: nobody waits where nobody listens."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from peers import Caller, until
from takeovers import CART

from meshfast import passing
from meshfast.passing import SIDECAR, Channel, Door, custodian
from meshfast.sdk.serve import Offer, Serving

PATIENCE = 60.0


class Side:
    """A sidecar that gives its one listener to whoever asks."""

    def __init__(self, state: Path) -> None:
        state.mkdir(mode=0o700)
        self.sock = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self.sock.getsockname())
        at = os.open(state, os.O_RDONLY)
        self._door = Door(at, SIDECAR)
        os.close(at)
        self.channels: list[Channel] = []
        self.gave = 0
        self._tasks = [asyncio.ensure_future(self._accept())]

    async def _accept(self) -> None:
        while True:
            self.channels.append(await self._door.accept())
            self._tasks.append(asyncio.ensure_future(self._give(self.channels[-1])))

    async def _give(self, channel: Channel) -> None:
        if await channel.recv() is not None:
            self.gave += 1
            await channel.send({"at": "tcp://in"}, [self.sock.fileno()])
            await channel.send({"all": 1})

    async def die(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._door.close()
        for channel in self.channels:
            channel.close()
        self.sock.close()


def play(tmp_path: Path, story: Callable[[Side, Serving], Awaitable[None]]) -> None:
    async def run() -> None:
        side = Side(tmp_path / "state")
        async with Serving(None, Offer(CART, {"hi": lambda said: f"app:{said}"}), state=str(tmp_path / "state")) as one:
            try:
                await story(side, one)
            finally:
                await side.die()

    asyncio.run(asyncio.wait_for(run(), 4 * PATIENCE))


async def kept(serving: Serving) -> None:
    custody = serving.custody
    assert custody is not None
    await until(lambda: custody.kept == 1, PATIENCE)


async def served(address: str) -> None:
    caller = await Caller.connect(address)
    assert (await asyncio.wait_for(caller.ask(CART, "x"), PATIENCE)).value == "app:x"
    await caller.close()


class Wanting:
    """In the place of a function: the first times there are no descriptors."""

    def __init__(self, function: Callable[..., Any], times: int = 2) -> None:
        self._function, self.left = function, times

    def __call__(self, *args: Any) -> Any:
        if self.left:
            self.left -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return self._function(*args)


def test_what_cannot_be_given_back_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(side: Side, serving: Serving) -> None:
        await until(lambda: not wanting.left, PATIENCE)
        await kept(serving)
        assert side.gave == 1
        await side.die()
        await served(side.address)

    wanting = Wanting(Door)
    monkeypatch.setattr("meshfast.sdk.custody.Door", wanting)
    play(tmp_path, story)
    assert caplog.text.count("Too many open files") == 1


def test_a_directory_that_others_may_write_to_is_looked_at_again(tmp_path: Path) -> None:
    async def story(side: Side, serving: Serving) -> None:
        (tmp_path / "state").chmod(0o777)
        await until(lambda: len(side.channels) > 1, PATIENCE)
        assert serving.custody is not None and not serving.custody.kept and not side.gave
        (tmp_path / "state").chmod(0o700)
        await kept(serving)
        await side.die()
        await served(side.address)

    play(tmp_path, story)


def test_who_calls_in_is_taken_once_there_are_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(side: Side, serving: Serving) -> None:
        await kept(serving)
        wanting = Wanting(os.dup)
        monkeypatch.setattr("os.dup", wanting)
        await side.die()
        await served(side.address)
        assert not wanting.left and serving.custody is not None and serving.custody.times == 1

    play(tmp_path, story)


def test_the_next_sidecar_is_heard_once_there_are_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(side: Side, serving: Serving) -> None:
        await kept(serving)
        door = serving.custody._door  # type: ignore[union-attr]
        assert door is not None
        sock, wanting = door._sock, Wanting(door._sock.accept)
        monkeypatch.setattr(door, "_sock", Accepts(sock, wanting))
        await side.die()
        for _ in range(3):
            channel = await passing.dial(str(tmp_path / "state"), custodian(serving.port))
            assert channel is not None
            await channel.send({"want": "listeners"})
            found = await asyncio.wait_for(channel.recv(), PATIENCE)
            assert found is not None and found[0] == {"at": "tcp://in"}
            for fd in found[1]:
                os.close(fd)
            channel.close()
        assert not wanting.left

    play(tmp_path, story)


def test_who_has_given_them_back_takes_nobody(tmp_path: Path) -> None:
    """The next sidecar, which has them by then, turns the application away for what it asks itself at that moment."""

    async def story(side: Side, serving: Serving) -> None:
        await kept(serving)
        custody = serving.custody
        assert custody is not None
        await side.die()
        at = os.open(tmp_path / "state", os.O_RDONLY)
        door = Door(at, SIDECAR)
        os.close(at)
        asked = await asyncio.wait_for(door.accept(), PATIENCE)
        assert await asked.recv() is not None
        channel = await passing.dial(str(tmp_path / "state"), custodian(serving.port))
        assert channel is not None
        await channel.send({"want": "listeners"})
        for _ in range(2):
            found = await channel.recv()
            assert found is not None
            for fd in found[1]:
                os.close(fd)
        await channel.send({"serving": ["tcp://in"]})
        await until(lambda: custody._with is not None, PATIENCE)
        await asked.send({"refused": "it is not ready yet"})
        await until(lambda: custody._with is None, PATIENCE)
        assert not custody.takes and custody.kept == 1
        for one in (asked, channel, door):
            one.close()

    play(tmp_path, story)


def test_what_comes_along_unasked_is_not_kept(tmp_path: Path) -> None:
    async def story(side: Side, serving: Serving) -> None:
        await kept(serving)
        before = len(os.listdir("/proc/self/fd"))
        await side.channels[-1].send({"more": True}, [0, 1, 2])
        for said in ({"want": "listeners"}, {"want": 1}, {"serving": 5}, {"serving": None}, {"else": []}):
            channel = await passing.dial(str(tmp_path / "state"), custodian(serving.port))
            assert channel is not None
            await channel.send({"want": "listeners"}, [0, 1, 2])
            for _ in range(2):
                found = await channel.recv()
                assert found is not None
                for fd in found[1]:
                    os.close(fd)
            await channel.send(said, [0, 1, 2])
            assert await asyncio.wait_for(channel.recv(), PATIENCE) is None
            channel.close()
        await until(lambda: len(os.listdir("/proc/self/fd")) == before, PATIENCE)
        assert serving.custody is not None and serving.custody.kept == 1

    play(tmp_path, story)


class Accepts:
    def __init__(self, sock: socket.socket, accept: Callable[[], Any]) -> None:
        self._sock, self.accept = sock, accept

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)
