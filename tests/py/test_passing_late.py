"""Messages between two processes that come late, or as the other one ends: what was said is heard."""

from __future__ import annotations

import asyncio
import socket

import pytest
from proxies import PATIENCE
from test_moved_out import pair, run

from meshfast import passing


def test_what_is_there_when_the_time_is_over_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where this process was frozen for that long."""

    async def story() -> None:
        ours, theirs = pair()

        async def over(sock: socket.socket, *, write: bool) -> None:
            await theirs.send({"go": True})
            raise TimeoutError

        monkeypatch.setattr(passing, "_until", over)
        assert await ours.recv(PATIENCE) == ({"go": True}, [])
        ours.close()
        theirs.close()

    run(story())


def test_the_time_is_over_and_nothing_is_there() -> None:
    async def story() -> None:
        ours, theirs = pair()
        with pytest.raises(TimeoutError):
            await ours.recv(0.01)
        await theirs.send({"a": 1})
        assert await ours.recv(0) == ({"a": 1}, [])
        ours.close()
        theirs.close()

    run(story())


def test_the_last_words_of_one_that_did_not_hear_all() -> None:
    async def story() -> None:
        ours, theirs = pair()
        await theirs.send({"back": True})
        await theirs.send({"yours": True})
        await ours.send({"have": 1})
        theirs.close()
        assert [await ours.recv() for _ in range(3)] == [({"back": True}, []), ({"yours": True}, []), None]
        ours.close()

    run(story())


def test_whether_there_is_something_to_hear() -> None:
    async def story() -> None:
        ours, theirs = pair()
        assert not ours.told
        await theirs.send({"a": 1})
        assert ours.told
        await ours.recv()
        assert not ours.told
        theirs.close()
        assert ours.told
        ours.close()

    asyncio.run(story())
