"""A sidecar whose instances a registry lists: calls follow, whatever the registry does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from admins import on_loop
from config_mesh import rule, to, virtual
from peers import Caller, Provider, closing, until
from proxies import BACKENDS
from registered import MAIN, World, instance, offer

from meshfast.ask import ask
from meshfast.errors import StateError
from meshfast.sidecar import Sidecar
from meshfast.statedir import StateDir

S = "com.x.Hello"
SECRET = {**MAIN, "address": "zookeeper://me:hush-hush@10.9.9.9:2181"}


class Live:
    """A running sidecar, and a caller of its outbound listener."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        self.sidecar = Sidecar(world.source, registries=world.shown)
        self.task = asyncio.create_task(self.sidecar.run())

    async def started(self) -> Caller:
        await until(lambda: self.sidecar.state.ready or self.task.done(), 20)
        if self.task.done():
            await self.task
        return await Caller.connect(self.sidecar.addresses["out"])

    async def page(self, path: str) -> str:
        status, body = await ask(f"unix://{self.folder / 'admin.sock'}", path, "GET")
        assert status == 200, body
        return body.decode()

    async def stop(self) -> None:
        self.sidecar.stop()
        await self.task


def spec(folder: Path) -> dict[str, object]:
    return {"listeners": [{"name": "out", "bind": "tcp://127.0.0.1:0"}], "admin": f"unix://{folder / 'admin.sock'}"}


def live(backend: str, tmp_path: Path, story: Callable[[Live], Awaitable[None]], *documents: dict[str, object],
         **more: object) -> None:  # fmt: skip
    async def run() -> None:
        world = World(tmp_path)
        world.says["main"] = {S: ()}
        world.write(*documents, registries=[SECRET], **spec(tmp_path), **more)
        it = Live(world, tmp_path)
        try:
            await story(it)
        finally:
            await it.stop()

    on_loop(backend, run)


async def answers(caller: Caller, *names: str) -> None:
    """Until all of these have answered, and then only these."""
    async with asyncio.timeout(20):
        seen: set[str] = set()
        while seen != set(names):
            seen = {str((await caller.ask(S, "x")).value).partition(":")[0] for _ in range(8 * len(names))}


@pytest.mark.parametrize("backend", BACKENDS)
def test_calls_go_where_the_registry_lists(tmp_path: Path, backend: str) -> None:
    async def story(it: Live) -> None:
        one, two = await Provider("one").start(), await Provider("two").start()
        caller = await it.started()
        async with closing(caller, one, two):
            assert (await caller.ask(S, "x")).status == 80  # nobody lists it, and a rule names it
            main = it.world.main
            main.list(S, offer(S, instance(one.address, v="v1")))
            await answers(caller, "one")
            main.list(S, offer(S, instance(one.address, v="v1"), instance(two.address, v="v1")))
            await answers(caller, "one", "two")
            main.list(S, offer(S, instance(one.address, v="v2"), instance(two.address, v="v1")))
            await answers(caller, "two")
            # Policy and listing change at once.
            it.world.write(virtual([S], {"route": [to("v2")]}), rule(S, "v1", "v2"), registries=[SECRET],
                           **spec(tmp_path))  # fmt: skip
            main.list(S, offer(S, instance(two.address, v="v2"), instance(one.address, v="v1")))
            await answers(caller, "two")

    live(backend, tmp_path, story, virtual([S], {"route": [to("v1")]}), rule(S, "v1"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_list_takes_nothing_away_from_callers(tmp_path: Path, backend: str) -> None:
    async def story(it: Live) -> None:
        one = await Provider("one").start()
        caller = await it.started()
        async with closing(caller, one):
            it.world.main.list(S, offer(S, one.address))
            await answers(caller, "one")
            it.world.main.list(S)
            it.world.main.list("com.x.Other")
            for _ in range(50):
                assert (await caller.ask(S, "x")).value == "one:x"
            page = json.loads(await it.page("/registries"))
            (kept,) = page["retained"]
            assert (kept["registry"], kept["service"], kept["address"]) == ("main", S, one.address)
            assert 'meshfast_registry_retained{registry="main"} 1' in await it.page("/stats/prometheus")

    live(backend, tmp_path, story, virtual([S], {"route": [to()]}))


def test_what_operators_see(tmp_path: Path) -> None:
    async def story(it: Live) -> None:
        caller = await it.started()
        async with closing(caller):
            main = it.world.main
            main.state.refused["protocol"] = 2
            main.list(S, offer(S, "10.0.0.1:1", instance("nowhere")), offer(S, "10.0.0.2:1", version="1.0.0"))
            await until(lambda: S in it.sidecar.mesh.clusters and bool(it.sidecar.mesh.clusters[S].endpoints), 20)
            page = json.loads(await it.page("/registries"))
            (registry,) = page["registries"]
            assert registry["connected"] and registry["hosts"] == ["10.9.9.9:2181"] and registry["wanted"] == [S]
            assert registry["refused"] == {"address": 1, "protocol": 2} and registry["instances"] == 3
            assert [one["cluster"] for one in page["services"][0]["offers"]] == [S, f"{S}:1.0.0"]
            metrics = await it.page("/stats/prometheus")
            for line in ('connected{registry="main"} 1', 'services{registry="main"} 1', 'stale{registry="main"} 0',
                         'refused_total{registry="main",reason="address"} 1'):  # fmt: skip
                assert f"meshfast_registry_{line}" in metrics
            assert await it.page("/ready") == "ready\n"
            assert await it.page("/ready?verbose") == "ready\nregistry main: connected, 1 service(s), 3 instance(s)\n"
            main.state.connected, main.state.error = False, "connection refused"
            said = await it.page("/ready?verbose")
            assert "not connected" in said and "(connection refused); stale: what it listed once is served" in said
            assert 'meshfast_registry_stale{registry="main"} 1' in await it.page("/stats/prometheus")
            dump = await it.page("/config_dump")
            assert "hush" not in dump + metrics + json.dumps(page) and '"password": "***"' in dump

    live("epoll", tmp_path, story, virtual([S], {"route": [to()]}))


def test_a_start_waits_for_registries_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("meshfast.source.registry.START", 0.05)

    async def story(it: Live) -> None:
        one = await Provider("one").start()
        caller = await it.started()
        async with closing(caller, one):
            assert "registry main: no answer yet" in caplog.text
            assert (await caller.ask(S, "x")).status == 80
            it.world.says["main"][S] = (offer(S, one.address),)
            it.world.main.up()
            await answers(caller, "one")

    async def run() -> None:
        world = World(tmp_path)
        world.down = True
        world.write(virtual([S], {"route": [to()]}), registries=[SECRET], **spec(tmp_path))
        it = Live(world, tmp_path)
        try:
            await story(it)
        finally:
            await it.stop()
        assert world.main.closed

    on_loop("epoll", run)


def test_a_change_of_the_state_directory_is_refused(tmp_path: Path) -> None:
    async def story(it: Live) -> None:
        caller = await it.started()
        async with closing(caller):
            one = await Provider("one").start()
            first = it.world.main
            it.world.write(virtual([S], {"route": [to()]}), registries=[{**SECRET, "root": "/other"}],
                           state=str(tmp_path / "b"), **spec(tmp_path))  # fmt: skip
            await until(lambda: it.sidecar.state.rejected == 1, 20)
            assert "state cannot change while it runs" in it.sidecar.state.last_error
            # Its registries, too, are those of before.
            first.list(S, offer(S, one.address))
            await answers(caller, "one")
            assert not first.closed and it.world.main.closed
            await one.stop()

    live("epoll", tmp_path, story, virtual([S], {"route": [to()]}), state=str(tmp_path / "a"))


def test_a_directory_in_use_is_an_error_at_the_start(tmp_path: Path) -> None:
    taken = StateDir(str(tmp_path / "a"))

    async def story(it: Live) -> None:
        with pytest.raises(StateError, match="in use by another sidecar"):
            await it.started()
        it.task = asyncio.create_task(asyncio.sleep(0))

    try:
        live("epoll", tmp_path, story, virtual([S], {"route": [to()]}), state=str(tmp_path / "a"))
    finally:
        taken.close()
