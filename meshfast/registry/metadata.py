"""Asks an instance what its application offers: Dubbo's MetadataService, by Dubbo2 or by Triple."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

from meshfast import dubbo
from meshfast.errors import ProtocolError
from meshfast.registry import triple
from meshfast.registry.instance import LONGEST_INFO, MOST_VALUES, Info, info, info_of
from meshfast.registry.url import Refused

__all__ = ["PATIENCE", "ask"]

SERVICE = "org.apache.dubbo.metadata.MetadataService"
#: Seconds for a connection, the call and its whole answer.
PATIENCE = 5.0
#: Addresses of one name that are tried.
MOST_ADDRESSES = 4

#: Where names are looked up and answers are read: what others say of themselves is not to hold up those threads in
#: which meshes are made and files are written.
_lookups, _reading = ThreadPoolExecutor(4, "metadata-name"), ThreadPoolExecutor(1, "metadata")


async def ask(protocol: str, host: str, port: int, application: str, revision: str, patience: float = PATIENCE) -> Info:
    """The MetadataInfo of a revision, asked for by "dubbo" or "tri".

    :raises OSError: nobody answers, or not in time
    :raises MeshfastError: what answers speaks something else, or too much
    :raises Refused: the answer is none
    """
    try:
        async with asyncio.timeout(patience):
            reader, writer = await _connection(host.strip("[]"), port)
            try:
                if protocol == "tri":
                    message = await triple.call(reader, writer, f"{host}:{port}", application, revision)
                else:
                    extra = {"group": application, "timeout": str(round(patience * 1000))}
                    arguments = (revision,)
                    writer.write(dubbo.encode_request(1, SERVICE, "getMetadataInfo", arguments, extra, version="1.0.0"))
                    message = await _answer(reader)
            finally:
                _end(writer)
    except TimeoutError:
        raise TimeoutError(f"no answer in {patience:g} s") from None
    # Not given up half-way: whoever asks waits for it, so that there are never more of them than may ask at once.
    read = triple.read_answer if protocol == "tri" else read_answer
    return await asyncio.get_running_loop().run_in_executor(_reading, read, message)


async def _connection(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first address of a host that takes one."""
    try:
        ipaddress.ip_address(host)
        found = [host]
    except ValueError:
        found = await asyncio.get_running_loop().run_in_executor(_lookups, _addresses, host, port)
    for n, each in enumerate(found):
        try:
            return await asyncio.open_connection(each, port)
        except OSError:
            if n == len(found) - 1:
                raise
    raise OSError(f"{host} has no address")


def _end(writer: asyncio.StreamWriter) -> None:
    """At once: a peer that reads nothing would be waited for, for ever."""
    if writer.transport.get_write_buffer_size():
        writer.transport.abort()
    else:
        writer.close()


def _addresses(host: str, port: int) -> list[str]:
    try:
        told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a part of more than 63 letters
        raise OSError(f"{host[:80]} is no name: {error}") from None
    return list(dict.fromkeys(str(each[4][0]) for each in told))[:MOST_ADDRESSES]


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
    answer = dubbo.decode_response(frame, MOST_VALUES)
    if answer.exception is not None:
        raise ProtocolError(answer.exception[:200], 0)
    if answer.value is None:
        raise Refused("no_metadata")
    return info(answer.value) if isinstance(answer.value, str) else info_of(answer.value)
