"""Calls whose answer comes just as their time runs out: one end each, whoever was first."""

from __future__ import annotations

import time

from harness.h2peer import CANCEL, MAX_STREAMS
from harness.h2world import ANSWER, GOOD, Caller, Provider, Stream, World
from harness.process import until
from harness.through import Through

DEADLINE, AT_ONCE, ROUNDS = 0.020, 25, 24


def play(caller: Caller, provider: Provider, turn: int) -> tuple[dict[str, Stream], set[str], set[str]]:
    """Calls that are answered at their deadline, or a millisecond before or behind it, every fifth in two halves; the
    calls, those of which half was sent, those that were answered to the end."""
    begun = time.monotonic()
    more = [("grpc-timeout", f"{1000 * DEADLINE:.0f}m")]
    calls = {f"{turn}-{i}": caller.call(f"{turn}-{i}", more=more) for i in range(AT_ONCE)}
    half: set[str] = set()
    answered: set[str] = set()

    def answer(number: int, mark: str, stream: Stream) -> None:
        if number % 5 == 0 and mark not in half:
            half.add(mark)
            stream.headers(ANSWER)
            stream.data(b"half")
        if time.monotonic() - begun < DEADLINE + 0.001 * (number % 3 - 1):
            return
        answered.add(mark)
        if mark not in half:
            stream.headers(ANSWER)
        if not stream.of("RSTSTREAM"):
            stream.data(b"whole")
            stream.headers(GOOD, True)

    def go_on() -> bool:
        for number, mark in enumerate(calls):
            if mark not in answered and (found := provider.find(mark)):
                answer(number, mark, found[0])
        return all(call.is_over for call in calls.values())

    until("all ended", go_on)
    return calls, half, answered


def test_at_the_edge(behind: Through, world: World) -> None:
    """0 or 4, or a reset where the answer had begun; late frames change nothing; each place at the provider is free
    again."""
    provider = world.provider(settings={MAX_STREAMS: AT_ONCE})
    caller = world.caller(*behind.to(provider.port, h2Cuts=100_000, h2Cancels=100_000))  # else it would go apart
    warm = caller.call("warm")
    provider.take("warm").answer()
    assert warm.status() == "0"
    for turn in range(ROUNDS):
        calls, half, answered = play(caller, provider, turn)
        for mark, call in calls.items():
            told = call.status()
            assert told in ("0", "4") or (told == f"reset {CANCEL}" and call.of("HEADERS"))
            assert sum(e.end or e.kind == "RSTSTREAM" for e in call.of()) == 1
            if told == "0":
                assert call.body() == (b"halfwhole" if mark in half else b"whole")
            elif mark not in answered and (found := provider.find(mark)):
                assert found[0].gone().code == CANCEL
    peer = provider.peer()
    after = [caller.call(f"after-{i}") for i in range(AT_ONCE)]
    taken = [provider.take(f"after-{i}") for i in range(AT_ONCE)]
    assert all(stream.peer is peer for stream in taken)
    for call, stream in zip(after, taken, strict=True):
        stream.answer()
        assert call.status() == "0"
    for sidecar in behind.sidecars:
        until("nothing is under way", lambda one=sidecar: one.count("calls_active") == 0)
    assert caller.peer.kinds("GOAWAY") == peer.kinds("GOAWAY") == []
