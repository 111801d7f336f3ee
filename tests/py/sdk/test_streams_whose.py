"""A stream is of the loop and the process that began it: others are told so, and neither end nor read it."""

from __future__ import annotations

import asyncio
import sys

import pytest
from flowing_world import TALK, World, play

from meshfast import sdk
from meshfast.errors import StateError

PROGRAM = """
import asyncio, os, sys
from meshfast import sdk
from meshfast.errors import StateError

async def story():
    patient = sdk.Timing(silent=60.0, lost=60.0)
    mesh = sdk.connect("tests", address=sys.argv[1], api="unix://@nobody-is-asked", timeout=60.0, timing=patient)
    async with mesh:
        talk = mesh.service("com.x.Talk", protocol="tri")
        holding = asyncio.ensure_future(talk.call("hold", 1))
        async with talk.stream("chat", sends=True) as chat:
            await chat.send("a")
            assert await anext(chat) == "A"
            child = os.fork()
            if not child:
                fresh = talk.stream("count", 3)
                refused = 0
                steps = lambda: chat.send("x"), chat.end, chat.__anext__, chat.opened, fresh.__anext__, fresh.answer
                for begin in steps:
                    try:
                        begin().send(None)  # as the loop would that it was forked with
                    except StateError as error:
                        refused += "forked" in str(error)

                async def other():
                    try:
                        await anext(talk.stream("count", 3))
                    except StateError as error:
                        return "forked" in str(error)

                refused += bool(asyncio.run(other()))
                client = mesh.clients.of("tri")
                for call in list(client.calls.values()):
                    client.forget(call)  # as who waits for one does, when it is cancelled
                try:
                    chat.__aexit__(None, None, None).send(None)
                except StopIteration:
                    refused += 1
                os._exit(refused)
            status = (await asyncio.to_thread(os.waitpid, child, 0))[1]
            assert os.waitstatus_to_exitcode(status) == 8, status
            for word in ("b", "c"):
                await chat.send(word)
                assert await anext(chat) == word.upper()
            assert await talk.call("once", "x") == "x" and not holding.done()
        holding.cancel()
        assert mesh.counters["falls"] == 0

asyncio.run(story())
"""


def test_a_forked_process_has_no_part_in_a_stream() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        done = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, world.url, stderr=asyncio.subprocess.PIPE
        )
        _, said = await done.communicate()
        assert done.returncode == 0, said.decode()

    play(story)


def test_another_loop_has_no_part_in_a_stream() -> None:
    async def story(world: World, mesh: sdk.Mesh) -> None:
        talk = mesh.service(TALK, protocol="tri")
        async with talk.stream("chat", sends=True) as chat:
            await chat.send("a")

            async def elsewhere() -> None:
                fresh = talk.stream("count", 3)
                for step in (lambda: chat.send("x"), chat.end, chat.__anext__, chat.aclose, fresh.__anext__):
                    with pytest.raises(StateError, match="another event loop"):
                        await step()

            await asyncio.to_thread(asyncio.run, elsewhere())
            assert await anext(chat) == "A"
            await chat.send("b")
            assert await anext(chat) == "B"
        assert world.made == 0

    play(story)
