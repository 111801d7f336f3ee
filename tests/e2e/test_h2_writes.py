"""Frames on sockets that take little at a time, and settings that change while a frame is half written."""

from __future__ import annotations

from harness.h2peer import INITIAL_WINDOW, MAX_FRAME, PIECE, Event, Peer
from harness.h2world import ANSWER, GOOD, Stream, World
from harness.through import Through, growth

LITTLE, ROOM = 4096, 100_000
LONG = bytes(i * 7 % 253 for i in range(400_000))


def pings(peer: Peer) -> list[Event]:
    return [e for e in peer.kinds("PING") if e.ack]


def stuff(call: Stream, rest: memoryview) -> memoryview:
    """Send until nothing moves any more; what is left."""
    peer, quiet = call.peer, 0
    while quiet < 20:
        sent = peer.push(call.number, bytes(rest[:PIECE]))
        rest = rest[sent:]
        quiet = 0 if sent else quiet + 1
        count = len(pings(peer))
        peer.ping(b"anything")
        peer.until("its answer", lambda n=count: len(pings(peer)) > n)
    return rest


def length(stream: Stream) -> int:
    return sum(len(event.data) for event in stream.of("DATA"))


def long(stream: Stream) -> bool:
    """Whether a long frame came."""
    return any(len(event.data) > PIECE for event in stream.of("DATA"))


def test_frames_become_shorter(behind: Through, world: World) -> None:
    """A provider that takes long frames, and in the midst of an upload only short ones: a frame that has begun is
    finished as it was announced, and none behind the acknowledgement is longer."""
    upload = LONG * 30
    settings = {MAX_FRAME: 8 << 20, INITIAL_WINDOW: 64 << 20}
    for bite in (5001, 60_000):
        provider = world.provider(settings=settings, receive=ROOM, bite=bite)
        caller = world.caller(*behind.to(provider.port))
        call = caller.call("upload", end=False)
        stream = provider.take("upload")
        peer = stream.peer
        peer.window(0, 64 << 20)
        call.data(upload[: 1 << 20])  # windows grow as it is passed on
        rest = memoryview(upload)[1 << 20 :]
        while not long(stream):  # as long as there is more to come: what has piled up by now may lie in short ones
            peer.reading.clear()
            rest = stuff(call, rest)
            peer.reading.set()
            sent = len(upload) - len(rest)
            peer.until("a long frame, or all", lambda s=stream, n=sent: long(s) or length(s) == n)
            assert rest
        peer.reading.clear()
        rest = stuff(call, rest)
        peer.settings(max_frame=PIECE)
        peer.reading.set()
        call.data(bytes(rest), True)
        stream.end()
        assert stream.body() == upload
        told = [i for i, e in enumerate(peer.events) if e.kind == "SETTINGS" and e.ack][1]
        assert max(len(e.data) for e in peer.events[told:] if e.kind == "DATA") <= PIECE
        stream.answer()
        assert call.status() == "0"


def test_slow_socket(behind: Through, world: World) -> None:
    """A caller whose socket takes a few bytes at a time: three long answers, one of them with a long header block, one
    reset in the midst; a PING and SETTINGS meanwhile. Whole frames, and the others lose nothing."""
    provider = world.provider()
    (port,) = behind.to(provider.port)
    heavy = [(f"x-heavy-{i}", bytes(33 + (i * k) % 90 for k in range(1, 900)).decode()) for i in range(45)]
    for bite in (40, 900):
        caller = world.caller(port, receive=LITTLE, bite=bite, settings={INITIAL_WINDOW: 64 << 20})
        peer = caller.peer
        peer.window(0, 256 << 20)
        names = [f"{bite}-{i}" for i in range(3)]
        calls = [caller.call(name) for name in names]
        streams = [provider.take(name) for name in names]
        peer.reading.clear()
        streams[0].headers(ANSWER)
        endless = LONG * 30
        assert stuff(streams[0], memoryview(endless))
        streams[1].headers([*ANSWER, *heavy])
        streams[2].headers(ANSWER)
        sent = [stream.peer.push(stream.number, LONG) for stream in streams[1:]]
        peer.ping(b"slow????")
        peer.settings(max_frame=20_000)
        calls[0].reset()
        peer.reading.set()
        streams[0].gone()
        for stream, begun in zip(streams[1:], sent, strict=True):
            stream.data(LONG[begun:])
            stream.headers(GOOD, True)
        peer.wait("its answer", lambda e: e.kind == "PING" and e.ack)
        peer.bite = 1 << 16
        for call in calls[1:]:
            assert call.status() == "0"
            assert call.body() == LONG
        assert [field for field in calls[1].first().fields if field[0].startswith("x-heavy")] == heavy
        assert peer.kinds("TORN") == peer.kinds("GOAWAY") == []
        assert endless.startswith(calls[0].body())


def test_early_answers_hold_nothing(behind: Through, world: World) -> None:
    """Uploads that are answered before they end, whose callers go on for ever: what they send is thrown away, and
    nothing of it is kept."""
    provider = world.provider()
    (port,) = behind.to(provider.port)
    caller = world.caller(port)
    sent = 0

    def upload(i: int) -> int:
        call = caller.call(f"early-{i}", end=False)
        call.data(b"x")
        stream = provider.take(f"early-{i}")
        stream.headers([*ANSWER, ("grpc-status", "9")], True)
        assert call.status() == "9"
        return caller.peer.push(call.number, LONG)

    for i in range(50):
        upload(i)
    with growth(behind.sidecars) as found:
        for i in range(50, 400):
            sent += upload(i)
        caller.peer.until("credit for all of it", lambda: caller.peer.room() > 32_000)
    assert sent > 2_000_000
    assert found.most < sent // 2
    assert caller.peer.kinds("GOAWAY") == []
    assert all(Stream(peer, e.stream).of("RSTSTREAM") for peer in provider.peers for e in peer.kinds("HEADERS")[:-1])
    last = caller.call("last")
    provider.take("last").answer()
    assert last.status() == "0"
