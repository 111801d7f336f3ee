"""apache-dubbo, Dubbo's own for Python, a pre-release: a consumer or one instance of ``Texts``.

Commands as JSON lines on stdin, answers as JSON lines on stdout, each with the command's id; the end of stdin ends it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # stdout belongs to the answers

import dubbo  # noqa: E402
from dubbo.classes import EOF  # noqa: E402
from dubbo.configs import ReferenceConfig, RegistryConfig, ServiceConfig  # noqa: E402
from dubbo.proxy.handlers import RpcMethodHandler, RpcServiceHandler  # noqa: E402

SERVICE = "meshfast.peer.Texts"
HOST = "127.0.0.1"
SECONDS = 20
clients: dict[str, dubbo.Client] = {}
writing = threading.Lock()


def encode(text: str) -> bytes:
    """protobuf's StringValue."""
    raw = text.encode()
    size, length = len(raw), bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return b"\x0a" + bytes(length) + bytes([size]) + raw if raw else b""


def decode(message: bytes) -> str:
    at, size, shift = 1, 0, 0
    while message[at:]:
        size |= (message[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if not message[at - 1] & 128:
            break
    return message[at : at + size].decode()


class Texts:
    """The service as one named instance offers it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ask(self, message: bytes) -> bytes:
        return encode(f"{self.name}|{decode(message)}")

    def fail(self, message: bytes) -> bytes:
        raise ValueError(decode(message))

    def count(self, stream: Any) -> Iterator[bytes]:
        items = int(stream.read(timeout=SECONDS)[1])
        return (encode(f"{self.name}|{i}") for i in range(items))

    def gather(self, stream: Iterator[bytes]) -> bytes:
        texts = [decode(message) for message in stream]
        return encode(f"{self.name}|{len(texts)}|{sum(map(len, texts))}")

    def chat(self, stream: Iterator[bytes]) -> Iterator[bytes]:
        for message in stream:
            yield self.ask(message)


def export(command: dict[str, Any]) -> None:
    texts = Texts(command["name"])
    handlers = [
        RpcMethodHandler.unary(texts.ask, "ask"),
        RpcMethodHandler.unary(texts.fail, "fail"),
        RpcMethodHandler.server_stream(texts.count, "count"),
        RpcMethodHandler.client_stream(texts.gather, "gather"),
        RpcMethodHandler.bi_stream(texts.chat, "chat"),
    ]
    service = RpcServiceHandler(service_name=SERVICE, method_handlers=handlers)
    registry = command.get("registry")
    # At every address: the Java SDK replaces a loopback one by the machine's own. A registry is told just this one.
    config = ServiceConfig(service_handler=service, host=HOST if registry else "0.0.0.0", port=command["port"])
    dubbo.Server(config, joined(registry)).start()


def refer(command: dict[str, Any]) -> None:
    url, registry = command.get("url"), command.get("registry")
    config = ReferenceConfig.from_url(f"{url}/{SERVICE}") if url else ReferenceConfig(protocol="tri", service=SERVICE)
    clients[command["ref"]] = dubbo.Client(config, joined(registry))


def joined(registry: str | None) -> dubbo.Dubbo:
    """The SDK as it asks a registry, or none."""
    return dubbo.Dubbo(registry_config=RegistryConfig.from_url(registry) if registry else None)


def talk(command: dict[str, Any]) -> list[str]:
    """One call: what came, in order."""
    client, method = clients[command["ref"]], command["method"]
    padding = "x" * command["size"]
    if method == "ask":
        return [decode(client.unary(method)(encode(padding)))]
    stream = (client.client_stream if method == "gather" else client.bi_stream)(method)()
    came = []
    for i in range(command["items"]):
        stream.write(encode(padding if method == "gather" else f"{i}-{padding}"))
        if method == "chat":
            came.append(stream.read(timeout=SECONDS))
    stream.done_writing()
    while (message := stream.read(timeout=SECONDS)) is not EOF and message is not None:
        came.append(message)
    return [decode(message) for message in came]


OPS: dict[str, Callable[[dict[str, Any]], Any]] = {"export": export, "refer": refer, "talk": talk}


def answer(command: dict[str, Any]) -> None:
    reply: dict[str, Any] = {"id": command["id"], "ok": True}
    try:
        reply["value"] = OPS[command["op"]](command)
    except Exception as error:
        reply |= {"ok": False, "error": type(error).__name__, "message": str(error)}
    with writing:
        print(json.dumps(reply), file=answers, flush=True)


for line in sys.stdin:
    threading.Thread(target=answer, args=(json.loads(line),), daemon=True).start()
os._exit(0)
