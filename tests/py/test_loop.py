"""meshfast.loop: CPython's own selector tests, and asyncio with servers, subprocesses, signals and threads on both."""

from __future__ import annotations

import asyncio
import gc
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from meshfast import _core, loop

try:
    from test import test_selectors as stdlib
except ImportError:
    stdlib = None  # type: ignore[assignment]

try:
    _core.Loop("io_uring").close()
    NO_URING = ""
except OSError as error:
    NO_URING = f"no io_uring: {error}"

uring = pytest.mark.skipif(bool(NO_URING), reason=NO_URING)
BACKENDS = ["epoll", pytest.param("io_uring", marks=uring)]

if stdlib is None:

    @pytest.mark.skip(reason="this Python comes without its test package")
    def test_selectors_of_the_standard_library() -> None:
        pass

else:

    class Native(stdlib.BaseSelectorTestCase, stdlib.ScalableSelectorMixIn):
        SELECTOR: Any

        def test_modify_unregister(self) -> None:
            # The original breaks a private attribute of the standard library's selectors.
            rd, _ = self.make_socketpair()
            with self.SELECTOR() as selector:
                selector.register(rd, selectors.EVENT_READ)
                native = selector.loop
                selector.loop = unittest.mock.Mock(wraps=native, modify=unittest.mock.Mock(side_effect=OSError))
                with self.assertRaises(OSError):
                    selector.modify(rd, selectors.EVENT_WRITE)
                self.assertEqual(len(selector.get_map()), 0)
                selector.loop = native

        def test_register_file(self) -> None:
            with self.SELECTOR() as selector, tempfile.NamedTemporaryFile() as file:
                with self.assertRaises(PermissionError):
                    selector.register(file, selectors.EVENT_READ)
                with self.assertRaises(KeyError):
                    selector.get_key(file)

        def test_register_bad_fd(self) -> None:
            with self.SELECTOR() as selector:
                fd = os.dup(0)
                os.close(fd)
                with self.assertRaises(OSError):
                    selector.register(fd, selectors.EVENT_READ)
                with self.assertRaises(KeyError):
                    selector.get_key(fd)

    class EpollTest(Native, unittest.TestCase):
        SELECTOR = loop.EpollSelector

    @unittest.skipIf(NO_URING, NO_URING)
    class UringTest(Native, unittest.TestCase):
        SELECTOR = loop.UringSelector


@pytest.fixture(params=BACKENDS)
def run(request: pytest.FixtureRequest) -> Iterator[Callable[[Coroutine[Any, Any, Any]], Any]]:
    with asyncio.Runner(loop_factory=lambda: loop.new_event_loop(request.param)) as runner:
        yield lambda coroutine: runner.run(asyncio.wait_for(coroutine, 30))


@pytest.fixture(params=BACKENDS)
def native(request: pytest.FixtureRequest) -> Iterator[_core.Loop]:
    made = _core.Loop(request.param)
    assert made.name == request.param
    yield made
    made.close()


def test_many_connections(run: Any) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def talk(host: str, port: int, name: int) -> None:
        reader, writer = await asyncio.open_connection(host, port)
        for turn in range(3):
            text = f"hello {name} {turn} ".encode() + b"x" * 1000 * turn + b"\n"
            writer.write(text)
            assert await reader.readline() == text.upper()
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=300)
        async with server:
            await asyncio.gather(*(talk(*server.sockets[0].getsockname(), name) for name in range(200)))

    run(main())


def test_large_transfer(run: Any) -> None:
    data = os.urandom(1 << 20) * 8

    async def send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            server = await asyncio.start_unix_server(send, f"{folder}/s")
            async with server:
                reader, writer = await asyncio.open_unix_connection(f"{folder}/s")
                got = await reader.read()
                writer.close()
                await writer.wait_closed()
                return got

    assert run(main()) == data


def test_subprocesses(run: Any) -> None:
    async def one(number: int) -> bytes:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", "print(input()[::-1])", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        out, _ = await process.communicate(f"abc{number}\n".encode())
        assert process.returncode == 0
        return out

    async def main() -> list[bytes]:
        return await asyncio.gather(*(one(number) for number in range(4)))

    assert run(main()) == [f"{number}cba\n".encode() for number in range(4)]


def test_timers_and_threads(run: Any) -> None:
    async def main() -> list[int]:
        order: list[int] = []
        here = asyncio.get_running_loop()
        for delay in (30, 10, 20):
            here.call_later(delay / 1000, order.append, delay)
        start = here.time()
        assert await here.run_in_executor(None, lambda: 7) == 7
        timer = threading.Timer(0.01, lambda: here.call_soon_threadsafe(order.append, 0))
        timer.start()
        await asyncio.sleep(0.05)
        assert here.time() - start >= 0.05
        timer.join()
        return order

    assert sorted(run(main())) == [0, 10, 20, 30]


def test_signals(run: Any) -> None:
    async def main() -> int:
        here = asyncio.get_running_loop()
        seen: asyncio.Future[int] = here.create_future()
        here.add_signal_handler(signal.SIGUSR1, seen.set_result, 1)
        timer = threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        try:
            return await seen
        finally:
            timer.join()
            here.remove_signal_handler(signal.SIGUSR1)

    assert run(main()) == 1


def test_datagrams(run: Any) -> None:
    async def main() -> bytes:
        here = asyncio.get_running_loop()
        got: asyncio.Future[bytes] = here.create_future()

        class Protocol(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: Any) -> None:
                got.set_result(data)

        receiver, _ = await here.create_datagram_endpoint(Protocol, local_addr=("127.0.0.1", 0))
        sender, _ = await here.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=receiver.get_extra_info("sockname")
        )
        sender.sendto(b"x")
        data = await got
        sender.close()
        receiver.close()
        await asyncio.sleep(0)
        return data

    assert run(main()) == b"x"


def test_keyboard_interrupt(native: _core.Loop) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    start = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            native.turn(20)
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.monotonic() - start < 10
    timer.join()


def test_the_wait_leaves_the_gil(native: _core.Loop) -> None:
    done = threading.Event()
    thread = threading.Thread(target=done.set)
    a, b = socket.socketpair()
    native.register(a.fileno(), _core.LOOP_READ)

    def answer() -> None:
        done.wait()
        b.send(b"x")

    other = threading.Thread(target=answer)
    other.start()
    thread.start()
    assert native.turn(20) == [(a.fileno(), _core.LOOP_READ)]  # it comes from a thread that needs the GIL
    thread.join()
    other.join()
    native.unregister(a.fileno())
    a.close()
    b.close()


def test_loop(native: _core.Loop) -> None:
    a, b = socket.socketpair()
    with pytest.raises(KeyError):
        native.modify(a.fileno(), _core.LOOP_READ)
    with pytest.raises(KeyError):
        native.unregister(a.fileno())
    native.register(a.fileno(), _core.LOOP_READ | _core.LOOP_WRITE)
    with pytest.raises(KeyError):
        native.register(a.fileno(), _core.LOOP_READ)
    assert native.turn(0) == [(a.fileno(), _core.LOOP_WRITE)]
    b.close()
    ((_, events),) = native.turn(1)
    assert events == _core.LOOP_READ | _core.LOOP_WRITE | _core.LOOP_ERROR
    assert native.fileno() >= 0
    counts = native.counts()
    assert counts["turns"] == 2 and counts["syscalls"] >= 2 and set(counts) >= {"bytes_in", "accepts", "waits"}
    native.wake()
    native.close()
    native.close()
    assert native.closed
    for use in (native.turn, native.counts, lambda: native.register(0, 1), lambda: native.name):
        with pytest.raises(RuntimeError):
            use()
    with pytest.raises(ValueError):
        native.fileno()
    a.close()


def test_turn_twice_at_once(native: _core.Loop) -> None:
    a, b = socket.socketpair()
    native.register(a.fileno(), _core.LOOP_READ)
    native.turn(0)
    errors: list[BaseException] = []

    def meddle() -> None:
        for use in (lambda: native.turn(0), native.close, lambda: native.unregister(a.fileno())):
            try:
                use()
            except RuntimeError as error:
                errors.append(error)
        b.send(b"x")

    start = threading.Timer(0.05, meddle)
    start.start()
    assert native.turn(20) == [(a.fileno(), _core.LOOP_READ)]
    start.join()
    assert len(errors) == 3
    a.close()
    b.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_left_behind(backend: str) -> None:
    def once() -> None:
        made = _core.Loop(backend)
        a, b = socket.socketpair()
        made.register(a.fileno(), _core.LOOP_READ)
        made.turn(0)
        a.close()
        b.close()

    once()
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        once()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


def test_choice() -> None:
    with pytest.raises(ValueError, match="io_uring"):
        _core.Loop("kqueue")
    auto = _core.Loop()
    assert (auto.name == "io_uring") == (auto.why is None)
    assert auto.name in ("epoll", "io_uring")
    made = loop.new_event_loop()
    assert isinstance(made, asyncio.SelectorEventLoop)
    made.close()
