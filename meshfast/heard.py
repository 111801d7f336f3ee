"""What the application registers with its sidecar -> what is registered for it, behind the listener that forwards
there."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from typing import NamedTuple, Protocol

import psutil

from meshfast import model
from meshfast.address import dial
from meshfast.config.registration import labels, reached
from meshfast.endpoint.dubbo import Wanted
from meshfast.endpoint.instances import Instances, Written
from meshfast.registration import KEPT, Registrations
from meshfast.registry import Registration
from meshfast.registry.applications import Ask
from meshfast.registry.instance import Node, node, offered
from meshfast.registry.metadata import ask
from meshfast.registry.registered import BEHIND, MARK, readable
from meshfast.registry.url import Provider, Refused

__all__ = ["Heard", "Said", "Source", "inbound"]

log = logging.getLogger("meshfast")

#: Seconds that an application may take to let in whoever asks whether it is there.
PATIENCE = 1.0
#: What says something of the application's own socket, or of the registry that it was told of.
OWN = frozenset(
    ("bind.ip", "bind.port", "anyhost", "group", "version", "interface", "side", MARK, BEHIND)
    + ("REGISTRY_CLUSTER", "metadata-type", "registry.id")
)


class Said(NamedTuple):
    """A registration that the application said, by the node that it made; ``service``: which one, of an instance's."""

    path: str
    service: tuple[str, str, str, str] = ("", "", "", "")


def machine() -> set[str]:
    """The addresses and the name of this machine."""
    found = {one.address.partition("%")[0] for some in psutil.net_if_addrs().values() for one in some}
    return found | {"localhost", socket.gethostname()}


class Source(Protocol):
    """Where applications say what they offer. ``wanted`` of a session below 0: at a port of this machine, whose address
    they do not know."""

    hears: Callable[[], None]  # is set: that something else is wanted
    leaves: Callable[[int], None]  # is set: of a session whose connection has ended

    @property
    def wanted(self) -> Mapping[str, Wanted]: ...

    @property
    def refused(self) -> Counter[str]: ...

    @property
    def written(self) -> Written: ...

    def end(self, session: int) -> None:
        """Its application is known to be gone."""


def inbound(side: model.Sidecar, addresses: Mapping[str, str]) -> dict[int, tuple[str, str]]:
    """By the application's port: where its callers come in, and what is behind."""
    found: dict[int, tuple[str, str]] = {}
    for one in side.listeners:
        if one.direction == "inbound" and one.forward and not one.forward.startswith("unix://"):
            bound = addresses[one.name]
            if not bound.startswith("unix://"):
                found.setdefault(_port(one.forward), (bound.removeprefix("tcp://"), one.forward))
    return found


class Heard:
    """``follow`` after each change. ``unplaced``: addresses that are not registered, and why. Calls for what is
    registered come to this machine, so what is said to be on another is not; ``own`` gives the names of this one."""

    def __init__(
        self, endpoint: Source, registrations: Registrations, side: model.Sidecar, addresses: Mapping[str, str],
        *, own: Callable[[], Collection[str]] = machine, asks: Ask = ask,
    ) -> None:  # fmt: skip
        self._endpoint, self._registrations, self._side, self._own = endpoint, registrations, side, own
        self._doors = inbound(side, addresses)
        self._wanted: dict[Hashable, Registration] = {}
        self.unplaced: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}  # services, by their nodes
        self._nodes: dict[str, tuple[bytes, Node | None]] = {}  # instances that were read, by path
        self._instances = Instances(endpoint.written, self._soon, asks)
        self._coming = self._warned = False
        self._looking: set[asyncio.Task[None]] = set()
        endpoint.hears, endpoint.leaves = self._soon, self._left
        self.follow()

    def _soon(self) -> None:
        """Once for all that is heard in one turn of the loop: an application registers a thousand at its start."""
        if not self._coming:
            self._coming = True
            asyncio.get_running_loop().call_soon(self.follow)

    def judged(self, path: str) -> Registration | str:
        """As what a node of the application is registered now, or why it is not."""
        self.follow()
        if (made := self._wanted.get(Said(path))) is not None:
            return made
        one = self._endpoint.wanted.get(path)
        if path in self.unreadable or one is None or one.provider is None:
            return "it has signs of a URL in its name"
        return self.unplaced.get(one.provider.instance.address, "nothing is known of it")

    def take(self, side: model.Sidecar) -> None:
        """What is said of the sidecar may have changed, though not its listeners."""
        if (side.advertise, side.labels, side.app) != (self._side.advertise, self._side.labels, self._side.app):
            self._side = side
            self.follow()

    def follow(self) -> None:
        self._coming = False
        wanted: dict[Hashable, Registration] = {}
        unplaced: dict[str, str] = {}
        unreadable: dict[str, str] = {}
        own = {*self._own(), self._side.advertise.address} if self._endpoint.wanted else set()
        nodes = self._read()
        for of, session, provider, levels in self._said(nodes, own):
            address = provider.instance.address
            door = self._doors.get(_port(address))
            if door is None:
                unplaced[address] = "no inbound listener forwards to that port"
            elif not ours(address, *door, own):
                unplaced[address] = "that is no address of this machine, nor advertise.address"
            elif not session:
                unplaced[address] = "dynamic=false: it would stay when the application has gone"
            elif session < 0 and not self._side.advertise.address and not reached(door[0]):
                unplaced[address] = f"{door[0]} is not where others reach this machine"
            elif readable(made := self._registration(provider, *door, self._side.advertise.levels or levels)):
                wanted[of] = made
            else:
                unreadable[of.path] = made.service
        for path in unreadable.keys() - self.unreadable.keys():
            self._endpoint.refused["service"] += 1
            log.warning("endpoint: %s cannot be registered: it has signs of a URL in its name", unreadable[path])
        for address in unplaced.keys() - self.unplaced.keys():
            log.warning("endpoint: what the application offers at %s is not registered: %s", address, unplaced[address])
        self.unplaced, self.unreadable, self._wanted = unplaced, unreadable, wanted
        self._registrations.only(wanted, Said)
        self._registrations.sure(not self._instances.searching)

    def close(self) -> None:
        self._instances.close()

    def _said(
        self, nodes: Mapping[str, Node], own: Collection[str]
    ) -> Iterator[tuple[Said, int, Provider, tuple[str, ...]]]:
        """What the application said: by whose node, with which session, and as what it registered."""
        wanted = self._endpoint.wanted
        places = {(one.application, port) for one in nodes.values() for port in {one.port, *one.endpoints.values()}}
        known: set[tuple[str, ...]] = set()
        by_interface: set[str] = set()
        for path, one in wanted.items():
            if (found := one.provider) is not None:
                its = found.instance
                by_interface.add(its.application)
                known.add((*_key(found), its.address))
                both = (its.application, _port(its.address)) in places
                yield Said(path), one.session, found, ("interface", "instance") if both else ("interface",)
        for path, each in nodes.items():
            at = self._asked(each, own) if each.application not in by_interface else None
            info = self._instances.offered(path, each, at)
            for service in (one for some in info.services.values() for one in some) if info is not None else ():
                try:
                    found = offered(each, service)
                except Refused as refused:
                    self._endpoint.refused[refused.reason] += 1
                    continue
                key = (*_key(found), found.instance.address)
                if key not in known:
                    known.add(key)
                    yield Said(path, _key(found)), wanted[path].session, found, ("instance",)

    def _read(self) -> dict[str, Node]:
        """The instances that the application registered."""
        before, self._nodes = self._nodes, {}
        for path, one in self._endpoint.wanted.items():
            if one.provider is None:
                last = before.get(path)
                same = last is not None and last[0] == one.data
                self._nodes[path] = last if last is not None and same else (one.data, self._node(one.data))
        nodes = {path: found for path, (_, found) in self._nodes.items() if found is not None}
        self._instances.follow(nodes)
        return nodes

    def _node(self, data: bytes) -> Node | None:
        try:
            return node(data)
        except Refused as refused:
            self._endpoint.refused[refused.reason] += 1
            log.warning("endpoint: an instance that the application registered cannot be read: %s", refused)
            return None

    def _asked(self, one: Node, own: Collection[str]) -> tuple[str, str, int] | None:
        """Where it tells what it offers: by the listener's way to it, if there is one."""
        protocol, port = one.asked
        if not port or not protocol:
            return None
        door = self._doors.get(port)
        if door is not None:
            return protocol, _bare(door[1].removeprefix("tcp://")), port
        return (protocol, one.host, port) if one.host in own or _is_loopback(one.host) else None

    def _left(self, session: int) -> None:
        """Its connection has ended. Where its ports are closed as well the application is gone, and whoever comes there
        next is another one."""
        found = {_port(one.provider.instance.address) for one in self._endpoint.wanted.values()
                 if one.session == session and one.provider}  # fmt: skip
        for path, (_, each) in self._nodes.items():
            if each is not None and path in self._endpoint.wanted and self._endpoint.wanted[path].session == session:
                found |= {each.port, *each.endpoints.values()}
        doors = {self._doors[port][1] for port in found if port in self._doors}
        if doors:
            task = asyncio.get_running_loop().create_task(self._bury(session, doors))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

    async def _bury(self, session: int, doors: Collection[str]) -> None:
        if all([await _closed(one) for one in doors]):
            self._endpoint.end(session)

    def _registration(self, said: Provider, bound: str, behind: str, levels: tuple[str, ...]) -> Registration:
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
            {**own, **told, "application": application}, levels, behind,
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


def _key(one: Provider) -> tuple[str, str, str, str]:
    return one.service, one.group, one.version, one.instance.protocol


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
