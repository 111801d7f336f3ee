"""What rules do to calls of Dubbo2 besides choosing an instance, as real consumers and providers see it."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import Future

import pytest
from conftest import Offers, Peers
from harness import mesh, rules
from harness.driver import Driver, PeerError
from harness.go import Go
from harness.java import Java
from harness.process import ANY, free_port, until
from harness.rules import always, has, never, to
from harness.sidecar import Sidecar
from harness.way import Way

Refer = Callable[..., str]
PortOf = Callable[..., int]
RPC = "org.apache.dubbo.rpc.RpcException"
UNKNOWN, NETWORK, TIMEOUT, SERIALIZATION = 0, 1, 2, 5
STATUSES = (25, 30, 31, 35, 40, 50, 60, 70, 80, 90, 100)
#: The code of the exception that a consumer throws; NETWORK where nothing is said. That of dubbo-go has none.
CODES = {"java-2.7": {30: TIMEOUT, 31: TIMEOUT}, "java-3.3": {25: SERIALIZATION, 30: TIMEOUT, 31: TIMEOUT}}
#: Consumer and provider.
ENDS = (("java-2.7", "java-3.3"), ("java-3.3", "java-2.7"), ("go", "java-3.3"))
_tokens = (f"token-{number}" for number in itertools.count())


@pytest.fixture(params=ENDS, ids=">".join)
def ends(request: pytest.FixtureRequest, peers: Peers, go_consumer: Go) -> tuple[Driver, str]:
    """A consumer, and the provider's version."""
    asking, offering = request.param
    return go_consumer if asking == "go" else peers.consumer(asking), offering


Ends = tuple[Driver, str]


def named(**ports: int) -> mesh.Document:
    """The application with its instances by name."""
    return mesh.entry([mesh.endpoint(port, **{rules.WHO: name}) for name, port in ports.items()])


def governed(way: Way, *documents: mesh.Document) -> tuple[Sidecar, int]:
    """A sidecar with rules and no small budget of retries, and where it listens."""
    port = free_port()
    return way.sidecar(documents, [mesh.outbound(f"tcp://{ANY}:{port}")], limits={"retryRate": 1000}), port


def refused(consumer: Driver, ref: str, **attachments: str) -> PeerError:
    """How a call fails."""
    with pytest.raises(PeerError) as thrown:
        consumer.call(ref, "ask", "x", attachments=attachments)
    return thrown.value


def is_local(error: PeerError, consumer: Driver, status: int, text: str) -> bool:
    """Whether that is the exception that this consumer makes of an answer of the sidecar's own."""
    if isinstance(consumer, Go):
        return text in error.text
    assert isinstance(consumer, Java)
    code = CODES[consumer.version].get(status, NETWORK)
    return (error.kind, error.code) == (RPC, code) and text in error.text


class Done:
    """Which calls providers have executed, by the tokens that they brought."""

    def __init__(self, refer: Refer, consumer: Java, ports: Iterable[int]) -> None:
        self.consumer, self.refs = consumer, [refer(consumer, port) for port in ports]

    def times(self, *tokens: str) -> list[Counter[str]]:
        """How often, instance by instance."""
        return [
            Counter(one for one in self.consumer.call(ref, "recorded") if one in tokens) for ref in self.refs
        ]  # fmt: skip


def test_faults(proxied: Way, ends: Ends, port_of: PortOf, refer: Refer) -> None:
    """A delay is waited for and then answered right; an abort is the exception that its status is, with its text."""
    consumer, offering = ends
    aborts = [
        {"match": has("abort", str(status)), "fault": {"abort": always(dubboStatus=status, text=f"no {status}")}}
        for status in STATUSES
    ]
    slow = {"match": has("fault", "delay"), "fault": {"delay": always(fixedDelay="300ms")}}
    none = {"delay": never(fixedDelay="1h"), "abort": never(dubboStatus=80)}
    rare = {"match": has("fault", "never"), "fault": none}
    sidecar, port = governed(proxied, named(A=port_of(offering)), rules.rules(*aborts, slow, rare, {}))
    ref = refer(consumer, port)
    begun = time.monotonic()
    assert consumer.call(ref, "ask", "late", attachments={"fault": "delay"}) == "A|late"
    assert time.monotonic() - begun >= 0.3
    for status in STATUSES:
        error = refused(consumer, ref, abort=str(status))
        assert is_local(error, consumer, status, f"no {status}"), (status, error.code, error.text)
    for _ in range(20):
        assert consumer.call(ref, "ask", "x", attachments={"fault": "never"}) == "A|x"
    assert (sidecar.count("calls_delayed"), sidecar.count("calls_aborted")) == (1, len(STATUSES))


CHANGE = {"set": {"env": "dev2", "new": "caf\u00e9 \u20ac"}, "add": {"more": "2"}, "remove": ["gone"]}
TOLD = {"env": "dev1", "gone": "1", "stays": "caf\u00e9", "more": "1"}
CHANGED = {"env": "dev2", "new": "caf\u00e9 \u20ac", "more": "2", "stays": "caf\u00e9"}


def is_changed(seen: dict[str, str]) -> bool:
    return "gone" not in seen and seen | CHANGED == seen


def test_attachments(proxied: Way, ends: Ends, port_of: PortOf, refer: Refer) -> None:
    """Set, added and removed as the provider's application sees them."""
    consumer, offering = ends
    _, port = governed(proxied, named(A=port_of(offering)), rules.rules({"headers": {"request": CHANGE}}))
    ref = refer(consumer, port)
    assert is_changed(consumer.call(ref, "attachments", attachments=TOLD))
    assert consumer.do("checksum", ref=ref, size=100_000) == "same"
    with pytest.raises(PeerError, match="boo"):
        consumer.call(ref, "fail", "boo")


def test_attachments_of_go(proxied: Way, go_consumer: Go, offers: Offers, refer: Refer) -> None:
    """The same as dubbo-go sees them, which has lists of texts besides: a list that is removed is null, which it has as
    an empty text."""
    change = CHANGE | {"remove": ["gone", "list"]}
    _, port = governed(proxied, named(A=offers("A")[1]), rules.rules({"headers": {"request": change}}))
    told = {**TOLD, "env": ["dev1"], "list": ["1"], "many": ["one", "two"]}
    seen = go_consumer.call(refer(go_consumer, port), "attachments", attachments=told)
    assert is_changed(seen)
    assert (seen["list"], seen["many"]) == ("", "[]string[one two]")


def test_another_serialization(proxied: Way, peers: Peers, port_of: PortOf, refer: Refer) -> None:
    """The same in fastjson2."""
    consumer = peers.consumer("java-3.3")
    abort = {"match": has("abort", "yes"), "fault": {"abort": always(httpStatus=503, text="caf\u00e9 \u20ac")}}
    change = {"headers": {"request": CHANGE}}
    _, port = governed(proxied, named(A=port_of("java-3.3")), rules.rules(abort, change))
    ref = refer(consumer, port, serialization="fastjson2")
    assert is_local(refused(consumer, ref, abort="yes"), consumer, 80, "caf\u00e9 \u20ac")
    assert is_changed(consumer.call(ref, "attachments", attachments=TOLD))
    assert consumer.do("order", ref=ref, seed=9) == "same"


def test_mirror(peers: Peers, proxied: Way, version: str, port_of: PortOf, refer: Refer) -> None:
    """The copy has every call once, of which its caller hears nothing, be it slow, dead or throwing."""
    consumer = peers.consumer(version)
    ports = {name: port_of(version, name) for name in "ABC"}
    mirrors = [to("B"), to("dead"), {**to("C"), "percentage": {"value": 0}}]
    rule = rules.rules({"route": [to("A")], "mirrors": mirrors})
    instances = named(**ports, dead=free_port())
    sidecar, port = governed(proxied, instances, rules.policy(*ports, "dead"), rule)
    ref = refer(consumer, port, timeout=4000)
    done = Done(refer, consumer, ports.values())
    ways = [("", 0), ("B", 6000), ("B", -1)]  # slow: over when its caller would have given up
    tokens = [(next(_tokens), *ways[number % 3]) for number in range(30)]
    for token, at, millis in tokens:
        assert consumer.call(ref, "attempt", at, millis, token) == f"A|{token}"
    each = Counter(token for token, _, _ in tokens)
    until("all copies", lambda: done.times(*each)[1] == each)
    assert done.times(*each) == [each, each, Counter()]
    assert sidecar.count("calls") == 30


TURNS = {"simple": "ROUND_ROBIN"}


def outcome(consumer: Java, ref: str, how: str) -> str | PeerError:
    """Who answered, or the exception."""
    try:
        answer: str = consumer.call(ref, "whoami", attachments={"how": how})
    except PeerError as error:
        return error
    return answer


def test_retries(peers: Peers, proxied: Way, version: str, port_of: PortOf, refer: Refer) -> None:
    """A provider whose threads are all taken answers 100, which the rule has asked elsewhere."""
    consumer = peers.consumer(version)
    busy = peers.provider(version).export("busy", threads=1, queues=0, threadpool="fixed")
    sidecar, port = governed(
        proxied,
        named(busy=busy, A=port_of(version)),
        rules.policy(loadBalancer=TURNS),
        rules.rules({"match": has("how", "again"), "retries": {"attempts": 1, "retryOn": "100"}}, {}),
    )
    ref, straight = refer(consumer, port), next(_tokens)
    consumer.refer(straight, busy, timeout=60_000)  # and not released, which would wait for what it holds
    consumer.hold(peers.provider(version), straight, 30_000)
    assert [outcome(consumer, ref, "again") for _ in range(10)] == ["A"] * 10
    assert sidecar.count("retries_answer") == sidecar.count("retries_succeeded") > 0
    plain = [outcome(consumer, ref, "once") for _ in range(10)]
    assert plain.count("A") == 5
    for error in plain:
        assert error == "A" or (isinstance(error, PeerError) and (error.kind, error.code) == (RPC, NETWORK)), error


def test_executed_once(peers: Peers, proxied: Way, version: str, port_of: PortOf, refer: Refer) -> None:
    """What a provider has executed is asked again only where the rule says so."""
    consumer, ports = peers.consumer(version), {name: port_of(version, name) for name in "AB"}
    late = {"attempts": 1, "perTryTimeout": "1s"}
    _, port = governed(
        proxied,
        named(**ports),
        rules.policy(loadBalancer=TURNS),
        rules.rules(
            {"match": has("how", "again"), "retries": {**late, "retryOn": "deadline-exceeded"}},
            {"match": has("how", "once"), "retries": {**late, "retryOn": "connect-failure,unavailable"}},
            {"retries": {"attempts": 2, "retryOn": "5xx,reset,cancelled,unavailable"}},
        ),
    )
    ref, done = refer(consumer, port), Done(refer, consumer, ports.values())

    def attempts(how: str, millis: int, count: int) -> tuple[list[str], list[Future[dict[str, str]]]]:
        """As many at once, at which A is slow, or throws."""
        tokens = [next(_tokens) for _ in range(count)]
        told = {"ref": ref, "method": "attempt", "attachments": {"how": how}}
        return tokens, [consumer.start("call", **told, args=["A", millis, token]) for token in tokens]

    tokens, calls = attempts("again", 4000, 6)
    assert [call.result(20)["value"] for call in calls] == [f"B|{token}" for token in tokens]
    at_a, at_b = done.times(*tokens)
    assert at_b == Counter(tokens)
    assert 0 < at_a.total() < 6  # by turns; each then also at B
    for how, millis, kind in (("once", 4000, RPC), ("throws", -1, "java.lang.IllegalStateException")):
        tokens, calls = attempts(how, millis, 6)
        errors = [error for error in (call.exception(20) for call in calls) if error]
        assert all(isinstance(error, PeerError) and error.kind == kind for error in errors), errors
        at_a, at_b = done.times(*tokens)
        assert at_a + at_b == Counter(tokens)
        assert 0 < len(errors) == at_a.total()


def test_ejection(peers: Peers, proxied: Way, version: str, refer: Refer, port_of: PortOf) -> None:
    """Who answers errors gets no calls for its time, and again then; who throws exceptions does not answer errors."""
    consumer, leaving = peers.consumer(version), peers.fresh(version)
    away = leaving.export("away")
    detection = {"consecutive5xxErrors": 3, "interval": "100ms", "maxEjectionPercent": 100}

    def by(ejection: str) -> tuple[Sidecar, str]:
        policy = rules.policy(loadBalancer=TURNS, outlierDetection={**detection, "baseEjectionTime": ejection})
        sidecar, port = governed(proxied, named(away=away, A=port_of(version)), policy)
        return sidecar, refer(consumer, port)

    sidecar, ref = by("1h")
    for _ in range(12):
        with pytest.raises(PeerError, match="boo"):
            consumer.call(ref, "fail", "boo")
    assert sidecar.count("ejections_errors") == 0
    leaving.do("unexport")  # it answers that it has no such service: 70
    seen = [outcome(consumer, ref, "") for _ in range(30)]
    errors = [one for one in seen if isinstance(one, PeerError)]
    assert [(error.kind, error.code) for error in errors] == [(RPC, NETWORK)] * 3
    assert seen.count("A") == 27
    assert sidecar.count("ejections_errors") == 1
    sidecar, ref = by("200ms")
    until("an ejection", lambda: outcome(consumer, ref, "") and sidecar.count("ejections_errors") > 0)
    leaving.export("away", away)
    until("it is back", lambda: outcome(consumer, ref, "") == "away")
    assert sidecar.count("ejections_ended") > 0


def test_limits(peers: Peers, proxied: Way, version: str, port_of: PortOf, go_consumer: Go, refer: Refer) -> None:
    """What is over a bound, by rate or at once, is an exception at once, with a text that says of what."""
    consumer, instance = peers.consumer(version), named(A=port_of(version))
    sidecar, port = governed(proxied, instance, rules.policy(connectionPool={"http": {"http2MaxRequests": 1}}))
    ref, by_go = refer(consumer, port), refer(go_consumer, port)
    going = consumer.start("call", ref=ref, method="later", args=[2000, "first"], attachments={})
    until("it is under way", lambda: sidecar.count("calls_active") == 1)
    assert is_local(refused(consumer, ref), consumer, 100, "http2MaxRequests")
    assert is_local(refused(go_consumer, by_go), go_consumer, 100, "http2MaxRequests")
    assert going.result(10)["value"] == "A|first"
    assert consumer.call(ref, "whoami") == "A"
    sidecar, port = governed(proxied, instance, rules.limit(1, burst=2))
    ref, by_go = refer(consumer, port), refer(go_consumer, port)
    assert [consumer.call(ref, "whoami"), go_consumer.call(by_go, "whoami")] == ["A", "A"]
    assert is_local(refused(consumer, ref), consumer, 100, "over the rate limit limit")
    assert is_local(refused(go_consumer, by_go), go_consumer, 100, "over the rate limit limit")
    assert sidecar.count("calls_limited") == 2


COUNTDOWN = {"enable-timeout-countdown": "true"}


def test_time_left(peers: Peers, proxied: Way, version: str, port_of: PortOf, refer: Refer) -> None:
    """A provider that is to count down from its caller's time counts from what rules leave of it."""
    consumer = peers.consumer(version)
    slow = {"match": has("fault", "delay"), "fault": {"delay": always(fixedDelay="300ms")}}
    _, port = governed(proxied, named(A=port_of(version)), rules.rules(slow, {"timeout": "2s"}))
    ref = refer(consumer, port, timeout=60_000, **COUNTDOWN)
    assert 0 < consumer.call(ref, "left") <= 2_000
    assert 50_000 < consumer.call(ref, "left", attachments={"fault": "delay"}) <= 59_700
    assert consumer.call(refer(consumer, port, timeout=60_000, other=1), "left") == -1
    assert 50_000 < consumer.call(refer(consumer, port_of(version), timeout=60_000, **COUNTDOWN), "left") <= 60_000


def test_time_left_to_go(proxied: Way, ends: Ends, offers: Offers, refer: Refer) -> None:
    """The same as dubbo-go sees it."""
    consumer, _ = ends
    slow = {"match": has("fault", "delay"), "fault": {"delay": always(fixedDelay="300ms")}}
    _, port = governed(proxied, named(A=offers("A")[1]), rules.rules(slow, {"timeout": "2s"}))
    ref = refer(consumer, port, timeout=60_000, **COUNTDOWN)
    assert 0 < int(consumer.call(ref, "attachments")["timeout"]) <= 2_000
    assert 50_000 < int(consumer.call(ref, "attachments", attachments={"fault": "delay"})["timeout"]) <= 59_700
