"""Calls of the SDK through ``meshfast proxy``, as it is started, stopped and killed."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from pathlib import Path

import pytest
from peers import Provider, closing
from peers import mesh as policy
from proxies import BACKENDS, outbound, proxy
from sdk_world import CART, Counting, FakeFat, meshed, play, until, url

from meshfast import sdk
from meshfast.sdk.mesh import Mesh


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
                while True:  # until the sidecar has heard of it
                    with suppress(sdk.ConnectionLost):
                        await cart.call("add", "book", 2)

    play(story)


class Load:
    """Calls one after another by several callers, each with an argument of its own, and what became of each."""

    def __init__(self, mesh: Mesh, idempotent: bool, callers: int = 8) -> None:
        self.done: list[str] = []
        self.failed: dict[str, Exception] = {}
        self._mesh, self._idempotent = mesh, idempotent
        self._tasks = [asyncio.create_task(self._call(f"{number}")) for number in range(callers)]
        self._stopping = False

    async def _call(self, name: str) -> None:
        cart = self._mesh.service(CART)
        for number in itertools.count():
            if self._stopping:
                return
            text = f"{name}-{number}"
            try:
                answer = await cart.call("hi", text, idempotent=self._idempotent)
                assert answer.endswith(f":{text}"), answer  # its own answer, and nobody else's
                self.done.append(text)
            except sdk.CallError as error:
                self.failed[text] = error
            await asyncio.sleep(0.002)  # a rate: what starts beside it needs the CPU as well

    async def more(self, calls: int = 200) -> None:
        """Waits for so many more that were answered."""
        wanted = len(self.done) + calls
        await until(lambda: len(self.done) >= wanted)

    async def stop(self) -> None:
        self._stopping = True
        await asyncio.gather(*self._tasks)


@pytest.mark.parametrize("idempotent", [False, True], ids=["once", "idempotent"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_sidecar_is_killed_under_load_and_comes_back(tmp_path: Path, backend: str, idempotent: bool) -> None:
    """No call is lost that may be repeated, and none is executed twice that may not; those that fail say so."""

    async def story() -> None:
        provider, spare = await Counting(name="a").start(), await Counting(name="a").start()
        listeners, text = [outbound(door(tmp_path))], policy((provider, ""))
        fat = FakeFat(url(spare))
        async with closing(provider, spare), meshed(door(tmp_path), lambda: fat) as mesh:
            async with proxy(tmp_path, backend, listeners, text) as running:
                await until(lambda: mesh.mode == "thin")
                load = Load(mesh, idempotent)
                await load.more()
                running.process.kill()
                await until(lambda: mesh.mode == "fat")
                await load.more()
            async with proxy(tmp_path, backend, listeners, text) as running:
                await until(lambda: mesh.mode == "thin")
                await load.more()
                running.process.terminate()  # planned: READONLY, and what was sent is answered
                failed = len(load.failed)
                await until(lambda: mesh.mode == "fat")
                await load.more()
                assert len(load.failed) == failed
                assert await running.process.wait() == 0
            async with proxy(tmp_path, backend, listeners, text):
                await until(lambda: mesh.mode == "thin")
                await load.stop()
            executed = provider.executed + spare.executed
            assert set(load.done) <= set(executed)
            assert mesh.counters["returns"] == 3
            assert mesh.counters["late"] == 0
            if idempotent:
                assert not load.failed
                assert max(executed.values()) <= 2
            else:
                assert max(executed.values()) == 1
                assert len(load.failed) <= 8
                assert all(type(one) is sdk.ConnectionLost and one.may_have_run for one in load.failed.values())
            assert fat.closed == 0

    play(story, 400)
