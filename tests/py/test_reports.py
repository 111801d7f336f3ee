"""What workers report of connections: whose, and why."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from engines import BACKENDS, PATIENCE, Running, play, running
from peers import Caller, Provider, closing, until


async def reported(side: Running, kind: str) -> tuple[Any, ...]:
    """The first event of that kind."""
    found: list[tuple[Any, ...]] = []

    def look() -> bool:
        found.extend(event for event in side.engine.events() if event[0] == kind)
        return bool(found)

    await until(look, PATIENCE)
    return found[0]


@contextmanager
def few_descriptors() -> Iterator[list[int]]:
    """Some 200 more than there are; those that are put into the list are closed."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    taken: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 200, limits[1]))
    try:
        yield taken
    finally:
        for fd in taken:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.mark.parametrize("known", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_who_speaks_no_dubbo_is_named(backend, known):
    async def story() -> None:
        base = await Provider("base").start()
        with running(backend, (base, ""), protocol="dubbo") as side:
            caller = await Caller.connect(side.address)
            async with closing(base, caller):
                if known:
                    assert (await caller.ask("com.x.Cart")).value == "base:x"
                caller.writer.write(b"GET / HTTP/1.1\r\n\r\n")
                host, port = caller.writer.get_extra_info("sockname")[:2]
                assert (await reported(side, "bad_downstream"))[4] == f"{host}:{port}"

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_listener_that_cannot_accept_says_so(backend):
    """For want of descriptors; once there are some, who waited is let in."""

    async def story() -> None:
        base = await Provider("base").start()
        with few_descriptors() as taken, running(backend, (base, "")) as side:
            host, _, port = side.address.rpartition(":")
            late = socket.socket()
            late.setblocking(False)
            with suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            late.connect_ex((host, int(port)))
            event = await reported(side, "accept_failed")
            while taken:
                os.close(taken.pop())
            assert event[4] == side.address and "files" in event[3], event
            reader, writer = await asyncio.open_connection(sock=late)
            caller = Caller(reader, writer)
            async with closing(base, caller):
                assert (await caller.ask("com.x.Cart")).value == "base:x"

    play(story)
