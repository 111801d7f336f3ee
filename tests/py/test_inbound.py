"""The application behind an inbound listener goes and comes back: callers are told, and calls find another instance."""

from __future__ import annotations

import asyncio

import pytest
from peers import Caller, Provider, closing, mesh, until
from proxies import BACKENDS, PATIENCE, inbound, outbound, proxy

from meshfast import dubbo

CART = "com.x.Cart"


def told(*callers: Caller) -> set[str]:
    """What each was told last: `readonly`, `writeable`, or nothing yet."""
    words = {b"R": "readonly", b"W": "writeable"}
    return {([""] + [words[e.raw[-1:]] for e in one.events if e.raw[-1:] in words])[-1] for one in callers}


@pytest.mark.parametrize("backend", BACKENDS)
def test_callers_are_told_when_it_goes_and_when_it_is_back(tmp_path, backend):
    """Nobody calls meanwhile: the sidecar looks by itself."""

    async def story() -> None:
        app = await Provider("app").start()
        async with proxy(tmp_path, backend, [inbound(app.address)]) as side:
            used, idle = await Caller.connect(side.address("in")), await Caller.connect(side.address("in"))
            async with closing(used, idle):
                for caller in (used, idle):
                    assert (await caller.ask(CART, "a")).value == "app:a"
                for _ in range(2):
                    await app.stop()
                    await until(lambda: told(used, idle) == {"readonly"}, PATIENCE)
                    app = await Provider("app").start(app.port)
                    await until(lambda: told(used, idle) == {"writeable"}, PATIENCE)
                    assert (await used.ask(CART, "b")).value == "app:b"
        await app.stop()

    asyncio.run(asyncio.wait_for(story(), 120))


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_comes_while_it_is_gone_is_told_too(tmp_path, backend):
    async def story() -> None:
        app = await Provider("app").start()
        async with proxy(tmp_path, backend, [inbound(app.address)]) as side:
            await app.stop()
            late = await Caller.connect(side.address("in"))
            async with closing(late):
                answer = await late.ask(CART)
                assert answer.status == dubbo.Status.SERVER_ERROR
                await until(lambda: told(late) == {"readonly"}, PATIENCE)
                app = await Provider("app").start(app.port)
                await until(lambda: told(late) == {"writeable"}, PATIENCE)
                assert (await late.ask(CART, "b")).value == "app:b"
                await app.stop()

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("label", ["", "dev1"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_goes_on_to_another_instance(tmp_path, backend, label):
    """`no instance here` says that nothing was executed: the call itself goes on, and the next ones go elsewhere.
    With a label its only machine is the one that is gone, and the baseline is what it falls back to."""

    async def story() -> None:
        app, base = await Provider("app").start(), await Provider("base").start()
        near = proxy(tmp_path / "near", backend, [inbound(app.address)])
        async with closing(app, base), near as beside:
            side = Provider("side", address=beside.address("in"))
            policy = mesh((side, label), (base, ""))
            async with proxy(tmp_path / "far", backend, [outbound()], policy) as far:
                caller = await Caller.connect(far.address("out"))
                attachments = {"env": label} if label else {}
                async with closing(caller):

                    async def answers(n: int) -> list[str]:
                        asked = (caller.ask(CART, attachments=attachments) for _ in range(n))
                        return [str(one.value or one.status) for one in await asyncio.gather(*asked)]

                    async with asyncio.timeout(PATIENCE):
                        while "app:x" not in await answers(1):
                            pass
                    await app.stop()
                    async with asyncio.timeout(PATIENCE):  # from here on no call can be in flight to it
                        while (await beside.counters())["upstream_active"]:
                            pass
                    assert set(await answers(50)) == {"base:x"}
                    again = await Provider("app").start(app.port)
                    async with closing(again):
                        async with asyncio.timeout(PATIENCE):
                            while "app:x" not in await answers(1):
                                await asyncio.sleep(0.01)
                        assert set(await answers(50)) <= ({"app:x"} if label else {"app:x", "base:x"})

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("label", ["", "dev1"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_that_found_nobody_goes_on(tmp_path, backend, label):
    """The application is not there from the start, so that the first calls are on their way before anything is told."""

    async def story() -> None:
        app, base = await Provider("app").start(), await Provider("base").start()
        await app.stop()
        near = proxy(tmp_path / "near", backend, [inbound(app.address)])
        async with closing(base), near as beside:
            side = Provider("side", address=beside.address("in"))
            policy = mesh((side, label), (base, ""))
            async with proxy(tmp_path / "far", backend, [outbound()], policy) as far:
                caller = await Caller.connect(far.address("out"))
                attachments = {"env": label} if label else {}
                async with closing(caller):
                    asked = (caller.ask(CART, attachments=attachments) for _ in range(50))
                    answers = [str(one.value or one.status) for one in await asyncio.gather(*asked)]
                    assert set(answers) == {"base:x"}, answers
                    assert len(base.requests) == 50

    asyncio.run(asyncio.wait_for(story(), 60))
