"""gRPC connections and instances that age, stop, die and are silent while calls go on."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from conftest import GrpcPeers
from harness import mesh
from harness.grpc import CANCELLED, DEADLINE, INTERNAL, OK, SERVICE, UNAVAILABLE, UNKNOWN, Grpc, b64
from harness.h2tap import Tap
from harness.load import loaded
from harness.process import free_port, until
from harness.through import Through

PING, GOAWAY = 6, 7
AGE = 500  # ms: how long a connection may live
_names = itertools.count(1)


def total(report: dict[str, Any]) -> int:
    """How many calls have ended."""
    return int(report["good"] + report["wrong"] + report["failed"])


def test_max_age(through: Through, asking: Grpc, offering: str, grpc_peers: GrpcPeers) -> None:
    """An instance that says GOAWAY to each connection twice a second, under load: no call is lost, nor is a stream."""
    _, port = grpc_peers.fresh(offering, "A", age=AGE)
    with Tap(port) as tap:
        ref = asking.refer(*through.to(tap.port))
        streaming = asking.start("stream", ref=ref, method="produce", count=100, size=1000, pause=20)
        with loaded(asking, ref, threads=16, pause=1) as report:
            until("some have aged", lambda: tap.count(GOAWAY, up=False) >= 6 and tap.connections >= 3)
            told = report(end=True)
        assert (told["wrong"], told["failed"]) == (0, 0), told["errors"]
        streamed = streaming.result(60)
        assert (streamed["code"], streamed["got"], streamed["wrong"]) == (OK, 100, 0), streamed


def test_keepalive_of_provider(through: Through, asking: Grpc, offering: str, grpc_peers: GrpcPeers) -> None:
    """PINGs of an instance are answered, and its quiet stream lives."""
    _, port = grpc_peers.fresh(offering, "A", keepalive=1000)
    with Tap(port) as tap:
        ref = asking.refer(*through.to(tap.port))
        quiet(asking, ref, tap, up=True)


def test_keepalive_of_caller(through: Through, offering: str, grpc_peers: GrpcPeers) -> None:
    """The same of a caller's; grpc-go's would come no oftener than each 10 s."""
    caller = grpc_peers.caller("grpcio")
    with Tap(*through.to(grpc_peers.instance(offering)[1])) as tap:
        ref = caller.refer(tap.port, keepalive=500)
        quiet(caller, ref, tap, up=False)
        caller.do("release", ref=ref)


def quiet(caller: Grpc, ref: str, tap: Tap, up: bool) -> None:
    """A stream without a byte while PINGs are answered."""
    name = f"quiet-{next(_names)}"
    caller.do("start", ref=ref, name=name, method="hang")
    until("answered PINGs", lambda: tap.count(PING, up=up, flags=1) >= 4)
    assert caller.ask(ref, "ask", b"x")["body"] == b"A|x"
    assert tap.count(GOAWAY) == 0
    assert caller.do("finish", name=name, cancel=True)["code"] == CANCELLED
    assert tap.connections == 1


def test_graceful_stop(through: Through, asking: Grpc, offering: str, grpc_peers: GrpcPeers) -> None:
    """An instance that stops beside another loses no call, neither the short ones nor the slow one that it has."""
    leaving, first = grpc_peers.fresh(offering, "leaving")
    staying, second = grpc_peers.fresh(offering, "staying")
    ref = asking.refer(*through.to(first, second))
    body = {"body": b64(b"3000"), "metadata": [], "timeout": 30_000}
    slow = [asking.start("call", ref=ref, method="slow", **body) for _ in range(8)]
    until("they are there", lambda: leaving.do("seen")["begun"] + staying.do("seen")["begun"] == 8)
    with loaded(asking, ref, threads=16, pause=1) as report:
        until("both answer", lambda: report()["answered_by"].keys() == {"leaving", "staying"})
        leaving.do("leave", grace=20_000)
        after = total(report())
        until("calls afterwards", lambda: total(report()) > after + 400)
        told = report(end=True)
    assert told["wrong"] == 0
    # grpcio itself cancels calls that come while it says GOAWAY, one for each caller at most.
    lost = 16 if offering == "grpcio" else 0
    assert sum(count for text, count in told["errors"].items() if text.startswith(f"{CANCELLED} ")) <= lost
    assert [text for text in told["errors"] if not text.startswith(f"{CANCELLED} ")] == []
    assert {future.result(30)["code"] for future in slow} == {OK}


def test_kill(through: Through, asking: Grpc, offering: str, grpc_peers: GrpcPeers) -> None:
    """An instance that dies: who waits hears at once, and who comes later is served by the other."""
    dying, first = grpc_peers.fresh(offering, "dying")
    staying, second = grpc_peers.fresh(offering, "staying")
    ref = asking.refer(*through.to(first, second))
    names = {method: [f"{method}-{next(_names)}" for _ in range(20)] for method in ("wait", "hang")}
    for method, listed in names.items():
        for name in listed:
            asking.do("start", ref=ref, name=name, method=method)
    until("all begun", lambda: dying.do("seen")["begun"] + staying.do("seen")["begun"] == 40)
    doomed = dying.do("seen")["begun"]
    assert 0 < doomed < 40
    ends = {name: asking.start("finish", name=name) for listed in names.values() for name in listed}
    dying.kill()
    until("they hear", lambda: sum(end.done() for end in ends.values()) >= doomed)
    codes = {method: {ends[n].result()["code"] for n in listed if ends[n].done()} for method, listed in names.items()}
    assert codes["wait"] <= {UNAVAILABLE}
    # Their answers had begun, so that only a reset can end them; which code that becomes is the caller's affair.
    assert codes["hang"] <= {UNAVAILABLE, INTERNAL, UNKNOWN}
    report = asking.do("flood", ref=ref, threads=10, calls=50)
    assert (report["wrong"], report["answered_by"].keys()) == (0, {"staying"})
    if not through.is_direct:  # a sidecar of the provider's own answers for it until it is left alone
        assert report["failed"] <= (20 if through.is_two else 0), report["errors"]
    assert sum(end.done() for end in ends.values()) == doomed
    staying.kill()
    until("the rest hear", lambda: all(end.done() for end in ends.values()))


def test_gone_and_back(through: Through, asking: Grpc, offering: str, grpc_peers: GrpcPeers) -> None:
    """With nobody there a call is told so at once; with somebody there again it is served."""
    port = free_port()
    first, _ = grpc_peers.fresh(offering, "A", port=port)
    ref = asking.refer(*through.to(port))
    assert asking.ask(ref, "ask", b"x")["body"] == b"A|x"
    first.kill()
    reply = asking.ask(ref, "ask", b"x", timeout=10_000)
    assert reply["code"] == UNAVAILABLE, reply
    assert reply["message"].isascii()
    grpc_peers.fresh(offering, "A", port=port)
    until("it is back", lambda: asking.ask(ref, "ask", b"x")["code"] == OK)
    report = asking.do("flood", ref=ref, threads=10, calls=50)
    assert (report["good"], report["failed"]) == (500, 0), report["errors"]


def test_few_streams(through: Through, asking: Grpc, grpc_peers: GrpcPeers) -> None:
    """An instance that takes five streams on a connection: 40 calls at once wait their turn. grpcio counts some that it
    has answered, and refuses others for them."""
    provider, port = grpc_peers.fresh("grpc-go", "A", streams=5)
    ref = asking.refer(*through.to(port))
    if through.is_direct:  # the SDKs alone lose some of those that they send before they know the limit
        assert asking.ask(ref, "ask")["code"] == OK
    report = asking.do("flood", ref=ref, threads=40, calls=50)
    assert (report["good"], report["wrong"], report["failed"]) == (2000, 0, 0), report["errors"]
    names = [f"held-{next(_names)}" for _ in range(3)]
    for name in names:
        asking.do("start", ref=ref, name=name, method="hang")
    report = asking.do("flood", ref=ref, threads=40, calls=50)
    assert (report["good"], report["failed"]) == (2000, 0), report["errors"]
    for name in names:
        asking.do("finish", name=name, cancel=True)
    until("their ends are heard of", lambda: provider.do("seen")["cancelled"] == 3)


def test_label(through: Through, asking: Grpc, offering: str, grpc_peers: GrpcPeers) -> None:
    """The header ``traffic`` chooses between instances, also behind a binary one and for streams."""
    listed = [(grpc_peers.fresh(offering, env)[1], {"env": env}) for env in ("base", "dev")]
    if through.is_direct:
        for port, labels in listed:
            assert asking.ask(asking.refer(port), "ask")["body"] == f"{labels['env']}|".encode()
        return
    ref = asking.refer(*through.by(mesh.header_policy(SERVICE, "traffic"), *listed))
    for _ in range(10):
        for metadata, wanted in (
            ([("traffic", "dev")], b"dev|x"),
            ([("x-first-bin", b"\x00\xff"), ("traffic", "dev"), ("x-last", "a, b")], b"dev|x"),
            ([("traffic", "other")], b"base|x"),
            ([], b"base|x"),
        ):
            assert asking.ask(ref, "ask", b"x", metadata=metadata)["body"] == wanted


@pytest.mark.parametrize("millis", [100, 400])
def test_nobody_answers(through: Through, asking: Grpc, offering: str, grpc_peers: GrpcPeers, millis: int) -> None:
    """Many deadlines at once: each ends by its own, none by an answer or a cancel, and the provider hears of all."""
    provider, port = grpc_peers.fresh(offering, "A")
    ref = asking.refer(*through.to(port))
    assert asking.ask(ref, "ask")["code"] == OK
    calls = [
        asking.start("call", ref=ref, method="wait", body="", metadata=[], timeout=millis + number % 50)
        for number in range(200)
    ]
    # grpc-go keeps the deadline, too, and resets by CANCEL what its caller would end at the same moment.
    allowed = {DEADLINE, CANCELLED} if offering == "grpc-go" else {DEADLINE}
    assert {call.result(30)["code"] for call in calls} <= allowed
    until("all are heard of", lambda: (seen := provider.do("seen"))["cancelled"] == seen["begun"])
    assert asking.ask(ref, "ask", b"x")["body"] == b"A|x"
