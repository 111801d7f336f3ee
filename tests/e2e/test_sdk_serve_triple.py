"""Applications of Python that serve by Triple and gRPC at the port where they serve Dubbo2, called by grpcio, grpc-go,
Dubbo for Java 3.3 and dubbo-go; straight, and through one and two sidecars."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import GrpcPeers, Triple
from harness import grpc, mesh
from harness.driver import PeerError
from harness.go import Go
from harness.grpc import CANCELLED, DEADLINE, OK, UNIMPLEMENTED, UNKNOWN, Grpc, summary
from harness.load import loaded
from harness.process import ANY, PROJECT, Process, accepts, free_port, until
from harness.triple import HOSTS, TripleWay, endpoint, entry
from harness.way import WAYS

Refer = Callable[..., str]
EVERY = (*HOSTS, grpc.SERVICE)


class Python:
    """One process."""

    def __init__(self, name: str) -> None:
        self.port = free_port()
        command = [sys.executable, PROJECT / "tests" / "e2e" / "pysdk" / "triple.py", name, str(self.port)]
        self.process = Process(f"pysdk-triple-{name}", command, env={"PYTHONPATH": str(PROJECT)})
        until("it serves", lambda: accepts(self.port), 60)


@pytest.fixture(scope="module")
def python() -> Iterator[int]:
    """The port of one that lasts."""
    one = Python("P")
    yield one.port
    one.process.close()


class Ways(TripleWay):
    def to(self, *ports: int, **limits: Any) -> tuple[int, ...]:
        if self.is_direct:
            return ports
        ends = [self.before(endpoint(port)) if self.is_two else endpoint(port) for port in ports]
        door = free_port()
        self.last = self.sidecar([entry(ends, EVERY)], [mesh.outbound(f"tcp://{ANY}:{door}")], limits=limits)
        return (door,)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[Ways]:
    """Straight, and through one and two sidecars on each loop."""
    way = Ways(request.param)
    yield way
    way.close()


@pytest.fixture(params=grpc.KINDS)
def caller(request: pytest.FixtureRequest, grpc_peers: GrpcPeers) -> Grpc:
    """grpcio, and grpc-go."""
    return grpc_peers.caller(request.param)


def test_grpc_once(python: int, way: Ways, caller: Grpc) -> None:
    """Bodies, metadata both ways, statuses, deadlines, and what is not there."""
    ref = caller.refer(*way.to(python))
    for body in (b"", b"x", bytes(range(256)) * 4000):
        reply = caller.ask(ref, "ask", body)
        assert (reply["code"], reply["body"]) == (OK, b"P|" + body)
    sent = [("env", "dev1"), ("blob-bin", b"\xff\0")]
    reply = caller.ask(ref, "told", {"trailing": [["later", "yes"], ["raw-bin", "/wA="]]}, sent)
    told = json.loads(reply["body"])["metadata"]
    assert (told["env"], told["blob"]) == ("dev1", "/wA=")
    assert ("later", "yes") in reply["trailing"] and ("raw-bin", b"\xff\0") in reply["trailing"]
    reply = caller.ask(ref, "fail", {"code": 9, "message": "sold out: ü%"})
    assert (reply["code"], reply["message"]) == (9, "sold out: ü%")
    assert caller.ask(ref, "fail", b"no json")["code"] == UNKNOWN
    reply = caller.ask(ref, "none")
    assert reply["code"] == UNIMPLEMENTED and "has no method none" in reply["message"]
    assert caller.ask(ref, "slow", b"20000", timeout=200)["code"] == DEADLINE


def test_it_leaves_under_load(way: Ways, caller: Grpc) -> None:
    """Of two one is told to end, and every call is answered."""
    pair = [Python(name) for name in "QR"]
    try:
        ref = caller.refer(*way.to(*(one.port for one in pair)))
        with loaded(caller, ref, threads=4) as report:
            try:
                until("both answer", lambda: set(report()["answered_by"]) == {"Q", "R"} and report()["good"] > 50)
            except TimeoutError:
                raise AssertionError(report()) from None
            pair[0].process.terminate()
            assert pair[0].process.wait(60) == 0
            before = report()["good"]
            until("calls go on", lambda: report()["good"] > before + 50)
            told = report(end=True)
        assert (told["wrong"], told["failed"]) == (0, 0), told["errors"]
    finally:
        for one in pair:
            one.process.close()


def test_grpc_streams(python: int, way: Ways, caller: Grpc) -> None:
    """Each kind, long ones too; and a caller that leaves is told to the handler."""
    ref = caller.refer(*way.to(python))
    for count, size in ((0, 10), (1, 10), (1000, 100), (100, 100_000)):
        reply = caller.stream(ref, "collect", count, size)
        assert (reply["code"], reply["answer"]) == (OK, summary(count, size))
        for method in ("produce", "chat"):
            reply = caller.stream(ref, method, count, size)
            assert (reply["code"], reply["got"], reply["wrong"]) == (OK, count, 0)
    before = json.loads(caller.ask(ref, "seen")["body"])["cancelled"]
    for method in ("wait", "hang"):
        caller.do("start", ref=ref, method=method, name=method, timeout=0)
    until("both wait", lambda: json.loads(caller.ask(ref, "seen")["body"])["begun"] >= before + 2)
    for method in ("wait", "hang"):
        assert caller.do("finish", name=method, cancel=True)["code"] == CANCELLED
    until("both were told", lambda: json.loads(caller.ask(ref, "seen")["body"])["cancelled"] == before + 2)


@pytest.mark.parametrize("scheme", ["tri", "dubbo"])
def test_java(python: int, way: Ways, triple: Triple, refer: Refer, scheme: str) -> None:
    """One port, by either protocol."""
    consumer = triple.consumer
    address = python if way.is_direct else way.by([endpoint(python, "dubbo", "tri")])
    ref = refer(consumer, address, scheme=scheme)
    assert consumer.call(ref, "whoami") == "P"
    for text in ("", "hi", "caf\u00e9 \u20ac \U0001f600", "x" * 40_000, None):
        assert consumer.call(ref, "echo", text) == text
    assert consumer.call(ref, "nothing") is None and consumer.call(ref, "slow", 10, "x") == "P|x"
    with pytest.raises(PeerError) as thrown:
        consumer.call(ref, "fail", "boo \u20ac")
    assert thrown.value.kind == "java.lang.RuntimeException" and "boo \u20ac" in thrown.value.text
    sent = {"env": "dev1", "replyTo": "Me", "reply": "r\u00e9ply", "long": "y" * 3000}
    reply = consumer.call_full(ref, "attachments", attachments=sent)
    assert sent.items() <= reply["value"].items()
    assert {"from": "P", "replied": "r\u00e9ply"}.items() <= reply["attachments"].items()
    assert consumer.do("checksum", ref=ref, size=4 << 20) == "same"
    assert consumer.do("produce", ref=ref, size=4 << 20) == 4 << 20
    with pytest.raises(PeerError, match="has no method left"):
        consumer.call(ref, "left")
    report = consumer.do("flood", ref=ref, threads=20, calls=50, size=100, seconds=120)
    assert (report["good"], report["wrong"], report["failed"]) == (1000, 0, 0), report["errors"]
    hasty = refer(consumer, address, scheme=scheme, timeout=300)
    with pytest.raises(PeerError, match=r"(?i)timeout|DEADLINE_EXCEEDED"):
        consumer.call(hasty, "slow", 5000, "q")
    assert consumer.call(ref, "whoami") == "P"


def test_java_streams(python: int, way: Ways, triple: Triple, refer: Refer) -> None:
    """Of a Java interface and of protobuf, each kind; those that fail and those that are cancelled."""
    consumer = triple.consumer
    ref = refer(consumer, *way.to(python))
    for items, size in ((0, 0), (1, 0), (1000, 10), (100, 1000), (32, 500_000)):
        assert consumer.count(ref, items, size) == ("P" if items else None)
    for items in (0, 5):
        with pytest.raises(PeerError, match="told to fail"):
            consumer.count(ref, items, 10, fail=True)
    for items, size in ((1, 0), (1, 5000), (500, 10), (100, 5000)):
        assert consumer.gather(ref, items, size) == [f"P|{items}|{items * size}"]
    for items, size in ((1, 10), (200, 10), (20, 50_000)):
        assert consumer.chat(ref, items, size) == ["P"] * items
    with pytest.raises(PeerError, match="told to fail"):
        consumer.chat(ref, 3, 10, then="fail")
    before = consumer.do("cancelled", ref=ref)
    assert consumer.chat(ref, 3, 10, then="cancel") == ["P"] * 3
    until("the provider told", lambda: consumer.do("cancelled", ref=ref) > before)
    assert consumer.do("texts", ref=ref, items=50) == [
        "P|q", [f"P|{i}" for i in range(50)], ["P|50|140"], [f"P|t{i}" for i in range(50)]
    ]  # fmt: skip
    with pytest.raises(PeerError, match="UNKNOWN ?: boo"):
        consumer.do("texts-fail", ref=ref)
    sent = {"none": "", "blob": "AAEC/w==", "Upper": "/w=="}
    reply = consumer.do("bytes", ref=ref, bytes=sent)
    assert reply["value"] == sent and reply["attachments"] == {"blob": "AAEC/w=="}


def test_dubbo_go(python: int, way: Ways, go_consumer: Go, refer: Refer) -> None:
    """Once and by streams, of protobuf."""
    ref = refer(go_consumer, *way.to(python), scheme="tri")
    assert go_consumer.call(ref, "whoami") == "P"
    for text in ("", "caf\u00e9 \u20ac \U0001f600", "x" * 40_000):
        assert go_consumer.call(ref, "echo", text) == text
    with pytest.raises(PeerError):
        go_consumer.call(ref, "fail", "boo")
    assert go_consumer.talk(ref, "ask", 0, 10_000) == ["P|" + "x" * 10_000]
    assert go_consumer.talk(ref, "count", 1000, 0) == [f"P|{i}" for i in range(1000)]
    for items, size in ((1, 0), (1000, 10), (100, 10_000)):
        assert go_consumer.talk(ref, "gather", items, size) == [f"P|{items}|{items * size}"]
    for items, size in ((1, 0), (100, 10), (10, 50_000)):
        assert go_consumer.talk(ref, "chat", items, size) == ["P"] * items
    with pytest.raises(PeerError, match="told to fail"):
        go_consumer.talk(ref, "chat", 3, 10, then="fail")
