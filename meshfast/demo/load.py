"""The demonstration's own calls: one by hand, and a steady stream of them in the background."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence

from meshfast.demo.judge import Call
from meshfast.demo.protocols import consumer
from meshfast.demo.topology import APPS, LABEL, service
from meshfast.demo.wire import PROTOCOLS, TRACE, Address, Consumer

TIMEOUT = 10.0  # seconds: a call without an answer by then is lost


async def call(client: Consumer, protocol: str, label: str, first: str = APPS[0]) -> Call:
    """One call to an application, with a trace id of its own and the label, if any."""
    trace = uuid.uuid4().hex
    headers = {TRACE: trace} | ({LABEL: label} if label else {})
    sent = time.monotonic()
    try:
        reply = await client.call(service(first), "demo", headers, TIMEOUT)
    except (OSError, ValueError) as error:
        return Call(protocol, label, sent, time.monotonic(), error=str(error) or type(error).__name__, app=first)
    strayed = not reply.error and reply.trace != trace
    return Call(protocol, label, sent, time.monotonic(), reply.value, reply.error, strayed, first)


class Load:
    """A caller per protocol, label and application called, each on a connection of its own, each sending on time
    whether or not answers have come."""

    def __init__(
        self, gateway: Address, labels: Sequence[str], interval: float, apps: Sequence[str] = APPS[:1]
    ) -> None:  # fmt: skip
        self.calls: list[Call] = []
        self._clients = [(consumer(p, gateway), p, label, a) for p in PROTOCOLS for label in labels for a in apps]
        self._interval = interval
        self._running: set[asyncio.Task[None]] = set()
        self._callers: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()

    def start(self) -> None:
        self._callers = [asyncio.create_task(self._caller(*each)) for each in self._clients]

    async def stop(self) -> list[Call]:
        """Sends no more, waits for what is in flight, and returns every call."""
        self._stop.set()
        await asyncio.gather(*self._callers)
        if self._running:
            await asyncio.wait(self._running)
        for client, *_ in self._clients:
            await client.close()
        return self.calls

    async def _caller(self, client: Consumer, protocol: str, label: str, app: str) -> None:
        due = time.monotonic()
        while not self._stop.is_set():
            one = asyncio.create_task(self._one(client, protocol, label, app))
            self._running.add(one)
            one.add_done_callback(self._running.discard)
            due = max(due + self._interval, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    async def _one(self, client: Consumer, protocol: str, label: str, app: str) -> None:
        self.calls.append(await call(client, protocol, label, app))
