"""gRPC peers by three hands, grpcio, grpc-go and grpc-java, driven alike: each process is a caller, one instance, or
both."""

from __future__ import annotations

import base64
import importlib.util
import itertools
import json
import sys
import zlib
from collections.abc import Iterable
from typing import Any

from .driver import Driver
from .java import JVM
from .process import BUILD, HOST, PROJECT, accepts, need, need_tool

SERVICE = "meshfast.peer.Echo"
KINDS = ("grpcio", "grpc-go")
JAVA = "grpc-java"
OK, CANCELLED, UNKNOWN, DEADLINE, UNIMPLEMENTED, INTERNAL, UNAVAILABLE = 0, 1, 2, 4, 12, 13, 14
Metadata = Iterable[tuple[str, str | bytes]]
_numbers = itertools.count(1)


def command(kind: str) -> list[str]:
    """The command line of a peer."""
    if kind == "grpcio":
        need(importlib.util.find_spec("grpc") is not None, "grpcio")
        return [sys.executable, str(PROJECT / "tests" / "e2e" / "grpcio" / "peer.py")]
    if kind == JAVA:
        folder = BUILD / "java" / "grpc"
        need((folder / "classes" / "meshfast" / "peer" / "GrpcDriver.class").exists(), "the peer of grpc-java")
        return [need_tool("java"), *JVM, "-cp", f"{folder / 'classes'}:{folder / 'lib'}/*", "meshfast.peer.GrpcDriver"]
    program = BUILD / "grpc" / "peer"
    need(program.exists(), "the peer of grpc-go")
    return [str(program)]


class Grpc(Driver):
    """One process."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind}-{name}-{next(_numbers)}", command(kind), env={"GRPC_VERBOSITY": "ERROR"})
        self.kind = kind

    def export(self, name: str, port: int = 0, **params: Any) -> int:
        """Offer the service as instance ``name``; its port. ``age``: how long a connection may live, ``keepalive``:
        how often it asks after a silent one, both in milliseconds; ``streams``: how many on a connection; ``strict``,
        grpc-java's: as few PINGs from its callers as the SDK allows by default."""
        taken = int(self.do("export", name=name, port=port, params=texts(params)))
        self.ready(f"{self.name} on port {taken}", lambda: accepts(taken))
        return taken

    def refer(self, *addresses: int, **params: Any) -> str:
        """A reference to the instances at these ports, taken by turns. ``connections``: how many channels it has."""
        ref = f"ref-{next(_numbers)}"
        self.do("refer", ref=ref, url=",".join(f"{HOST}:{port}" for port in addresses), params=texts(params))
        return ref

    def ask(
        self, ref: str, method: str, body: bytes | object = b"", metadata: Metadata = (), timeout: int = 20_000
    ) -> dict[str, Any]:
        """One unary call, and all that is known of its end. A body that is not bytes is sent as JSON."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        reply: dict[str, Any] = self.do(
            "call", ref=ref, method=method, body=b64(raw), metadata=to_json(metadata), timeout=timeout
        )
        reply["body"] = base64.b64decode(reply["body"])
        for part in ("initial", "trailing"):
            reply[part] = from_json(reply[part])
        reply["details"] = base64.b64decode(reply["details"])
        return reply

    def stream(
        self, ref: str, method: str, count: int, size: int, seconds: float = 120, **fields: Any
    ) -> dict[str, Any]:
        """``collect``, ``produce`` or ``chat`` of ``count`` messages of ``size`` bytes."""
        reply: dict[str, Any] = self.do("stream", seconds, ref=ref, method=method, count=count, size=size, **fields)
        return reply


def texts(params: dict[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in params.items()}


def b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def to_json(metadata: Metadata) -> list[tuple[str, str]]:
    return [(k, b64(v) if isinstance(v, bytes) else v) for k, v in metadata]


def from_json(metadata: Iterable[tuple[str, str]]) -> list[tuple[str, str | bytes]]:
    return [(k, base64.b64decode(v) if k.endswith("-bin") else v) for k, v in metadata]


def messages(count: int, size: int) -> Iterable[bytes]:
    """What a stream carries: four bytes of the number, then bytes that depend on it."""
    wheel = bytes(range(251)) * (size // 251 + 2)
    for number in range(count):
        yield number.to_bytes(4, "big") + wheel[number % 251 : number % 251 + size - 4]


def summary(count: int, size: int) -> str:
    """What ``collect`` answers to such a stream."""
    check = 0
    for message in messages(count, size):
        check = zlib.crc32(message, check)
    return f"{count} {count * size} {check}"
