"""gRPC calls with a proxy by another hand on their way, before the sidecars or behind them."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator

import pytest
import test_grpc
from conftest import GrpcPeers, obtain
from harness.grpc import DEADLINE, INTERNAL, OK, UNAVAILABLE, UNIMPLEMENTED, UNKNOWN, Grpc, summary
from harness.load import loaded
from harness.process import free_port, until
from harness.proxies import KINDS, Proxy
from harness.through import Through, entry
from harness.way import PROXIED

MIB = 1 << 20
STREAMS = 25  # of a caller's connection to a proxy
IDLE = 300  # ms
PLACES = ("before", "behind")
GONE = "meshfast.peer.Gone"
_names = itertools.count(1)


class Chain:
    """A caller, an instance and what is between them; the caller finds it at ``ref``."""

    def __init__(self, kind: str, through: Through, before: bool, port: int, peers: GrpcPeers) -> None:
        self.through, self.before, self.kind = through, before, kind
        self.caller = peers.caller("grpcio")
        self.provider, instance = peers.instance("grpc-go")
        self.target = port or instance
        self.proxy = self.begin(free_port())
        front = (self.proxy.port,) if before else through.to(self.proxy.port)
        self.ref = self.caller.refer(*front)

    def begin(self, port: int, idle: int = 60_000) -> Proxy:
        """A proxy at this port."""
        self.proxy = obtain(lambda: Proxy(self.kind, self.target, streams=STREAMS, idle=idle, port=port))
        return self.proxy

    def begin_again(self, idle: int = 60_000) -> None:
        self.begin(self.proxy.port, idle)
        until("it is back", lambda: self.caller.ask(self.ref, "ask")["code"] == OK)

    def count(self, counter: str) -> int:
        """A counter of the sidecar beside the proxy."""
        return self.through.sidecars[-1 if self.before else 0].count(counter)

    def close(self) -> None:
        self.caller.do("release", ref=self.ref)
        self.proxy.close()
        if not self.before:
            self.through.close()


@pytest.fixture(scope="module", params=PROXIED)
def laid(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def inner(laid: str, _grpc: GrpcPeers) -> Iterator[tuple[Through, int]]:
    """What all proxies before sidecars call: these, and their port."""
    through = Through(laid)
    gone = entry([(free_port(), {})])
    gone["metadata"]["name"], gone["spec"]["hosts"] = "gone", [GONE]
    yield through, *through.by([gone], _grpc.instance("grpc-go")[1], idleTimeout=IDLE)
    through.close()


@pytest.fixture(scope="module", params=[f"{place}-{kind}" for place in PLACES for kind in KINDS])
def chain(
    request: pytest.FixtureRequest, laid: str, inner: tuple[Through, int], _grpc: GrpcPeers
) -> Iterator[Chain]:
    place, _, kind = request.param.partition("-")
    before = place == "before"
    chain = Chain(kind, inner[0] if before else Through(laid), before, inner[1] if before else 0, _grpc)
    yield chain
    chain.close()


@pytest.fixture
def ends(chain: Chain) -> tuple[Grpc, str, Grpc]:
    return chain.caller, chain.ref, chain.provider


test_metadata = test_grpc.test_metadata
test_status = test_grpc.test_status
test_details = test_grpc.test_details
test_cancel = test_grpc.test_cancel


def test_deadline(chain: Chain) -> None:
    """The instance counts the same deadline as the sidecar before the proxy, and may be over a moment sooner: the
    caller is then told what the proxy makes of its reset."""
    reset = INTERNAL if chain.kind == "nghttpx" else UNAVAILABLE
    codes = (DEADLINE,) if chain.before else (DEADLINE, reset)
    test_grpc.outlast((chain.caller, chain.ref, chain.provider), *codes)


def test_kinds(chain: Chain) -> None:
    """Bodies and streams of all sizes, each byte looked at."""
    caller, ref = chain.caller, chain.ref
    for size in (0, 1, 16_384, 65_536, MIB):
        reply = caller.ask(ref, "ask", b"\x01" * size)
        assert (reply["code"], reply["body"]) == (OK, b"A|" + b"\x01" * size), reply["message"]
    for count, size in ((0, 4), (50, 100), (200, 1000), (4, MIB)):
        for method in ("produce", "chat"):
            # haproxy 2.6 leaves a stream lying whose window its caller shut and opened again while it sends itself.
            if method == "chat" and chain.kind == "haproxy" and not chain.before:
                count, size = 50, 100
            reply = caller.stream(ref, method, count, size)
            assert (reply["code"], reply["got"], reply["wrong"]) == (OK, count, 0), reply
        reply = caller.stream(ref, "collect", count, size)
        assert (reply["code"], reply["answer"]) == (OK, summary(count, size)), reply


def test_flood(chain: Chain) -> None:
    """More at once than the proxy lets one connection have."""
    report = chain.caller.do("flood", ref=chain.ref, threads=2 * STREAMS, calls=20, size=100)
    assert (report["good"], report["wrong"], report["failed"]) == (40 * STREAMS, 0, 0), report["errors"]


def test_local_answers(chain: Chain) -> None:
    """What a sidecar says itself gets through a proxy before it."""
    for service, code in (("nobody.Here", UNIMPLEMENTED), (GONE, UNAVAILABLE))[: 2 if chain.before else 1]:
        reply = chain.caller.ask(chain.ref, f"/{service}/ask")
        assert (reply["code"], reply["message"][:10]) == (code, "meshfast: "), reply


def test_renewed(chain: Chain) -> None:
    """A proxy that takes its configuration anew says GOAWAY under load: no call is lost, nor is a stream."""
    said = chain.count("h2_goaways_in")
    streaming = chain.caller.start("stream", ref=chain.ref, method="produce", count=100, size=1000, pause=10)
    with loaded(chain.caller, chain.ref, threads=16, pause=1) as report:
        until("connections that can be told", lambda: report()["good"] > 200)
        for turn in range(1, 3):
            chain.proxy.renew()
            if not chain.before:
                until("GOAWAY", lambda turn=turn: chain.count("h2_goaways_in") >= said + turn)
            after = report()["good"]
            until("calls afterwards", lambda after=after: report()["good"] > after + 200)
        last = report(end=True)
    assert (last["wrong"], last["failed"]) == (0, 0), last["errors"]
    streamed = streaming.result(60)
    assert (streamed["code"], streamed["got"], streamed["wrong"]) == (OK, 100, 0), streamed


def test_idle(chain: Chain) -> None:
    """Connections that are closed as idle just as the next calls come: by the proxy, or by a sidecar behind it."""
    what = "downstream_connections" if chain.before else "upstream_connections"
    made = chain.count(what)
    if not chain.before:
        chain.proxy.close()
        chain.begin_again(idle=IDLE)
    # nghttpx says no GOAWAY then, so that nobody knows of a call that comes just then whether it was executed.
    pause = 2 * IDLE if chain.kind == "nghttpx" else IDLE
    with loaded(chain.caller, chain.ref, threads=1, pause=pause) as report:
        until("some were closed", lambda: chain.count(what) >= made + 3)
        last = report(end=True)
    assert (last["wrong"], last["failed"]) == (0, 0), last["errors"]
    if not chain.before:
        chain.proxy.close()
        chain.begin_again()


def test_killed(chain: Chain) -> None:
    """A proxy that dies: callers hear at once, and so does the instance; with it there again all goes on."""
    caller, ref, provider = chain.caller, chain.ref, chain.provider
    before = provider.do("seen")
    names = {method: [f"{method}-{next(_names)}" for _ in range(10)] for method in ("wait", "hang")}
    for method, listed in names.items():
        for name in listed:
            caller.do("start", ref=ref, name=name, method=method)
    until("all begun", lambda: provider.do("seen")["begun"] == before["begun"] + 20)
    ends = {name: caller.start("finish", name=name) for listed in names.values() for name in listed}
    chain.proxy.kill_all()
    until("they hear", lambda: all(end.done() for end in ends.values()), 10)
    codes = {method: {ends[name].result()["code"] for name in listed} for method, listed in names.items()}
    assert codes["wait"] <= {UNAVAILABLE}
    # Their answers had begun, so that only a reset can end them; which code that becomes is the caller's affair.
    assert codes["hang"] <= {UNAVAILABLE, INTERNAL, UNKNOWN}
    until("the instance, too", lambda: provider.do("seen")["cancelled"] == before["cancelled"] + 20)
    reply = caller.ask(ref, "ask", b"x")
    assert reply["code"] == UNAVAILABLE, reply
    chain.begin_again()
    report = caller.do("flood", ref=ref, threads=10, calls=20)
    assert (report["good"], report["failed"]) == (200, 0), report["errors"]


def test_drained(laid: str, _grpc: GrpcPeers) -> None:
    """Of two sidecars behind each proxy one goes, under load: it says GOAWAY and no call is lost."""
    through = Through(laid)
    caller, port = _grpc.caller("grpcio"), _grpc.instance("grpc-go")[1]
    with contextlib.ExitStack() as stack:
        stack.callback(through.close)
        fronts = [*through.to(port), *through.to(port)]
        reports = []
        for kind in KINDS:
            proxy = obtain(lambda kind=kind: Proxy(kind, *fronts))
            stack.callback(proxy.close)
            ref = caller.refer(proxy.port)
            stack.callback(caller.do, "release", ref=ref)
            reports.append(stack.enter_context(loaded(caller, ref, threads=4, pause=2)))
        until("calls of all", lambda: all(report()["good"] > 50 for report in reports))
        through.sidecars[-1].terminate()
        until("it is gone", lambda: through.sidecars[-1].child.poll() is not None)
        after = [report()["good"] for report in reports]
        until("calls afterwards", lambda: all(r()["good"] > a + 50 for r, a in zip(reports, after, strict=True)))
        lasts = {kind: report(end=True) for kind, report in zip(KINDS, reports, strict=True)}
    assert {kind: (last["wrong"], last["errors"]) for kind, last in lasts.items()} == dict.fromkeys(KINDS, (0, {}))
