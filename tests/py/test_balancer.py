"""Each balancer through a real sidecar, by calls of Dubbo2 and of gRPC: which of its instances a call reaches."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from peers import Caller, Frame, Provider, until
from proxies import BACKENDS, PATIENCE, Proxy, outbound, proxy
from webs2 import GRPC, Server, Stream, asks, calling, echo

CART = "com.x.Cart"
DUBBO = {"name": "dubbo", "number": 1, "protocol": "DUBBO"}
TRIPLE = {"name": "http", "number": 2, "protocol": "GRPC"}


@dataclass
class World:
    """Instances, each by its name, and what came there."""

    kind: str  # "dubbo" or "grpc"
    came: Counter[str] = field(default_factory=Counter)
    held: set[str] = field(default_factory=set)  # whose answers do not come
    ports: dict[str, int] = field(default_factory=dict)
    providers: dict[str, Provider] = field(default_factory=dict)
    servers: list[Server] = field(default_factory=list)

    async def start(self, stack: AsyncExitStack, names: Sequence[str]) -> None:
        for name in names:
            if self.kind == "dubbo":
                provider = await Provider(name, self._dubbo).start()
                stack.push_async_callback(provider.stop)
                self.providers[name] = provider
                self.ports[name] = provider.port
            else:
                server = await stack.enter_async_context(Server(self._grpc(name)))
                self.servers.append(server)
                self.ports[name] = server.port

    async def _dubbo(self, provider: Provider, writer: asyncio.StreamWriter, frame: Frame) -> None:
        self.came[provider.name] += 1
        if provider.name not in self.held:
            writer.write(provider.answer(frame))

    def _grpc(self, name: str) -> Callable[[Stream], Awaitable[None]]:
        async def answer(stream: Stream) -> None:
            self.came[name] += 1
            if name not in self.held:
                await echo(stream)

        return answer

    def policy(self, load_balancer: Mapping[str, Any], weights: Mapping[str, int]) -> str:
        port = DUBBO if self.kind == "dubbo" else TRIPLE
        endpoints = [
            {"address": "127.0.0.1", "ports": {port["name"]: number}, "weight": weights.get(name, 1)}
            for name, number in self.ports.items()
        ]
        entry = {"hosts": [CART], "ports": [port], "endpoints": endpoints}
        rule = {"host": "cart", "trafficPolicy": {"loadBalancer": load_balancer}}
        documents = [
            {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "cart"}, "spec": spec}
            for kind, spec in (("ServiceEntry", entry), ("DestinationRule", rule))
        ]
        return "---\n".join(json.dumps(document) + "\n" for document in documents)

    def where(self, before: Counter[str]) -> dict[str, int]:
        return dict(sorted((self.came - before).items()))


Ask = Callable[..., Awaitable[None]]


@asynccontextmanager
async def asking(kind: str, address: str) -> AsyncIterator[Ask]:
    """A caller: each call of it is over, or (``wait`` false) has been sent."""
    if kind == "dubbo":
        caller, pending = await Caller.connect(address), []

        async def call(argument: str = "x", wait: bool = True, two_way: bool = True, **attachments: str) -> None:
            named = {key.replace("_", "-"): value for key, value in attachments.items()}
            answer = caller.ask(CART, argument, attachments=named, two_way=two_way)
            pending.append(answer)
            if wait:
                assert (await asyncio.wait_for(answer, PATIENCE)).exception is None

        try:
            yield call
        finally:  # by RST: who only says that no more comes still has its answers
            rude = struct.pack("ii", 1, 0)
            caller.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, rude)
            await caller.close()
            for answer in pending:
                answer.cancelled() or answer.exception()
        return
    async with calling(address) as peer:

        async def ask(argument: str = "x", wait: bool = True, query: str = "", **headers: str) -> None:
            named = [(key.replace("_", "-").encode(), value.encode()) for key, value in headers.items()]
            fields = asks(f"/{CART}/hi{query}", GRPC, *named)
            if wait:
                stream = await peer.ask(fields, b"\0\0\0\0\0")
                assert stream.get(b"grpc-status") == b"0", stream
            else:
                peer.open(fields, True)

        yield ask


def story(
    tmp_path: Path, kind: str, names: Sequence[str], load_balancer: Mapping[str, Any],
    tell: Callable[[World, Proxy, Ask], Awaitable[None]], *, backend: str = "epoll", workers: int = 1,
    weights: Mapping[str, int] | None = None,
) -> None:  # fmt: skip
    async def run() -> None:
        world = World(kind)
        async with AsyncExitStack() as stack:
            await world.start(stack, names)
            policy = world.policy(load_balancer, weights or {})
            side = await stack.enter_async_context(proxy(tmp_path, backend, [outbound()], policy, workers=workers))
            ask = await stack.enter_async_context(asking(kind, side.address("out")))
            await tell(world, side, ask)

    asyncio.run(asyncio.wait_for(run(), 60))


LIMITED: Mapping[str, Any] = {"dubbo": {"timeout": "100"}, "grpc": {"grpc_timeout": "100m"}}
KINDS = pytest.mark.parametrize("kind", ["dubbo", "grpc"])


@KINDS
@pytest.mark.parametrize("backend", BACKENDS)
def test_in_turn_by_weight(tmp_path: Path, kind: str, backend: str) -> None:
    async def tell(world: World, side: Proxy, ask: Ask) -> None:
        for _round in range(4):
            before = world.came.copy()
            for _call in range(10):
                await ask()
            assert world.where(before) == {"a": 1, "b": 9}
        (shown,) = json.loads(await side.get("/clusters"))
        assert (shown["balancer"], shown["balancer_of"]) == ("in turn", {})
        explained = json.loads(await side.get(f"/explain?service={CART}"))
        assert explained["steps"][-1]["text"].endswith("one of 2, in turn") == (kind == "dubbo")

    story(tmp_path, kind, "ab", {"simple": "ROUND_ROBIN"}, tell, backend=backend, weights={"b": 9})


@KINDS
@pytest.mark.parametrize("weights", [{}, {"a": 2}])
def test_who_is_busy_gets_less(tmp_path: Path, kind: str, weights: Mapping[str, int]) -> None:
    """An instance that does not answer has calls in flight, and soon gets few others."""

    async def tell(world: World, _: Proxy, ask: Ask) -> None:
        world.held = {"a"}
        for n in range(200):
            await ask(wait=False)
            await until(lambda n=n: sum(world.came.values()) == n + 1)  # type: ignore[misc]
        assert 0 < world.came["a"] < 50, world.came  # 67 or more by weight alone

    story(tmp_path, kind, "abc", {"simple": "LEAST_REQUEST"}, tell, weights=weights)


@KINDS
def test_what_is_in_flight_comes_to_nothing(tmp_path: Path, kind: str) -> None:
    """However calls end: answered, timed out, given up by their caller, lost with their instance, or one-way."""

    async def in_flight(side: Proxy) -> int:
        (shown,) = json.loads(await side.get("/clusters"))
        return sum(one["in_flight"] for one in shown["endpoints"])

    async def tell(world: World, side: Proxy, ask: Ask) -> None:
        async def comes_to(wanted: int) -> None:
            async with asyncio.timeout(PATIENCE):
                while await in_flight(side) != wanted:
                    pass

        for _call in range(5):
            await ask()
        assert await in_flight(side) == 0
        world.held = set("ab")
        if kind == "dubbo":
            await ask(wait=False, two_way=False)
            await until(lambda: world.came.total() == 6)
            assert await in_flight(side) == 0
        async with asking(kind, side.address("out")) as leaves:
            for _call in range(5):
                await leaves(wait=False)
            await comes_to(5)
        await comes_to(0)  # their caller is gone
        before = world.came.total()
        for _call in range(4):
            await ask(wait=False, **LIMITED[kind])
        await until(lambda: world.came.total() == before + 4)
        await comes_to(0)  # their time is over
        for _call in range(4):
            await ask(wait=False)
        await comes_to(4)
        for provider in world.providers.values():
            await provider.stop()
        for server in world.servers:
            for peer in server.peers:
                await peer.close()
        await comes_to(0)  # their instances are gone

    story(tmp_path, kind, "ab", {"simple": "LEAST_REQUEST"}, tell)


@KINDS
@pytest.mark.parametrize("workers", [1, 2])
def test_equal_texts_go_to_one(tmp_path: Path, kind: str, workers: int) -> None:
    async def tell(world: World, side: Proxy, ask: Ask) -> None:
        place: dict[str, str] = {}
        for k in range(70):
            user = f"user-{k}"
            for _call in range(3):
                before = world.came.copy()
                await ask(x_user=user)
                (where,) = world.where(before)
                assert place.setdefault(user, where) == where
        assert len(set(place.values())) == 4
        async with asking(kind, side.address("out")) as other:  # of whichever worker
            for user, where in place.items():
                before = world.came.copy()
                await other(x_user=user)
                assert world.where(before) == {where: 1}

    story(tmp_path, kind, "abcd", {"consistentHash": {"httpHeaderName": "x-user"}}, tell, workers=workers)


def test_who_is_gone_takes_no_other_along(tmp_path: Path) -> None:
    """Texts of the one that is gone are spread, and those of others stay; they are back when it is."""

    async def tell(world: World, _: Proxy, ask: Ask) -> None:
        async def places() -> dict[str, str]:
            out = {}
            for user in map(str, range(240)):
                before = world.came.copy()
                await ask(x_user=user)
                (out[user],) = world.where(before)
            return out

        first = await places()
        gone = world.providers["b"]
        await gone.stop()
        await until(lambda: all(writer.is_closing() for writer in gone.writers))
        second = await places()
        assert {u: p for u, p in second.items() if first[u] != "b"} == {u: p for u, p in first.items() if p != "b"}
        assert {p for u, p in second.items() if first[u] == "b"} == {"a", "c", "d"}

    story(tmp_path, "dubbo", "abcd", {"consistentHash": {"httpHeaderName": "x-user"}}, tell)


def test_by_an_argument(tmp_path: Path) -> None:
    async def tell(world: World, _: Proxy, ask: Ask) -> None:
        place: dict[str, str] = {}
        for k in range(160):
            before = world.came.copy()
            await ask(f"basket-{k % 80}", count=str(k))
            (where,) = world.where(before)
            assert place.setdefault(f"basket-{k % 80}", where) == where
        assert len(set(place.values())) == 4

    story(tmp_path, "dubbo", "abcd", {"consistentHash": {"dubboArgument": 0}}, tell)


@pytest.mark.parametrize(
    ("said", "by"),
    [
        ({"httpCookie": {"name": "sid"}}, lambda user: {"cookie": f"a=1; sid={user}"}),
        ({"httpQueryParameterName": "u"}, lambda user: {"query": f"?b=1&u={user}"}),
        ({"httpHeaderName": "x-user", "maglev": {"tableSize": 101}}, lambda user: {"x_user": user}),
    ],
)
def test_by_what_http_has(tmp_path: Path, said: Mapping[str, Any], by: Callable[[str], dict[str, str]]) -> None:
    async def tell(world: World, _: Proxy, ask: Ask) -> None:
        place: dict[str, str] = {}
        for k in range(60):
            before = world.came.copy()
            await ask(**by(f"u{k % 20}"))
            (where,) = world.where(before)
            assert place.setdefault(f"u{k % 20}", where) == where
        assert len(set(place.values())) > 2

    story(tmp_path, "grpc", "abcd", {"consistentHash": said}, tell)


@KINDS
def test_by_the_callers_address(tmp_path: Path, kind: str) -> None:
    async def tell(world: World, side: Proxy, ask: Ask) -> None:
        for _call in range(5):
            await ask()
        async with asking(kind, side.address("out")) as other:  # another port of the same address
            for _call in range(5):
                await other()
        assert sorted(world.came.values()) == [10]

    story(tmp_path, kind, "abcd", {"consistentHash": {"useSourceIp": True}}, tell)


@KINDS
def test_without_what_is_hashed_it_goes_to_any(tmp_path: Path, kind: str) -> None:
    async def tell(world: World, _: Proxy, ask: Ask) -> None:
        for _call in range(80):
            await ask()
        assert set(world.came) == set("abcd")

    story(tmp_path, kind, "abcd", {"consistentHash": {"httpHeaderName": "x-user"}}, tell)


@KINDS
def test_at_random_whatever_the_weights(tmp_path: Path, kind: str) -> None:
    async def tell(world: World, _: Proxy, ask: Ask) -> None:
        for _call in range(400):
            await ask()
        assert 150 < world.came["a"] < 250, world.came

    story(tmp_path, kind, "ab", {"simple": "RANDOM"}, tell, weights={"b": 9})
