"""Who comes at the sidecar's own addresses in the very turn in which they are left to the next one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from unittest.mock import Mock

import pytest
from admins import Still

from meshfast import _core, serve
from meshfast.address import Listen, Listening
from meshfast.admin import Admin
from meshfast.endpoint import zookeeper
from meshfast.serve import Answer, Used
from meshfast.serving import grpc

PATIENCE = 20.0
TIMES = 20
ADDRESS = "tcp://127.0.0.1:0"
ASKS = b"GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n"

Start = Callable[[Listen], Awaitable[object]]
Stop = Callable[[], Awaitable[None]]


def at_admin() -> tuple[Start, Stop]:
    still = Still()
    still.engine = _core.Engine(still.table.native)
    one = Admin(still)  # type: ignore[arg-type]
    return lambda listen: one.start(ADDRESS, listen), one.stop


def at_zookeeper() -> tuple[Start, Stop]:
    one = zookeeper.Server()
    return lambda listen: one.start(ADDRESS, listen), one.stop


def at_grpc() -> tuple[Start, Stop]:
    one = grpc.Server(Mock())
    return lambda listen: one.start("endpoint", ADDRESS, listen), one.stop


def at_api() -> tuple[Start, Stop]:
    one = serve.Server(lambda _: Answer(b"never"), Used())
    return lambda listen: one.start(ADDRESS, listen), one.stop


@contextlib.asynccontextmanager
async def dialled(start: Start, stop: Stop, says: bytes = b"") -> AsyncIterator[asyncio.StreamReader]:
    """Who is in the queue in the turn in whose beginning it was said that the address is left: what ends it comes
    behind the taking, and before anything that was to be done with whom was taken."""
    loop = asyncio.get_running_loop()
    ends: list[asyncio.Task[None]] = []
    sock = socket.create_server(("127.0.0.1", 0))
    copy = sock.dup()  # another process goes on with it

    async def listen(what: str, address: str) -> Listening:
        return Listening(sock, address)

    await start(listen)
    caller = socket.create_connection(copy.getsockname())
    caller.sendall(says)
    loop.call_soon(lambda: ends.append(asyncio.ensure_future(stop())))
    reader, writer = await asyncio.open_connection(sock=caller)
    try:
        yield reader
        await asyncio.wait_for(ends[0], PATIENCE)
        copy.setblocking(False)
        with pytest.raises(BlockingIOError):
            copy.accept()  # it was taken, or this tests nothing
    finally:
        writer.close()
        copy.close()


def test_a_page_is_answered():
    async def story() -> None:
        for _ in range(TIMES):
            async with dialled(*at_admin(), says=ASKS) as reader:
                assert (await reader.read()).startswith(b"HTTP/1.1 503"), "it is starting, and says so"

    asyncio.run(asyncio.wait_for(story(), PATIENCE))


@pytest.mark.parametrize("where", [at_zookeeper, at_grpc, at_api], ids=["zookeeper", "grpc", "api"])
def test_a_client_hears_the_end(where):
    """And dials the next one."""

    async def story() -> None:
        for _ in range(TIMES):
            async with dialled(*where()) as reader:
                with contextlib.suppress(ConnectionError):
                    await reader.read()

    asyncio.run(asyncio.wait_for(story(), PATIENCE))
