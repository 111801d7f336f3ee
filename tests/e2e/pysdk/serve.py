"""An application of Python that serves ``PeerService`` by the SDK until SIGTERM. Told its sidecar's address, its name,
the sidecar's state directory where it is to keep its listeners, and parameters of its URL as ``name=value``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import zlib

from meshfast.sdk.context import incoming
from meshfast.sdk.serve import Offer, Serving

SERVICE = "meshfast.peer.PeerService"


async def main(api: str, name: str, state: str = "", *parameters: str) -> None:
    seen: list[str] = []

    async def later(millis: int, text: str) -> str:
        await asyncio.sleep(millis / 1000)
        return f"{name}|{text}"

    def fail(message: str) -> str:
        raise ValueError(message)

    handlers = {
        "whoami": lambda: name,
        "echo": lambda text: text,
        "ask": lambda text: f"{name}|{text}",
        "slow": later,
        "nothing": lambda: None,
        "fail": fail,
        "checksum": zlib.crc32,
        "produce": lambda size: bytes(n % 251 for n in range(size)),
        "attachments": lambda: dict(incoming.get({})),
        "record": seen.append,
        "recorded": lambda: seen,
    }
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    offer = Offer(SERVICE, handlers, parameters=dict(one.split("=", 1) for one in parameters))
    async with Serving(api, offer, state=state) as serving:
        print(f"{name}: pid {os.getpid()}, port {serving.port}", flush=True)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
