"""Whose word on a trace's label counts where calls come in: one caller never turns another's calls over, nor makes the
memory forget them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from engines import BACKENDS, PATIENCE, Running, play, running
from peers import Caller, Provider, closing, mesh

from meshfast import _core, dubbo

CART = "com.x.Cart"
HOUR = 3_600_000_000_000
FLOOD = 90_000


async def from_address(address: str, host: str) -> Caller:
    """A caller on an address of its own."""
    to, _, port = address.rpartition(":")
    return Caller(*await asyncio.open_connection(to, int(port), local_addr=(host, 0)))


class Side:
    """Both listeners of a sidecar: what comes in is for the application, which calls out with a trace id only."""

    def __init__(self, inside: Running, outside: Running, app: Provider, callers: list[Caller]) -> None:
        self.inside, self.outside, self.app = inside, outside, app
        self.first, self.second, self.own = callers

    async def comes_in(self, caller: Caller, trace: str, env: str | None) -> dubbo.Request:
        """One call that comes in, as the application sees it."""
        extra = {"x-request-id": trace} | ({} if env is None else {"env": env})
        answer = await asyncio.wait_for(caller.ask("com.x.App", attachments=extra), PATIENCE)
        assert answer.status == dubbo.Status.OK
        return dubbo.parse_request(self.app.requests[-1].raw)

    async def goes_out(self, trace: str) -> object:
        return (await asyncio.wait_for(self.own.ask(CART, attachments={"x-request-id": trace}), PATIENCE)).value


@asynccontextmanager
async def side(backend: str, labels: str, entries: int = 65536) -> AsyncIterator[Side]:
    app, *carts = [await Provider(name).start() for name in ("app", "base", "dev1", "dev2")]
    trace = _core.TraceMemory(entries, HOUR)
    listed = list(zip(carts, ("", "dev1", "dev2"), strict=True))
    policy = mesh(*listed)
    with (
        running(backend, policy=policy, trace=trace, direction="inbound", forward=app.address, labels=labels) as inside,
        running(backend, policy=policy, trace=trace) as outside,
    ):
        callers = [await from_address(inside.address, host) for host in ("127.0.0.2", "127.0.0.3")]
        callers.append(await Caller.connect(outside.address))
        async with closing(app, *carts, *callers):
            yield Side(inside, outside, app, callers)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_flood_of_one_caller_washes_out_no_others_trace(backend):
    async def story() -> None:
        async with side(backend, "keep-first") as it:
            traces = [f"mine-{n}" for n in range(200)]
            for trace in traces:
                await it.comes_in(it.first, trace, "dev1")
            extra = {"x-request-id": "f00000", "env": "dev2"}
            one = dubbo.encode_request(1, "com.x.App", "hi", ("x",), extra, two_way=False)
            before, _, behind = one.partition(b"f00000")
            for start in range(0, FLOOD, 3000):
                some = range(start, start + 3000)
                it.second.writer.write(b"".join(before + b"f%05d" % n + behind for n in some))
                await it.second.writer.drain()
            await it.inside.reaches("calls_one_way", FLOOD)
            assert it.inside.count("labels_evicted") > 1000
            assert {await it.goes_out(trace) for trace in traces} == {"dev1:x"}

    play(story)


@pytest.mark.parametrize("labels", ["keep-first", "trust"])
def test_a_second_caller(labels):
    """It cannot turn a trace over, unless callers are trusted; what it says is counted."""

    async def story() -> None:
        async with side("epoll", labels) as it:
            assert (await it.comes_in(it.first, "t1", "dev1")).attachments["env"] == "dev1"
            assert await it.goes_out("t1") == "dev1:x"
            assert (await it.comes_in(it.second, "t1", "dev2")).attachments["env"] == "dev2"
            assert it.inside.count("labels_conflict") == 1
            assert await it.goes_out("t1") == ("dev1:x" if labels == "keep-first" else "dev2:x")
            await it.comes_in(it.second, "t1", "dev1")
            assert await it.goes_out("t1") == "dev1:x"

    play(story)


def test_callers_labels_end_where_they_are_stripped():
    """Neither is remembered, nor can the application pass it on; what says none goes on as it came."""

    async def story() -> None:
        async with side("epoll", "strip") as it:
            seen = await it.comes_in(it.first, "t1", "dev1")
            assert seen.attachments["env"] == ""
            assert seen.attachments["x-request-id"] == "t1"
            assert await it.goes_out("t1") == "base:x"
            for none in (None, ""):
                await it.comes_in(it.first, "t1", none)
                caller_id = b"\x00" * 8
                sent = dubbo.encode_request(
                    0, "com.x.App", "hi", ("x",), {"x-request-id": "t1"} | ({} if none is None else {"env": none})
                )
                raw = it.app.requests[-1].raw
                assert raw[:4] + caller_id + raw[12:] == sent
            # What the application says itself is its own.
            answer = await it.own.ask(CART, attachments={"x-request-id": "t1", "env": "dev2"})
            assert answer.value == "dev2:x"

    play(story)
