"""Asking an application whether it takes calls."""

from __future__ import annotations

import asyncio
import time
from functools import wraps

import pytest

from meshfast import alive, dubbo
from meshfast.alive import ENDED, LEAVING, REFUSED, Prober

PATIENCE = 60.0


async def until(predicate):
    deadline = time.monotonic() + PATIENCE
    while not predicate():
        assert time.monotonic() < deadline, "it never came"
        await asyncio.sleep(0.001)


def answer(request):
    return bytes((0xDA, 0xBB, 0x22, 20)) + request[4:12] + (1).to_bytes(4, "big") + b"N"


class App:
    """``says``: what becomes of a heartbeat."""

    def __init__(self):
        self.says = answer
        self.writers: list = []
        self.connections = self.heartbeats = self.ended = 0
        self.probers: list = []

    async def start(self, path=None):
        if path:
            self.server = await asyncio.start_unix_server(self.serve, path)
            self.address = f"unix://{path}"
        else:
            self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
            self.address = f"127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def serve(self, reader, writer):
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readexactly(dubbo.HEAD_LENGTH)
                frame = head + await reader.readexactly(dubbo.parse_head(head).body_length)
                assert dubbo.event(frame) == "heartbeat"
                self.heartbeats += 1
                writer.write(self.says(frame))
        except (asyncio.IncompleteReadError, OSError):
            writer.close()

    def send(self, data):
        self.writers[-1].write(data)

    def cut(self):
        self.writers[-1].transport.abort()

    def prober(self, protocol="dubbo"):
        one = Prober(self.address, protocol, self.note)
        self.probers.append(one)
        return one

    def note(self):
        self.ended += 1

    async def stop(self):
        self.server.close()
        for each in self.probers:
            each.close()
        for each in self.writers:
            each.transport.abort()
        await asyncio.sleep(0)


def app(test):
    @wraps(test)
    def run(*args, **kwargs):
        async def inside():
            one = App()
            await one.start(kwargs.pop("path", None))
            try:
                await test(one, *args, **kwargs)
            finally:
                await one.stop()

        asyncio.run(inside())

    del run.__wrapped__
    return run


@app
async def test_one_connection_is_kept(app):
    one = app.prober()
    for _ in range(5):
        assert await one.look() == ""
    assert (app.connections, app.heartbeats, app.ended) == (1, 5, 0)


@app
async def test_who_does_not_listen_refuses(app):
    one = app.prober()
    assert await one.look() == ""
    app.server.close()
    app.cut()
    await until(lambda: app.ended)
    assert await one.look() == REFUSED and app.ended == 1


def test_at_a_unix_socket(tmp_path):
    async def run():
        one = App()
        await one.start(str(tmp_path / "app"))
        assert await one.prober().look() == ""
        await one.stop()
        assert await Prober(f"unix://{tmp_path}/nobody", "dubbo", one.note).look() == REFUSED

    asyncio.run(run())


@app
async def test_who_says_readonly_leaves(app):
    one = app.prober()
    assert await one.look() == ""
    app.send(dubbo.readonly())
    await until(lambda: app.ended)
    assert await one.look() == LEAVING
    app.send(dubbo.writeable())
    app.says = answer
    assert await one.look() in ("", LEAVING)
    assert await one.look() == ""


@app
async def test_a_connection_that_ends_instead_of_an_answer(app):
    one = app.prober()

    def cut(frame):
        app.cut()
        return b""

    app.says = cut
    assert await one.look() == ENDED and app.ended == 0
    app.says = answer
    assert await one.look() == ""
    assert app.connections == 2


@app
async def test_who_says_nothing(app):
    one = app.prober()
    before, alive.PATIENCE = alive.PATIENCE, 0.01
    app.says = lambda frame: b""
    try:
        assert await one.look() == "no answer in 0.01 s"
    finally:
        alive.PATIENCE = before
    app.says = answer
    assert await one.look() == ""


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        bytes((0xDA, 0xBB, 0x22, 20)) + bytes(8) + (1 << 30).to_bytes(4, "big"),
        bytes(64),
    ],
)
def test_nonsense_is_a_failure(data):
    @app
    async def run(app):
        one = app.prober()
        app.says = lambda frame: data
        assert (await one.look()).startswith("it does not speak Dubbo")

    run()


@app
async def test_other_frames_are_passed_over(app):
    one = app.prober()

    def more(frame):
        old = bytes((0xDA, 0xBB, 0x22, 20)) + (999).to_bytes(8, "big") + (1).to_bytes(4, "big") + b"N"
        return dubbo.heartbeat(5) + old + dubbo.encode_response(1, "x") + answer(frame)

    app.says = more
    assert await one.look() == ""


@app
async def test_of_another_protocol_it_is_enough_that_it_listens(app):
    one = app.prober("tri")
    for _ in range(2 * alive.ANEW):
        assert await one.look() == ""
    await until(lambda: app.connections == 2)
    assert app.heartbeats == 0
    app.cut()
    await until(lambda: app.ended)
    app.server.close()
    assert await one.look() == REFUSED
