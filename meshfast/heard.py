"""What the application registers with its sidecar -> what is registered for it, behind the listener that forwards
there."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Callable, Collection, Hashable, Mapping
from typing import NamedTuple

import psutil

from meshfast import model
from meshfast.address import dial
from meshfast.config.registration import labels
from meshfast.endpoint.dubbo import Endpoint
from meshfast.registration import KEPT, Registrations
from meshfast.registry import Registration
from meshfast.registry.registered import BEHIND, MARK, readable
from meshfast.registry.url import Provider

__all__ = ["Heard", "Said"]

log = logging.getLogger("meshfast")

#: Seconds that an application may take to let in whoever asks whether it is there.
PATIENCE = 1.0
#: What says something of the application's own socket.
OWN = frozenset(("bind.ip", "bind.port", "anyhost", "group", "version", "interface", "side", MARK, BEHIND))


class Said(NamedTuple):
    """A registration that the application said, by the node that it made."""

    path: str


def machine() -> set[str]:
    """The addresses and the name of this machine."""
    found = {one.address.partition("%")[0] for some in psutil.net_if_addrs().values() for one in some}
    return found | {"localhost", socket.gethostname()}


class Heard:
    """``follow`` after each change. ``unplaced``: addresses that are not registered, and why. Calls for what is
    registered come to this machine, so what is said to be on another is not; ``own`` gives the names of this one."""

    def __init__(
        self, endpoint: Endpoint, registrations: Registrations, side: model.Sidecar, addresses: Mapping[str, str],
        *, own: Callable[[], Collection[str]] = machine,
    ) -> None:  # fmt: skip
        self._endpoint, self._registrations, self._side, self._own = endpoint, registrations, side, own
        self._doors: dict[int, tuple[str, str]] = {}  # by the application's port: where callers come in, what is behind
        for one in side.listeners:
            if one.direction == "inbound" and one.forward and not one.forward.startswith("unix://"):
                bound = addresses[one.name]
                if not bound.startswith("unix://"):
                    self._doors.setdefault(_port(one.forward), (bound.removeprefix("tcp://"), one.forward))
        self.unplaced: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}  # services, by their nodes
        self._coming = self._warned = False
        self._looking: set[asyncio.Task[None]] = set()
        endpoint.hears, endpoint.leaves = self._soon, self._left
        self.follow()

    def _soon(self) -> None:
        """Once for all that is heard in one turn of the loop: an application registers a thousand at its start."""
        if not self._coming:
            self._coming = True
            asyncio.get_running_loop().call_soon(self.follow)

    def follow(self) -> None:
        self._coming = False
        wanted: dict[Hashable, Registration] = {}
        unplaced: dict[str, str] = {}
        unreadable: dict[str, str] = {}
        own = {*self._own(), self._side.advertise.address} if self._endpoint.wanted else set()
        for path, one in self._endpoint.wanted.items():
            if one.provider is None:
                continue
            address = one.provider.instance.address
            door = self._doors.get(_port(address))
            if door is None:
                unplaced[address] = "no inbound listener forwards to that port"
            elif not ours(address, *door, own):
                unplaced[address] = "that is no address of this machine, nor advertise.address"
            elif not one.session:
                unplaced[address] = "dynamic=false: it would stay when the application has gone"
            elif readable(made := self._registration(one.provider, *door)):
                wanted[Said(path)] = made
            else:
                unreadable[path] = made.service
        for path in unreadable.keys() - self.unreadable.keys():
            self._endpoint.refused["service"] += 1
            log.warning("endpoint: %s cannot be registered: it has signs of a URL in its name", unreadable[path])
        for address in unplaced.keys() - self.unplaced.keys():
            log.warning("endpoint: what the application offers at %s is not registered: %s", address, unplaced[address])
        self.unplaced, self.unreadable = unplaced, unreadable
        self._registrations.only(wanted, Said)

    def _left(self, session: int) -> None:
        """Its connection has ended. Where its ports are closed as well the application is gone, and whoever comes there
        next is another one."""
        found = [one.provider for one in self._endpoint.wanted.values() if one.session == session and one.provider]
        doors = {self._doors[port][1] for one in found if (port := _port(one.instance.address)) in self._doors}
        if doors:
            task = asyncio.get_running_loop().create_task(self._bury(session, doors))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

    async def _bury(self, session: int, doors: Collection[str]) -> None:
        if all([await _closed(one) for one in doors]):
            self._endpoint.end(session)

    def _registration(self, said: Provider, bound: str, behind: str) -> Registration:
        host, _, port = bound.rpartition(":")
        if self._side.advertise.address:
            host = _host(self._side.advertise.address)
        elif ipaddress.ip_address(host.strip("[]")).is_unspecified:
            host = said.instance.address.rpartition(":")[0]  # it knows its machine's
        self._warn(said, host)
        own = {name: text for name, text in labels(self._side.labels).items() if name not in KEPT}
        told = {name: text for name, text in said.instance.parameters.items() if name not in OWN}
        application = said.instance.application or self._side.app
        return Registration(
            said.service, said.group, said.version, said.instance.protocol, f"{host}:{port}",
            {**own, **told, "application": application}, behind=behind,
        )  # fmt: skip

    def _warn(self, said: Provider, host: str) -> None:
        """Once: all services of an application have the same address."""
        if not self._warned and (host == "localhost" or _is_loopback(host)):
            self._warned = True
            log.warning(
                "endpoint: %s is registered at %s, where other machines meet themselves: write advertise.address",
                said.service, host,
            )  # fmt: skip


def ours(address: str, bound: str, behind: str, own: Collection[str]) -> bool:
    """Whether it is at this machine, as far as is known here."""
    host = _bare(address)
    return host in own or host in (_bare(bound), _bare(behind)) or _is_loopback(host)


async def _closed(address: str) -> bool:
    """Whether nobody listens there."""
    try:
        async with asyncio.timeout(PATIENCE):
            _, writer = await dial(address)
    except ConnectionRefusedError:
        return True
    except OSError:  # or too late: that says nothing
        return False
    writer.close()
    return False


def _bare(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
