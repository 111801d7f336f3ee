"""Streams counted, refused and ended early, by either end."""

from __future__ import annotations

import pytest
from harness.h2peer import CANCEL, INITIAL_WINDOW, INTERNAL, MAX_STREAMS, PROTOCOL, REFUSED
from harness.h2world import ANSWER, GOOD, Stream, World
from harness.process import until
from harness.through import Through

TRAILERS_ONLY = [*ANSWER, *GOOD]


@pytest.mark.parametrize("heavy", [0, 20_000], ids=["light", "heavy"])
def test_limit_told_late(behind: Through, world: World, heavy: int) -> None:
    """A provider that says only after a while that it takes one stream at a time: twenty callers wait their turn,
    refused ones are made again, each is answered once."""
    provider = world.provider(greet=False)
    (port,) = behind.to(provider.port)
    more = [("x-heavy", "h" * heavy)] if heavy else []
    calls = [world.caller(port).call(f"call-{i}", more=more if i == 7 else []) for i in range(20)]
    first = provider.peer()
    first.wait("the caller's settings", lambda e: e.kind == "SETTINGS")
    first.greet({MAX_STREAMS: 1})
    first.wait("its answer", lambda e: e.kind == "SETTINGS" and e.ack)
    answered: dict[str, int] = {}
    seen: set[tuple[int, int]] = set()

    def turn() -> bool:
        """Answer the first stream that is open on each connection, refuse the others."""
        for peer in list(provider.peers):
            if peer is not first and not peer.greeted:
                peer.greet({MAX_STREAMS: 1})
            fresh = [e for e in peer.kinds("HEADERS") if (id(peer), e.stream) not in seen]
            for number, event in enumerate(fresh):
                seen.add((id(peer), event.stream))
                if number:
                    peer.reset(event.stream, REFUSED)
                else:
                    mark = event.get("x-mark") or ""
                    answered[mark] = answered.get(mark, 0) + 1
                    Stream(peer, event.stream).answer(mark.encode())
        return all(call.is_over for call in calls)

    until("all answered", turn)
    for i, call in enumerate(calls):
        assert (call.status(), call.body()) == ("0", f"call-{i}".encode())
    assert answered == {f"call-{i}": 1 for i in range(20)}


def test_not_http2(behind: Through, world: World) -> None:
    """A provider that answers the preface with HTTP/1.1: who waits is told at once, and nobody storms it."""
    provider = world.provider(greet=False)
    (port,) = behind.to(provider.port)
    calls = [world.caller(port).call(f"call-{i}") for i in range(10)]
    answered: set[int] = set()

    def turn() -> bool:
        for peer in list(provider.peers):
            if id(peer) not in answered:
                answered.add(id(peer))
                peer.raw(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        return all(call.is_over for call in calls)

    until("all told", turn)
    assert {call.status() for call in calls} == {"14"}
    assert len(provider.peers) <= 20


def test_counted_once(through: Through, world: World) -> None:
    """Resets that cross the end of the answer, in both orders; then uploads that the provider resets all at once: the
    places are free, each once."""
    limit = 10
    provider = world.provider(settings={MAX_STREAMS: limit, INITIAL_WINDOW: 0})
    caller = world.caller(*through.to(provider.port))
    for i in range(400):
        call = caller.call(f"crossing-{i}")
        stream = provider.take(f"crossing-{i}")
        ends = [call.reset, lambda s=stream: s.headers(TRAILERS_ONLY, True)]
        for end in ends if i % 2 else reversed(ends):
            end()
    stuck = [caller.call(f"stuck-{i}", end=False) for i in range(limit)]
    waiting = [provider.take(f"stuck-{i}") for i in range(limit)]
    for stream in waiting:
        stream.reset(INTERNAL)
    for call in stuck:
        call.end()
    fresh = [caller.call(f"fresh-{i}") for i in range(limit)]
    taken = [provider.take(f"fresh-{i}") for i in range(limit)]
    over = caller.call("over")
    caller.peer.ping(b"past-it.")
    caller.peer.wait("its answer", lambda e: e.kind == "PING" and e.ack)
    if not through.is_direct:  # it may have a connection of its own, but no eleventh place on one
        peers = [stream.peer for stream in taken]  # several, where the resets were late
        assert all("over" not in peer.marks for peer in peers if peers.count(peer) == limit)
    for i in range(limit):
        taken[i].answer()
        assert fresh[i].status() == "0"
    provider.take("over").answer()
    assert over.status() == "0"


def test_answered_early(through: Through, world: World) -> None:
    """Uploads that are answered before they end, by a provider that takes five streams and resets none: each caller has
    its status at once, goes on sending in vain, and no place is lost."""
    provider = world.provider(settings={MAX_STREAMS: 5})
    caller = world.caller(*through.to(provider.port))
    for i in range(50):
        call = caller.call(f"early-{i}", end=False)
        call.data(b"x" * 1000)
        stream = provider.take(f"early-{i}")
        stream.headers([*ANSWER, ("grpc-status", "9")], True)
        assert call.status() == "9"
        for _ in range(5):
            caller.peer.push(call.number, b"y" * 1000)
    assert caller.peer.kinds("GOAWAY") == []
    if not through.is_direct:
        for i in range(45):
            assert provider.take(f"early-{i}").of("RSTSTREAM"), "nobody freed its place"


def test_refused_after_a_part(through: Through, world: World) -> None:
    """Refused after a part of the body went: not made again with what is left of it."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    call = caller.call("part", end=False)
    for _ in range(2):
        call.data(b"m" * 500)
    stream = provider.take("part")
    stream.peer.until("both", lambda: len(stream.body()) == 1000)
    stream.reset(REFUSED)
    assert call.status() in ("reset 7", "14")
    again = caller.call("after")
    provider.take("after").answer()
    assert again.status() == "0"
    assert len(provider.find("part")) == 1


def test_refused_after_an_answer(through: Through, world: World) -> None:
    """Refused after the answer began: not made again, and not told as if nothing had been done."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    call = caller.call("begun")
    stream = provider.take("begun")
    stream.headers(ANSWER)
    call.first()
    stream.reset(REFUSED)
    told = call.status()
    assert told.startswith("reset")
    assert through.is_direct or told != "reset 7"
    assert len(provider.find("begun")) == 1


def test_refused_whole(behind: Through, world: World) -> None:
    """A call that was refused before anything was done is made again elsewhere."""
    one, two = world.provider(), world.provider()
    caller = world.caller(*behind.to(one.port, two.port))
    for i in range(10):
        mark = f"refused-{i}"
        call = caller.call(mark)
        until("it comes", lambda m=mark: one.find(m) or two.find(m))
        first, other = (one, two) if one.find(mark) else (two, one)
        first.take(mark).reset(REFUSED)
        until("it comes again", lambda m=mark: other.find(m) or len(first.find(m)) > 1)  # noqa: B023
        again = other.find(mark)[0] if other.find(mark) else first.take(mark, 2)
        again.answer(b"done")
        assert (call.status(), call.body()) == ("0", b"done")
        assert len(one.find(mark)) + len(two.find(mark)) == 2


@pytest.mark.parametrize("code", [INTERNAL, PROTOCOL, CANCEL])
def test_reset_is_not_refused(through: Through, world: World, code: int) -> None:
    """Any other reset is not made again, nor told as a refusal."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    call = caller.call("reset")
    provider.take("reset").reset(code)
    told = call.status()
    assert told not in ("0", "reset 7", "reset 0")
    if not through.is_direct and code != CANCEL:
        assert told not in (f"reset {CANCEL}", "1")  # which callers take for their own wish
    again = caller.call("after")
    provider.take("after").answer()
    assert again.status() == "0"
    assert len(provider.find("reset")) == 1


@pytest.mark.parametrize("how", ["close", "abort"])
def test_caller_resets(through: Through, world: World, how: str) -> None:
    """Half closed, and with its whole connection gone, by FIN or RST: the provider hears of each."""
    provider = world.provider()
    (port,) = through.to(provider.port)
    caller = world.caller(port)
    call = caller.call("half")
    stream = provider.take("half")
    call.reset()
    assert stream.gone().code == CANCEL
    other = world.caller(port)
    for i in range(50):
        other.call(f"lost-{i}")
    taken = [provider.take(f"lost-{i}") for i in range(50)]
    getattr(other.peer, how)()
    for one in taken:
        one.gone()
    last = caller.call("last")
    provider.take("last").answer()
    assert last.status() == "0"


def test_last_numbers(through: Through, world: World) -> None:
    """A caller's last three stream numbers are served, and its connection then ends in order."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    caller.peer.next = 2**31 - 5
    calls = [caller.call(f"last-{i}") for i in range(3)]
    for i, call in enumerate(calls):
        provider.take(f"last-{i}").answer(b"x")
        assert call.status() == "0"
    assert [e.code for e in caller.peer.kinds("GOAWAY") if e.code] == []
