"""An application that workers could not reach is written when they do: who finds it in a registry is served."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from admins import on_loop
from apis import Talk
from peers import Caller, Provider, closing, until
from proxies import BACKENDS
from registered import MAIN
from registered import World as Registries
from test_registration import APP, calm, offer, world
from test_registration_live import Writing

from meshfast.registration import LOOK, REACHED
from meshfast.sidecar import Sidecar

CART = "com.x.Cart"


@world
async def test_who_a_worker_does_not_reach_yet_is_not_written_yet(w):
    """It would refuse those who come first."""
    w.registrations.ready()
    for worker in (0, 1):
        w.registrations.reaches(APP, worker, False)
    w.registrations.want(1, offer(behind=f"tcp://{APP}"))
    await calm()
    assert w.looks == [f"tcp://{APP}"] and w.stands == []
    w.registrations.reaches(APP, 0, True)
    assert w.stands == []
    w.registrations.reaches(APP, 1, True)
    assert w.stands == ["com.x.Cart"]
    w.registrations.reaches(APP, 1, False)  # what stands is not taken back for that
    await w.times.turn(LOOK)
    assert w.stands == ["com.x.Cart"]


@world
async def test_a_worker_that_never_says_so_holds_nothing_up_for_long(w):
    w.registrations.ready()
    w.registrations.reaches(APP, 0, False)
    w.registrations.want(1, offer())
    await w.times.turn(REACHED - 0.1)
    assert w.stands == []
    await w.times.turn(0.2)
    assert w.stands == ["com.x.Cart"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_who_finds_it_is_served(tmp_path: Path, backend: str) -> None:
    """It was called while it was not there."""

    async def story() -> None:
        app = await Provider("one").start()
        port = app.port
        await app.stop()
        registries = Registries(tmp_path)
        registries.source._factory = lambda spec, tell: Writing(spec, tell, registries)
        journal = Writing.journal = []
        Writing.made = 0
        registries.write(
            registries=[{**MAIN, "register": True}],
            listeners=[{"name": "in", "bind": "tcp://127.0.0.1:0", "direction": "inbound", "forward": app.address}],
            workload={"app": "shop"}, advertise={"address": "127.0.0.1"},
            endpoint={"http": f"unix://{tmp_path / 'shop.api'}"},
        )  # fmt: skip
        sidecar = Sidecar(registries.source, registries=registries.shown)
        running = asyncio.create_task(sidecar.run())
        await until(lambda: sidecar.state.ready)
        caller = await Caller.connect(sidecar.addresses["in"].removeprefix("tcp://"))
        assert (await caller.ask(CART)).status == 80
        assert sidecar.engine
        failed = sidecar.engine.counters
        await until(lambda: failed()["upstream_connect_failed"] >= 4)  # it rests longer each time
        talk = await Talk.to(sidecar.addresses["endpoint-http"])
        app = await Provider("one").start(port)
        async with closing(app, caller):
            assert (await talk.ask("POST", "/v1/register", {"service": CART, "port": port}))[0] == 200
            await until(lambda: "1: put" in journal)
            assert (await caller.ask(CART)).status == 20
            talk.close()
            sidecar.stop()
            sidecar.killed = 15
            sidecar._now.set()
            await running

    try:
        on_loop(backend, story)
    finally:
        Writing.journal = []
