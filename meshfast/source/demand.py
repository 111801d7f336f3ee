"""Which services registries are asked for: those that rules name, and those that somebody is interested in."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice

__all__ = ["LINGER", "MOST", "Demand"]

LINGER = 600.0  # seconds that a service is still followed after the last who was interested
MOST = 30_000  # services that are still followed so; over it those go first that nobody is interested in for longest


class Demand:
    """Interests, counted. ``changed`` hears when others are wanted than before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._clock = clock
        self._interests: Counter[str] = Counter()
        self._rules: frozenset[str] = frozenset()
        self._leaving: dict[str, float] = {}  # until when

    @property
    def wanted(self) -> frozenset[str]:
        return frozenset((*self._interests, *self._leaving))

    @property
    def due(self) -> float | None:
        """When the next one is given up, by the clock."""
        return min(self._leaving.values(), default=None)

    def take(self, service: str) -> Callable[[], None]:
        """Follows a service until what is returned is called, and for ten minutes more."""
        self._add([service])
        held = [service]

        def release() -> None:
            self._drop(held)
            held.clear()

        return release

    def rules(self, services: frozenset[str]) -> None:
        """Those that rules name now, in the place of those before."""
        before, self._rules = self._rules, services
        self._add(services - before)
        self._drop(before - services)

    def linger(self, services: Iterable[str]) -> None:
        """Follows services for ten minutes, as if somebody had just lost interest."""
        until = self._clock() + LINGER
        self._leaving.update((service, until) for service in services if service not in self._interests)
        self._make_room()

    def expire(self) -> None:
        """Gives up those whose time is over."""
        now = self._clock()
        over = [service for service, until in self._leaving.items() if until <= now]
        for service in over:
            del self._leaving[service]
        if over:
            self.changed()

    def _add(self, services: Iterable[str]) -> None:
        new = False
        for service in services:
            known = self._leaving.pop(service, None) is not None or self._interests[service]
            self._interests[service] += 1
            new = new or not known
        if new:
            self.changed()

    def _drop(self, services: Iterable[str]) -> None:
        for service in services:
            self._interests[service] -= 1
            if not self._interests[service]:
                del self._interests[service]
                self._leaving[service] = self._clock() + LINGER
        self._make_room()

    def _make_room(self) -> None:
        """Whoever asks for other names all the time takes no place from what others ask for."""
        over = len(self._leaving) - MOST
        if over > 0:
            for service in list(islice(self._leaving, over)):
                del self._leaving[service]
            self.changed()
