"""What a rule leaves of a Dubbo2 call's time is what its provider is told."""

from __future__ import annotations

import asyncio

import pytest
from peers import Caller, Provider, closing, mesh
from proxies import BACKENDS, PATIENCE, outbound, proxy

from meshfast import dubbo

CART = "com.x.Cart"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rules_timeout_goes_on(tmp_path, backend):
    async def story() -> None:
        provider = await Provider("base").start()
        policy = mesh((provider, "")).replace("{subset: $env}}]", "{subset: $env}}], timeout: 500ms")
        async with closing(provider), proxy(tmp_path, backend, [outbound()], policy) as running:
            caller = await Caller.connect(running.address("out"))
            async with closing(caller):
                asked = (
                    ({}, 500), ({"timeout": "3000"}, 500), ({"timeout": 3000}, 500), ({"timeout": "200"}, 200),
                    ({"_TO": 3000}, 500), ({"_TO": "3000", "timeout": "3000"}, 500), ({"_TO": 200}, 200),
                )  # fmt: skip
                for said, most in asked:
                    answer = await asyncio.wait_for(caller.ask(CART, attachments=said), PATIENCE)
                    assert answer.value == "base:x"
                    left = dubbo.parse_request(provider.requests[-1].raw).timeout
                    assert left and 0 < left <= most, said
                    told = dict(dubbo.parse_request(provider.requests[-1].raw).attachments)
                    if most == 500:  # less than was said: in each place where a time was
                        assert told["timeout"] == str(left)
                        assert told.get("_TO") == (str(left) if "_TO" in said else None)

    asyncio.run(asyncio.wait_for(story(), 60))


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_one_it_is_the_callers(tmp_path, backend):
    async def story() -> None:
        provider = await Provider("base").start()
        async with closing(provider), proxy(tmp_path, backend, [outbound()], mesh((provider, ""))) as running:
            caller = await Caller.connect(running.address("out"))
            async with closing(caller):
                raw = dubbo.encode_request(next(caller.ids), CART, "hi", ("x",), {"timeout": "3000"})
                await asyncio.wait_for(caller.send(raw), PATIENCE)
                assert provider.requests[-1].raw[dubbo.HEAD_LENGTH :] == raw[dubbo.HEAD_LENGTH :]

    asyncio.run(asyncio.wait_for(story(), 60))
