"""HTTP/2 ends that do what a test says, frame by frame. A thread reads; the test waits for what came."""

from __future__ import annotations

import contextlib
import ctypes
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import hpack
from hyperframe import frame as frames

from .h2tap import PREFACE
from .process import HOST

Fields = list[tuple[str, str]]
NO_ERROR, PROTOCOL, INTERNAL, FLOW_CONTROL, SETTINGS_TIMEOUT, CLOSED = 0, 1, 2, 3, 4, 5
FRAME_SIZE, REFUSED, CANCEL, COMPRESSION, CALM = 6, 7, 8, 9, 11
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, INITIAL_WINDOW, MAX_FRAME, MAX_LIST = 1, 2, 3, 4, 5, 6
WINDOW = 65_535
MARK = "x-mark"  # tells the test's calls apart, wherever they come out
PIECE = 16_384
SECONDS = 20.0  # what a test waits for a frame that must come


@dataclass(slots=True)
class Event:
    """What came: a frame's name, or HEADERS for a whole block with its fields, or END for the end of the connection."""

    kind: str
    stream: int = 0
    fields: Fields = field(default_factory=list)
    data: bytes = field(default=b"", repr=False)
    end: bool = False
    code: int = 0
    last: int = 0
    ack: bool = False
    settings: dict[int, int] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        """The first value of a field."""
        return next((v for k, v in self.fields if k == name), None)


class Peer:
    """One connection. It acknowledges SETTINGS and PING, and with ``credit`` gives back what it reads at once; it reads
    at most ``bite`` bytes at a time, and only while ``reading`` is set."""

    def __init__(
        self,
        sock: socket.socket,
        client: bool,
        settings: dict[int, int] | None = None,
        credit: bool = True,
        greet: bool = True,
        acks: bool = True,
        bite: int = 1 << 16,
    ) -> None:
        self.sock, self.client, self.credit, self.acks = sock, client, credit, acks
        self.bite, self.reading = bite, threading.Event()
        self.reading.set()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.events: list[Event] = []
        self._streams: dict[int, list[Event]] = {}
        self.marks: dict[str, list[int]] = {}
        self.encoder, self._decoder = hpack.Encoder(), hpack.Decoder(max_header_list_size=1 << 20)
        self._changed = threading.Condition()
        self._sending = threading.RLock()
        self._room: dict[int, int] = {0: WINDOW}
        self._initial = WINDOW
        self.next = 1
        self.greeted = False
        self._held: list[frames.Frame] = []  # answers to what came before the greeting
        if greet:
            self.greet(settings)
        self._thread = threading.Thread(target=self._read, name="h2peer", daemon=True)
        self._thread.start()

    # --- to send

    def greet(self, settings: dict[int, int] | None = None, more: bytes = b"") -> None:
        """The first bytes of either end, in one write with others."""
        self.greeted = True
        more += b"".join(one.serialize() for one in self._held)
        first = frames.SettingsFrame(0, settings=settings or {}).serialize()
        self.raw((PREFACE if self.client else b"") + first + more)

    def raw(self, data: bytes) -> None:
        """Any bytes."""
        with self._sending:
            self.sock.sendall(data)

    def send(self, *all: frames.Frame) -> None:
        """Frames, right or wrong, in one write."""
        self.raw(b"".join(one.serialize() for one in all))

    def block(
        self, stream: int, fields: Iterable[tuple[str, str]], end: bool = False, cuts: Iterable[int] = (), **extra: Any
    ) -> list[frames.Frame]:
        """A header block as frames, cut where told or where a frame would be too long."""
        data = self.encoder.encode(list(fields))
        ends = sorted({*(cuts or range(PIECE, len(data), PIECE)), len(data)})
        parts = [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]
        made: list[frames.Frame] = [frames.HeadersFrame(stream, parts[0], **extra)]
        made += [frames.ContinuationFrame(stream, part) for part in parts[1:]]
        made[-1].flags.add("END_HEADERS")
        if end:
            made[0].flags.add("END_STREAM")
        return made

    def headers(self, stream: int, fields: Iterable[tuple[str, str]], end: bool = False, **extra: Any) -> None:
        """A header block."""
        with self._sending:
            self.send(*self.block(stream, fields, end, **extra))

    def data(self, stream: int, data: bytes, end: bool = False, seconds: float = SECONDS) -> None:
        """Content, as the other end's windows let it go."""
        view = memoryview(data)
        while True:
            size = self._take(stream, min(len(view), PIECE), seconds)
            piece, view = view[:size], view[size:]
            self.send(data_frame(stream, bytes(piece), end and not view))
            if not view:
                return

    def push(self, stream: int, data: bytes) -> int:
        """Content as far as it may go now; how much went."""
        sent = 0
        while sent < len(data) and (size := self._take(stream, min(len(data) - sent, PIECE), 0.0)):
            self.send(data_frame(stream, data[sent : sent + size]))
            sent += size
        return sent

    def padded(self, stream: int, data: bytes, padding: int, end: bool = False) -> None:
        """One DATA frame with padding, which counts for the windows, too."""
        size = len(data) + padding + 1
        while size:
            size -= self._take(stream, size, SECONDS)
        self.send(data_frame(stream, data, end, padding))

    def finish(self, stream: int) -> None:
        """An empty last DATA frame."""
        self.send(data_frame(stream, b"", True))

    def reset(self, stream: int, code: int = CANCEL) -> None:
        self.send(frames.RstStreamFrame(stream, error_code=code))

    def goaway(self, last: int, code: int = NO_ERROR, text: bytes = b"") -> None:
        self.send(frames.GoAwayFrame(0, last_stream_id=last, error_code=code, additional_data=text))

    def settings(self, **values: int) -> None:
        """SETTINGS by their names in this module, in lower case."""
        self.send(frames.SettingsFrame(0, settings={globals()[name.upper()]: v for name, v in values.items()}))

    def window(self, stream: int, size: int) -> None:
        self.send(frames.WindowUpdateFrame(stream, window_increment=size))

    def ping(self, data: bytes = b"12345678") -> None:
        self.send(frames.PingFrame(0, opaque_data=data))

    def vanish(self) -> None:
        """As if its host were gone: nothing that is sent to it arrives, and nobody is told."""
        with self._sending:
            vanish(self.sock)

    # --- what came

    def wait(self, what: str, find: Callable[[Event], object], seconds: float = SECONDS) -> Event:
        """The first event that ``find`` holds for; ``TimeoutError`` naming ``what`` when none comes in time."""
        return self.until(what, lambda: next((one for one in self.events if find(one)), None), seconds)

    def until(self, what: str, check: Callable[[], Any], seconds: float = SECONDS) -> Any:
        """What ``check`` gives, asked after each event."""
        deadline = time.monotonic() + seconds
        with self._changed:
            while not (found := check()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError(f"{what}: not within {seconds:g} s; came: {self.events[-12:]}")
                self._changed.wait(left)
        return found

    def of(self, stream: int, kind: str = "") -> list[Event]:
        """What came on a stream."""
        with self._changed:
            return [one for one in self._streams.get(stream, ()) if kind in ("", one.kind)]

    def kinds(self, kind: str) -> list[Event]:
        with self._changed:
            return [one for one in self.events if one.kind == kind]

    @property
    def ended(self) -> bool:
        """Whether the other end has closed."""
        with self._changed:
            return bool(self.events) and self.events[-1].kind == "END"

    def room(self, stream: int = 0) -> int:
        """How much content may go."""
        with self._changed:
            return min(self._room[0], self._room.get(stream, self._initial))

    def shut(self) -> None:
        """Say no more, as the last of what was said."""
        self.sock.shutdown(socket.SHUT_WR)

    def abort(self) -> None:
        """End the connection by a reset of TCP."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.shutdown(socket.SHUT_RD)  # wakes the reader and tells the other end nothing
        self._thread.join(10)
        self.sock.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.reading.set()
        self._thread.join(10)
        self.sock.close()

    def _take(self, stream: int, most: int, seconds: float) -> int:
        if most == 0:
            return 0
        if seconds:
            self.until(f"room on {stream}", lambda: self.room(stream) > 0 or self.ended, seconds)
        with self._changed:
            size = max(min(most, self.room(stream)), 0)
            self._room[stream] = self._room.get(stream, self._initial) - size
            self._room[0] -= size
            return size

    def _read(self) -> None:
        rest = bytearray()
        begun = self.client
        kept: tuple[frames.Frame, bytearray] | None = None
        while True:
            self.reading.wait()
            try:
                data = self.sock.recv(self.bite)
            except OSError:
                data = b""
            if not data:
                self._note(Event("END", data=bytes(rest)))
                return
            rest += data
            if not begun and len(rest) >= len(PREFACE):
                self._note(Event("PREFACE", data=bytes(rest[: len(PREFACE)])))
                del rest[: len(PREFACE)]
                begun = True
            while begun and len(rest) >= 9:
                head, length = frames.Frame.parse_frame_header(memoryview(rest)[:9])
                if len(rest) < 9 + length:
                    break
                head.parse_body(memoryview(bytes(rest[9 : 9 + length])))
                del rest[: 9 + length]
                kept = self._frame(head, length, kept)

    def _frame(
        self, one: Any, length: int, kept: tuple[Any, bytearray] | None
    ) -> tuple[Any, bytearray] | None:
        event = Event(type(one).__name__.removesuffix("Frame").upper(), one.stream_id)
        if kept and (not isinstance(one, frames.ContinuationFrame) or one.stream_id != kept[0].stream_id):
            self._note(Event("TORN", one.stream_id))  # a frame within a header block
        if isinstance(one, frames.HeadersFrame):
            kept = (one, bytearray(one.data))
        elif isinstance(one, frames.ContinuationFrame) and kept:
            kept[1].extend(one.data)
        elif isinstance(one, frames.DataFrame):
            event.data, event.end = bytes(one.data), "END_STREAM" in one.flags
            if self.credit and length:
                self._answer(frames.WindowUpdateFrame(0, window_increment=length))
                if not event.end:
                    self._answer(frames.WindowUpdateFrame(one.stream_id, window_increment=length))
        elif isinstance(one, frames.SettingsFrame):
            event.ack, event.settings = "ACK" in one.flags, dict(one.settings)
            if not event.ack:
                self._adopt(event.settings)
                if self.acks:
                    self._answer(frames.SettingsFrame(0, flags=["ACK"]))
        elif isinstance(one, frames.PingFrame):
            event.ack, event.data = "ACK" in one.flags, bytes(one.opaque_data)
            if not event.ack and self.acks:
                self._answer(frames.PingFrame(0, opaque_data=one.opaque_data, flags=["ACK"]))
        elif isinstance(one, frames.WindowUpdateFrame):
            event.last = one.window_increment
            with self._changed:
                before = self._room.get(one.stream_id, self._initial)
                self._room[one.stream_id] = before + one.window_increment
        elif isinstance(one, frames.RstStreamFrame):
            event.code = one.error_code
        elif isinstance(one, frames.GoAwayFrame):
            event.code, event.last, event.data = one.error_code, one.last_stream_id, bytes(one.additional_data)
        if kept is None:
            self._note(event)
        elif "END_HEADERS" in one.flags:
            fields = [(str(k), str(v)) for k, v in self._decoder.decode(bytes(kept[1]))]
            end = "END_STREAM" in kept[0].flags
            self._note(Event("HEADERS", one.stream_id, fields, end=end, data=bytes(kept[1])))
            kept = None
        return kept

    def _adopt(self, settings: dict[int, int]) -> None:
        with self._changed:
            if INITIAL_WINDOW in settings:
                change = settings[INITIAL_WINDOW] - self._initial
                self._initial += change
                for stream in self._room:
                    if stream:
                        self._room[stream] += change
        if HEADER_TABLE_SIZE in settings:
            self.encoder.header_table_size = min(settings[HEADER_TABLE_SIZE], 4096)

    def _answer(self, one: frames.Frame) -> None:
        if not self.greeted:
            self._held.append(one)
            return
        with contextlib.suppress(OSError):
            self.send(one)

    def _note(self, event: Event) -> None:
        with self._changed:
            self.events.append(event)
            self._streams.setdefault(event.stream, []).append(event)
            if event.kind == "HEADERS" and (mark := event.get(MARK)):
                self.marks.setdefault(mark, []).append(event.stream)
            self._changed.notify_all()


def vanish(sock: socket.socket) -> None:
    """Drop whatever arrives for a TCP socket before the kernel looks at it: a filter that takes no packet."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # return 0
    filter_of = struct.pack("HL", 1, ctypes.addressof(program))
    sock.setsockopt(socket.SOL_SOCKET, 26, filter_of)  # SO_ATTACH_FILTER


def data_frame(stream: int, data: bytes, end: bool = False, padding: int | None = None) -> frames.Frame:
    """A DATA frame, with padding if it is told how much."""
    made = frames.DataFrame(stream, data, pad_length=padding or 0)
    if padding is not None:
        made.flags.add("PADDED")
    if end:
        made.flags.add("END_STREAM")
    return made


def connect(port: int, receive: int = 0, **options: Any) -> Peer:
    """A caller's connection; ``receive``: bytes that its kernel may keep for it."""
    sock = socket.socket()
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    sock.connect((HOST, port))
    return Peer(sock, True, **options)
