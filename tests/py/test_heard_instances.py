"""What an application registers by an instance, and what is registered for it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from test_heard import ALL, CART, HERE, Told

from meshfast.endpoint import instances
from meshfast.endpoint.dubbo import Wanted
from meshfast.endpoint.instances import Written
from meshfast.heard import Heard
from meshfast.model import Listener, Sidecar
from meshfast.registers import Advertise
from meshfast.registry import Key
from meshfast.registry.application import Place, instance, metadata
from meshfast.registry.instance import Info, info, info_of
from meshfast.registry.metadata import read_answer
from meshfast.registry.url import URL, provider

RECORDED = Path(__file__).parent / "registry" / "recorded"
PLACE = Place("shop", "192.0.2.2:20881")
AT = "/services/shop/192.0.2.2:20881"
STOCK = "com.x.Stock"
Story = Callable[["World"], Coroutine[Any, Any, None]]


def url(service: str = CART, port: int = 20881, **parameters: str) -> URL:
    said = {"application": "shop", "interface": service, "side": "provider", **parameters}
    return URL("dubbo", "", "", "192.0.2.2", port, service, said)


class World:
    """An endpoint in which applications write, and what is registered."""

    def __init__(self, *levels: str) -> None:
        self.written, self.told = Written(), Told()
        self.endpoint = SimpleNamespace(
            wanted={}, hears=None, leaves=None, end=None, refused=Counter(), written=self.written
        )
        self.asked: list[tuple[str, str, int, str, str]] = []
        self.answers: list[Info | Exception] = []
        listeners = (Listener("in", ALL, "inbound", forward="tcp://127.0.0.1:20881"),)
        side = self.side = Sidecar(listeners=listeners, advertise=Advertise("10.0.0.7", levels=levels))
        self.heard = Heard(
            self.endpoint, self.told, side, {"in": ALL}, own=lambda: HERE, asks=self.ask
        )  # type: ignore[arg-type]

    async def ask(self, *at: Any) -> Info:
        self.asked.append(at)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def write(self, *urls: URL, remote: bool = True) -> str:
        """Metadata and instance as Dubbo does; the revision."""
        made = metadata("shop", urls)
        data = instance(PLACE, {"dubbo"}, made.revision, {}, "17")
        if remote:
            self.written.take(f"/dubbo/metadata/shop/{made.revision}", made.data)
        else:
            data = data.replace(b'"remote"', b'"local"')
        self.endpoint.wanted[AT] = Wanted(7, None, data)
        self.endpoint.hears()
        return made.revision

    def url(self, one: URL) -> None:
        self.endpoint.wanted[f"/dubbo/x/providers/{one.encoded()}"] = Wanted(7, provider(one.encoded()), b"")
        self.endpoint.hears()

    @property
    def services(self) -> dict[str, tuple[str, ...]]:
        """What is registered, and as what."""
        return {one.service: one.levels for one in self.told.wanted.values()}


def play(story: Story, *levels: str) -> None:
    async def run() -> None:
        world = World(*levels)
        await story(world)
        world.heard.close()
        await asyncio.sleep(0)

    asyncio.run(run())


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_it_is_registered_as_the_application_did() -> None:
    async def story(world: World) -> None:
        world.write(url(group="g", version="1", weight="5", REGISTRY_CLUSTER="default"), url(STOCK))
        await turns()
        assert world.services == {CART: ("instance",), STOCK: ("instance",)}
        one = next(one for one in world.told.wanted.values() if one.service == CART)
        assert one.key == Key(CART, "g", "1", "dubbo", "10.0.0.7:20880") and one.behind == "tcp://127.0.0.1:20881"
        assert dict(one.parameters) == {"application": "shop", "weight": "5", "timestamp": "17"}
        world.endpoint.wanted.clear()
        world.endpoint.hears()
        await turns()
        assert world.services == {}

    play(story)


@pytest.mark.parametrize(("levels", "found"), [
    ((), ("interface", "instance")), (("interface",), ("interface",)), (("instance",), ("instance",)),
])  # fmt: skip
def test_both_levels(levels: tuple[str, ...], found: tuple[str, ...]) -> None:
    """What an application said twice is one registration."""

    async def story(world: World) -> None:
        world.url(url(timestamp="17"))
        world.write(url())
        await turns()
        assert world.services == {CART: found} and len(world.told.wanted) == 1

    play(story, *levels)


def test_by_interface_alone_where_that_is_wanted() -> None:
    async def story(world: World) -> None:
        world.write(url())
        await turns()
        assert world.services == {CART: ("interface",)}

    play(story, "interface")


def test_a_service_more_is_another_revision() -> None:
    """Until it is known what that offers, what was offered stays."""

    async def story(world: World) -> None:
        first = world.write(url())
        await turns()
        data = world.endpoint.wanted[AT].data
        second = metadata("shop", [url(), url(STOCK)])
        world.endpoint.wanted[AT] = Wanted(7, None, data.replace(first.encode(), second.revision.encode()))
        world.endpoint.hears()
        await turns()
        assert world.services == {CART: ("instance",)}
        assert world.written.take(f"/dubbo/shop/{second.revision}", second.data)
        world.endpoint.hears()
        await turns()
        assert world.services == {CART: ("instance",), STOCK: ("instance",)}
        world.write(url(STOCK))
        await turns()
        assert world.services == {STOCK: ("instance",)}

    play(story)


def test_one_that_wrote_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the listener's way to it, once for a revision, and again until it tells."""

    monkeypatch.setattr(instances, "SOON", 0.0)

    async def story(world: World) -> None:
        told = info(metadata("shop", [url()]).data)
        world.answers = [OSError("nobody"), told]
        revision = world.write(url(), remote=False)
        await turns(1)
        assert not world.told.known  # so nothing of the process before is taken away yet
        await turns(40)
        assert world.told.known
        assert world.services == {CART: ("instance",)}
        assert world.asked == [("dubbo", "127.0.0.1", 20881, "shop", revision)] * 2
        world.endpoint.hears()
        await turns()
        assert len(world.asked) == 2

    play(story)


def test_who_said_each_service_is_not_asked() -> None:
    async def story(world: World) -> None:
        world.url(url())
        world.write(url(), remote=False)
        await turns()
        assert world.services == {CART: ("interface", "instance")} and world.asked == []

    play(story)


def test_what_cannot_be_read_is_counted() -> None:
    async def story(world: World) -> None:
        world.endpoint.wanted[AT] = Wanted(7, None, b"{}")
        world.endpoint.hears()
        await turns()
        world.endpoint.hears()
        await turns()
        assert world.services == {} and sum(world.endpoint.refused.values()) == 1
        revision = world.write(url())
        world.written.take(f"/dubbo/metadata/shop/{revision}", b'{"services": 1, "revision": 2}')
        await turns()
        assert world.services == {}

    play(story)


def test_levels_may_change_while_it_runs() -> None:
    async def story(world: World) -> None:
        world.write(url())
        await turns()
        world.heard.take(world.side)
        assert world.services == {CART: ("instance",)}
        world.heard.take(replace(world.side, advertise=Advertise("10.0.0.8", levels=("interface",))))
        assert world.services == {CART: ("interface",)}
        assert [one.address for one in world.told.wanted.values()] == ["10.0.0.8:20880"]

    play(story)


def test_a_port_that_nobody_forwards_to() -> None:
    async def story(world: World) -> None:
        world.write(url(), url(STOCK, port=20890))
        await turns()
        assert world.services == {CART: ("instance",)} and list(world.heard.unplaced) == ["192.0.2.2:20890"]

    play(story)


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*-instance-*.json")), ids=lambda path: path.stem)
def test_what_peers_write(path: Path) -> None:
    """As they wrote it into a real registry; who keeps it to itself is asked."""
    recorded = json.loads(path.read_text())

    async def story(world: World) -> None:
        for name, one in recorded["nodes"].items():
            data = one["data"].encode().replace(b"10.0.0.7", b"192.0.2.2").replace(b"20880", b"20881")
            if one["ephemeral"]:
                world.endpoint.wanted[name] = Wanted(7, None, data)
            else:
                world.written.take(name, data)
        if recorded["metadata"]:
            world.answers = [read_answer(bytes.fromhex(recorded["metadata"]["answer"]))]
        else:
            service = {"name": "meshfast.peer.PeerService", "protocol": "tri", "params": {"application": "peer"}}
            world.answers = [info_of({"app": "peer", "revision": "", "services": {"x": service}})]
        for one in world.answers:
            assert isinstance(one, Info)
            for each in one.services.values():
                for service in each:  # as it was at another port
                    object.__setattr__(service, "port", 0)
        world.endpoint.hears()
        await turns()
        found = [one for one in world.told.wanted.values() if one.service == "meshfast.peer.PeerService"]
        assert len(found) == 1 and found[0].levels == ("instance",)
        assert (found[0].address, found[0].parameters["application"]) == ("10.0.0.7:20880", "peer")
        told = recorded["told"]
        assert (found[0].group, found[0].version) == (told.get("group", ""), told.get("version", ""))
        assert found[0].protocol == told.get("protocol", "dubbo")
        assert bool(world.asked) == (told["metadata"] == "local")

    play(story)


def test_nodes_are_found_wherever_they_are() -> None:
    written = Written()
    assert not written.take("/dubbo/x", b"{}") and not written.take("/dubbo/x", b'"services" "revision"')
    data = metadata("shop", [url()]).data
    for path in ("/dubbo/metadata/shop/1", "/other/shop/1"):
        assert written.take(path, data)
    assert written.get("shop", "1") == data and written.get("shop", "2") is None
    written.drop("/dubbo/metadata/shop/1")
    assert written.get("shop", "1") == data
    written.drop("/other/shop/1")
    written.drop("/other/shop/1")
    assert written.get("shop", "1") is None
