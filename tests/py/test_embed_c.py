"""A C program of its own that has the engine in its loop: calls of HTTP/2 and of Dubbo2 through it."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest
from engines import BACKENDS, play
from peers import Caller, Provider, closing
from webs2 import GRPC, Server, asks, calling

ROOT = Path(__file__).parents[2]
PROGRAM = "build/opt/serve"
CART = "com.x.Cart"
CALLS = 50


@pytest.fixture(scope="module")
def program() -> Path:
    subprocess.run(["make", "-s", PROGRAM], cwd=ROOT, check=True)
    return ROOT / PROGRAM


async def start(program: Path, instance: str, backend: str) -> tuple[asyncio.subprocess.Process, str]:
    process = await asyncio.create_subprocess_exec(
        program, "127.0.0.1:0", instance, backend, CART, stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout and process.stderr
    address = (await process.stdout.readline()).decode().strip()
    if not address and backend == "io_uring":
        pytest.skip(f"this kernel: {(await process.communicate())[1].decode()}")
    return process, address


async def ends(process: asyncio.subprocess.Process) -> None:
    out, err = await asyncio.wait_for(process.communicate(b""), 30)
    assert (process.returncode, out.decode(), err.decode()) == (0, f"{CALLS} calls, {CALLS} answers\n", "")


@pytest.mark.parametrize("backend", BACKENDS)
def test_http2(program: Path, backend: str) -> None:
    async def story() -> None:
        async with Server() as server:
            process, address = await start(program, server.address, backend)
            async with calling(address) as peer:
                bodies = [str(i).encode() * 3000 for i in range(CALLS)]
                done = await asyncio.gather(*(peer.ask(asks(f"/{CART}/add", GRPC), body) for body in bodies))
                assert [bytes(one.body) for one in done] == bodies
                assert {one.get(b"grpc-status") for one in done} == {b"0"}
                assert server.peers and len(server.peers) == 1
            await ends(process)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_dubbo(program: Path, backend: str) -> None:
    async def story() -> None:
        async with closing(provider := Provider("p")):
            await provider.start()
            process, address = await start(program, provider.address, backend)
            async with closing(caller := await Caller.connect(address)):
                done = await asyncio.gather(*(caller.ask(CART, f"n{i}") for i in range(CALLS)))
                assert [one.value for one in done] == [f"p:n{i}" for i in range(CALLS)]
            await ends(process)

    play(story)
