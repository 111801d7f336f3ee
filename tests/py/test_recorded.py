"""Frames that real peers wrote (tests/wire/*.txt, recorded by tests/e2e/record.py), read as a proxy reads them."""

from __future__ import annotations

import pytest
from wire import expect, frames

from meshfast import ProtocolError, dubbo

READ = {"hessian2", "fastjson2"}
STREAMS = {"java", "nativejava"}

RECORDED = frames("*-*.txt")
ALL = [(frame.file.rpartition("-")[2], frame.name, frame.data) for frame in RECORDED]
REQUESTS = [one for one in ALL if one[1].startswith("request-") and not dubbo.parse_head(one[2]).is_event]  # type: ignore[union-attr]
EVENTS = [one for one in ALL if dubbo.parse_head(one[2]).is_event]  # type: ignore[union-attr]
ids = [f"{kind}-{name}" for kind, name, _ in REQUESTS]


def test_there_are_many():
    assert len(ALL) > 200 and len(REQUESTS) > 100 and len(EVENTS) > 20


def test_the_files_say_what_a_second_reader_finds():
    for frame in RECORDED:
        assert expect.expect(frame.data) == frame.expect, frame


def test_heads():
    for kind, name, raw in ALL:
        head = dubbo.parse_head(raw)
        assert head is not None and len(raw) == 16 + head.body_length
        assert head.is_request == name.startswith("request-")
        assert dubbo.serialization_name(head.serialization) == kind, name


@pytest.mark.parametrize(("kind", "name", "raw"), REQUESTS, ids=ids)
def test_requests(kind, name, raw):
    request = dubbo.parse_request(raw)
    if kind in READ:
        assert request.is_complete and not request.is_opaque
        assert request.service and request.method
        attachments = dict(request.attachments)
        if "path" in attachments:
            assert attachments["path"] == request.service
        stamped = dubbo.parse_request(dubbo.stamp(raw, {"env": "dev1"}))
        assert dict(stamped.attachments) == attachments | {"env": "dev1"}
        assert (stamped.service, stamped.method, stamped.parameter_types) == (
            request.service, request.method, request.parameter_types,
        )  # fmt: skip
    else:
        assert request.is_opaque
        if kind in STREAMS:
            assert request.service and request.method
    if "generic" in name and kind in READ | STREAMS:
        assert request.is_generic and not request.method.startswith("$")


def test_events():
    seen = {dubbo.event(raw) for _, name, raw in EVENTS if name.startswith("request-")}
    assert {"heartbeat", "readonly"} <= seen
    for kind, name, raw in EVENTS:
        if name.startswith("request-heartbeat"):
            assert dubbo.event(raw) == "heartbeat", f"{kind} {name}"
        if name.startswith("request-readonly"):
            assert dubbo.event(raw) == "readonly", f"{kind} {name}"
        if name.startswith("answer-heartbeat"):  # what echoing the request would have given
            of = name.replace("answer", "request")
            asked = next(r for k, n, r in EVENTS if (k, n, r[4:12]) == (kind, of, raw[4:12]))
            # dubbo-go ends whatever it answers with a null more.
            assert raw[16:] in (asked[16:], asked[16:] + b"N") and raw[2] & 0x1F == asked[2] & 0x1F


@pytest.mark.parametrize(("kind", "name", "raw"), REQUESTS, ids=ids)
def test_every_cut(kind, name, raw):
    if len(raw) > 4096:
        raw = raw[:4096]
    for cut in range(16):
        assert dubbo.parse_head(raw[:cut]) is None
    for cut in range(16, len(raw) - 1, max(1, len(raw) // 200)):
        broken = raw[:12] + (cut - 16).to_bytes(4, "big") + raw[16:cut]
        try:
            dubbo.parse_request(broken)
        except ProtocolError:
            pass
