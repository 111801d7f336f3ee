"""A call that streams on one connection, frame by frame: what goes when, what was refused, and windows."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from streams_desk import GRPC, TARGET, StreamsDesk, desk

from meshfast import http2
from meshfast.errors import StateError
from meshfast.http2 import ErrorCode, Flag, Setting
from meshfast.sdk.errors import BadAnswer, ConnectionLost, NotSent
from meshfast.sdk.flows import Flow
from meshfast.sdk.streams import STREAM
from meshfast.sdk.triple import ended


def begin(one: StreamsDesk) -> Flow:
    flow = Flow(True)
    request = TARGET.stream("chat", None, 0, None, flow)
    one.start(next(one.numbers), request, flow, 60.0, False, True)
    return flow


def played(story: Callable[[StreamsDesk], Awaitable[None]], **more: Any) -> None:
    async def run() -> None:
        with desk(**more) as one:
            await story(one)

    asyncio.run(asyncio.wait_for(run(), 30))


def message(text: bytes) -> bytes:
    return b"\0" + len(text).to_bytes(4, "big") + text


def sent(one: StreamsDesk) -> list[tuple[int, bytes, bool]]:
    """Stream, content and whether it is the last, of each DATA."""
    return [(two.stream, two.data, two.is_last) for two in one.heard_frames() if isinstance(two, http2.Data)]


async def turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_each_message_has_frames_of_its_own() -> None:
    async def story(one: StreamsDesk) -> None:
        flow = begin(one)
        await flow.put(b"a")
        await flow.put(b"b" * 20_000)
        await turns()
        data = message(b"b" * 20_000)
        assert sent(one) == [(1, message(b"a"), False), (1, data[:16_384], False), (1, data[16_384:], False)]
        flow.end()
        await turns()
        assert sent(one) == [(1, b"", True)]
        one.say(*one.answer(1, b"x", whole=False), http2.Data(1, 0, message(b"y")[:3]))
        assert await flow.next() == b"x" and not flow.done()
        one.say(http2.Data(1, 0, message(b"y")[3:]), one.fields(1, (b"grpc-status", b"0"), end=True))
        assert [await flow.next(), await flow.next()] == [b"y", None]
        ended(flow.answer)
        assert one.wire.sent == 0 and one.calls == {} and one.resets() == []

    played(story)


def test_refused_it_goes_again_whole() -> None:
    async def story(one: StreamsDesk) -> None:
        flow = begin(one)
        await flow.put(b"a")
        await turns()
        one.say(http2.RstStream(1, code=ErrorCode.REFUSED_STREAM))
        await flow.put(b"b")
        flow.end()
        await turns()
        assert sent(one) == [(1, message(b"a"), False), (3, message(b"a"), False), (3, message(b"b"), True)]
        one.say(*one.answer(3, b"yes"))
        assert await flow.next() == b"yes"

    played(story)


def test_refused_with_more_than_is_kept() -> None:
    async def story(one: StreamsDesk) -> None:
        flow = begin(one)
        one.say(http2.WindowUpdate(0, increment=1 << 20), http2.WindowUpdate(1, increment=1 << 20))
        for _ in range(5):
            await flow.put(b"x" * 20_000)
        await turns()
        one.say(http2.RstStream(1, code=ErrorCode.REFUSED_STREAM))
        assert await flow.next() is None
        assert isinstance(flow.error, NotSent) and not flow.error.may_have_run
        assert one.calls == {} and one.wire.sent == 0

    played(story)


def test_a_goaway_moves_what_it_does_not_know() -> None:
    async def story(one: StreamsDesk) -> None:
        first, second = begin(one), begin(one)
        await turns()
        one.say(http2.GoAway(last=1))
        assert "readonly" in one.told and len(one.wire.pending) == 1
        one.say(*one.answer(1, b"x"))
        assert await first.next() == b"x"
        one.transport.abort()
        assert not second.done() and second.error is None  # it waits for another connection

    played(story)


def test_what_was_begun_is_lost_with_its_connection() -> None:
    async def story(one: StreamsDesk) -> None:
        flow = begin(one)
        one.transport.abort()
        assert await flow.next() is None
        assert isinstance(flow.error, ConnectionLost) and flow.error.may_have_run

    played(story)


def test_who_sends_waits_for_the_window() -> None:
    async def story(one: StreamsDesk) -> None:
        flow = begin(one)
        await flow.put(b"x" * 30_000)
        await flow.put(b"y" * 110_000)  # 64 KiB of it do not go, and more is not taken
        sending = asyncio.ensure_future(flow.put(b"z"))
        await turns()
        assert sum(len(data) for _, data, _ in sent(one)) == 65_535 and not sending.done()
        one.say(http2.WindowUpdate(1, increment=1 << 20))
        await turns()
        assert not sending.done()
        one.say(http2.WindowUpdate(0, increment=1 << 20))
        await sending

    played(story)


def test_what_is_given_up_while_there_is_no_room_is_not_sent() -> None:
    async def story(one: StreamsDesk) -> None:
        flow = begin(one)
        await flow.put(b"x" * 200_000)
        given_up, asked_again = (asyncio.ensure_future(flow.put(b"y")) for _ in range(2))
        await turns()
        given_up.cancel()
        one.contents()
        one.say(http2.WindowUpdate(0, increment=1 << 20), http2.WindowUpdate(1, increment=1 << 20))
        await turns()
        assert given_up.cancelled() and asked_again.done()
        flow.end()
        await turns()
        assert [data for _, data, _ in sent(one)][-2:] == [message(b"y"), b""]
        assert flow.waiting == 0

    played(story)


def test_who_waits_for_room_hears_of_the_end() -> None:
    async def story(one: StreamsDesk) -> None:
        flow, other = begin(one), begin(one)
        for each in (flow, other):
            await each.put(b"x" * 200_000)
        waiting = [asyncio.ensure_future(each.put(b"y")) for each in (flow, other)]
        await turns()
        flow.end()
        other.set_exception(BadAnswer("told to"))
        await asyncio.wait(waiting)
        with pytest.raises(StateError, match="after end"):
            await waiting[0]
        assert await waiting[1] is None

    played(story)


def test_others_have_their_turn() -> None:
    async def story(one: StreamsDesk) -> None:
        pair = [begin(one), begin(one)]
        waiting = [asyncio.ensure_future(flow.put(b"x" * 300_000)) for flow in pair]
        await turns()
        one.contents()
        for _ in range(4):
            one.say(http2.WindowUpdate(0, increment=10_000))
            await turns()
        assert set(one.contents()) == {1, 3}
        for each in waiting:
            each.cancel()

    played(story, settings=((Setting.INITIAL_WINDOW_SIZE, 1 << 20),))


def test_what_is_not_read_is_not_let_in() -> None:
    async def story(one: StreamsDesk) -> None:
        flow = begin(one)
        await turns()
        one.heard_frames()
        one.say(one.fields(1, (b":status", b"200"), GRPC))
        whole = message(b"z" * 16_379)
        for _ in range(STREAM // len(whole)):
            one.say(http2.Data(1, 0, whole))
        updates = [two for two in one.heard_frames() if isinstance(two, http2.WindowUpdate) and two.stream]
        assert updates == [] and flow.kept == STREAM
        for _ in range(40):
            await flow.next()
        updates = [two for two in one.heard_frames() if isinstance(two, http2.WindowUpdate) and two.stream]
        assert sum(two.increment for two in updates) == 33 * len(whole)

    played(story)


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"\1\0\0\0\1x", "compressed"), (b"\0\xff\xff\xff\xff", "max_answer is"), (b"\0\0\0", "is not whole")],
    ids=["compressed", "long", "half"],
)
def test_answers_that_cannot_be_read(data: bytes, text: str) -> None:
    async def story(one: StreamsDesk) -> None:
        flow = begin(one)
        await turns()
        one.say(one.fields(1, (b":status", b"200"), GRPC), http2.Data(1, Flag.END_STREAM, data))
        assert await flow.next() is None
        assert isinstance(flow.error, BadAnswer) and text in str(flow.error)
        assert one.calls == {} and one.wire.sent == 0

    played(story)
