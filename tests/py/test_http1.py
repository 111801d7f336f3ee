"""HTTP/1 connections: relayed as they are to where policy sends their first request."""

from __future__ import annotations

import asyncio
import json
import random

import h11
import pytest
from engines import BACKENDS, PATIENCE, Running, play, running
from peers import until
from webs import App, connect, get, heard, read, say, shop, unused

CART = "cart.shop"


async def curl(side: Running, *arguments: str, body: bytes = b"") -> bytes:
    """What curl writes, for requests to cart.shop through the sidecar."""
    through = f"{CART}:80:{side.address}"
    argv = ["curl", "-sS", "--http1.1", "--max-time", str(PATIENCE), "--connect-to", through, *arguments]
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
    process = await asyncio.create_subprocess_exec(*argv, **pipes)
    out, err = await process.communicate(body)
    assert process.returncode == 0, err
    return out


# --- whole clients


@pytest.mark.parametrize("backend", BACKENDS)
def test_curl(backend):
    async def story() -> None:
        async with App("app") as app:
            with running(backend, policy=shop((app.port, ""))) as side:
                url = f"http://{CART}"
                assert await curl(side, f"{url}/a", f"{url}/b") == b"appapp"
                assert app.connections == 1  # kept alive, by both
                assert (await curl(side, "-I", f"{url}/head")).startswith(b"HTTP/1.1 200")
                long = random.Random(1).randbytes(3_000_000)
                chunked = ["-H", "Transfer-Encoding: chunked", "--data-binary", "@-"]
                assert await curl(side, *chunked, f"{url}/chunked", body=long) == b"app"
                asks = ["-H", "Expect: 100-continue", "--data-binary", "@-"]
                assert await curl(side, *asks, f"{url}/continue", body=long[:100_000]) == b"app"
                assert await curl(side, f"{url}/bytes/20000000") == b"x" * 20_000_000
                assert await curl(side, "--http1.0", f"{url}/old") == b"app"
                ways = [(one.method, one.target) for one in app.asked]
                assert ways[:4] == [("GET", "/a"), ("GET", "/b"), ("HEAD", "/head"), ("POST", "/chunked")]
                assert app.asked[3].body == long and app.asked[4].body == long[:100_000]
                assert side.count("http1_connections") == 6 and side.count("http1_answers") == 0
                assert side.count("http1_bytes") > 23_000_000 and side.count("opaque_bytes") == 0

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_upgrade_is_left_to_the_peers(backend):
    """h2c or a web socket: the answer is the application's, and so is what follows it."""

    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
        writer.write(await reader.readexactly(4))
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(switch, "127.0.0.1", 0)
        async with server:
            with running(backend, policy=shop((server.sockets[0].getsockname()[1], ""))) as side:
                reader, writer = await connect(side.address)
                fields = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")
                writer.write("\r\n".join(["GET / HTTP/1.1", f"Host: {CART}", *fields, "", ""]).encode())
                assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
                writer.write(b"\x00\xff\n\r")
                assert await asyncio.wait_for(reader.read(), PATIENCE) == b"\x00\xff\n\r"
                writer.close()

    play(story)


# --- where to


def triple(service: str, argument: object, *fields: str, host: str = "anything:1") -> bytes:
    """A call in Triple's JSON flavour."""
    body = json.dumps([argument]).encode()
    lines = [f"POST {service}/hi HTTP/1.1", f"host: {host}", "content-type: application/json", "connection: close"]
    return "\r\n".join([*lines, f"content-length: {len(body)}", *fields, "", ""]).encode() + body


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_first_request_chooses(backend):
    """By its host or by the interface in its path; the label chooses the instance."""

    async def story() -> None:
        async with App("base") as base, App("dev") as dev, App("beyond") as beyond:
            policy = shop((base.port, ""), (dev.port, "dev"))
            with running(backend, policy=policy, forward=f"127.0.0.1:{beyond.port}") as side:
                for host in (CART, "CART.Shop:8080"):
                    assert (await say(side.address, get(host))).body == "base"
                assert (await say(side.address, get(CART, "/", "ENV: dev"))).body == "dev"
                assert (await say(side.address, get("other"))).body == "beyond"
                assert (await say(side.address, get("other", f"http://{CART}/x"))).body == "base"
                assert (await say(side.address, b"GET / HTTP/1.0\r\n\r\n")).body == "beyond"
                for path in ("/com.x.Cart", "/context/com.x.Cart"):
                    assert (await say(side.address, triple(path, "a"))).body == "base"
                    assert (await say(side.address, triple(path, "b", "env: dev"))).body == "dev"
                assert (await say(side.address, triple("/com.x.Other", "c"))).body == "beyond"
                assert dev.asked[-1].body == b'["b"]'
                # It goes to a service by its host, though its path names another.
                assert (await say(side.address, triple("/com.x.Other", "c", host=CART))).body == "base"
                # Later requests of a connection follow the first, whatever they say.
                reader, writer = await connect(side.address)
                writer.write(b"GET /1 HTTP/1.1\r\nhost: cart.shop\r\n\r\n")
                writer.write(b"GET /2 HTTP/1.1\r\nhost: other\r\nenv: dev\r\n\r\n")
                await until(lambda: base.asked[-1].target == "/2", PATIENCE)
                writer.close()
                assert not [one for one in beyond.asked + dev.asked if one.target == "/2"]

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nowhere_to_go(backend):
    async def story() -> None:
        async with App("base") as base:
            with running(backend, policy=shop((base.port, "x"))) as side:
                answer = await say(side.address, get("other"))
                assert answer.status == 404 and "other is not in the mesh" in answer.body
                assert answer.headers["connection"] == "close"
                head = await say(side.address, b"HEAD / HTTP/1.1\r\nhost: other\r\n\r\n", method="HEAD")
                assert head.status == 404 and head.body == ""
                tunnel = await say(side.address, f"CONNECT {CART}:80 HTTP/1.1\r\nhost: {CART}\r\n\r\n".encode())
                assert tunnel.status == 404
                answer = await say(side.address, get(CART, "/", "env: y"))
                assert answer.status == 503 and f"no instance of {CART}" in answer.body
                assert side.count("http1_answers") == 4 and base.connections == 0

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_listed_may_be_refused(backend):
    async def story() -> None:
        async with App("base") as base, App("beyond") as beyond:
            forward = f"127.0.0.1:{beyond.port}"
            with running(backend, policy=shop((base.port, "")), forward=forward, unknown="refuse") as side:
                assert (await say(side.address, get(CART))).body == "base"
                assert (await say(side.address, get("other"))).status == 404
                assert beyond.connections == 0

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_inbound_goes_to_the_application(backend):
    """Which judges what comes in itself, were it a head that we should not like to read."""

    async def story() -> None:
        async with App("app") as app:
            with running(backend, forward=f"127.0.0.1:{app.port}", direction="inbound") as side:
                assert (await say(side.address, get("whoever"))).body == "app"
                folded = b"GET /folded HTTP/1.1\r\nhost: x\r\na: b\r\n c\r\nconnection: close\r\n\r\n"
                assert (await say(side.address, folded)).body == "app"
                assert app.asked[-1].headers["a"] == "b c"

    play(story)


# --- peers that are not there


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_dead_peer(backend):
    async def story() -> None:
        dead = unused()
        async with App("base") as base:
            with running(backend, policy=shop((dead, ""))) as side:
                answer = await say(side.address, get(CART))
                assert answer.status == 503 and CART in answer.body
                assert side.count("upstream_connect_failed") == 1
            with running(backend, policy=shop((dead, ""), (base.port, ""))) as side:
                for _ in range(30):  # whichever is picked first
                    assert (await say(side.address, get(CART))).body == "base"
            for direction in ("inbound", "outbound"):
                with running(backend, forward=f"127.0.0.1:{dead}", direction=direction) as side:
                    answer = await say(side.address, get("app"))
                    assert answer.status == 503 and "refused" in answer.body.lower()

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_body_that_comes_before_its_peer_is_there_is_not_lost(backend):
    async def story() -> None:
        async with App("base") as base:
            with running(backend, policy=shop((unused(), ""), (base.port, ""))) as side:
                long = random.Random(2).randbytes(200_000)
                request = b"POST /%d HTTP/1.1\r\nhost: cart.shop\r\ncontent-length: 200000\r\nconnection: close\r\n\r\n"
                for i in range(10):
                    assert (await say(side.address, request % i + long, end=i % 2 == 1)).body == "base"
                    assert base.asked[-1].body == long

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_half_closes(backend):
    """Who has said all still gets the answer, and the application learns of it."""

    async def story() -> None:
        async with App("base") as base:
            with running(backend, policy=shop((base.port, ""))) as side:
                request = b"GET / HTTP/1.1\r\nhost: cart.shop\r\n\r\n"
                assert (await say(side.address, request, end=True)).body == "base"
                await until(lambda: base.ended == 1, PATIENCE)
                reader, writer = await connect(side.address)  # gone before its head was whole: nobody is dialled
                writer.write(request[:-2])
                writer.write_eof()
                assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
                writer.close()
                assert base.connections == 1

    play(story)


# --- heads


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_slow_head_is_waited_for(backend):
    async def story() -> None:
        async with App("base") as base:
            with running(backend, policy=shop((base.port, ""))) as side:
                request = get(CART)
                pieces = [request[i : i + 1] for i in range(len(request))]
                assert (await say(side.address, *pieces)).body == "base"
            with running(backend, policy=shop((base.port, "")), limits={"frameTimeout": 300}) as side:
                reader, writer = await connect(side.address)
                writer.write(request[:-1])
                assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
                writer.close()
                assert side.count("limit_frame_timeout") == 1
                assert base.connections == 1

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_long_head_is_refused(backend):
    async def story() -> None:
        async with App("base") as base:
            with running(backend, policy=shop((base.port, "")), limits={"httpHead": 1000}) as side:
                fits = get(CART, "/", "a: " + "x" * (1000 - len(get(CART, "/", "a: "))))
                assert len(fits) == 1000 and (await say(side.address, fits)).body == "base"
                for text in (fits.replace(b"a: ", b"a: x"), fits[:-4] + b"x" * 100_000, get(CART, "/" + "y" * 3000)):
                    answer = await say(side.address, text)
                    assert answer.status == 431 and "httpHead" in answer.body
                assert side.count("limit_http_head") == 3 and base.connections == 1

    play(story)


REFUSED = [
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: cart.shop\r\nHost: cart.shop\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: cart.shop, other\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: me@cart.shop\r\n\r\n",
    "GET / HTTP/1.1\r\nhost : cart.shop\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: cart.shop\r\n env: dev\r\n\r\n",
    "GET / HTTP/1.1\r\n\thost: cart.shop\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: cart.shop\n\r\n",
    "GET / HTTP/1.1\nhost: cart.shop\n\n",
    "GET / HTTP/1.1\r\nhost: cart.shop\r\nenv: de\0v\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: cart.shop\r\nenv: dev\rhost: other\r\n\r\n",
    "GET http://me@cart.shop/ HTTP/1.1\r\nhost: cart.shop\r\n\r\n",
    "GET http://cart.shop/ HTTP/1.1\r\n\r\n",
    "GET /#x HTTP/1.1\r\nhost: cart.shop\r\n\r\n",
    "GET / HTTP/1.1\r\nhost: cart.shop\r\n: x\r\n\r\n",
]


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_could_be_read_in_two_ways_is_refused(backend):
    async def story() -> None:
        async with App("base") as base:
            with running(backend, policy=shop((base.port, "")), forward=f"127.0.0.1:{base.port}") as side:
                for text in REFUSED:
                    answer = await say(side.address, text.encode("latin-1"))
                    assert answer.status == 400 and answer.body.startswith("meshfast: bad request: "), (text, answer)
                assert base.connections == 0
                assert side.count("bad_connections") == side.count("http1_answers") == len(REFUSED)

    play(story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_only_begins_like_http_is_relayed(backend):
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def story() -> None:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server:
            with running(backend, forward=f"127.0.0.1:{server.sockets[0].getsockname()[1]}") as side:
                for text in (b"GET key\r\n", b"GET /key\r\n", b"CONNECT {}\r\n", b"GET / HTTP/3\r\n", b"ls\r\n"):
                    reader, writer = await connect(side.address)
                    for at in range(len(text)):
                        writer.write(text[at : at + 1])
                        await writer.drain()
                    assert await asyncio.wait_for(reader.readexactly(len(text)), PATIENCE) == text
                    writer.close()
                assert side.count("opaque_connections") == 5 and side.count("http1_answers") == 0

    play(story)


# --- h11 reads what policy reads


def twisted(chance: random.Random) -> bytes:
    """A head with something unusual in it, or nothing."""
    host = chance.choice(["cart.shop", "other.shop", "Cart.SHOP:80", "[::1]:80", "", "a b", "cart.shop:x"])
    urls = ["http://cart.shop/x", "http://other.shop", "https://CART.shop:443?q"]
    target = chance.choice(["/", "/a?b=c", "*", "//x", *urls])
    version = chance.choice(["1.1"] * 8 + ["1.0", "1.2"])
    fields = [f"{chance.choice(['host', 'Host', 'HOST'])}:{chance.choice(['', ' ', chr(9)])}{host}"]
    more = ["env: dev", "ENV:dev ", "a: ", "a", " b: c", "a : b", "a: \x00", "a: \xe9", "x: y\rz: w", "\xe4: b"]
    more.append("host: other.shop")
    fields += chance.sample(more, chance.choice([0, 0, 1, 1, 2]))
    chance.shuffle(fields)
    lines = [f"GET {target} HTTP/{version}", *fields, "connection: close", "", ""]
    ends = [chance.choice(["\r\n"] * 60 + ["\n", "\r"]) for _ in lines[1:]]
    return "".join(line + end for line, end in zip(lines, [*ends, ""], strict=True)).encode("latin-1")


def as_h11_reads(raw: bytes) -> tuple[str, str] | None:
    """Host and label of a request, by RFC 9112 3.2.2 and h11; None where it refuses."""
    peer = h11.Connection(h11.SERVER)
    try:
        peer.receive_data(raw)
        request = peer.next_event()
    except h11.RemoteProtocolError:
        return None
    if not isinstance(request, h11.Request):
        return None
    headers = dict(request.headers)
    target = request.target.decode()
    host = target.split("/")[2].split("?")[0] if "://" in target else headers.get(b"host", b"").decode()
    return host.partition(":")[0].lower(), headers.get(b"env", b"").decode()


@pytest.mark.parametrize("backend", BACKENDS)
def test_h11_agrees(backend):
    """What is let through is what h11 reads too, and it goes where h11's reading sends it."""

    async def story() -> None:
        chance, ways = random.Random(9), set()
        async with App("base") as base, App("dev") as dev, App("beyond") as beyond:
            policy = shop((base.port, ""), (dev.port, "dev"))
            with running(backend, policy=policy, forward=f"127.0.0.1:{beyond.port}") as side:
                for _ in range(600):
                    raw = twisted(chance)
                    known = len(base.asked + dev.asked + beyond.asked)
                    said = await heard(side.address, raw, end=True)
                    new = len(base.asked + dev.asked + beyond.asked) - known
                    answer = read(said) if said else None
                    ways.add(answer.body if answer and answer.status == 200 else answer and answer.status)
                    if not answer or answer.status == 400:  # refused, or it never was a whole head
                        assert new == 0, raw
                        continue
                    found = as_h11_reads(raw)
                    assert found and answer.status == 200, (raw, found, answer)
                    host, env = found
                    want = "beyond" if host != CART else "dev" if env == "dev" else "base"
                    assert (answer.body, new) == (want, 1), (raw, found)
        assert ways == {None, 400, "base", "dev", "beyond"}

    play(story)
