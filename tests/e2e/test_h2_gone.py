"""Providers that are gone without a word: no FIN and no RST, as when a host loses its power."""

from __future__ import annotations

from harness.h2peer import CANCEL, NO_ERROR, Peer
from harness.h2world import ANSWER, Provider, Stream, World
from harness.process import until
from harness.through import Through

SOON = {"heartbeat": 600, "pingTimeout": 600}


class Serving:
    """Providers that answer what comes on connections that are not gone."""

    def __init__(self, *providers: Provider, gone: list[Peer]) -> None:
        self.providers, self.gone = providers, gone
        self._seen: set[tuple[int, int]] = set()

    def turn(self) -> None:
        for peer in [one for provider in self.providers for one in list(provider.peers)]:
            for event in () if peer in self.gone else peer.kinds("HEADERS"):
                if (id(peer), event.stream) not in self._seen and event.end:
                    self._seen.add((id(peer), event.stream))
                    Stream(peer, event.stream).answer(b"served")

    def status(self, call: Stream) -> str:
        """How a call ends."""

        def ends() -> bool:
            self.turn()
            return call.is_over

        until("its end", ends)
        return call.status()


def test_vanishes(behind: Through, world: World) -> None:
    """Calls in flight, half of them begun to be answered: each ends soon, in a way that callers make again, and new
    ones are served by others all the while."""
    vanishing, staying = world.provider(), world.provider()
    caller = world.caller(*behind.to(vanishing.port, staying.port, **SOON))
    calls = {f"call-{i}": caller.call(f"call-{i}", end=False) for i in range(40)}
    until("all came", lambda: sum(bool(p.find(m)) for m in calls for p in (vanishing, staying)) == len(calls))
    lost = [mark for mark in calls if vanishing.find(mark)]
    assert 0 < len(lost) < len(calls)
    for mark in lost[::2]:
        vanishing.take(mark).headers(ANSWER)
        calls[mark].first()
    gone = list(vanishing.peers)
    for peer in gone:
        peer.vanish()
    later: list[Stream] = []
    serving = Serving(vanishing, staying, gone=gone)

    def turn() -> bool:
        if len(later) < 300 and all(one.is_over for one in later[-4:]):
            later.append(caller.call(f"later-{len(later)}"))
        serving.turn()
        return all(calls[mark].is_over for mark in lost) and all(one.is_over for one in later)

    until("they are told", turn)
    for number, mark in enumerate(lost):
        told = calls[mark].status()
        if number % 2:
            assert told == "14"
        else:
            assert told.startswith("reset") and told not in (f"reset {CANCEL}", f"reset {NO_ERROR}")
    assert {one.status() for one in later} <= {"0", "14"}
    # Of few, on a machine that is busy, all may have been given to the one that vanished.
    assert len(later) < 20 or sum(one.status() == "0" for one in later) > len(later) // 2
    for i in range(20):
        assert serving.status(caller.call(f"last-{i}")) == "0"


def test_vanishes_when_no_ping_is_allowed(behind: Through, world: World) -> None:
    """After a PING in silence there is none for minutes: then what was sent and did not arrive tells."""
    provider = world.provider()
    caller = world.caller(*behind.to(provider.port, **SOON))
    quiet = caller.call("quiet", end=False)
    peer = provider.take("quiet").peer
    peer.wait("a PING", lambda e: e.kind == "PING" and not e.ack)
    peer.vanish()
    more = caller.call("more")
    assert more.status(15) == quiet.status(15) == "14"
    assert len([e for e in peer.kinds("PING") if not e.ack]) == 1
    serving = Serving(provider, gone=[peer])
    until("there is another way to it", lambda: serving.status(caller.call("again")) == "0")


def test_caller_vanishes(behind: Through, world: World) -> None:
    """A caller that is gone without a word while it waits: TCP asks, and the provider hears of it."""
    provider = world.provider()
    (port,) = behind.to(provider.port, tcpKeepalive=1000)
    caller, other = world.caller(port), world.caller(port)
    caller.call("waiting", end=False)
    stream = provider.take("waiting")
    stays = other.call("stays", end=False)
    caller.peer.vanish()
    assert stream.gone(60).code == CANCEL
    provider.take("stays").answer()
    assert stays.status() == "0"
