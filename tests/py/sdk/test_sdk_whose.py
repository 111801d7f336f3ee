"""A connection to the mesh is of the loop and the process that made it: others are told so, and get nobody's answer."""

from __future__ import annotations

import asyncio
import sys

import pytest
from peers import closing
from sdk_world import CART, PATIENCE, Counting, meshed, play, thin, url

from meshfast.errors import StateError

PROGRAM = """
import asyncio, os, sys
from meshfast import sdk
from meshfast.errors import StateError

async def story():
    patient = sdk.Timing(silent=60.0, lost=60.0)
    mesh = sdk.connect("tests", address=sys.argv[1], api="unix://@nobody-is-asked", timeout=60.0, timing=patient)
    async with mesh:
        cart = mesh.service("com.x.Cart")
        assert await cart.call("hi", "before") == "provider:before"
        child = os.fork()
        if not child:
            refused = 0
            for begin in (lambda: cart.call("hi", "child"), lambda: cart.tell("hi", "child")):
                try:
                    begin().send(None)  # as the loop would that it was forked with
                except StateError as error:
                    refused += "forked" in str(error)

            async def other():
                try:
                    await cart.call("hi", "child")
                except StateError as error:
                    return "forked" in str(error)

            refused += bool(asyncio.run(other()))
            leave = mesh.__aexit__(None, None, None)
            try:
                leave.send(None)
            except StopIteration:
                refused += 1
            os._exit(refused)
        for number in range(3):
            assert await cart.call("hi", f"{number}") == f"provider:{number}"
        status = (await asyncio.to_thread(os.waitpid, child, 0))[1]
        assert os.waitstatus_to_exitcode(status) == 4, status
        assert await cart.call("hi", "after") == "provider:after"
        assert mesh.counters["falls"] == 0

asyncio.run(story())
"""


def test_a_forked_process_has_no_part_in_it() -> None:
    async def story() -> None:
        provider = await Counting().start()
        async with closing(provider):
            done = await asyncio.create_subprocess_exec(
                sys.executable, "-c", PROGRAM, url(provider), stderr=asyncio.subprocess.PIPE
            )
            _, said = await done.communicate()
            assert done.returncode == 0, said.decode()
            assert sorted(provider.executed) == ["0", "1", "2", "after", "before"] and len(provider.writers) == 1

    play(story)


def test_another_loop_has_no_part_in_it() -> None:
    async def story() -> None:
        provider = await Counting().start()
        async with closing(provider), meshed(url(provider)) as mesh:
            await thin(mesh)
            cart = mesh.service(CART)

            async def elsewhere() -> None:
                with pytest.raises(StateError, match="another event loop"):
                    await cart.call("hi", "x", timeout=PATIENCE)
                with pytest.raises(StateError, match="another event loop"):
                    mesh.service(CART, protocol="tri")
                with pytest.raises(StateError, match="another event loop"):
                    await mesh.__aexit__(None, None, None)

            await asyncio.to_thread(asyncio.run, elsewhere())
            assert await cart.call("hi", "y") == "provider:y" and not provider.executed["x"]
            assert mesh.client.interest._task is None or not mesh.client.interest._task.done()

    play(story)
