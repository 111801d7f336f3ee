"""Triple beside Java alone: dubbo-go and apache-dubbo at either end, and gRPC's own client before a Java provider.

dubbo-go asks for a provider's health by /grpc.health.v1.Health/Watch, over a connection for each service, and does
without where none answers. It sends a message's five bytes and the rest as DATA of their own and ends the stream by an
empty one; its answers are in gzip where that is accepted, and have the request's headers as trailers.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Offers, Triple, obtain
from harness import mesh
from harness import triple as tri
from harness.driver import Driver, PeerError
from harness.go import Go
from harness.process import HOST, need
from harness.pydubbo import PyDubbo
from harness.triple import LABEL, TEXTS, TripleWay
from harness.way import PROXIED, WAYS

Refer = Callable[..., str]
#: Consumer and provider.
ENDS = (("go", "go"), ("go", "java"), ("java", "go"))
MIB = 1 << 20


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[TripleWay]:
    """Straight, and through one and two sidecars on each loop."""
    way = TripleWay(request.param)
    yield way
    way.close()


@pytest.fixture(params=PROXIED)
def proxied(request: pytest.FixtureRequest) -> Iterator[TripleWay]:
    """The same for what needs a sidecar."""
    way = TripleWay(request.param)
    yield way
    way.close()


@pytest.fixture(params=ENDS, ids=lambda ends: f"{ends[0]}>{ends[1]}")
def link(
    request: pytest.FixtureRequest, way: TripleWay, go_consumer: Go, triple: Triple, offers: Offers, refer: Refer
) -> tuple[Driver, str]:
    """A consumer and its reference to instance A."""
    asking, offering = request.param
    port = offers("A", protocol="tri")[1] if offering == "go" else triple.port()
    consumer = go_consumer if asking == "go" else triple.consumer
    return consumer, refer(consumer, *way.to(port), scheme="tri")


def test_unary(link: tuple[Driver, str]) -> None:
    consumer, ref = link
    assert consumer.call(ref, "whoami") == "A"
    for text in ("", "caf\u00e9 \u20ac \U0001f600", "x" * 40_000):
        assert consumer.call(ref, "echo", text) == text
    assert consumer.call(ref, "slow", 20, "q") == "A|q"
    with pytest.raises(PeerError):
        consumer.call(ref, "fail", "boo")  # as what it comes differs: Java ends such a call of dubbo-go as cancelled
    seen = consumer.call(ref, "attachments", attachments={LABEL: "dev1", "empty": ""})
    assert "dev1" in seen[LABEL]
    assert consumer.do("checksum", ref=ref, size=MIB) == "same"
    assert consumer.do("produce", ref=ref, size=MIB) == MIB
    report = consumer.do("flood", ref=ref, threads=50, calls=40)
    assert (report["good"], report["wrong"], report["failed"]) == (2000, 0, 0), report["errors"]


def test_streams(link: tuple[Driver, str]) -> None:
    """Messages of protobuf, one call of each kind."""
    consumer, ref = link
    if not isinstance(consumer, Go):
        assert consumer.do("texts", ref=ref, items=50) == [
            "A|q", [f"A|{i}" for i in range(50)], ["A|50|140"], [f"A|t{i}" for i in range(50)]
        ]  # fmt: skip
        return
    assert consumer.talk(ref, "ask", 0, 10_000) == ["A|" + "x" * 10_000]
    assert consumer.talk(ref, "count", 1000, 0) == [f"A|{i}" for i in range(1000)]
    for items, size in ((1, 0), (1000, 10), (100, 10_000)):
        assert consumer.talk(ref, "gather", items, size) == [f"A|{items}|{items * size}"]
    for items, size in ((1, 0), (100, 10), (10, 50_000)):
        assert consumer.talk(ref, "chat", items, size) == ["A"] * items
    with pytest.raises(PeerError, match="told to fail"):
        consumer.talk(ref, "chat", 3, 10, then="fail")


def test_label_of_go(proxied: TripleWay, go_consumer: Go, triple: Triple, refer: Refer) -> None:
    instances = [tri.endpoint(triple.port("base")), tri.endpoint(triple.port("dev1"), **{LABEL: "dev1"})]
    ref = refer(go_consumer, proxied.by(instances, mesh.label_policy(LABEL, hosts=tri.HOSTS)), scheme="tri")
    for told, name in (({}, "base"), ({LABEL: "dev1"}, "dev1"), ({LABEL: "nobody"}, "base")):
        for _ in range(5):
            assert go_consumer.call(ref, "whoami", attachments=told) == name
            assert go_consumer.talk(ref, "chat", 3, 10, attachments=told) == [name] * 3


@pytest.fixture
def channel(way: TripleWay, triple: Triple) -> Iterator[Any]:
    """A channel of grpcio to instance A."""
    found = importlib.util.find_spec("grpc") is not None
    obtain(lambda: need(found, "grpcio"))
    (port,) = way.to(triple.port())
    with importlib.import_module("grpc").insecure_channel(f"{HOST}:{port}") as channel:
        yield channel


def told(text: str) -> bytes:
    """protobuf's StringValue."""
    raw = text.encode()
    length, size = bytearray(), len(raw)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return b"\x0a" + bytes(length) + bytes([size]) + raw if raw else b""


def test_grpcio(channel: Any) -> None:
    """A method whose messages are protobuf's is plain gRPC."""
    grpc = importlib.import_module("grpc")

    def call(kind: str, method: str, service: str = TEXTS) -> Any:
        return getattr(channel, kind)(f"/{service}/{method}")

    assert call("unary_unary", "ask")(told("caf\u00e9"), timeout=20) == told("A|caf\u00e9")
    assert call("unary_unary", "ask")(told("x" * MIB), timeout=20) == told("A|" + "x" * MIB)
    counted = call("unary_stream", "count")(b"\x08\x64", timeout=20)
    assert list(counted) == [told(f"A|{i}") for i in range(100)]
    for items, size in ((1, 0), (1000, 10), (20, 100_000)):
        gathered = call("stream_unary", "gather")((told("x" * size) for _ in range(items)), timeout=20)
        assert gathered == told(f"A|{items}|{items * size}")
    chatted = call("stream_stream", "chat")((told(f"t{i}") for i in range(100)), timeout=20)
    assert list(chatted) == [told(f"A|t{i}") for i in range(100)]
    with pytest.raises(grpc.RpcError) as failed:
        call("unary_unary", "fail")(told("100 % caf\u00e9"), timeout=20)
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.UNKNOWN, "100 % caf\u00e9")
    with pytest.raises(grpc.RpcError) as unknown:
        call("unary_unary", "ask", "meshfast.peer.Nobody")(told("q"), timeout=20)
    assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture(scope="module")
def snake(triple: Triple) -> Iterator[tuple[PyDubbo, int]]:
    """apache-dubbo: a process that asks, and the port of instance A, which another offers."""
    asking = obtain(lambda: PyDubbo("consumer"))
    offering = obtain(lambda: PyDubbo("provider"))
    yield asking, offering.export("A")
    asking.close()
    offering.close()


def test_pydubbo(way: TripleWay, snake: tuple[PyDubbo, int], triple: Triple) -> None:
    consumer, port = snake
    (address,) = way.to(port)
    near, far = (f"{way.path} {way.is_two} {end}" for end in ("Python", "Java"))
    consumer.refer(near, address)
    assert consumer.talk(near, "ask", 0, 100_000) == ["A|" + "x" * 100_000]
    assert consumer.talk(near, "gather", 100, 1000) == ["A|100|100000"]
    assert consumer.talk(near, "chat", 50, 100) == [f"A|{i}-{'x' * 100}" for i in range(50)]
    (address,) = way.to(triple.port())
    consumer.refer(far, address)
    # It ends every stream of requests with an empty message more, which Java answers too, and takes for a unary call's.
    assert consumer.talk(far, "chat", 5, 3) == [*(f"A|{i}-xxx" for i in range(5)), "A|"]


def test_pydubbo_provider(way: TripleWay, snake: tuple[PyDubbo, int], triple: Triple, refer: Refer) -> None:
    consumer, ref = triple.consumer, refer(triple.consumer, *way.to(snake[1]))
    asked = [consumer.start("texts", ref=ref, items=20) for _ in range(20)]
    for call in asked:
        assert call.result(60) == [
            "A|q", [f"A|{i}" for i in range(20)], ["A|20|50"], [f"A|t{i}" for i in range(20)]
        ]  # fmt: skip
    with pytest.raises(PeerError, match="INTERNAL : Invoke method failed: boo"):
        consumer.do("texts-fail", ref=ref)
