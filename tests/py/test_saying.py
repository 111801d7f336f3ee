"""What an application says to its sidecar's registry and over HTTP is one to who registers it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from apis import Shown, Talk
from peers import until

from meshfast.endpoint.dubbo import Endpoint, Wanted
from meshfast.endpoint.http import Api
from meshfast.heard import Heard
from meshfast.model import Listener, Sidecar
from meshfast.registers import Advertise
from meshfast.registration import Registrations
from meshfast.registry.url import URL, provider
from meshfast.saying import Saying

SIDE = Sidecar(
    listeners=(Listener("in", "0.0.0.0:20880", "inbound", forward="127.0.0.1:20881"),), advertise=Advertise("10.0.0.7")
)


def test_both_are_heard(tmp_path: Path) -> None:
    async def run() -> None:
        endpoint = Endpoint("tcp://127.0.0.1:0", Shown(), "127.0.0.1:1")
        api = Api(f"unix://{tmp_path}/api", Shown(), {20881: ("0.0.0.0:20880", "127.0.0.1:20881")})
        registrations = Registrations()
        heard = Heard(Saying(endpoint, api), registrations, SIDE, {"in": "0.0.0.0:20880"}, own=lambda: ("192.0.2.2",))
        api.judge = heard.judged

        def services() -> list[str]:
            return sorted(one.registration.service for one in registrations.shown())

        talk = await Talk.to(await api.start())
        try:
            assert (await talk.ask("POST", "/v1/register", {"service": "A", "port": 20881}))[0] == 200
            said = URL("dubbo", "", "", "192.0.2.2", 20881, "B", {"interface": "B", "side": "provider"}).encoded()
            endpoint._want("/dubbo/B/providers/b", Wanted(7, provider(said, "B"), b""))
            await until(lambda: services() == ["A", "B"])
            assert (await talk.ask("POST", "/v1/register", {"service": "C", "port": 9}))[0] == 409
            await until(lambda: heard.unplaced == {})
            assert endpoint.refused == {}
            endpoint.removed("/dubbo/B/providers/b")
            await until(lambda: services() == ["A"])
            talk.close()
            await until(lambda: services() == [])
        finally:
            talk.close()
            await api.stop()
            registrations.close()

    asyncio.run(run())
