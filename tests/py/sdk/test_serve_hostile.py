"""Bytes that come in pieces, bytes that are wrong, and callers who want too much: each harms itself alone."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Iterable
from typing import Any

import pytest
from peers import Caller, until
from proxies import BACKENDS
from served_world import STOCK, World, play, send

from meshfast import dubbo, hessian
from meshfast.dubbo import Status
from meshfast.sdk.serve import Limits, Offer, Serving


def request(number: int, method: str = "left", *args: Any, **more: Any) -> bytes:
    return dubbo.encode_request(number, STOCK, method, args or ("a",), **more)


def frame(body: bytes, number: int = 5, flags: int = 0xC2) -> bytes:
    return bytes((0xDA, 0xBB, flags, 0)) + number.to_bytes(8, "big") + len(body).to_bytes(4, "big") + body


async def fine(world: World) -> None:
    """Somebody else is served as ever."""
    caller = await world.caller()
    assert (await world.ask(caller, "left", "fine")).value == "fine:0"


async def ended(world: World, data: bytes) -> bytes:
    """What is said to these bytes until the connection ends."""
    reader, writer = await asyncio.open_connection("127.0.0.1", world.serving.port)
    try:
        writer.write(data)
        return await asyncio.wait_for(reader.read(-1), 30)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_cut_at_every_byte(backend: str) -> None:
    """A request, a heartbeat, a one-way call, one that is too long and one more: the same answers, wherever they are
    cut."""
    parts = [
        request(1), dubbo.heartbeat(2), request(3, "note", 1, two_way=False), request(4, "echo", "x" * 300), request(5),
    ]  # fmt: skip
    said = b"".join(parts)

    async def story(world: World) -> None:
        for cut in range(1, len(said)):
            reader, writer = await asyncio.open_connection("127.0.0.1", world.serving.port)
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            writer.write(said[:cut])
            if cut >= len(parts[0]):
                await asyncio.wait_for(reader.readexactly(4), 30)  # it has seen what there is
            else:
                await asyncio.sleep(0)
            writer.write(said[cut:])
            writer.write_eof()
            rest = await asyncio.wait_for(reader.read(-1), 30)
            whole = (b"\xda\xbb\x02\x14" if cut >= len(parts[0]) else b"") + rest
            assert sorted(one[1] for one in frames(whole)) == [1, 2, 4, 5]
            assert {number: status for status, number in frames(whole)} == {1: 20, 2: 20, 4: 40, 5: 20}
            writer.close()
        assert len(world.done) == len(said) - 1

    play(story, backend, payload=200)


def frames(data: bytes) -> list[tuple[int, int]]:
    """Status and number of each."""
    found, at = [], 0
    while at < len(data):
        head = dubbo.parse_head(data[at : at + 16])
        assert head
        found.append((head.status, head.request_id))
        at += 16 + head.body_length
    return found


BROKEN = {
    "another protocol": b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
    "zeros": bytes(64),
    "a negative length": b"\xda\xbb\xc2\0" + bytes(8) + b"\xff\xff\xff\xff",
    "half a magic": b"\xda\xbc" + bytes(14),
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_no_dubbo_ends_its_connection_alone(backend: str) -> None:
    async def story(world: World) -> None:
        waiting = await world.caller()
        slow = send(waiting, "slow", 1)
        await until(lambda: world.inside == 1)
        for data in BROKEN.values():
            assert await ended(world, data) == b""
            assert frames(await ended(world, request(9) + data)) == [(20, 9)]  # what is due is said
        assert world.serving.refused["malformed"] == 2 * len(BROKEN)
        await fine(world)
        world.gate.set()
        assert (await slow).value == 1

    play(story, backend)


def bodies() -> dict[str, bytes]:
    text = hessian.encode
    start = text("2.0.2") + text(STOCK) + text("0.0.0") + text("echo")
    return {
        "nothing": b"",
        "no text": b"\x91\x91\x91",
        "no types": start + text("what?"),
        "types without end": start + text("Lx"),
        "arguments that are missing": start + text("JJ") + b"\xe1",
        "attachments that are no map": start + text("J") + b"\xe1\xe1",
        "nested too deep": start + text("J") + b"\x79" * 5000 + b"\x90",
        "a list that is longer than its bytes": start + text("J") + b"\x58" + text(2**31 - 1),
        "a reference to nothing": start + text("J") + b"\x51\x95",
        "a class that is not there": start + text("J") + b"\x60",
        "generic, with nothing": start[: -len(text("echo"))] + text("$invoke") + text("JJJ") + b"\xe1" * 3,
    }  # fmt: skip


@pytest.mark.parametrize("name", bodies())
def test_a_body_that_cannot_be_read_is_one_call(name: str) -> None:
    async def story(world: World) -> None:
        caller = await world.caller()
        found = await asyncio.wait_for(caller.send(frame(bodies()[name])), 30)
        assert found.status == Status.BAD_REQUEST and "the request cannot be read" in (found.exception or "")
        assert (await world.ask(caller, "left", "a")).value == "a:0"

    play(story)


def test_mutants_of_a_request_are_answered_or_end_their_connection() -> None:
    """Some thousands of them: nothing hangs, and nothing is left."""
    draw, good = random.Random(7), request(7, "echo", [1, {"a": ["x", None]}], attachments={"env": "dev1"})

    async def story(world: World) -> None:
        for _ in range(2000):
            data = bytearray(good)
            for _ in range(draw.randint(1, 4)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            answer = await ended_after(world, bytes(data))
            assert len(frames(answer)) <= 1
        await fine(world)

    play(story)


async def ended_after(world: World, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", world.serving.port)
    try:
        writer.write(data)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(-1), 30)
    finally:
        writer.transport.abort()


def shared(levels: int) -> bytes:
    """A list of two that are the same list of two, and so on: few bytes that are very many values."""
    inner = b"".join([b"\x7a"] * levels) + b"\x90\x90"
    return inner + b"".join(b"\x51" + hessian._encode_int(levels - 1 - n) for n in range(levels - 1))


@pytest.mark.parametrize("method", ["echo", "$echo"])
def test_values_that_grow_when_they_are_written(method: str) -> None:
    """An application that gives back what it was given."""

    async def story(world: World) -> None:
        start = b"".join(map(hessian.encode, ("2.0.2", STOCK, "0.0.0", method, "Ljava/util/List;")))
        caller = await world.caller()
        answer = caller.send(frame(start + shared(40) + b"H\x04path" + hessian.encode(STOCK) + b"Z"))
        if method == "echo":
            found = await asyncio.wait_for(answer, 60)
            assert found.status == Status.BAD_RESPONSE and "the limit `items`" in (found.exception or "")
        else:
            assert (await asyncio.wait_for(answer, 60)).status == Status.OK  # its own bytes
        assert (await world.ask(caller, "left", "a")).value == "a:0"

    play(story)


def test_values_of_a_byte_each() -> None:
    """Reading each takes a microsecond, and a thread reads the long requests of all."""

    async def story(world: World) -> None:
        caller = await world.caller()
        few, many = (caller.send(request(number, "echo", [None] * 800 + [None] * number)) for number in (1, 200))
        assert (await asyncio.wait_for(few, 60)).value == [None] * 801
        found = await asyncio.wait_for(many, 60)
        assert found.status == Status.BAD_REQUEST and "the limit `items`" in (found.exception or "")
        assert world.serving.refused == {"items": 1}
        await fine(world)

    play(story, items=1000)


def test_a_serialization_that_is_not_read() -> None:
    async def story(world: World) -> None:
        data = await ended_after(world, frame(b"\0\0\0", flags=0xC0 | 23) + request(6))
        assert [status for status, _ in frames(data)] == [40, 20]
        assert world.serving.refused == {"serialization": 1}

    play(story)


def test_a_frame_that_is_too_long_is_passed_over() -> None:
    async def story(world: World) -> None:
        data = request(1) + request(2, "echo", "x" * 5000) + request(3, "note", "x" * 5000, two_way=False) + request(4)
        assert frames(await ended_after(world, data)) == [(40, 2), (20, 1), (20, 4)]
        assert not world.done and world.serving.refused == {"payload": 2}
        found = await world.ask(await world.caller(), "echo", ["x" * 99] * 8)
        assert found.status == Status.OK
        event = frame(bytes(2000), flags=0xE2)  # an event has little to say
        assert frames(await ended_after(world, event + request(5))) == [(20, 5)]

    play(story, payload=1000)


def test_a_result_that_is_too_long() -> None:
    async def run() -> None:
        limits = Limits(payload=1000)
        async with Serving(None, Offer(STOCK, {"give": lambda size: "x" * size}), limits=limits) as serving:
            caller = await Caller.connect(f"127.0.0.1:{serving.port}")
            assert len((await send(caller, "give", 900)).value) == 900
            found = await send(caller, "give", 1000)
            assert found.status == Status.BAD_RESPONSE and "the limit `payload` is 1000" in (found.exception or "")
            assert len((await send(caller, "give", 900)).value) == 900 and serving.refused == {"payload": 1}
            await caller.close()

    asyncio.run(run())


def test_calls_in_flight_are_bounded_and_shared() -> None:
    """One who takes all that he gets leaves room for others; and all together get no more than there is."""

    async def story(world: World) -> None:
        hog, other = await world.caller(), await world.caller()
        calls = [send(hog, "slow", n) for n in range(40)]
        await until(lambda: world.serving.calls + world.serving.refused["calls"] == 40)
        mine = world.serving.calls
        assert mine < 20 and mine >= 2 * (20 - mine)  # with a share of 2: two thirds
        assert (await world.ask(other, "left", "a")).value == "a:0"
        rest = [send(other, "slow", n) for n in range(20)]
        await until(lambda: world.serving.calls + world.serving.refused["calls"] == 60)
        assert world.serving.calls <= 20
        world.gate.set()
        found = await asyncio.gather(*calls, *rest)
        assert {one.status for one in found} == {Status.OK, Status.SERVER_THREADPOOL_EXHAUSTED}
        assert sum(one.status == Status.OK for one in found) == world.serving.served - 1
        assert (await world.ask(hog, "left", "a")).value == "a:0"

    play(story, calls=20, share=2)


def test_connections_are_bounded() -> None:
    async def story(world: World) -> None:
        callers = [await world.caller() for _ in range(3)]
        assert [(await world.ask(one, "left", "a")).value for one in callers] == ["a:0"] * 3
        assert await ended(world, request(1)) == b"" and world.serving.refused == {"connections": 1}
        await callers.pop().close()
        await until(lambda: len(world.serving._server.connections) == 2)
        await fine(world)

    play(story, connections=3)


def test_memory_is_bounded_for_long_requests_alone() -> None:
    async def story(world: World) -> None:
        long = request(1, "slow", b"x" * 100_000)
        stuck = [await asyncio.open_connection("127.0.0.1", world.serving.port) for _ in range(3)]
        for _, writer in stuck:
            writer.write(long[:-1])
        await until(lambda: world.serving._server.held >= 100_000 and world.serving.refused["memory"] == 2)
        await fine(world)
        found = await world.ask(await world.caller(), "echo", b"x" * 100_000)
        assert found.status == Status.SERVER_THREADPOOL_EXHAUSTED and "`memory`" in (found.exception or "")
        for _, writer in stuck:
            writer.transport.abort()
        await until(lambda: world.serving._server.held == 0)
        assert len((await world.ask(world.callers[-1], "echo", b"x" * 100_000)).value) == 100_000

    play(story, memory=150_000)


def test_who_goes_on_with_no_request_has_no_memory_that_others_want() -> None:
    async def story(world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.serving.port)
        writer.write(request(1, "echo", b"x" * 100_000)[:-1])
        await until(lambda: world.serving._server.held >= 100_000)
        caller = await world.caller()
        assert len((await world.ask(caller, "echo", b"x" * 100_000)).value) == 100_000
        assert world.serving.refused == {"stuck": 1}
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 30) == b""
        writer.close()

    play(story, memory=150_000, stuck=0.0)


def slow_reader(world: World) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(("127.0.0.1", world.serving.port))
    sock.setblocking(False)
    return sock


async def said(sock: socket.socket, requests: Iterable[bytes]) -> None:
    for one in requests:
        await asyncio.get_running_loop().sock_sendall(sock, one)


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_does_not_read_is_asked_no_more_and_harms_nobody(backend: str) -> None:
    async def story(world: World) -> None:
        with slow_reader(world) as slow:
            sending = asyncio.ensure_future(said(slow, (request(n, "echo", b"x" * 200_000) for n in range(600))))
            await until(lambda: waits(world) > 256 << 10, 30)
            await fine(world)
            assert waits(world) <= (4 << 20) + 200 * 1000 and not sending.done()
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        await until(lambda: len(world.serving._server.connections) == 1, 30)

    play(story, backend, output=4 << 20, calls=200)


def waits(world: World) -> int:
    buffers = [one._transport.get_write_buffer_size() for one in world.serving._server.connections if one._transport]
    return max(buffers, default=0)


def test_who_takes_nothing_is_closed() -> None:
    async def story(world: World) -> None:
        with slow_reader(world) as slow:
            await said(slow, [request(1, "echo", b"x" * 7_000_000)])
            await until(lambda: world.serving.refused["stuck"] == 1, 30)
            await fine(world)

    play(story, stuck=0.05)


def test_who_goes_while_calls_are_under_way() -> None:
    async def story(world: World) -> None:
        gone = await world.caller()
        for n in range(10):
            send(gone, "slow", n).cancel()
        await until(lambda: world.inside == 10)
        gone.writer.transport.abort()
        await fine(world)
        assert world.serving.calls == 10  # what was begun goes on
        world.gate.set()
        await until(lambda: world.serving.calls == 0 and len(world.serving._server.connections) == 1)

    play(story)


def test_a_caller_that_has_said_all_is_answered() -> None:
    async def story(world: World) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.serving.port)
        writer.write(request(1, "slow", 1))
        writer.write_eof()
        await until(lambda: world.inside == 1)
        world.gate.set()
        assert frames(await asyncio.wait_for(reader.read(-1), 30)) == [(20, 1)]
        writer.close()

    play(story)


def test_callers_of_the_tests_are_told_of_their_end() -> None:
    """What the tests above wait for would not come otherwise."""

    async def story(world: World) -> None:
        caller: Caller = await world.caller()
        slow = send(caller, "slow", 1)
        await until(lambda: world.inside == 1)
        for one in list(world.serving._server.connections):
            one.abort()
        with pytest.raises(ConnectionResetError):
            await slow

    play(story)
