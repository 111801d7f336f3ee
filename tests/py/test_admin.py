"""The admin address met by browsers, strangers and the impatient: over real sockets, on both loops."""

from __future__ import annotations

import asyncio
import gzip
import json
import random

import pytest
from admins import Still, admin, connect, get, on_loop, raw, small_buffers, status
from peers import until

from meshfast.address import here
from meshfast.model import Cluster, Endpoint, Mesh
from meshfast.pieces import accepts_gzip

BACKENDS = pytest.mark.parametrize("backend", ["epoll", "io_uring"])


@BACKENDS
def test_only_programs_of_this_machine_are_served(backend, tmp_path):
    still = Still()

    async def story() -> None:
        async with admin(still) as address, admin(still, f"unix://{tmp_path}/a.sock") as path:
            for host in ("localhost", "LOCALHOST:99", "127.0.0.1", "127.8.8.8:15000", "[::1]", "[::1]:80"):
                assert status(await raw(address, get("/", host=host))) == 200, host
            for host in ("evil.example", "localhost.evil.example", "10.0.0.1", "127.0.0.1.evil", "localhost:x", "::1",
                         "[localhost]", "", "127.0.0.1@evil", "0.0.0.0", "[::]"):  # fmt: skip
                assert status(await raw(address, get("/config_dump", host=host))) == 403, host
                assert status(await raw(path, get("/", host=host))) == 200, host
            assert status(await raw(address, get("http://evil.example/config_dump"))) == 403
            assert status(await raw(address, get("http://127.0.0.1:80/config_dump"))) == 200
            assert status(await raw(address, b"GET /config_dump HTTP/1.0\r\n\r\n")) == 403
            assert status(await raw(path, b"GET /config_dump HTTP/1.0\r\n\r\n")) == 200
            for where in (address, path):
                for header in ("Origin: http://localhost", "Origin: null", "Sec-Fetch-Site: cross-site"):
                    assert status(await raw(where, get("/config_dump", header))) == 403
                    assert status(await raw(where, get("/drain", header, "X-Meshfast: 1", method="POST"))) == 403
                assert status(await raw(where, get("/drain", method="POST"))) == 403
            assert still.stops == 0
            assert status(await raw(path, get("/drain", "X-Meshfast: 1", method="POST"))) == 200
            assert still.stops == 1
        assert still.state.admin.refused["host"] == 13 and still.state.admin.refused["origin"] == 12
        assert still.state.admin.refused["header"] == 2

    on_loop(backend, story)


@BACKENDS
def test_what_is_no_request_gets_400_and_no_traceback(backend, caplog):
    bad = [
        get("http://["), get("http://[::1"), b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"GET\r\n\r\n",
        get("/ready") + b"\0\0garbage\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        get("/explain?service=a&label=\u00e9"), get("/stats/prometheus?al"), get("/explain?label=x"),
        get("/explain?service=%ff%00&label=%fe"), get("/explain"),
    ]  # fmt: skip

    async def story() -> None:
        still = Still()
        async with admin(still) as address:
            for data in bad:
                answer = await raw(address, data)
                assert status(answer) == (503 if data.startswith(get("/ready")) else 400), (data, answer)
            pipelined = get("/ready").replace(b"Connection: close\r\n", b"") * 3 + b"?? ??\r\n\r\n"
            answer = await raw(address, pipelined)
            assert answer.count(b"HTTP/1.1 503") == 3 and answer.count(b"HTTP/1.1 400") == 1
            draw = random.Random(1)
            good = get("/explain?service=a&label=b%3Dc", "Accept-Encoding: gzip")
            for _ in range(300):
                data = bytearray(good)
                for _ in range(draw.randrange(1, 4)):
                    data[draw.randrange(len(data))] = draw.randrange(256)
                reader, writer = await connect(address)
                writer.write(bytes(data))
                writer.write_eof()
                assert status(await reader.read(-1)) != 500, data
                writer.close()
            assert status(await raw(address, get())) == 503
            assert still.state.admin.connections <= 1
        assert still.state.admin.refused["failed"] == 0

    on_loop(backend, story)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


@BACKENDS
def test_heads_bodies_and_silence_have_an_end(backend):
    still = Still()

    async def endless(address: str, head: bytes, more: bytes) -> int:
        """Sends without end; how much was taken."""
        reader, writer = await connect(address)
        writer.write(head)
        sent = 0
        try:
            while not reader.at_eof() and sent < 8 << 20:
                writer.write(more)
                sent += len(more)
                await writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            pass
        writer.transport.abort()
        assert sent < 8 << 20
        return sent

    async def ends(address: str, data: bytes) -> bytes:
        """Sends a beginning, and waits."""
        return await raw(address, data)

    async def story() -> None:
        chunked = get("/ready", "Transfer-Encoding: chunked")
        async with admin(still) as address:
            await endless(address, b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X-A: " + b"a" * 1000 + b"\r\n")
            await endless(address, b"GET / HTTP/1.1\r\nX: ", b"a" * 4096)
            await endless(address, chunked, b"400\r\n" + b"b" * 1024 + b"\r\n")
            await endless(address, chunked, b"1;" + b"x" * 2000 + b"\r\nb\r\n")
            await endless(address, b"GET " + b"/a" * 100, b"/" * 4096)
            assert still.state.admin.refused["too long"] >= 2
        async with admin(still, request_timeout=0.3, idle_timeout=0.4) as address:
            timeouts = [
                ends(address, data) for data in (b"G", b"GET / HTTP/1.1\r\nHost: localhost\r\n", chunked + b"1\r\n")
            ]
            for answer in await asyncio.gather(*timeouts):
                assert status(answer) == 408
            assert await ends(address, b"") == b""
            again = get("/ready").replace(b"Connection: close\r\n", b"")
            assert status(await ends(address, again)) == 503  # the answer, and in time the end
            assert still.state.admin.refused["timeout"] == 3
            assert still.state.admin.refused["idle"] == 2
            await until(lambda: still.state.admin.connections == 0)

    on_loop(backend, story)


@BACKENDS
def test_a_body_is_read_and_forgotten(backend):
    async def story() -> None:
        still = Still()
        async with admin(still) as address:
            posted = get("/drain", "X-Meshfast: 1", "Transfer-Encoding: chunked", method="POST")
            assert status(await raw(address, posted + b"3\r\nabc\r\n0\r\n\r\n")) == 200
            expecting = get("/drain", "X-Meshfast: 1", "Content-Length: 3", "Expect: 100-continue", method="POST")
            reader, writer = await connect(address)
            writer.write(expecting)
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100")
            writer.write(b"abc")
            assert status(await reader.read(-1)) == 200
            writer.close()
            assert still.stops == 2

    on_loop(backend, story)


@BACKENDS
def test_sixteen_connections_and_idle_ones_make_room(backend):
    still = Still()

    async def story() -> None:
        async with admin(still, idle_grace=0.1, request_timeout=60.0) as address:
            busy = [await connect(address) for _ in range(16)]
            for _, writer in busy:
                writer.write(b"GET / HTTP/1.1\r\n")
            await until(lambda: still.state.admin.connections == 16)
            assert b"too many" in await raw(address, get())
            assert still.state.admin.refused["connections"] == 1
            for _, writer in busy[8:]:
                writer.close()
            busy = busy[:8]
            await until(lambda: still.state.admin.connections == 8)
            idle = [await connect(address) for _ in range(8)]
            await until(lambda: still.state.admin.connections == 16)

            async def served() -> None:
                while b"starting" not in await raw(address, get()):
                    await asyncio.sleep(0.01)

            await asyncio.wait_for(served(), 10)  # an idle one made room
            assert sum(reader.at_eof() for reader, _ in idle) >= 1
            assert sum(reader.at_eof() for reader, _ in busy) == 0
            assert still.state.admin.connections <= 16
            for _, writer in busy + idle:
                writer.close()
            await until(lambda: still.state.admin.connections == 0)

    on_loop(backend, story)


def large() -> Still:
    """Some megabytes of pages."""
    endpoints = tuple(Endpoint(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}:20880", {}) for i in range(2000))
    return Still(mesh=Mesh({f"app{i}": Cluster(f"app{i}", (f"com.x.S{i}",), endpoints) for i in range(20)}))


@BACKENDS
def test_a_reader_that_does_not_read_is_let_go(backend):
    still = large()

    async def story() -> None:
        async with admin(still, write_timeout=0.3) as address:
            sock = small_buffers(address)
            sock.sendall(get("/config_dump"))
            await until(lambda: still.state.admin.connections == 1)
            assert status(await raw(address, get())) == 503  # others are served meanwhile
            await until(lambda: still.state.admin.refused["slow reader"] == 1)
            await until(lambda: still.state.admin.connections == 0)
            sock.close()
        async with admin(still, answer_timeout=0.3, write_timeout=60.0) as address:
            sock = small_buffers(address)
            sock.sendall(get("/config_dump"))
            sock.setblocking(False)
            while still.state.admin.refused["slow reader"] < 2:  # it takes something, slowly
                await asyncio.get_running_loop().sock_recv(sock, 4096)
                await asyncio.sleep(0.01)
            await until(lambda: still.state.admin.connections == 0)
            sock.close()

    on_loop(backend, story)


@BACKENDS
def test_long_pages_come_in_pieces_while_others_are_served(backend):
    still = large()

    async def story() -> None:
        async with admin(still) as address:
            reader, writer = await connect(address)
            writer.write(get("/clusters", "Accept-Encoding: gzip"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"chunked" in head and b"content-encoding: gzip" in head
            assert status(await raw(address, get())) == 503
            body = gzip.decompress(unchunked(await reader.read(-1)))
            rows = json.loads(body)
            assert len(rows) == 20 and rows[3]["endpoints"][1999]["address"] == "10.0.7.207:20880"
            writer.close()
            dump = json.loads((await raw(address, b"GET /config_dump HTTP/1.0\r\nHost: localhost\r\n\r\n"))
                              .partition(b"\r\n\r\n")[2])  # fmt: skip
            assert len(dump["mesh"]["clusters"]["app9"]["endpoints"]) == 2000
            answer = await raw(address, get("/config_dump", method="HEAD"))
            assert status(answer) == 200 and answer.endswith(b"\r\n\r\n") and len(answer) < 400
            answer = await raw(address, get("/ready", method="HEAD"))
            assert status(answer) == 503 and answer.endswith(b"\r\n\r\n")

    on_loop(backend, story)


def unchunked(body: bytes) -> bytes:
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        out, body = out + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return out


def test_names_of_this_machine():
    assert here("localhost:1") and here("[::1]:1") and not here("[::1") and not here("1") and not here("a" * 10000)
    assert accepts_gzip("br, gzip;q=0.5") and not accepts_gzip("gzip;q=0") and not accepts_gzip("identity, deflate")


def test_not_for_other_machines():
    async def story() -> None:
        for address in ("tcp://0.0.0.0:0", "tcp://[::]:0", "tcp://10.0.0.1:0"):
            with pytest.raises(ValueError, match="only loopback"):
                async with admin(Still(), address):
                    pass

    asyncio.run(story())
