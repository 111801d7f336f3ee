"""Routing Triple by label with real peers: by header, by trace id over two hops, and beside Dubbo2 at one port."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from conftest import Triple
from harness import mesh
from harness import triple as tri
from harness.driver import PeerError
from harness.process import ANY, free_port, until
from harness.triple import LABEL, TripleJava, TripleWay
from harness.way import LOOPS, PROXIED, WAYS

Refer = Callable[..., str]


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


@pytest.fixture(params=LOOPS)
def laid(request: pytest.FixtureRequest) -> Iterator[TripleWay]:
    """A loop for what lays its sidecars itself."""
    way = TripleWay(request.param)
    yield way
    way.close()


def policy(trace: str = "x-request-id") -> list[mesh.Document]:
    """Route all of the services by the label."""
    return mesh.label_policy(LABEL, trace, tri.HOSTS)


def instances(triple: Triple) -> list[mesh.Document]:
    """A baseline and two environments."""
    labelled = [tri.endpoint(triple.port(name), **{LABEL: name}) for name in ("dev1", "dev2")]
    return [tri.endpoint(triple.port("base")), *labelled]


def who(consumer: TripleJava, ref: str, **attachments: str) -> set[str]:
    """Who answers a few equal calls of each kind."""
    told = {"ref": ref, "attachments": attachments}
    names = {consumer.call(ref, "whoami", attachments=attachments) for _ in range(10)}
    names |= {consumer.do("count", items=3, size=10, **told) for _ in range(3)}
    names |= {answer.split("|")[0] for _ in range(3) for answer in consumer.do("gather", items=3, size=10, **told)}
    return names | {name for _ in range(3) for name in consumer.do("chat", items=3, size=10, **told)}


def test_one_port(triple: Triple, way: TripleWay, refer: Refer) -> None:
    """A provider that offers both protocols at one port, called by either."""
    consumer = triple.consumer
    port = triple.provider.export("both", protocol="dubbo", ext_protocol="tri")
    address = port if way.is_direct else way.by([tri.endpoint(port, "dubbo", "tri")])
    for scheme in ("tri", "dubbo", "tri"):
        ref = refer(consumer, address, scheme=scheme)
        assert consumer.call(ref, "whoami") == "both"
        assert consumer.do("order", ref=ref, seed=9) == "same"
        with pytest.raises(PeerError, match="meshfast.peer.PeerException: boo"):
            consumer.call(ref, "failChecked", "boo")
        report = consumer.do("flood", ref=ref, threads=20, calls=50)
        assert (report["good"], report["wrong"], report["failed"]) == (1000, 0, 0), report["errors"]
        if scheme == "tri":
            assert consumer.chat(ref, 3, 10) == ["both"] * 3


def test_label_by_header(triple: Triple, proxied: TripleWay, refer: Refer) -> None:
    consumer = triple.consumer
    ref = refer(consumer, proxied.by(instances(triple), policy()))
    assert who(consumer, ref) == {"base"}
    assert who(consumer, ref, **{LABEL: "dev1"}) == {"dev1"}
    assert who(consumer, ref, **{LABEL: "dev2"}) == {"dev2"}
    assert who(consumer, ref, **{LABEL: "nobody"}) == {"base"}
    assert consumer.call(ref, "attachments", attachments={LABEL: "dev1"})[LABEL] == "dev1"


def test_label_of_the_workload(triple: Triple, proxied: TripleWay, refer: Refer) -> None:
    consumer = triple.consumer
    ref = refer(consumer, proxied.by(instances(triple), policy(), labels={LABEL: "dev2"}))
    assert who(consumer, ref) == {"dev2"}
    sent = {"env": "dev1", "replyTo": "Me", "long": "y" * 3000}
    seen = consumer.call(ref, "attachments", attachments=sent)
    assert (sent | {LABEL: "dev2"}).items() <= seen.items()  # stamped: the next hop sees it beside the others
    assert consumer.do("order", ref=ref, seed=9) == "same"  # and the arguments are what they were
    assert who(consumer, ref, **{LABEL: "dev1"}) == {"dev1"}


TRACES = {
    "x-request-id": "7d1f-plain-{}",
    "traceparent": "00-{}bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}


@pytest.mark.parametrize("key", [LABEL, *TRACES])
def test_label_over_two_hops(triple: Triple, laid: TripleWay, key: str, refer: Refer) -> None:
    """Consumer, A, B: what lies between is A's own sidecar, both ways, and the consumer's."""
    trace = "x-request-id" if key == LABEL else key
    inbound, outbound, front = free_port(), free_port(), free_port()
    second = laid.sidecar(
        [tri.entry(instances(triple)), *policy(trace)],
        [mesh.inbound(f"tcp://{ANY}:{inbound}", triple.port()), mesh.outbound(f"tcp://{ANY}:{outbound}")],
    )
    laid.sidecar([tri.entry([tri.endpoint(inbound)]), *policy(trace)], [mesh.outbound(f"tcp://{ANY}:{front}")])
    triple.provider.next(outbound)
    consumer, ref = triple.consumer, refer(triple.consumer, front)

    def reached(number: int, **label: str) -> str:
        told = {key: TRACES[key].format(number)} if key != LABEL else {}
        answer: str = consumer.call(ref, "hop", key, attachments={**told, **label})
        return answer

    # The application in the middle passes on the one attachment and no other.
    assert reached(1, **{LABEL: "dev1"}) == "A>dev1"
    assert reached(2, **{LABEL: "dev2"}) == "A>dev2"
    assert reached(3) == "A>base"
    if key != LABEL:
        assert second.count("labels_context") >= 2


def test_new_environment_under_load(triple: Triple, laid: TripleWay, refer: Refer) -> None:
    consumer, port, before = triple.consumer, free_port(), instances(triple)
    sidecar = laid.sidecar([tri.entry(before), *policy()], [mesh.outbound(f"tcp://{ANY}:{port}")])
    ref = refer(consumer, port)
    consumer.do("load", ref=ref, load=ref, threads=8, millis=5)
    more = [*before, tri.endpoint(triple.port("dev3"), **{LABEL: "dev3"})]
    sidecar.write("mesh", [tri.entry(more), *policy()])
    until("the new environment", lambda: who(consumer, ref, **{LABEL: "dev3"}) == {"dev3"})
    sidecar.write("mesh", [tri.entry(before), *policy()])
    until("the baseline again", lambda: who(consumer, ref, **{LABEL: "dev3"}) == {"base"})
    report = consumer.do("stop", load=ref)
    assert (report["wrong"], report["failed"]) == (0, 0), report["errors"]
    assert report["answered_by"].keys() == {"base"}


def test_local_answers(triple: Triple, laid: TripleWay, refer: Refer) -> None:
    """What the sidecar answers by itself comes to the application as Triple's own status."""
    consumer, port = triple.consumer, free_port()
    gone = tri.endpoint(free_port())
    laid.sidecar(
        [tri.entry([gone], hosts=[tri.SERVICE]), tri.entry([], hosts=[tri.TEXTS], app="none")],
        [mesh.outbound(f"tcp://{ANY}:{port}")],
    )
    ref = refer(consumer, port)
    with pytest.raises(PeerError, match="UNAVAILABLE"):
        consumer.call(ref, "whoami")  # its only instance refuses
    with pytest.raises(PeerError, match="UNAVAILABLE"):
        consumer.do("texts-fail", ref=ref)  # no instance
    with pytest.raises(PeerError, match="UNIMPLEMENTED"):
        consumer.chat(ref, 3, 10)  # no such service


def test_drain_under_calls(triple: Triple, laid: TripleWay, refer: Refer) -> None:
    """Of a sidecar that drains beside another a consumer loses at most the one call that Dubbo itself drops on a
    GOAWAY: it has chosen the connection by then and finds it closed."""
    consumer, fronts, sidecars = triple.consumer, (free_port(), free_port()), []
    for front in fronts:
        documents = [tri.entry([tri.endpoint(triple.port())])]
        sidecars.append(laid.sidecar(documents, [mesh.outbound(f"tcp://{ANY}:{front}")]))
    ref = refer(consumer, *fronts)
    consumer.do("load", ref=ref, load=ref, threads=1, millis=20)
    until("both are in use", lambda: all(one.count("calls") > 50 for one in sidecars))
    before = sidecars[1].count("calls")
    sidecars[0].terminate()
    assert sidecars[0].wait(60) == 0
    until("the other has them all", lambda: sidecars[1].count("calls") > before + 100)
    report = consumer.do("stop", load=ref)
    assert (report["wrong"], report["answered_by"].keys()) == (0, {"A"})
    assert report["failed"] <= 1, str(report)
