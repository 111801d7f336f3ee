"""What one sidecar does with the connections that it passes: each is the next one's, or its own again."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Coroutine

import pytest
from proxies import PATIENCE
from test_moving import Engine, file, is_open

from meshfast import moving
from meshfast.moving import Arrivals, move
from meshfast.passing import Channel

One = tuple[str, int, bool, int, int, bytes]


class Leaving(Engine):
    """``ring``: what has left; ``late``: what leaves, and is the last, right after it was looked into an empty one."""

    def __init__(self, ring: list[One], late: list[One], passing: bool = True) -> None:
        super().__init__()
        self.ring, self.late, self.drained, self.passing = ring, late, False, passing

    def pass_on(self, names: object) -> None:
        pass

    def passed(self, most: int) -> list[One]:
        found, self.ring = self.ring[:most], self.ring[most:]
        if not found and self.drained:
            self.ring, self.late, self.passing = self.late, [], False
        return found

    def drain(self) -> None:
        self.drained = True

    def counters(self) -> dict[str, int]:
        return {"limit_pass_timeout": 0}


def pair() -> tuple[Channel, Channel]:
    ours, theirs = (Channel(sock) for sock in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    return ours, theirs


def run(story: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(story, PATIENCE))


def connection(listener: str = "in") -> One:
    return listener, file(b""), True, 0, 0, b""


def test_what_leaves_last_is_gone_on_with() -> None:
    """Between the looks at what has left and at whether more may."""

    async def story() -> None:
        ours, theirs = pair()
        theirs.close()
        engine = Leaving([], [connection(), connection()])
        assert await move(engine, ours, {"in": "key"}, 0.5, lambda: 0) == (0, 2)
        assert len(engine.taken) == 2
        ours.close()

    run(story())


def test_one_that_does_not_answer_is_not_waited_for_longer_than_the_limit(monkeypatch, caplog) -> None:
    monkeypatch.setattr(moving, "ANSWER", 0.01)

    async def story() -> None:
        ours, theirs = pair()
        engine = Leaving([connection()], [])
        assert await move(engine, ours, {"in": "key"}, 0.0, lambda: 0) == (0, 1)
        found = await theirs.recv()
        assert found is not None and found[0]["connections"] == [[0, True, 0, 0, 0]]
        os.close(found[1][0])
        assert await theirs.recv() == ({"back": True}, [])
        assert "it has not answered in 0.01 s" in caplog.text
        ours.close()
        theirs.close()

    run(story())


@pytest.mark.parametrize("path", ["é" * 50, "\x01" * 100], ids=["letters", "controls"])
def test_many_at_a_path_that_is_long_in_a_message(path: str) -> None:
    async def story() -> None:
        ours, theirs = pair()
        keys = {f"in{n}": f"unix:///{n}{path}" for n in range(3)}
        engine, next_engine = Leaving([connection(f"in{n % 3}") for n in range(250)], [], passing=False), Engine()
        arrivals = Arrivals(next_engine, {key: name for name, key in keys.items()})

        async def take() -> None:
            while (found := await theirs.recv()) is not None:
                await arrivals.take(theirs, *found)

        taking = asyncio.create_task(take())
        assert await move(engine, ours, keys, 60, lambda: 0) == (250, 0)
        ours.close()
        await taking
        assert [one[0] for one in next_engine.taken] == [f"in{n % 3}" for n in range(250)]
        theirs.close()

    run(story())


@pytest.mark.parametrize("ends", [False, True])
def test_the_next_one_has_enough_or_has_gone(ends: bool) -> None:
    """It is not waited for what may leave yet."""

    async def story() -> None:
        ours, theirs = pair()
        if ends:
            theirs.close()
        else:
            await theirs.send({"enough": True})
        engine = Leaving([], [])
        assert await move(engine, ours, {"in": "key"}, 60, lambda: 0) == (0, 0)
        assert engine.drained
        ours.close()
        theirs.close()

    run(story())


def test_what_is_held_when_it_was_taken_back_is_left_alone() -> None:
    """The one before says that, its last word and ends, before the next one wakes: two must not read them."""

    async def story() -> None:
        ours, theirs = pair()
        engine, fd = Engine(), file(b"")
        await ours.send({"keys": ["key"], "connections": [[0, True, 0, 0, 0]]}, [fd])
        await ours.send({"back": True})
        ours.close()
        os.close(fd)
        arrivals = Arrivals(engine, {"key": "in"})
        for _ in range(2):
            found = await theirs.recv()
            assert found is not None
            await arrivals.take(theirs, *found)
        assert await theirs.recv() is None
        await arrivals.go_on()
        assert engine.taken == [] and not is_open(fd)
        theirs.close()

    run(story())
