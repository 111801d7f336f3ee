"""One request and what is answered to it first, without the GIL meanwhile."""

from __future__ import annotations

import errno
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from meshfast._core import exchange

PATIENCE = 60_000
FRAME = b"a request"


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(PATIENCE / 1000)
        yield ours, theirs


def impatient(sock: socket.socket) -> None:
    wait = struct.pack("@ll", 0, 1000)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)


@pytest.mark.parametrize("milliseconds", [-1, PATIENCE])
def test_an_answer(ends: tuple[socket.socket, socket.socket], milliseconds: int) -> None:
    """Both wait, so that one of them has to be without the GIL."""
    ours, theirs = ends
    got: list[bytes] = []

    def answer() -> None:
        got.append(theirs.recv(100))
        theirs.sendall(b"an answer")

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        assert exchange(ours.fileno(), FRAME, milliseconds) == (len(FRAME), b"an answer", 0)
    finally:
        thread.join()
    assert got == [FRAME]


def test_nothing_is_sent_where_something_came(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(b"!")
    assert exchange(ours.fileno(), FRAME, PATIENCE) == (0, None, 0)
    assert ours.recv(100) == b"!"
    theirs.close()
    assert exchange(ours.fileno(), FRAME, PATIENCE) == (0, None, 0)
    assert ours.recv(100) == b""


def test_nothing_comes(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    assert exchange(ours.fileno(), FRAME, 0) == (len(FRAME), None, 0)
    impatient(ours)
    assert exchange(ours.fileno(), FRAME, -1) == (len(FRAME), None, errno.EAGAIN)
    assert theirs.recv(100) == 2 * FRAME


def test_no_more_is_taken(ends: tuple[socket.socket, socket.socket]) -> None:
    """What was sent is told exactly, nothing too; and at once, however long its socket would wait."""
    ours, theirs = ends
    long = bytes(range(256)) * 100_000
    sent, came, error = exchange(ours.fileno(), long, -1)
    assert (0 < sent < len(long), came, error) == (True, None, 0)
    assert exchange(ours.fileno(), long, -1) == (0, None, errno.EAGAIN)
    got = b""
    while len(got) < sent:
        got += theirs.recv(1 << 20)
    assert got == long[:sent]


def test_the_other_end_goes(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    got: list[bytes] = []

    def leave() -> None:
        got.append(theirs.recv(100))
        theirs.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=leave)
    thread.start()
    try:
        assert exchange(ours.fileno(), FRAME, -1) == (len(FRAME), b"", 0)
    finally:
        thread.join()
    assert got == [FRAME]


def test_what_fails_is_told(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = ends
    ours.shutdown(socket.SHUT_WR)
    assert exchange(ours.fileno(), FRAME, -1) == (0, None, errno.EPIPE)  # and no signal
    with open("/dev/null", "rb") as no_socket:
        assert exchange(no_socket.fileno(), FRAME, -1)[0] == 0


def test_more_than_is_read_at_once_stays(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    long = bytes(range(256)) * 300

    def answer() -> None:
        theirs.recv(100)
        theirs.sendall(long)

    thread = threading.Thread(target=answer)
    thread.start()
    sent, came, error = exchange(ours.fileno(), FRAME, -1)
    assert came is not None and (sent, error) == (len(FRAME), 0)
    while len(came) < len(long):
        came += ours.recv(1 << 20)
    thread.join()
    assert came == long
