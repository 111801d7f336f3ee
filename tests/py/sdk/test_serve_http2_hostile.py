"""Callers by HTTP/2 who want too much, say half, or read nothing: each harms itself alone, and memory is bounded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from flowing_world import BARE, TALK, World, play
from grpcs import Raw
from peers import until
from test_serve_http2 import asked, by_bytes, path

from meshfast import http2, sdk
from meshfast.http2 import ErrorCode, Flag, Setting
from meshfast.sdk import wrapped

Client = Callable[[Raw], Any]


def hostile(client: Client, check: Callable[[World], Any] | None = None, **limits: Any) -> World:
    """Has one connection do its worst while another one's calls are answered, and after it."""

    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        assert await talk.call("once", 1) == 1
        going = asyncio.ensure_future(by_bytes(world, client))
        async with talk.stream("chat", sends=True) as chat:
            while not going.done():
                assert await talk.call("once", 1) == 1
                await chat.send("a")
                assert await anext(chat) == "A"
        await going
        assert await talk.call("once", 1) == 1
        if check is not None:
            await until(lambda: check(world))

    return play(story, limits=limits)


def ends_with(raw: Raw, code: ErrorCode) -> None:
    away = raw.ends()
    assert away is not None and away.code == code, away


def test_rapid_reset() -> None:
    def client(raw: Raw) -> None:
        for _ in range(120):
            id = raw.open(path("hold"))
            raw.say(id, asked(1), last=True)
            raw.put(http2.RstStream(id))
        ends_with(raw, ErrorCode.ENHANCE_YOUR_CALM)

    world = hostile(client, lambda world: world.serving.calls == 0, resets=100)
    assert world.serving.refused["resets"] == 1 and world.inside == 0


def test_rapid_reset_of_what_waits_in_threads() -> None:
    """A thread cannot be stopped: what waits for one counts until it is known to be unwanted."""

    def client(raw: Raw) -> None:
        for _ in range(300):
            id = raw.open(path("tally"))
            raw.say(id, asked(1))
            raw.put(http2.RstStream(id))
        raw.put(http2.Ping(data=b"12345678"))
        raw.until(lambda: raw.pongs)

    world = hostile(client, lambda world: world.serving.calls == 0, threads=2)
    assert not world.serving.refused.keys() - {"readers"}  # or more were opened than had been found unwanted


def test_a_list_of_fields_that_does_not_end() -> None:
    def client(raw: Raw) -> None:
        block = raw.head(path("once"))
        raw.put(http2.Headers(1, 0, block), *(http2.Continuation(1, 0, b"") for _ in range(40)))
        ends_with(raw, ErrorCode.ENHANCE_YOUR_CALM)

    assert hostile(client).serving.refused["headers"] == 1


def test_fields_without_measure() -> None:
    def client(raw: Raw) -> None:
        id = raw.open(path("once"), [(b"x-long", b"y" * 9000), (b"x-more", b"y" * 9000)])
        assert raw.answer(id)[1] == 8
        assert raw.call(path("once"), asked(1))[1] == 0  # and that connection goes on

    assert hostile(client).serving.refused["headers"] == 1


def test_who_reads_nothing() -> None:
    """Answers stay with their handlers, and of one that was made at once there is as much as it is long."""

    def client(raw: Raw) -> None:
        raw.credit = False
        for _ in range(20):
            id = raw.open(path("endless"))
            raw.say(id, asked(10_000), last=True)
        raw.until(lambda: sum(map(len, raw.data.values())) + 10_005 * sum(map(len, raw.messages.values())) >= 65_000)
        raw.put(http2.Ping(data=b"12345678"))
        raw.until(lambda: raw.pongs)

    seen: list[int] = []

    async def story(world: World, mesh: sdk.Mesh) -> None:
        await by_bytes(world, client)
        seen.append(world.made)
        await until(lambda: world.gone == 20 and world.serving.calls == 0)

    play(story)
    assert seen[0] < 20 * 20  # of 10,000 bytes each, ahead of who reads none


def test_who_takes_nothing_of_an_answer() -> None:
    def client(raw: Raw) -> None:
        raw.credit = False
        id = raw.open(path("once"))
        raw.say(id, asked(bytes(200_000)), last=True)
        raw.until(lambda: id in raw.resets)
        assert raw.resets[id] == ErrorCode.CANCEL

    world = hostile(client, lambda world: world.serving.calls == 0, stuck=0.2)
    assert world.serving.refused["stuck"] == 1


def test_half_a_request() -> None:
    def client(raw: Raw) -> None:
        for half in (b"", b"\0\0\0", b"\0\0\0\0\5abc"):
            id = raw.open(path("once"))
            if half:
                raw.put(http2.Data(id, 0, half))
        raw.until(lambda: len(raw.resets) == 3)
        id = raw.open(path("once"))
        raw.put(http2.Data(id, Flag.END_STREAM, b"\0\0\0\0\5abc"))
        assert raw.answer(id)[1] == 13

    world = hostile(client, lambda world: world.serving.calls == 0, stuck=0.2)
    assert world.serving.refused == {"stuck": 3, "malformed": 1}


def test_windows() -> None:
    """More than was let, a window beyond all measure, and settings that make one so."""

    def too_much(raw: Raw) -> None:
        id = raw.open(path("swallow"))
        with contextlib.suppress(ConnectionError):  # it ends before it has heard all
            raw.put(*(http2.Data(id, 0, bytes(16_384)) for _ in range(20)))
        raw.until(lambda: raw.over or id in raw.resets)

    def too_wide(raw: Raw) -> None:
        raw.put(http2.WindowUpdate(0, increment=(1 << 31) - 1))
        ends_with(raw, ErrorCode.FLOW_CONTROL_ERROR)

    def stretched(raw: Raw) -> None:
        id = raw.open(path("swallow"))
        raw.put(http2.WindowUpdate(id, increment=1 << 30))
        raw.put(http2.Settings(settings=((Setting.INITIAL_WINDOW_SIZE, (1 << 31) - 1),)))
        ends_with(raw, ErrorCode.FLOW_CONTROL_ERROR)

    for client in (too_much, too_wide, stretched):
        hostile(client, lambda world: world.serving.calls == 0)


def test_too_long_and_compressed() -> None:
    def client(raw: Raw) -> None:
        id = raw.open(path("once"))
        raw.put(http2.Data(id, 0, b"\0" + (2000).to_bytes(4, "big")))
        assert raw.answer(id)[1] == 8
        id = raw.open(path("once"))
        raw.put(http2.Data(id, Flag.END_STREAM, b"\1\0\0\0\1x"))
        assert raw.answer(id)[1] == 12
        id = raw.open(path("once", BARE))
        raw.say(id, bytes(1000), last=True)
        assert raw.answer(id) == ([bytes(1000)], 0)
        id = raw.open(path("count"))
        raw.say(id, asked(1, 2000), last=True)
        assert raw.answer(id)[1] == 8

    assert hostile(client, payload=1000).serving.refused == {"message": 1, "payload": 1}


def test_values_of_a_byte_each() -> None:
    """In one argument, and in so many arguments."""

    def client(raw: Raw) -> None:
        for args, status in ((800,), 0), ((1000,), 13), ((400, 400), 12), ((500, 500), 13):  # it takes one argument
            id = raw.open(path("once"))
            raw.say(id, wrapped.request("once", [[None] * count for count in args], None), last=True)
            assert raw.answer(id)[1] == status, args

    assert hostile(client, items=1000).serving.refused == {"items": 2, "unknown": 1}


def test_who_wants_all_there_is() -> None:
    """Above half of the calls a caller has so many times what is left; others have theirs."""

    def client(raw: Raw) -> None:
        ids = [raw.open(path("hold")) for _ in range(100)]
        raw.until(lambda: len(raw.trailers) >= 10)
        assert all(one[b"grpc-status"] == b"8" for one in raw.trailers.values())
        for id in set(ids) - set(raw.trailers):
            raw.put(http2.RstStream(id))
        streams = [raw.open(path("swallow")) for _ in range(100)]
        raw.until(lambda: len(set(streams) & set(raw.trailers)) >= 10)

    world = hostile(client, lambda world: world.serving.calls == 0, calls=20, streams=20)
    assert world.serving.refused["calls"] > 10 and world.serving.refused["streams"] > 10


def test_more_streams_than_were_allowed() -> None:
    def client(raw: Raw) -> None:
        raw.until(lambda: raw.settings)
        assert raw.settings[Setting.MAX_CONCURRENT_STREAMS] == 5
        for _ in range(9):
            raw.open(path("swallow"))
        raw.until(lambda: len(raw.resets) == 4)
        assert set(raw.resets.values()) == {ErrorCode.REFUSED_STREAM}

    hostile(client, lambda world: world.serving.calls == 0, concurrent=5)


def test_memory_is_for_all() -> None:
    """What is not read of streams counts; over the limit the long ones are refused, and others are served."""

    def client(raw: Raw) -> None:
        ids = [raw.open(path("swallow")) for _ in range(10)]
        for id in ids:
            for _ in range(12):
                raw.say(id, asked("x" * 16_000))
        raw.until(lambda: raw.trailers)
        assert all(one[b"grpc-status"] == b"8" for one in raw.trailers.values())

    world = hostile(client, lambda world: world.serving._server.held == 0, memory=1_000_000)
    assert world.serving.refused["bytes"] >= 1


def test_who_says_half_has_no_call_of_another_ended() -> None:
    """Whose messages are whole and wait for their handler holds most, and is not in the way."""

    async def story(world: World, mesh: sdk.Mesh) -> None:
        def client(raw: Raw) -> None:
            whole, other = raw.open(path("swallow")), Raw(world.serving.port)
            for _ in range(10):
                raw.say(whole, asked("x" * 16_000))
            raw.put(http2.Ping(data=b"all came"))
            raw.until(lambda: raw.pongs)
            half = other.open(path("swallow"))
            other.put(http2.Data(half, 0, b"\0" + (150_000).to_bytes(4, "big")))
            for _ in range(6):
                other.put(http2.Data(half, 0, bytes(16_000)))
            other.until(lambda: other.trailers)
            assert other.trailers[half][b"grpc-status"] == b"8"
            raw.put(http2.Ping(data=b"it stays"))
            raw.until(lambda: len(raw.pongs) == 2)
            assert (raw.trailers, raw.resets) == ({}, {})
            other.close()

        await by_bytes(world, client)

    play(story, limits={"memory": 200_000})


@pytest.mark.parametrize(
    "data", [b"PRI * HTTP/2.0\r\n\r\nXX", b"PUT / HTTP/1.1\r\n\r\n", http2.PREFACE + b"\0" * 9, b"P"], ids=range(4)
)
def test_bytes_that_are_no_http2(data: bytes) -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", world.serving.port)
        writer.write(data)
        if data == b"P":  # it may go on
            writer.close()
        assert isinstance(await asyncio.wait_for(reader.read(-1), 30), bytes)
        writer.close()
        assert await mesh.service(TALK, protocol="tri").call("once", 1) == 1

    play(story)


def test_frames_of_all_kinds_that_break_rules() -> None:
    """Each ends its connection, or its stream, and nothing else."""
    wrong: list[Callable[[Raw], None]] = [
        lambda raw: raw.put(http2.Data(1, 0, b"x")),
        lambda raw: raw.put(http2.Headers(2, Flag.END_HEADERS, raw.head(path("once")))),
        lambda raw: raw.put(http2.Continuation(1, Flag.END_HEADERS, b"")),
        lambda raw: raw.put(http2.PushPromise(1, Flag.END_HEADERS)),
        lambda raw: raw.put(http2.RstStream(7)),
        lambda raw: raw.put(http2.WindowUpdate(9, increment=1)),
        lambda raw: raw.put(http2.Headers(1, 0, raw.head(path("once"))), http2.Ping()),
        lambda raw: raw.put(http2.Headers(1, Flag.END_HEADERS, b"\xff\xff\xff\xff\xff")),
        lambda raw: raw.write(b"\xff\xff\xff\0\0\0\0\0\1"),
    ]
    for one in wrong:

        def client(raw: Raw, one: Callable[[Raw], None] = one) -> None:
            one(raw)
            assert raw.ends() is not None

        hostile(client, lambda world: world.serving.calls == 0)
