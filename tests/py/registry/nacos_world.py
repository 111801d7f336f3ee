"""A registry over a played Nacos."""

from __future__ import annotations

import etcd_world
from etcd_world import CART
from played_nacos import Played

from meshfast.registry.nacos import Nacos


class World(etcd_world.World):
    played, registry_of, scheme = Played, Nacos, "nacos"

    def put(self, i: int, service: str = CART, more: dict | None = None, **fields) -> None:
        """An instance as Dubbo has it; ``fields`` are Nacos's own."""
        metadata = {"interface": service, "application": "shop", "protocol": "dubbo", "path": service} | (more or {})
        metadata |= {"category": "providers", "side": "provider"}
        name = f"providers:{service}:{metadata.get('version', '')}:{metadata.get('group', '')}"
        self.server.put(name, f"10.0.{i >> 8}.{i & 255}", 20880, metadata)
        self.server.of(name)[f"10.0.{i >> 8}.{i & 255}:20880"] |= fields

    def drop(self, i: int, service: str = CART) -> None:
        self.server.drop(f"providers:{service}::", f"10.0.{i >> 8}.{i & 255}:20880")

    async def hears(self, *hosts: str, service: str = CART) -> None:
        """In time that passes."""
        await self.passing(lambda: service in self.now and self.hosts(service) == list(hosts))


def world(test):
    return etcd_world.world(test, World)
