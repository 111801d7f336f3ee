"""What one application says of itself, or of where it is, holds up neither others nor what else the process does."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading

import pytest
from test_registry_applications import Asked, instance, mapped
from test_registry_instance import METADATA, metadata_info, service
from test_registry_metadata import answers, asked
from test_registry_triple import entry, field
from zoo import PATIENCE, calm
from zoo_world import CART, STOCK, world

from meshfast import dubbo
from meshfast.errors import LimitError
from meshfast.registry.applications import ASKED, ASKED_OF_ONE
from meshfast.registry.instance import LONGEST_INFO, MOST_VALUES
from meshfast.registry.metadata import ask, read_answer
from meshfast.registry.triple import read_answer as read_triple
from meshfast.registry.url import Refused

#: More than the threads of a loop's own pool.
MANY = min(32, (os.cpu_count() or 1) + 4) + 4


def said(value: bytes) -> bytes:
    """A frame that answers with this value."""
    head = dubbo.encode_response(1, None)[:12]
    return head + (len(value) + 1).to_bytes(4, "big") + b"\x91" + value


@pytest.mark.parametrize(
    "value",
    [b"\x57" + b"\x90" * MOST_VALUES + b"Z", b"H" + b"\x90\x91" * (MOST_VALUES // 2) + b"Z"],
    ids=["a list", "a map"],
)
def test_values_are_counted(value):
    assert len(value) < LONGEST_INFO // 2
    with pytest.raises(LimitError, match="values"):
        read_answer(said(value))


@pytest.mark.parametrize(
    "message",
    [
        field(1, b"") * (MOST_VALUES + 1),
        entry(3, "same", b"") * (MOST_VALUES // 3 + 1),
        entry(3, "x", entry(7, "", b"") * (MOST_VALUES // 3)) + field(1, b"shop") * 10,
    ],
    ids=["fields", "services", "parameters"],
)
def test_fields_are_counted(message):
    assert len(message) < LONGEST_INFO
    with pytest.raises(Refused, match="values"):
        read_triple(message)


def test_names_that_are_looked_up_for_long_hold_up_nothing_else(monkeypatch):
    there, gate = socket.getaddrinfo, threading.Event()

    def slow(host, *args, **more):
        if str(host).endswith(".slow"):
            gate.wait(PATIENCE)
            raise socket.gaierror("no such name")
        return there(host, *args, **more)

    async def run():
        asks = [asyncio.create_task(ask("dubbo", f"h{i}.slow", 1, "shop", "r1", PATIENCE)) for i in range(MANY)]
        await calm()
        async with asyncio.timeout(PATIENCE / 2):
            await asyncio.to_thread(lambda: None)  # where meshes are made
            found, _ = await asked(answers(metadata_info(service(), revision="r1")))  # at an address
        gate.set()
        assert all(isinstance(each, OSError) for each in await asyncio.gather(*asks, return_exceptions=True))
        assert list(found.services) == [CART]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    asyncio.run(run())


def test_answers_are_read_though_the_threads_of_the_loop_are_busy():
    async def run():
        gate = threading.Event()
        busy = [asyncio.create_task(asyncio.to_thread(gate.wait, PATIENCE)) for _ in range(MANY)]
        await calm()
        try:
            async with asyncio.timeout(PATIENCE / 2):
                found, _ = await asked(answers(metadata_info(service())))
        finally:
            gate.set()
            await asyncio.gather(*busy)
        assert list(found.services) == [CART]

    asyncio.run(run())


def test_a_name_that_cannot_be_one():
    with pytest.raises(OSError, match="is no name"):
        asyncio.run(ask("dubbo", "a" * 64 + ".b", 1, "shop", "r1", PATIENCE))


@world
async def test_an_application_of_many_revisions_leaves_room_for_others(w):
    apps, gate, most = Asked(w), asyncio.Event(), []

    async def slow(protocol, host, port, application, revision):
        if application != "shop":
            most.append(revision)
            await gate.wait()
        return await apps(protocol, host, port, application, revision)

    w.registry._applications._ask = slow
    apps.answers = {"r1": metadata_info(service())} | {f"e{i}": metadata_info(service(STOCK)) for i in range(ASKED + 9)}
    mapped(w, STOCK, "evil")
    for i in range(ASKED + 9):
        instance(w, 100 + i, revision=f"e{i}", app="evil", metadata=METADATA)
    w.registry.start()
    w.registry.want([STOCK])
    await calm()
    assert len(most) == ASKED_OF_ONE
    mapped(w, CART, "shop")
    instance(w, 1, metadata=METADATA)
    w.registry.want([STOCK, CART])
    await calm()
    assert w.hosts() == ["10.0.0.1"]
    gate.set()
    await calm()
    assert len(w.hosts(STOCK)) == ASKED + 9


def test_a_peer_that_reads_nothing_is_left_in_time():
    """It may be sent more than the kernel takes for it: nothing is waited for."""

    class Stuck:
        aborted = closed = False

        def get_write_buffer_size(self):
            return 1

        def abort(self):
            self.aborted = True

    class Writer:
        transport = Stuck()

        def write(self, data):
            raise ConnectionResetError

        def close(self):
            self.transport.closed = True

        async def wait_closed(self):
            await asyncio.Event().wait()

    async def run():
        async def connection(host, port):
            return asyncio.StreamReader(), Writer()

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "open_connection", connection)
            async with asyncio.timeout(PATIENCE / 2):
                with contextlib.suppress(ConnectionResetError):
                    await ask("dubbo", "10.0.0.1", 1, "shop", "r1", PATIENCE)
        assert Writer.transport.aborted and not Writer.transport.closed

    asyncio.run(run())
