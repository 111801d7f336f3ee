"""The forms in which other clients write a request, through a sidecar: where it goes, and with which bytes."""

from __future__ import annotations

import asyncio
import struct

import pytest
from peers import Caller, Frame, Provider, closing, mesh
from test_sidecar import BACKENDS, SIDECAR, Proxy, address, proxy

from meshfast import dubbo, hessian

OWN = SIDECAR.replace("{{app: shop}}", "{{app: shop, labels: {{env: dev1}}}}")
TOKENS = (0, 3_000, 40_000, 1_000_000)


def framed(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def short(text: str) -> bytes:
    return bytes([0x49 + len(text)]) + text.encode()


def long(text: str) -> bytes:
    return b"\x79\x48" + struct.pack(">I", len(text)) + text.encode()


def request(serialization: int, request_id: int, body: bytes) -> bytes:
    return bytes([0xDA, 0xBB, 0xC0 | serialization, 0]) + struct.pack(">qI", request_id, len(body)) + body


def fastjson2(request_id: int, attachments: bytes, behind: bytes = b"") -> bytes:
    strings = b"".join(framed(short(text)) for text in ("2.0.2", "com.x.Cart", "1.0.0", "hi", ""))
    return request(23, request_id, strings + framed(b"\xa6" + attachments + b"\xa5") + behind)


def hessian2(request_id: int, rest: bytes) -> bytes:
    strings = b"".join(map(hessian.encode, ("2.0.2", "com.x.Cart", "1.0.0", "hi")))
    return request(2, request_id, strings + rest)


async def sent(caller: Caller, provider: Provider, frame: bytes) -> Frame:
    """What the provider gets of it, and nobody else."""
    before = len(provider.requests)
    await caller.send(frame)
    assert len(provider.requests) == before + 1, provider.name
    return provider.requests[-1]


async def stamped(caller: Caller, dev1: Provider) -> None:
    """A label goes into attachments of any length, before what comes behind them."""
    for n, size in enumerate(TOKENS):
        frame = fastjson2(n, short("token") + long("t" * size), framed(short("behind")))
        got = await sent(caller, dev1, frame)
        attachments = dubbo.parse_request(got.raw).attachments
        assert (attachments["env"], attachments["token"]) == ("dev1", "t" * size)
        assert got.raw[-11:] == frame[-11:] and len(got.raw) == len(frame) + 9
        body = b"\0H" + hessian.encode("token") + hessian.encode("t" * size) + b"Z"
        got = await sent(caller, dev1, hessian2(n, body + b"\x91behind"))
        if size > 65536:  # in pieces, and too long to be made one: it is there, but is not text
            del attachments["token"]
        assert dubbo.parse_request(got.raw).attachments == attachments
        assert got.raw.endswith(b"\x03env\x04dev1Z\x91behind")
    got = await sent(caller, dev1, hessian2(9, b"\0N"))
    assert got.raw.endswith(b"\0H\x03env\x04dev1Z")


async def unchanged(caller: Caller, shanghai: Provider) -> None:
    """A label that the request has, however it is written, is the request's own."""
    utf16 = bytes([0x7C, 4]) + "上海".encode("utf-16-le")
    utf8 = hessian.encode("上海")
    for frame in (
        fastjson2(20, short("env") + utf16),
        fastjson2(21, short("env") + b"\x95" + utf16),
        fastjson2(22, bytes([0x7D, 6]) + "env".encode("utf-16-be") + utf16),
        hessian2(23, b"\0H\x03env" + utf8 + b"Z"),
        hessian2(24, b"\0H\x03env\x71\x07[string" + utf8 + b"Z"),
        hessian2(25, b"\0H\x03envR\0\x01\xe4\xb8\x8a\x01\xe6\xb5\xb7Z"),
    ):
        assert (await sent(caller, shanghai, frame)).raw[16:] == frame[16:]


async def passed_on(caller: Caller, other: Provider) -> None:
    """A dialect goes, as it came, to where what cannot be read goes."""
    for frame in (
        hessian2(30, b"\x8f\0H\x03env\x04dev1Z"),  # a number before the types, as Dubbox has it
        hessian2(31, b"\x0fjava.lang.ObjectN"),
        hessian2(32, b"\0\x91HZ"),
    ):
        assert (await sent(caller, other, frame)).raw[16:] == frame[16:]


@pytest.mark.parametrize("backend", BACKENDS)
def test_forms(tmp_path, backend, monkeypatch):
    async def story() -> None:
        dev1, shanghai, other = Provider("dev1"), Provider("shanghai"), Provider("other")
        for provider in (dev1, shanghai, other):
            provider.handler = answer
            await provider.start()
        policy = mesh((dev1, "dev1"), (shanghai, "上海")).replace("$getContext(x-request-id)", "$(localLabel)")
        listener = f'"tcp://127.0.0.1:0", forward: "tcp://{other.address}"'
        monkeypatch.setattr("test_sidecar.SIDECAR", OWN.replace('"tcp://127.0.0.1:0"', listener))
        async with closing(dev1, shanghai, other), proxy(tmp_path, policy, backend) as running:
            await calls(running, dev1, shanghai, other)

    async def calls(running: Proxy, dev1: Provider, shanghai: Provider, other: Provider) -> None:
        caller = await Caller.connect(address(running))
        async with closing(caller):
            await stamped(caller, dev1)
            await unchanged(caller, shanghai)
            await passed_on(caller, other)

    async def answer(_: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        writer.write(dubbo.encode_response(frame.id, "ok"))

    asyncio.run(story())
