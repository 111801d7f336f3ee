"""The service as one instance of grpcio offers it."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import AsyncIterator
from typing import Any

import grpc
from parts import SERVICE, Pattern, pairs, texts

_counts = {"begun": 0, "cancelled": 0}
_server: list[grpc.aio.Server] = []
UNIMPORTANT = ("user-agent",)


def seen() -> dict[str, int]:
    """What happened to the calls that wait."""
    return dict(_counts)


class Service(grpc.GenericRpcHandler):  # type: ignore[misc]
    """Its methods, by path."""

    def __init__(self, name: str) -> None:
        self.name = name.encode()
        unary, collecting = grpc.unary_unary_rpc_method_handler, grpc.stream_unary_rpc_method_handler
        giving, both = grpc.unary_stream_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        self.methods = {
            "ask": unary(self.ask), "slow": unary(self.slow), "attempt": unary(self.attempt),
            "fail": unary(self.fail), "told": unary(self.told), "wait": unary(self.wait),
            "collect": collecting(self.collect), "produce": giving(self.produce),
            "hang": giving(self.hang), "chat": both(self.chat),
        }  # fmt: skip

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        service, _, method = details.method[1:].rpartition("/")
        return self.methods.get(method) if service == SERVICE else None

    async def ask(self, body: bytes, _: Any) -> bytes:
        return self.name + b"|" + body

    async def slow(self, body: bytes, context: Any) -> bytes:
        _counts["begun"] += 1
        await asyncio.sleep(int(body) / 1000)
        return await self.ask(body, context)

    async def attempt(self, body: bytes, context: Any) -> bytes:
        """Counts as begun; the instance that is named waits, and fails where a code is told."""
        asked = json.loads(body)
        _counts["begun"] += 1
        if asked.get("at") == self.name.decode():
            await asyncio.sleep(asked.get("millis", 0) / 1000)
            if asked.get("code"):
                return await self.fail(body, context)
        return await self.ask(body, context)

    async def fail(self, body: bytes, context: Any) -> bytes:
        """Ends as the body asks: code, message, details."""
        asked = json.loads(body)
        details = base64.b64decode(asked.get("details", ""))
        trailing = (("grpc-status-details-bin", details),) if details else ()
        code = next(code for code in grpc.StatusCode if code.value[0] == asked["code"])
        await context.abort(code, asked.get("message", ""), trailing)
        raise AssertionError

    async def told(self, body: bytes, context: Any) -> bytes:
        """Tells what metadata and deadline came, and sends back metadata that the body asks for."""
        asked = json.loads(body or b"{}")
        await context.send_initial_metadata(pairs(asked.get("initial")))
        context.set_trailing_metadata(pairs(asked.get("trailing")))
        left = context.time_remaining()
        metadata = [(k, v) for k, v in texts(context.invocation_metadata()) if k not in UNIMPORTANT]
        return json.dumps({"metadata": metadata, "left": None if left is None else left * 1000}).encode()

    async def wait(self, _: bytes, __: Any) -> bytes:
        """Never answers."""
        _counts["begun"] += 1
        try:
            await asyncio.Event().wait()
        finally:
            _counts["cancelled"] += 1
        raise AssertionError

    async def hang(self, body: bytes, context: Any) -> AsyncIterator[bytes]:
        """Answers a first message and nothing more."""
        yield self.name
        yield await self.wait(body, context)

    async def collect(self, messages: AsyncIterator[bytes], _: Any) -> bytes:
        """How many came, and the sum of them all."""
        count = total = check = 0
        async for message in messages:
            count, total, check = count + 1, total + len(message), zlib.crc32(message, check)
        return f"{count} {total} {check}".encode()

    async def produce(self, body: bytes, _: Any) -> AsyncIterator[bytes]:
        asked = json.loads(body)
        pattern = Pattern(asked["size"])
        for number in range(asked["count"]):
            yield pattern.message(number)
            if asked["pause"]:
                await asyncio.sleep(asked["pause"] / 1000)

    async def chat(self, messages: AsyncIterator[bytes], _: Any) -> AsyncIterator[bytes]:
        async for message in messages:
            yield message


async def export(name: str, port: int, params: dict[str, str]) -> int:
    """Offer the service as instance ``name``; the port."""
    options: list[tuple[str, int]] = [
        ("grpc.max_receive_message_length", 64 << 20),
        ("grpc.http2.max_ping_strikes", 0),
        ("grpc.so_reuseport", 0),
    ]
    if "keepalive" in params:
        options += [
            ("grpc.keepalive_time_ms", int(params["keepalive"])),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.http2.max_pings_without_data", 0),
        ]
    if "age" in params:
        options += [("grpc.max_connection_age_ms", int(params["age"])), ("grpc.max_connection_age_grace_ms", 30_000)]
    if "streams" in params:
        options.append(("grpc.max_concurrent_streams", int(params["streams"])))
    server = grpc.aio.server(options=options)
    server.add_generic_rpc_handlers((Service(name),))
    taken = int(server.add_insecure_port(f"127.0.0.1:{port}"))
    await server.start()
    _server.append(server)
    return taken


async def leave(seconds: float) -> None:
    """Stop as the SDK does by default: what runs may end within ``seconds``."""
    for server in _server:
        await server.stop(seconds)
