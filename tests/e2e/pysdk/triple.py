"""An application of Python that serves by the SDK what the peers of Triple and gRPC do: ``PeerService`` by Dubbo2 and
Triple, ``Streams`` and ``Texts`` by Triple, ``Echo`` by gRPC; until SIGTERM. Told its name, its port, the sidecar's
address where there is one, and then what ``PeerService`` is called by, if not by both."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import sys
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

from meshfast import protobuf
from meshfast.sdk.context import attach, incoming
from meshfast.sdk.errors import GrpcError
from meshfast.sdk.serve import Limits, Offer, Serving

LONGEST = 64 << 20


class StringValue:
    """google.protobuf.StringValue, with what any message of protobuf has."""

    def __init__(self, value: str = "") -> None:
        self.value = value

    def SerializeToString(self) -> bytes:
        return protobuf.field(1, self.value.encode()) if self.value else b""

    @classmethod
    def FromString(cls, data: bytes) -> StringValue:
        texts = [value for number, value in protobuf.fields(data) if number == 1 and isinstance(value, bytes)]
        return cls(texts[-1].decode() if texts else "")


class Int32Value:
    """google.protobuf.Int32Value."""

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def SerializeToString(self) -> bytes:
        return b"\x08" + protobuf.varint(self.value) if self.value else b""

    @classmethod
    def FromString(cls, data: bytes) -> Int32Value:
        return cls(next((value for number, value in protobuf.fields(data) if isinstance(value, int)), 0))


class Peer:
    """PeerService.java."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: list[str] = []

    def whoami(self) -> str:
        return self.name

    def echo(self, text: str) -> str:
        return text

    def ask(self, text: str) -> str:
        return f"{self.name}|{text}"

    async def slow(self, millis: int, text: str) -> str:
        await asyncio.sleep(millis / 1000)
        return f"{self.name}|{text}"

    def nothing(self) -> None:
        return None

    def fail(self, message: str) -> str:
        raise ValueError(message)

    def produce(self, size: int) -> bytes:
        return bytes(n % 251 for n in range(size))

    def checksum(self, data: bytes) -> int:
        return zlib.crc32(data)

    def attachments(self) -> dict[str, Any]:
        found = dict(incoming.get({}))
        attach(replied=found.get("reply", ""), **{"from": self.name})
        return {key: value for key, value in found.items() if isinstance(value, str)}

    def record(self, token: str) -> None:
        self.seen.append(token)

    def recorded(self) -> list[str]:
        return self.seen


class Streams:
    """Streams.java."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.gave_up = 0

    async def count(self, told: dict[str, Any]) -> AsyncIterator[str]:
        for number in range(told["items"]):
            yield f"{self.name}|{number}|{'x' * told['size']}"
        if told["fail"]:
            raise ValueError("told to fail")

    async def gather(self, texts: AsyncIterator[str]) -> str:
        items = characters = 0
        async for text in texts:
            items, characters = items + 1, characters + len(text)
        return f"{self.name}|{items}|{characters}"

    async def chat(self, texts: AsyncIterator[str]) -> AsyncIterator[str]:
        try:
            async for text in texts:
                if text == "fail":
                    raise ValueError("told to fail")
                yield f"{self.name}|{text}"
        except asyncio.CancelledError:
            self.gave_up += 1
            raise

    def bytes(self) -> dict[str, str]:
        found = {key: value for key, value in incoming.get({}).items() if isinstance(value, bytes)}
        if "blob" in found:
            attach(blob=found["blob"])
        return {key: base64.b64encode(value).decode() for key, value in found.items()}

    def cancelled(self) -> int:
        return self.gave_up


class Texts:
    """Texts.java, of which some wait in threads."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ask(self, text: StringValue) -> StringValue:
        return StringValue(f"{self.name}|{text.value}")

    def fail(self, text: StringValue) -> StringValue:
        raise ValueError(text.value)

    def count(self, items: Int32Value) -> Iterator[StringValue]:
        for number in range(items.value):
            yield StringValue(f"{self.name}|{number}")

    def gather(self, texts: Iterator[StringValue]) -> StringValue:
        found = [text.value for text in texts]
        return StringValue(f"{self.name}|{len(found)}|{sum(map(len, found))}")

    async def chat(self, texts: AsyncIterator[StringValue]) -> AsyncIterator[StringValue]:
        async for text in texts:
            if text.value == "fail":
                raise ValueError("told to fail")
            yield StringValue(f"{self.name}|{text.value}")


class Echo:
    """The service of the peers of gRPC."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        self.gave_up = self.begun = 0

    async def ask(self, body: bytes) -> bytes:
        return self.name + b"|" + body

    async def slow(self, body: bytes) -> bytes:
        await asyncio.sleep(int(body) / 1000)
        return self.name + b"|" + body

    async def fail(self, body: bytes) -> bytes:
        asked = json.loads(body)
        raise GrpcError(asked["code"], asked.get("message", ""))

    async def told(self, body: bytes) -> bytes:
        asked = json.loads(body or b"{}")
        for key, value in asked.get("trailing", ()):
            attach({key: base64.b64decode(value) if key.endswith("-bin") else value})
        found = {
            key: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for key, value in incoming.get({}).items()
        }
        return json.dumps({"metadata": found}).encode()

    async def wait(self, body: bytes) -> bytes:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        finally:
            self.gave_up += 1
        return body

    async def seen(self, body: bytes) -> bytes:
        return json.dumps({"begun": self.begun, "cancelled": self.gave_up}).encode()

    async def hang(self, body: bytes) -> AsyncIterator[bytes]:
        yield self.name
        yield await self.wait(body)

    async def collect(self, messages: AsyncIterator[bytes]) -> bytes:
        count = total = check = 0
        async for message in messages:
            count, total, check = count + 1, total + len(message), zlib.crc32(message, check)
        return f"{count} {total} {check}".encode()

    async def produce(self, body: bytes) -> AsyncIterator[bytes]:
        asked = json.loads(body)
        wheel = bytes(range(251)) * (asked["size"] // 251 + 2)
        for number in range(asked["count"]):
            yield number.to_bytes(4, "big") + wheel[number % 251 : number % 251 + asked["size"] - 4]
            if asked["pause"]:
                await asyncio.sleep(asked["pause"] / 1000)

    async def chat(self, messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for message in messages:
            yield message


def methods(of: object) -> dict[str, Any]:
    return {name: getattr(of, name) for name in vars(type(of)) if not name.startswith("_")}


async def main(name: str, port: str, api: str = "", *protocols: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    offers = [
        Offer("meshfast.peer.PeerService", methods(Peer(name)), protocols=protocols or ("dubbo", "tri")),
        Offer("meshfast.peer.Streams", methods(Streams(name)), protocols=("tri",)),
        Offer("meshfast.peer.Texts", methods(Texts(name)), protocols=("tri",)),
        Offer("meshfast.peer.Echo", methods(Echo(name)), protocols=("grpc",)),
    ]
    async with Serving(api or None, *offers, port=int(port), limits=Limits(payload=LONGEST)) as serving:
        print(f"{name}: port {serving.port}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
