"""The application that is called: ``python -m meshfast.demo.registry.stock --env dev1 --port 1 ...``.

It offers demo.Stock through its sidecar, and has never heard of a registry. What it executes it writes down first.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from meshfast import sdk
from meshfast.demo.registry.records import Executed, Pen, now
from meshfast.demo.registry.topology import SERVICES, STOCK


class Stock:
    """``who``: this instance; ``work``: seconds that a call takes."""

    def __init__(self, who: str, pen: Pen, work: float) -> None:
        self._who, self._pen, self._work = who, pen, work

    async def take(self, number: str) -> str:
        """Who has executed the call of this number."""
        self._pen.write(Executed(now(), number, self._who))
        await asyncio.sleep(self._work)
        return self._who


def arguments(text: str) -> argparse.ArgumentParser:
    """What both applications are told."""
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--door", required=True, help="the sidecar's listener for this application")
    parser.add_argument("--api", required=True, help="where the sidecar hears what this application says")
    parser.add_argument("--state", required=True, help="the sidecar's directory, which has the snapshot")
    parser.add_argument("--port", required=True, type=int, help="where it serves")
    parser.add_argument("--record", required=True, type=Path, help="where it writes down what it does")
    return parser


async def run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    pen = Pen(options.record)
    stock = Stock(options.env or "base", pen, options.work / 1000)
    async with sdk.connect(STOCK, address=options.door, api=options.api, state=options.state) as mesh:
        async with mesh.serve(SERVICES[STOCK], {"take": stock.take}, port=options.port):
            print(f"stock({options.env or 'base'}) serves at {options.port}", flush=True)
            await stop.wait()
    pen.close()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = arguments("the application of the meshfast demonstration that is called")
    parser.add_argument("--env", default="", help="its environment; empty: base")
    parser.add_argument("--work", type=float, default=0, help="milliseconds that a call takes")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
