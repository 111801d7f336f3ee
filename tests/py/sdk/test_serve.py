"""What a service of Python answers: values, exceptions, what it does not know; and how it leaves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from peers import Caller, until
from proxies import BACKENDS
from served_world import STOCK, World, play, send

from meshfast import dubbo, hessian
from meshfast.dubbo import Status
from meshfast.sdk.serve import Limits, Offer, Serving


@pytest.mark.parametrize("backend", BACKENDS)
def test_calls_are_answered(backend: str) -> None:
    async def story(world: World) -> None:
        caller = await world.caller()
        assert (await world.ask(caller, "left", "book", 2)).value == "book:2"
        assert (await world.ask(caller, "left", "book")).value == "book:0"
        for value in (None, True, -1, 2**62, 1.5, "", "ü𝄞" * 5000, b"\0" * 70_000, [1, [2]], {"a": {}}, ["x"] * 3000):
            found = await world.ask(caller, "echo", value)
            assert (found.status, found.value) == (Status.OK, value)
        assert (await world.ask(caller, "note", 1)).value is None and world.done == [1]

    play(story, backend)


def test_a_call_without_an_answer_is_executed(tmp_path: object) -> None:
    async def story(world: World) -> None:
        caller = await world.caller()
        for method, what in (("note", 1), ("fail", "x"), ("nothing", 0), ("note", 2)):
            send(caller, method, what, two_way=False)
        assert (await world.ask(caller, "left", "a")).value == "a:0"
        await until(lambda: world.done == [1, 2])
        assert not caller.strays and world.serving.refused == {"unknown": 1}

    play(story)


def test_answers_come_when_they_are_there() -> None:
    """In the order in which calls end; a function that waits holds up no other call."""

    async def story(world: World) -> None:
        caller, other = await world.caller(), await world.caller()
        slow = [send(caller, "slow", n) for n in range(20)]
        for one in (caller, other):
            assert (await world.ask(one, "left", "a")).value == "a:0"
        await until(lambda: world.inside == 20)
        world.gate.set()
        assert [(await one).value for one in slow] == list(range(20))

    play(story)


def test_attachments_of_the_call_and_of_no_other() -> None:
    async def story(world: World) -> None:
        caller = await world.caller()
        for method in ("where", "later"):
            calls = [send(caller, method, attachments={"env": f"dev{n}", "traceparent": f"00-{n}"}) for n in range(50)]
            for n, one in enumerate(calls):
                found = (await one).value
                assert (found["env"], found["traceparent"], found["path"]) == (f"dev{n}", f"00-{n}", STOCK)
        assert "env" not in (await world.ask(caller, "where")).value

    play(story)


def test_exceptions_are_told_without_our_stack() -> None:
    async def story(world: World) -> None:
        caller = await world.caller()
        found = await world.ask(caller, "fail", "no such book")
        assert (found.status, found.exception, found.value) == (Status.OK, "no such book", None)
        assert (await world.ask(caller, "fail", "")).exception == "ValueError"
        assert len((await world.ask(caller, "fail", "x" * 10_000)).exception or "") == 4096
        frame = caller.send(dubbo.encode_request(77, STOCK, "fail", ("x",)))
        assert (await frame).exception == "x"

    play(story)


class Odd(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


ODD = (StopIteration("s"), asyncio.CancelledError("c"), Odd(), MemoryError())


@pytest.mark.parametrize(
    ("error", "threaded"), [(SystemExit("e"), True), *((one, threaded) for one in ODD for threaded in (True, False))]
)
def test_whatever_a_handler_raises_is_answered(error: BaseException, threaded: bool) -> None:
    def raises() -> None:
        raise error

    async def raises_later() -> None:
        raise error

    async def run() -> None:
        async with Serving(None, Offer(STOCK, {"raises": raises if threaded else raises_later})) as serving:
            caller = await Caller.connect(f"127.0.0.1:{serving.port}")
            try:
                found = await asyncio.wait_for(send(caller, "raises"), 30)
                assert found.status == Status.OK and found.exception
                assert (await asyncio.wait_for(send(caller, "$echo", "there"), 30)).value == "there"
            finally:
                await caller.close()

    asyncio.run(run())


def test_what_is_not_there() -> None:
    async def story(world: World) -> None:
        caller = await world.caller()
        asked: list[tuple[str, dict[str, Any], str]] = [
            ("left", {"service": "com.x.Cart"}, "com.x.Cart is not offered here, com.x.Stock is"),
            ("left", {"version": "2.0.0"}, "com.x.Stock:2.0.0 is not offered here"),
            ("left", {"attachments": {"group": "g"}}, "g/com.x.Stock is not offered here"),
            ("right", {}, "com.x.Stock has no method right, it has left"),
            ("__init__", {}, "has no method __init__"),
        ]
        for method, more, text in asked:
            found = await world.ask(caller, method, "a", **more)
            assert found.status == Status.SERVICE_NOT_FOUND and text in (found.exception or "")
        for args in ((), (1, 2, 3)):
            found = await world.ask(caller, "left", *args)
            assert found.status == Status.SERVICE_NOT_FOUND
            assert f"does not take {len(args)} argument(s)" in (found.exception or "")
        assert world.serving.refused == {"unknown": 7}

    play(story)


def test_a_type_error_of_its_own_is_an_exception() -> None:
    async def story(world: World) -> None:
        found = await world.ask(await world.caller(), "left", ["a"], {})
        assert found.value == "['a']:{}"
        found = await world.ask(world.callers[0], "note")
        assert found.status == Status.SERVICE_NOT_FOUND

    play(story)

    def add(a: Any, b: Any) -> Any:
        return a + b

    async def run() -> None:
        async with Serving(None, Offer(STOCK, {"add": add})) as serving:
            caller = await Caller.connect(f"127.0.0.1:{serving.port}")
            found = await send(caller, "add", 1, "x")
            assert found.status == Status.OK and "unsupported operand" in (found.exception or "")
            await caller.close()

    asyncio.run(run())


def test_groups_and_versions_are_apart() -> None:
    async def run() -> None:
        offers = [
            Offer(STOCK, {"who": lambda found=f"{group}/{version}": found}, group, version)
            for group in ("", "g") for version in ("0.0.0", "1.0.0")
        ]  # fmt: skip
        async with Serving(None, *offers) as serving:
            caller = await Caller.connect(f"127.0.0.1:{serving.port}")
            for group in ("", "g"):
                for version in ("0.0.0", "1.0.0"):
                    said = {"group": group} if group else {}
                    found = await send(caller, "who", version=version, attachments=said)
                    assert found.value == f"{group}/{version}"
            await caller.close()

    asyncio.run(run())
    with pytest.raises(ValueError, match="offered twice"):
        Serving(None, Offer(STOCK, {}), Offer(STOCK, {}, version="0.0.0"))


def test_echo_and_generic_calls() -> None:
    async def story(world: World) -> None:
        caller = await world.caller()
        for value in ("there", 7, [1, {"a": 2}], None):
            assert (await world.ask(caller, "$echo", value)).value == value
        for generic in ("true", "raw.return"):
            args = ("left", ["java.lang.String", "int"], ["book", 3])
            types = "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;"
            found = await world.ask(caller, "$invoke", *args, attachments={"generic": generic}, parameter_types=types)
            assert found.value == "book:3"
        found = await world.ask(
            caller, "$invoke", *args, attachments={"generic": "nativejava"}, parameter_types=types
        )  # fmt: skip
        assert found.status == Status.BAD_REQUEST and "generic=true" in (found.exception or "")

    play(story)


@pytest.mark.parametrize("value", [object(), {1, 2}, 2**64, [object()]])
def test_a_result_that_cannot_be_sent(value: Any) -> None:
    async def run() -> None:
        async with Serving(None, Offer(STOCK, {"give": lambda: value})) as serving:
            caller = await Caller.connect(f"127.0.0.1:{serving.port}")
            found = await send(caller, "give")
            assert found.status == Status.BAD_RESPONSE
            assert "the result of give cannot be sent" in (found.exception or "")
            assert (await send(caller, "$echo", 1)).value == 1
            await caller.close()

    asyncio.run(run())


def test_a_result_that_holds_itself() -> None:
    inside: list[Any] = []
    inside.append(inside)
    with pytest.raises(RecursionError):
        hessian.encode(inside)

    async def run() -> None:
        async with Serving(None, Offer(STOCK, {"give": lambda: inside})) as serving:
            caller = await Caller.connect(f"127.0.0.1:{serving.port}")
            found = await send(caller, "give")
            assert found.status == Status.BAD_RESPONSE and "holds itself" in (found.exception or "")
            await caller.close()

    asyncio.run(run())


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_leaves_says_so_and_ends_what_was_begun(backend: str) -> None:
    async def story(world: World) -> None:
        caller, idle = await world.caller(), await world.caller()
        slow = send(caller, "slow", "done")
        await until(lambda: world.inside == 1)
        assert (await world.ask(idle, "left", "a")).value == "a:0"
        leaving = asyncio.ensure_future(world.serving._server.leave())
        for one in (caller, idle):
            await until(lambda one=one: [dubbo.event(frame.raw) for frame in one.events] == ["readonly"])  # type: ignore
        late = await world.caller()
        await until(lambda: [dubbo.event(frame.raw) for frame in late.events] == ["readonly"])
        assert (await world.ask(late, "left", "b")).value == "b:0"  # who has not heard of it yet
        assert not leaving.done()
        world.gate.set()
        assert (await slow).value == "done"
        await leaving

    play(story, backend)


def test_the_block_ends_when_calls_have_ended() -> None:
    async def run() -> None:
        world = World()
        async with world.serving:
            caller = await world.caller()
            slow = send(caller, "slow", "done")
            await until(lambda: world.inside == 1)
            asyncio.get_running_loop().call_soon(world.gate.set)
        assert (await slow).value == "done"
        await until(caller.closed.is_set)
        with pytest.raises(ConnectionRefusedError):
            await Caller.connect(f"127.0.0.1:{world.serving.port}")
        await caller.close()

    asyncio.run(run())


def test_calls_that_do_not_end_are_cut_off() -> None:
    async def run() -> None:
        world = World(leave=0.05)
        async with world.serving:
            caller = await world.caller()
            slow = send(caller, "slow", "done")
            await until(lambda: world.inside == 1)
        with pytest.raises(ConnectionResetError):
            await slow
        assert world.inside == 0 and world.serving.calls == 0
        await caller.close()

    asyncio.run(run())


def test_a_port_that_is_taken() -> None:
    async def run() -> None:
        async with Serving(None, Offer(STOCK, {}), limits=Limits(quiet=0)) as serving:
            with pytest.raises(OSError, match="address already in use"):
                async with Serving(None, Offer(STOCK, {}), port=serving.port):
                    raise AssertionError

    asyncio.run(run())
