"""Windows where many callers share one upstream connection: nobody's reading holds up another's."""

from __future__ import annotations

from harness.h2peer import INITIAL_WINDOW, WINDOW
from harness.h2world import ANSWER, World
from harness.through import Through, growth

LONG = bytes(i % 251 for i in range(300_000))
BOUND = 24 << 20  # bytes that 20 stalled answers may make a sidecar grow by


def test_stalled_readers(through: Through, world: World) -> None:
    """Twenty callers that give no window; a 21st is served all the same, and three that go on get every byte."""
    provider = world.provider()
    (port,) = through.to(provider.port)
    warm = world.caller(port).call("warm")
    provider.take("warm").answer()
    assert warm.status() == "0"
    with growth(through.sidecars) as found:
        stalled = [world.caller(port, credit=False).call(f"stalled-{i}") for i in range(20)]
        sending = [provider.take(f"stalled-{i}") for i in range(20)]
        sent = [0] * 20
        for i, stream in enumerate(sending):
            stream.headers(ANSWER)
            sent[i] = stream.peer.push(stream.number, LONG)
        for i, stream in enumerate(stalled):
            stream.peer.until("a window's worth", lambda s=stream: len(s.body()) == min(sent[i], WINDOW))  # noqa: B023
        last = world.caller(port).call("last")
        answering = provider.take("last")
        answering.answer(LONG[:200_000])
        assert last.status() == "0"
        assert last.body() == LONG[:200_000]
        for i in (3, 9, 17):
            stalled[i].peer.credit = True
            stalled[i].peer.window(0, 1 << 20)
            stalled[i].peer.window(stalled[i].number, 1 << 20)
            sending[i].data(LONG[sent[i] :], True)
            stalled[i].end()
            assert stalled[i].body() == LONG
    assert found.most < BOUND
    assert not any(stalled[i].is_over for i in (0, 1, 19))


def test_thrown_away_is_credited(through: Through, world: World) -> None:
    """Answers that their callers reset, and last frames that nobody reads again, leave the window whole."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    for i in range(50):
        call = caller.call(f"reset-{i}")
        stream = provider.take(f"reset-{i}")
        stream.headers(ANSWER)
        stream.data(LONG[:60_000])
        caller.peer.until("a part", lambda c=call: len(c.body()) >= 10_000)
        call.reset()
        stream.gone()
    for i in range(200):
        call = caller.call(f"whole-{i}")
        stream = provider.take(f"whole-{i}")
        stream.headers(ANSWER)
        stream.data(LONG[:60_000], True)
        call.end()
        assert call.body() == LONG[:60_000]
    call = caller.call("last")
    stream = provider.take("last")
    stream.answer(LONG[:200_000])
    assert call.status() == "0"
    assert call.body() == LONG[:200_000]
    for peer in provider.peers:
        peer.until("credit", lambda p=peer: p.room() > WINDOW // 2 - 1)


def test_padding(through: Through, world: World) -> None:
    """Padding counts for the windows and is given back; what is forwarded is the content; frames of nothing but padding
    are no flood while content comes between."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    call = caller.call("padded", end=False)
    stream = provider.take("padded")
    for sender, number in ((caller.peer, call.number), (stream.peer, stream.number)):
        if sender is stream.peer:
            stream.headers(ANSWER)
        for i in range(300):
            sender.padded(number, bytes([i % 251]), 255)
        for i in range(300):
            sender.padded(number, b"", 255)
            sender.data(number, bytes([i % 7]))
        sender.data(number, b".", True)
    wanted = bytes(i % 251 for i in range(300)) + bytes(i % 7 for i in range(300)) + b"."
    for end in (call, stream):
        assert end.end().kind in ("DATA", "HEADERS")
        assert end.body() == wanted
    for peer in (stream.peer, caller.peer):
        peer.until("credit", lambda p=peer: p.room() > WINDOW // 2 - 1)


def test_updates_are_few(behind: Through, world: World) -> None:
    """Small calls: one WINDOW_UPDATE for each half of a window at most, none for a stream that has ended."""
    provider = world.provider()
    caller = world.caller(*behind.to(provider.port))
    count, size = 2000, 100
    for i in range(count):
        call = caller.call(str(i), end=False)
        call.data(bytes(size), True)
        stream = provider.take(str(i))
        stream.end()
        stream.headers(ANSWER)
        stream.data(bytes(size), True)
        call.end()
    for peer in (provider.peer(), caller.peer):
        updates = peer.kinds("WINDOWUPDATE")
        # One more for the window that a connection begins with.
        assert len(updates) <= 2 + 2 * count * size // WINDOW
        assert [e for e in updates if e.stream] == []


def test_credit_by_the_frame(through: Through, world: World) -> None:
    """A peer that gives credit before it is asked, and for every frame, floods nobody."""
    provider = world.provider()
    caller = world.caller(*through.to(provider.port))
    for _ in range(20):
        caller.peer.window(0, 1000)
    call = caller.call("up", end=False)
    stream = provider.take("up")
    for _ in range(20):
        stream.peer.window(0, 1000)
    stream.headers(ANSWER)
    for _ in range(1000):
        call.data(b"x" * 10)
        stream.data(b"y" * 10)
    call.finish()
    assert stream.end().kind in ("DATA", "HEADERS")
    stream.finish()  # not before: an answer that is whole ends the request
    assert call.end().kind in ("DATA", "HEADERS")
    assert (call.body(), stream.body()) == (b"y" * 10_000, b"x" * 10_000)


def test_only_content_waits(through: Through, world: World) -> None:
    """With the provider's connection window used up, all but content goes on: new calls, resets, PING and SETTINGS."""
    provider = world.provider(credit=False)
    (port,) = through.to(provider.port)
    caller = world.caller(port)
    stuck = caller.call("stuck", end=False)
    world.beside(stuck.data, LONG[:WINDOW])
    stream = provider.take("stuck")
    stream.peer.until("all that may come", lambda: len(stream.body()) == WINDOW)
    other = caller.call("other", end=False)
    provider.take("other")
    other.reset()
    provider.take("other").gone()
    quick = world.caller(port).call("quick")
    provider.take("quick").answer()
    assert quick.status() == "0"
    stream.peer.ping(b"abcdefgh")
    stream.peer.wait("the answer", lambda e: e.kind == "PING" and e.ack and e.data == b"abcdefgh")
    before = sum(e.ack for e in stream.peer.kinds("SETTINGS"))
    stream.peer.settings(initial_window=WINDOW)
    stream.peer.until("the answer", lambda: sum(e.ack for e in stream.peer.kinds("SETTINGS")) > before)
    stuck.reset()
    stream.gone()


def test_a_long_upload_lets_others_pass(through: Through, world: World) -> None:
    """A wide stream window and a narrow connection window: calls of others get into the next credit, though one long
    upload waits for it, too."""
    provider = world.provider(credit=False, settings={INITIAL_WINDOW: 8 << 20})
    (port,) = through.to(provider.port)
    upload = world.caller(port).call("long", end=False)
    world.beside(upload.data, LONG * 4)
    stream = provider.take("long")
    stream.peer.until("all that may come", lambda: len(stream.body()) == WINDOW)
    short = [world.caller(port).call(f"short-{i}", end=False) for i in range(20)]
    for call in short:
        call.data(b"s" * 100, True)
    beginnings = [provider.take(f"short-{i}") for i in range(20)]
    ends, given = [stream, *beginnings], WINDOW
    for _ in range(4):  # half of what one stream may have waiting: its content may come a moment after its head
        if through.is_direct or all(len(e.body()) == 100 for e in beginnings):
            break
        given += 16_384
        stream.peer.window(0, 16_384)
        # More than that where others have come by a connection beside it.
        stream.peer.until("use of it", lambda: sum(len(e.body()) for e in ends) >= given)  # noqa: B023
    if through.is_direct:
        stream.peer.window(0, 16_384)
    for call, beginning in zip(short, beginnings, strict=True):
        assert beginning.end().end and len(beginning.body()) == 100
        beginning.answer()
        assert call.status() == "0"
