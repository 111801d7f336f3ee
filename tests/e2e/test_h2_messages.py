"""The shape of messages: interim answers, lengths that are told, pushes, long trailers."""

from __future__ import annotations

import socket

import hpack
import pytest
from harness.h2peer import PROTOCOL, Fields, data_frame, frames
from harness.h2tap import PREFACE
from harness.h2world import ANSWER, GOOD, MARK, Stream, World, request
from harness.process import HOST, until
from harness.through import Through

GONE = ("reset", "closed", "13", "14", "2", "http 502", "http 503")


def http(mark: str, method: str, more: Fields | None = None) -> Fields:
    """A request that is not gRPC's, to the same service."""
    return [
        (":method", method), (":scheme", "http"), (":path", "/meshfast.peer.Echo/ask"),
        (":authority", "meshfast.peer.Echo"), (MARK, mark), *(more or []),
    ]  # fmt: skip


@pytest.mark.parametrize("turn", [1, 2])
def test_interim(through: Through, world: World, turn: int) -> None:
    """103 with this and that, 100, then the answer: the 100 comes, what else comes is in order, and the 200 is the
    answer; the body waits for the 100."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    for i in range(turn):
        call = caller.call(f"interim-{i}", end=False, more=[("expect", "100-continue")])
        stream = provider.take(f"interim-{i}")
        stream.headers([(":status", "103"), ("link", "</a>")])
        stream.headers([(":status", "103"), ("link", "</b>"), ("x-more", "1")])
        stream.headers([(":status", "100")])
        caller.peer.until("the 100", lambda c=call: [e for e in c.of("HEADERS") if e.get(":status") == "100"])
        call.data(b"waited", True)
        stream.end()
        assert stream.body() == b"waited"
        stream.answer(b"answer")
        assert call.status() == "0"
        came = [(e.get(":status"), e.get("link")) for e in call.of("HEADERS")]
        passed = [one for one in came if one[0] == "103"]
        assert passed in ([], [("103", "</a>"), ("103", "</b>")])
        assert [one[0] for one in came if one[0] != "103"] == ["100", "200", None]
        assert call.body() == b"answer"


def test_interim_that_ends(behind: Through, world: World) -> None:
    """An interim answer cannot end a stream: that call is reset, others go on."""
    provider = world.provider()
    caller = world.caller(*behind.to(provider.port))
    call, other = caller.call("ends"), caller.call("other")
    provider.take("ends").headers([(":status", "103"), ("link", "</a>")], True)
    assert call.status().startswith(GONE)
    provider.take("other").answer()
    assert other.status() == "0"


#: Method, status, content-length, content, and whether trailers end it.
LENGTHS = (
    ("HEAD", "200", 2421, 0, False), ("GET", "304", 77, 0, False), ("GET", "204", 5, 0, False),
    ("POST", "200", 0, 0, False), ("POST", "200", 5, 5, False), ("POST", "200", 5, 5, True),
)  # fmt: skip


def answer(stream: Stream, status: str, length: int, size: int, trailers: bool) -> None:
    """An answer that tells its length."""
    stream.headers([(":status", status), ("content-length", str(length))], end=not size and not trailers)
    if size:
        stream.data(b"b" * size, not trailers)
    if trailers:
        stream.headers([("x-end", "1")], True)


def test_lengths(through: Through, world: World) -> None:
    """Lengths that need no content, by the request's method or the status; the method is that of the stream."""
    provider = world.provider()
    caller = world.caller(through.onward(provider.port))
    for turn in range(2):
        for i, (method, status, length, size, trailers) in enumerate(LENGTHS):
            mark = f"{turn}-{i}"
            call = caller.raw(http(mark, method))
            answer(provider.take(mark), status, length, size, trailers)
            assert call.end().kind != "RSTSTREAM", (method, status)
            head = call.first()
            assert head.get(":status") == status
            assert head.get("content-length") in (str(length), None if status == "204" else str(length))
            assert call.body() == b"b" * size


def test_length_that_is_missed(behind: Through, world: World) -> None:
    """Less content than was told is an error of both ends' stream, and of nothing else."""
    provider = world.provider()
    caller = world.caller(behind.onward(provider.port))
    for i, size in enumerate((0, 3, 9)):
        call, other = caller.raw(http(f"less-{i}", "POST")), caller.raw(http(f"other-{i}", "POST"))
        answer(provider.take(f"less-{i}"), "200", 5, size, False)
        told = call.status()
        assert told.startswith(GONE), told
        answer(provider.take(f"other-{i}"), "200", 5, 5, False)
        assert other.end().kind != "RSTSTREAM"


@pytest.mark.parametrize("acknowledged", [False, True])
def test_push(behind: Through, world: World, acknowledged: bool) -> None:
    """A push before the provider knows that it may not: its block is decoded, its stream refused, the call ends well.
    Afterwards it is an error of the connection, and the next call has a new one."""
    provider = world.provider(acks=acknowledged)
    caller = world.caller(*behind.to(provider.port))
    call = caller.call("pushed")
    stream = provider.take("pushed")
    peer = stream.peer
    promised = [(":method", "GET"), (":scheme", "http"), (":path", "/p"), (":authority", "p"), ("x-learnt", "pushed")]
    push = frames.PushPromiseFrame(stream.number, 2, peer.encoder.encode(promised), flags=["END_HEADERS"])
    peer.send(push)
    if acknowledged:
        assert call.status().startswith(GONE)
        peer.wait("the error", lambda e: e.kind == "GOAWAY" and e.code == PROTOCOL)
    else:
        peer.headers(2, [(":status", "200")])
        peer.send(data_frame(2, b"nobody asked", True))
        stream.headers([*ANSWER, ("x-learnt", "pushed")])
        stream.headers(GOOD, True)
        assert call.status() == "0"
        assert call.first().get("x-learnt") == "pushed"
    again = caller.call("after")
    until("it comes", lambda: provider.find("after"))
    provider.take("after").answer()
    assert again.status() == "0"


def test_long_blocks(through: Through, world: World) -> None:
    """Metadata and trailers of 40,000 bytes: whole and equal, within the frame size, twice, and others beside them."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    details, message = "A" * 40_000, "m" * 900
    for i in range(2):
        call = caller.call(f"long-{i}", more=[("x-details-bin", details)])
        other = caller.call(f"other-{i}")
        stream = provider.take(f"long-{i}")
        assert stream.first().get("x-details-bin") == details
        stream.headers([*ANSWER])
        stream.headers([("grpc-status", "3"), ("grpc-message", message), ("grpc-status-details-bin", details)], True)
        provider.take(f"other-{i}").answer()
        end = call.end()
        assert (end.get("grpc-message"), end.get("grpc-status-details-bin")) == (message, details)
        assert call.status() == "3" and other.status() == "0"


def frames_of(data: bytes) -> list[tuple[int, int, int, int]]:
    """Length, type, flags and stream of each."""
    found, at = [], 0
    while at + 9 <= len(data):
        length = int.from_bytes(data[at : at + 3], "big")
        found.append((length, data[at + 3], data[at + 4], int.from_bytes(data[at + 5 : at + 9], "big")))
        at += 9 + length
    assert at == len(data)
    return found


def test_long_blocks_to_a_stalled_caller(behind: Through, world: World) -> None:
    """It reads little by little, while answers with long trailers, PINGs and answers of others wait: a block's frames
    follow each other, none is too long, and what ends a stream is said on the first."""
    provider, calls = world.provider(), 20
    (port,) = behind.to(provider.port)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((HOST, port))
    encoder = hpack.Encoder()
    # It acknowledges settings that it has not read yet: on a busy machine it comes to them after settingsTimeout.
    said = PREFACE + frames.SettingsFrame(0).serialize() + frames.SettingsFrame(0, flags=["ACK"]).serialize()
    for i in range(calls):
        block = encoder.encode(request(f"stalled-{i}"))
        said += frames.HeadersFrame(2 * i + 1, block, flags=["END_HEADERS", "END_STREAM"]).serialize()
        said += frames.PingFrame(0, opaque_data=b"%08d" % i).serialize()
    sock.sendall(said)
    details = "A" * 40_000

    def answer_all() -> None:
        for i in range(calls):
            stream = provider.take(f"stalled-{i}")
            stream.headers([*ANSWER])
            stream.headers([("grpc-status", "3"), ("x-number", str(i)), ("grpc-status-details-bin", details)], True)

    world.beside(answer_all)
    sock.settimeout(20)
    data, piece = b"", 1
    while sum(kind == 1 and flags & 1 for _, kind, flags, _ in whole(data)) < calls or not ended(whole(data)):
        more = sock.recv(piece)
        assert more, whole(data)[-8:]
        data += more
        piece = piece + 1 if len(data) < 2000 else 1 << 16
    sock.close()
    came, open_block = whole(data), 0
    for length, kind, flags, stream_id in came:
        assert length <= 16_384
        assert not open_block or (kind, stream_id) == (9, open_block)
        assert kind != 9 or (open_block and not flags & 1)
        if kind in (1, 9):
            open_block = 0 if flags & 4 else stream_id
    assert sum(kind == 6 and flags & 1 for _, kind, flags, _ in came) == calls


def whole(data: bytes) -> list[tuple[int, int, int, int]]:
    """The frames that are whole."""
    at = 0
    while at + 9 <= len(data) and (end := at + 9 + int.from_bytes(data[at : at + 3], "big")) <= len(data):
        at = end
    return frames_of(data[:at])


def ended(came: list[tuple[int, int, int, int]]) -> bool:
    """Whether the last block is whole."""
    return next((bool(flags & 4) for _, kind, flags, _ in reversed(came) if kind in (1, 9)), True)
