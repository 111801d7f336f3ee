"""Providers that hang, each with as many requests waiting as may: those of the others are neither lost nor refused."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Iterator

import pytest
from peers import Caller, Provider, closing, mesh
from proxies import BACKENDS, PATIENCE, Proxy, outbound, proxy

HUNG, CART, GOOD = 10, "com.x.Cart", "com.x.Good"
MOST, LONG, SENT = 16 << 20, 200_000, 2000
ROUNDS, AT_ONCE, MIDDLE = 250, 10, 20_000


ENTRY = """
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: good}}
spec:
  hosts: [{service}]
  ports: [{{number: 1, name: dubbo, protocol: TCP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{dubbo: {port}}}}}]
"""


@contextlib.contextmanager
def hung() -> Iterator[list[Provider]]:
    """They let in whoever comes, and take nothing."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(socket.socket()) for _ in range(HUNG)]
        for server in servers:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            server.bind(("127.0.0.1", 0))
            server.listen()
        yield [Provider("hung", address="{}:{}".format(*one.getsockname())) for one in servers]


async def stuff(side: Proxy, sender: Caller) -> None:
    """Until there is no room for more."""
    for sent in range(SENT):
        one = sender.ask(CART, "x" * LONG, attachments={"timeout": "500"})
        one.add_done_callback(lambda done: done.cancelled() or done.exception())  # whatever becomes of it
        await sender.writer.drain()
        if sent % 20 == 0:
            now = await side.counters()
            if now["limit_upstream_output_max"] + now["limit_max_memory"] > 20:
                return
    raise AssertionError("it took all of them")


@pytest.mark.parametrize("backend", BACKENDS)
def test_others_are_served(tmp_path, backend):
    async def story() -> None:
        good = await Provider("good").start()
        limits = {"maxMemory": MOST, "memoryTimeout": 50, "upstreamTrials": 0}
        with hung() as silent:
            policy = mesh(*((one, "") for one in silent)) + ENTRY.format(service=GOOD, port=good.port)
            async with closing(good), proxy(tmp_path, backend, [outbound()], policy, limits=limits) as side:
                sender, other = [await Caller.connect(side.address("out")) for _ in range(2)]
                async with closing(sender, other):
                    await stuff(side, sender)
                    found: Counter[int] = Counter()
                    for _ in range(ROUNDS):
                        asked = [other.ask(GOOD, "x" * (i % 2 * MIDDLE)) for i in range(AT_ONCE)]
                        found.update(int(one.status) for one in await asyncio.gather(*asked))
                    assert found == {20: ROUNDS * AT_ONCE}
                    async with asyncio.timeout(PATIENCE):  # some of those that hang are let go
                        while not (await side.counters())["limit_max_memory"]:
                            await asyncio.sleep(0.01)
                    assert not sender.closed.is_set() and not other.closed.is_set()

    asyncio.run(asyncio.wait_for(story(), 60))
