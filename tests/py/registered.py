"""A registry that says what a test wants, and a source that follows it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any

import yaml

from meshfast.model import RegistrySpec
from meshfast.registry import EVERY, Instance, Listing, Offer, State, Tell
from meshfast.source import Bad, Event, Good, Moved
from meshfast.source.file import FileSource
from meshfast.source.registries import Registries
from meshfast.source.registry import RegistrySource

MAIN = {"name": "main", "address": "zookeeper://10.9.9.9:2181"}


def instance(address: str, protocol: str = "dubbo", application: str = "shop", **parameters: str) -> Instance:
    return Instance(address, protocol, application, {k.replace("__", "."): v for k, v in parameters.items()})


def offer(service: str, *instances: Instance | str, group: str = "", version: str = "") -> Offer:
    made = tuple(one if isinstance(one, Instance) else instance(one) for one in instances)
    return Offer(service, group, version, made)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Fake:
    """A registry. ``says``: what it lists, told when it is asked for; a service that is missing waits."""

    def __init__(self, spec: RegistrySpec, tell: Tell, world: World) -> None:
        self.name, self.spec, self.state = spec.name, spec, State(True, world.clock.now, 1)
        self.says: dict[str, Listing] = world.says.setdefault(spec.name, {})
        self.wanted: frozenset[str] = frozenset()
        self.started, self.closed = False, False
        self._tell, self._world = tell, world
        world.registries[spec.name] = self

    def start(self) -> None:
        self.started = True
        if not self._world.down:
            self._all(self.wanted)
        else:
            self.state.connected = False

    def want(self, services: Collection[str]) -> None:
        new = frozenset(services) - self.wanted
        self.wanted = frozenset(services)
        if self.started and not self._world.down:
            self._all(new)

    def _all(self, services: Collection[str]) -> None:
        for one in [*services, *(self.says if EVERY in services else ())]:
            if one in self.says:
                asyncio.get_running_loop().call_soon(self._say, one)

    def _say(self, service: str) -> None:
        if not self.closed and (service in self.wanted or EVERY in self.wanted):
            self._tell(service, self.says[service])

    def list(self, service: str, *offers: Offer) -> None:
        self.says[service] = offers
        self._say(service)

    def up(self) -> None:
        self._world.down = False
        self.reconnect()
        self._all(self.wanted)

    def reconnect(self) -> None:
        self.state.connected, self.state.since = True, self._world.clock.now
        self.state.sessions += 1

    async def close(self) -> None:
        self.closed = True


class World:
    """A source of one file and of fake registries."""

    def __init__(self, tmp_path: Path) -> None:
        self.clock = Clock()
        self.says: dict[str, dict[str, Listing]] = {}
        self.down = False
        self.path = tmp_path / "mesh.yaml"
        self.registries: dict[str, Fake] = {}
        self.shown = Registries(self.clock)
        self.files = FileSource([self.path], poll=0.01, settle=0.01, rest=0.01)
        self.source = RegistrySource(self.files, self.shown, factory=lambda spec, tell: Fake(spec, tell, self))
        self.events = aiter(self.source)

    @property
    def main(self) -> Fake:
        return self.registries["main"]

    def write(self, *documents: dict[str, Any], registries: Any = (MAIN,), **sidecar: Any) -> None:
        own = {"apiVersion": "meshfast.io/v1", "kind": "Sidecar", "spec": {"registries": list(registries), **sidecar}}
        text = yaml.safe_dump_all([own, *documents], sort_keys=False)
        made = self.path.with_suffix(".new")
        made.write_text(text)
        made.rename(self.path)

    async def next(self) -> Event:
        return await asyncio.wait_for(anext(self.events), 20)

    async def until(self, good: Callable[[Event], bool]) -> Event:
        """The first event for which it holds."""
        while True:
            event = await self.next()
            if good(event):
                return event


def play(tmp_path: Path, body: Callable[[World], Awaitable[None]]) -> None:
    async def run() -> None:
        world = World(tmp_path)
        try:
            await body(world)
        finally:
            await world.events.aclose()  # type: ignore[attr-defined]

    asyncio.run(run())


def places(event: Event, cluster: str) -> list[str]:
    assert isinstance(event, (Good, Moved)), event.error if isinstance(event, Bad) else event
    return [one.address for one in event.mesh.clusters[cluster].endpoints]
