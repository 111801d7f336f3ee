"""What goes and what comes of one call that streams, between who makes it and its connection.

Messages that were not sent wait here, and so do those that were not read: neither side gets further ahead of the other
than windows let it. What went out is kept, up to ``AGAIN`` bytes and until there is an answer, for a peer that has not
looked at it (REFUSED_STREAM, GOAWAY).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from meshfast.errors import StateError
from meshfast.sdk.errors import BadAnswer

__all__ = ["AHEAD", "Flow"]

#: Bytes that wait to be sent while one more is taken; that were sent and are kept.
AHEAD = AGAIN = 64 << 10
#: Bytes before a message: whether it is compressed, and its length.
PREFIX = 5


class Flow:
    """It is what a ``Call`` is settled by: its answer is the end of the stream. ``fields``: of the answer's head;
    ``ended``: no more goes; ``over``: no more comes; ``more``: called when something is to be sent, or was read;
    ``raw``: its messages are in no wrapper."""

    def __init__(self, raw: bool) -> None:
        self.raw = raw
        self.fields: Any = None
        self.answer: Any = None
        self.error: Any = None
        self.ended = self.over = False
        self.more: Callable[[int], None] | None = None
        self.waiting = self.kept = 0  # bytes to be sent; of whole messages that were not read
        self._out: deque[bytes] = deque()
        self._at = 0  # of the first
        self._sent: list[bytes] | None = []
        self._spare = AGAIN
        self._part = bytearray()
        self._came: deque[bytes] = deque()
        self._room, self._news = asyncio.Event(), asyncio.Event()
        self._room.set()

    # --- for a Call

    def done(self) -> bool:
        return self.over

    def set_result(self, answer: Any, /) -> None:
        self.answer = answer
        if self._part and answer.code is None:
            self.error = BadAnswer("the last message of the answer is not whole")
        self._end()

    def set_exception(self, error: Any, /) -> None:
        self.error = error
        self._end()

    def _end(self) -> None:
        self.over, self.more = True, None
        self._out.clear()
        self._part.clear()
        self._sent, self.waiting = None, 0
        self._room.set()
        self._news.set()

    # --- for who makes it

    async def put(self, message: bytes) -> None:
        """Sends it, once there is room. Who gives up until then has sent nothing of it.

        :raises StateError: after ``end``
        """
        while self.waiting > AHEAD and not self.ended:
            self._room.clear()
            await self._room.wait()
        if self.ended:
            raise StateError("nothing more can be sent after end()")
        self.add(message)

    def add(self, message: bytes) -> None:
        """Sends it, whatever waits. Nothing once it is over."""
        if self.over:
            return
        whole = b"\0" + len(message).to_bytes(4, "big") + message
        self._out.append(whole)
        self.waiting += len(whole)
        if self.more is not None:
            self.more(0)

    def end(self) -> None:
        """Nothing more goes."""
        self.ended = True
        self._room.set()
        if self.more is not None:
            self.more(0)

    async def next(self) -> bytes | None:
        """A message; None: there are no more."""
        while not self._came:
            if self.over:
                return None
            self._news.clear()
            await self._news.wait()
        message = self._came.popleft()
        self.kept -= PREFIX + len(message)
        if self.more is not None:
            self.more(PREFIX + len(message))
        return message

    async def opened(self) -> None:
        """Waits for the head of the answer, or its end."""
        while self.fields is None and not self.over:
            self._news.clear()
            await self._news.wait()

    # --- for its connection

    @property
    def size(self) -> int:
        """Bytes that came and were not read."""
        return self.kept + len(self._part)

    @property
    def done_sending(self) -> bool:
        return self.ended and not self._out

    def piece(self, most: int) -> bytes:
        """What goes next, of one message; b"": nothing now."""
        if not self._out or most <= 0:
            return b""
        first = self._out[0]
        found = first[self._at : self._at + most]
        self._at += len(found)
        self.waiting -= len(found)
        if self._at == len(first):
            self._out.popleft()
            self._at = 0
            self._spare -= len(first)
            if self._sent is not None:
                self._sent.append(first)
                if self._spare < 0:
                    self._sent = None
        if not self._out:
            self._room.set()
        return found

    def rewind(self) -> bool:
        """Nobody has looked at what went out: it goes again. False: it is not here any more."""
        if self._sent is None or self._spare < 0 or self.fields is not None:
            return False
        self._out.extendleft(reversed(self._sent))
        self._sent, self._at, self._spare, self.more = [], 0, AGAIN, None
        self.waiting = sum(map(len, self._out))
        return True

    def head(self, fields: Any) -> None:
        """The answer begins."""
        self.fields, self._sent = fields, None
        self._news.set()

    def took(self, content: bytes, most: int) -> None:
        """Some of the answer.

        :raises BadAnswer: a message that is compressed, or longer than that
        """
        part, at = self._part, 0
        part += content
        while len(part) - at >= PREFIX:
            length = int.from_bytes(part[at + 1 : at + PREFIX], "big")
            if part[at]:
                raise BadAnswer("a message is compressed, which was not asked for: have the provider not compress")
            if length > most:
                raise BadAnswer(f"a message has {length} bytes: max_answer is {most}, raise it")
            if len(part) - at - PREFIX < length:
                break
            at += PREFIX
            self._came.append(bytes(part[at : at + length]))
            self.kept += PREFIX + length
            at += length
        del part[:at]
        if at:
            self._news.set()
