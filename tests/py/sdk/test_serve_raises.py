"""What a handler raises, and what it does not heed, ends its own call and nobody else's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from peers import Caller, until
from served_world import STOCK, World, play

from meshfast import dubbo, hessian
from meshfast.dubbo import Status
from meshfast.sdk.serve import Limits, Offer, Serving
from meshfast.sdk.shapes import Method


class Unusual(BaseException):
    """None that `except Exception` sees."""


class Mute(Exception):
    def __str__(self) -> str:
        raise SystemExit("no words")


def grown(deep: int = 60) -> bytes:
    """A value of some hundred bytes that is in itself 2 ** ``deep`` times."""
    inner = b"".join(bytes((0x51,)) + hessian._encode_int(at) for at in range(deep, 0, -1))
    return b"\x7a" * deep + b"\x7a\x90\x90" + inner


def call(number: int, method: str, types: str, *values: bytes, attachments: bytes = b"HZ") -> bytes:
    body = b"".join(map(hessian.encode, ("2.0.2", STOCK, "0.0.0", method, types))) + b"".join(values) + attachments
    return bytes((0xDA, 0xBB, 0xC2, 0)) + number.to_bytes(8, "big") + len(body).to_bytes(4, "big") + body


def offer(world: World, raises: Any) -> None:
    """One method more, ``raises``."""
    methods = world.serving._server.performer.offers[world.serving._offers[0].key].methods
    methods["raises"] = Method("raises", raises)  # type: ignore[index]


def test_what_is_no_exception_of_the_usual_kind_is_answered_too() -> None:
    async def raises(what: str) -> None:
        raise {"exit": SystemExit("3"), "unusual": Unusual("words"), "mute": Mute()}[what]

    async def story(world: World) -> None:
        offer(world, raises)
        caller = await world.caller()
        found = [(await world.ask(caller, "raises", what)).exception for what in ("exit", "unusual", "mute")]
        assert found == ["3", "words", "Mute"]
        assert (await world.ask(caller, "left", "fine")).value == "fine:0"

    play(story)


@pytest.mark.parametrize("threaded", [False, True])
@pytest.mark.parametrize("way", ["itself", "its cause", "of the types"])
def test_words_that_no_memory_holds_are_not_said(threaded: bool, way: str) -> None:
    def raises(what: Any) -> None:
        if way == "itself":
            raise ValueError(what)
        if way == "of the types":
            raise TypeError(what)
        raise ValueError("no") from KeyError(what)

    async def later(what: Any) -> None:
        raises(what)

    async def story(world: World) -> None:
        offer(world, raises if threaded else later)
        caller = await world.caller()
        found = await asyncio.wait_for(caller.send(call(1, "raises", "Ljava/lang/Object;", grown())), 30)
        assert found.exception == ("TypeError" if way == "of the types" else "ValueError")
        assert (await world.ask(caller, "left", "fine")).value == "fine:0"

    play(story)


def test_a_generic_call_whose_name_is_none() -> None:
    async def story(world: World) -> None:
        caller = await world.caller()
        types = "Ljava/lang/String;[Ljava/lang/String;[Ljava/lang/Object;"
        data = call(
            1, "$invoke", types, grown(), b"\x78", b"\x78", attachments=hessian.encode({"generic": "true"})
        )  # fmt: skip
        found = await asyncio.wait_for(caller.send(data), 30)
        assert found.status == Status.BAD_REQUEST and "a name" in (found.exception or "")

    play(story)


def test_a_handler_that_does_not_heed_its_end_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("meshfast.sdk.server.STAYS", 0.05)
    gate = asyncio.Event()
    inside: list[asyncio.Task[Any] | None] = []

    async def stays() -> None:
        inside.append(asyncio.current_task())
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                pass

    async def story() -> None:
        async with Serving(None, Offer(STOCK, {"stays": stays}), limits=Limits(leave=0.05)) as serving:
            caller = await Caller.connect(f"127.0.0.1:{serving.port}")
            waits = caller.send(dubbo.encode_request(1, STOCK, "stays", ()))
            await until(lambda: bool(inside))
        with pytest.raises(ConnectionResetError):
            await waits
        await caller.close()
        assert inside[0] is not None and not inside[0].done()
        gate.set()
        await asyncio.wait(inside)  # type: ignore[type-var]

    asyncio.run(asyncio.wait_for(story(), 120))
    assert "1 handler(s) go on" in caplog.text
