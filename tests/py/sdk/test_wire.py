"""One connection of the SDK, byte by byte, on a transport of the test's."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from desks import Desk
from sdk_world import play, until

from meshfast import dubbo
from meshfast.sdk.calls import Limits
from meshfast.sdk.codec import Target, answered
from meshfast.sdk.dubbo2 import EVENT, WRITE, DubboWire
from meshfast.sdk.errors import BadAnswer, ConnectionLost, NotSent
from meshfast.sdk.wire import CONTROLS, LEFT, Call


class DubboDesk(Desk):
    def ask(self, text: str, idempotent: bool = False, two_way: bool = True) -> Call:
        number = next(self.numbers)
        frame = Target("com.x.Cart").request(number, "hi", (text,), None, None, 60_000, two_way)
        return self.begin(frame, idempotent, two_way, number)

    def sent(self) -> list[int]:
        """The ids of the frames that were written."""
        found, data = [], bytes(self.transport.written)
        while data:
            head = dubbo.parse_head(data)
            assert head is not None
            found.append(head.request_id)
            data = data[16 + head.body_length :]
        return found


@contextmanager
def desk(**more: Any) -> Iterator[DubboDesk]:
    one = DubboDesk(DubboWire, **more)
    try:
        yield one
    finally:
        one.leave()


STREAM = [
    dubbo.encode_response(1, "one"),
    dubbo.heartbeat(-7),
    dubbo.encode_response(77, "nobody asked"),
    dubbo.encode_response(2, "x" * 300),
    dubbo.encode_response(3, "long" * 300),
    dubbo.encode_response(4, exception="no"),
    dubbo.readonly(),
    struct.pack(">HBBqi", 0xDABB, 2, 20, 5, 2) + b"\x94\x08",
    dubbo.error_answer(6, 31, "too late"),
    dubbo.encode_response(7, None),
]


def test_frames_may_be_cut_anywhere() -> None:
    async def story() -> None:
        data = b"".join(STREAM)
        cuts: list[tuple[int, ...]] = [(at,) for at in range(len(data))]
        cuts += [tuple(range(0, len(data), size)) for size in (1, 2, 3, 15, 16, 17, 100)]
        for cut in cuts:
            with desk(limits=Limits(max_answer=1000)) as one:
                calls = [one.ask(f"{number}") for number in range(8)]
                await asyncio.sleep(0)
                for start, end in zip((0, *cut), (*cut, len(data)), strict=True):
                    one.wire.data_received(data[start:end])
                values: list[Any] = []
                for call in calls[:7]:
                    try:
                        values.append(answered(call.future.result()))  # type: ignore[attr-defined]
                    except Exception as error:
                        values.append(type(error).__name__)
                assert values == ["one", "x" * 300, "BadAnswer", "RemoteError", "BadAnswer", "CallTimeout", None]
                assert not calls[7].future.done() and one.wire.sent == 1 and list(one.calls) == [8]
                assert one.told == ["readonly"] and one.counters["late"] == 1
                assert one.transport.written.endswith(bytes([0xDA, 0xBB, 0x22, 20]) + dubbo.heartbeat(-7)[4:])

    play(story)


def test_what_is_given_in_one_turn_is_one_write() -> None:
    async def story() -> None:
        with desk() as one:
            for number in range(50):
                one.ask(f"{number}")
            assert one.transport.writes == 1 and one.sent() == [1]  # who is alone does not wait for a turn
            await asyncio.sleep(0)
            assert one.transport.writes == 2 and one.sent() == list(range(1, 51))

    play(story)


def test_what_the_socket_does_not_take_is_not_sent() -> None:
    """It waits, and is free to go: who leaves meanwhile costs nothing; the rest is given back when the end comes."""

    async def story() -> None:
        with desk() as one:
            one.transport.full = True
            first = one.ask("first")
            others = [one.ask(f"{number}") for number in range(10)]
            await asyncio.sleep(0)
            assert one.sent() == [1] and not any(call.sends for call in others)
            one.forget(others[3])
            one.transport.full = False
            one.wire.resume_writing()
            assert one.sent() == [number for number in range(1, 12) if number != 5]
            one.transport.full = True
            more = [one.ask("a"), one.ask("b"), one.ask("c")]
            await asyncio.sleep(0)  # taken with this write, the last
            later = one.ask("d")
            await asyncio.sleep(0)
            one.transport.abort()
            for call in (first, more[0]):
                with pytest.raises(ConnectionLost):
                    call.future.result()  # type: ignore[attr-defined]
            assert list(one.calls) == [later.number] and later.sends == 0

    play(story)


def test_a_write_is_no_longer_than_the_socket_is_asked_for() -> None:
    async def story() -> None:
        with desk() as one:
            one.transport.full = True
            calls = [one.ask("x" * (WRITE // 2)) for _ in range(6)]
            one.wire.resume_writing()
            assert [call.sends for call in calls] == [1, 1, 1, 0, 0, 0]

    play(story)


def test_those_who_left_do_not_pile_up() -> None:
    async def story() -> None:
        with desk() as one:
            one.transport.full = True
            one.ask("first")
            for number in range(5 * LEFT):
                one.forget(one.ask(f"{number}"))
            assert len(one.wire.pending) <= LEFT and list(one.calls) == [1]

    play(story)


def test_a_retired_connection_ends_with_its_last_call() -> None:
    async def story() -> None:
        with desk() as one:
            call, then = one.ask("x"), asyncio.Event()
            one.wire.retire(then.set)
            await asyncio.sleep(0)
            assert one.told == []
            one.wire.data_received(dubbo.encode_response(call.number, "y"))
            await then.wait()
            assert one.told == ["ended: no more calls were to go on it"]
            assert answered(call.future.result()) == "y"  # type: ignore[attr-defined]

    play(story)


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad Request\r\n", struct.pack(">HBBqi", 0xDABB, 2, 20, 1, -1)])
def test_what_is_not_dubbo_ends_the_connection(data: bytes) -> None:
    async def story() -> None:
        with desk() as one:
            call = one.ask("x")
            one.wire.data_received(data)
            assert one.told == ["ended: what came is not Dubbo2"]
            with pytest.raises(ConnectionLost, match="not Dubbo2.*may have been executed"):
                call.future.result()  # type: ignore[attr-defined]

    play(story)


def test_an_answer_that_is_too_long_is_passed_over() -> None:
    async def story() -> None:
        with desk(limits=Limits(max_answer=1000)) as one:
            first, second = one.ask("x"), one.ask("y")
            await asyncio.sleep(0)
            one.wire.data_received(dubbo.encode_response(1, "z" * 5000)[:100])
            with pytest.raises(BadAnswer, match="maxAnswer is 1000"):
                first.future.result()  # type: ignore[attr-defined]
            one.wire.data_received(dubbo.encode_response(1, "z" * 5000)[100:] + dubbo.encode_response(2, "w"))
            assert answered(second.future.result()) == "w"  # type: ignore[attr-defined]

    play(story)


def test_one_way_calls_end_when_they_are_sent() -> None:
    async def story() -> None:
        with desk() as one:
            call = one.ask("x", two_way=False)
            assert call.future.result() is None and not one.calls and one.wire.sent == 0  # type: ignore[attr-defined]
            assert one.sent() == [1]

    play(story)


def test_who_takes_no_calls_one_way_is_noticed() -> None:
    """Nothing is due of them, so that it is silence alone that the socket takes no more."""

    async def story() -> None:
        with desk(silent=0.01) as one:
            one.ask("x", two_way=False)
            assert one.wire._timer is None  # it takes them: nothing is waited for
            one.transport.full = True
            one.ask("y", two_way=False)
            waits = one.ask("z", two_way=False)
            await until(lambda: "silent" in one.told)
            assert not waits.sent and one.sent() == [1, 2]

    play(story)


@pytest.mark.parametrize("two_way", [True, False])
def test_who_leaves_in_the_turn_of_the_call_is_not_sent_and_harms_nobody(two_way: bool) -> None:
    async def story() -> None:
        with desk() as one:
            one.ask("first")  # so that the others wait for the turn's end
            calls = [one.ask("a"), one.ask("left", two_way=two_way), one.ask("b"), one.ask("told", two_way=False)]
            calls[1].future.cancel()  # type: ignore[attr-defined] # its caller hears of that when its own turn comes
            await asyncio.sleep(0)
            assert one.sent() == [1, 2, 4, 5] and not one.wire.pending and one.wire.sent == 3
            one.forget(calls[1])
            assert sorted(one.calls) == [1, 2, 4] and one.wire.sent == 3

    play(story)


def event(size: int) -> bytes:
    head = dubbo.heartbeat(5)[:12]
    return head + size.to_bytes(4, "big") + b"N" * size


def test_who_asks_for_heartbeats_and_does_not_read_is_left() -> None:
    async def story() -> None:
        with desk() as one:
            beat = event(EVENT)
            fit = CONTROLS // len(beat)
            for _ in range(2):  # what was read is not counted
                one.wire.pause_writing()
                one.wire.data_received(beat * fit)
                one.wire.resume_writing()
            one.wire.pause_writing()
            one.wire.data_received(beat * fit)
            assert one.told == [] and len(one.transport.written) == 3 * fit * len(beat)
            one.wire.data_received(beat * 10)
            assert one.told == ["ended: it asks for heartbeats and does not read them"]
            assert one.counters["controls"] == 1 and len(one.transport.written) == 3 * fit * len(beat)

    play(story)


def test_an_event_has_a_limit() -> None:
    async def story() -> None:
        with desk() as one:
            one.wire.data_received(event(EVENT + 1)[:16])
            assert one.told == ["ended: an event of 1025 bytes came, of 1024 at most"]
            assert one.counters["max_event"] == 1 and not one.transport.written

    play(story)


def test_what_was_not_sent_in_time_says_what_it_waited_for() -> None:
    async def story() -> None:
        with desk() as one:
            one.why = "a word of before"
            one.wire.pause_writing()
            call = one.ask("x")
            one.late_now(call)
            with pytest.raises(NotSent, match="the other end of their connection takes no more"):
                call.future.result()  # type: ignore[attr-defined]
            one.route, one.why = None, "nobody is there"
            call = one.ask("y")
            one.late_now(call)
            with pytest.raises(NotSent, match="nobody is there"):
                call.future.result()  # type: ignore[attr-defined]

    play(story)
