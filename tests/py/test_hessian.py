"""hessian: values there and back, what Java encoders wrote, and the core's skipper as the second opinion."""

import json
from pathlib import Path
from typing import Any

import pytest

from meshfast import LimitError, ProtocolError, dubbo, hessian

VECTORS = Path(__file__).parents[3] / "shared/vectors/hessian2"


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, -16, 47, 48, -(2**63), 2**63 - 1, 1.5, "", "a" * 31, "a" * 32, "é€😀" * 20, "x" * 0x8001]
    + ["x" * 0x7FFF + "😀" * 3, b"", b"z" * 16, b"z" * 70_000, [], [1, [2, None]], {"a": {"b": 1}}, {1: "x"}],
    ids=lambda v: repr(v)[:20],
)
def test_there_and_back(value: Any) -> None:
    data = hessian.encode(value)
    assert hessian.decode(data) == (value, len(data))
    assert type(hessian.decode(data)[0]) is type(value)
    for cut in range(0, len(data), len(data) // 50 + 1):
        with pytest.raises(ProtocolError):
            hessian.decode(data[:cut])


def test_what_cannot_be_carried() -> None:
    with pytest.raises(TypeError):
        hessian.encode(object())  # type: ignore[arg-type]
    with pytest.raises(OverflowError):
        hessian.encode(2**63)
    for data in (b"Z", b"\x60", b"Q\x90", b"\x57" * 1000, b"\x58I\x7f\xff\xff\xff", b"R\0\1xT", b"\x01\xff"):
        with pytest.raises(ProtocolError):
            hessian.decode(data)


def test_objects_and_references() -> None:
    data = b"C\x04a.Ab\x92\x01x\x04self" + b"\x60" + b"\x91" + b"Q\x90"
    value, end = hessian.decode(data)
    assert end == len(data)
    assert (value["class"], value["x"], value["self"] is value) == ("a.Ab", 1, True)


def vectors() -> list[tuple[str, bytes]]:
    file = VECTORS / "caucho-4.0.38.jsonl"
    if not file.exists():
        return []
    rows = map(json.loads, file.read_text().splitlines())
    return [(row["name"], bytes.fromhex(row["hex"])) for row in rows]


@pytest.mark.skipif(not vectors(), reason="../shared/vectors/hessian2 is not there")
def test_java_wrote_them() -> None:
    for name, data in vectors():
        assert hessian.decode(data)[1] == len(data), name


def test_text_that_is_no_text_is_still_readable() -> None:
    """Whole characters by their first bytes, but none that exist, beside half a pair: shown, not raised."""
    for raw in (b"\xed\xa0\x81\xc0\x80", b"\xf4\x90\x80\x80\xed\xa0\x81", b"\xed\xa0\x81"):
        units = 3 if raw[0] == 0xF4 else 2 if len(raw) == 5 else 1
        text = bytes([units]) + raw
        assert "\ufffd" in hessian.decode(text)[0]
        body = b"\x052.0.2" + text + b"N\x01m\x00H\x01k" + text + b"Z"
        frame = bytes.fromhex("dabbc200") + (1).to_bytes(8, "big") + len(body).to_bytes(4, "big") + body
        request = dubbo.parse_request(frame)
        assert "\ufffd" in request.service
        assert "\ufffd" in request.attachments["k"]


@pytest.mark.skipif(not vectors(), reason="../shared/vectors/hessian2 is not there")
def test_the_core_passes_over_what_python_reads() -> None:
    """Each value, and each value with a byte changed, as the argument of a request: both end at the same byte."""
    frame = dubbo.encode_request(1, "a.B", "m", [None], attachments={"behind": "it"})
    start = frame.index(b"Object;") + len("Object;")
    agreed = 0
    for name, data in vectors():
        for at in range(-1, min(len(data), 60)):
            changed = bytearray(data)
            if at >= 0:
                changed[at] ^= 0x11
            body = frame[16:start] + changed + frame[start + 1 :]
            whole = frame[:12] + len(body).to_bytes(4, "big") + body
            try:
                end: int | None = hessian.decode(whole, start)[1]
            except ProtocolError:
                end = None
            try:
                request = dubbo.parse_request(whole)
                core = request.attachments.get("behind") == "it"
            except (ProtocolError, LimitError):
                core = False
            if end == start + len(changed):
                assert core, (name, at)
                agreed += 1
            elif core:
                assert end is None, (name, at, end)  # references and chunk types are not looked at by the core
    assert agreed > 1000


def test_a_key_that_holds_very_much_by_references_is_read_at_once():
    """Forty lists, each of two that are the next one: its words would be longer than any memory."""
    levels = 40
    inner = b"\x7a" * levels + b"\x90\x90"
    inner += b"".join(b"\x51" + bytes([0x90 + n]) for n in range(levels, 1, -1))
    found, at = hessian.decode(b"H" + inner + b"\x91Z")
    assert at == len(inner) + 3 and list(found.values()) == [1]
    [key] = found
    assert key.startswith("list ")
