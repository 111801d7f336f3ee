"""Applications that are asked by Triple what they offer: a real server of gRPC answers, and some that are none."""

from __future__ import annotations

import asyncio
import random

import grpc
import pytest
from test_registry_fuzz import ROUNDS

from meshfast import http2
from meshfast.errors import LimitError, ProtocolError
from meshfast.registry.instance import LONGEST_INFO, MOST_SERVICES
from meshfast.registry.metadata import ask
from meshfast.registry.triple import LONGEST_CALL, SERVICE, read_answer
from meshfast.registry.url import Refused


def varint(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes((value & 0x7F | 0x80,)), value >> 7
    return out + bytes((value,))


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def entry(number, name, value):
    return field(number, field(1, name) + field(2, value))


def offered(name="com.x.Cart", group="red", version="1.0.0", protocol="tri", port=50051, **params):
    parts = field(1, name) + field(2, group) + field(3, version) + field(4, protocol) + field(5, port) + field(6, name)
    return parts + b"".join(entry(7, *each) for each in params.items())


def answer(*services, revision="r1"):
    return field(1, "shop") + field(2, revision) + b"".join(entry(3, f"k{i}", one) for i, one in enumerate(services))


async def served(behave, patience=60.0):
    """Asks a server of gRPC that answers by ``behave(request, context)``."""
    seen = []

    async def handle(request, context):
        seen.append((request, dict(context.invocation_metadata())))
        return await behave(request, context)

    handler = grpc.unary_unary_rpc_method_handler(handle)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"GetMetadataInfo": handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        return await ask("tri", "127.0.0.1", port, "shop", "r1", patience), seen
    finally:
        await server.stop(None)


def answers(message):
    async def behave(request, context):
        return message

    return behave


def test_an_answer():
    found, [(request, metadata)] = asyncio.run(served(answers(answer(offered(timeout="500"), offered("com.x.Stock")))))
    assert request == field(1, "r1")
    assert (metadata["tri-service-group"], metadata["tri-service-version"]) == ("shop", "2.0.0")
    [one] = found.services["com.x.Cart"]
    assert (one.group, one.version, one.protocol, one.port) == ("red", "1.0.0", "tri", 50051)
    assert one.parameters == {"timeout": "500"} and found.revision == "r1" and len(found.services) == 2


def test_a_long_answer():
    found, _ = asyncio.run(served(answers(answer(*(offered(f"com.x.S{i}", text="x" * 200) for i in range(3000))))))
    assert len(found.services) == 3000


def test_an_error():
    async def behave(request, context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "no such revision")

    with pytest.raises(ProtocolError, match="no such revision"):
        asyncio.run(served(behave))


def test_an_answer_that_is_none():
    with pytest.raises(Refused):
        asyncio.run(served(answers(b"\x1a\xff")))


def test_silence_by_triple_ends():
    async def behave(request, context):
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        asyncio.run(served(behave, patience=0.2))


async def spoken(data):
    """Asks a server that says ``data`` and hangs up."""

    async def serve(reader, writer):
        await reader.readexactly(24)
        writer.write(data)
        try:
            await writer.drain()
            writer.write_eof()
            await reader.read()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        return await ask("tri", "127.0.0.1", server.sockets[0].getsockname()[1], "shop", "r1", 60.0)
    finally:
        server.close()


def frames(*each):
    return b"".join(one.encode() for one in each)


LAST = http2.Flag.END_STREAM
HEAD = http2.Headers(1, http2.Flag.END_HEADERS, http2.HeaderEncoder().encode([(b":status", b"200")]))


@pytest.mark.parametrize(
    "data, error",
    [
        (b"", ConnectionResetError),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", (ProtocolError, LimitError)),
        (frames(http2.Settings(), http2.GoAway(0, code=2)), ConnectionResetError),
        (frames(http2.Settings(), http2.RstStream(1, code=7)), ConnectionResetError),
        (frames(http2.Settings(), HEAD, http2.Data(1, LAST, b"\0\0\0\0\5abc")), ProtocolError),
        (frames(http2.Settings(), HEAD, http2.Data(1, LAST, b"\1\0\0\0\3abc")), ProtocolError),
        (frames(http2.Settings(), HEAD, http2.Data(1, LAST, b"")), ProtocolError),
        (frames(http2.Data(1, 0, bytes(16384))) * (LONGEST_CALL // 16384 + 1), LimitError),
        (frames(http2.Ping(), http2.Ping(0, http2.Flag.ACK)) * 10_000, LimitError),
    ],
    ids=["nothing", "http1", "goaway", "reset", "short", "compressed", "empty", "long", "pings"],
)
def test_a_server_of_another_kind(data, error):
    with pytest.raises(error):
        asyncio.run(spoken(data))


def test_frames_in_any_order_before_the_answer():
    message = answer(offered())
    whole = b"\0" + len(message).to_bytes(4, "big") + message
    parts = [http2.Data(1, 0, whole[i : i + 9], pad=3) for i in range(0, len(whole), 9)]
    others = http2.WindowUpdate(0, 0, 7), http2.Ping(), http2.Settings(), http2.Unknown(0, 0, 77, b"x")
    found = asyncio.run(spoken(frames(*others, HEAD, *parts, *others, http2.Data(1, LAST))))
    assert list(found.services) == ["com.x.Cart"]


def test_a_service_that_cannot_be_read_is_left_out():
    found = read_answer(answer(offered(), b"\xff", offered(name="a b"), offered(protocol="rest"), offered(port=10**9)))
    assert [one.port for one in found.services["com.x.Cart"]] == [50051, 0]
    assert found.refused == {"shape": 1, "service": 1, "protocol": 1}


def test_too_many_services():
    with pytest.raises(Refused, match="services"):
        read_answer(answer(*(b"" for _ in range(MOST_SERVICES + 1))))


def test_any_message_gives_metadata_or_is_refused():
    dice = random.Random(7)
    seed = answer(offered(a="b"), offered("com.x.Stock", port=1))
    found = 0
    for _ in range(ROUNDS):
        data = bytearray(seed)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(data))
            match dice.randrange(3):
                case 0:
                    data[at] = dice.randrange(256)
                case 1:
                    del data[at : at + dice.randint(1, 9)]
                    data += b"\0"
                case _:
                    data[at:at] = dice.randbytes(dice.randint(1, 9))
        for each in (bytes(data), dice.randbytes(dice.randrange(60))):
            try:
                read_answer(each)
                found += 1
            except Refused as error:
                assert error.reason.isidentifier()
    assert found > 50


def test_the_longest_answer_is_read_in_steps_of_its_length():
    assert LONGEST_INFO < LONGEST_CALL
    assert read_answer(field(9, bytes(LONGEST_INFO))).services == {}
