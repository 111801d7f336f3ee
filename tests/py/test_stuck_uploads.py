"""Uploads of many callers that a provider does not read: those of others stay quick."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest
from engines import BACKENDS, play, running
from webs2 import GRPC, Server, Stream, asks, calling, echo

HOGS = 60
CALLS = 200
POLICY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: cart}}
spec:
  hosts: [com.x.Cart]
  ports: [{{number: 1, name: grpc, protocol: GRPC}}]
  endpoints: [{{address: 127.0.0.1, ports: {{grpc: {port}}}}}]
"""


def is_read(stream: Stream) -> bool:
    return stream.get(b":path") != b"/com.x.Cart/hung"


@pytest.mark.parametrize("backend", BACKENDS)
def test_uploads_of_others_go_on(backend):
    """Each hog alone would use up a connection to the provider, whose windows are those that all begin with."""

    async def story() -> None:
        async with Server(echo, is_read) as server, AsyncExitStack() as stack:
            with running(backend, policy=POLICY.format(port=server.port)) as engine:
                one = await stack.enter_async_context(calling(engine.address))
                assert (await one.ask(asks("/com.x.Cart/add", GRPC), b"first")).get(b"grpc-status") == b"0"
                hogs = [await stack.enter_async_context(calling(engine.address)) for _ in range(HOGS)]
                streams = [hog.open(asks("/com.x.Cart/hung", GRPC)) for hog in hogs]
                tasks = [asyncio.ensure_future(stream.data(bytes(1 << 17))) for stream in streams]
                for i in range(CALLS):
                    body = b"%d," % i * 500
                    answer = await one.ask(asks("/com.x.Cart/add", GRPC), body)
                    assert answer.get(b"grpc-status") == b"0"
                    assert bytes(answer.body) == body
                assert engine.count("limit_spent_connections") == 0
                assert engine.count("upstream_active") <= 16
                assert engine.count("limit_h2_window_share") > 0
                for task in tasks:
                    task.cancel()

    play(story, 120)


@pytest.mark.parametrize("backend", BACKENDS)
def test_uploads_that_are_read_share_one_connection(backend):
    """However low its window is most of the time: only one that is not given back says something."""

    async def story() -> None:
        async with Server(echo, lambda stream: True) as server, AsyncExitStack() as stack:
            limits = {"h2WindowWait": 600_000}
            with running(backend, policy=POLICY.format(port=server.port), limits=limits) as engine:
                callers = [await stack.enter_async_context(calling(engine.address)) for _ in range(20)]
                for i in range(3):
                    body = b"%d" % i * (1 << 18)
                    answers = await asyncio.gather(*(one.ask(asks("/com.x.Cart/add", GRPC), body) for one in callers))
                    assert [bytes(answer.body) for answer in answers] == [body] * len(callers)
                assert engine.count("limit_h2_window_wait") > 0
                assert engine.count("upstream_connections") == 1

    play(story, 120)
