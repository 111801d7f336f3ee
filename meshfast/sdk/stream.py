"""One call on its stream: what of it went out, and what came."""

from __future__ import annotations

from meshfast.sdk.flows import Flow
from meshfast.sdk.triple import Fields
from meshfast.sdk.wire import Call

__all__ = ["Stream"]


class Stream:
    """``room``: bytes that its window has, less those that each has to begin with; ``content``, ``answer`` and
    ``trailers`` are those of the answer."""

    __slots__ = ("answer", "at", "call", "content", "credit", "flow", "number", "over", "room", "trailers", "whole")

    def __init__(self, call: Call, number: int) -> None:
        self.call, self.number, self.room = call, number, 0
        self.at = 0  # bytes of the body that went out
        self.whole = False  # all of it did
        self.over = False  # all of the answer came
        self.answer: Fields | None = None
        self.trailers: Fields = []
        self.content = bytearray()
        self.credit = 0  # bytes that came and were not given back
        self.flow: Flow | None = call.frame.flow

    @property
    def size(self) -> int:
        """Bytes of its answer that are here."""
        return len(self.content) if self.flow is None else self.flow.size
