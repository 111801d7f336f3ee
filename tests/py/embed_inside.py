"""A program of its own, as it may crash, for test_embed_end.py: python embed_inside.py STORY BACKEND."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from peers import Caller, Frame, Provider, closing, mesh

from meshfast import _core, config, dubbo
from meshfast.loop import NativeSelector
from meshfast.routing import Table

CART = "com.x.Cart"
ANSWERS, ANSWER = 256, 64 << 10  # more than sockets take that are not read


def table_of(*providers: Provider) -> Table:
    table = Table()
    table.publish(config.load_texts([("mesh.yaml", mesh(*((one, "") for one in providers)).encode())]))
    return table


async def big(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
    writer.write(dubbo.encode_response(frame.id, "x" * ANSWER))


@contextmanager
def elsewhere(provider: Provider) -> Iterator[None]:
    """A provider on a thread of its own, so that none of its sockets wakes the engine's loop."""
    ready, loop = threading.Event(), asyncio.new_event_loop()

    def serve() -> None:
        loop.run_until_complete(provider.start())
        ready.set()
        loop.run_forever()
        loop.run_until_complete(provider.stop())
        loop.close()

    thread = threading.Thread(target=serve)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


async def interrupted(selector: NativeSelector) -> None:
    """The engine stops while answers wait for a caller that does not read, and signals arrive all the time."""
    base = Provider("base", big)
    with elsewhere(base):
        await stopped(selector, base)


async def stopped(selector: NativeSelector, base: Provider) -> None:
    table = table_of(base)
    limits = {"frameTimeout": 300, "outputHigh": 64 << 20, "upstreamOutputHigh": 64 << 20}
    engine = _core.Engine(table.native, workers=0, loop=selector.loop, limits=limits)
    address = engine.listen("out", "127.0.0.1:0")
    engine.start()
    host, _, port = address.rpartition(":")
    mute = socket.socket()
    mute.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    mute.connect((host, int(port)))
    mute.sendall(b"".join(dubbo.encode_request(i, CART, "hi", ("x",)) for i in range(ANSWERS)))
    while engine.counters()["answers"] < ANSWERS:
        await asyncio.sleep(0)
    signal.signal(signal.SIGALRM, lambda number, frame: None)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    engine.stop()
    left = engine.counters()
    assert left["downstream_active"] == left["upstream_active"] == 0, left
    del engine
    for _ in range(200):  # what was left behind in the loop would be met here
        await asyncio.sleep(0.001)
    signal.setitimer(signal.ITIMER_REAL, 0)
    mute.close()
    for _ in range(50):
        await asyncio.sleep(0.001)


async def two(selector: NativeSelector) -> None:
    """Two engines in one loop: both work, or the second is refused with an error that says why."""
    base = await Provider("base").start()
    tables = table_of(base), table_of(base)
    first = _core.Engine(tables[0].native, workers=0, loop=selector.loop)
    addresses = [first.listen("out", "127.0.0.1:0")]
    first.start()
    engines = [first]
    try:
        second = _core.Engine(tables[1].native, workers=0, loop=selector.loop)
        addresses.append(second.listen("out", "127.0.0.1:0"))
        second.start()
        engines.append(second)
    except (RuntimeError, ValueError, OSError) as error:
        assert "loop" in str(error) and "engine" in str(error), error
        addresses = addresses[:1]
        second = None
    for address in addresses * 2:
        caller = await Caller.connect(address)
        async with closing(caller):
            assert [(await caller.ask(CART)).value for _ in range(5)] == ["base:x"] * 5
    engines[0].stop()  # the other one goes on
    for address in addresses[1:]:
        caller = await Caller.connect(address)
        async with closing(caller):
            assert (await caller.ask(CART)).value == "base:x"
    for engine in engines[1:]:
        engine.stop()
    again = _core.Engine(tables[0].native, workers=0, loop=selector.loop)  # there is room for one once they are gone
    address = again.listen("out", "127.0.0.1:0")
    again.start()
    caller = await Caller.connect(address)
    async with closing(base, caller):
        assert (await caller.ask(CART)).value == "base:x"
    again.stop()


def main(story: str, backend: str) -> None:
    try:
        selector = NativeSelector(backend)
    except OSError as error:
        print(error)
        sys.exit(77)
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(asyncio.wait_for({"interrupted": interrupted, "two": two}[story](selector), 20))
    print("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
