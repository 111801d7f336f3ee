"""A thread's own connection and the time of its call: no other end makes it longer, and no place of it stays taken."""

from __future__ import annotations

import itertools
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sdk_world import PATIENCE

from meshfast import dubbo
from meshfast.sdk.errors import CallTimeout
from meshfast.sdk.lines import Lines, Unsent
from meshfast.sdk.link import Timing

SOON = 0.3  # seconds of a call that is to end by itself, where the other end would go on for ever
#: A heartbeat that asks for an answer, of a MiB.
LONG = dubbo.heartbeat(5)[:12] + (1 << 20).to_bytes(4, "big") + bytes(1 << 20)
Other = Callable[[socket.socket], None]


def frame(sock: socket.socket) -> bytes:
    head = sock.recv(16, socket.MSG_WAITALL)
    return head + sock.recv(int.from_bytes(head[12:16], "big"), socket.MSG_WAITALL)


def greeted(sock: socket.socket) -> None:
    """Answers the heartbeat of a line that begins."""
    got = frame(sock)
    sock.sendall(bytes([0xDA, 0xBB, got[2] & 0x3F, 20]) + got[4:])


def answered(sock: socket.socket) -> bool:
    """Answers a call; False: there is none."""
    if got := frame(sock):
        sock.sendall(dubbo.encode_response(int.from_bytes(got[4:12], "big"), "yes"))
    return bool(got)


@contextmanager
def lined(path: Path, other: Other, **timing: float) -> Iterator[Lines]:
    """Lines to an other end that is a thread of the test's for each connection."""
    heard: list[socket.socket] = []

    def answering(sock: socket.socket) -> None:
        with suppress(OSError):
            other(sock)

    def accepting() -> None:
        with suppress(OSError):
            while True:
                heard.append(listener.accept()[0])
                threads.append(threading.Thread(target=answering, args=(heard[-1],)))
                threads[-1].start()

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        threads = [threading.Thread(target=accepting)]
        threads[0].start()
        times = Timing(**{"silent": PATIENCE, "lost": PATIENCE, **timing})
        found = Lines(f"unix://{path}", times, 2, 8 << 20, lambda: None)
        found.follow(True, False, "")
        try:
            yield found
        finally:
            found.follow(False, True, "the test is over")
            for one in (listener, *heard):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(PATIENCE)
            for sock in heard:
                sock.close()


def request(number: int = 1, size: int = 10) -> bytes:
    return dubbo.encode_request(number, "com.x.Cart", "hi", ("x" * size,))


def ends(lines: Lines, size: int, error: type[Exception]) -> BaseException:
    """What a call ends with, while its other end goes on as it does."""
    done: list[BaseException] = []

    def ask() -> None:
        with pytest.raises(error) as failed:
            lines.ask(1, request(1, size), SOON, False)
        done.append(failed.value)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    assert done and not lines.busy
    return done[0]


@pytest.mark.parametrize("silent", [0.02, PATIENCE])
def test_a_long_request_that_is_taken_slowly_ends_with_its_call(tmp_path: Path, silent: float) -> None:
    """Some of it is taken all the time, and never all: what is sent goes on for as long as it is let."""
    over = threading.Event()

    def slow(sock: socket.socket) -> None:
        greeted(sock)
        answered(sock)
        while not over.is_set() and sock.recv(4096):
            over.wait(0.01)

    with lined(tmp_path / "a.sock", slow, silent=silent) as lines:
        lines.ask(1, request(), PATIENCE, False)
        ends(lines, 7_000_000, CallTimeout)
        over.set()
        assert lines.counters["timeouts"] == 1


@pytest.mark.parametrize("pieces", [[dubbo.heartbeat(5)], [LONG[at : at + 1] for at in range(1000)], [LONG]])
def test_a_greeting_that_never_comes_ends_with_its_call(tmp_path: Path, pieces: list[bytes]) -> None:
    """Heartbeats of the other end's, one that comes a byte at a time, or is longer than any."""
    over = threading.Event()

    def trickle(sock: socket.socket) -> None:
        for piece in itertools.cycle(pieces):
            if over.wait(0.01):
                return
            sock.sendall(piece)
            with suppress(BlockingIOError):  # what is answered
                sock.recv(1 << 16, socket.MSG_DONTWAIT)

    with lined(tmp_path / "a.sock", trickle) as lines:
        assert ends(lines, 10, Unsent).ended  # type: ignore[attr-defined]
        over.set()


@pytest.mark.parametrize("flood", [LONG, dubbo.heartbeat(5)])
def test_who_asks_for_heartbeats_and_reads_none_holds_no_call(tmp_path: Path, flood: bytes) -> None:
    def asks(sock: socket.socket) -> None:
        greeted(sock)
        frame(sock)
        while True:
            sock.sendall(flood)

    with lined(tmp_path / "a.sock", asks) as lines:
        ends(lines, 10, Exception)


def test_a_handler_of_signals_may_call(tmp_path: Path) -> None:
    """Wherever it comes: here in the midst of a count."""

    def answers(sock: socket.socket) -> None:
        greeted(sock)
        while answered(sock):
            pass

    class Counting(Counter[str]):
        calls = 0

        def __setitem__(self, key: str, value: int) -> None:
            self.calls += 1
            if self.calls == 1:
                done.append(lines.ask(2, request(2), PATIENCE, False))
            super().__setitem__(key, value)

    done: list[Any] = []
    with lined(tmp_path / "a.sock", answers) as lines:
        lines.counters = Counting()
        asking = threading.Thread(target=lambda: done.append(lines.ask(1, request(), PATIENCE, False)), daemon=True)
        asking.start()
        asking.join(PATIENCE)
        assert len(done) == 2 and not lines.busy


def test_an_interrupted_beginning_takes_no_place(tmp_path: Path) -> None:
    class Interrupting:
        def __init__(self, lock: Any) -> None:
            self.lock, self.times = lock, 0

        def __enter__(self) -> None:
            self.lock.acquire()

        def __exit__(self, *error: Any) -> None:
            self.lock.release()
            self.times += 1
            if self.times == 1:
                raise KeyboardInterrupt

    with lined(tmp_path / "a.sock", greeted) as lines:
        lines._lock = Interrupting(lines._lock)  # type: ignore[assignment]
        with pytest.raises(KeyboardInterrupt):
            lines.ask(1, request(), PATIENCE, False)
        assert not lines.busy
