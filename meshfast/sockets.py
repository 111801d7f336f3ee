"""What a sidecar listens on besides the listeners of calls: opened, or taken over, and handed on."""

from __future__ import annotations

import os
from collections.abc import Iterable

from meshfast.address import Listening, adopted, listening
from meshfast.config.endpoint import grpc_of
from meshfast.model import Sidecar

__all__ = ["Given", "Sockets", "served"]


class Given:
    """Sockets that another process listens on, by what its configuration calls the address. Those that nobody takes
    are closed."""

    def __init__(self) -> None:
        self._found: dict[str, list[int]] = {}
        self.taken: list[str] = []

    def add(self, key: str, fds: Iterable[int]) -> None:
        self._found.setdefault(key, []).extend(fds)

    def take(self, key: str) -> list[int]:
        """Those of an address, which are the caller's now; none: it is to be opened."""
        found = self._found.pop(key, [])
        if found:
            self.taken.append(key)
        return found

    def close(self) -> None:
        for fds in self._found.values():
            for fd in fds:
                os.close(fd)
        self._found.clear()

    @staticmethod
    def key(name: str, bind: str) -> str:
        """An address is who listens there; at port 0 the listener's name is."""
        return f"{bind}#{name}" if bind.endswith(":0") else bind


def served(side: Sidecar) -> list[tuple[str, str]]:
    """What is listened on besides listeners: what for, as who listens calls it, and where."""
    found = [("admin address", side.admin)]
    if side.endpoint is not None:
        found += [("endpoint", side.endpoint.zookeeper), ("endpoint address", side.endpoint.http)]
        found += [("endpoint address", side.endpoint.nacos), ("endpoint", grpc_of(side.endpoint.nacos))]
    return [one for one in found if one[1]]


class Sockets:
    """``given``: from which addresses are taken first. ``opened`` by their keys, as they are handed on."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._waiting: dict[str, Listening] = {}
        self.opened: dict[str, Listening] = {}

    async def prepare(self, what: str, address: str) -> None:
        """Opens it now, for who will listen there. Raises as ``address.listening``."""
        key = Given.key(what, address)
        fds = self._given.take(key)
        for fd in fds[1:]:
            os.close(fd)
        if fds:
            self._waiting[key] = adopted(fds[0], address)
            self._waiting[key].handed = True  # not ours alone yet
        else:
            self._waiting[key] = await listening(what, address)

    async def listen(self, what: str, address: str) -> Listening:
        """As ``address.listening``."""
        key = Given.key(what, address)
        found = self._waiting.pop(key, None)
        if found is None:
            found = await listening(what, address)
        found.handed = False
        self.opened[key] = found
        return found

    def close(self) -> None:
        """What nobody listens on after all."""
        for one in self._waiting.values():
            one.give_back()
        self._waiting.clear()
