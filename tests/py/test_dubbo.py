"""dubbo: the golden frames through the binding, frames of our own, and stamps."""

import json
import random
from pathlib import Path

import pytest
from wire import frames

from meshfast import LimitError, ProtocolError, dubbo

ROOT = Path(__file__).parents[2]
ENVOY = ROOT.parent / "shared/vectors/dubbo/frames.json"


def pairs(text: str, out: dict[str, str]) -> dict[str, str]:
    """``out`` with what a golden line says of the map: the last of equal keys counts, also where it is not text."""
    for pair in filter(None, text.split(",")):
        if "!" in pair:
            key, value = (bytes.fromhex(half).decode("utf-8", "surrogatepass") for half in pair.split("!"))
            key, value = (s.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for s in (key, value))
        elif "~" in pair:
            out.pop(pair[:-1], None)
            continue
        else:
            key, value = pair.split(":", 1)
        out[key] = value
    return out


def signed(number: str) -> int:
    return int.from_bytes(int(number).to_bytes(8, "big"), "big", signed=True)


GOLDEN = {frame.name: frame.data for frame in frames("dubbo.txt")}


def given(attachments: dict[str, str], leading: dict[str, str]) -> dict[str, str]:
    """Without those of the leading strings' names that are empty: in Python null strings are empty."""
    return {key: text for key, text in attachments.items() if text or key not in leading}


@pytest.mark.parametrize(("data", "expect"), [pytest.param(f.data, f.expect, id=str(f)) for f in frames()])
def test_golden(data: bytes, expect: dict[str, str]) -> None:
    if expect.get("head") == "MF_EMORE":
        assert dubbo.parse_head(data) is None
        return
    if "head" in expect:
        with pytest.raises((ProtocolError, LimitError)) as caught:
            dubbo.parse_head(data, 8 << 20)
        assert caught.value.name == expect["head"]
        return
    head = dubbo.parse_head(data)
    assert head is not None
    assert (head.request_id, head.serialization) == (signed(expect["id"]), int(expect["ser"]))
    assert head.body_length == len(data) - dubbo.HEAD_LENGTH
    assert str(head.status) == expect.get("status", str(head.status))
    assert dubbo.event(data) == expect.get("event")
    if "rc" not in expect:
        with pytest.raises(ProtocolError, match="not a request") as not_one:
            dubbo.parse_request(data)
        assert not_one.value.name == "MF_EDUBBO_BODY"
    elif expect["rc"] in ("ok", "MF_EDUBBO_OPAQUE"):
        request = dubbo.parse_request(data)
        assert request.head == head
        assert request.is_opaque == (expect["rc"] != "ok")
        for key, got in {
            "dubbo": request.dubbo_version,
            "service": request.service,
            "version": request.version,
            "method": request.method,
            "invoked": request.invoked,
            "types": request.parameter_types,
            "complete": str(int(request.is_complete)),
            "generic": str(int(request.is_generic)),
            "timeout": str(-1 if request.timeout is None else request.timeout),
        }.items():
            assert got == expect.get(key, got), key
        if "att" in expect:
            leading = {"dubbo": request.dubbo_version, "path": request.service, "version": request.version}
            want = pairs(expect["att"], {key: text for key, text in leading.items() if text})
            assert given(request.attachments, leading) == given(want, leading)
    else:
        with pytest.raises((ProtocolError, LimitError)) as caught:
            dubbo.parse_request(data)
        assert caught.value.name == expect["rc"]
        if isinstance(caught.value, ProtocolError):
            assert 16 <= caught.value.offset <= len(data)


def test_a_request_as_a_consumer_writes_it() -> None:
    args = ["bob", 7, True, None, 1.5, b"\0", ["x", 1], {"k": [1, 2]}]
    frame = dubbo.encode_request(9, "a.B", "hi", args, {"x-label": "开发😀"}, version="1.0", timeout=2500)
    request = dubbo.parse_request(frame)
    assert (request.service, request.version, request.method) == ("a.B", "1.0", "hi")
    assert request.parameter_types == "Ljava/lang/String;JZLjava/lang/Object;D[BLjava/util/List;Ljava/util/Map;"
    assert request.timeout == 2500
    assert request.head == dubbo.Head(True, True, False, 2, 0, 9, len(frame) - 16)
    assert request.attachments == {
        "dubbo": "2.0.2", "path": "a.B", "interface": "a.B", "version": "1.0", "timeout": "2500", "x-label": "开发😀"
    }  # fmt: skip
    assert not dubbo.parse_request(dubbo.encode_request(1, "a.B", "hi", two_way=False)).head.is_two_way
    assert dubbo.parse_request(dubbo.encode_request(1, "a.B", "hi", version=None)).version == ""
    assert "a.B.hi" in repr(request)


def test_stamp_adds_at_the_end_and_wins() -> None:
    frame = dubbo.encode_request(9, "a.B", "hi", ["x" * 100_000], {"label": "old"})
    out = dubbo.stamp(frame, {"label": "new", "y": "字😀"})
    assert out[16 : len(frame) - 1] == frame[16:-1]
    request = dubbo.parse_request(out)
    assert request.head.body_length == len(out) - 16
    assert (request.attachments["label"], request.attachments["y"]) == ("new", "字😀")
    assert dubbo.stamp(frame, {}) == frame
    assert dubbo.parse_request(dubbo.stamp(GOLDEN["fastjson2"], {"a": "b"})).attachments["a"] == "b"
    for name in ("four-strings", "java", "protobuf"):
        with pytest.raises(ProtocolError, match="no attachments"):
            dubbo.stamp(GOLDEN[name], {"a": "b"})


def test_stamp_keeps_what_is_behind() -> None:
    for name in ("bytes-behind", "behind-more", "behind-null", "fastjson2-behind-within", "fastjson2-behind-null"):
        before, out = dubbo.parse_request(GOLDEN[name]), dubbo.stamp(GOLDEN[name], {"env": "dev1"})
        assert dubbo.parse_request(out).attachments == before.attachments | {"env": "dev1"}, name
        assert out[-1:] == GOLDEN[name][-1:]


def test_long_attachments_are_stamped() -> None:
    frame = dubbo.stamp(GOLDEN["fastjson2"], {"token": "t" * 3_000_000})
    out = dubbo.stamp(frame, {"env": "dev1"})
    assert len(out) == len(frame) + 9
    assert dubbo.parse_request(out).attachments["env"] == "dev1"


def test_ids_are_signed() -> None:
    head = dubbo.parse_head(dubbo.heartbeat(-2))
    assert head is not None and head.request_id == -2
    assert dubbo.heartbeat(-2) == dubbo.heartbeat(2**64 - 2)
    error = dubbo.error_answer(-3, dubbo.Status.OK, "")
    assert dubbo.parse_head(error) == dubbo.Head(False, False, False, 2, 20, -3, 1)
    assert dubbo.decode_response(dubbo.encode_response(-4, "x")).request_id == -4
    assert dubbo.parse_request(dubbo.encode_request(-(2**63), "a.B", "hi")).head.request_id == -(2**63)


def test_answers_round_trip() -> None:
    for value in ("hello", None, "é€😀" * 20_000, 5, [1, "a"], {"k": None}):
        got = dubbo.decode_response(dubbo.encode_response(3, value, {"a": "b"}))
        assert got == dubbo.Response(3, 20, value, None, {"dubbo": "2.0.2", "a": "b"})
    thrown = dubbo.decode_response(dubbo.encode_response(4, exception="no stock"))
    assert (thrown.value, thrown.exception) == (None, "no stock")
    error = dubbo.decode_response(dubbo.error_answer(5, dubbo.Status.SERVICE_NOT_FOUND, "no route"))
    assert error == dubbo.Response(5, 60, None, "no route")
    for cut in (0, 15, 20):
        with pytest.raises(ProtocolError):
            dubbo.decode_response(dubbo.encode_response(3, "hello")[:cut])
    with pytest.raises(ProtocolError, match="not an answer"):
        dubbo.decode_response(dubbo.encode_request(1, "a", "b"))
    with pytest.raises(ProtocolError, match="its kind"):
        dubbo.decode_response(bytes.fromhex("dabb0214" + "00" * 8 + "00000001" + "9a"))


def test_events_and_names() -> None:
    assert dubbo.event(dubbo.heartbeat(3)) == "heartbeat"
    assert dubbo.event(dubbo.readonly()) == "readonly"
    assert dubbo.event(dubbo.writeable()) == "writeable"
    assert dubbo.event(dubbo.encode_request(1, "a", "b")) is None
    assert (dubbo.serialization_name(23), dubbo.status_name(100)) == ("fastjson2", "overload")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    assert dubbo.traceid("traceparent", f"00-{trace}-00f067aa0ba902b7-01") == trace
    assert dubbo.traceid("x-request-id", "abc") == "abc"
    assert [dubbo.traceid(key, "0-0-0") for key in ("x-request-id", "sw8", "b3")] == ["", "", ""]


def test_a_request_keeps_its_buffer() -> None:
    buffer = bytearray(dubbo.encode_request(1, "a.B", "hi"))
    request = dubbo.parse_request(buffer)
    with pytest.raises(BufferError):
        buffer.clear()
    assert request.service == "a.B"
    assert dubbo.parse_request(memoryview(bytes(buffer) + b"next frame")).method == "hi"


def test_any_bytes_end_in_an_answer_or_an_error() -> None:
    rng = random.Random(7)
    requests = [frame.data for frame in frames() if "rc" in frame.expect]
    for _ in range(3000):
        data = bytearray(rng.choice(requests))
        for _ in range(rng.randrange(1, 5)):
            data[rng.randrange(16, len(data)) if len(data) > 16 else 4] = rng.randrange(256)
        try:
            request = dubbo.parse_request(data)
            assert isinstance(request.attachments, dict) and isinstance(request.service, str)
        except (ProtocolError, LimitError):
            pass


@pytest.mark.skipif(not ENVOY.exists(), reason="../shared/vectors/dubbo is not there")
def test_frames_of_envoy() -> None:
    refused = {"bad_magic": "MF_EDUBBO_MAGIC", "oversize_body": "MF_EDUBBO_SIZE"}
    refused["short_15_zero_bytes"] = "MF_EDUBBO_MAGIC"
    theirs = json.loads(ENVOY.read_text())
    for frame in theirs:
        data, name = bytes.fromhex(frame["hex"]), frame["name"]
        if name in refused:
            with pytest.raises((ProtocolError, LimitError)) as caught:
                dubbo.parse_head(data, 16 << 20)
            assert caught.value.name == refused[name]
            continue
        head = dubbo.parse_head(data)
        assert head is not None, name
        if not head.is_request:
            assert head.status == data[3]  # any status is passed on
        elif not head.is_event and len(data) == 16 + head.body_length and head.serialization == 2:
            request = dubbo.parse_request(data)
            assert (request.service, request.method) in {("test", "test"), ("com.x.Demo", "hi"), ("a.B", "m")}
    assert len(theirs) >= 17
