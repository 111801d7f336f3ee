"""grpc-java at either end: the tests of the other SDKs, and what it asks of a sidecar by its defaults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import test_grpc
import test_grpc_life
from conftest import GrpcPeers
from harness.grpc import CANCELLED, JAVA, OK
from harness.h2tap import Tap
from harness.load import loaded
from harness.process import until
from harness.through import Through
from harness.way import WAYS

PING, GOAWAY = 6, 7
#: Caller and instance.
COUPLES = ((JAVA, "grpc-go"), ("grpcio", JAVA))


@pytest.fixture(scope="module", params=COUPLES, ids=">".join)
def couple(request: pytest.FixtureRequest) -> tuple[str, str]:
    value: tuple[str, str] = request.param
    return value


@pytest.fixture(scope="module", params=WAYS)
def joined(request: pytest.FixtureRequest, couple: tuple[str, str], _grpc: GrpcPeers) -> Iterator[test_grpc.Ends]:
    """One way between the two for all tests that end nothing."""
    caller, (provider, port) = _grpc.caller(couple[0]), _grpc.instance(couple[1])
    through = Through(request.param)
    ref = caller.refer(*through.to(port))
    yield caller, ref, provider
    caller.do("release", ref=ref)
    through.close()


@pytest.fixture
def ends(joined: test_grpc.Ends) -> test_grpc.Ends:
    return joined


test_kinds = test_grpc.test_kinds
test_metadata = test_grpc.test_metadata
test_deadline = test_grpc.test_deadline
test_cancel = test_grpc.test_cancel
test_status = test_grpc.test_status
test_details = test_grpc.test_details


def test_max_age(through: Through, grpc_peers: GrpcPeers) -> None:
    test_grpc_life.test_max_age(through, grpc_peers.caller(JAVA), JAVA, grpc_peers)


def test_graceful_stop(through: Through, grpc_peers: GrpcPeers) -> None:
    test_grpc_life.test_graceful_stop(through, grpc_peers.caller(JAVA), "grpc-go", grpc_peers)


def test_kill(through: Through, grpc_peers: GrpcPeers) -> None:
    test_grpc_life.test_kill(through, grpc_peers.caller(JAVA), "grpc-go", grpc_peers)


def test_pings(behind: Through, grpc_peers: GrpcPeers) -> None:
    """An instance that ends connections whose callers PING oftener than it allows, which is hardly ever: a caller's
    many are answered by the sidecar, with their eight bytes, and its own doubts about a silent stream are few."""
    caller = grpc_peers.caller("grpcio")
    _, port = grpc_peers.fresh(JAVA, "A", strict=1)
    with Tap(port) as upper, Tap(*behind.to(upper.port, heartbeat=200)) as lower:
        ref = caller.refer(lower.port, keepalive=200)
        caller.do("start", ref=ref, name="silent", method="hang")
        for answered in range(2, 9, 2):
            until("PINGs answered", lambda n=answered: lower.count(PING, up=False, flags=1) >= n)
            assert caller.ask(ref, "ask", b"x")["body"] == b"A|x"
        asked = [frame.payload for frame in lower.frames() if frame.kind == PING and frame.up and not frame.flags]
        told = [frame.payload for frame in lower.frames() if frame.kind == PING and not frame.up and frame.flags]
        assert told == asked[: len(told)]
        assert set(asked).isdisjoint(frame.payload for frame in upper.frames() if frame.kind == PING)
        assert (upper.count(GOAWAY), lower.count(GOAWAY), upper.connections) == (0, 0, 1)
        assert caller.do("finish", name="silent", cancel=True)["code"] == CANCELLED


def test_drained_sidecar(behind: Through, grpc_peers: GrpcPeers) -> None:
    """One of two sidecars that a caller knows goes: it says GOAWAY then and not before, and no call is lost."""
    caller, port = grpc_peers.caller(JAVA), grpc_peers.instance("grpc-go")[1]
    with Tap(*behind.to(port)) as one, Tap(*behind.to(port)) as two:
        leaving = behind.sidecars[-1]
        ref = caller.refer(one.port, two.port)
        with loaded(caller, ref, threads=4, pause=20) as report:
            until("calls", lambda: report()["good"] > 200)
            assert one.count(GOAWAY) + two.count(GOAWAY) == 0
            leaving.terminate()
            until("it is gone", lambda: leaving.child.poll() is not None)
            after = report()["good"]
            until("calls afterwards", lambda: report()["good"] > after + 100)
            told = report(end=True)
        assert (told["wrong"], told["failed"]) == (0, 0), told["errors"]
        assert two.count(GOAWAY, up=False) > 0 == one.count(GOAWAY, up=False)
        assert caller.ask(ref, "ask", b"x")["code"] == OK
        caller.do("release", ref=ref)
