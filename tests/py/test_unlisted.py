"""A service that nobody listed: a listener with somewhere to send it does, unless it is told to refuse."""

from __future__ import annotations

import asyncio

import pytest
from peers import Caller, Provider, closing, mesh
from proxies import BACKENDS, PATIENCE, outbound, proxy

from meshfast import dubbo

CART, UNLISTED = "com.x.Cart", "com.x.Unlisted"


async def asked(address: str, service: str) -> dubbo.Response:
    caller = await Caller.connect(address)
    async with closing(caller):
        return await asyncio.wait_for(caller.ask(service), PATIENCE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_goes_to_the_forward(tmp_path, backend):
    async def story() -> None:
        base, beyond = await Provider("base").start(), await Provider("beyond").start()
        listeners = [
            outbound(forward=f"tcp://{beyond.address}"),
            {**outbound(forward=f"tcp://{beyond.address}", unknown="refuse"), "name": "strict"},
            {**outbound(), "name": "bare"},
        ]
        async with closing(base, beyond), proxy(tmp_path, backend, listeners, mesh((base, ""))) as side:
            for name in ("out", "strict", "bare"):
                assert (await asked(side.address(name), CART)).value == "base:x"
            before = await side.counters()
            assert (await asked(side.address("out"), UNLISTED)).value == "beyond:x"
            after = await side.counters()
            for name in ("strict", "bare"):
                answer = await asked(side.address(name), UNLISTED)
                assert answer.status == dubbo.Status.SERVICE_NOT_FOUND
                assert "not in the mesh" in str(answer.exception)
            assert len(beyond.requests) == 1
            moved = {name for name in after if after[name] == before.get(name, 0) + 1}
            assert any("unlisted" in name or "unknown" in name for name in moved), moved

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_listed_never_does(tmp_path, backend):
    """No rule, no instance, none up: that is an answer, and no reason to go elsewhere."""

    async def story() -> None:
        base, beyond = await Provider("base").start(), await Provider("beyond").start()
        listeners = [outbound(forward=f"tcp://{beyond.address}")]
        await base.stop()
        async with closing(beyond), proxy(tmp_path, backend, listeners, mesh((base, ""))) as side:
            assert (await asked(side.address("out"), CART)).status == dubbo.Status.SERVER_ERROR
            side.write(mesh((base, "")).replace("hosts: [com.x.Cart]", "hosts: [com.x.Cart, com.x.More]"))
            async with asyncio.timeout(PATIENCE):  # listed from now on: it is forwarded no more
                while (await asked(side.address("out"), "com.x.More")).value == "beyond:x":
                    pass
            n = len(beyond.requests)
            assert (await asked(side.address("out"), "com.x.More")).status == dubbo.Status.SERVER_ERROR
            assert len(beyond.requests) == n

    asyncio.run(asyncio.wait_for(story(), 60))
