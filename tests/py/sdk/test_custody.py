"""An application that serves by the SDK takes who calls in while its sidecar is away: nobody is refused."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from grpcs import Raw
from peers import Caller, until
from proxies import BACKENDS, PATIENCE, ends, inbound, proxy
from takeovers import CART, load

from meshfast.sdk import wrapped
from meshfast.sdk.serve import Offer, Serving
from meshfast.sdk.server import Server

TIMES = 5
WIDTH = 2


def offered() -> Offer:
    return Offer(CART, {"hi": lambda said: f"app:{said}"})


def sidecar(folder: Path, backend: str, serving: Serving, *args: str, workers: int = 1, bind: str = "tcp://127.0.0.1:0"):  # type: ignore[no-untyped-def]
    listeners = [inbound(f"127.0.0.1:{serving.port}", bind)]
    more = {"state": str(folder / "state")}
    return proxy(folder / "one", backend, listeners, more=more, args=args, workers=workers)


async def kept(serving: Serving) -> None:
    """Until the sidecar's listeners are, and it takes who comes."""
    custody = serving.custody
    assert custody is not None
    await until(lambda: bool(custody.kept) and not custody.takes, PATIENCE)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sidecar_that_is_killed_leaves_nobody_refused(tmp_path, backend, workers):
    """Five times, under a load of new connections: of what was in its hands each time as much may be lost as there was,
    and everybody else is served, by the application, then by the next sidecar."""

    async def story() -> None:
        async with Serving(None, offered(), state=str(tmp_path / "state")) as serving:
            custody = serving.custody
            assert custody is not None
            bind = ""
            for _ in range(TIMES):
                async with sidecar(tmp_path, backend, serving, workers=workers) as side:
                    assert side.address("in") == (bind or side.address("in"))
                    bind = side.address("in")
                    await kept(serving)
                    before = (await side.counters())["answers"]
                    async with load(bind, WIDTH, killed=True) as calls:
                        await calls.more()
                        assert (await side.counters())["answers"] > before  # by way of it
                        side.process.send_signal(signal.SIGKILL)
                        await side.process.wait()
                        await until(lambda: custody.takes, PATIENCE)
                        await calls.more()
                        async with sidecar(tmp_path, backend, serving, workers=workers) as after:
                            await kept(serving)
                            await calls.more()
                            assert (await after.counters())["answers"] > 0
                            calls.end()
                            assert await stopped(after) == 0
                    assert calls.errors == [] and calls.lost <= 2 * WIDTH

    asyncio.run(asyncio.wait_for(story(), 6 * PATIENCE))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sidecar_that_is_started_anew_loses_no_call(tmp_path, backend):
    """Told to stop, under a load of kept and of new connections. Who was let in by the application stays with it."""

    async def story() -> None:
        async with Serving(None, offered(), state=str(tmp_path / "state")) as serving, AsyncExitStack() as stack:
            custody = serving.custody
            assert custody is not None
            side = await stack.enter_async_context(sidecar(tmp_path, backend, serving))
            await kept(serving)
            async with load(side.address("in"), WIDTH) as calls:
                for n in range(1, TIMES):
                    await calls.more()
                    assert await stopped(side) == 0
                    assert " 0 lost" in side.log and "cut off" not in side.log, side.log
                    await until(lambda: custody.takes, PATIENCE)
                    assert custody.times == n
                    await calls.more()
                    side = await stack.enter_async_context(sidecar(tmp_path, backend, serving))
                    await kept(serving)
                    answers = (await side.counters())["answers"]
                    await calls.more()
                    assert (await side.counters())["answers"] > answers
            assert calls.errors == []

    asyncio.run(asyncio.wait_for(story(), 6 * PATIENCE))


def test_who_was_taken_in_the_last_turn_is_served():
    """The next sidecar is there in the very turn in which the application takes somebody."""

    async def story() -> None:
        loop, server, offer = asyncio.get_running_loop(), Server(), offered()
        server.performer.offers[offer.key] = offer.offered()
        try:
            for _ in range(20):
                listening = socket.create_server(("127.0.0.1", 0))
                at = listening.getsockname()
                adopted = server.adopt(listening)
                dialled = socket.create_connection(at)
                loop.call_later(0, adopted.close)  # timers come behind what is to be read
                caller = Caller(*await asyncio.open_connection(sock=dialled))
                assert (await asyncio.wait_for(caller.ask(CART, "x"), PATIENCE)).value == "app:x"
                await caller.close()
        finally:
            await server.stop()

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


@pytest.mark.parametrize("backend", BACKENDS)
def test_callers_by_http2_are_taken_as_well(tmp_path, backend):
    """By the sidecar, by the application while it is away, and by the next sidecar; nobody in between is refused."""

    def call(at: str) -> object:
        client = Raw(int(at.rpartition(":")[2]))
        try:
            messages, status = client.call(f"/{CART}/hi", wrapped.request("hi", ["x"], None))
            assert status == 0
            return wrapped.value(messages[0])
        finally:
            client.close()

    async def story() -> None:
        both = Offer(CART, {"hi": lambda said: f"app:{said}"}, protocols=("dubbo", "tri"))
        async with Serving(None, both, state=str(tmp_path / "state")) as serving:
            custody = serving.custody
            assert custody is not None
            async with sidecar(tmp_path, backend, serving) as side:
                await kept(serving)
                bind = side.address("in")
                assert await asyncio.to_thread(call, bind) == "app:x"
                assert (await side.counters())["answers"] == 1
                side.process.send_signal(signal.SIGKILL)
                await side.process.wait()
                for _ in range(10):
                    assert await asyncio.to_thread(call, bind) == "app:x"
                assert custody.takes and custody.times == 1
                async with sidecar(tmp_path, backend, serving) as after:
                    await kept(serving)
                    for _ in range(10):
                        assert await asyncio.to_thread(call, bind) == "app:x"
                    assert (await after.counters())["answers"] == 10

    asyncio.run(asyncio.wait_for(story(), 6 * PATIENCE))


async def stopped(side) -> int:  # type: ignore[no-untyped-def]
    side.process.send_signal(signal.SIGTERM)
    return await ends(side)
