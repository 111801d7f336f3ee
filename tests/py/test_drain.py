"""A sidecar that stops: what it still does for the application beside it, and who hears of it."""

from __future__ import annotations

import asyncio
import signal

import pytest
from peers import Caller, Frame, Provider, closing, mesh, until
from proxies import BACKENDS, PATIENCE, Proxy, ends, inbound, outbound, proxy

CART = "com.x.Cart"
LIMITS = {"drainTimeout": "30s"}


def is_readonly(caller: Caller) -> bool:
    return any(frame.raw[-2:] == b"\x01R" for frame in caller.events)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_application_may_call_until_its_last_answer_is_out(tmp_path, backend, workers):
    """In the middle of a call that came in, while the sidecar drains, the application dials out anew."""
    running: list[Proxy] = []
    caller: list[Caller] = []
    found: list[str] = []

    async def work(app: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        running[0].process.send_signal(signal.SIGTERM)
        await until(lambda: is_readonly(caller[0]), PATIENCE)
        for _ in range(3):  # one after the other, each on a connection of its own
            try:
                out = await Caller.connect(running[0].address("out"))
            except OSError as error:
                found.append(type(error).__name__)
                continue
            async with closing(out):
                found.append(str((await out.ask(CART)).value))
        writer.write(app.answer(frame))

    async def story() -> None:
        app, other = await Provider("app", work).start(), await Provider("other").start()
        listeners = [inbound(app.address), outbound()]
        policy = mesh((other, ""))
        async with closing(app, other), proxy(
            tmp_path, backend, listeners, policy, limits=LIMITS, workers=workers
        ) as side:  # fmt: skip
            running.append(side)
            caller.append(await Caller.connect(side.address("in")))
            async with closing(caller[0]):
                answer = await asyncio.wait_for(caller[0].ask("com.x.Mine"), PATIENCE)
                assert (answer.value, found) == ("app:x", ["other:x"] * 3)
                assert await ends(side) == 0

    asyncio.run(asyncio.wait_for(story(), 90))


@pytest.mark.parametrize("protocol", ["auto", "dubbo"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_who_has_said_nothing_yet_hears_of_it(tmp_path, backend, protocol):
    """A pool dials ahead. Where only Dubbo comes in, such a connection is told at once; else with its first call."""
    go = asyncio.Event()

    async def work(app: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        if app.requests[0] is frame:
            await go.wait()
        writer.write(app.answer(frame))

    async def story() -> None:
        app = await Provider("app", work).start()
        listeners = [inbound(app.address, protocol=protocol)]
        async with closing(app), proxy(tmp_path, backend, listeners, limits=LIMITS) as side:
            busy, mute = await Caller.connect(side.address("in")), await Caller.connect(side.address("in"))
            async with closing(busy, mute):
                first = busy.ask(CART, "a")
                await until(lambda: bool(app.requests), PATIENCE)
                async with asyncio.timeout(PATIENCE):
                    while (await side.counters())["downstream_active"] < 2:
                        pass
                side.process.send_signal(signal.SIGTERM)
                await until(lambda: is_readonly(busy), PATIENCE)
                if protocol == "dubbo":
                    await until(lambda: is_readonly(mute), PATIENCE)
                # Both are on one connection to the application, which answers the first one first.
                second = mute.ask(CART, "b")
                go.set()
                assert (await first).value == "app:a"
                assert (await second).value == "app:b"
                await until(lambda: is_readonly(mute), PATIENCE)
                assert await ends(side) == 0

    asyncio.run(asyncio.wait_for(story(), 90))
