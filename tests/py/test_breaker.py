"""No more under way at once than ``connectionPool`` allows, over all callers: the others are told so at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress

import pytest
from engines import BACKENDS, PATIENCE, play
from guarded import ERROR, HOST, OK, PROTOCOLS, World, guarded
from peers import until
from webs2 import GRPC

both = pytest.mark.parametrize("protocol", PROTOCOLS)
loops = pytest.mark.parametrize("backend", BACKENDS)

#: Dubbo's status for a pool that is exhausted, and gRPC's RESOURCE_EXHAUSTED.
BUSY = {"dubbo": 100, "grpc": 8}
NOBODY = {"dubbo": 80, "grpc": 14}


def bounded(http: dict[str, int], **more: object) -> dict[str, object]:
    return {"connectionPool": {"http": http, **more}}


async def at_once(world: World, n: int, hold: bool = True) -> Counter[int]:
    """So many calls, all before any of them is answered; who is refused is by then."""
    wait = asyncio.Event()
    for one in world.instances:
        one.hold = wait if hold else None
    calls = [asyncio.ensure_future(world.call()) for _ in range(n)]
    held = world.guard()["limits"]["requests"]["most"] or n
    await until(lambda: sum(one.done() for one in calls) >= n - held, PATIENCE)
    wait.set()
    return Counter(await asyncio.gather(*calls))


@both
@loops
def test_calls_in_flight(backend: str, protocol: str) -> None:
    async def story() -> None:
        rules = bounded({"http2MaxRequests": 2}) | {
            "outlierDetection": {"consecutive5xxErrors": 1, "maxEjectionPercent": 100}
        }
        async with guarded(backend, protocol, 2, rules) as world:
            await world.calls(4)  # connections are there
            for _ in range(3):
                assert await at_once(world, 6) == {OK[protocol]: 2, BUSY[protocol]: 4}
            told = world.guard()
            assert told["limits"]["requests"] == {"most": 2, "now": 0, "refused": 12}
            assert told["active"] == 0 and world.out() == []  # who was refused says nothing of an instance
            assert await world.calls(10) == {OK[protocol]: 10}
            await world.side.reaches("busy_requests", 12)
            assert world.side.engine.ended_here()["busy"] == 12

    play(story)


@both
@loops
def test_calls_that_wait_for_a_connection(backend: str, protocol: str) -> None:
    """Six at once where no connection is there: one waits for it, the others are refused meanwhile."""

    async def story() -> None:
        rules = bounded({"http1MaxPendingRequests": 1}, tcp={"maxConnections": 1})
        limits = {"connectTimeout": 1000}
        async with guarded(backend, protocol, 0, rules, hung=1, limits=limits) as world:
            calls = [world.begin() for _ in range(6)]
            await until(lambda: sum(one.done() for one in calls) == 5, PATIENCE)
            assert Counter([one.result() for one in calls if one.done()]) == {BUSY[protocol]: 5}
            told = world.guard()
            assert told["limits"]["pending"] == {"most": 1, "now": 1, "refused": 5} and told["active"] == 1
            assert {await one for one in calls} == {BUSY[protocol], NOBODY[protocol]}
            assert world.guard()["limits"]["pending"]["now"] == world.guard()["active"] == 0

    play(story)


@both
@loops
def test_a_connection_that_takes_too_long(backend: str, protocol: str) -> None:
    async def story() -> None:
        rules = bounded({}, tcp={"connectTimeout": "50ms"}) | {
            "outlierDetection": {"consecutive5xxErrors": 2, "maxEjectionPercent": 50, "baseEjectionTime": "300s"}
        }
        limits = {"connectTimeout": 60000, "hedgeConnect": 60000}
        async with guarded(backend, protocol, 1, rules, hung=1, limits=limits) as world:
            async with asyncio.timeout(PATIENCE):
                while world.out() != [1]:
                    assert await world.call() == OK[protocol]
            assert await world.calls(20) == {OK[protocol]: 20}
            await world.side.reaches("busy_connecting", 2)

    play(story)


@both
def test_retries(protocol: str) -> None:
    """Four calls fail at once, and one of them may be tried again."""

    async def story() -> None:
        rules = bounded({"maxRetries": 1})
        retries = {"attempts": 3, "retryOn": "5xx,internal"}
        limits = {"retryPercent": 100, "retryRate": 100_000}  # so that they refuse none
        async with guarded("epoll", protocol, 1, rules, retries=retries, limits=limits) as world:
            await world.calls(20)
            (one,) = world.instances
            one.status, one.hold, one.calls = ERROR[protocol], asyncio.Event(), 0
            first, calls = one.hold, [world.begin() for _ in range(4)]
            await until(lambda: one.calls == 4, PATIENCE)
            one.hold = asyncio.Event()
            first.set()
            await until(lambda: one.calls == 5 and sum(call.done() for call in calls) == 3, PATIENCE)
            assert world.guard()["limits"]["retries"] == {"most": 1, "now": 1, "refused": 3}
            one.status = OK[protocol]
            one.hold.set()
            assert Counter(await asyncio.gather(*calls)) == {ERROR[protocol]: 3, OK[protocol]: 1}
            assert world.guard()["limits"]["retries"]["now"] == 0

    play(story)


def test_plain_http_is_told_by_503() -> None:
    async def story() -> None:
        async with guarded("epoll", "grpc", 1, bounded({"http2MaxRequests": 1})) as world:
            world.instances[0].hold = asyncio.Event()
            first = asyncio.ensure_future(world.call())
            await until(lambda: world.instances[0].calls == 1, PATIENCE)
            assert await world.call(fields=((b"content-type", b"text/plain"),)) == 503
            assert world.last.get(b"x-envoy-overloaded") == b"true"
            assert await world.call(fields=(GRPC,)) == 8
            assert world.last.get(b"x-envoy-overloaded") == b"true"
            world.instances[0].hold.set()
            assert await first == 0

    play(story)


@both
@pytest.mark.parametrize("traffic", [bounded({"http2MaxRequests": 0, "maxRetries": 0}), bounded({"maxRetries": 3}), {}])
def test_no_bound(protocol: str, traffic: dict[str, object]) -> None:
    async def story() -> None:
        async with guarded("epoll", protocol, 2, traffic) as world:
            calls = [world.begin() for _ in range(40)]
            assert Counter([await one for one in calls]) == {OK[protocol]: 40}

    play(story)


@both
def test_given_back_however_a_call_ends(protocol: str) -> None:
    """Timeouts, lost connections, instances that are gone, callers that hang up."""

    async def story() -> None:
        rules = bounded({"http2MaxRequests": 4})
        async with guarded("epoll", protocol, 2, rules, timeout="50ms") as world:
            world.instances[0].hold = asyncio.Event()
            for _ in range(20):
                await world.call()
            calls = [world.begin() for _ in range(3)]
            await world.hang_up()
            await asyncio.gather(*calls, return_exceptions=True)
            await until(lambda: world.guard()["active"] == 0, PATIENCE)
            assert world.guard()["limits"]["requests"]["now"] == 0

    play(story)


@both
def test_another_bound_while_it_runs(protocol: str) -> None:
    async def story() -> None:
        async with guarded("epoll", protocol, 1, bounded({"http2MaxRequests": 1})) as world:
            await world.calls(1)
            assert await at_once(world, 3) == {OK[protocol]: 1, BUSY[protocol]: 2}
            world.publish(bounded({"http2MaxRequests": 2}))
            assert await at_once(world, 3) == {OK[protocol]: 2, BUSY[protocol]: 1}
            world.publish({})
            calls = [world.begin() for _ in range(5)]
            assert Counter([await one for one in calls]) == {OK[protocol]: 5}
            world.publish(bounded({"http2MaxRequests": 3}))
            assert await at_once(world, 4) == {OK[protocol]: 3, BUSY[protocol]: 1}

    play(story)


@loops
def test_connections_of_http1(backend: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    async def story() -> None:
        rules = bounded({"http1MaxPendingRequests": 1}, tcp={"maxConnections": 2})
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        at = server.sockets[0].getsockname()[1]
        async with server, guarded(backend, "grpc", 0, rules, also=at) as world:
            host, _, port = world.side.address.rpartition(":")

            async def ask() -> tuple[bytes, asyncio.StreamWriter]:
                reader, writer = await asyncio.open_connection(host, int(port))
                writer.write(f"GET / HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode())
                return await reader.readuntil(b"\r\n\r\n"), writer

            for _ in range(2):
                held = [await ask() for _ in range(2)]
                assert all(answer.startswith(b"HTTP/1.1 204") for answer, _ in held)
                answer, writer = await ask()
                writer.close()
                assert answer.startswith(b"HTTP/1.1 503") and b"x-envoy-overloaded: true" in answer
                assert world.guard()["limits"]["connections"]["now"] == 2 == world.guard()["active"]
                for _, writer in held:
                    writer.transport.abort()
                await until(lambda: world.guard()["active"] == 0, PATIENCE)
            assert world.guard()["limits"]["connections"] == {"most": 2, "now": 0, "refused": 2}
            assert world.side.count("busy_connections") == 2

    play(story)
