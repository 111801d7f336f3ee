"""What rules see of HTTP/1 requests."""

from __future__ import annotations

import pytest
from engines import BACKENDS, play, running
from webs import App, get, say, shop


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_see_the_request_itself(backend):
    """Path, query, method, scheme and authority, and a field that comes twice as a list; it goes to a port for HTTP."""

    async def story() -> None:
        async with App("base") as base:
            with running(backend, policy=shop((base.port, ""))) as side:
                users = ("x-user: a", "X-User: b")
                assert (await say(side.address, get("Cart.Shop:81", "/kept/x?a=1", *users))).status == 503
                for target, host, fields in (
                    ("/kept?a=1", "cart.shop:81", users), ("/kept/x?a=2", "cart.shop:81", users),
                    ("/kept/x?a=1", "cart.shop", users), ("/kept/x?a=1", "cart.shop:81", users[:1]),
                ):
                    assert (await say(side.address, get(host, target, *fields))).body == "base", target

    play(story)
