"""A takeover that comes to nothing: whoever dies, hangs or is not let in, the other one goes on with all there is."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from peers import Caller, Provider, closing, mesh, until
from proxies import BACKENDS, PATIENCE, ends, outbound, proxy
from takeovers import CART, load

from meshfast import passing
from meshfast.passing import SIDECAR

TAKEOVER = ("--takeover",)


class World:
    """A sidecar with a state directory, and whoever takes over from it by hand."""

    def __init__(self, folder: Path, backend: str, other: Provider) -> None:
        self.folder, self.backend, self.other = folder, backend, other
        self.state = str(folder / "state")
        self.out = ""

    def proxy(self, *args: str, **more: object):  # type: ignore[no-untyped-def]
        return proxy(
            self.folder / "one", self.backend, [outbound(self.out or "tcp://127.0.0.1:0")], mesh((self.other, "")),
            more={"state": self.state}, args=args, **more,
        )  # fmt: skip

    async def ask(self, address: str) -> object:
        caller = await Caller.connect(address)
        async with closing(caller):
            return (await asyncio.wait_for(caller.ask(CART, "x"), PATIENCE)).value


@asynccontextmanager
async def world(folder: Path, backend: str) -> AsyncIterator[World]:
    other = await Provider("other").start()
    async with closing(other):
        yield World(folder, backend, other)


async def dialled(world: World) -> passing.Channel:
    channel = await passing.dial(world.state, SIDECAR)
    assert channel is not None
    return channel


Held = list[tuple[dict[str, object], list[int]]]


async def passed(channel: passing.Channel, most: int = 100) -> Held:
    """What is passed, to the last or as many messages."""
    held: Held = []
    while len(held) < most and (not held or "directory" not in held[-1][0]):
        found = await asyncio.wait_for(channel.recv(), PATIENCE)
        assert found is not None and found[1], found
        held.append(found)
    return held


def drop(held: Held) -> None:
    for _, fds in held:
        for fd in fds:
            os.close(fd)


@pytest.mark.parametrize("steps", [0, 1, 2, 3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_next_one_dies_before_it_is_ready(tmp_path, backend, steps):
    """Before its first word, after it, with some of the sockets, with all that there is."""

    async def story() -> None:
        async with world(tmp_path, backend) as one, one.proxy() as side, load(side.address("out")) as calls:
            for _ in range(3):
                await calls.more(5)
                channel = await dialled(one)
                held: Held = []
                if steps:
                    await channel.send({"want": "takeover"})
                if steps > 1:
                    held = await passed(channel, 1 if steps == 2 else 100)
                channel.close()
                drop(held)
            await calls.more()
            calls.end()
            async with one.proxy(*TAKEOVER) as after:  # which is let in all the same
                assert await ends(side) == 0
                assert await one.ask(after.address("out")) == "other:x"
        assert calls.errors == []

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_one_that_runs_is_killed_while_the_next_gets_ready(tmp_path, backend):
    """The next one has the listeners: who dials meanwhile waits, and is served."""

    async def story() -> None:
        async with world(tmp_path, backend) as one, one.proxy() as side:
            out = side.address("out")
            channel = await dialled(one)
            await channel.send({"want": "takeover"})
            held = await passed(channel)
            keys = [said.get("at", "") for said, _ in held]
            assert keys == ["127.0.0.1:0#out", f"unix://{tmp_path}/one/admin.sock", ""]
            side.process.kill()
            await side.process.wait()
            channel.close()
            caller = await Caller.connect(out)  # refused where nobody has the socket
            async with closing(caller):
                answer = caller.ask(CART, "x")
                before = one.folder / "state" / SIDECAR
                assert before.exists()  # it died
                dead = hand(held)
                async with one.proxy(*TAKEOVER) as after:
                    assert after.address("out") == out
                    assert (await asyncio.wait_for(answer, PATIENCE)).value == "other:x"
                    await dead

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_that_is_refused_at_last_does_not_go_on(tmp_path, backend):
    """It was not ready in time, say: the one that runs goes on, so this one must not."""

    async def story() -> None:
        async with world(tmp_path, backend) as one, one.proxy() as side:
            channel = await dialled(one)
            await channel.send({"want": "takeover"})
            held = await passed(channel)
            late = hand(held, {"refused": "it was late"})
            async with one.proxy(*TAKEOVER, ready=False) as after:
                assert await ends(after) == 1
                await after.task
                assert "does not hand over: it was late" in after.log and "ready:" not in after.log
            await late
            channel.close()
            assert await one.ask(side.address("out")) == "other:x"

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


def hand(held: Held, last: dict[str, object] | None = None) -> asyncio.Future[None]:
    """Plays the sidecar that runs and hands over, with what it was passed itself; and dies before its last word, or
    says another."""
    door = passing.Door(held[-1][1][0], SIDECAR)

    async def serve() -> None:
        channel = await door.accept()
        await channel.recv()
        for said, fds in held:
            await channel.send(said, fds)
        drop(held)
        if last is not None:
            await channel.send(last)
        else:
            assert await channel.recv() is not None
        door.close()
        channel.close()

    return asyncio.ensure_future(serve())


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_takes_over_at_a_time(tmp_path, backend):
    async def story() -> None:
        async with world(tmp_path, backend) as one, one.proxy() as side:
            first = await dialled(one)
            await first.send({"want": "takeover"})
            held = await passed(first)
            async with one.proxy(*TAKEOVER, ready=False) as second:
                assert await ends(second) == 1
                await second.task
                assert f"process {os.getpid()} is taking over already" in second.log
            drop(held)
            first.close()
            assert await one.ask(side.address("out")) == "other:x"
            async with one.proxy(ready=False) as third:  # and without being asked nobody does
                assert await ends(third) == 1
                await third.task
                assert "is in use by another sidecar" in third.log
            async with one.proxy(*TAKEOVER) as fourth:
                assert await ends(side) == 0
                assert await one.ask(fourth.address("out")) == "other:x"

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_next_one_that_cannot_start_changes_nothing(tmp_path, backend):
    """Its configuration is bad, or another address of it is taken: it has the sockets by then."""

    async def story() -> None:
        async with world(tmp_path, backend) as one, one.proxy() as side, load(side.address("out")) as calls:
            taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
            port = taken.sockets[0].getsockname()[1]
            listeners = [outbound(), {**outbound(f"tcp://127.0.0.1:{port}"), "name": "more"}]
            other = proxy(
                tmp_path / "other", backend, listeners, mesh((one.other, "")), more={"state": one.state},
                args=TAKEOVER, ready=False,
            )  # fmt: skip
            async with other as bad:
                assert await ends(bad) == 1
                await bad.task
                assert "cannot start" in bad.log and str(port) in bad.log
            taken.close()
            await until(lambda: "before it was ready: this one goes on" in side.log, PATIENCE)
            await calls.more()
            assert calls.errors == []
            assert (await side.counters())["takeover_refused"] == 1

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_told_to_stop_while_another_takes_over(tmp_path, backend):
    async def story() -> None:
        async with world(tmp_path, backend) as one, one.proxy() as side:
            channel = await dialled(one)
            await channel.send({"want": "takeover"})
            held = await passed(channel)
            side.process.send_signal(signal.SIGTERM)
            found = await asyncio.wait_for(channel.recv(), PATIENCE)
            assert found == ({"refused": "it was told to stop"}, [])
            drop(held)
            assert await ends(side) == 0
            channel.close()

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


def test_without_a_state_directory_there_is_no_takeover(tmp_path):
    async def story() -> None:
        async with proxy(tmp_path / "one", BACKENDS[0], [outbound()], args=TAKEOVER, ready=False) as side:
            assert await ends(side) == 1
            await side.task
            assert "--takeover without `state`" in side.log and "add `state`" in side.log

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


def test_nobody_is_there_to_take_over_from(tmp_path):
    async def story() -> None:
        async with world(tmp_path, BACKENDS[0]) as one, one.proxy(*TAKEOVER) as side:
            assert "starting as ever" in side.log
            assert await one.ask(side.address("out")) == "other:x"

    asyncio.run(asyncio.wait_for(story(), PATIENCE))
