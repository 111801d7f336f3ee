"""A sidecar that registers its application, from its start to its end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import pytest
from admins import on_loop
from peers import Caller, Provider, closing, until
from proxies import BACKENDS
from registered import MAIN, Fake, World

from meshfast.ask import ask
from meshfast.registry import Key, Registration, Standing
from meshfast.sidecar import Sidecar

CART = "com.x.Cart"


class Writing(Fake):
    """A registry that takes registrations at once. ``journal``: what was done in all of them."""

    journal: list[str] = []
    made = 0

    def start(self) -> None:
        Writing.made += 1
        self.number = Writing.made
        self.repaired = self.conflicts = 0
        self.stands: dict[Key, Registration] = {}
        super().start()

    def note(self, what: str) -> None:
        self.journal.append(f"{self.number}: {what}")

    def put(self, registration: Registration) -> None:
        if self.stands.get(registration.key) != registration:
            self.stands[registration.key] = registration
            self.note("put")

    def drop(self, key: Key) -> None:
        if self.stands.pop(key, None):
            self.note("drop")

    def sweep(self, keys: Collection[Key]) -> None:
        self.note("sweep")

    def standing(self, key: Key) -> Standing | None:
        return Standing("registered") if key in self.stands else None

    async def left(self) -> None: ...

    async def close(self) -> None:
        self.note("close")
        await super().close()


class Live:
    """A running sidecar before an application."""

    def __init__(self, folder: Path, app: Provider) -> None:
        self.world, self.folder, self.app = World(folder), folder, app
        self.world.source._factory = lambda spec, tell: Writing(spec, tell, self.world)
        self.journal = Writing.journal = []
        Writing.made = 0
        self.write()
        self.sidecar = Sidecar(self.world.source, registries=self.world.shown)
        self.task = asyncio.create_task(self.sidecar.run())

    def write(self, *services: str, **more: object) -> None:
        forward = self.app.address
        self.world.write(
            registries=[{**MAIN, "register": True, "services": list(services)}],
            listeners=[{"name": "in", "bind": "tcp://127.0.0.1:0", "direction": "inbound", "forward": forward}],
            workload={"app": "shop"}, admin=f"unix://{self.folder / 'admin.sock'}",
            registrations=[{"service": CART, "listener": "in"}],
            advertise={"address": "127.0.0.1", "propagation": "10s"}, **more,
        )  # fmt: skip

    async def page(self) -> dict[str, list[dict[str, object]]]:
        status, body = await ask(f"unix://{self.folder / 'admin.sock'}", "/registries", "GET")
        assert status == 200
        return json.loads(body)

    async def end(self) -> None:
        """At once, as a second signal does."""
        self.sidecar.stop()
        self.sidecar.killed = 15
        self.sidecar._now.set()
        await self.task


def live(backend: str, folder: Path, story: Callable[[Live], Awaitable[None]]) -> None:
    async def run() -> None:
        app = await Provider("one").start()
        async with closing(app):
            it = Live(folder, app)
            try:
                await story(it)
            finally:
                await it.end()

    on_loop(backend, run)


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_registered_while_it_takes_calls(tmp_path: Path, backend: str) -> None:
    async def story(it: Live) -> None:
        await until(lambda: "1: put" in it.journal, 20)
        [one] = it.world.main.stands.values()  # type: ignore[attr-defined]
        assert (one.service, one.address, one.behind) == (CART, it.sidecar.addresses["in"], it.app.address)
        [shown] = (await it.page())["registrations"]
        assert shown["healthy"] is True and shown["registries"]["main"]["state"] == "registered"  # type: ignore[index]
        await it.app.stop()
        await until(lambda: it.journal[-1] == "1: drop", 20)
        [shown] = (await it.page())["registrations"]
        assert shown["healthy"] is False and shown["health"] == "refused"

    live(backend, tmp_path, story)


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_withdrawn_before_callers_are_told(tmp_path: Path, backend: str) -> None:
    async def story(it: Live) -> None:
        await until(lambda: "1: put" in it.journal, 20)
        caller = await Caller.connect(it.sidecar.addresses["in"])
        it.sidecar.stop()
        await until(lambda: "1: drop" in it.journal, 20)
        late = await Caller.connect(it.sidecar.addresses["in"])  # who has not heard of it yet
        async with closing(caller, late):
            for one in (caller, late):
                assert (await one.ask(CART)).value == "one:x"
                assert one.events == []
            assert it.sidecar.engine and not it.sidecar.engine.drained and it.sidecar.state.draining

    live(backend, tmp_path, story)


def test_another_registry_has_it_before_the_old_one_is_left(tmp_path: Path) -> None:
    async def story(it: Live) -> None:
        await until(lambda: "1: put" in it.journal, 20)
        it.write("com.x.Other")
        await until(lambda: "1: close" in it.journal, 20)
        assert it.journal.index("2: put") < it.journal.index("1: close")

    live("epoll", tmp_path, story)


def test_what_the_configuration_wants_no_more_is_taken_back(tmp_path: Path) -> None:
    async def story(it: Live) -> None:
        await until(lambda: "1: put" in it.journal, 20)
        it.world.path.write_text(it.world.path.read_text().replace(CART, "com.x.Stock"))
        await until(lambda: it.journal.count("1: put") == 2 and "1: drop" in it.journal, 20)
        assert [key.service for key in it.world.main.stands] == ["com.x.Stock"]  # type: ignore[attr-defined]

    live("epoll", tmp_path, story)
