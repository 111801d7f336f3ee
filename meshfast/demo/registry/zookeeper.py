"""The registry: ``python -m meshfast.demo.registry.zookeeper --listen tcp://127.0.0.1:1 --record FILE``.

A small ZooKeeper of nobody's in particular: nodes and sessions, and nothing of Dubbo. It writes down each node that
comes, goes or changes.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

from meshfast.demo.registry.records import Heard, Pen, now
from meshfast.endpoint.jute import Event
from meshfast.endpoint.limits import Limits
from meshfast.endpoint.watches import CHANGED, CREATED, DELETED
from meshfast.endpoint.zookeeper import Server

SESSION = 120.0  # seconds, at most: no sidecar is to be too slow to come back, however busy the machine is
WORDS = {CREATED: "created", DELETED: "deleted", CHANGED: "changed"}


class Watch:
    """Who is told of every change, as any client may ask to be (``addWatch``, recursive)."""

    def __init__(self, pen: Pen) -> None:
        self._pen = pen

    def event(self, zxid: int, event: Event) -> None:
        if event.type in WORDS:
            self._pen.write(Heard(now(), WORDS[event.type], event.path))


async def run(options: argparse.Namespace) -> None:
    server, stop = Server(Limits(timeout=SESSION)), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server.tree.add_watch("/", 1, Watch(Pen(options.record)))
    print(f"a ZooKeeper at {await server.start(options.listen)}", flush=True)
    await stop.wait()
    await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description="the registry of the meshfast demonstration")
    parser.add_argument("--listen", required=True, help="tcp://127.0.0.1:port")
    parser.add_argument("--record", required=True, type=Path, help="where each change is written down")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
