"""A service of Python and its sidecar: registered while the block lasts, again when the sidecar is back, no longer."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from admins import on_loop
from api_world import SIDE, World
from peers import Caller, until
from proxies import BACKENDS
from served_world import STOCK, send

from meshfast.errors import StateError
from meshfast.model import Listener, Sidecar
from meshfast.sdk import serve
from meshfast.sdk.registrar import Refused
from meshfast.sdk.serve import Limits, Offer, Serving

QUICK = Limits(quiet=0.0)
#: An address of this machine that is this process's alone, and ports that nobody has at all addresses.
HERE = f"127.{64 + (os.getpid() >> 16)}.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
PORT, OTHER = 7881, 7882


def left(item: str) -> str:
    return item


def forwards(*ports: int) -> Sidecar:
    listeners = [Listener("in", "0.0.0.0:20880", "inbound", forward=f"{HERE}:{port}") for port in ports]
    return Sidecar(app="shop", listeners=(*listeners, *SIDE.listeners[2:]), advertise=SIDE.advertise)


def play(tmp_path: Path, story: Any, *ports: int, backend: str = BACKENDS[0]) -> None:
    async def run() -> None:
        world = World(f"unix://{tmp_path}/shop.api", forwards(*ports))
        await world.start()
        try:
            await story(world)
        finally:
            await world.api.stop()

    on_loop(backend, run)


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_registered_while_the_block_lasts(tmp_path: Path, backend: str) -> None:
    """At the port that the sidecar forwards to, which it is asked for."""
    async def story(world: World) -> None:
        offers = Offer(STOCK, {"left": left, "add": left}, "g", "1.0.0", {"timeout": "500"}), Offer("com.x.Other", {})
        async with Serving(world.address, *offers, limits=QUICK) as serving:
            assert serving.port == PORT and serving.registered
            found = {one.service: one for one in world.wanted.values()}
            one = found[STOCK]
            assert (one.group, one.version, one.protocol, one.behind) == ("g", "1.0.0", "dubbo", f"{HERE}:{PORT}")
            assert dict(one.parameters) == {"application": "shop", "methods": "left,add", "timeout": "500"}
            assert found["com.x.Other"].parameters["methods"] == "*"
            caller = await Caller.connect(f"{HERE}:{PORT}")
            found = await send(caller, "left", "a", version="1.0.0", attachments={"group": "g"})
            assert found.value == "a"  # type: ignore[attr-defined]
            await caller.close()
        assert not world.api.wanted and not serving.registered
        await until(lambda: not world.wanted and world.api.used.connections == 0)
        assert not world.api.refused

    play(tmp_path, story, PORT, backend=backend)


def test_each_protocol_is_registered(tmp_path: Path) -> None:
    """At the one port; what gRPC calls is called by Triple in registries."""

    async def story(world: World) -> None:
        offers = Offer(STOCK, {"left": left}, protocols=("dubbo", "tri")), Offer("com.x.Bare", {}, protocols=("grpc",))
        async with Serving(world.address, *offers, limits=QUICK):
            found = sorted((one.service, one.protocol, one.behind) for one in world.wanted.values())
            here = f"{HERE}:{PORT}"
            assert found == [("com.x.Bare", "tri", here), (STOCK, "dubbo", here), (STOCK, "tri", here)]
        await until(lambda: not world.wanted)

    play(tmp_path, story, PORT)


def test_it_is_taken_back_before_callers_are_told(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        order: list[str] = []
        gate = asyncio.Event()

        async def slow() -> str:
            order.append("asked")
            await gate.wait()
            return "done"

        serving = Serving(world.address, Offer(STOCK, {"slow": slow}), limits=QUICK)
        async with serving:
            world.api.hears = lambda: order.append(f"{len(world.api.wanted)} wanted")
            caller = await Caller.connect(f"{HERE}:{serving.port}")
            answer = send(caller, "slow")
            await until(lambda: order == ["asked"])
            leaving = asyncio.ensure_future(serving.__aexit__(None, None, None))
            await until(lambda: bool(caller.events))
            order.append("readonly")
            gate.set()
            assert (await answer).value == "done"
            await leaving
            await caller.close()
        assert order[:3] == ["asked", "0 wanted", "readonly"]

    play(tmp_path, story, PORT)


def test_it_is_registered_again_when_the_sidecar_is_back(tmp_path: Path) -> None:
    """And calls go on meanwhile."""
    async def run() -> None:
        address = f"unix://{tmp_path}/shop.api"
        async with Serving(address, Offer(STOCK, {"left": left}), port=PORT, host=HERE, limits=QUICK) as serving:
            assert not serving.registered  # it is there before its sidecar
            caller = await Caller.connect(f"{HERE}:{PORT}")
            for _ in range(3):
                world = World(address, forwards(PORT))
                await world.start()
                await until(lambda: world.services == [STOCK] and serving.registered, 30)  # noqa: B023
                await world.api.stop()
                await until(lambda: not serving.registered, 30)
                assert (await send(caller, "left", "a")).value == "a"
            await caller.close()

    asyncio.run(run())


def test_what_the_sidecar_refuses_is_said_where_it_is_served(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        nowhere = f"forward to port {PORT}: serve there"
        for one, text in ((Offer(STOCK, {}), nowhere), (Offer("a b", {}), "is not a service")):
            with pytest.raises(Refused) as caught:
                async with Serving(world.address, one, port=OTHER, host=HERE):
                    raise AssertionError
            assert isinstance(caught.value, StateError) and text in str(caught.value)
        assert not world.api.wanted
        async with Serving(None, Offer(STOCK, {}), port=OTHER, host=HERE, limits=QUICK):
            pass  # the port is free again

    play(tmp_path, story, PORT)


def test_no_port_that_is_forwarded_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def taken(world: World) -> None:
        async with Serving(world.address, Offer("A", {}), limits=QUICK) as first:
            assert first.port == PORT
            async with Serving(world.address, Offer("B", {}), limits=QUICK) as second:
                assert second.port == OTHER and world.services == ["A", "B"]
                with pytest.raises(StateError, match="no port that the sidecar .* forwards to is free: 127"):
                    async with Serving(world.address, Offer("C", {})):
                        raise AssertionError

    play(tmp_path, taken, PORT, OTHER)

    async def none(world: World) -> None:
        with pytest.raises(StateError, match="it has no inbound listener with `forward`"):
            async with Serving(world.address, Offer("A", {})):
                raise AssertionError

    play(tmp_path, none)
    monkeypatch.setattr(serve, "PATIENCE", 0.0)

    async def nobody() -> None:
        with pytest.raises(StateError, match="is not there to say the port: .*; start it first, or say port="):
            async with Serving(f"unix://{tmp_path}/nobody", Offer("A", {})):
                raise AssertionError

    asyncio.run(nobody())


def test_nonsense_instead_of_a_sidecar(tmp_path: Path) -> None:
    """It is as good as none: the service is there, and it is tried again."""

    async def run() -> None:
        asked = 0

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            asked += 1
            await reader.read(1)
            writer.write((b"", b"what?\r\n\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}")[asked % 3])
            writer.close()

        server = await asyncio.start_unix_server(answer, f"{tmp_path}/api")
        async with server, Serving(f"unix://{tmp_path}/api", Offer(STOCK, {}), port=PORT, host=HERE, limits=QUICK):
            await until(lambda: asked >= 4, 30)
            caller = await Caller.connect(f"{HERE}:{PORT}")
            assert (await send(caller, "$echo", 1)).value == 1
            await caller.close()

    asyncio.run(run())
