"""What stands between kazoo and its sockets: nothing is lost, doubled or kept back, however it comes in pieces."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator

import pytest

from meshfast.registry import kazoosockets
from meshfast.registry.kazoosockets import Buffered, Waker, wait, wakers


@pytest.fixture
def ends() -> Iterator[tuple[Buffered, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(30)
        one = Buffered(ours)
        one.setblocking(False)
        yield one, theirs


@pytest.fixture
def pair() -> Iterator[tuple[Waker, Waker]]:
    reader, writer = wakers()
    yield reader, writer
    reader.close()
    writer.close()


Ends = tuple[Buffered, socket.socket]
Pair = tuple[Waker, Waker]


def test_what_is_sent_goes_out_before_anybody_waits(ends: Ends) -> None:
    one, theirs = ends
    assert wait([], [one], 5) == ([], [one], [])
    assert one.send(b"ab") == 2 and one.send(memoryview(b"c")) == 1
    assert wait([one], [], 0) == ([], [], [])
    assert theirs.recv(10) == b"abc"


def test_what_came_at_once_is_read_in_pieces_without_waiting(ends: Ends) -> None:
    one, theirs = ends
    theirs.sendall(b"abcdef")
    assert wait([one], [], 30)[0] == [one] and one.pending() == 0
    assert one.recv(4) == b"abcd" and one.pending() == 2
    assert wait([one], [], 0) == ([one], [], [])
    assert one.recv(4) == b"ef" and wait([one], [], 0)[0] == []
    theirs.close()
    assert wait([one], [], 30)[0] == [one] and one.recv(4) == b""


def test_a_long_answer_is_whole(ends: Ends) -> None:
    one, theirs = ends
    data = random.Random(1).randbytes(3 * kazoosockets.READ + 17)
    thread = threading.Thread(target=theirs.sendall, args=(data,))
    thread.start()
    got = b""
    while len(got) < len(data):
        assert wait([one], [], 30)[0]
        got += one.recv(len(data) - len(got) if len(got) > 100 else 7)
    thread.join()
    assert got == data


def test_who_takes_nothing_is_an_error_and_not_waited_for(ends: Ends) -> None:
    one, theirs = ends
    while one.flush(0):
        one.send(bytes(kazoosockets.KEPT))
    with pytest.raises(TimeoutError, match="takes no requests"):
        wait([one], [], 0)
    thread = threading.Thread(target=lambda: [None for _ in iter(lambda: theirs.recv(1 << 20), b"")])
    thread.start()
    while not one.flush(30):
        pass
    one.close()  # which ends the other's reading
    thread.join()


def test_requests_that_are_kept_are_sent_while_others_are_woken_for(ends: Ends, pair: Pair) -> None:
    one, theirs = ends
    reader, writer = pair
    writer.send(b"\0")
    one.send(bytes(kazoosockets.KEPT))
    assert one.full and wait([one, reader], [], 0)[0] == [reader]
    assert len(theirs.recv(kazoosockets.KEPT)) > 0


def test_each_waking_is_seen_once(pair: Pair) -> None:
    reader, writer = pair
    threads = [threading.Thread(target=lambda: [writer.send(b"\0") for _ in range(1000)]) for _ in range(4)]
    for each in threads:
        each.start()
    for _ in range(4000):
        assert wait([reader], [], 30)[0] == [reader]
        assert reader.recv(1) == b"\0"
    for each in threads:
        each.join()
    assert wait([reader], [], 0)[0] == [] and reader.recv(1) == b""


def test_who_wakes_somebody_that_has_left_is_told(pair: Pair) -> None:
    reader, writer = pair
    writer.send(b"\0")
    writer.close()
    with pytest.raises(OSError):
        writer.send(b"\0")


def test_plain_sockets_are_waited_for_as_ever() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert wait([ours], [ours], 30) == ([], [ours], [])
        theirs.send(b"x")
        assert wait([ours], [], 30) == ([ours], [], [])
