"""GOAWAY at either end, while calls are on their way."""

from __future__ import annotations

import pytest
from harness.h2peer import CALM, data_frame, frames
from harness.h2world import ANSWER, GOOD, World, request
from harness.process import until
from harness.through import Through

GONE = ("reset", "closed", "14")


@pytest.mark.parametrize("lasts", [(2**31 - 1, 5), (5, 9)], ids=["lowered", "raised"])
def test_some_are_made_again(behind: Through, world: World, lasts: tuple[int, int]) -> None:
    """Five calls on a connection that goes away: three are answered there, the one that nothing is known of is made
    again, once, and the one whose answer had begun is not."""
    provider = world.provider()
    caller = world.caller(*behind.to(provider.port))
    warm = caller.call("warm")
    peer = provider.take("warm").peer
    provider.take("warm").answer()
    assert warm.status() == "0"
    calls = {mark: caller.call(mark) for mark in "abcde"}
    taken = {mark: provider.take(mark) for mark in "abcde"}
    assert {stream.peer for stream in taken.values()} == {peer}
    first = taken["c"].number
    taken["d"].headers(ANSWER)
    calls["d"].first()
    for last in lasts:
        peer.goaway(last if last == 2**31 - 1 else first + (last - 5))
    for mark in "abc":
        taken[mark].answer(mark.encode())
    for mark in "abc":
        assert (calls[mark].status(), calls[mark].body()) == ("0", mark.encode())
    until("it is made again", lambda: len(provider.find("e")) == 2)
    again = provider.take("e", 2)
    assert again.peer is not peer
    again.answer(b"again")
    assert (calls["e"].status(), calls["e"].body()) == ("0", b"again")
    peer.close()
    assert calls["d"].status().startswith(GONE)
    assert {mark: len(provider.find(mark)) for mark in "abcde"} == {**dict.fromkeys("abcd", 1), "e": 2}


def test_all_in_one_write(through: Through, world: World) -> None:
    """Answers, GOAWAY and the end of the connection in one write, whole and in two pieces: all that was said counts,
    and new calls go elsewhere."""
    provider = world.provider()
    (port,) = through.to(provider.port)
    for turn in range(24):
        caller = world.caller(port)
        calls = [caller.call(f"{turn}-{i}") for i in range(2)]
        streams = [provider.take(f"{turn}-{i}") for i in range(2)]
        peer = streams[0].peer
        written: list[frames.Frame] = []
        for stream in streams:
            written += [*peer.block(stream.number, ANSWER), data_frame(stream.number, b"d" * 10)]
            written += peer.block(stream.number, GOOD, True)
            if stream is streams[0]:
                written.append(frames.GoAwayFrame(0, last_stream_id=streams[1].number))
        data = b"".join(one.serialize() for one in written)
        cut = len(data) * turn // 24
        peer.raw(data[:cut])
        if not through.is_direct:
            new = world.caller(port).call(f"{turn}-new")
        peer.raw(data[cut:])
        peer.shut()
        for call in calls:
            assert (call.status(), call.body()) == ("0", b"d" * 10)
        if not through.is_direct:
            until("the new one", lambda t=turn: provider.find(f"{t}-new"))
            found = provider.find(f"{turn}-new")[-1]
            if found.peer is peer:  # it was there before the end was known
                until("it comes again", lambda t=turn: len(provider.find(f"{t}-new")) == 2)
                found = provider.take(f"{turn}-new", 2)
            found.answer()
            assert new.status() == "0"


def test_too_many_pings(through: Through, world: World) -> None:
    """GOAWAY for PINGs ends nothing that runs; new calls are served by another connection."""
    provider = world.provider()
    (port,) = through.to(provider.port)
    caller = world.caller(port)
    call = caller.call("runs")
    stream = provider.take("runs")
    stream.headers(ANSWER)
    stream.peer.goaway(stream.number, CALM, b"too_many_pings")
    if not through.is_direct:
        caller.peer.ping()
        caller.peer.wait("its answer", lambda e: e.kind == "PING" and e.ack)
        new = caller.call("new")
        assert provider.take("new").peer is not stream.peer
        provider.take("new").answer()
        assert new.status() == "0"
    stream.data(b"more")
    stream.headers(GOOD, True)
    assert (call.status(), call.body()) == ("0", b"more")


def test_pings_are_answered_here(behind: Through, world: World) -> None:
    """A caller's PINGs come back with their bytes at once; the provider sees none of them."""
    provider = world.provider()
    caller = world.caller(*behind.to(provider.port))
    call = caller.call("quiet")
    stream = provider.take("quiet")
    for i in range(60):
        data = f"ping{i:04}".encode()
        caller.peer.ping(data)
        caller.peer.wait("its answer", lambda e, d=data: e.kind == "PING" and e.ack and e.data == d)
    assert stream.peer.kinds("PING") == []
    stream.answer()
    assert call.status() == "0"
    assert caller.peer.kinds("GOAWAY") == []


def test_drained(behind: Through, world: World) -> None:
    """A sidecar that drains: what runs ends well, its request's end refers to what a later block put into the table,
    and what comes later is decoded and not served, though the caller goes on."""
    provider = world.provider()
    caller = world.caller(*behind.to(provider.port))
    call = caller.call("runs", end=False)
    stream = provider.take("runs")
    leaving = behind.sidecars[-1]
    leaving.terminate()
    caller.peer.wait("the last GOAWAY", lambda e: e.kind == "GOAWAY" and e.last == call.number)
    late = []
    for i in range(3):
        number = caller.peer.next
        caller.peer.next += 2
        caller.peer.headers(number, request(f"late-{i}", more=[("x-learnt", "from a late one")]))
        caller.peer.push(number, b"x" * 1000)
        caller.peer.headers(number, [("x-end", "1")], True)
        late.append(number)
    caller.peer.headers(call.number, [("x-learnt", "from a late one")], True)
    assert stream.end().get("x-learnt") == "from a late one"
    stream.answer(b"whole")
    assert (call.status(), call.body()) == ("0", b"whole")
    caller.peer.until("its end", lambda: caller.peer.ended)
    assert leaving.wait(30) == 0
    assert [e.code for e in caller.peer.kinds("GOAWAY") if e.code] == []
    assert not any(provider.find(f"late-{i}") for i in range(3))
    assert not any(e.fields for number in late for e in caller.peer.of(number))


def test_idle_is_kept(through: Through, world: World) -> None:
    """A provider's PING, SETTINGS and WINDOW_UPDATE on a connection without streams, also cut in the middle: answered,
    and the next call uses it."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    call = caller.call("first")
    stream = provider.take("first")
    stream.answer()
    assert call.status() == "0"
    peer = stream.peer
    for i in range(10):
        data = f"idle{i:04}".encode()
        said = frames.PingFrame(0, opaque_data=data).serialize() + frames.SettingsFrame(0, settings={}).serialize()
        said += frames.WindowUpdateFrame(0, window_increment=1000).serialize()
        acks = sum(e.ack for e in peer.kinds("SETTINGS"))
        peer.raw(said[: 4 * i])
        again = caller.call(f"between-{i}")  # half a frame stands, and calls go on
        if 4 * i < len(said):
            provider.take(f"between-{i}")
        peer.raw(said[4 * i :])
        peer.wait("the PING's answer", lambda e, d=data: e.kind == "PING" and e.ack and e.data == d)
        peer.until("the SETTINGS' answer", lambda n=acks: sum(e.ack for e in peer.kinds("SETTINGS")) > n)
        provider.take(f"between-{i}").answer()
        assert again.status() == "0"
    assert len(provider.peers) == 1


def test_good_order(behind: Through, world: World) -> None:
    """A sidecar that ends says GOAWAY(0) to its provider, which has opened no stream, and then closes."""
    provider = world.provider()
    caller = world.caller(*behind.to(provider.port))
    call = caller.call("first")
    provider.take("first").answer()
    assert call.status() == "0"
    for sidecar in reversed(behind.sidecars):
        sidecar.terminate()
        assert sidecar.wait(30) == 0
    peer = provider.peer()
    peer.until("its end", lambda: peer.ended)
    assert [(e.last, e.code) for e in peer.kinds("GOAWAY")] == [(0, 0)]
    assert peer.kinds("RSTSTREAM") == []
