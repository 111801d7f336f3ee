"""An engine that is there from the last time goes by what the sidecar has left since."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from peers import Provider, closing
from sdk_world import CART, FakeFat, meshed, thin, until, url
from sdk_world import play as played
from test_fat import kept, policy, started, state  # noqa: F401

from meshfast import snapshot
from meshfast.errors import SourceError
from meshfast.sdk.fat import Fat
from meshfast.statedir import StateDir


def test_what_the_sidecar_left_since_is_in_force(state: StateDir) -> None:  # noqa: F811
    async def story() -> None:
        one, two = await Provider("one").start(), await Provider("two").start()
        async with closing(one, two):
            first = kept(policy((one.port, "")))
            snapshot.write(state, first)
            async with started(state.path) as (fat, caller):
                assert (await caller.ask(CART, "a")).value == "one:a"
                assert not fat.refresh()  # nothing is new
                snapshot.write(state, replace(kept(policy((two.port, ""))), version=2, written=time.time()))
                assert (await caller.ask(CART, "b")).value == "one:b"
                assert fat.refresh() and fat.snapshot is not None and fat.snapshot.version == 2
                assert (await caller.ask(CART, "c")).value == "two:c"
                path = Path(state.path, "snapshot.json")
                path.write_bytes(path.read_bytes()[:-1])
                with pytest.raises(SourceError):
                    fat.refresh()
                assert (await caller.ask(CART, "d")).value == "two:d"  # what was in force stays

    played(story)


def test_of_one_that_is_not_started_or_closed_nothing_is_read(tmp_path: Path) -> None:
    fat = Fat(str(tmp_path / "nowhere"), "shop")
    assert not fat.refresh()
    fat.close()
    assert not fat.refresh()


def test_the_second_fall_finds_it_fresh() -> None:
    async def story() -> None:
        sidecar, engine = await Provider("sidecar").start(), await Provider("engine").start()
        fat = FakeFat(url(engine))
        async with closing(engine), meshed(url(sidecar), lambda: fat) as mesh:
            cart, port = mesh.service(CART), sidecar.port
            await thin(mesh)
            for fall in (1, 2):
                await sidecar.stop()
                await until(lambda fall=fall: mesh.counters["falls"] == fall and mesh.mode == "fat")
                assert await cart.call("hi", "x") == "engine:x"
                await until(lambda fall=fall: fat.refreshed == fall - 1)
                sidecar = await Provider("sidecar").start(port)
                await thin(mesh)
                assert await cart.call("hi", "y") == "sidecar:y"
            assert fat.started == 1
            await asyncio.gather(sidecar.stop(), return_exceptions=True)

    played(story)
