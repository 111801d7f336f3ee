"""Serving by HTTP/2, frame by frame: what a call is answered, how it is given up, and how a port is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from flowing_world import BARE, TALK, World, play
from grpcs import Raw
from peers import Caller, until
from served_world import send

from meshfast import hessian, http2, protobuf, sdk
from meshfast.http2 import ErrorCode, Flag
from meshfast.sdk import wrapped
from meshfast.sdk.serve import Offer, Serving

MAX = (1 << 31) - 1


def asked(*args: Any) -> bytes:
    return wrapped.request("x", args, None)


def path(method: str, service: str = TALK) -> str:
    return f"/{service}/{method}"


def value(message: bytes) -> Any:
    return wrapped.value(message)


async def by_bytes(world: World, story: Callable[[Raw], Any]) -> Any:
    """A client made of bytes, in a thread."""

    def run() -> Any:
        client = Raw(world.serving.port)
        try:
            return story(client)
        finally:
            client.close()

    return await asyncio.to_thread(run)


def test_what_an_answer_looks_like() -> None:
    def client(raw: Raw) -> None:
        id = raw.open(path("once"), [(b"env", b"dev1")])
        raw.say(id, asked("x"), last=True)
        assert [value(one) for one in raw.answer(id)[0]] == ["x"]
        assert raw.heads[id] == {b":status": b"200", b"content-type": b"application/grpc"}
        assert raw.trailers[id] == {b"grpc-status": b"0"}
        id = raw.open(path("where"))
        raw.say(id, asked(0), last=True)
        raw.answer(id)
        assert raw.trailers[id] == {b"grpc-status": b"0", b"back": b"yes", b"blob-bin": b"/wA"}
        raw.put(http2.Ping(data=b"12345678"))
        raw.until(lambda: raw.pongs == [b"12345678"])

    async def story(world: World, mesh: sdk.Mesh) -> None:
        await by_bytes(world, client)

    play(story)


def test_what_is_thrown() -> None:
    def client(raw: Raw) -> None:
        def fails(service: str, method: str, message: bytes) -> dict[bytes, bytes]:
            id = raw.open(path(method, service))
            raw.say(id, message, last=True)
            messages, status = raw.answer(id)
            if status == 0:
                assert raw.heads[id][b"tri-exception-code"] == b"3"
                return {b"thrown": str(value(messages[0])).encode()}
            return raw.trailers[id]

        thrown = fails(TALK, "add_up", asked(1, "x"))[b"thrown"]
        assert b"java.lang.RuntimeException" in thrown and b"unsupported operand" in thrown
        found = fails(BARE, "odd", b"x")
        assert (found[b"grpc-status"], found[b"grpc-message"]) == (b"2", b"told%0Ato: %C3%BC%25")
        assert fails(TALK, "add_up", asked(1))[b"grpc-status"] == b"12"
        assert b"does not take 1" in fails(TALK, "add_up", asked(1))[b"grpc-message"]
        assert fails(TALK, "give", asked())[b"grpc-status"] == b"13"
        assert fails(TALK, "add_up", b"\xff\xff")[b"grpc-status"] == b"13"
        assert b"fastjson2 is not read" in fails(TALK, "add_up", protobuf.field(1, b"fastjson2"))[b"grpc-message"]

    async def odd(body: bytes) -> bytes:
        raise ValueError("told\nto: ü%")

    async def run() -> None:
        offers = [
            Offer(TALK, {"add_up": lambda a, b: a + b, "give": object}, protocols=("tri",)),
            Offer(BARE, {"odd": odd}, protocols=("grpc",)),
        ]
        async with Serving(None, *offers) as serving:
            world = World()
            world.serving = serving
            await by_bytes(world, client)

    asyncio.run(run())


def test_what_is_not_there() -> None:
    def client(raw: Raw) -> None:
        for where, more, text in (
            ("/com.x.None/a", [], b"com.x.None is not offered here"),
            (path("none"), [], b"has no method none"),
            (path("once"), [(b"tri-service-version", b"2.0.0")], b"com.x.Talk:2.0.0 is not offered"),
            (path("once"), [(b"tri-service-group", b"g")], b"g/com.x.Talk is not offered"),
            ("/once", [], b"is no /service/method"),
        ):
            id = raw.open(where, more)
            raw.answer(id)
            assert raw.trailers[id][b"grpc-status"] == b"12" and text in raw.trailers[id][b"grpc-message"]
        id = raw.open(path("once"), [(b"grpc-timeout", b"soon")])
        assert raw.answer(id)[1] == 13
        block = [(name, b"application/grpc+json" if name == b"content-type" else value) for name, value in (
            (b":method", b"POST"), (b":scheme", b"http"), (b":path", path("once").encode()), (b"content-type", b""),
        )]  # fmt: skip
        id, raw.next = raw.next, raw.next + 2
        raw.put(http2.Headers(id, Flag.END_HEADERS, raw.encoder.encode(block)))
        assert raw.answer(id)[1] == 12
        for body in ([], [b"a", b"b"]):  # one message is what such a method takes
            id = raw.open(path("once"))
            for one in body:
                raw.say(id, one)
            raw.put(http2.Data(id, Flag.END_STREAM))
            assert raw.answer(id)[1] == 13

    async def story(world: World, mesh: sdk.Mesh) -> None:
        await by_bytes(world, client)
        assert world.serving.refused == {"unknown": 5, "malformed": 3, "serialization": 1}
        caller = await Caller.connect(f"127.0.0.1:{world.serving.port}")
        wrong = (BARE, "once", "by grpc here, and not by dubbo"), (TALK, "count", "streams: call it")
        for service, method, text in wrong:
            assert text in ((await send(caller, method, 1, service=service)).exception or "")
        assert (await send(caller, "once", 7, service=TALK)).value == 7
        await caller.close()

    play(story)


def test_echo_generic_calls_and_javas_version() -> None:
    async def run() -> None:
        offer = Offer(TALK, {"left": lambda item, more: f"{item}:{more}"}, version="1.0.0", protocols=("tri",))
        async with Serving(None, offer) as serving:
            world = World()
            world.serving = serving

            def client(raw: Raw) -> None:
                for more in ([], [(b"tri-service-version", b"1.0.0")]):
                    id = raw.open(path("left"), more)
                    raw.say(id, asked("a", 1), last=True)
                    assert [value(one) for one in raw.answer(id)[0]] == ["a:1"]
                assert [value(one) for one in raw.call(path("$echo"), asked([1]))[0]] == [[1]]
                id = raw.open(path("$invoke"), [(b"generic", b"true")])
                raw.say(id, asked("left", ["java.lang.String", "int"], ["b", 2]), last=True)
                assert [value(one) for one in raw.answer(id)[0]] == ["b:2"]
                id = raw.open(path("$invoke"), [(b"generic", b"bean")])
                raw.say(id, asked("left", [], []), last=True)
                assert raw.answer(id)[1] == 13

            await by_bytes(world, client)

    asyncio.run(run())


@pytest.mark.parametrize("told", [(b"grpc-timeout", b"200m"), (b"tri-service-timeout", b"200")])
def test_a_deadline_ends_the_handler(told: tuple[bytes, bytes]) -> None:
    def client(raw: Raw) -> None:
        id = raw.open(path("hold"), [told])
        raw.say(id, asked(1), last=True)
        assert raw.answer(id)[1] == 4

    async def story(world: World, mesh: sdk.Mesh) -> None:
        await by_bytes(world, client)
        await until(lambda: world.gone == 1 and world.serving.calls == 0)
        assert world.serving.refused == {"deadline": 1}

    play(story)


def test_a_reset_ends_the_handler() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        loop = asyncio.get_running_loop()

        def client(raw: Raw) -> None:
            id = raw.open(path("hold"))
            raw.say(id, asked(1), last=True)
            wait(lambda: world.inside == 1)
            raw.put(http2.RstStream(id))
            wait(lambda: world.gone == 1 and world.serving.calls == 0)
            assert [value(one) for one in raw.call(path("once"), asked(1))[0]] == [1]

        def wait(check: Callable[[], bool]) -> None:
            asyncio.run_coroutine_threadsafe(until(check), loop).result(30)

        await by_bytes(world, client)

    play(story)


def test_what_leaves_says_so_twice_and_loses_nobody() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        loop, leaving = asyncio.get_running_loop(), list[Any]()

        def do(work: Any) -> Any:
            async def call() -> Any:
                return work()

            return asyncio.run_coroutine_threadsafe(call(), loop).result(30)

        def client(raw: Raw) -> None:
            held = raw.open(path("hold"))
            raw.say(held, asked("held"), last=True)
            asyncio.run_coroutine_threadsafe(until(lambda: world.inside == 1), loop).result(30)
            do(lambda: leaving.append(asyncio.ensure_future(world.serving._server.leave())))
            raw.until(lambda: raw.away)
            assert raw.away is not None and (raw.away.last, raw.away.code) == (MAX, ErrorCode.NO_ERROR)
            assert [value(one) for one in raw.call(path("once"), asked("late"))[0]] == ["late"]
            raw.put(http2.Ping(flags=Flag.ACK, data=b"leaving!"))
            raw.until(lambda: raw.away is not None and raw.away.last < MAX)
            assert raw.away.last == raw.next - 2
            do(world.gate.set)
            assert [value(one) for one in raw.answer(held)[0]] == ["held"]
            raw.ends()

        await by_bytes(world, client)
        await leaving[0]

    play(story, timeout=5.0)


def test_calls_that_do_not_end_are_told() -> None:
    async def run() -> None:
        world = World(leave=0.05)
        async with world.serving:
            async def hold() -> None:
                def client(raw: Raw) -> int:
                    id = raw.open(path("hold"))
                    raw.say(id, asked(1), last=True)
                    return raw.answer(id)[1]

                assert await by_bytes(world, client) == 14

            task = asyncio.ensure_future(hold())
            await until(lambda: world.inside == 1)
        await task
        assert world.inside == 0 and world.serving.calls == 0

    asyncio.run(run())


def test_what_cannot_be_offered() -> None:
    async def streams(what: Any) -> Any:
        yield what

    for protocols in ("tri", ("grpc", "tri"), (), ("http",)):
        with pytest.raises(ValueError, match="protocols="):
            Offer(TALK, {}, protocols=protocols)
    with pytest.raises(ValueError, match="no group"):
        Offer(TALK, {}, group="g", protocols=("grpc",))
    with pytest.raises(ValueError, match="streams, which Dubbo2 cannot"):
        Serving(None, Offer(TALK, {"watch": streams}))

    async def unreadable(words: AsyncIterator[Nothing]) -> None: ...  # type: ignore[name-defined] # noqa: F821

    with pytest.raises(TypeError, match="cannot be read"):
        Serving(None, Offer(TALK, {"watch": unreadable}, protocols=("tri",)))


def test_wrappers_of_a_thousand_shapes() -> None:
    """Whatever is where a wrapper is expected: its caller is told, or it is read."""
    from random import Random

    random = Random(7)
    whole = asked("text", [1, {"a": b"\0" * 50}])
    assert wrapped.arguments(whole, 1_000_000) == ["text", [1, {"a": b"\0" * 50}]]
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(random.randrange(1, 4)):
            data[random.randrange(len(data))] = random.randrange(256)
        try:
            wrapped.arguments(bytes(data[: random.randrange(len(data) + 1)]), 1_000_000)
        except sdk.CallError:
            raise
        except Exception as error:
            assert type(error).__name__ == "ProtocolError", error
    deep = protobuf.field(2, b"\x58\x91" * 5000 + hessian.encode(None))
    with pytest.raises(Exception, match="nested too deep|deep"):
        wrapped.arguments(deep, 1_000_000)
