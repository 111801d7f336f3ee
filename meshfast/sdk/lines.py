"""Connections of threads to the sidecar: a thread that waits for its answer sends and reads by itself.

Where a call goes by the loop's thread, it takes two changes of threads and two turns of the loop; here it takes one
send and one wait. A line has one call at a time, and what is not as it is to be ends the line, never another's call.
Whether the sidecar is there is for the link to say: lines are taken while it is, and a line that hears nothing has it
asked. What was not sent on a line goes the other way, unseen.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import NoReturn

from meshfast import dubbo
from meshfast._core import exchange
from meshfast.address import reach
from meshfast.errors import ProtocolError
from meshfast.sdk.codec import HEAD, Answer
from meshfast.sdk.errors import BadAnswer, CallTimeout, ConnectionLost
from meshfast.sdk.link import Timing

__all__ = ["Lines", "Unsent"]

_MAGIC = 0xDABB
_REQUEST, _TWO_WAY, _EVENT = 0x80, 0x40, 0x20
#: Bytes that are read at once.
READ = 64 * 1024
#: Seconds after which a line that nobody used is not used again. The sidecar asks after a minute whether anybody is
#: there, which nobody would answer, and a call that is sent as it closes the line may have been executed.
IDLE = 30.0
#: Bytes of an event's body, as of those that the sidecar takes.
EVENT = 1024
_TIME = struct.Struct("@ll")


class Unsent(Exception):
    """Nothing of the call was sent: it is to go another way. ``ended``: as its line has no other end any more."""

    ended = False


class _Gone(Unsent):
    ended = True


class _Ended(Exception):
    """The line's other end is gone, or is none."""


class Lines:
    """Those of one client, at most ``most``. ``doubted`` is called in any thread: a call waits, and nothing comes.
    ``counters``: as those of ``Client``."""

    def __init__(
        self, address: str, timing: Timing, most: int, max_answer: int, doubted: Callable[[], None]
    ) -> None:  # fmt: skip
        self.address, self.timing, self.max_answer, self.doubted = address, timing, max_answer, doubted
        self.counters: Counter[str] = Counter()
        self.is_open = False
        self.why = "the connection to the sidecar has ended"
        self._most = most
        self._lock = threading.RLock()  # as a handler of signals may make a call while its thread is in here
        self._idle: list[_Line] = []
        self._busy: set[_Line] = set()

    @property
    def busy(self) -> int:
        """Calls that wait for their answers."""
        return len(self._busy)

    def follow(self, is_open: bool, cut: bool, why: str) -> None:
        """Whether calls may go to the sidecar now. ``cut``: those that wait there are lost, by ``why``."""
        with self._lock:
            self.is_open = is_open
            idle: list[_Line] = []
            if not is_open:
                idle, self._idle = self._idle, []
            if cut:
                self.why = why
                for each in self._busy:
                    each.cut()
        for each in idle:
            each.close()

    def ask(self, number: int, frame: bytes, seconds: float, idempotent: bool) -> Answer:
        """The answer to a request.

        :raises Unsent: nothing of it was sent
        :raises CallError: as ``Service.call``
        """
        deadline = time.monotonic() + seconds
        left: list[_Line] = []
        line: _Line | None = None
        is_good = False
        try:
            with self._lock:
                if not self.is_open or len(self._busy) >= self._most:
                    raise Unsent
                if self._idle and self._idle[-1].used < time.monotonic() - IDLE:  # it was used last
                    left, self._idle = self._idle, []
                line = self._idle.pop() if self._idle else _Line(self)
                self._busy.add(line)
            for each in left:
                each.close()
            answer = line.ask(number, frame, deadline)
            is_good = not line.retired
            return answer
        except _Ended as error:
            if line is None or not line.sent:
                raise _Gone from None
            if not idempotent:
                self.count("lost")
            raise ConnectionLost(f"{error}; the call may have been executed") from None
        finally:  # whatever ended it, an interrupt too: nobody else gets what may still come
            if line is not None:
                self._give_back(line, is_good)

    def _give_back(self, line: _Line, is_good: bool) -> None:
        with self._lock:
            self._busy.discard(line)
            is_good = is_good and self.is_open
            if is_good:
                line.used = time.monotonic()
                self._idle.append(line)
        if not is_good:
            line.close()

    def count(self, name: str) -> None:
        with self._lock:
            self.counters[name] += 1


class _Line:
    """One connection, of the thread that has it. ``sent``: some of the call's bytes are; ``retired``: it is to have no
    more calls; ``used``: when its last one ended."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._sock: socket.socket | None = None
        self._is_cut = False
        self._chunks: list[bytes] = []
        self._have = self._need = 0  # bytes of those, and from which on there is a frame
        self._poll = select.poll()
        self.sent = self.retired = False
        self.used = 0.0

    def ask(self, number: int, frame: bytes, deadline: float) -> Answer:
        self.sent = False
        if self.retired:
            raise _Ended("the sidecar is leaving")
        sock = self._sock
        if sock is None:
            sock = self._sock = self._connected(deadline)
            if self._is_cut:  # meanwhile: it may not have been seen that there is a socket
                raise _Ended(self._lines.why)
        silent = self._lines.timing.silent
        left = deadline - time.monotonic()
        sent, came, error = exchange(sock.fileno(), frame, -1 if left > silent else max(0, int(left * 1000)))
        self.sent = sent > 0
        if error == errno.EAGAIN:
            if sent == len(frame):  # nothing came for a while; else there is no room
                self._lines.doubted()
        elif error:
            raise _broken(OSError(error, os.strerror(error)))
        if sent < len(frame):
            if not sent and self._poll.poll(0):  # of what came since only its end matters, and that it is to end
                self._read(sock, 0)
                if self.retired:
                    raise _Ended("the sidecar is leaving")
            self._send(sock, memoryview(frame)[sent:], deadline)
        self._lines.count("calls")
        answer = self._took(sock, came, number) if came is not None else None
        while answer is None:
            left = deadline - time.monotonic()
            if left <= 0:
                self._late()
            if left < silent and not self._poll.poll(left * 1000):
                continue
            try:
                answer = self._read(sock, number)
            except BlockingIOError:
                self._lines.doubted()
        return answer

    def cut(self) -> None:
        """From another thread: whoever waits for it hears that it has ended."""
        self._is_cut, sock = True, self._sock
        if sock is not None:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # it is closed, or not connected
                pass

    def close(self) -> None:
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def _connected(self, deadline: float) -> socket.socket:
        """A connection that has answered a heartbeat."""
        timing = self._lines.timing
        deadline = min(deadline, time.monotonic() + timing.lost)  # of all of it
        sock: socket.socket | None = None
        try:
            sock = reach(self._lines.address, _left(deadline))
            sock.sendall(dubbo.heartbeat(-1))
            while True:
                head = _exactly(sock, HEAD.size, deadline)
                magic, flags, _, number, length = HEAD.unpack(head)
                if magic != _MAGIC or not flags & _EVENT or not 0 <= length <= EVENT:
                    raise _Ended("what came is not Dubbo2")
                body = _exactly(sock, length, deadline)
                if not flags & _REQUEST:
                    break
                self._event(sock, head + body)  # the sidecar asks, too
            if number != -1:
                raise _Ended("what came is not Dubbo2")
            sock.settimeout(None)
            whole = int(timing.silent)
            wait = _TIME.pack(whole, max(1, int(1e6 * (timing.silent - whole))))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
        except BaseException as error:
            if sock is not None:
                sock.close()
            if isinstance(error, OSError | struct.error):
                raise _Ended(str(error)) from None
            raise
        self._poll.register(sock, select.POLLIN)
        return sock

    def _send(self, sock: socket.socket, left: memoryview, deadline: float) -> None:
        """The rest, as there is room: however slowly that is made, it ends with the time of the call."""
        room, silent = select.poll(), self._lines.timing.silent
        room.register(sock, select.POLLOUT)
        while left:
            wait = deadline - time.monotonic()
            if wait <= 0:
                if not self.sent:
                    raise _Ended("it took nothing of the request in time")
                self._late()
            if not room.poll(1000 * min(wait, silent)):  # it takes nothing for a while
                if wait > silent:
                    self._lines.doubted()
                continue
            try:
                left = left[sock.send(left, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise _broken(error) from None
            self.sent = True

    def _late(self) -> NoReturn:
        self._lines.count("timeouts")
        raise CallTimeout("no answer in time; it may have been executed")

    def _read(self, sock: socket.socket, number: int) -> Answer | None:
        """What comes next: the answer, if it is whole.

        :raises BlockingIOError: nothing came for a while
        """
        try:
            data = sock.recv(max(READ, self._need - self._have))
        except BlockingIOError:
            raise
        except OSError as error:
            raise _broken(error) from None
        return self._took(sock, data, number)

    def _took(self, sock: socket.socket, data: bytes, number: int) -> Answer | None:
        if not data:
            raise _Ended(self._lines.why if self._is_cut else "the connection to the sidecar has ended")
        self._chunks.append(data)
        self._have += len(data)
        if self._have < self._need:
            return None
        data = b"".join(self._chunks) if len(self._chunks) > 1 else data
        at, end, found = 0, len(data), None
        self._need = HEAD.size
        while end - at >= HEAD.size:
            magic, flags, status, its, length = HEAD.unpack_from(data, at)
            if magic != _MAGIC or length < 0:
                raise _Ended("what came is not Dubbo2")
            if flags & _EVENT and length > EVENT:
                raise _Ended(f"an event of {length} bytes came")
            if length > self._lines.max_answer:
                if not number:
                    raise _Ended("what came is longer than any answer may be")
                self._lines.count("max_answer")
                raise BadAnswer(f"the answer has {length} bytes: maxAnswer is {self._lines.max_answer}, raise it")
            following = at + HEAD.size + length
            if following > end:
                self._need = following - at
                break
            if flags & (_REQUEST | _EVENT):
                self._event(sock, data[at:following])
            elif its == number and found is None:
                found = (flags, status, data[at + HEAD.size : following])
            at = following
        self._have = end - at
        self._chunks = [data[at:]] if at < end else []
        return found

    def _event(self, sock: socket.socket, frame: bytes) -> None:
        """A heartbeat is answered; READONLY is heeded; a call of the other side is none of ours, and is left."""
        flags = frame[2]
        if not flags & _EVENT or not flags & _REQUEST:
            return
        if flags & _TWO_WAY:
            answer = bytes([0xDA, 0xBB, flags & 0x3F, dubbo.Status.OK]) + frame[4:]
            try:
                sent = sock.send(answer, socket.MSG_DONTWAIT)
            except OSError as error:
                raise _broken(error) from None
            if sent < len(answer):
                raise _Ended("it asks for heartbeats, and does not read them")
        try:
            self.retired |= dubbo.event(frame) == "readonly"
        except ProtocolError:
            return


def _broken(error: OSError) -> _Ended:
    return _Ended(f"the connection to the sidecar broke: {error}")


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("it did not answer in time")
    return left


def _exactly(sock: socket.socket, size: int, deadline: float) -> bytes:
    found = b""
    while len(found) < size:
        sock.settimeout(_left(deadline))
        more = sock.recv(size - len(found))
        if not more:
            raise _Ended("it closed the connection at once")
        found += more
    return found
