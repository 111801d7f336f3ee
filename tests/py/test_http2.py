"""http2: header blocks beside another implementation, recorded blocks and streams whole and cut, frames, errors."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import hpack
import pytest

from meshfast import LimitError, MeshfastError, ProtocolError, StateError, http2

VECTORS = Path(__file__).parents[3] / "shared/vectors"
STORIES = sorted((VECTORS / "hpack").glob("*/story_*.json"))
STREAMS = sorted(path for path in (VECTORS / "http2").rglob("*") if path.is_file())
recorded = pytest.mark.skipif(not STORIES or not STREAMS, reason="../shared/vectors has no hpack or http2")

Pairs = list[tuple[bytes, bytes]]
BASE = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a.B/c")]


def story(path: Path) -> Iterator[tuple[int | None, bytes, Pairs]]:
    for case in json.loads(path.read_text())["cases"]:
        pairs = [(name.encode(), value.encode()) for one in case["headers"] for name, value in one.items()]
        yield case.get("header_table_size"), bytes.fromhex(case["wire"]), pairs


@recorded
@pytest.mark.parametrize("folder", sorted({path.parent for path in STORIES}), ids=lambda path: path.name)
def test_stories(folder: Path) -> None:
    blocks = 0
    for path in sorted(folder.glob("story_*.json")):
        decoder, encoder = http2.HeaderDecoder(), http2.HeaderEncoder()
        mine, theirs = http2.HeaderDecoder(), hpack.Decoder()
        for size, block, pairs in story(path):
            if size is not None:
                decoder.max_table_size = size
            assert decoder.decode(block) == pairs
            again = encoder.encode(pairs)
            assert mine.decode(again) == pairs
            assert [tuple(one) for one in theirs.decode(again, raw=True)] == pairs
            blocks += 1
    assert blocks > 3000


@recorded
def test_stories_cut_at_every_byte() -> None:
    for path in STORIES[::16]:
        before: list[bytes] = []
        for _, block, pairs in list(story(path))[:4]:
            for cut in range(len(block)):
                decoder = http2.HeaderDecoder()
                for one in before:
                    decoder.decode(one)
                try:
                    got = decoder.decode(block[:cut])
                except ProtocolError as error:
                    assert error.name == "MF_EHPACK_SHORT" and http2.error_code(error) == 9
                else:
                    assert got == pairs[: len(got)]
            before.append(block)


NAMES = [b"x-one", b"x-two", b":path", b"content-type", b"cookie", b"grpc-timeout", b"authorization", b"n" * 70]


def some(rng: random.Random) -> Pairs:
    pairs = []
    for _ in range(rng.randrange(25)):
        kind = rng.randrange(6)
        if kind == 0:
            value = rng.randbytes(rng.randrange(60))
        elif kind == 1:
            value = b"v" * rng.choice([0, 126, 127, 128, 254, 4050, 5000])
        else:
            value = b"%d" % rng.randrange(12)
        pairs.append((rng.choice(NAMES), value))
    return pairs


@pytest.mark.parametrize("seed", range(12))
def test_beside_another_implementation(seed: int) -> None:
    """Each reads what the other writes, while table sizes change."""
    rng = random.Random(seed)
    most = rng.choice([0, 100, 4096, 65536])
    our_encoder, their_decoder = http2.HeaderEncoder(most), hpack.Decoder(max_header_list_size=1 << 20)
    their_encoder, our_decoder = hpack.Encoder(), http2.HeaderDecoder(65536, 1 << 20)
    their_decoder.max_allowed_table_size = 65536
    for _ in range(120):
        if rng.randrange(4) == 0:
            our_encoder.max_table_size = rng.choice([0, 50, 1000, 4096, 1 << 20])
        if rng.randrange(4) == 0:
            their_encoder.header_table_size = rng.choice([0, 50, 1000, 4096, 65536])
        pairs = some(rng)
        block = our_encoder.encode(pairs)
        assert [tuple(one) for one in their_decoder.decode(block, raw=True)] == pairs
        block = their_encoder.encode(pairs, huffman=rng.random() < 0.5)
        assert our_decoder.decode(block) == pairs


def test_a_list_over_its_limit() -> None:
    """The table follows and the decoder goes on."""
    decoder, encoder = http2.HeaderDecoder(4096, 200), http2.HeaderEncoder()
    long = [(b"x-a", b"1"), *[(b"x-b%d" % n, b"v" * 20) for n in range(9)]]
    with pytest.raises(LimitError, match=r"a header list of \d+ bytes in 10 fields, over max_header_list_size 200"):
        decoder.decode(encoder.encode(long))
    assert decoder.decode(encoder.encode(long[7:9])) == long[7:9]
    assert decoder.decode(encoder.encode([])) == []


def test_a_field_larger_than_the_table_that_the_peer_has() -> None:
    """Room for more is no larger table until the peer says so."""
    theirs, ours = hpack.Encoder(), http2.HeaderDecoder(65536)
    for pairs in ([(b"x-a", b"1")], [(b"x-b", b"v" * 5000)], [(b"x-c", b"2")], [(b"x-c", b"2"), (b"x-a", b"1")]):
        assert ours.decode(theirs.encode(pairs)) == pairs


def test_a_bomb_takes_no_memory() -> None:
    """4,000 references to 4,000 bytes."""
    decoder = http2.HeaderDecoder()
    decoder.decode(b"\x40\x01x\x7f\xa1\x1e" + b"v" * 4000)
    with pytest.raises(LimitError, match="in 4000 fields"):
        decoder.decode(b"\xbe" * 4000)


def test_a_wrong_block_ends_its_decoder() -> None:
    decoder = http2.HeaderDecoder()
    with pytest.raises(ProtocolError, match="header block: a header block with an index that means nothing") as caught:
        decoder.decode(b"\xbe")
    assert caught.value.name == "MF_EHPACK_INDEX"
    assert http2.error_code(caught.value) is http2.ErrorCode.COMPRESSION_ERROR
    assert not http2.is_stream_error(caught.value)
    with pytest.raises(StateError, match="a block before this one was wrong"):
        decoder.decode(b"\x82")


def test_fields_that_are_never_indexed() -> None:
    pairs = [(b"authorization", b"secret"), (b"x-token", b"t", True), (b"x-plain", b"p")]
    fields = http2.HeaderDecoder().decode_fields(http2.HeaderEncoder().encode(pairs))
    assert [one.never for one in fields] == [True, True, False]
    assert http2.HeaderDecoder().decode_fields(http2.HeaderEncoder().encode(fields)) == fields


@pytest.mark.parametrize("wrong", [["x"], [(b"a",)], [("a", "b")], [(b"a", None)], [None], [(b"a", 1)]], ids=repr)
def test_what_is_no_header(wrong: list[object]) -> None:
    encoder = http2.HeaderEncoder()
    with pytest.raises(TypeError):
        encoder.encode([(b"x-good", b"1"), *wrong])  # type: ignore[list-item]
    assert encoder.encode([]) == b"" and encoder.encode([(b"x-good", b"1")])[0] == 0x40  # the table is empty


def test_sizes_that_cannot_be() -> None:
    for wrong in (-1, 65537):
        with pytest.raises(LimitError, match="max_table_size"):
            http2.HeaderDecoder(wrong)
        with pytest.raises(LimitError, match="max_table_size"):
            http2.HeaderEncoder(wrong)
    with pytest.raises(LimitError, match="max_header_list_size"):
        http2.HeaderDecoder(4096, 1 << 30)
    decoder, encoder = http2.HeaderDecoder(100), http2.HeaderEncoder(100)
    with pytest.raises(LimitError):
        decoder.max_table_size = 101
    decoder.max_table_size = 50
    encoder.max_table_size = 1 << 20
    assert (decoder.max_table_size, encoder.max_table_size) == (50, 100)


FRAMES = [
    http2.Data(1, http2.Flag.END_STREAM, b"abc"),
    http2.Data(3, 0, b"", 0),
    http2.Data(2**31 - 1, 0, b"abc", 255),
    http2.Headers(1, http2.Flag.END_HEADERS, b"\x82"),
    http2.Headers(1, http2.Flag.END_HEADERS | http2.Flag.END_STREAM, b"\x82", 7, http2.Priority(2**31 - 1, 255, True)),
    http2.PriorityFrame(1, 0, http2.Priority(3)),
    http2.RstStream(1, 0, 77),
    http2.Settings(0, 0, ((1, 4096), (0xFFFF, 0xFFFFFFFF), (1, 0))),
    http2.Settings(0, http2.Flag.ACK),
    http2.PushPromise(1, 4, 2, b"\x82", 3),
    http2.Ping(0, http2.Flag.ACK, b"12345678"),
    http2.GoAway(0, 0, 5, http2.ErrorCode.ENHANCE_YOUR_CALM, b"too much"),
    http2.WindowUpdate(0, 0, 2**31 - 1),
    http2.Continuation(1, 4, b"\x82"),
    http2.Unknown(5, 0xFF, 0xFA, b"anything"),
]


@pytest.mark.parametrize("frame", FRAMES, ids=lambda one: type(one).__name__)
def test_frames_there_and_back(frame: http2.Frame) -> None:
    data = frame.encode()
    assert http2.parse_frame(data + b"more") == (frame, len(data))
    assert all(http2.parse_frame(data[:cut]) is None for cut in range(len(data)))
    assert frame.is_last == (frame.flags & 1 == 1 and isinstance(frame, http2.Data | http2.Headers))
    assert frame.is_ack == (frame.flags & 1 == 1 and isinstance(frame, http2.Settings | http2.Ping))


WRONG = [
    (http2.Data(0, 0, b""), "MF_EH2_STREAM", 1, False),
    (http2.WindowUpdate(1, 0, 0), "MF_EH2_CREDIT_STREAM", 1, True),
    (http2.WindowUpdate(0, 0, 0), "MF_EH2_CREDIT", 1, False),
    (http2.Settings(0, 0, ((2, 2),)), "MF_EH2_SETTING", 1, False),
    (http2.Settings(0, 0, ((4, 2**31),)), "MF_EH2_SETTING_WINDOW", 3, False),
    (http2.Settings(0, 1, ((4, 1),)), "MF_EH2_LENGTH", 6, False),
    (http2.Ping(0, 0, b""), "MF_EH2_LENGTH", 6, False),
    (http2.Data(1, 0, bytes(16385)), "MF_EH2_FRAME_SIZE", 6, False),
    (http2.Unknown(1, 0, 2, b""), "MF_EH2_PRIORITY_LENGTH", 6, True),
    (http2.Headers(1, 0, b"", None, http2.Priority(1)), "MF_EH2_PRIORITY_SELF", 1, True),
    (http2.Unknown(1, 8, 0, b"\x05abc"), "MF_EH2_PADDING", 1, False),
]


@pytest.mark.parametrize(("frame", "name", "code", "of_stream"), WRONG, ids=lambda one: str(one)[:12])
def test_frames_that_may_not_be(frame: http2.Frame, name: str, code: int, of_stream: bool) -> None:
    ping = http2.Ping().encode()
    with pytest.raises(ProtocolError) as caught:
        list(http2.parse_frames(ping + frame.encode()))
    assert (caught.value.name, http2.error_code(caught.value), http2.is_stream_error(caught.value)) == (
        name, code, of_stream,
    )  # fmt: skip
    assert caught.value.offset >= len(ping)


def test_a_setting_that_may_not_be_is_named() -> None:
    for pairs, told in ((((2, 2),), "setting 2 is 2: "), (((1, 5), (5, 16383)), "setting 5 is 16383: ")):
        with pytest.raises(ProtocolError, match=told):
            http2.parse_frame(http2.Settings(0, 0, pairs).encode())


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(LimitError):
        http2.Data(2**31).encode()
    with pytest.raises(LimitError):
        http2.Data(1, 0, b"", 256).encode()
    with pytest.raises(LimitError):
        http2.Data(1, 0, bytes(1 << 24)).encode()


def test_prefaces() -> None:
    assert http2.is_preface(http2.PREFACE + b"x")
    assert not any(http2.is_preface(http2.PREFACE[:cut]) for cut in range(24))
    with pytest.raises(ProtocolError) as caught:
        http2.is_preface(b"GET / HTTP/1.1\r\n")
    assert caught.value.name == "MF_EH2_PREFACE"


def replay(data: bytes) -> list[object]:
    """The frames of a stream and the lists of its blocks, up to what is wrong, which comes last."""
    decoder, seen, block = http2.HeaderDecoder(), [], b""
    try:
        for frame in http2.parse_frames(data):
            seen.append(frame)
            if isinstance(frame, http2.Headers | http2.Continuation):
                block += frame.block
                if frame.flags & http2.Flag.END_HEADERS:
                    headers, block = decoder.decode(block), b""
                    seen.append(headers)
    except MeshfastError as error:
        seen.append(error.name)
    return seen


@recorded
def test_streams_whole_and_cut_at_every_byte() -> None:
    kinds = set()
    for path in STREAMS:
        data = path.read_bytes().removeprefix(http2.PREFACE)
        whole = replay(data)
        kinds |= {type(one) for one in whole}
        for cut in range(len(data)):
            part = replay(data[:cut])
            assert part == whole[: len(part)]
    assert {http2.Settings, http2.Headers, http2.Data, list, str} <= kinds and len(STREAMS) > 100


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        (BASE, ""),
        ([*BASE, (b"A", b"b")], "MF_EH2_NAME_CASE"),
        ([*BASE, (b"", b"b")], "MF_EH2_NAME_EMPTY"),
        ([*BASE, (b"a", b"b\r\nc")], "MF_EH2_VALUE"),
        ([*BASE, (b"a", b"b ")], "MF_EH2_VALUE_SPACE"),
        ([*BASE, (b"connection", b"close")], "MF_EH2_CONNECTION"),
        (BASE[:2], "MF_EH2_PSEUDO_MISSING"),
        ([*BASE[:2], (b":path", b"a.B/c")], "MF_EH2_PATH"),
        ([*BASE, (b":authority", b"a"), (b"host", b"b")], "MF_EH2_HOST"),
    ],
    ids=lambda one: str(one)[-30:],
)
def test_requests(headers: Pairs, name: str) -> None:
    if not name:
        return http2.check_request(headers)
    with pytest.raises(ProtocolError, match="request") as caught:
        http2.check_request(headers)
    assert caught.value.name == name and http2.is_stream_error(caught.value)


def test_responses_and_trailers() -> None:
    http2.check_response([(b":status", b"200"), (b"content-length", b"5")])
    http2.check_trailers([(b"grpc-status", b"0")])
    with pytest.raises(ProtocolError, match=r"response, field 0 \(b':status'\): a :status that is not three digits"):
        http2.check_response([(b":status", b"20")])
    with pytest.raises(ProtocolError, match="trailers, field 0"):
        http2.check_trailers([(b":status", b"200")])
