"""What rules do to calls of Triple besides choosing an instance, as Apache Dubbo for Java 3.3 sees it at both ends.

A provider whose threads are all taken resets the stream with the code 500; one without the service answers 12 and
:status 404; an exception of a Java interface is an answer like any other, one of a protobuf method a grpc-status 2 and
:status 500.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from conftest import Triple, obtain
from harness import mesh, rules
from harness import triple as tri
from harness.driver import PeerError
from harness.java import SERVICE
from harness.process import free_port, until
from harness.rules import always, has, never, to
from harness.sidecar import Sidecar
from harness.triple import TripleJava, TripleWay
from harness.way import PROXIED

Refer = Callable[..., str]
RPC = "org.apache.dubbo.rpc.RpcException"
STATUSES = (
    "CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "NOT_FOUND", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "UNAUTHENTICATED",
)  # fmt: skip
TURNS = {"simple": "ROUND_ROBIN"}
COUNTDOWN = {"enable-timeout-countdown": "true"}
BUDGET = {"retryRate": 1000}
_tokens = (f"triple-{number}" for number in itertools.count())


@pytest.fixture(params=PROXIED)
def proxied(request: pytest.FixtureRequest) -> Iterator[TripleWay]:
    """Through one sidecar or two."""
    way = TripleWay(request.param)
    yield way
    way.close()


class Rules:
    """References of the consumer by rules, and what tells of them."""

    def __init__(self, triple: Triple, way: TripleWay, refer: Refer) -> None:
        self.triple, self.consumer, self._way, self._refer = triple, triple.consumer, way, refer
        self._straight: dict[str, str] = {}
        self.sidecar: Sidecar

    def refer(self, ports: dict[str, int], *http: mesh.Document, more: Any = (), **policy: Any) -> Callable[..., str]:
        """Makes references to the instances by name; ``more``: further documents."""
        ends = [tri.endpoint(port, **{rules.WHO: name}) for name, port in ports.items()]
        documents = [rules.rules(*(http or ({},)), hosts=tri.HOSTS), rules.policy(*ports, **policy), *more]
        front = self._way.by(ends, documents, **BUDGET)
        self.sidecar = self._way.last
        return lambda **params: self._refer(self.consumer, front, **params)

    def ports(self, names: str) -> dict[str, int]:
        """Lasting instances; D, for dead, is where nobody listens."""
        return {name: free_port() if name == "D" else self.triple.port(name) for name in names}

    def ask(self, ref: str, **attachments: str) -> str | PeerError:
        """Who answered, or the exception."""
        try:
            answer: str = self.consumer.call(ref, "whoami", attachments=attachments)
        except PeerError as error:
            return error
        return answer

    def times(self, names: str, *tokens: str) -> list[Counter[str]]:
        """How often each instance has executed the calls with these tokens."""
        for name in names:
            if name not in self._straight:
                self._straight[name] = self._refer(self.consumer, self.triple.port(name))
        all_of = (self.consumer.call(self._straight[name], "recorded") for name in names)
        return [Counter(one for one in seen if one in tokens) for seen in all_of]


@pytest.fixture
def by_rules(triple: Triple, proxied: TripleWay, refer: Refer) -> Rules:
    return Rules(triple, proxied, refer)


def is_status(answer: str | PeerError, status: str, text: str) -> bool:
    return isinstance(answer, PeerError) and answer.kind == RPC and f"{status} : {text}" in answer.text


def test_faults(by_rules: Rules) -> None:
    """A delay is waited for and then answered right; an abort is the exception that its status is, with its text."""
    text, consumer = "not today, 100 % caf\u00e9", by_rules.consumer
    aborts = [
        {"match": has("abort", name), "fault": {"abort": always(grpcStatus=name, text=text)}} for name in STATUSES
    ]  # fmt: skip
    slow = {"match": has("fault", "delay"), "fault": {"delay": always(fixedDelay="300ms")}}
    none = {"delay": never(fixedDelay="1h"), "abort": never(grpcStatus="UNAVAILABLE")}
    by_dubbo = {"match": has("fault", "dubbo"), "fault": {"abort": always(dubboStatus=100)}}
    refer = by_rules.refer(
        by_rules.ports("A"), *aborts, slow, by_dubbo, {"match": has("fault", "never"), "fault": none}, {"timeout": "2s"}
    )  # fmt: skip
    ref, counting = refer(), refer(timeout=60_000, **COUNTDOWN)
    begun = time.monotonic()
    assert by_rules.ask(ref, fault="delay") == "A"
    assert time.monotonic() - begun >= 0.3
    for status in STATUSES:
        assert is_status(by_rules.ask(ref, abort=status), status, text)
    assert is_status(by_rules.ask(ref, fault="dubbo"), "RESOURCE_EXHAUSTED", "fault filter abort")
    assert [by_rules.ask(ref, fault="never") for _ in range(20)] == ["A"] * 20
    assert by_rules.sidecar.count("calls_aborted") == len(STATUSES) + 1
    assert 0 < consumer.call(counting, "left") <= 2_000
    assert 50_000 < consumer.call(counting, "left", attachments={"fault": "delay"}) <= 59_700
    assert consumer.call(ref, "left") == -1


def test_attachments(by_rules: Rules) -> None:
    """Set, added and removed as the provider's application sees them; and another method than was called."""
    change = {"set": {"env": "dev2", "new": "1"}, "add": {"more": "2"}, "remove": ["gone"]}
    uri = {"exact": f"/{SERVICE}/nothing"}
    other = {"match": [{"uri": uri}], "rewrite": {"uri": f"/{SERVICE}/whoami"}}
    ref, consumer = by_rules.refer(by_rules.ports("A"), other, {"headers": {"request": change}})(), by_rules.consumer
    told = {"env": "dev1", "gone": "1", "more": "1", "stays": "caf\u00e9", "Upper": "u"}
    seen = consumer.call_full(ref, "attachments", attachments={**told, "reply": "back"})
    wanted = {"env": "dev2", "new": "1", "stays": "caf\u00e9", "Upper": "u"}
    assert seen["value"] | wanted == seen["value"]
    assert "gone" not in seen["value"]
    assert seen["attachments"]["replied"] == "back"
    assert consumer.call(ref, "nothing") == "A"
    assert consumer.chat(ref, 3, 10) == ["A"] * 3
    assert consumer.do("order", ref=ref, seed=9) == "same"


def test_mirror(by_rules: Rules) -> None:
    """The copy has every call once, of which its caller hears nothing, be it slow, dead or throwing."""
    mirrors = [to("B"), to("D"), {**to("C"), "percentage": {"value": 0}}]
    ref = by_rules.refer(by_rules.ports("ABCD"), {"route": [to("A")], "mirrors": mirrors})(timeout=4000)
    ways = [("", 0), ("B", 6000), ("B", -1)]  # slow: over when its caller would have given up
    tokens = [(next(_tokens), *ways[number % 3]) for number in range(30)]
    for token, at, millis in tokens:
        assert by_rules.consumer.call(ref, "attempt", at, millis, token) == f"A|{token}"
    each = Counter(token for token, _, _ in tokens)
    until("all copies", lambda: by_rules.times("B", *each) == [each])
    assert by_rules.times("ABC", *each) == [each, each, Counter()]
    assert by_rules.consumer.gather(ref, 20, 100) == ["A|20|2000"]


def test_retries(by_rules: Rules) -> None:
    """A provider whose threads are all taken is asked elsewhere; what was executed is not, unless the rule says so."""
    busy = by_rules.triple.provider.export("busy", threads=1, queues=0, threadpool="fixed")
    consumer = by_rules.consumer
    again = {"match": has("how", "again"), "retries": {"attempts": 1, "retryOn": "reset"}}
    ref = by_rules.refer({"busy": busy} | by_rules.ports("A"), again, {}, loadBalancer=TURNS)()
    sidecar, straight = by_rules.sidecar, next(_tokens)
    consumer.refer(straight, busy, timeout=60_000)  # and not released, which would wait for what it holds
    consumer.hold(by_rules.triple.provider, straight, 30_000)
    assert [by_rules.ask(ref, how="again") for _ in range(10)] == ["A"] * 10
    plain = [by_rules.ask(ref, how="once") for _ in range(10)]
    assert plain.count("A") == 5
    assert sum(is_status(one, "CANCELLED", "") for one in plain) == 5, plain
    assert sidecar.count("retries_reset") == sidecar.count("retries_succeeded") > 0


def test_executed_once(by_rules: Rules) -> None:
    late = {"attempts": 1, "perTryTimeout": "1s"}
    rule = (
        {"match": has("how", "again"), "retries": {**late, "retryOn": "reset"}},
        {"match": has("how", "once"), "retries": {**late, "retryOn": "unavailable"}},
        {"retries": {"attempts": 2, "retryOn": "5xx,reset,cancelled,unavailable"}},
    )
    ref, consumer = by_rules.refer(by_rules.ports("AB"), *rule, loadBalancer=TURNS)(), by_rules.consumer

    def attempts(how: str, millis: int) -> tuple[list[str], list[Future[dict[str, str]]]]:
        """Six at once, at which A is slow, or throws."""
        tokens = [next(_tokens) for _ in range(6)]
        told = {"ref": ref, "method": "attempt", "attachments": {"how": how}}
        return tokens, [consumer.start("call", **told, args=["A", millis, token]) for token in tokens]

    tokens, calls = attempts("again", 4000)
    assert [call.result(20)["value"] for call in calls] == [f"B|{token}" for token in tokens]
    at_a, at_b = by_rules.times("AB", *tokens)
    assert at_b == Counter(tokens)
    assert 0 < at_a.total() < 6
    for how, millis, kind in (("once", 4000, RPC), ("throws", -1, "java.lang.IllegalStateException")):
        tokens, calls = attempts(how, millis)
        errors = [error for error in (call.exception(20) for call in calls) if error]
        assert all(isinstance(error, PeerError) and error.kind == kind for error in errors), errors
        at_a, at_b = by_rules.times("AB", *tokens)
        assert at_a + at_b == Counter(tokens)
        assert 0 < len(errors) == at_a.total()


@pytest.fixture
def leaving() -> Iterator[tuple[TripleJava, int]]:
    """An instance of the test's own, and its port."""
    java = obtain(lambda: TripleJava("leaving"))
    yield java, java.export("away")
    java.close()


def test_ejection(by_rules: Rules, leaving: tuple[TripleJava, int]) -> None:
    """Who answers errors gets no calls for its time, and again then; who throws exceptions does not answer errors, but
    where they are of a protobuf method."""
    detection = {"consecutive5xxErrors": 3, "interval": "100ms", "maxEjectionPercent": 100}
    away, port = leaving

    def by(ejection: str) -> str:
        outlier = {**detection, "baseEjectionTime": ejection}
        return by_rules.refer(
            {"away": port} | by_rules.ports("A"), loadBalancer=TURNS, outlierDetection=outlier
        )()  # fmt: skip

    ref, consumer = by("1h"), by_rules.consumer
    for _ in range(12):
        with pytest.raises(PeerError, match="boo"):
            consumer.call(ref, "fail", "boo")
    assert by_rules.sidecar.count("ejections_errors") == 0
    away.do("unexport")
    seen = [by_rules.ask(ref) for _ in range(30)]
    assert sum(is_status(one, "UNIMPLEMENTED", "") for one in seen) == 3
    assert seen.count("A") == 27
    assert by_rules.sidecar.count("ejections_errors") == 1
    for _ in range(3):  # A alone is left
        with pytest.raises(PeerError, match="UNKNOWN : boo"):
            consumer.do("texts-fail", ref=ref)
    assert by_rules.sidecar.count("ejections_errors") == 2
    ref = by("200ms")
    until("an ejection", lambda: by_rules.ask(ref) and by_rules.sidecar.count("ejections_errors") > 0)
    away.export("away", port)
    until("it is back", lambda: by_rules.ask(ref) == "away")


def test_limits(by_rules: Rules) -> None:
    """What is over a bound, by rate or at once, is an exception at once, with a text that says of what."""
    ports, consumer = by_rules.ports("A"), by_rules.consumer
    ref = by_rules.refer(ports, connectionPool={"http": {"http2MaxRequests": 1}})()
    going = consumer.start("call", ref=ref, method="later", args=[2000, "first"], attachments={})
    until("it is under way", lambda: by_rules.sidecar.count("calls_active") == 1)
    answer = by_rules.ask(ref)
    assert is_status(answer, "RESOURCE_EXHAUSTED", "meshfast: busy") and "http2MaxRequests" in str(answer)
    assert going.result(10)["value"] == "A|first"
    until("its place is free", lambda: by_rules.ask(ref) == "A")
    ref = by_rules.refer(ports, more=[rules.limit(1, burst=2, hosts=tri.HOSTS)])()
    assert [by_rules.ask(ref), by_rules.ask(ref)] == ["A", "A"]
    assert is_status(by_rules.ask(ref), "RESOURCE_EXHAUSTED", "meshfast: over the rate limit")
    assert by_rules.sidecar.count("calls_limited") == 1
