"""Meshes that name hosts become meshes with addresses: at once, again when those change, and never with fewer because
nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from config_mesh import Doc, entry, load, sidecar

from meshfast.errors import ConfigError
from meshfast.model import Mesh
from meshfast.source import Bad, Event, Good, Moved
from meshfast.source.names import Found, Names, Unknown
from meshfast.source.naming import Naming

HTTP = [{"name": "h", "number": 80, "protocol": "HTTP"}]
FAST = sidecar(dns={"refresh": "100ms", "least": "100ms"})


def named(*hosts: str, resolution: str = "DNS", name: str = "shop") -> Doc:
    places = [{"address": host, "labels": {"v": host[0]}, "weight": 3} for host in hosts]
    return entry(name, (f"com.{name}",), ports=HTTP, resolution=resolution, endpoints=places)


class Play:
    """Who is asked, and what comes of it."""

    def __init__(self) -> None:
        self.says: dict[str, Found | Exception | Awaitable[Found]] = {}
        self.asked: list[str] = []
        self.names = Names()
        self.inner: asyncio.Queue[Event] = asyncio.Queue()
        self.naming = Naming(self._events(), self.names, lambda dns: self._ask)
        self.events = aiter(self.naming)

    async def _events(self) -> AsyncIterator[Event]:
        while True:
            yield await self.inner.get()

    async def _ask(self, host: str) -> Found:
        self.asked.append(host)
        said = self.says.get(host, Unknown("there is no such name"))
        if isinstance(said, Exception):
            raise said
        return said if isinstance(said, Found) else await said

    def say(self, host: str, *addresses: str, ttl: float = 0.1) -> None:
        self.says[host] = Found(addresses, ttl)

    async def next(self, *documents: Doc) -> Event:
        if documents:
            self.inner.put_nowait(Good(load(*documents)))
        return await asyncio.wait_for(anext(self.events), 20)


def play(body: Callable[[Play], Awaitable[None]]) -> None:
    async def run() -> None:
        it = Play()
        try:
            await body(it)
        finally:
            await it.events.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())


def places(event: Event, cluster: str = "shop") -> list[str]:
    assert isinstance(event, (Good, Moved)), event
    return [one.address for one in event.mesh.clusters[cluster].endpoints]


def test_each_address_is_an_instance_with_what_its_name_has() -> None:
    async def body(it: Play) -> None:
        it.say("a.example", "10.0.0.2", "10.0.0.1", ttl=60)
        it.say("b.example", "fd00::1", "10.0.0.1", ttl=60)
        event = await it.next(named("a.example", "b.example", "10.0.0.9"), FAST)
        assert places(event) == ["10.0.0.9:80", "10.0.0.1:80", "10.0.0.2:80", "[fd00::1]:80"]
        assert isinstance(event, Good)
        written, *_, found = event.mesh.clusters["shop"].endpoints
        assert (found.weight, found.labels["v"], found.speaks) == (3, "b", written.speaks)
        assert sorted(it.asked) == ["a.example", "b.example"]

    play(body)


def test_changes_are_told_and_what_stays_is_the_same() -> None:
    async def body(it: Play) -> None:
        it.say("a.example", "10.0.0.1")
        it.say("b.example", "10.0.0.2", ttl=60)
        first = await it.next(named("a.example"), named("b.example", name="other"), FAST)
        it.say("a.example", "10.0.0.3")
        then = await it.next()
        assert isinstance(first, Good) and isinstance(then, Moved)
        assert places(then) == ["10.0.0.3:80"]
        assert then.mesh.clusters["other"] is first.mesh.clusters["other"]
        assert then.mesh.services is first.mesh.services

    play(body)


def test_one_address_stays_while_it_is_said() -> None:
    async def body(it: Play) -> None:
        it.say("a.example", "10.0.0.2", "10.0.0.1")
        assert places(await it.next(named("a.example", resolution="DNS_ROUND_ROBIN"), FAST)) == ["10.0.0.2:80"]
        it.say("a.example", "10.0.0.1", "10.0.0.2", "10.0.0.3")
        it.say("a.example", "10.0.0.3", "10.0.0.1")
        assert places(await it.next()) == ["10.0.0.3:80"]

    play(body)


def test_the_last_good_answer_stays() -> None:
    async def body(it: Play) -> None:
        it.say("a.example", "10.0.0.1")
        assert places(await it.next(named("a.example"), FAST)) == ["10.0.0.1:80"]
        it.says["a.example"] = Unknown("nobody")
        name = it.names.known["a.example"]
        async with asyncio.timeout(20):
            while name.failures < 2:
                await asyncio.sleep(0.01)
        assert (name.error, name.addresses, it.names.failing) == ("nobody", ("10.0.0.1",), 1)
        assert places(await it.next(named("a.example"), named("b.example", name="b"), FAST)) == ["10.0.0.1:80"]
        it.say("a.example", "10.0.0.2")
        assert places(await it.next()) == ["10.0.0.2:80"]
        assert it.names.known["a.example"].failures == 0 and it.names.failing == 1  # b

    play(body)


def test_a_start_waits_no_longer_than_it_may() -> None:
    async def body(it: Play) -> None:
        never: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        it.says["a.example"] = never
        it.say("b.example", "10.0.0.2", ttl=60)
        slow = sidecar(dns={"timeout": "200ms"})
        event = await it.next(named("a.example"), named("b.example", name="b"), slow)
        assert (places(event), places(event, "b")) == ([], ["10.0.0.2:80"])
        never.set_result(Found(("10.0.0.1",), 60))
        assert places(await it.next()) == ["10.0.0.1:80"]

    play(body)


def test_names_of_a_mesh_that_is_refused_change_nothing() -> None:
    async def body(it: Play) -> None:
        it.say("a.example", "10.0.0.1")
        it.say("b.example", "10.0.0.2")
        await it.next(named("a.example"), FAST)
        assert places(await it.next(named("b.example"), FAST)) == ["10.0.0.2:80"]
        it.naming.refuse()
        assert places(await it.next()) == ["10.0.0.1:80"]
        assert list(it.names.known) == ["a.example"]
        it.say("a.example", "10.0.0.3")
        assert places(await it.next()) == ["10.0.0.3:80"]

    play(body)


def test_other_events_and_meshes_without_names_pass() -> None:
    async def body(it: Play) -> None:
        mesh = load(entry(ports=HTTP, endpoints=[{"address": "10.0.0.1"}]))
        it.inner.put_nowait(Good(mesh))
        event = await it.next()
        assert isinstance(event, Good) and event.mesh is mesh and it.asked == []
        bad = Bad(ConfigError([]))
        it.inner.put_nowait(bad)
        assert await it.next() is bad
        it.say("a.example", "10.0.0.1")
        assert places(await it.next(named("a.example"), FAST)) == ["10.0.0.1:80"]
        it.inner.put_nowait(Good(mesh))
        assert (await it.next()).mesh is mesh  # type: ignore[union-attr]
        it.inner.put_nowait(bad)
        assert await it.next() is bad and it.names.known == {}

    play(body)


def test_there_is_a_bound_on_addresses() -> None:
    async def body(it: Play) -> None:
        it.say("a.example", *(f"10.0.0.{i}" for i in range(1, 6)), ttl=60)
        event = await it.next(named("a.example"), sidecar(dns={"addresses": 2}))
        assert (len(places(event)), it.names.dropped) == (2, 3)

    play(body)


@pytest.mark.parametrize(("ttl", "least", "most"), [(0, 60, 61), (0.001, 1, 2), (7, 7, 8), (1e9, 3600, 3601)])
def test_when_it_is_asked_again(ttl: float, least: float, most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 100.0)
    names = Names()
    (name,) = names.want(Mesh(clusters=load(named("a.example")).clusters))
    names.answered(name, Found(("10.0.0.1",), ttl))
    assert least <= name.due - 100 <= most
    waits = []
    for _ in range(8):
        names.failed(name, "x")
        waits.append(round(name.due - 100))
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
