"""One connection of the SDK by HTTP/2, frame by frame: what goes out and what comes back."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sdk_world import play, until
from streams_desk import GRPC, TARGET, StreamsDesk, desk, outcome

from meshfast import http2
from meshfast.http2 import ErrorCode, Flag, Setting
from meshfast.sdk.calls import Limits
from meshfast.sdk.errors import BadAnswer, NotSent
from meshfast.sdk.streams import STREAM


def test_nothing_goes_out_before_the_settings_came() -> None:
    async def story() -> None:
        with desk(settings=None) as one:
            assert bytes(one.transport.written).startswith(http2.PREFACE)
            call = one.ask()
            one.wire.ask()
            await asyncio.sleep(0)
            said = [type(frame).__name__ for frame in one.heard_frames()]
            assert said == ["WindowUpdate", "Ping"] and not call.sent
            settings = http2.Settings().encode()
            one.wire.data_received(settings[:5])
            assert one.told == [] and not call.sent
            one.wire.data_received(settings[5:])
            assert one.contents() == {1: 6} and call.sends == 1 and one.told == ["heard"]

    play(story)


def test_frames_may_be_cut_anywhere() -> None:
    async def story() -> None:
        encoder = StreamsDesk(settings=None)
        first = encoder.answer(1, b"one")
        long = encoder.fields(3, (b":status", b"200"), GRPC, (b"x-long", b"y" * 300))
        cut = http2.Headers(3, Flag.NONE, long.block[:20]), http2.Continuation(3, Flag.NONE, long.block[20:50])
        frames = (
            *first, http2.Ping(data=b"12345678"), http2.Unknown(0, 0, 99, b"???"),
            *cut, http2.Continuation(3, Flag.END_HEADERS, long.block[50:]), http2.PriorityFrame(3),
            encoder.fields(5, (b":status", b"200"), (b"grpc-status", b"13"), (b"grpc-message", b"no%21"), end=True),
            http2.Data(3, Flag.PADDED, b"\0\0\0\0\3two", pad=7),
            encoder.fields(7, (b":status", b"103"), (b"link", b"x")),
            encoder.fields(3, (b"grpc-status", b"0"), end=True),
            http2.RstStream(9, code=ErrorCode.INTERNAL_ERROR), *encoder.answer(7, b"x" * 300),
            *encoder.answer(11, b"y" * 2000), encoder.fields(13, (b":status", b"503"), end=True),
            http2.WindowUpdate(0, 0, 5), http2.Data(15, Flag.END_STREAM, b""), *encoder.answer(17, b""),
        )  # fmt: skip
        encoder.leave()
        data = b"".join(frame.encode() for frame in frames)
        cuts: list[tuple[int, ...]] = [(at,) for at in range(len(data))]
        cuts += [tuple(range(0, len(data), size)) for size in (1, 2, 3, 8, 9, 10, 100)]
        for places in cuts:
            with desk(limits=Limits(max_answer=1000)) as one:
                calls = [one.ask(b"%d" % number) for number in range(10)]
                await asyncio.sleep(0)
                for start, end in zip((0, *places), (*places, len(data)), strict=True):
                    one.wire.data_received(data[start:end])
                wanted = [b"one", b"two", "StatusError", b"x" * 300, "ConnectionLost", "BadAnswer", "StatusError"]
                assert [outcome(call) for call in calls] == [*wanted, "BadAnswer", b"", None]
                assert one.told == [] and one.wire.sent == 1 and list(one.calls) == [10]
                assert http2.Ping(0, Flag.ACK, b"12345678") in one.heard_frames()

    play(story)


def test_content_waits_for_windows_and_is_sent_with_its_last_byte() -> None:
    async def story() -> None:
        with desk(settings=((Setting.INITIAL_WINDOW_SIZE, 0),)) as one:
            call, other = one.ask(b"x" * 95), one.ask(b"y" * 5)
            await asyncio.sleep(0)
            assert one.contents() == {1: 0, 3: 0} and call.sends == other.sends == 0
            one.say(http2.WindowUpdate(1, 0, 30), http2.WindowUpdate(3, 0, 10))
            assert one.contents() == {1: 30, 3: 10} and other.sent and not call.sent
            one.say(http2.Settings(settings=((Setting.INITIAL_WINDOW_SIZE, 20),)))
            assert one.contents() == {1: 20}
            one.say(http2.Settings(settings=((Setting.INITIAL_WINDOW_SIZE, 0),)), http2.WindowUpdate(1, 0, 20))
            assert one.contents() == {}  # its window was -20, and is 0
            one.say(http2.WindowUpdate(1, 0, 49))
            assert one.contents() == {1: 49} and not call.sent
            one.say(http2.WindowUpdate(1, 0, 1000))
            assert one.contents() == {1: 1} and call.sends == 1
            one.say(*one.answer(1, b"yes"))
            assert outcome(call) == b"yes" and outcome(other) is None

    play(story)


def test_the_connection_has_a_window_too() -> None:
    async def story() -> None:
        with desk(settings=((Setting.INITIAL_WINDOW_SIZE, 1 << 20),)) as one:
            calls = [one.ask(b"x" * 65_525), one.ask(b"y" * 65_525)]
            await asyncio.sleep(0)
            assert one.contents() == {1: 65_530, 3: 5} and [call.sends for call in calls] == [1, 0]
            one.say(http2.WindowUpdate(0, 0, 70_000))
            assert one.contents() == {3: 65_525} and calls[1].sends == 1

    play(story)


@pytest.mark.parametrize("most", [0, 1, 3])
def test_no_more_streams_than_are_allowed(most: int) -> None:
    async def story() -> None:
        with desk(settings=((Setting.MAX_CONCURRENT_STREAMS, most),)) as one:
            calls = [one.ask() for _ in range(5)]
            await asyncio.sleep(0)
            assert list(one.contents()) == [1, 3, 5, 7, 9][:most] and sum(call.sends for call in calls) == most
            one.forget(calls[0])  # its caller left
            if most:
                await asyncio.sleep(0)
                one.say(http2.Ping(flags=Flag.ACK))
                assert [one.stream for one in one.heard_frames()] == [1, 2 * most + 1, 2 * most + 1]
            one.say(http2.Settings(settings=((Setting.MAX_CONCURRENT_STREAMS, 100),)))
            assert all(call.sent for call in calls[1:])

    play(story)


def test_an_answer_before_the_end_of_its_request() -> None:
    async def story() -> None:
        with desk(settings=((Setting.INITIAL_WINDOW_SIZE, 10),)) as one:
            call = one.ask(b"x" * 100)
            one.heard_frames()
            one.say(one.fields(1, (b":status", b"200"), (b"grpc-status", b"8"), end=True))
            assert outcome(call) == "Overloaded" and one.resets() == [(1, ErrorCode.NO_ERROR)]
            one.say(http2.RstStream(1, code=ErrorCode.NO_ERROR), http2.WindowUpdate(1, 0, 1000))
            assert one.contents() == {} and one.told == []

    play(story)


def test_too_long_answers_end_alone() -> None:
    async def story() -> None:
        with desk(limits=Limits(max_answer=50_000, max_partial=80_000)) as one:
            first, second, third = one.ask(), one.ask(), one.ask()
            await asyncio.sleep(0)
            one.heard_frames()
            one.say(*one.answer(1, b"x" * 60_000, False))
            with pytest.raises(BadAnswer, match="maxAnswer is 50000"):
                first.future.result()  # type: ignore[attr-defined]
            assert one.resets() == [(1, ErrorCode.CANCEL)]
            one.say(*one.answer(3, b"y" * 45_000, False), *one.answer(5, b"z" * 40_000, False))
            with pytest.raises(BadAnswer, match="max_partial is 80000"):
                second.future.result()  # type: ignore[attr-defined]
            one.say(one.fields(5, (b"grpc-status", b"0"), end=True))
            assert (one.counters["max_answer"], one.counters["max_partial"]) == (1, 1)
            assert outcome(third) == b"z" * 40_000 and one.wire._held == 0  # type: ignore[attr-defined]

    play(story)


def test_windows_are_given_back() -> None:
    async def story() -> None:
        with desk(limits=Limits(max_answer=64 << 20)) as one:
            call = one.ask()
            one.heard_frames()
            size = 20 << 20
            given = {0: 1 << 24, 1: STREAM}
            for frame in one.answer(1, bytes(size)):
                one.say(frame)
                if isinstance(frame, http2.Data):
                    given = {number: room - len(frame.data) for number, room in given.items()}
                for back in one.heard_frames():
                    assert isinstance(back, http2.WindowUpdate)
                    given[back.stream] += back.increment
                assert min(given.values()) >= STREAM // 4
            assert outcome(call) == bytes(size)

    play(story)


def test_a_list_of_fields_over_the_limit_costs_its_own_call() -> None:
    async def story() -> None:
        with desk() as one:
            call, other = one.ask(), one.ask()
            await asyncio.sleep(0)
            long = one.fields(1, (b":status", b"200"), *((b"x", b"y" * 1500) for _ in range(60)))
            assert len(long.block) < 2000  # it is said once, and referred to
            one.say(long, *one.answer(3, b"yes"))
            with pytest.raises(BadAnswer, match="max_header_list_size"):
                call.future.result()  # type: ignore[attr-defined]
            assert outcome(other) == b"yes" and one.told == []

    play(story)


def test_fields_that_are_not_taken_end_their_own_call_alone() -> None:
    async def story() -> None:
        with desk(settings=((Setting.MAX_HEADER_LIST_SIZE, 1000),)) as one:
            first = one.ask()
            long, last = (TARGET.request(0, "hi", (b"x",), None, {"k": "v" * size}, 60_000) for size in (900, 500))
            calls = one.begin(long), one.begin(last)
            await asyncio.sleep(0)
            assert one.contents() == {1: 6, 3: 6} and one.counters["header_list"] == 1
            assert outcome(calls[0]) == "NotSent" and "1000 are taken" in str(calls[0].future.exception())  # type: ignore[attr-defined]
            assert sorted(one.calls) == [first.number, calls[1].number] and one.wire.sent == 2
            one.say(*one.answer(1, b"a"), *one.answer(3, b"b"))
            assert (outcome(first), outcome(calls[1])) == (b"a", b"b") and not one.wire.pending

    play(story)


def test_who_leaves_in_the_turn_of_the_call_is_not_sent() -> None:
    async def story() -> None:
        with desk() as one:
            first, left, last = one.ask(), one.ask(), one.ask()
            left.future.cancel()  # type: ignore[attr-defined] # its caller hears of that when its own turn comes
            await asyncio.sleep(0)
            assert one.contents() == {1: 6, 3: 6} and not one.wire.pending and not left.sent
            one.forget(left)
            assert first.sent and last.sent and one.wire.sent == len(one.calls) == 2

    play(story)


def test_what_waits_for_a_stream_goes_when_one_is_given_up() -> None:
    async def story() -> None:
        with desk(settings=((Setting.MAX_CONCURRENT_STREAMS, 2),)) as one:
            calls = [one.ask() for _ in range(4)]
            await asyncio.sleep(0)
            assert list(one.contents()) == [1, 3]
            for call in calls[:2]:
                one.forget(call)
            await asyncio.sleep(0)  # and not a word comes from the other end
            assert [call.sent for call in calls[2:]] == [True, True] and list(one.contents()) == [5, 7]

    play(story)


def test_silence_is_told_where_calls_wait_for_a_stream() -> None:
    async def story() -> None:
        with desk(settings=((Setting.MAX_CONCURRENT_STREAMS, 0),), silent=0.01) as one:
            one.ask()
            await until(lambda: "silent" in one.told)

    play(story)


def test_what_no_stream_was_free_for_says_so() -> None:
    async def story() -> None:
        with desk(settings=((Setting.MAX_CONCURRENT_STREAMS, 1),)) as one:
            one.why = "a word of before"
            call, other = one.ask(), one.ask()
            await asyncio.sleep(0)
            one.late_now(other)
            with pytest.raises(NotSent, match="no stream or window was free, 1 streams are open and 1 may be"):
                other.future.result()  # type: ignore[attr-defined]
            one.late_now(call)
            assert outcome(call) == "CallTimeout"

    play(story)


class Walked(dict[int, Any]):
    """How often somebody has looked at them all."""

    walks = 0

    def values(self) -> Any:
        self.walks += 1
        return super().values()


def test_windows_said_again_and_again_cost_no_look_at_each_stream() -> None:
    async def story() -> None:
        with desk(settings=((Setting.INITIAL_WINDOW_SIZE, 0),)) as one:
            calls = [one.ask(b"x" * 100) for _ in range(20)]
            await asyncio.sleep(0)
            one.say(http2.WindowUpdate(1, 0, 30), http2.WindowUpdate(3, 0, (1 << 31) - 1 - 10))
            walked = Walked(one.wire._streams)  # type: ignore[attr-defined]
            one.wire._streams = walked  # type: ignore[attr-defined]
            one.contents()
            one.say(*[http2.Settings(settings=((4, 10), (4, 0)) * 10)] * 100, http2.Settings(settings=((4, 7),)))
            assert walked.walks == 0 and one.told == []
            assert [found for found in one.contents().values() if found] == [7] * 19  # 37 of the first, 30 before
            one.forget(calls[1])
            one.say(http2.Settings(settings=((4, 1000),)))  # too much for the one that has gone alone
            assert walked.walks == 1 and one.told == [] and all(call.sent for call in calls if call is not calls[1])

    play(story)
