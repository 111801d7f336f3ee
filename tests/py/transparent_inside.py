"""The story of test_transparent.py, in a network namespace of its own: python transparent_inside.py TOOL BACKEND.

TOOL is nft or iptables. What is to be redirected is told by who owns the socket, as in a pod where the sidecar has a
user of its own; where only one user is mapped, by a mark on the callers' sockets. Exit code 77: skipped, and why.
"""

from __future__ import annotations

import asyncio
import errno
import json
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from peers import Frame, Provider, closing, read_frame
from transparent_world import (
    BOTH,
    DUBBO,
    FOUR,
    HERE,
    MAPPED,
    NOBODY,
    OPAQUE,
    OTHER,
    ROOT,
    SERVED,
    SPEAKS,
    TCP,
    V4,
    V6,
    Metrics,
    Outside,
    addresses,
    callers_socket,
    one_user,
    redirect,
    sidecar,
)

from meshfast import dubbo

# --- those who speak


def raw_answer(request: Frame, name: str) -> bytes:
    """An answer in the request's own serialization: its body says who answered, and what was asked."""
    body = name.encode() + b"|" + request.raw[dubbo.HEAD_LENGTH :]
    head = bytes((0xDA, 0xBB, request.head.serialization, 20)) + request.raw[4:12]
    return head + len(body).to_bytes(4, "big") + body


async def answer(provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
    if frame.head.serialization == dubbo.HESSIAN2:
        writer.write(provider.answer(frame))
    else:
        writer.write(raw_answer(frame, provider.name))


async def provider(name: str, host: str, port: int = 0) -> Provider:
    return await Provider(name, answer, host=host).start(port)


async def echo_server(name: str, host: str, port: int) -> asyncio.Server:
    """Sends its name at once, then what it was sent, and ends when its caller does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(name.encode() + b"|")
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    return await asyncio.start_server(serve, host, port)


class Dialled:
    """A connection to where the caller believes that its provider is."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def to(cls, host: str, port: int, made: socket.socket | None = None) -> Dialled:
        made = made or callers_socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        await asyncio.get_running_loop().sock_connect(made, (host, port))
        return cls(*await asyncio.open_connection(sock=made))

    async def ask(self, raw: bytes) -> Frame | None:
        self.writer.write(raw)
        return await asyncio.wait_for(read_frame(self.reader), 5)

    async def say(self, data: bytes) -> bytes:
        """All that comes back, to the end; a reset is an end."""
        try:
            self.writer.write(data)
            self.writer.write_eof()
            return await asyncio.wait_for(self.reader.read(), 5)
        except OSError as error:  # a reset, or one that came before the end could be sent
            assert isinstance(error, ConnectionError) or error.errno == errno.ENOTCONN, error
            return b""

    def close(self) -> None:
        self.writer.transport.abort()


def opaque(request_id: int, body: bytes = b"\x00not for us\xff", serialization: int = OPAQUE) -> bytes:
    head = bytes((0xDA, 0xBB, 0xC0 | serialization, 0)) + request_id.to_bytes(8, "big")
    return head + len(body).to_bytes(4, "big") + body


def java(name: str = "java-3.3-java", service: bytes = b"") -> bytes:
    """A recorded request in Java's own serialization; `service` takes the place of its interface, at equal length."""
    for line in (ROOT / "tests" / "wire" / f"{name}.txt").read_text().splitlines():
        if line.startswith("request-echo "):
            raw = bytes.fromhex(line.split()[1])
            return raw.replace(b"meshfast.peer.PeerService", service) if service else raw
    raise AssertionError(name)


# --- the story


async def calls(metric: Metrics, host: str, port: int, name: str) -> None:
    """Everything but what the table can route goes to the address that was dialled."""
    there = await Dialled.to(host, port)
    try:
        hessian = dubbo.encode_request(1, "meshfast.peer.PeerService", "echo", ("x",))
        frame = await there.ask(hessian)
        assert frame and dubbo.decode_response(frame.raw).value == "routed:x"

        before = await metric("calls_opaque_total")
        for number, raw in enumerate((opaque(7), java(), java(service=b"meshfast.peer.Absent00000")), 1):
            frame = await there.ask(raw)
            assert frame and frame.raw == raw_answer(Frame(frame.head, raw), name), (host, port, number, frame)
        assert await metric("calls_opaque_total") == before + 3

        absent = dubbo.encode_request(9, "com.x.Absent", "echo", ("x",))
        frame = await there.ask(absent)  # the table does not know it: as if no sidecar were there
        assert frame and dubbo.decode_response(frame.raw).value == f"{name}:x", (host, port, frame)
    finally:
        there.close()


async def plain(metric: Metrics, host: str, port: int, name: str) -> None:
    before = await metric("opaque_connections_total")
    there = await Dialled.to(host, port)
    data = b"*1\r\n$4\r\nPING\r\n" * 20000
    assert await there.say(data) == name.encode() + b"|" + data
    there.close()
    assert await metric("opaque_connections_total") == before + 1


async def server_first() -> None:
    """A server that greets its caller, on a listener that does not wait for the caller's first byte."""
    there = await Dialled.to(V4, SPEAKS)
    assert await asyncio.wait_for(there.reader.readexactly(6), 5) == b"first|"
    assert await there.say(b"thanks") == b"thanks"
    there.close()


async def two_at_once(ways: dict[str, str]) -> None:
    """Callers that dialled different addresses share the sidecar, never a provider."""
    dialled = {name: await Dialled.to(host, DUBBO) for name, host in ways.items()}
    try:
        for turn in range(50):
            raw = opaque(turn)  # the same id on each connection
            frames = await asyncio.gather(*(one.ask(raw) for one in dialled.values()))
            for name, frame in zip(dialled, frames, strict=True):
                assert frame and frame.raw == raw_answer(Frame(frame.head, raw), name)
    finally:
        for one in dialled.values():
            one.close()


async def nobody_there(host: str) -> None:
    there = await Dialled.to(host, NOBODY)
    frame = await there.ask(opaque(3))
    assert frame and frame.id == 3 and frame.head.status == dubbo.Status.SERVER_ERROR, frame
    there.close()
    there = await Dialled.to(host, NOBODY)
    assert await there.say(b"hello\r\n") == b""
    there.close()


async def not_redirected(metric: Metrics, host: str, port: int) -> None:
    """Who dials the listener itself has named no destination. It must never be taken for one: that would be a loop."""
    before, made = await metric("downstream_connections_total"), await metric("upstream_connections_total")
    for to in (opaque(4), java(service=b"meshfast.peer.Absent00000")):
        there = await Dialled.to(host, port)
        frame = await there.ask(to)
        assert frame and frame.head.status == dubbo.Status.SERVICE_NOT_FOUND, (host, port, frame)
        there.close()
    there = await Dialled.to(host, port)
    assert await there.say(b"hello\r\n") == b""
    there.close()
    assert await metric("downstream_connections_total") == before + 3
    assert await metric("upstream_connections_total") == made


async def from_outside(outside: Outside) -> None:
    """Calls that come in from another machine reach the application that they were sent to."""
    served = await provider("served", HERE, SERVED)
    async with closing(served):
        there = await Dialled.to(HERE, SERVED, outside.socket())
        frame = await there.ask(opaque(5))
        assert frame and frame.raw == raw_answer(Frame(frame.head, opaque(5)), "served")
        frame = await there.ask(dubbo.encode_request(6, "com.x.Mine", "hi", ("y",)))
        assert frame and dubbo.decode_response(frame.raw).value == "served:y"
        assert served.writers[0].get_extra_info("peername")[0] == HERE  # by way of the sidecar, not from THERE

        served.writers[0].write(dubbo.readonly())  # the application stops: who calls it is told, and still served
        frame = await asyncio.wait_for(read_frame(there.reader), 5)
        assert frame and dubbo.event(frame.raw) == "readonly"
        frame = await there.ask(opaque(7))
        assert frame and frame.id == 7 and frame.head.status == dubbo.Status.OK
        there.close()


async def story(tool: str, backend: str) -> dict[str, object]:
    with_v6 = addresses()
    outside = Outside()
    redirect(tool, with_v6)
    hosts = {"four": V4, "other": OTHER} | ({"six": V6} if with_v6 else {})
    routed = await provider("routed", "127.0.0.1")
    dialled = [await provider(name, host, DUBBO) for name, host in hosts.items()]
    dialled.append(await provider("mapped", V4, MAPPED))
    echoes = [await echo_server(name, host, TCP) for name, host in hosts.items()]
    echoes.append(await echo_server("first", V4, SPEAKS))
    try:
        with tempfile.TemporaryDirectory(prefix="mf-edge-") as folder:
            async with closing(routed, *dialled), sidecar(Path(folder), backend, routed.port) as metric:
                steps: list[Callable[[], Awaitable[None]]] = []
                for name, host in hosts.items():
                    steps.append(lambda host=host, name=name: calls(metric, host, DUBBO, name))
                    steps.append(lambda host=host, name=name: plain(metric, host, TCP, name))
                    steps.append(lambda host=host: nobody_there(host))
                steps.append(lambda: calls(metric, V4, MAPPED, "mapped"))
                steps.append(server_first)
                steps.append(lambda: two_at_once(hosts))
                for host, port in ((V4, FOUR), ("127.0.0.1", FOUR), (V4, BOTH), ("127.0.0.1", BOTH)):
                    steps.append(lambda host=host, port=port: not_redirected(metric, host, port))
                if with_v6:
                    steps.append(lambda: not_redirected(metric, "::1", BOTH))
                steps.append(lambda: from_outside(outside))
                for step in steps:
                    await asyncio.wait_for(step(), 20)
                for one in dialled:  # each got its own calls, shared or at first apart, and no other's
                    assert 1 <= len(one.writers) <= 2, (one.name, len(one.writers))
                return {"v6": with_v6, "one_user": one_user()}
    finally:
        for server in echoes:
            server.close()
        outside.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(story(sys.argv[1], sys.argv[2]))))
