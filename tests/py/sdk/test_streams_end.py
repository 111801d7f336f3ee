"""One connection of the SDK by HTTP/2, frame by frame: how streams and it end."""

from __future__ import annotations

import asyncio

import pytest
from sdk_world import play, until
from streams_desk import GRPC, TARGET, StreamsDesk, desk, outcome

from meshfast import http2
from meshfast.http2 import ErrorCode, Flag, Setting
from meshfast.sdk.calls import REFUSALS
from meshfast.sdk.errors import CallError, ConnectionLost, NotSent
from meshfast.sdk.streams import LAST
from meshfast.sdk.wire import CONTROLS


def test_above_the_last_of_a_goaway_nothing_was_executed() -> None:
    async def story() -> None:
        with desk() as one:
            calls = [one.ask() for _ in range(4)]
            await asyncio.sleep(0)
            one.say(http2.GoAway(last=LAST))
            later = one.ask()
            await asyncio.sleep(0)
            assert one.told == ["readonly"] and not later.sent and one.wire.sent == 4
            one.route = None
            one.say(http2.GoAway(last=3))
            assert [call.sends for call in calls] == [1, 1, 0, 0] and one.wire.sent == 2
            one.move(one.wire)
            assert list(one._queue) == [3, 4, 5]
            one.say(*one.answer(3, b"two"))
            one.transport.abort()
            assert [outcome(call) for call in (*calls, later)] == ["ConnectionLost", b"two", None, None, None]

    play(story)


def test_a_refused_stream_is_sent_again_at_most_so_often() -> None:
    async def story() -> None:
        with desk() as one:
            call, other = one.ask(), one.ask()
            await asyncio.sleep(0)
            for turn in range(REFUSALS + 1):
                await asyncio.sleep(0)
                assert call.sends == 1 and not call.future.done()
                one.say(http2.RstStream(1 if not turn else 3 + 2 * turn, code=ErrorCode.REFUSED_STREAM))
            with pytest.raises(NotSent, match="refused 4 times.*REFUSED_STREAM") as error:
                call.future.result()  # type: ignore[attr-defined]
            assert not error.value.may_have_run and one.counters["refused"] == REFUSALS + 1
            one.say(*one.answer(3, b"yes"))
            assert outcome(other) == b"yes" and one.wire.sent == 0 and one.resets() == []

    play(story)


def test_a_call_that_was_not_sent_whole_is_not_lost() -> None:
    async def story() -> None:
        with desk() as one:
            calls = [one.ask(b"x" * 60_000), one.ask(b"y" * 60_000), one.ask(b"z")]
            await asyncio.sleep(0)
            assert [call.sends for call in calls] == [1, 0, 0]
            one.transport.abort()
            with pytest.raises(ConnectionLost, match="may have been executed"):
                calls[0].future.result()  # type: ignore[attr-defined]
            assert list(one.calls) == list(one._queue) == [2, 3]

    play(story)


def test_who_leaves_says_so_and_a_late_answer_harms_nobody() -> None:
    async def story() -> None:
        with desk() as one:
            call, other = one.ask(), one.ask()
            await asyncio.sleep(0)
            one.heard_frames()
            one.forget(call)
            assert one.resets() == [(1, ErrorCode.CANCEL)]
            # Its fields are decoded all the same: the next refer to them.
            late = one.fields(1, (b":status", b"200"), GRPC, (b"x-new", b"in the table"))
            same = one.fields(3, (b":status", b"200"), GRPC, (b"x-new", b"in the table"))
            body = http2.Data(3, 0, b"\0\0\0\0\1y")
            one.say(late, http2.Data(1, Flag.END_STREAM, b"\0\0\0\0\1x"), same, body)
            one.say(one.fields(3, (b"grpc-status", b"0"), end=True))
            assert outcome(other) == b"y" and one.told == []
            assert TARGET.attachments_of(other.future.result()) == {"x-new": "in the table"}  # type: ignore[attr-defined]

    play(story)


def frames_of(kind: str, one: StreamsDesk) -> list[http2.Frame]:
    block = one.encoder.encode([(b":status", b"200")])
    return {
        "not begun": [http2.Data(99, 0, b"x")],
        "a server's stream": [http2.Headers(2, Flag.END_HEADERS, block)],
        "push": [http2.PushPromise(1, Flag.END_HEADERS, 2, block)],
        "unfinished fields": [http2.Headers(1, 0, block), http2.Ping()],
        "a continuation of nothing": [http2.Continuation(1, Flag.END_HEADERS, block)],
        "another's continuation": [http2.Headers(1, 0, block), http2.Continuation(3, Flag.END_HEADERS, b"")],
        "endless fields": [http2.Headers(1, 0, block), *(http2.Continuation(1, 0, b"") for _ in range(20))],
        "bad fields": [http2.Headers(1, Flag.END_HEADERS, b"\xff\xff\xff\xff\xff\xff")],
        "window": [http2.WindowUpdate(0, 0, LAST)],
        "window by settings": [http2.WindowUpdate(1, 0, LAST - 65535), http2.Settings(0, 0, ((4, 70_000),))],
    }[kind]


KINDS = (
    "not begun", "a server's stream", "push", "unfinished fields", "a continuation of nothing",
    "another's continuation", "endless fields", "bad fields", "window", "window by settings",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_what_breaks_the_rules_ends_the_connection(kind: str) -> None:
    async def story() -> None:
        with desk(settings=((Setting.MAX_FRAME_SIZE, 16384),)) as one:
            calls = [one.ask(), one.ask()]
            await asyncio.sleep(0)
            one.say(*frames_of(kind, one))
            assert len(one.told) == 1 and one.told[0].startswith("ended: what came is no HTTP/2")
            for call in calls:
                with pytest.raises(ConnectionLost):
                    call.future.result()  # type: ignore[attr-defined]
            assert isinstance(one.heard_frames()[-1], http2.GoAway)

    play(story)


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n\r\n", http2.Ping().encode(), b"\xda\xbb" + bytes(14)])
def test_what_is_not_http2_ends_the_connection(data: bytes) -> None:
    async def story() -> None:
        with desk(settings=None) as one:
            call = one.ask()
            one.wire.data_received(data + bytes(20))
            assert one.told and one.told[-1].startswith("ended") and call.sends == 0 and not call.future.done()

    play(story)


def test_who_asks_and_does_not_read_is_left() -> None:
    async def story() -> None:
        with desk() as one:
            ping = http2.Ping()
            fit = CONTROLS // len(ping.encode())
            for _ in range(2):  # what was read is not counted
                one.wire.pause_writing()
                one.say(*[ping] * fit)
                one.wire.resume_writing()
            one.transport.unread = 2 * CONTROLS  # of a long request
            one.say(*[ping] * 2)
            one.wire.pause_writing()
            one.say(*[ping] * fit)
            assert one.told == []
            one.say(ping)
            assert one.told[0].startswith("ended") and "does not read" in one.told[0] and one.counters["controls"] == 1

    play(story)


def test_when_the_numbers_of_streams_have_run_out() -> None:
    async def story() -> None:
        with desk() as one:
            one.wire._next = LAST  # type: ignore[attr-defined]
            last, more = one.ask(), one.ask()
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert (last.sends, more.sends, one.told) == (1, 0, ["readonly"])
            one.say(*one.answer(LAST, b"yes"))
            assert outcome(last) == b"yes" and outcome(more) is None

    play(story)


def test_silence_is_told_and_a_ping_breaks_it() -> None:
    async def story() -> None:
        with desk(silent=0.01) as one:
            one.ask()
            await until(lambda: "silent" in one.told)
            one.wire.ask()
            assert isinstance(one.heard_frames()[-1], http2.Ping)
            one.say(http2.Ping(flags=Flag.ACK))
            assert "heard" in one.told

    play(story)


def test_a_retired_connection_ends_with_its_last_call() -> None:
    async def story() -> None:
        with desk() as one:
            call, then = one.ask(), asyncio.Event()
            one.wire.retire(then.set)
            await asyncio.sleep(0)
            assert one.told == []
            one.say(*one.answer(1, b"y"))
            await then.wait()
            assert one.told == ["ended: no more calls were to go on it"] and outcome(call) == b"y"

    play(story)


@pytest.mark.parametrize("code", [ErrorCode.NO_ERROR, ErrorCode.CANCEL, ErrorCode.ENHANCE_YOUR_CALM, 77])
def test_what_a_reset_means(code: int) -> None:
    async def story() -> None:
        with desk() as one:
            call = one.ask()
            one.say(http2.RstStream(1, code=code))
            with pytest.raises(CallError) as error:
                TARGET.answered(call.future.result())  # type: ignore[attr-defined]
            wanted = {ErrorCode.CANCEL: "StatusError", ErrorCode.ENHANCE_YOUR_CALM: "Overloaded"}
            assert type(error.value).__name__ == wanted.get(code, "ConnectionLost")  # type: ignore[call-overload]
            assert error.value.may_have_run

    play(story)
