"""Calls of the SDK through ``meshfast proxy``, as it is started, stopped and killed."""

from __future__ import annotations

from pathlib import Path

import pytest
from peers import Provider, closing
from peers import mesh as policy
from proxies import BACKENDS, outbound, proxy
from sdk_world import CART, meshed, play

from meshfast import sdk


def door(folder: Path) -> str:
    return f"unix://{folder / 'sdk.sock'}"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_goes_where_its_label_says(tmp_path: Path, backend: str) -> None:
    async def story() -> None:
        base, dev = await Provider("base").start(), await Provider("dev").start()
        async with closing(base, dev), proxy(
            tmp_path, backend, [outbound(door(tmp_path))], policy((base, ""), (dev, "dev1"))
        ), meshed(door(tmp_path)) as mesh:  # fmt: skip
            cart = mesh.service(CART)
            assert await cart.call("add", "book", 2) == "base:book"
            assert await cart.call("add", "book", 2, attachments={"env": "dev1"}) == "dev:book"
            with sdk.labelled(env="dev1"):
                assert await cart.call("add", "book", 2) == "dev:book"
            assert mesh.mode == "thin"
            with pytest.raises(sdk.NoRoute, match="not in the mesh"):
                await mesh.service("com.x.None").call("add")
            await base.stop()
            with pytest.raises(sdk.NoInstance):
                await cart.call("add", "book", 2)

    play(story)
