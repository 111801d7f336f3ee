"""One connection of Dubbo2: answers by their ids, heartbeats, READONLY."""

from __future__ import annotations

from meshfast import dubbo
from meshfast.errors import ProtocolError
from meshfast.sdk.codec import HEAD, Answer
from meshfast.sdk.errors import BadAnswer
from meshfast.sdk.wire import Owner, Wire

__all__ = ["DubboWire"]

_MAGIC = 0xDABB
_REQUEST, _TWO_WAY, _EVENT = 0x80, 0x40, 0x20
#: Bytes of one write; the socket is asked after each whether it takes more.
WRITE = 256 * 1024
#: Bytes of an event at most, a heartbeat or READONLY: they are sent back.
EVENT = 1024


class DubboWire(Wire):
    """See ``Wire``. Frames are bytes, answers ``codec.Answer``."""

    def __init__(self, owner: Owner, silent: float, lost: float) -> None:
        super().__init__(owner, silent, lost)
        self._chunks: list[bytes] = []
        self._have = self._need = self._skip = 0

    @staticmethod
    def within(frame: bytes, milliseconds: int) -> bytes:
        return dubbo.stamp(frame, {"timeout": str(milliseconds)})

    def _heartbeat(self) -> None:
        self._put(dubbo.heartbeat(-1))

    def connection_lost(self, error: Exception | None) -> None:
        self._chunks.clear()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        self._noted()
        if self._skip:
            passed = min(self._skip, len(data))
            self._skip -= passed
            data = data[passed:]
        self._have += len(data)
        if self._chunks:
            self._chunks.append(data)
            if self._have < self._need:
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        at = self._read(data)
        self._have, self._need = len(data) - at, max(self._need, 16)
        if self._have > 0:
            self._chunks.append(data[at:] if at else data)

    def _flush(self) -> None:
        self._scheduled = False
        pending, calls = self.pending, self._owner.calls
        if self._paused or not pending or self._transport is None or self._transport.is_closing():
            return  # what is left when the connection has ended was not sent
        frames, size, given = [], 0, 0
        for call in pending:
            given += 1
            if call.wire is not self or call.future.done():
                continue  # its caller has left, or its time is up: nothing of it is sent
            call.sends += 1
            call.sent = True
            frames.append(call.frame)
            if call.two_way:
                self.sent += 1
            else:
                calls.pop(call.number, None)
                call.wire = None
                call.future.set_result(None)
            size += len(call.frame)
            if size >= WRITE:
                self._put(frames[0] if len(frames) == 1 else b"".join(frames))
                frames, size = [], 0
                if self._paused or self.closed:
                    break
        del pending[:given]
        if frames:
            self._put(frames[0] if len(frames) == 1 else b"".join(frames))
        if self.sent:
            self._watch()
        if self.retired:
            self._retire()

    def _read(self, data: bytes) -> int:
        """Every whole frame; gives where the next begins, and sets how many bytes that needs."""
        at, end = 0, len(data)
        calls = self._owner.calls
        while end - at >= 16:
            magic, flags, status, number, length = HEAD.unpack_from(data, at)
            if magic != _MAGIC or length < 0:
                self.drop("what came is not Dubbo2")
                return end
            following = at + 16 + length
            if flags & (_REQUEST | _EVENT):
                most = EVENT if flags & _EVENT else self._owner.max_answer
                if length > most:
                    self._owner.over("max_event")
                    self.drop(f"an event of {length} bytes came, of {most} at most")
                    return end
                if following > end:
                    break
                if not self._event(data[at:following], flags):
                    return end
            else:
                call = calls.get(number)
                if call is not None and (call.wire is not self or not call.sent):
                    call = None  # it has been given to another connection since
                if call is None and (following <= end or length > self._owner.max_answer):
                    self._owner.late()
                if length > self._owner.max_answer:
                    if call is not None:
                        self._owner.over("max_answer")
                        most = self._owner.max_answer
                        self._fail(call, BadAnswer(f"the answer has {length} bytes: maxAnswer is {most}, raise it"))
                    self._skip = max(0, following - end)
                    at = min(following, end)
                    continue
                if following > end:
                    break
                if call is not None:
                    answer: Answer = (flags, status, data[at + 16 : following])
                    self._answer(call, answer)
            at = following
        self._need = following - at if end - at >= 16 else 16
        return at

    def _event(self, frame: bytes, flags: int) -> bool:
        """A heartbeat is answered; READONLY is told; a call of the other side is none of ours, and is left. False: the
        connection ends with it."""
        if not flags & _EVENT or not flags & _REQUEST:
            return True
        if flags & _TWO_WAY:
            head = bytes([0xDA, 0xBB, flags & 0x3F, dubbo.Status.OK])
            if not self._control(head + frame[4:]):
                self.drop("it asks for heartbeats and does not read them")
                return False
        try:
            said = dubbo.event(frame)
        except ProtocolError:
            return True
        if said == "readonly" and not self.is_readonly:
            self.is_readonly = True
            self._owner.readonly(self)
        return True
