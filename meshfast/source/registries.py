"""What all registries list together, and how they are: what is merged into a mesh, and what is shown."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

from meshfast.config.listed import Listed, legal, place
from meshfast.config.value import reaches
from meshfast.model import Listener, RegistrySpec
from meshfast.registry import Instance, Listing, Offer, Writer
from meshfast.registry.registered import BEHIND, MARK
from meshfast.source.demand import Demand
from meshfast.source.feed import Feed, Peer
from meshfast.statedir import StateDir

__all__ = ["Registries", "Snapshot"]

UNVERSIONED = "0.0.0"

Key = tuple[str, str]  # group and version
Snapshot = dict[str, dict[str, Listing]]


class Registries:
    """``peers``: of instances that calls went to, connections made and failed. ``waiting``: the start awaits answers.
    ``held`` and ``left_out``: what is listed and not in force, and why; ``last_good``: when it was written what is
    served until a registry has answered, 0: nothing was read."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.demand = Demand(clock)
        self.feeds: dict[RegistrySpec, Feed] = {}  # in the order in which they count
        self.offers: dict[str, tuple[Listed, ...]] = {}
        self.own: dict[str, list[str]] = {}  # addresses of the sidecar's listeners that route calls, by port
        self.peers: Callable[[], Mapping[str, Peer]] = dict
        self.handed_over: Callable[[], Awaitable[None]] = _at_once  # waits until others have what was registered in it
        self.changed: Callable[[str], None] = lambda service: None  # hears of services that are listed anew
        self.refused: Counter[tuple[str, str]] = Counter()  # by registry and reason
        self.held: dict[str, str] = {}
        self.left_out: dict[Listed, str] = {}
        self.last_good = 0.0
        self.written = 0  # times that the last good was
        self.directory: StateDir | None = None  # the sidecar's own, while it has one
        self.dirty: set[str] = set()
        self._fresh: list[Listed] = []

    def __iter__(self) -> Iterator[Feed]:
        return iter(self.feeds.values())

    @property
    def writers(self) -> dict[str, Writer]:
        """Those that the application is registered in, by name."""
        out = {}
        for feed in self:
            registry: object = feed.registry  # which can more than what is asked of it here
            if feed.spec.register and isinstance(registry, Writer):
                out[feed.spec.name] = registry
        return out

    def known(self, service: str) -> Listing | None:
        """What is listed of a service now; None: nobody has answered yet."""
        asked = [feed for feed in self if feed.wants(service)]
        if service not in self.offers and not any(service in feed.answered for feed in asked):
            return None
        return tuple(_offer(one) for one in self.offers.get(service, ()))

    @property
    def stale(self) -> bool:
        """Whether some of what is served is only what a registry listed once."""
        return any(feed.stale for feed in self)

    def look_out(self, listeners: Iterable[Listener]) -> None:
        """Leaves out instances that are these: calls to one would come back to be routed there, for ever."""
        self.own = {}
        for one in listeners:
            if one.direction == "outbound" and one.protocol != "tcp" and not one.bind.startswith("unix://"):
                bind = one.bind.removeprefix("tcp://")
                self.own.setdefault(bind.rpartition(":")[2], []).append(bind)

    def merge(self) -> bool:
        """Takes in what is new; whether there is other than before."""
        dirty, self.dirty = self.dirty, set()
        new = False
        for service in dirty:
            before = self.offers.get(service, ())
            known = {(one.offer.group, one.offer.version): one for one in before}
            found = tuple(self._listed(known, *one) for one in self._merged(service))
            if len(found) == len(before) and all(a is b for a, b in zip(found, before, strict=True)):
                continue
            new = True
            if found:
                self.offers[service] = found
            else:
                del self.offers[service]
        if new:
            self.offers = dict(self.offers)  # the one before may be in use by a thread
        return new

    def count(self) -> None:
        """Counts what was refused of what was made since it was counted last."""
        for one in self._fresh:
            for reason, n in one.refused.items():
                self.refused[one.origin.file.removeprefix("registry "), reason] += n
        self._fresh = []

    def _listed(self, known: Mapping[Key, Listed], names: list[str], offer: Offer) -> Listed:
        before = known.get((offer.group, offer.version))
        said = f"registry {' and '.join(names)}"
        if before is not None and before.offer == offer and before.origin.file == said:
            return before
        made = Listed(offer, said)
        self._fresh.append(made)
        return made

    def _merged(self, service: str) -> Iterable[tuple[list[str], Offer]]:
        """By group and version who lists it, and all that is listed; of an address the first registry's word."""
        found: dict[Key, tuple[dict[str, None], dict[tuple[str, str], Instance]]] = {}
        for feed in self:
            for offer in feed.served(service):
                key = offer.group, "" if offer.version == UNVERSIONED else offer.version
                if not legal(service, *key):
                    self.refused[feed.spec.name, "name"] += 1
                    continue
                names, instances = found.setdefault(key, ({}, {}))
                names[feed.spec.name] = None
                for one in offer.instances:
                    if self._is_own(one.address):
                        self.refused[feed.spec.name, "own_listener"] += 1
                        continue
                    instances.setdefault((one.protocol, one.address), one)
        for (group, version), (names, instances) in sorted(found.items()):
            yield list(names), Offer(service, group, version, _once(instances.values()))

    def _is_own(self, address: str) -> bool:
        binds = self.own.get(address.rpartition(":")[2])
        found = place(address) if binds else None
        if not binds or found is None:
            return False
        host, _, port = found[0].rpartition(":")
        if found[1] and host != "localhost":
            return False  # what a name is, is not known here
        at = found[0] if not found[1] else f"127.0.0.1:{port}"
        return any(reaches(at, bind) for bind in binds)

    # --- the last good

    def snapshot(self) -> Snapshot:
        """What is served, by registry and service, to be read again."""
        return {feed.spec.name: {one: feed.served(one) for one in feed.told} for feed in self if feed.told}

    def take_last(self, found: Snapshot) -> int:
        """Serves what was written, until registries answer: how many services. Those that nobody asks for yet are
        followed for a while, as somebody may again."""
        services: set[str] = set()
        for feed in self:
            for service, listing in found.get(feed.spec.name, {}).items():
                if service not in feed.answered and listing:
                    feed.told[service] = listing
                    services.add(service)
        self.demand.linger(service for service in services if not all(feed.wants(service) for feed in self))
        self.dirty |= services
        return len(services)


async def _at_once() -> None:
    """Nothing is registered."""


def _once(instances: Iterable[Instance]) -> tuple[Instance, ...]:
    """Without what an application registered besides its sidecar."""
    every = tuple(instances)
    behind = {_behind(one) for one in every if one.parameters.get(MARK) == "1"}
    if not behind:
        return every
    return tuple(one for one in every if one.parameters.get(MARK) == "1" or _who(one) not in behind)


def _behind(one: Instance) -> tuple[str, str]:
    """Where the application is that a sidecar registered; another process of it may have no sidecar."""
    return one.address.rpartition(":")[0], one.parameters.get(BEHIND, "")


def _who(one: Instance) -> tuple[str, str]:
    host, _, port = one.address.rpartition(":")
    return host, port


def _offer(one: Listed) -> Offer:
    assert isinstance(one.offer, Offer)
    return one.offer
