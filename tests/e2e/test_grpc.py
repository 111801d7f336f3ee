"""gRPC calls of two SDKs at either end, each kind and all that comes with it."""

from __future__ import annotations

import itertools
import json

import pytest
from conftest import GrpcPeers
from harness.grpc import CANCELLED, DEADLINE, OK, UNIMPLEMENTED, Grpc, b64, summary
from harness.process import until
from harness.through import Through, growth

MIB = 1 << 20
LARGE = 100  # messages of 1 MiB
#: What a sidecar may grow by while it passes a stream on, whatever its length: buffers, not bodies.
BOUND = 16 * MIB
#: Caller, instance, and how many connections the caller has.
FLOODS = (("grpc-go", "grpc-go", 1), ("grpcio", "grpc-go", 50), ("grpc-go", "grpcio", 50))
TEXTS = ("plain", "100 % + more", "caf\u00e9 \u20ac \U0001f600", "two\nlines\tand a tab", "x" * 900)
_names = itertools.count(1)


@pytest.fixture
def ends(through: Through, asking: Grpc, offering: str, grpc_peers: GrpcPeers) -> tuple[Grpc, str, Grpc]:
    """A caller with its reference, and the instance that it reaches."""
    provider, port = grpc_peers.instance(offering)
    return asking, asking.refer(*through.to(port)), provider


Ends = tuple[Grpc, str, Grpc]


def test_kinds(ends: Ends) -> None:
    caller, ref, _ = ends
    for size in (0, 1, 100, 16_384, 65_536, 3 * MIB):
        reply = caller.ask(ref, "ask", b"\x01" * size)
        assert (reply["code"], reply["body"]) == (OK, b"A|" + b"\x01" * size), reply["message"]
    for count, size in ((0, 4), (1, 4), (1000, 10), (200, 1000), (20, MIB)):
        for method in ("produce", "chat"):
            reply = caller.stream(ref, method, count, size)
            assert (reply["code"], reply["got"], reply["wrong"]) == (OK, count, 0), reply
        reply = caller.stream(ref, "collect", count, size)
        assert (reply["code"], reply["answer"]) == (OK, summary(count, size)), reply


def test_metadata(ends: Ends) -> None:
    """Repeated, empty, with commas and binary: in order and unchanged, both ways."""
    caller, ref, _ = ends
    every = bytes(range(256))
    sent = [
        ("x-many", "one"), ("x-many", ""), ("x-many", "two, three"), ("x-empty", ""), ("x-long", "v" * 6000),
        ("x-every-bin", every), ("x-every-bin", b""), ("x-every-bin", b"\x00"), ("x-comma-bin", b"a,b"),
    ]  # fmt: skip
    encoded = [(k, b64(v) if isinstance(v, bytes) else v) for k, v in sent]
    reply = caller.ask(ref, "told", {"initial": encoded, "trailing": encoded}, metadata=sent)
    assert reply["code"] == OK, reply["message"]
    seen = [(k, v) for k, v in json.loads(reply["body"])["metadata"]]
    for key in {k for k, _ in sent}:
        wanted = [v for k, v in sent if k == key]
        assert [v for k, v in seen if k == key] == [v for k, v in encoded if k == key]
        assert [v for k, v in reply["initial"] if k == key] == wanted
        assert [v for k, v in reply["trailing"] if k == key] == wanted


def test_deadline(ends: Ends) -> None:
    outlast(ends, DEADLINE)


def outlast(ends: Ends, *codes: int) -> None:
    """The provider has no more time than its caller; who waits longer is told so, and the provider hears of it."""
    caller, ref, provider = ends
    for given in (5_000, 60_000, 3_600_000):
        left = json.loads(caller.ask(ref, "told", timeout=given)["body"])["left"]
        assert 0 < left <= given * 1.02  # grpcio writes it with two or three digits, rounded up
    before = provider.do("seen")
    # On a busy machine the first may be over before it got there: it is nothing to hear of, and the next has longer.
    for given in (300, 1_000, 3_000, 10_000):
        reply = caller.ask(ref, "wait", timeout=given)
        assert reply["code"] in codes, reply
        assert given * 0.8 < reply["millis"] < given + 5_000
        if provider.do("seen")["begun"] > before["begun"]:
            break

    def heard() -> bool:
        began, cancelled = (provider.do("seen")[which] - before[which] for which in ("begun", "cancelled"))
        return 0 < began == cancelled

    until("the provider hears", heard)


def test_no_deadline(ends: Ends) -> None:
    caller, ref, _ = ends
    assert json.loads(caller.ask(ref, "told", timeout=0)["body"])["left"] is None


@pytest.mark.parametrize("method", ["wait", "hang"], ids=["unanswered", "answered"])
def test_cancel(ends: Ends, method: str) -> None:
    """Before and after the answer's first message; others on the same connection go on."""
    caller, ref, provider = ends
    before = provider.do("seen")
    names = [f"call-{next(_names)}" for _ in range(20)]
    for name in names:
        caller.do("start", ref=ref, name=name, method=method)
    until("all begun", lambda: provider.do("seen")["begun"] == before["begun"] + 20)
    for name in names[:10]:
        assert caller.do("finish", name=name, cancel=True)["code"] == CANCELLED
    until("ten are heard of", lambda: provider.do("seen")["cancelled"] == before["cancelled"] + 10)
    assert caller.ask(ref, "ask", b"x")["body"] == b"A|x"
    assert provider.do("seen")["cancelled"] == before["cancelled"] + 10
    for name in names[10:]:
        assert caller.do("finish", name=name, cancel=True)["code"] == CANCELLED
    until("the others, too", lambda: provider.do("seen")["cancelled"] == before["cancelled"] + 20)


def test_status(ends: Ends) -> None:
    """Every code, and messages of every sort of text."""
    caller, ref, _ = ends
    for code in range(1, 17):
        text = TEXTS[code % len(TEXTS)]
        reply = caller.ask(ref, "fail", {"code": code, "message": text})
        assert (reply["code"], reply["message"], reply["details"]) == (code, text, b"")
    assert caller.ask(ref, "missing")["code"] == UNIMPLEMENTED


@pytest.mark.parametrize("size", [1, 40_000])
def test_details(ends: Ends, size: int) -> None:
    """``grpc-status-details-bin``, also one that takes several frames."""
    if size > 4_000 and "grpcio" in (ends[0].kind, ends[2].kind):
        size = 4_000  # grpcio takes no longer header lists than 8 KiB unless told
    caller, ref, _ = ends
    text = "caf\u00e9"
    packed = field(1, b"type.example/Thing") + field(2, b"\xff" * size)
    details = b"\x08\x09" + field(2, text.encode()) + field(3, packed)
    for _ in range(3):
        reply = caller.ask(ref, "fail", {"code": 9, "message": text, "details": b64(details)})
        assert (reply["code"], reply["message"]) == (9, text)
        assert reply["details"] == details


def field(number: int, value: bytes) -> bytes:
    """A field of a protobuf message, with its length."""
    size, length = len(value), b""
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + value


@pytest.mark.parametrize(
    ("kind", "offered", "connections"), FLOODS, ids=[f"{asks}>{gives}-{count}" for asks, gives, count in FLOODS]
)
def test_flood(through: Through, kind: str, offered: str, connections: int, grpc_peers: GrpcPeers) -> None:
    """50 callers of 1,000 calls each, on one connection and on one each."""
    caller = grpc_peers.caller(kind)
    ports = [grpc_peers.fresh(offered, name)[1] for name in ("one", "two")]
    ref = caller.refer(*through.to(*ports), connections=connections)
    report = caller.do("flood", 300, ref=ref, threads=50, calls=1000, size=100)
    assert (report["good"], report["wrong"], report["failed"]) == (50_000, 0, 0), report["errors"]
    assert report["answered_by"].keys() == {"one", "two"}
    caller.do("release", ref=ref)


@pytest.mark.parametrize("method", ["collect", "produce", "chat"])
def test_large(through: Through, asking: Grpc, offering: str, grpc_peers: GrpcPeers, method: str) -> None:
    """100 MiB to the provider, from it, and both at once: passed on as they come, never kept."""
    (address,) = through.to(grpc_peers.instance(offering)[1])
    ref = asking.refer(address)
    assert asking.stream(ref, method, 1, MIB)["code"] == OK
    with growth(through.sidecars) as found:
        reply = asking.stream(ref, method, LARGE, MIB, seconds=300)
    assert (reply["code"], reply["wrong"]) == (OK, 0), reply
    if method == "collect":
        assert reply["answer"] == summary(LARGE, MIB)
    else:
        assert reply["got"] == LARGE
    assert found.most < BOUND
