"""Dubbo connections that cannot go on in the next sidecar, or that it does not take: nothing is lost where they are."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest
from moving_world import Pipelined, World, world
from peers import Caller, Frame, Provider, argument, closing, read_frame, until
from proxies import BACKENDS, PATIENCE, ends
from takeovers import CART
from test_takeover_deaths import Held, drop, passed

from meshfast import dubbo, passing
from meshfast.passing import SIDECAR

SHORT = {"passTimeout": 20}
LONG = 4_000_000


class Late:
    """A handler: who asks for "late" waits until it is ``free``; who asks for "long" is answered with that much."""

    def __init__(self) -> None:
        self.free, self.asked = asyncio.Event(), asyncio.Event()

    async def __call__(self, provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        if argument(frame) == "late":
            self.asked.set()
            asyncio.ensure_future(self._late(provider, writer, frame))
        elif argument(frame) == "long":
            writer.write(dubbo.encode_response(frame.id, "x" * LONG))
        else:
            writer.write(provider.answer(frame))

    async def _late(self, provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        await self.free.wait()
        writer.write(provider.answer(frame))


async def value(caller: Caller, said: str) -> object:
    return (await asyncio.wait_for(caller.ask(CART, said), PATIENCE)).value


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_that_takes_its_time(tmp_path, backend):
    """Longer than passTimeout: its connection is told READONLY, and is served to the end."""

    async def story() -> None:
        late = Late()
        async with world(tmp_path, backend, limits=SHORT, handler=late) as one:
            stays, goes = [await Caller.connect(one.side.address("out")) for _ in range(2)]
            async with closing(stays, goes):
                assert await value(goes, "x") == "other:x"
                answer = stays.ask(CART, "late")
                await late.asked.wait()
                await one.next()
                await until(lambda: bool(stays.events), PATIENCE)
                assert await value(stays, "meanwhile") == "other:meanwhile"
                assert await value(goes, "y") == "other:y"
                late.free.set()
                assert (await asyncio.wait_for(answer, PATIENCE)).value == "other:late"
                await stays.close()
                assert await one.ended() == (1, 1)
                assert goes.events == []

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_does_not_read_what_waits(tmp_path, backend):
    """Answers that the kernel does not take are the old sidecar's to deliver."""

    async def story() -> None:
        async with world(tmp_path, backend, limits=SHORT, handler=Late()) as one:
            host, _, port = one.side.address("out").rpartition(":")
            sock = socket.create_connection((host, int(port)))  # which nobody reads
            sock.sendall(b"".join(dubbo.encode_request(n, CART, "hi", ("long",)) for n in range(8)))
            await until(lambda: len(one.other.requests) == 8, PATIENCE)
            await one.next()
            await until(lambda: "stay until they leave" in one.was[0].log, PATIENCE)
            reader, writer = await asyncio.open_connection(sock=sock)
            left = set(range(8))
            while left:
                frame = await asyncio.wait_for(read_frame(reader), PATIENCE)
                assert frame is not None
                if frame.head.is_event:
                    continue
                left.remove(frame.id)
                assert dubbo.decode_response(frame.raw).value == "x" * LONG
            last = await asyncio.wait_for(read_frame(reader), PATIENCE)
            assert last is None or last.head.is_event  # as it had ended by then
            writer.close()
            assert await one.ended() == (0, 1)

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_has_said_all(tmp_path, backend):
    """Its answer comes, then the end."""

    async def story() -> None:
        late = Late()
        async with world(tmp_path, backend, limits=SHORT, handler=late) as one:
            caller = await Caller.connect(one.side.address("out"))
            async with closing(caller):
                answer = caller.ask(CART, "late")
                await late.asked.wait()
                caller.writer.write_eof()
                await one.next()
                late.free.set()
                assert (await asyncio.wait_for(answer, PATIENCE)).value == "other:late"
                await asyncio.wait_for(caller.closed.wait(), PATIENCE)
                await one.ended()

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


@pytest.mark.parametrize("backend", BACKENDS)
def test_callers_that_leave_at_any_moment(tmp_path, backend):
    """Between two calls, with half a frame said, with a call in flight: that harms nobody else."""

    async def story() -> None:
        async with world(tmp_path, backend) as one, closing(await Caller.connect(one.side.address("out"))) as (kept,):
            address, ended = one.side.address("out"), False
            load = Pipelined(kept, "other")

            async def come_and_go(part: int | None) -> None:
                while not ended:
                    caller = await Caller.connect(address)
                    async with closing(caller):
                        assert await value(caller, "x") == "other:x"
                        caller.writer.write(dubbo.encode_request(9, CART, "hi", ("y",))[:part])

            tasks = [asyncio.create_task(come_and_go(part)) for part in (0, 20, None)]
            for _ in range(4):
                await load.more()
                await one.next()
                await one.ended()
            ended = True
            await asyncio.gather(*tasks)
            await load.end()
            assert load.errors == [] and kept.events == []
            await until_alone(one)

    async def until_alone(one: World) -> None:
        """Nothing of who has left is left."""
        async with asyncio.timeout(PATIENCE):
            while (await one.side.counters())["downstream_active"] > 1:
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(story(), 4 * PATIENCE))


async def successor(one: World) -> tuple[passing.Channel, Held]:
    """One that takes over by hand, up to where connections come: they are the last of what it has."""
    channel = await passing.dial(one.state, SIDECAR)
    assert channel is not None
    await channel.send({"want": "takeover"})
    held = await passed(channel)
    keys = [said["at"] for said, _ in held if "at" in said]
    await channel.send({"ready": keys, "connections": keys})
    found = await asyncio.wait_for(channel.recv(), PATIENCE)
    assert found is not None and "connections" in found[0]
    held.append(found)
    return channel, held


@pytest.mark.parametrize("how", ["dies", "has another number", "says anything"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_next_one_does_not_take_them(tmp_path, backend, how):
    """The old one goes on with them, and says READONLY."""

    async def story() -> None:
        async with world(tmp_path, backend) as one:
            caller = await Caller.connect(one.side.address("out"))
            async with closing(caller):
                assert await value(caller, "x") == "other:x"
                channel, held = await successor(one)
                answer = caller.ask(CART, "y")  # nobody reads it
                if how == "has another number":
                    await channel.send({"have": 7})
                elif how == "says anything":
                    await channel.send({"what": "is this"})
                if how != "dies":
                    assert await asyncio.wait_for(channel.recv(), PATIENCE) == ({"back": True}, [])
                drop(held)
                channel.close()
                assert (await asyncio.wait_for(answer, PATIENCE)).value == "other:y"
                await until(lambda: bool(caller.events), PATIENCE)
                assert await value(caller, "z") == "other:z"
            assert await ends(one.side) == 0
            assert "takes no more connections" in one.side.log and " 0 lost" in one.side.log, one.side.log

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


@pytest.mark.parametrize("last", ["nothing", "go", "back", "yours"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_the_old_one_says_last(tmp_path, backend, last):
    """It dies, or has its last word: the next one goes on with what it holds, unless the old one does."""

    async def story() -> None:
        async with world(tmp_path, backend) as one:
            channel = await passing.dial(one.state, SIDECAR)
            assert channel is not None
            await channel.send({"want": "takeover"})
            held = await passed(channel)
            one.side.process.kill()
            await one.side.process.wait()
            channel.close()
            caller = await Caller.connect(one.side.address("out"))
            async with closing(caller):
                answer = caller.ask(CART, "x")
                plays = asyncio.ensure_future(old(held, last))
                side = await one.next()
                await plays
                if last in ("nothing", "go"):
                    assert (await asyncio.wait_for(answer, PATIENCE)).value == "other:x"
                    assert (await side.counters())["connections_adopted"] == 1
                else:
                    with pytest.raises(ConnectionError):
                        await asyncio.wait_for(answer, PATIENCE)
                    assert (await side.counters())["connections_adopted"] == 0

    asyncio.run(asyncio.wait_for(story(), 3 * PATIENCE))


async def old(held: Held, last: str) -> None:
    """Plays the sidecar that runs, with a connection of which nobody has read anything yet."""
    with socket.socket(fileno=os.dup(held[0][1][0])) as listening:
        listening.setblocking(False)
        taken, _ = await asyncio.get_running_loop().sock_accept(listening)
    door = passing.Door(held[-1][1][0], SIDECAR)
    channel = await door.accept()
    await channel.recv()
    for said, fds in held:
        await channel.send(said, fds)
    drop(held)
    found = await channel.recv()
    assert found is not None
    with taken:
        key = next(key for key in found[0]["connections"] if key.endswith("#out"))
        await channel.send({"keys": [key], "connections": [[0, False, 0, 0, 0]]}, [taken.fileno()])
        assert await channel.recv() == ({"have": 1}, [])
    if last != "nothing":
        await channel.send({last: True})
        if last != "yours":
            await channel.send({"yours": True})
    door.close()
    channel.close()
