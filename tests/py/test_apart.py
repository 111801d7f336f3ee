"""A request that its provider cannot stand takes that provider's connection from nobody else: dubbo-go hangs up over
frames that are too long for it, serializations it does not know, and arguments it cannot decode."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from peers import HEAD, Caller, Frame, Provider, closing, mesh, until
from proxies import BACKENDS, inbound, outbound, proxy

from meshfast import dubbo

CART = "com.x.Cart"
MOST, STRANGE, POISON = 300_000, 8, "poison"
NEIGHBOURS = 8


class Touchy:
    """Hangs up over what it cannot stand, and answers the others when it is told to."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.hung_up = 0

    async def __call__(self, provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        strange = frame.raw[2] & 0x1F != 2
        if strange or len(frame.raw) > MOST or POISON.encode() in frame.raw:
            self.hung_up += 1
            writer.transport.abort()
            return
        asyncio.ensure_future(self._later(provider, writer, frame))

    async def _later(self, provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        await self.go.wait()
        if not writer.is_closing():
            writer.write(provider.answer(frame))


def strange(request_id: int) -> bytes:
    raw = bytearray(dubbo.encode_request(request_id, CART, "hi", ("x",)))
    raw[2] = raw[2] & 0xE0 | STRANGE
    return bytes(raw)


def long(request_id: int) -> bytes:
    return dubbo.encode_request(request_id, CART, "hi", ("x" * (MOST + 1),))


@pytest.mark.parametrize("first", [False, True], ids=["others-first", "bad-first"])
@pytest.mark.parametrize("request_of", [long, strange])
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_it_does_not_take(tmp_path, backend, request_of, first):
    async def story() -> None:
        touchy = Touchy()
        provider = await Provider("a", touchy).start()
        async with closing(provider), proxy(tmp_path, backend, [outbound(service=CART)], mesh((provider, ""))) as side:
            bad = await Caller.connect(side.address("out"))
            good = [await Caller.connect(side.address("out")) for _ in range(NEIGHBOURS)]
            async with closing(bad, *good):
                if first:
                    assert (await bad.send(request_of(1))).status != 20
                asked = [one.ask(CART, f"early-{i}") for i, one in enumerate(good)]
                await until(lambda: len(provider.requests) == NEIGHBOURS + first)
                for i in range(2, 12):
                    assert (await bad.send(request_of(i))).status != 20
                    asked.append(good[i % NEIGHBOURS].ask(CART, f"late-{i}"))
                touchy.go.set()
                answers = [str((await one).value) for one in asked]
                wanted = [f"a:early-{i}" for i in range(NEIGHBOURS)] + [f"a:late-{i}" for i in range(2, 12)]
                assert answers == wanted
                assert touchy.hung_up == 10 + first
                assert (await side.counters())["calls_trial"] == 10 + first

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_nobody_could_know(tmp_path, backend):
    """The first takes with it what was under way. After that its caller goes apart, and no instance counts as gone."""

    async def story() -> None:
        touchy = Touchy()
        provider = await Provider("a", touchy).start()
        async with closing(provider), proxy(tmp_path, backend, [outbound()], mesh((provider, ""))) as side:
            bad, good = await Caller.connect(side.address("out")), await Caller.connect(side.address("out"))
            async with closing(bad, good):
                under_way = good.ask(CART, "early")
                await until(lambda: len(provider.requests) == 1)
                assert "was lost" in str(await bad.ask(CART, POISON))
                assert "was lost" in str(await under_way)
                touchy.go.set()
                for i in range(20):
                    poisoned, asked = bad.ask(CART, POISON), good.ask(CART, f"n-{i}")
                    assert (await asked).value == f"a:n-{i}"
                    assert (await poisoned).status != 20
                assert touchy.hung_up == 21

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_was_taken_once_is_shared(tmp_path, backend):
    async def story() -> None:
        provider = await Provider("a").start()
        async with closing(provider), proxy(tmp_path, backend, [outbound()], mesh((provider, ""))) as side:
            caller = await Caller.connect(side.address("out"))
            async with closing(caller):
                for i in range(1, 20):
                    raw = dubbo.encode_request(i, CART, "hi", ("y" * (MOST - i),))
                    assert (await caller.send(raw)).status == 20
                counters = await side.counters()
                assert (counters["calls_trial"], counters["limit_trial_request"]) == (1, 1)
                assert len(provider.writers) == 1
                for i in range(20, 30):
                    await caller.ask(CART, str(i))
                assert len(provider.writers) == 1

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_than_there_are_connections_for(tmp_path, backend):
    """They share those, and leave that of the others alone."""

    async def story() -> None:
        touchy = Touchy()
        provider = await Provider("a", touchy).start()
        policy, limits = mesh((provider, "")), {"upstreamTrials": 2}
        async with closing(provider), proxy(tmp_path, backend, [outbound()], policy, limits=limits) as side:
            callers = [await Caller.connect(side.address("out")) for _ in range(10)]
            async with closing(*callers):
                plain = callers[0].ask(CART, "plain")
                raws = [dubbo.encode_request(i, CART, "hi", ("y" * 200_000,)) for i in range(1, 10)]
                asked = [one.send(raw) for one, raw in zip(callers[1:], raws, strict=True)]
                await until(lambda: len(provider.requests) == 10)
                assert len(provider.writers) == 3
                touchy.go.set()
                assert (await plain).status == 20
                assert [(await one).status for one in asked] == [20] * 9
                assert (await side.counters())["limit_upstream_trials"] == 7

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("how", ["hangs-up", "refuses"])
@pytest.mark.parametrize("ways", [outbound, inbound])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_provider_that_lets_one_connection_in(tmp_path, backend, ways, how):
    """Nothing can go apart there, so it is shared: no call is lost or refused, the instance does not rest."""

    async def story() -> None:
        provider = await Provider("a").start()

        async def admit(self: Provider, writer: asyncio.StreamWriter) -> bool:
            return how == "refuses" or len(self.writers) == 1

        provider.admit = admit
        listens = ways(provider.address) if ways is inbound else ways()
        async with closing(provider), proxy(tmp_path, backend, [listens], mesh((provider, ""))) as side:
            callers = [await Caller.connect(side.address(str(listens["name"]))) for _ in range(4)]
            async with closing(*callers):
                await callers[0].ask(CART)
                if how == "refuses":
                    provider.shut()
                for i in range(10, 20):
                    raws = [dubbo.encode_request(i, CART, "hi", ("y" * (100_000 + i * 100 + k),)) for k in range(3)]
                    asked = [one.send(raw) for one, raw in zip(callers[1:], raws, strict=True)]
                    plain = [callers[0].ask(CART, f"p-{i}-{k}") for k in range(5)]
                    assert [(await one).status for one in asked] == [20] * 3
                    assert [(await one).value for one in plain] == [f"a:p-{i}-{k}" for k in range(5)]
                counters = await side.counters()
                assert counters["upstream_reset"] == 0
                assert counters["upstream_connect_failed"] >= 1

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_is_suspect_at_one_instance_is_not_at_another(tmp_path, backend):
    async def story() -> None:
        touchy, calm = Touchy(), await Provider("b").start()
        touchy.go.set()
        provider = await Provider("a", touchy).start()
        policy = mesh((provider, "a"), (calm, ""))
        async with closing(provider, calm), proxy(tmp_path, backend, [outbound()], policy) as side:
            caller = await Caller.connect(side.address("out"))
            async with closing(caller):
                assert (await caller.ask(CART, attachments={"env": "a"})).value == "a:x"
                assert (await caller.ask(CART, POISON, attachments={"env": "a"})).status != 20
                assert (await caller.ask(CART, attachments={"env": "a"})).value == "a:x"
                assert (await side.counters())["calls_trial"] == 1
                assert [(await caller.ask(CART)).value for _ in range(20)] == ["b:x"] * 20
                assert (await side.counters())["calls_trial"] == 1
                assert len(calm.writers) == 1

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_relay_without_a_backend_costs_one_call(tmp_path, backend):
    """It lets in and hangs up: the next connection has to say something before it is given calls."""

    async def story() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                await reader.readexactly(HEAD)
            writer.transport.abort()

        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        base = await Provider("base").start()
        policy = mesh((Provider("relay", address=f"127.0.0.1:{port}"), "r"), (base, ""))
        async with closing(base), proxy(tmp_path, backend, [outbound()], policy) as side:
            caller = await Caller.connect(side.address("out"))
            async with closing(caller):
                answers = [await caller.ask(CART, str(i), attachments={"env": "r"}) for i in range(60)]
                assert [one.value for one in answers if one.status == 20] == [f"base:{i}" for i in range(1, 60)]
        server.close()

    asyncio.run(asyncio.wait_for(story(), 60))
