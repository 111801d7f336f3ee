"""What the application registers with its sidecar -> what is registered for it, behind the listener that forwards
there."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import partial
from typing import NamedTuple, Protocol

import psutil

from meshfast import model
from meshfast.address import dial
from meshfast.config.registration import labels, reached
from meshfast.endpoint.dubbo import Wanted
from meshfast.registration import KEPT, Registrations
from meshfast.registry import Registration
from meshfast.registry.registered import BEHIND, MARK, readable
from meshfast.registry.url import Provider

__all__ = ["Heard", "Said", "Source", "inbound"]

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


class Source(Protocol):
    """Where applications say what they offer."""

    wanted: dict[str, Wanted]
    hears: Callable[[], None]  # is set: that something else is wanted
    leaves: Callable[[int], None]  # is set: of a session whose connection has ended

    @property
    def refused(self) -> Counter[str]: ...

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
        self, sources: Sequence[Source], registrations: Registrations, side: model.Sidecar,
        addresses: Mapping[str, str], *, own: Callable[[], Collection[str]] = machine,
    ) -> None:  # fmt: skip
        self._sources, self._registrations, self._side, self._own = sources, registrations, side, own
        self._doors = inbound(side, addresses)
        self._wanted: dict[Hashable, Registration] = {}
        self._why: dict[str, str] = {}  # by path
        self.unplaced: dict[str, str] = {}
        self.unreadable: dict[str, str] = {}  # services, by their nodes
        self._coming = self._warned = False
        self._looking: set[asyncio.Task[None]] = set()
        for each in sources:
            each.hears, each.leaves = self._soon, partial(self._left, each)
        self.follow()

    def judged(self, path: str) -> Registration | str:
        """As what a path is registered, as of now; or why it is not."""
        self.follow()
        return self._wanted.get(Said(path)) or self._why.get(path, "nothing is known of it")

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
        said = {path: one for source in self._sources for path, one in source.wanted.items()}
        own = {*self._own(), self._side.advertise.address} if said else set()
        self._why = {}
        for path, one in said.items():
            if one.provider is None:
                continue
            made = self._placed(one, own)
            if isinstance(made, str):
                unplaced[one.provider.instance.address] = self._why[path] = made
            elif readable(made):
                wanted[Said(path)] = made
            else:
                unreadable[path] = made.service
                self._why[path] = "it has signs of a URL in its name"
        for path in unreadable.keys() - self.unreadable.keys():
            self._of(path).refused["service"] += 1
            log.warning("endpoint: %s cannot be registered: it has signs of a URL in its name", unreadable[path])
        for address in unplaced.keys() - self.unplaced.keys():
            log.warning("endpoint: what the application offers at %s is not registered: %s", address, unplaced[address])
        self.unplaced, self.unreadable, self._wanted = unplaced, unreadable, wanted
        self._registrations.only(wanted, Said)

    def _placed(self, one: Wanted, own: Collection[str]) -> Registration | str:
        """Behind the listener that forwards to it; else why not."""
        assert one.provider
        address = one.provider.instance.address
        door = self._doors.get(_port(address))
        if door is None:
            return "no inbound listener forwards to that port"
        if not ours(address, *door, own):
            return "that is no address of this machine, nor advertise.address"
        if not one.session:
            return "dynamic=false: it would stay when the application has gone"
        if one.here and not self._side.advertise.address and not reached(door[0]):
            return f"{door[0]} is not where others reach this machine"
        return self._registration(one.provider, *door)

    def _of(self, path: str) -> Source:
        return next(source for source in self._sources if path in source.wanted)

    def _left(self, source: Source, session: int) -> None:
        """Its connection has ended. Where its ports are closed as well the application is gone, and whoever comes there
        next is another one."""
        found = [one.provider for one in source.wanted.values() if one.session == session and one.provider]
        doors = {self._doors[port][1] for one in found if (port := _port(one.instance.address)) in self._doors}
        if doors:
            task = asyncio.get_running_loop().create_task(self._bury(source, session, doors))
            self._looking.add(task)
            task.add_done_callback(self._looking.discard)

    async def _bury(self, source: Source, session: int, doors: Collection[str]) -> None:
        if all([await _closed(one) for one in doors]):
            source.end(session)

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
