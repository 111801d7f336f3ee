"""What rules do to calls of gRPC besides choosing an instance, as real callers and instances of three SDKs see it."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import GrpcPeers
from harness import rules
from harness.grpc import CANCELLED, DEADLINE, INTERNAL, JAVA, OK, SERVICE, UNAVAILABLE, UNKNOWN, Grpc
from harness.process import free_port, until
from harness.rules import always, has, never, to
from harness.through import Through

EXHAUSTED = 8
TEXT = "not today, 100 % caf\u00e9"
#: Caller and instances: each SDK once at either end.
ENDS = (("grpcio", "grpc-go"), ("grpc-go", JAVA), (JAVA, "grpcio"))
CODES = {
    "CANCELLED": 1, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5, "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8, "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14, "UNAUTHENTICATED": 16,
}  # fmt: skip
BUDGET = {"retryRate": 1000}
TURNS = {"simple": "ROUND_ROBIN"}
Names = tuple[str, ...]


class Ends:
    """A caller, instances by name, and rules between them."""

    def __init__(self, behind: Through, peers: GrpcPeers, caller: str, kind: str) -> None:
        self.behind, self.peers, self.kind = behind, peers, kind
        self.caller: Grpc = peers.caller(caller)
        self._refs: list[str] = []

    def instance(self, name: str) -> Grpc:
        return self.peers.instance(self.kind, name)[0]

    def refer(self, names: str, *http: dict[str, Any], **policy: Any) -> str:
        """A reference to the instances of these names by rules; D, for dead, is where nobody listens."""
        ports = {name: free_port() if name == "D" else self.peers.instance(self.kind, name)[1] for name in names}
        documents = [rules.rules(*(http or ({},)), hosts=[SERVICE]), rules.policy(*ports, **policy)]
        listed = [(port, {rules.WHO: name}) for name, port in ports.items()]
        self._refs.append(self.caller.refer(*self.behind.by(documents, *listed, **BUDGET)))
        return self._refs[-1]

    def ask(self, ref: str, method: str, body: bytes | object = b"x", **metadata: str) -> dict[str, Any]:
        return self.caller.ask(ref, method, body, metadata=list(metadata.items()))

    def attempt(self, ref: str, how: str = "", **told: Any) -> dict[str, Any]:
        """A call that A, if it comes there, has trouble with; ``by``: who answered."""
        reply = self.ask(ref, "attempt", {"at": "A", **told}, how=how)
        reply["by"] = reply["body"].partition(b"|")[0].decode()
        return reply

    @property
    def sidecar(self) -> Any:
        """The caller's."""
        return self.behind.sidecars[-1]

    def executed(self, names: str) -> Callable[[], list[int]]:
        """What tells how many calls each has begun since."""
        before = [self.instance(name).do("seen")["begun"] for name in names]
        return lambda: [
            self.instance(name).do("seen")["begun"] - one for name, one in zip(names, before, strict=True)
        ]  # fmt: skip

    def end(self) -> None:
        for ref in self._refs:
            self.caller.do("release", ref=ref)


@pytest.fixture(params=ENDS, ids=">".join)
def ends(request: pytest.FixtureRequest, behind: Through, grpc_peers: GrpcPeers) -> Iterator[Ends]:
    ends = Ends(behind, grpc_peers, *request.param)
    yield ends
    ends.end()


def said(reply: dict[str, Any]) -> tuple[int, str]:
    return reply["code"], reply["message"]


def left(reply: dict[str, Any]) -> float:
    """Milliseconds that the instance knows to be left."""
    assert reply["code"] == OK, reply["message"]
    return float(json.loads(reply["body"])["left"])


def test_faults(ends: Ends) -> None:
    """A delay is waited for and then answered right; an abort is its status with its text; deadlines know of both."""
    aborts = [
        {"match": has("abort", name), "fault": {"abort": always(grpcStatus=name, text=TEXT)}} for name in CODES
    ]  # fmt: skip
    slow = {"match": has("fault", "delay"), "fault": {"delay": always(fixedDelay="300ms")}}
    none = {"delay": never(fixedDelay="1h"), "abort": never(grpcStatus="UNAVAILABLE")}
    by_http = {"match": has("fault", "http"), "fault": {"abort": always(httpStatus=503)}}
    rare = {"match": has("fault", "never"), "fault": none}
    answer = {"status": 429, "body": {"string": "slow down\nplease"}}
    direct = {"match": has("fault", "direct"), "directResponse": answer}
    ref = ends.refer("A", *aborts, slow, by_http, rare, direct, {"timeout": "2s"})
    begun = time.monotonic()
    reply = ends.ask(ref, "ask", b"late", fault="delay")
    assert (reply["code"], reply["body"]) == (OK, b"A|late")
    assert time.monotonic() - begun >= 0.3
    for name, code in CODES.items():
        assert said(ends.ask(ref, "ask", abort=name)) == (code, TEXT)
    assert said(ends.ask(ref, "ask", fault="http")) == (UNAVAILABLE, "fault filter abort")
    assert said(ends.ask(ref, "ask", fault="direct")) == (UNAVAILABLE, "slow down")
    for _ in range(20):
        assert ends.ask(ref, "ask", fault="never")["body"] == b"A|x"
    assert (ends.sidecar.count("calls_delayed"), ends.sidecar.count("calls_aborted")) == (1, len(CODES) + 1)
    assert 50_000 < left(ends.caller.ask(ref, "told", metadata=[("fault", "delay")], timeout=60_000)) <= 59_700 * 1.02
    for timeout in (0, 60_000):
        assert 0 < left(ends.caller.ask(ref, "told", timeout=timeout)) <= 2_000 * 1.02


def test_headers(ends: Ends) -> None:
    """Metadata set, added and removed, as the instance sees it, and as its caller does of the answer's head; another
    method; what the trailers say is the instance's own."""
    change = {"set": {"x-old": "new"}, "add": {"x-more": "2"}, "remove": ["x-gone", "x-gone-bin"]}
    uri = {"exact": f"/{SERVICE}/missing"}
    other = {"match": [{"uri": uri}], "rewrite": {"uri": f"/{SERVICE}/told"}}
    ref = ends.refer("A", other, {"headers": {"request": change, "response": change}})
    given = [("x-old", "1"), ("x-old", "2"), ("x-more", "1"), ("x-gone", "1"), ("x-gone-bin", b"\0")]
    given += [("x-stays", "a, b")]
    texts = [(name, value if isinstance(value, str) else "AA==") for name, value in given]
    wanted = Counter([("x-old", "new"), ("x-more", "1"), ("x-more", "2"), ("x-stays", "a, b")])
    reply = ends.caller.ask(ref, "told", {"initial": texts, "trailing": texts}, metadata=given)
    assert reply["code"] == OK, reply["message"]

    def mine(pairs: list[Any]) -> Counter[tuple[str, str]]:
        return Counter((name, value) for name, value in pairs if name.startswith("x-") and "envoy" not in name)

    assert mine(json.loads(reply["body"])["metadata"]) == wanted
    assert mine(reply["initial"]) == wanted
    assert mine(reply["trailing"]) == Counter(given)
    seen = json.loads(ends.ask(ref, "missing", b"{}")["body"])["metadata"]
    assert ["x-envoy-original-path", f"/{SERVICE}/missing"] in seen
    reply = ends.caller.ask(ref, "fail", {"code": 9, "message": TEXT}, metadata=given)
    assert said(reply) == (9, TEXT)


def test_mirror(ends: Ends) -> None:
    """The copy has every call once, of which its caller hears nothing, be it slow, dead or failing."""
    mirrors = [to("A"), to("D"), {**to("C"), "percentage": {"value": 0}}]
    ref = ends.refer("ABCD", {"route": [to("B")], "mirrors": mirrors})
    executed = ends.executed("ABC")
    troubles = [{}, {"millis": 6000}, {"code": INTERNAL}]  # slow: over when its caller would have given up
    for number in range(30):
        body = json.dumps({"at": "A", "number": number, **troubles[number % 3]}).encode()
        reply = ends.caller.ask(ref, "attempt", body, timeout=4000)
        assert (reply["code"], reply["body"]) == (OK, b"B|" + body), reply["message"]
    # A provider may answer before a request's end has come: whether the copy is whole is not known, and it is left out.
    until("all copies", lambda: executed()[0] + ends.sidecar.count("mirrored_skipped") // 2 == 30)
    assert executed()[0] > 0 and executed()[1:] == [30, 0]
    assert ends.caller.stream(ref, "collect", 100, 1000)["code"] == OK


def test_retries(ends: Ends) -> None:
    """What the rule names is asked elsewhere; what it does not name has been executed once."""
    again = {"match": has("how", "again"), "retries": {"attempts": 1, "retryOn": "unavailable"}}
    late = {"attempts": 1, "perTryTimeout": "1s"}
    late_again = {"match": has("how", "late"), "retries": {**late, "retryOn": "reset"}}
    ref = ends.refer("AB", again, late_again, {"retries": {"attempts": 2, "retryOn": "cancelled"}}, loadBalancer=TURNS)
    executed = ends.executed("AB")
    assert [ends.attempt(ref, "again", code=UNAVAILABLE)["by"] for _ in range(10)] == ["B"] * 10
    failed, good = executed()
    assert (failed > 0, good) == (True, 10)
    assert ends.sidecar.count("retries_answer") == ends.sidecar.count("retries_succeeded") == failed
    executed = ends.executed("AB")
    assert [ends.attempt(ref, "late", millis=4000)["by"] for _ in range(2)] == ["B"] * 2
    assert executed()[1] == 2
    for code in (UNAVAILABLE, INTERNAL, UNKNOWN, DEADLINE):
        executed = ends.executed("AB")
        got = Counter(said(ends.attempt(ref, "once", code=code, message=TEXT)) for _ in range(4))
        assert got == {(code, TEXT): 2, (OK, ""): 2}
        assert executed() == [2, 2]


def test_ejection(ends: Ends) -> None:
    """Who answers errors gets no calls for its time, and again then; what is no error of it changes nothing."""
    detection = {"consecutive5xxErrors": 3, "interval": "100ms", "maxEjectionPercent": 100}

    def by(ejection: str) -> str:
        return ends.refer("AB", loadBalancer=TURNS, outlierDetection={**detection, "baseEjectionTime": ejection})

    ref = by("1h")
    for code in (CANCELLED, 5, 7):
        assert Counter(ends.attempt(ref, code=code)["code"] for _ in range(8)) == {code: 4, OK: 4}
    assert ends.sidecar.count("ejections_errors") == 0
    codes = [ends.attempt(ref, code=UNAVAILABLE)["code"] for _ in range(20)]
    assert Counter(codes) == {UNAVAILABLE: 3, OK: 17}
    assert ends.sidecar.count("ejections_errors") == 1
    ref = by("200ms")
    until("an ejection", lambda: ends.attempt(ref, code=INTERNAL) and ends.sidecar.count("ejections_errors") > 0)
    until("it is back", lambda: ends.attempt(ref)["by"] == "A")


_names = (f"held-{number}" for number in itertools.count())


def test_limits(ends: Ends) -> None:
    """What is over a bound, by rate or at once, is RESOURCE_EXHAUSTED at once, with a text that says of what."""
    ref, name = ends.refer("A", connectionPool={"http": {"http2MaxRequests": 1}}), next(_names)
    ends.caller.do("start", ref=ref, name=name, method="wait")
    until("it is under way", lambda: ends.sidecar.count("calls_active") == 1)
    reply = ends.ask(ref, "ask")
    assert (reply["code"], "http2MaxRequests" in reply["message"]) == (EXHAUSTED, True)
    assert ("x-envoy-overloaded", "true") in reply["initial"] + reply["trailing"]
    assert ends.caller.do("finish", name=name, cancel=True)["code"] == CANCELLED
    until("its place is free", lambda: ends.ask(ref, "ask")["code"] == OK)
    sidecar = ends.sidecar
    sidecar.write("limit", [rules.limit(1, burst=2, hosts=[SERVICE])])
    codes: list[int] = []
    until("the limit", lambda: codes.append(ends.ask(ref, "ask")["code"]) or codes[-1] != OK)
    reply = ends.ask(ref, "ask")
    assert (reply["code"], "over the rate limit" in reply["message"]) == (EXHAUSTED, True)
    assert sidecar.count("calls_limited") == 2
