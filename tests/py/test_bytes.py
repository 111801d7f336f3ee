"""Bytes from peers that are strange but due an answer: garbage behind calls, events that want one, one-way calls."""

from __future__ import annotations

import asyncio
import re

import pytest
from engines import BACKENDS, PATIENCE, play, running
from peers import Caller, Frame, Provider, closing, until

from meshfast import dubbo

CART = "com.x.Cart"


def event(request_id: int, body: bytes) -> bytes:
    """A two-way event of Hessian2."""
    return bytes((0xDA, 0xBB, 0xE2, 0)) + request_id.to_bytes(8, "big") + len(body).to_bytes(4, "big") + body


READONLY, WRITEABLE = b"\x01R", b"\x01W"
GARBAGE = [b"\x00" * 64, b"GET / HTTP/1.1\r\n\r\n", b"\xda\xbb\xc2\x00" + b"\xff" * 12]


async def turn(caller: Caller) -> None:
    """The worker has looked at what came before: it answers a heartbeat itself."""
    raw = event(next(caller.ids), b"N")
    n = len(caller.events)
    caller.writer.write(raw)
    await until(lambda: len(caller.events) > n, PATIENCE)


@pytest.mark.parametrize("garbage", GARBAGE, ids=["zeros", "http", "negative"])
@pytest.mark.parametrize("end", [False, True], ids=["open", "eof"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_answers_that_are_due_come_whatever_follows_the_call(backend, garbage, end):
    """The answer takes longer than frameTimeout, which is for frames, not for what means nothing."""
    go = asyncio.Event()

    async def work(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        await go.wait()
        writer.write(provider.answer(frame))

    async def story() -> None:
        base = await Provider("base", work).start()
        with running(backend, (base, ""), limits={"frameTimeout": 50}) as side:
            caller, other = await Caller.connect(side.address), await Caller.connect(side.address)
            async with closing(base, caller, other):
                due = caller.ask(CART, "a")
                await until(lambda: bool(base.requests), PATIENCE)
                for _ in range(3):  # each is read by itself: the first one means nothing, and what is behind it no more
                    caller.writer.write(garbage)
                    await turn(other)
                    await turn(other)
                if end:
                    caller.writer.write_eof()
                other.writer.write(b"\xda\xbb\xc2")  # begun later than all that: closed when its time is over
                await asyncio.wait_for(other.closed.wait(), PATIENCE)
                go.set()
                assert (await due).value == "base:a"
                await asyncio.wait_for(caller.closed.wait(), PATIENCE)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_answer_of_a_frame_that_is_too_long_leaves_others_their_time(backend):
    """The same mark is used for what is passed over: a call behind it is read, and its answer is no frame of it."""

    async def story() -> None:
        base = await Provider("base").start()
        with running(backend, (base, ""), limits={"maxBody": 1024}) as side:
            caller = await Caller.connect(side.address)
            async with closing(base, caller):
                head = bytes((0xDA, 0xBB, 0xC2, 0)) + (77).to_bytes(8, "big") + (5000).to_bytes(4, "big")
                refused = caller.send(head + b"\xda\xbb\xc2\x00" * 1250)
                assert (await refused).status == dubbo.Status.BAD_REQUEST
                assert (await caller.ask(CART, "b")).value == "base:b"

    play(story)


@pytest.mark.parametrize("body", [READONLY, WRITEABLE, b"N"], ids=["readonly", "writeable", "heartbeat"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_event_that_wants_an_answer_gets_one(backend, body):
    """From a provider and from a caller, whatever it says; a provider's READONLY holds all the same."""

    async def story() -> None:
        one, two = await Provider("one").start(), await Provider("two").start()
        with running(backend, (one, ""), (two, "")) as side:
            caller = await Caller.connect(side.address)
            async with closing(one, two, caller):
                async with asyncio.timeout(PATIENCE):
                    while not (one.writers and two.writers):
                        await caller.ask(CART)
                one.writers[0].write(event(4711, body))
                await until(lambda: any(e.id == 4711 and not e.head.is_request for e in one.events), PATIENCE)
                n = len(one.requests)
                answers = {(await caller.ask(CART)).value for _ in range(40)}
                assert answers == ({"two:x"} if body == READONLY else {"one:x", "two:x"})
                assert (len(one.requests) == n) is (body == READONLY)
                caller.writer.write(event(4712, body))
                await until(lambda: any(e.id == 4712 and not e.head.is_request for e in caller.events), PATIENCE)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_one_way_call_that_goes_nowhere_is_counted(backend):
    """Its caller cannot be told: over a limit, without a route, without an instance."""

    async def never(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        return

    def one_way(service: str) -> bytes:
        return dubbo.encode_request(9, service, "hi", ("x",), two_way=False)

    async def story() -> None:
        base = await Provider("base", never).start()
        with running(backend, (base, ""), limits={"maxCallsPerConnection": 1}) as side:
            caller, other = await Caller.connect(side.address), await Caller.connect(side.address)

            def dropped() -> int:
                """Whatever its name is; `calls_one_way` are those that were forwarded."""
                found = {k: v for k, v in side.engine.counters().items() if re.search("one_?way", k)}
                return sum(v for k, v in found.items() if k != "calls_one_way")

            async with closing(base, caller, other):
                caller.ask(CART).add_done_callback(lambda done: done.exception())
                await until(lambda: bool(base.requests), PATIENCE)
                caller.writer.write(one_way(CART) * 3)
                await until(lambda: dropped() == 3, PATIENCE)
                other.writer.write(one_way("com.x.Nowhere") * 2)
                await until(lambda: dropped() == 5, PATIENCE)
                assert len(base.requests) == 1 and side.count("calls_one_way") == 0

    play(story)
