"""A registry over a zoo, for tests."""

from __future__ import annotations

import asyncio
from functools import wraps

from zoo import Hand, Zoo

from meshfast.registry.url import encode
from meshfast.registry.zookeeper import ZooKeeper

CART, STOCK = "com.x.Cart", "com.x.Stock"


class World:
    """A registry over a zoo, and what it told."""

    def __init__(self, **options):
        self.zoo, self.times = Zoo(), Hand()
        self.zoo.put("/dubbo")
        self.told: list = []
        self.now: dict = {}
        self.registry = ZooKeeper(
            "main", "zookeeper://h:2181", self.tell, times=self.times, connect=self.zoo.connect, **options
        )

    def tell(self, service, listing):
        self.told.append((service, listing))
        self.now[service] = listing

    def offer(self, i, service=CART, more="", protocol="dubbo"):
        self.zoo.put(self.path(i, service, more, protocol))

    def path(self, i, service=CART, more="", protocol="dubbo"):
        url = f"{protocol}://10.0.{i >> 8}.{i & 255}:20880/{service}?application=shop&interface={service}{more}"
        return f"/dubbo/{service}/providers/{encode(url)}"

    def hosts(self, service=CART):
        return sorted(each.address.partition(":")[0] for offer in self.now[service] for each in offer.instances)


def world(test):
    """Runs a test with a World in a loop, and closes it."""

    @wraps(test)
    def run():
        async def inside():
            one = World()
            try:
                await test(one)
            finally:
                await one.registry.close()

        asyncio.run(inside())

    del run.__wrapped__  # or its argument would be taken for a fixture
    return run
