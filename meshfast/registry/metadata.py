"""Asks an instance what its application offers: Dubbo's MetadataService, by Dubbo2 or by Triple."""

from __future__ import annotations

import asyncio
import contextlib

from meshfast import dubbo
from meshfast.errors import ProtocolError
from meshfast.registry import triple
from meshfast.registry.instance import LONGEST_INFO, Info, info, info_of
from meshfast.registry.url import Refused

__all__ = ["PATIENCE", "ask"]

SERVICE = "org.apache.dubbo.metadata.MetadataService"
#: Seconds for a connection, the call and its whole answer.
PATIENCE = 5.0


async def ask(protocol: str, host: str, port: int, application: str, revision: str, patience: float = PATIENCE) -> Info:
    """The MetadataInfo of a revision, asked for by "dubbo" or "tri".

    :raises OSError: nobody answers, or not in time
    :raises MeshfastError: what answers speaks something else, or too much
    :raises Refused: the answer is none
    """
    async with asyncio.timeout(patience):
        reader, writer = await asyncio.open_connection(host.strip("[]"), port)
        try:
            if protocol == "tri":
                message = await triple.call(reader, writer, f"{host}:{port}", application, revision)
            else:
                extra = {"group": application, "timeout": str(round(patience * 1000))}
                writer.write(dubbo.encode_request(1, SERVICE, "getMetadataInfo", (revision,), extra, version="1.0.0"))
                message = await _answer(reader)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
        return await asyncio.to_thread(triple.read_answer if protocol == "tri" else read_answer, message)


async def _answer(reader: asyncio.StreamReader) -> bytes:
    room = LONGEST_INFO
    while True:
        try:
            raw = await reader.readexactly(dubbo.HEAD_LENGTH)
            head = dubbo.parse_head(raw, max(0, room))
            assert head is not None  # it was there whole
            body = await reader.readexactly(head.body_length)
        except asyncio.IncompleteReadError:
            raise ConnectionResetError("it hung up") from None
        if not head.is_request and not head.is_event and head.request_id == 1:
            return raw + body
        room -= len(body) + dubbo.HEAD_LENGTH  # a heartbeat, say


def read_answer(frame: bytes) -> Info:
    """In a thread: that may take a while."""
    answer = dubbo.decode_response(frame)
    if answer.exception is not None:
        raise ProtocolError(answer.exception[:200], 0)
    if answer.value is None:
        raise Refused("no_metadata")
    return info(answer.value) if isinstance(answer.value, str) else info_of(answer.value)
