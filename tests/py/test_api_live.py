"""A running sidecar and an application that says what it offers over a UNIX socket."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from admins import on_loop
from apis import Talk
from peers import Provider, closing, until
from proxies import BACKENDS
from registered import MAIN, World, offer
from test_registration_live import Writing

from meshfast.ask import ask
from meshfast.sidecar import Sidecar

CART = "com.x.Cart"


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_application_comes_and_goes(tmp_path: Path, backend: str) -> None:
    async def story() -> None:
        app = await Provider("one").start()
        world = World(tmp_path)
        world.source._factory = lambda spec, tell: Writing(spec, tell, world)
        journal = Writing.journal = []
        Writing.made = 0
        world.says["main"] = {"com.x.Known": (offer("com.x.Known", "10.0.0.8:20880"),), "com.x.Gone": ()}
        world.write(
            registries=[{**MAIN, "register": True}],
            listeners=[{"name": "in", "bind": "tcp://127.0.0.1:0", "direction": "inbound", "forward": app.address}],
            workload={"app": "shop"}, admin=f"unix://{tmp_path / 'admin.sock'}", advertise={"address": "127.0.0.1"},
            endpoint={"http": f"unix://{tmp_path / 'shop.api'}"}, state=str(tmp_path / "state"),
        )  # fmt: skip
        sidecar = Sidecar(world.source, registries=world.shown)
        running = asyncio.create_task(sidecar.run())
        async with closing(app):
            await until(lambda: sidecar.state.ready, 20)
            watch, talk = [await Talk.to(sidecar.addresses["endpoint-http"]) for _ in range(2)]
            watch.send("GET", "/v1/watch")
            assert await watch.line() == {"snapshot": 0, "ready": True, "draining": False}
            status, told = await talk.ask("POST", "/v1/register", {"service": CART, "port": app.port})
            assert (status, told) == (200, {"address": sidecar.addresses["in"], "registries": ["main"]})
            await until(lambda: "1: put" in journal, 20)
            assert sidecar.endpoint is None and sidecar.own.consumed() == frozenset()
            status, told = await talk.ask("POST", "/v1/consume", {"services": ["com.x.Known", "com.x.Gone"]})
            assert (status, told) == (200, {"known": ["com.x.Known"], "nobody": ["com.x.Gone"], "unanswered": []})
            assert sidecar.own.consumed() == {"com.x.Known", "com.x.Gone"}
            assert (await watch.line()) == {"snapshot": 1, "ready": True, "draining": False}  # they are in it by now
            page = json.loads((await ask(f"unix://{tmp_path / 'admin.sock'}", "/endpoint"))[1])
            assert page["http"]["services"] == ["com.x.Gone", "com.x.Known"]
            talk.close()
            await until(lambda: journal[-1] == "1: drop", 20)
            await until(lambda: sidecar.own.consumed() == frozenset(), 20)
            sidecar.stop()
            while not (word := await watch.line())["draining"]:
                pass
            assert word["ready"]
            sidecar.killed = 15
            sidecar._now.set()
            await running
            await watch.ended()
            watch.close()

    try:
        on_loop(backend, story)
    finally:
        Writing.journal = []
