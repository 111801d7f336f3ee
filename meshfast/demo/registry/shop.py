"""The application that calls: ``python -m meshfast.demo.registry.shop --port 1 --every 0.02 ...``.

It calls demo.Stock through its sidecar, and by an engine of its own while that is away. One caller for each kind of
call, each sending on time whether or not answers have come; each call has a number of its own. SIGUSR1: no more calls.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import logging
import signal

from meshfast import sdk
from meshfast.demo.registry.records import Call, Ended, Mode, Pen, now
from meshfast.demo.registry.stock import arguments
from meshfast.demo.registry.topology import KINDS, LABEL, SERVICES, SHOP, STOCK, Kind
from meshfast.errors import MeshfastError

TIMEOUT = 30.0  # seconds, that a call waits; what decides here is whether it is answered at all
#: A machine that is busy says nothing for a while, and that is no hung sidecar. The rest is as ever.
TIMING = sdk.Timing(silent=10.0, lost=10.0)
LOOK = 0.005  # seconds between two looks at which way calls go


class Shop:
    """``every``: seconds between two calls of one kind."""

    def __init__(self, mesh: sdk.Mesh, pen: Pen, every: float) -> None:
        self._mesh, self._pen, self._every = mesh, pen, every
        self._stock = mesh.service(SERVICES[STOCK], timeout=TIMEOUT)
        self._numbers = itertools.count(1)
        self._running: set[asyncio.Task[None]] = set()
        self._mode = ""
        self.made = 0
        self.stopped = asyncio.Event()

    async def run(self) -> None:
        """Until it is stopped, and what is under way has ended."""
        await self._warm()
        looking = asyncio.create_task(self._look())
        await asyncio.gather(*map(self._calls, KINDS))
        if self._running:
            await asyncio.wait(self._running)
        looking.cancel()
        self._pen.write(Ended(now(), dict(self._mesh.counters)))

    async def _warm(self) -> None:
        """Until each label leads where it should: the sidecar has just begun to ask its registry."""
        for label in dict.fromkeys(kind.label for kind in KINDS):
            while not self.stopped.is_set():
                with contextlib.suppress(MeshfastError):
                    if await self._take("warm", label, True) == (label or "base"):
                        break
                await asyncio.sleep(0.05)

    async def _take(self, number: str, label: str, idempotent: bool) -> str:
        with sdk.labelled(**({LABEL: label} if label else {})):
            found = await self._stock.call("take", number, idempotent=idempotent)
        return str(found)

    async def _look(self) -> None:
        while True:
            if self._mesh.mode != self._mode:
                self._mode = self._mesh.mode
                self._pen.write(Mode(now(), self._mode))
            await asyncio.sleep(LOOK)

    async def _calls(self, kind: Kind) -> None:
        due = now()
        while not self.stopped.is_set():
            one = asyncio.create_task(self._one(kind, f"{next(self._numbers)}"))
            self._running.add(one)
            one.add_done_callback(self._running.discard)
            due = max(due + self._every, now())
            await asyncio.sleep(due - now())

    async def _one(self, kind: Kind, number: str) -> None:
        self.made += 1
        mode, sent, value, error, why = self._mesh.mode, now(), "", "", ""
        try:
            value = await self._take(number, kind.label, kind.idempotent)
        except MeshfastError as failed:
            error, why = type(failed).__name__, str(failed)
        self._pen.write(Call(number, kind.label, kind.idempotent, mode, sent, now(), value, error, why))


async def run(options: argparse.Namespace) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    pen = Pen(options.record)
    where = {"address": options.door, "api": options.api, "state": options.state}
    async with sdk.connect(SHOP, timing=TIMING, **where) as mesh:
        shop = Shop(mesh, pen, options.every)
        loop.add_signal_handler(signal.SIGUSR1, shop.stopped.set)
        async with mesh.serve(SERVICES[SHOP], {"made": lambda: shop.made}, port=options.port):
            print(f"shop serves at {options.port}, and calls stock through {options.door}", flush=True)
            running = asyncio.create_task(shop.run())
            await stop.wait()
            shop.stopped.set()
            await running
    pen.close()


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = arguments("the application of the meshfast demonstration that calls")
    parser.add_argument("--every", type=float, required=True, help="seconds between two calls of one kind")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
