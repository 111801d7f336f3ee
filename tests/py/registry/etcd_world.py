"""A registry over a played server, an etcd if no other is said, what it told, and whatever came to the loop as an
exception: nothing may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import wraps

from played_etcd import Played
from zoo import PATIENCE, Hand, calm, until

from meshfast.registry import Listing, Registration
from meshfast.registry.etcd import Etcd
from meshfast.registry.tree import Tree
from meshfast.registry.url import encode

CART, STOCK = "com.x.Cart", "com.x.Stock"


def offer(service=CART, address="10.0.0.7:20880", behind="127.0.0.1:20881", **fields) -> Registration:
    return Registration(service, address=address, parameters={"application": "shop"}, behind=behind, **fields)


class World:
    """``server`` is the first of ``servers``."""

    played, registry_of, scheme = Played, Etcd, "etcd"

    def __init__(self) -> None:
        self.servers = [self.played()]
        self.times = Hand()
        self.told: list[tuple[str, Listing]] = []
        self.now: dict[str, Listing] = {}
        self.wrong: list[dict] = []
        self.registries: list[Tree] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: self.wrong.append(context))

    @property
    def server(self):
        return self.servers[0]

    @property
    def registry(self) -> Tree:
        return self.registries[-1]

    @property
    def error(self) -> str:
        return self.registry.state.error

    def tell(self, service: str, listing: Listing) -> None:
        self.told.append((service, listing))
        self.now[service] = listing

    async def begin(self, *want: str, secret: str = "", **options) -> Tree:
        """A registry that is started, connected or not."""
        for each in self.servers:
            if not each.port:
                await each.start()
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in self.servers)
        made = self.registry_of("main", f"{self.scheme}://{secret}{hosts}", self.tell, times=self.times, **options)
        self.registries.append(made)
        self.registry.want(want)
        self.registry.start()
        return self.registry

    async def connected(self, sessions: int = 0) -> None:
        """It is; time passes as long as it is not."""

        def is_so() -> bool:
            state = self.registry.state
            return state.connected and state.sessions >= sessions

        await self.passing(is_so)

    async def passing(self, predicate: Callable[[], object], seconds: float = 1.0) -> None:
        """Until it holds, time passes: all that can be done in it is done first."""
        deadline = time.monotonic() + PATIENCE
        while not predicate():
            assert time.monotonic() < deadline, "it never came"
            await self.times.turn(seconds)

    def put(self, i: int, service: str = CART, more: str = "") -> None:
        self.server.put(self.key(i, service, more))

    def key(self, i: int, service: str = CART, more: str = "") -> str:
        url = f"dubbo://10.0.{i >> 8}.{i & 255}:20880/{service}?application=shop&interface={service}{more}"
        return f"/dubbo/{service}/providers/{encode(url)}"

    def hosts(self, service: str = CART) -> list[str]:
        offers = self.now.get(service, ())
        return sorted(each.address.partition(":")[0] for one in offers for each in one.instances)

    async def hear(self, *hosts: str, service: str = CART) -> None:
        await until(lambda: service in self.now and self.hosts(service) == list(hosts))

    def standing(self, one: Registration) -> str:
        found = self.registry.standing(one.key)
        return found.state if found else ""

    async def stop(self) -> None:
        for each in self.registries:
            await each.close()
        for one in self.servers:
            if one.port:
                await one.stop()
        await calm()
        assert not self.wrong, self.wrong


def world(test, kind=World):
    """Runs a test with a World in a loop, and closes it."""

    @wraps(test)
    def run():
        async def inside():
            one = kind()
            try:
                await test(one)
            finally:
                await one.stop()

        asyncio.run(inside())

    del run.__wrapped__  # or its argument would be taken for a fixture
    return run
