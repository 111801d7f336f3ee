"""The sidecar as a process among others: taken addresses, signals, sockets in the file system."""

from __future__ import annotations

import asyncio
import os
import signal
import stat

import pytest
from peers import Caller, Frame, Provider, closing, mesh, until
from proxies import BACKENDS, PATIENCE, ends, inbound, outbound, proxy

CART = "com.x.Cart"


@pytest.mark.parametrize("workers", [(1, 1), (1, 2), (2, 1), (2, 2)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_second_one_at_the_same_address_is_an_error(tmp_path, backend, workers):
    async def story() -> None:
        base = await Provider("base").start()
        policy = mesh((base, ""))
        first = proxy(tmp_path / "first", backend, [outbound()], policy, workers=workers[0])
        async with closing(base), first as side:
            taken = side.address("out")
            again = [outbound(f"tcp://{taken}")]
            second = proxy(tmp_path / "second", backend, again, policy, ready=False, workers=workers[1])
            async with second as other:
                assert other.ended, f"both listen at {taken}"
                assert other.process.returncode == 1
                assert taken in other.log and "in use" in other.log, other.log
                assert "Traceback" not in other.log
            callers = [await Caller.connect(taken) for _ in range(20)]
            async with closing(*callers):  # the first one has lost nothing by it
                assert {(await one.ask(CART)).value for one in callers} == {"base:x"}

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_unix_address_in_use_is_an_error(tmp_path, backend):
    async def story() -> None:
        base = await Provider("base").start()
        policy, bind = mesh((base, "")), f"unix://{tmp_path / 'out.sock'}"
        async with closing(base), proxy(tmp_path / "first", backend, [outbound(bind)], policy) as side:
            async with proxy(tmp_path / "second", backend, [outbound(bind)], policy, ready=False) as other:
                assert other.ended and other.process.returncode == 1
                assert str(tmp_path / "out.sock") in other.log, other.log
            caller = await Caller.connect(bind)
            async with closing(caller):
                assert (await caller.ask(CART)).value == "base:x"
            side.process.kill()  # what a crash leaves behind is no obstacle
            await side.process.wait()
        async with proxy(tmp_path / "third", backend, [outbound(bind)], policy) as side:
            side.process.send_signal(signal.SIGTERM)
            assert await ends(side) == 0

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_unix_socket_has_one_mode_and_goes_with_its_sidecar(tmp_path, backend):
    path = tmp_path / "out.sock"

    async def mode(umask: int) -> int:
        async with proxy(tmp_path / f"{umask:o}", backend, [outbound(f"unix://{path}")], umask=umask) as side:
            found = stat.S_IMODE(os.stat(path).st_mode)
            side.process.send_signal(signal.SIGTERM)
            assert await ends(side) == 0
        return found

    async def story() -> None:
        modes = []
        for umask in (0o000, 0o022, 0o077):
            modes.append(await mode(umask))
            assert not path.exists(), f"left behind after a run with umask {umask:o}"
        assert len(set(modes)) == 1, [oct(one) for one in modes]
        assert modes[0] & 0o600 == 0o600

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_signal_that_asks_for_no_end_ends_nothing(tmp_path, backend, name):
    """A call is in flight: it is answered, and so are those after it."""
    go = asyncio.Event()

    async def work(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        await go.wait()
        writer.write(provider.answer(frame))

    async def story() -> None:
        base = await Provider("base", work).start()
        async with closing(base), proxy(tmp_path, backend, [outbound()], mesh((base, ""))) as side:
            caller = await Caller.connect(side.address("out"))
            async with closing(caller):
                due = caller.ask(CART, "a")
                await until(lambda: bool(base.requests), PATIENCE)
                side.process.send_signal(signal.Signals[name])
                # It has been handled when a page is answered: signals are the same thread's.
                for _ in range(3):
                    assert await side.get("/ready") == b"ready\n"
                go.set()
                assert (await due).value == "base:a"
                assert (await caller.ask(CART, "b")).value == "base:b"
                assert not side.ended

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_hangup_reads_the_configuration_again(tmp_path, backend):
    """At once and whether files seem changed or not; what is wrong is told, and the last good one stays."""

    async def story() -> None:
        base, other = await Provider("base").start(), await Provider("other").start()
        async with closing(base, other), proxy(tmp_path, backend, [outbound()], mesh((base, ""))) as side:
            caller = await Caller.connect(side.address("out"))
            async with closing(caller):
                assert (await caller.ask(CART)).value == "base:x"
                for _ in range(2):
                    before = len(side.log)
                    side.process.send_signal(signal.SIGHUP)
                    await until(lambda at=before: "configuration" in side.log[at:] or side.ended, PATIENCE)
                    assert not side.ended
                side.write(mesh((other, "")))
                side.process.send_signal(signal.SIGHUP)
                async with asyncio.timeout(PATIENCE):
                    while (await caller.ask(CART)).value != "other:x":
                        pass
                side.write("kind: [")
                side.process.send_signal(signal.SIGHUP)
                await until(lambda: "refused" in side.log, PATIENCE)
                assert (await caller.ask(CART)).value == "other:x"

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("again", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_second_one_to_end_ends_at_once(tmp_path, backend, again):
    """The drain would last an hour: a call is in flight that nobody answers."""

    async def never(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        return

    async def story() -> None:
        app = await Provider("app", never).start()
        limits = {"drainTimeout": "1h", "callTimeout": "1h"}
        async with closing(app), proxy(tmp_path, backend, [inbound(app.address)], limits=limits) as side:
            caller = await Caller.connect(side.address("in"))
            async with closing(caller):
                due = caller.ask(CART)
                await until(lambda: bool(app.requests), PATIENCE)
                side.process.send_signal(signal.SIGTERM)
                await until(lambda: bool(caller.events), PATIENCE)  # READONLY: it drains
                side.process.send_signal(signal.Signals[again])
                await ends(side)
                assert "Traceback" not in side.log
                await asyncio.gather(due, return_exceptions=True)

    asyncio.run(asyncio.wait_for(story(), 60))
