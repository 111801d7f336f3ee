"""Callback arguments: a provider would call back over a connection that other callers share, so they are refused."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from engines import BACKENDS, PATIENCE, play, running
from peers import Caller, Provider, closing, read_frame

from meshfast import dubbo, hessian

CART = "com.x.Cart"
ADVICE = re.compile(r"meshfast: callback arguments \(sys_callback_arg-\*\).*protocol: tcp.*directly")
WIRE = Path(__file__).parents[1] / "wire"


def fastjson2() -> bytes:
    """A recorded request that names its argument in an attachment of as many letters."""
    for line in (WIRE / "java-3.3-fastjson2.txt").read_text().splitlines():
        if line.startswith("request-echo "):
            raw = bytes.fromhex(line.split()[1])
            name = next(n for n in (b"remote.application", b"interface") if n in raw)
            assert name == b"remote.application", "no attachment has a name of that length"
            return raw.replace(name, b"sys_callback_arg-1")
    raise AssertionError("no such request")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("direction", ["outbound", "inbound"])
def test_only_that_call_is_refused_and_at_once(backend, direction):
    async def story() -> None:
        base = await Provider("base").start()
        listen = {"direction": direction} | ({"forward": base.address} if direction == "inbound" else {})
        with running(backend, (base, ""), **listen) as engine:
            caller = await Caller.connect(engine.address)
            async with closing(base, caller):
                values: list[hessian.Value] = ["1234", 7, None, ["1", "2"]]
                for n, value in enumerate(values * 3, 1):  # the same again too: what was read once is remembered
                    good = caller.ask(CART)
                    answer = await asyncio.wait_for(
                        caller.ask(CART, attachments={"a": "b", "sys_callback_arg-1": value, "c": "d"}), PATIENCE
                    )
                    assert answer.status == dubbo.Status.BAD_REQUEST
                    assert ADVICE.search(answer.exception or ""), answer
                    assert (await good).value == "base:x"
                    assert engine.count("calls_callback") == n
                other = await asyncio.open_connection(*engine.address.split(":"))
                other[1].write(fastjson2())
                frame = await asyncio.wait_for(read_frame(other[0]), PATIENCE)
                assert frame and frame.head.status == dubbo.Status.BAD_REQUEST
                assert ADVICE.search(frame.raw.decode("latin-1")) and frame.raw[4:12] == fastjson2()[4:12]
                other[1].close()
                assert engine.count("calls_callback") == 13
                assert engine.count("bad_frames") == 0
                for name in ("sys_callback_arg", "Sys_callback_arg-1", "callback.service.instid"):
                    answer = await asyncio.wait_for(caller.ask(CART, attachments={name: "1"}), PATIENCE)
                    assert answer.value == "base:x", name

    play(story)


def test_one_way_ones_are_counted():
    async def story() -> None:
        base = await Provider("base").start()
        with running("epoll", (base, "")) as engine:
            caller = await Caller.connect(engine.address)
            async with closing(base, caller):
                attachments: dict[str, hessian.Value] = {"sys_callback_arg-0": "1"}
                caller.writer.write(dubbo.encode_request(1, CART, "hi", ("x",), attachments, two_way=False))
                await engine.reaches("calls_callback")
                assert (await caller.ask(CART)).value == "base:x"
                assert len(base.requests) == 1

    play(story)
