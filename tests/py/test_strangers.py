"""Instances that are none, cannot be reached, or ask for no calls: what they cost the calls of all."""

from __future__ import annotations

import asyncio
import resource
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest
from peers import Caller, Frame, Provider, closing, mesh, until
from proxies import BACKENDS, Proxy, inbound, outbound, proxy

from meshfast import dubbo, hessian

CART = "com.x.Cart"
CALLS = 60


async def speak(words: bytes, first: bool) -> asyncio.Server:
    """Says the same to everybody: at once, or when it has been told something."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if first:
                writer.write(words)
            while await reader.read(65536):
                writer.write(words)
        except ConnectionError:
            pass
        finally:
            writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", 0)


STRANGERS = {
    "http": (b"HTTP/1.1 400 Bad Request\r\n\r\n", False),
    "speaks first": (b"220 mail ready\r\n", True),
    "negative length": (bytes([0xDA, 0xBB, 2, 20]) + bytes(8) + b"\xff\xff\xff\xff", False),
}


@asynccontextmanager
async def two(folder: Path, backend: str) -> AsyncIterator[tuple[Provider, Provider, Proxy, Caller]]:
    """Two instances that have been called, and are connected."""
    a, b = await Provider("a").start(), await Provider("b").start()
    async with closing(a, b), proxy(folder, backend, [outbound()], mesh((a, ""), (b, ""))) as side:
        caller = await Caller.connect(side.address("out"))
        async with closing(caller):
            while not (a.requests and b.requests):
                await caller.ask(CART)
            yield a, b, side, caller


async def says_readonly(one: Provider, side: Proxy) -> None:
    """And has been heard."""
    before = (await side.counters())["readonly_in"]
    one.writers[0].write(dubbo.readonly())
    while (await side.counters())["readonly_in"] == before:
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("who", STRANGERS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_that_speaks_no_dubbo_rests(tmp_path, backend, who):
    """As one that cannot be connected to; the call that finds it out is lost."""

    async def story() -> None:
        server = await speak(*STRANGERS[who])
        port = server.sockets[0].getsockname()[1]
        base = await Provider("base").start()
        policy = mesh((Provider("none", address=f"127.0.0.1:{port}"), ""), (base, ""))
        async with closing(base), proxy(tmp_path, backend, [outbound()], policy) as side:
            caller = await Caller.connect(side.address("out"))
            async with closing(caller):
                answers = [await caller.ask(CART, str(i)) for i in range(CALLS)]
                assert sum(one.status != 20 for one in answers) <= 1
        server.close()

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_last_one_has_the_calls_that_it_asks_not_to_get(tmp_path, backend):
    """READONLY is a wish: with another instance it is heeded, without one calls are better sent than refused."""

    async def story() -> None:
        async with two(tmp_path, backend) as (a, b, side, caller):
            await says_readonly(a, side)
            assert {str((await caller.ask(CART)).value) for _ in range(CALLS)} == {"b:x"}
            assert (await side.counters())["calls_last_resort"] == 0
            await says_readonly(b, side)
            assert {str((await caller.ask(CART)).value) for _ in range(CALLS)} <= {"a:x", "b:x"}
            assert (await side.counters())["calls_last_resort"] == CALLS
            assert len(a.writers) == len(b.writers) == 1

    asyncio.run(asyncio.wait_for(story(), 60))


def by_hand(attachments: bytes) -> bytes:
    """A request whose attachments are these bytes between the map's two ends."""
    whole = dubbo.encode_request(7, CART, "hi", ("x",), attachments={})
    body = whole[16:-1] + attachments + b"Z"
    return whole[:12] + len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_caller_cannot_say_closing_for_its_provider(tmp_path, backend):
    """Where the key is there but could not be read, as all room for texts was used up before it."""

    async def echo(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        closing = {"closing": "true"} if b"losing" in frame.raw else {}
        body = hessian.encode(4 if closing else 1) + hessian.encode(f"{provider.name}:x")
        body += hessian.encode(closing) if closing else b""
        head = bytes([0xDA, 0xBB, 2, 20]) + frame.raw[4:12] + len(body).to_bytes(4, "big")
        writer.write(head + body)

    async def story() -> None:
        a = await Provider("a", echo).start()
        async with closing(a), proxy(tmp_path, backend, [outbound()], mesh((a, ""))) as side:
            bad, good = await Caller.connect(side.address("out")), await Caller.connect(side.address("out"))
            async with closing(bad, good):
                chunk = b"R\x40\x00" + b"y" * 16384  # one of several: not as it lies there
                long = hessian.encode("k") + chunk * 4 + b"\x00"
                key = b"R\x00\x01c" + b"\x06losing"
                answer = await bad.send(by_hand(long + key + hessian.encode("true")))
                assert answer.status == 20
                assert [(await good.ask(CART)).value for _ in range(CALLS)] == ["a:x"] * CALLS
                counters = await side.counters()
                assert counters["answers_closing"] == 0 == counters["calls_last_resort"]

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_we_lack_for_one_is_not_needed_for_another(tmp_path, backend):
    """No descriptor is left for a second instance: the one that is connected takes the calls."""

    async def story() -> None:
        async with two(tmp_path, backend) as (_, b, side, caller):
            used = Path(f"/proc/{side.process.pid}/fd")
            most = max(int(one.name) for one in used.iterdir()) + 1
            resource.prlimit(side.process.pid, resource.RLIMIT_NOFILE, (most, most))
            b.writers[0].transport.abort()
            extra = [await Caller.connect(side.address("out")) for _ in range(most)]  # they take all that are free
            async with closing(*extra):
                await until(lambda: len(list(used.iterdir())) >= most)
                answers = [await caller.ask(CART, str(i)) for i in range(CALLS)]
                assert {one.status for one in answers} == {20}

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_full_queue_of_a_unix_socket_is_passed_over(tmp_path, backend):
    async def story(path: str) -> None:
        base = await Provider("base").start()
        policy = mesh((base, "")).replace("  endpoints:\n", f"  endpoints:\n  - {{address: 'unix://{path}'}}\n")
        async with closing(base), proxy(tmp_path, backend, [outbound()], policy) as side:
            caller = await Caller.connect(side.address("out"))
            async with closing(caller):
                answers = [await caller.ask(CART) for _ in range(CALLS)]
                assert {one.status for one in answers} == {20}

    with ExitStack() as held:
        full, *others = (held.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3))
        path = str(tmp_path / "full.sock")
        full.bind(path)
        full.listen(0)
        for one in others:
            one.setblocking(False)
            one.connect_ex(path)
        asyncio.run(asyncio.wait_for(story(path), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_pause_of_ours_is_not_the_callers_silence(tmp_path, backend):
    """What came while the process was stopped is read before it counts as late."""

    async def story() -> None:
        a = await Provider("a").start()
        limits = {"frameTimeout": 400}
        async with closing(a), proxy(tmp_path, backend, [inbound(a.address)], limits=limits) as side:
            for i in range(5):
                caller = await Caller.connect(side.address("in"))
                async with closing(caller):
                    await caller.ask(CART)
                    raw = dubbo.encode_request(1000 + i, CART, "hi", ("late",))
                    future = caller.send(raw[:20], 1000 + i)
                    await asyncio.sleep(0.1)  # it has begun to arrive
                    side.process.send_signal(signal.SIGSTOP)
                    caller.writer.write(raw[20:])
                    await asyncio.sleep(0.8)
                    side.process.send_signal(signal.SIGCONT)
                    assert (await future).value == "a:late"

    asyncio.run(asyncio.wait_for(story(), 60))
