"""What one registry lists, and what is kept for a while of what it lists no longer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from meshfast.config.listed import place
from meshfast.model import RegistrySpec
from meshfast.registry import EVERY, Instance, Listing, Offer, Registry, State

__all__ = ["Feed", "Peer"]

KEPT = 600.0  # seconds that an instance is kept which is listed no longer
DEAD = 60.0  # seconds of failing connects after which it is not
WINDOW = 60.0  # seconds after a reconnect in which a great loss is doubted
STEPS = 10.0  # seconds within which all have gone at once, though each was seen to go by itself

Key = tuple[str, str, str, str]  # group, version, protocol and address
Peer = tuple[int, int]  # connections made, and times that it could not be reached


@dataclass(slots=True)
class Kept:
    """An instance that is listed no longer. ``failing``: since when, with how many connections and failures."""

    instance: Instance
    since: float
    failing: float | None = None
    seen: Peer | None = None


class Feed:
    """One registry's listings. ``clock`` is that of ``State.since``."""

    def __init__(self, spec: RegistrySpec, clock: Callable[[], float]) -> None:
        self.spec, self._clock = spec, clock
        self.registry: Registry | None = None
        self.told: dict[str, Listing] = {}
        self.answered: set[str] = set()  # of those told, since the start of this one
        self.kept: dict[str, dict[Key, Kept]] = {}
        self.changes = 0
        self.wanted: frozenset[str] = frozenset()
        self._window: tuple[int, float] = (0, 0.0)
        self._bases: dict[str, dict[Key, Instance]] = {}
        self._gone: dict[str, dict[Key, Kept]] = {}  # lately, one by one; not kept unless the others follow

    @property
    def state(self) -> State:
        return self.registry.state if self.registry is not None else State()

    @property
    def stale(self) -> bool:
        """Whether what it lists is what it listed once."""
        return bool(self.told) and (not self.state.connected or not self.told.keys() <= self.answered)

    def want(self, services: frozenset[str]) -> list[str]:
        """Asks for these and no others: those that are given up."""
        wanted = services.union(self.spec.services) if self.spec.subscribe else frozenset[str]()
        if EVERY in wanted:  # and what was listed once, of which it is to say that it is gone
            wanted |= self.told.keys() - self.answered
        if wanted != self.wanted:
            self.wanted = wanted
            if self.registry is not None:
                self.registry.want(wanted)
        gone = [] if EVERY in wanted else [service for service in self.told if service not in wanted]
        for service in gone:
            del self.told[service]
            self.answered.discard(service)
            self.kept.pop(service, None)
            self._gone.pop(service, None)
            self._bases.pop(service, None)
        return gone

    @property
    def waiting(self) -> bool:
        """Whether it has not answered yet for all that is wanted of it."""
        return not (self.wanted - {EVERY} <= self.answered) or (EVERY in self.wanted and not self.answered)

    def wants(self, service: str) -> bool:
        return EVERY in self.wanted or service in self.wanted

    def take(self, service: str, listing: Listing) -> bool:
        """What it lists now of a service; whether anything is new."""
        self.answered.add(service)
        before, old = self.told.get(service, ()), dict(self._served(service))
        self.told[service] = listing
        if before == listing:
            return False
        self.changes += 1
        self._keep(service, old, dict(_keyed(listing)))
        return True

    def served(self, service: str) -> Listing:
        """What is listed, and what is kept."""
        listing, kept = self.told.get(service, ()), self.kept.get(service)
        if not kept:
            return listing
        more: dict[tuple[str, str], list[Instance]] = {}
        for (group, version, *_), one in kept.items():
            more.setdefault((group, version), []).append(one.instance)
        out = [replace(o, instances=(*o.instances, *more.pop((o.group, o.version), ()))) for o in listing]
        out += [Offer(service, group, version, tuple(found)) for (group, version), found in more.items()]
        return tuple(out)

    def forget(self, peers: Mapping[str, Peer]) -> list[str]:
        """Gives up what was kept for long, or cannot be reached; the services that this changes."""
        now, out = self._clock(), []
        self._gone = {service: gone for service in self._gone if (gone := self._lately(service, now))}
        for service, kept in list(self.kept.items()):
            over = [key for key, one in kept.items() if _over(one, _peer(peers, key[3]), now)]
            for key in over:
                del kept[key]
            if over:
                out.append(service)
            if not kept:
                del self.kept[service]
        return out

    @property
    def retained(self) -> int:
        return sum(map(len, self.kept.values()))

    @property
    def instances(self) -> int:
        return sum(len(offer.instances) for listing in self.told.values() for offer in listing)

    def _served(self, service: str) -> Iterator[tuple[Key, Instance]]:
        yield from _keyed(self.told.get(service, ()))
        for key, one in self.kept.get(service, {}).items():
            yield key, one.instance

    def _keep(self, service: str, old: dict[Key, Instance], new: Mapping[Key, Instance]) -> None:
        """Decides which of those that are missing are kept."""
        now, before = self._clock(), self.kept.pop(service, {})
        kept = {key: one for key, one in before.items() if key not in new}
        if not self.spec.protects:
            return
        gone = {key: one for key, one in self._lately(service, now).items() if key not in new}
        doubted = {} if new else {**{key: one.instance for key, one in gone.items()}, **old}
        state, began = self.state, (self.state.sessions, self.state.since)
        if began != self._window:
            self._window, self._bases = began, {}
        if not state.connected or now - state.since >= WINDOW:
            self._bases = {}
        else:
            base = self._bases.setdefault(service, old)
            if 2 * sum(key not in new for key in base) > len(base):
                doubted = {**base, **doubted}
        for key, instance in doubted.items():
            if key not in new and key not in kept:
                kept[key] = Kept(instance, now)
        if kept:
            self.kept[service] = kept
        gone |= {key: Kept(instance, now) for key, instance in old.items() if key not in new}
        self._gone[service] = {key: one for key, one in gone.items() if key not in kept}

    def _lately(self, service: str, now: float) -> dict[Key, Kept]:
        return {key: one for key, one in self._gone.get(service, {}).items() if now - one.since < STEPS}


def _keyed(listing: Iterable[Offer]) -> Iterator[tuple[Key, Instance]]:
    for offer in listing:
        for one in offer.instances:
            yield (offer.group, offer.version, one.protocol, one.address), one


def _peer(peers: Mapping[str, Peer], address: str) -> Peer | None:
    found = place(address)
    return peers.get(found[0]) if found is not None else None


def _over(kept: Kept, peer: Peer | None, now: float) -> bool:
    """Whether it is given up: after its time, or where connects have failed all the while and do so now."""
    if now - kept.since >= KEPT:
        return True
    before, kept.seen = kept.seen, peer
    if peer is None or before is None:
        return False
    if peer[0] > before[0]:
        kept.failing = None
    elif peer[1] > before[1]:
        kept.failing = now if kept.failing is None else kept.failing
        return now - kept.failing >= DEAD
    return False
