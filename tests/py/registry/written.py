"""A registry over a zoo that an application is registered in, and the processes that follow each other."""

from __future__ import annotations

import asyncio
from functools import wraps

from zoo import Hand, Zoo, calm, until

from meshfast.registry import Registration
from meshfast.registry.lease import Lease
from meshfast.registry.url import decode
from meshfast.registry.zookeeper import ZooKeeper

CART = "com.x.Cart"
FOLDER = f"/dubbo/{CART}/providers"
PLACE = "/services/shop/10.0.0.7:20880"


def offer(service=CART, address="10.0.0.7:20880", behind="127.0.0.1:20881", parameters=None, **fields):
    parameters = {"application": "shop", **(parameters or {})}
    return Registration(service, address=address, parameters=parameters, behind=behind, **fields)


def alone(service=CART, **fields):
    """By an instance, and not by its interface."""
    return offer(service, levels=("instance",), **fields)


class Folder:
    """A state directory in memory. ``broken``: what reading or writing raises."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.broken: Exception | None = None
        self.writes = 0

    def read(self, name):
        if self.broken:
            raise self.broken
        return self.files.get(name)

    def write(self, name, data):
        if self.broken:
            raise self.broken
        self.writes += 1
        self.files[name] = data


class Process:
    """A registry as one process has it."""

    def __init__(self, zoo, folder, times):
        self.lease = Lease(folder)
        self.registry = ZooKeeper(
            "main", "zookeeper://h:2181", lambda *told: None, times=times, connect=zoo.connect, lease=self.lease
        )


class World:
    def __init__(self):
        self.zoo, self.folder, self.times = Zoo(), Folder(), Hand()
        self.zoo.put("/dubbo")
        self.process = Process(self.zoo, self.folder, self.times)
        self._all = [self.process.registry]

    @property
    def registry(self):
        return self.process.registry

    @property
    def nodes(self):
        """What is registered, decoded."""
        return sorted(decode(each.rpartition("/")[2]) for each in self.paths)

    @property
    def paths(self):
        return sorted(each for each in self.zoo.nodes if "/providers/" in each)

    def state(self, registration):
        found = self.registry.standing(registration.key)
        return found.state if found else ""

    async def rest(self):
        """Until nothing is under way, threads that write files too."""
        await calm()
        await self.process.lease.kept()
        await calm()
        await self.process.lease.kept()
        await calm()

    async def put(self, registration):
        self.registry.put(registration)
        await until(lambda: self.state(registration) == "registered")
        await self.rest()

    async def put_only(self, registration):
        """Without waiting for it to stand."""
        self.registry.put(registration)
        await self.rest()

    def crash(self):
        """The process is gone without a word, and another one begins."""
        self.zoo.client.live, self.zoo.client.watches = False, {}
        self.registry._writes.down()
        self.registry._reads.down()
        self.process = Process(self.zoo, self.folder, self.times)
        self._all.append(self.process.registry)

    async def close(self):
        for each in self._all:
            await each.close()


def world(test):
    """Runs a test with a World in a loop, and closes it."""

    @wraps(test)
    def run():
        async def inside():
            one = World()
            try:
                await test(one)
            finally:
                await one.close()

        asyncio.run(inside())

    del run.__wrapped__  # or its argument would be taken for a fixture
    return run
