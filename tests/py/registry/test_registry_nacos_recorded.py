"""What Dubbo for Java leaves in an rnacos, as ``tests/e2e/record_nacos.py`` wrote it down, is found; and its answers
are understood."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from nacos_world import World, world
from played_nacos import CONFIGS, LIST, NAMES, Refusal
from test_registry_instance import metadata_info, service

from meshfast.registry.instance import info_of
from meshfast.registry.nacosapi import Api, Failed, hosts_of

FOLDER = Path(__file__).with_name("recorded_nacos")
RECORDED = sorted(FOLDER.glob("java-*.json"))
SERVICE = "meshfast.peer.PeerService"


@pytest.mark.parametrize("path", RECORDED, ids=lambda each: each.stem)
def test_a_peer_is_found_as_it_registered(path):
    recorded = json.loads(path.read_text())

    @world
    async def run(w: World):
        def answer(method: str, target: str, asked: dict[str, str], token: str) -> bytes:
            if target == NAMES:
                return recorded["names"].encode()
            if target == LIST:
                return recorded["lists"][asked["serviceName"].partition("@@")[2]].encode()
            assert target == CONFIGS and method == "GET"
            text = recorded["configs"].get(f"{asked['group']}/{asked['dataId']}")
            if text is None:
                raise Refusal(404, "config data not exist")
            return text.encode()

        async def ask(protocol, host, port, application, revision):
            assert (protocol, host, port, application) == ("dubbo", "10.0.0.7", 20880, "shop")
            return info_of(metadata_info(service(SERVICE, params={"application": "shop"})))

        w.server._answer = answer
        await w.begin(SERVICE, ask=ask)
        await w.passing(lambda: w.now.get(SERVICE))
        (offer,) = w.now[SERVICE]
        (one,) = offer.instances
        assert (one.address, one.protocol, one.application) == ("10.0.0.7:20880", "dubbo", "shop")
        told = ("gray", "1.0.0") if "interface" in path.stem else ("", "")
        assert (offer.group, offer.version) == told
        assert w.registry.state.refused == {}

    run()


def test_what_it_answers_is_understood():
    told = json.loads((FOLDER / "answers.json").read_text())

    async def run() -> None:
        said: list[str] = []

        async def ask(request, seconds, alone):
            status, text = told[said.pop()]
            return status, text.encode()

        def answered(what, asking):
            said.append(what)
            return asking

        api = Api(ask, "", "DEFAULT_GROUP")
        place = "x", "10.0.0.7", 20880
        await answered("register", api.register(*place, {}))
        assert await answered("beat", api.beat(*place, {})) == 5.0
        for each in ("deregister", "deregister again"):
            await answered(each, api.deregister(*place))
        assert hosts_of(await answered("empty", api.hosts("x"))) == ({}, 0)
        assert await answered("no config", api.config("x", "mapping")) is None
        await answered("publish", api.publish("x", "mapping", b"shop", ""))
        assert await answered("config", api.config("x", "mapping")) == b"shop"
        assert await answered("configs", api.configs("mapping")) == ["x"]
        login = await answered("login", api.login("shop", "secret", 1.0))
        assert (login.accessToken, login.tokenTtl) == ("token", 3600)
        for each in ("wrong password", "no token"):
            with pytest.raises(Failed, match="^unknown user!$") as error:
                await answered(each, api.login("shop", "other", 1.0))
            assert error.value.status == 403

    asyncio.run(run())
