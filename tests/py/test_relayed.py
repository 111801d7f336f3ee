"""Connections that are relayed as plain TCP: dead peers are found, and idle ones do not stay for ever."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from engines import BACKENDS, PATIENCE, Running, play, running
from peers import until

from meshfast import _core

KEEPALIVE = "02"  # the kind of timer in /proc/net/tcp, proc_net_tcp.txt

IDLE = [name for name in _core.limits() if "idle" in name.lower()]


def timers(port: int) -> dict[tuple[int, int], str]:
    """(local port, remote port) -> the kind of timer, of established connections with this port."""
    found = {}
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        words = line.split()
        ports = tuple(int(one.rpartition(":")[2], 16) for one in words[1:3])
        if words[3] == "01" and port in ports:
            found[ports] = words[5].partition(":")[0]
    return found


class Echo:
    """The server that connections are relayed to."""

    def __init__(self) -> None:
        self.ended = 0

    async def __aenter__(self) -> Echo:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            self.ended += 1
            writer.close()


async def through(side: Running) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = side.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"hello\r\n")
    assert await asyncio.wait_for(reader.readexactly(7), PATIENCE) == b"hello\r\n"
    return reader, writer


@pytest.mark.parametrize("protocol", ["auto", "tcp"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_both_sides_are_kept_alive(backend, protocol):
    async def story() -> None:
        async with Echo() as echo:
            with running(backend, forward=f"127.0.0.1:{echo.port}", protocol=protocol) as side:
                _, writer = await through(side)
                ours = int(side.address.rpartition(":")[2])
                caller = writer.get_extra_info("sockname")[1]
                # Once what was sent is acknowledged no other timer runs.
                await until(lambda: timers(ours).get((ours, caller)) == KEEPALIVE, PATIENCE)
                up = [ports for ports in timers(echo.port) if ports[1] == echo.port]
                await until(lambda: [timers(echo.port).get(one) for one in up] == [KEEPALIVE], PATIENCE)
                writer.close()

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_idle_one_ends_and_a_busy_one_stays(backend):
    async def story() -> None:
        async with Echo() as echo:
            limits = dict.fromkeys(IDLE, 200)
            with running(backend, forward=f"127.0.0.1:{echo.port}", limits=limits) as side:
                reader, writer = await through(side)
                _, idle = await through(side)
                busy = asyncio.create_task(keeps_talking(reader, writer))
                await until(lambda: echo.ended == 1, PATIENCE)
                assert not busy.done()
                busy.cancel()
                writer.close()
                idle.close()

    play(story)


async def keeps_talking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until it is cut or cancelled."""
    while True:
        writer.write(b"x")
        if not await reader.read(1):
            return


def test_the_idle_limit_of_relays_is_named():
    """A limit of their own: what is idle for Dubbo, which has heartbeats, is not for every protocol."""
    assert len(IDLE) >= 2, IDLE
    assert any(re.search("relay|tcp|opaque", name.lower()) for name in IDLE)
