"""What an application does with its SDK, one scenario at a time, between every pair of versions."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conftest import Peers
from harness.driver import Driver, PeerError
from harness.java import SERIALIZATIONS
from harness.process import until
from harness.way import Way

Pair = tuple[str, str]
Refer = Callable[..., str]
PortOf = Callable[..., int]


@pytest.fixture
def link(peers: Peers, way: Way, pair: Pair, port_of: PortOf, refer: Refer) -> tuple[Driver, str]:
    """A consumer and its reference to instance A."""
    consumer = peers.consumer(pair[0])
    return consumer, refer(consumer, *way.to(port_of(pair[1])))


def test_two_way(link: tuple[Driver, str]) -> None:
    consumer, ref = link
    assert consumer.call(ref, "whoami") == "A"
    for text in ("", "hi", "caf\u00e9 \u20ac \U0001f600", "x" * 40_000):
        assert consumer.call(ref, "echo", text) == text


def test_object(link: tuple[Driver, str]) -> None:
    consumer, ref = link
    assert consumer.do("order", ref=ref, seed=9) == "same"


def test_null(link: tuple[Driver, str]) -> None:
    consumer, ref = link
    assert consumer.call(ref, "nothing") is None
    assert consumer.call(ref, "echo", None) is None


def test_exception(link: tuple[Driver, str]) -> None:
    consumer, ref = link
    with pytest.raises(PeerError, match="java.lang.IllegalStateException: boo"):
        consumer.call(ref, "fail", "boo")
    with pytest.raises(PeerError, match="meshfast.peer.PeerException: checked"):
        consumer.call(ref, "failChecked", "checked")


def test_async(link: tuple[Driver, str]) -> None:
    consumer, ref = link
    assert consumer.call(ref, "later", 30, "q") == "A|q"
    assert consumer.do("futures", ref=ref, count=100) == 100


def test_one_way(link: tuple[Driver, str]) -> None:
    consumer, ref = link
    tokens = [f"{ref}-{i}" for i in range(50)]
    for token in tokens:
        consumer.call(ref, "record", token)
    until("one-way calls", lambda: set(tokens) <= set(consumer.call(ref, "recorded")))
    assert [t for t in consumer.call(ref, "recorded") if t in tokens].count(tokens[0]) == 1


def test_attachments(link: tuple[Driver, str]) -> None:
    consumer, ref = link
    sent = {"env": "dev1", "reply": "r\u00e9ply", "long": "y" * 3000}
    reply = consumer.call_full(ref, "attachments", attachments=sent)
    assert sent.items() <= reply["value"].items()
    assert {"from": "A", "replied": "r\u00e9ply"}.items() <= reply["attachments"].items()


def test_generic(peers: Peers, way: Way, pair: Pair, port_of: PortOf) -> None:
    consumer = peers.consumer(pair[0])
    (address,) = way.to(port_of(pair[1]))
    assert consumer.generic(address, "ask", ["java.lang.String"], "g") == "A|g"


def test_large(link: tuple[Driver, str]) -> None:
    consumer, ref = link
    size = 4 << 20
    assert consumer.do("checksum", ref=ref, size=size) == "same"
    assert consumer.do("produce", ref=ref, size=size) == size


def test_answer_over_the_limit(link: tuple[Driver, str]) -> None:
    consumer, ref = link
    with pytest.raises(PeerError):
        consumer.do("produce", ref=ref, size=9 << 20)
    until("the next call", lambda: answers(consumer, ref))


def test_request_over_the_limit(peers: Peers, proxied: Way, pair: Pair, port_of: PortOf, refer: Refer) -> None:
    # Only through us: a 2.7 provider lets the caller time out and the connection die, a 3.3 one has no limit here.
    consumer = peers.consumer(pair[0])
    ref = refer(consumer, *proxied.to(port_of(pair[1])), payload=32 << 20)
    with pytest.raises(PeerError) as refused:
        consumer.do("checksum", ref=ref, size=9 << 20)
    assert "meshfast: " in refused.value.text, refused.value.text
    until("the next call", lambda: answers(consumer, ref))


def answers(consumer: Driver, ref: str) -> bool:
    """Whether a call gets its answer."""
    try:
        return bool(consumer.call(ref, "whoami") == "A")
    except PeerError:
        return False


def test_flood(link: tuple[Driver, str]) -> None:
    consumer, ref = link
    report = consumer.do("flood", ref=ref, threads=50, calls=1000, size=100, seconds=120)
    assert (report["good"], report["wrong"], report["failed"]) == (50_000, 0, 0), report["errors"]


SERIALIZED = [
    ((consumer, provider), serialization)
    for consumer in SERIALIZATIONS
    for provider in SERIALIZATIONS
    for serialization in SERIALIZATIONS[consumer]
    if serialization in SERIALIZATIONS[provider]
]


@pytest.mark.parametrize(("pair", "serialization"), SERIALIZED, ids=[f"{c}>{p}-{s}" for (c, p), s in SERIALIZED])
def test_serialization(peers: Peers, way: Way, pair: Pair, serialization: str, port_of: PortOf, refer: Refer) -> None:
    consumer = peers.consumer(pair[0])
    ref = refer(consumer, *way.to(port_of(pair[1])), serialization=serialization)
    assert consumer.call(ref, "echo", "caf\u00e9 \u20ac") == "caf\u00e9 \u20ac"
    assert consumer.call(ref, "nothing") is None
    reply = consumer.call_full(ref, "attachments", attachments={"reply": "x"})
    assert reply["attachments"]["replied"] == "x"
    if serialization != "fastjson":  # it loses nulls in maps and the kind of exceptions, also without us between
        assert consumer.do("order", ref=ref, seed=9) == "same"
        with pytest.raises(PeerError, match="meshfast.peer.PeerException: boo"):
            consumer.call(ref, "failChecked", "boo")
    report = consumer.do("flood", ref=ref, threads=10, calls=100)
    assert (report["good"], report["wrong"], report["failed"]) == (1000, 0, 0), report["errors"]
