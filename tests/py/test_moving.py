"""What one sidecar says to the next of connections that go on there."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from meshfast.errors import ProtocolError
from meshfast.moving import Arrivals
from meshfast.passing import Channel

KEY = "tcp://127.0.0.1:20880"
Row = list[Any]


class Engine:
    """Takes each at its second asking, and what is ``bad`` never."""

    def __init__(self, bad: bool = False) -> None:
        self.bad, self.asked = bad, 0
        self.taken: list[tuple[object, ...]] = []

    def adopt(self, name: str, fd: int, *more: object) -> bool:
        self.asked += 1
        if self.bad:
            raise OSError(16, "it ends")
        if self.asked % 2:
            return False
        self.taken.append((name, *more))
        os.close(fd)
        return True


def offer(rows: object) -> dict[str, Any]:
    return {"keys": [KEY, "unix:///x"], "connections": rows}


def file(data: bytes) -> int:
    fd = os.memfd_create("test")
    os.write(fd, data)
    return fd


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def told(engine: Engine, *said: tuple[dict[str, Any], list[int]]) -> Arrivals:
    """What is said to one that takes connections of KEY, whose name is ``in``."""
    one = Arrivals(engine, {KEY: "in"})

    async def story() -> None:
        ours, theirs = (Channel(sock) for sock in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        try:
            for message, fds in said:
                assert await one.take(ours, message, fds)
                if "connections" in message:
                    assert await theirs.recv() == ({"have": len(message["connections"])}, [])
        finally:
            ours.close()
            theirs.close()

    asyncio.run(story())
    return one


def test_they_go_on_once_they_are_ours() -> None:
    engine, fds = Engine(), [file(b""), file(b""), file(b"abcde")]
    rows: list[Row] = [[0, True, 7, 8, 3], [0, False, 0, 9, 2]]
    one = told(engine, (offer(rows), fds))
    assert engine.asked == 0 and one.count == 0
    assert [is_open(fd) for fd in fds] == [True, True, False]
    asyncio.run(one.go_on())
    assert engine.taken == [("in", True, 7, 8, b"abc"), ("in", False, 0, 9, b"de")]
    assert one.count == 2 and not any(map(is_open, fds))


@pytest.mark.parametrize("last", [{"back": True}, {"go": True}])
def test_none_is_left_open(last: dict[str, Any]) -> None:
    """It is taken back, or cannot be gone on with."""
    fd = file(b"")
    one = told(Engine(bad=True), (offer([[0, True, 0, 0, 0]]), [fd]), (last, []))
    assert not is_open(fd) and one.count == 0


BAD: dict[str, Callable[[], tuple[Any, list[int]]]] = {
    "no list": lambda: (7, [file(b"")]),
    "a row of one": lambda: ([[0]], [file(b"")]),
    "another listener": lambda: ([[1, True, 0, 0, 0]], [file(b"")]),
    "no listener's number": lambda: ([[2, True, 0, 0, 0]], [file(b"")]),
    "one below 0": lambda: ([[-2, True, 0, 0, 0]], [file(b"")]),
    "no listener at all": lambda: ([[KEY, True, 0, 0, 0]], [file(b"")]),
    "a number below 0": lambda: ([[0, True, -1, 0, 0]], [file(b"")]),
    "a number too large": lambda: ([[0, True, 0, 1 << 64, 0]], [file(b"")]),
    "no number": lambda: ([[0, True, "many", 0, 0]], [file(b"")]),
    "no sockets": lambda: ([[0, True, 0, 0, 0]], []),
    "too many sockets": lambda: ([[0, True, 0, 0, 0]], [file(b""), file(b"")]),
    "less than came": lambda: ([[0, True, 0, 0, 5]], [file(b""), file(b"abc")]),
    "no file of what came": lambda: ([[0, True, 0, 0, 5]], [os.open("/", os.O_PATH)]),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_read(what: str) -> None:
    rows, fds = BAD[what]()
    with pytest.raises(ProtocolError, match="connections that cannot be read"):
        told(Engine(), (offer(rows), fds))
    assert not any(map(is_open, fds))


def test_others_are_held() -> None:
    fds = [file(b""), file(b"")]
    rows = [[0, True, 0, 0, 0]]
    with pytest.raises(ProtocolError, match="others are held"):
        told(Engine(), (offer(rows), fds[:1]), (offer(rows), fds[1:]))
    assert not is_open(fds[1])
    os.close(fds[0])
