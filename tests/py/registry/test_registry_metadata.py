"""An application that is asked what it offers, over sockets."""

from __future__ import annotations

import asyncio
import json

import pytest
from test_registry_instance import metadata_info, service

from meshfast import dubbo
from meshfast.errors import LimitError, ProtocolError
from meshfast.registry.instance import LONGEST_INFO
from meshfast.registry.metadata import SERVICE, ask
from meshfast.registry.url import Refused


async def asked(answer, patience=60.0):
    """Asks a server that does ``answer(request, writer)`` with the first request."""
    got = []

    async def serve(reader, writer):
        head = dubbo.parse_head(raw := await reader.readexactly(dubbo.HEAD_LENGTH))
        raw += await reader.readexactly(head.body_length)
        got.append(dubbo.parse_request(raw))
        try:
            for data in answer(got[0]):
                writer.write(data)
                await writer.drain()
            await reader.read()  # until it hangs up
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        return await ask("dubbo", "127.0.0.1", server.sockets[0].getsockname()[1], "shop", "r1", patience), got[0]
    finally:
        server.close()


def answers(value, **more):
    return lambda request: [dubbo.encode_response(request.head.request_id, value, **more)]


def test_an_answer():
    found, request = asyncio.run(asked(answers(metadata_info(service(), revision="r1"))))
    assert found.revision == "r1" and list(found.services) == ["com.x.Cart"]
    assert (request.service, request.method, request.version) == (SERVICE, "getMetadataInfo", "1.0.0")
    assert request.attachments["group"] == "shop" and request.parameter_types == "Ljava/lang/String;"


def test_an_answer_as_text():
    found, _ = asyncio.run(asked(answers(json.dumps(metadata_info(service())))))
    assert list(found.services) == ["com.x.Cart"]


def test_events_before_the_answer():
    def answer(request):
        yield dubbo.heartbeat(1)
        yield dubbo.readonly()
        yield dubbo.encode_response(77, "of somebody else")
        yield from answers(metadata_info(service()))(request)

    assert list(asyncio.run(asked(answer))[0].services) == ["com.x.Cart"]


def test_an_answer_in_pieces():
    def answer(request):
        [frame] = answers(metadata_info(service()))(request)
        for i in range(0, len(frame), 7):
            yield frame[i : i + 7]

    assert list(asyncio.run(asked(answer))[0].services) == ["com.x.Cart"]


@pytest.mark.parametrize(
    "answer, error",
    [
        (answers(None), Refused),
        (answers(7), Refused),
        (answers("nonsense"), Refused),
        (answers(None, exception="no such revision"), ProtocolError),
        (lambda r: [dubbo.error_answer(r.head.request_id, 60, "no such service")], ProtocolError),
        (lambda r: [b"HTTP/1.1 400 Bad Request\r\n\r\n"], ProtocolError),
        (lambda r: [dubbo.encode_response(1, "x")[:12] + (LONGEST_INFO + 1).to_bytes(4, "big")], LimitError),
        (lambda r: [dubbo.encode_response(1, "x")[:12] + b"\xff\xff\xff\xff"], LimitError),
        (lambda r: [dubbo.encode_response(1, "x")[:12] + b"\0\0\0\2\x94R"], ProtocolError),
        (lambda r: [dubbo.encode_response(77, "x" * 500_000)] * 10, LimitError),
    ],
)
def test_an_answer_that_is_none(answer, error):
    with pytest.raises(error):
        asyncio.run(asked(answer))


def test_silence_ends():
    with pytest.raises(TimeoutError):
        asyncio.run(asked(lambda request: [], patience=0.01))


def test_nobody_there():
    async def run():
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        await ask("dubbo", "127.0.0.1", port, "shop", "r1")

    with pytest.raises(OSError):
        asyncio.run(run())
