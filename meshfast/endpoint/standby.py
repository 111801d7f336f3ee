"""Real instances that are shown beside the sidecar, with weight 0: Dubbo for Java calls none of them while it reaches
the sidecar, goes on with them when the sidecar dies, and comes back.

They are shown for a service whose consumers all announced that they keep to that.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from meshfast.endpoint.lists import said
from meshfast.registry import Instance, Listing, Offer
from meshfast.registry.url import URL

__all__ = ["CONSUMED", "EVERY", "Labelled", "Standbys", "unfit"]

log = logging.getLogger("meshfast")

#: Seconds from one choice to the next.
EVERY = 30.0
#: Seconds that an answer about who can be called is used again.
RECENT = 1.0
#: What the sidecar's own URL says so that Dubbo 3 notices its end, and its return, within seconds.
CONSUMED = {"heartbeat": "1000", "dubbo.application.least-reconnect-duration": "1000"}
#: A label of Dubbo's own: who carries it is for calls that do.
TAG = "dubbo.tag"

#: What weight 0 holds for, or has no part in: by parameter; unset, or said to be empty, is one of them.
_KEPT = {
    "loadbalance": frozenset(("", "random", "roundrobin")),
    "cluster": frozenset(("", "failover", "failfast", "failsafe", "failback")),
    "sticky": frozenset(("", "false")),
}
_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})(\D|$)", re.ASCII)
#: Of an instance's URL: what makes a weight, and a tag, as a call with that tag would go past the sidecar.
_UNSHOWN = frozenset(
    (TAG, "timestamp", "remote.timestamp", "warmup", "enabled", "disabled", "category", "group", "version")
)


@dataclass(frozen=True, slots=True)
class Labelled(Instance):
    """An instance whose labels are not its URL's parameters."""

    labels: Mapping[str, str] = field(default_factory=dict)


class _Choice(NamedTuple):
    addresses: tuple[str, ...]
    when: float


_Key = tuple[str, str, str, str]


class Standbys:
    """Up to ``most`` for each group, version and protocol. ``pod``: which sidecar this is, so that a fleet's standbys
    spread; ``unavailable``: the addresses that cannot be called now. ``again`` gives, from time to time, the services
    whose choice is due."""

    def __init__(
        self, most: int, pod: str, *, unavailable: Callable[[], Collection[str]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._most, self._pod, self._unavailable, self._clock = most, pod, unavailable, clock
        self._labels: Mapping[str, str] = {TAG: ""}
        self._consumers: dict[str, dict[str, str]] = {}  # by service and path, why not
        self._fit: set[str] = set()
        self._chosen: dict[_Key, _Choice] = {}
        self._due: dict[str, float] = {}
        self._away: tuple[float, Collection[str]] = (float("-inf"), ())
        self.unfit: dict[str, str] = {}  # services that have none, and why

    @property
    def count(self) -> int:
        return sum(len(one.addresses) for one in self._chosen.values())

    @property
    def shown(self) -> dict[str, list[str]]:
        """Addresses, by service."""
        out: dict[str, list[str]] = {}
        for (service, *_), one in sorted(self._chosen.items()):
            out.setdefault(service, []).extend(one.addresses)
        return {service: found for service, found in out.items() if found}

    def label(self, labels: Mapping[str, str]) -> bool:
        """The traffic labels that there are, with this workload's values; whether they are others than before."""
        found = {TAG: "", **labels}
        before, self._labels = self._labels, found
        return before != found

    # --- who consumes

    def announced(self, service: str, path: str, consumer: URL | None) -> bool:
        """Somebody looks for a service; None: what it says cannot be read. Whether there is another choice now."""
        self._consumers.setdefault(service, {})[path] = unfit(consumer)
        return self._judge(service)

    def gone(self, service: str, path: str) -> bool:
        of = self._consumers.get(service, {})
        of.pop(path, None)
        if not of:  # nobody reads, and who comes next is mostly the one who went
            self._consumers.pop(service, None)
            return False
        return self._judge(service)

    def forget(self, service: str) -> None:
        """Nobody looks at it any more."""
        if service not in self._consumers:
            self._fit.discard(service)
            self.unfit.pop(service, None)
        self._drop(service)

    def _judge(self, service: str) -> bool:
        why = next(filter(None, self._consumers[service].values()), "")
        was = service in self._fit
        if not why:
            self._fit.add(service)
            self.unfit.pop(service, None)
            return not was
        self._refuse(service, why)
        self._fit.discard(service)
        self._drop(service)
        return was

    def _refuse(self, service: str, why: str) -> None:
        if service not in self.unfit:
            log.warning("endpoint: no standbys of %s: %s", service, why)
        self.unfit[service] = why

    def _drop(self, service: str) -> None:
        self._due.pop(service, None)
        for key in [key for key in self._chosen if key[0] == service]:
            del self._chosen[key]

    # --- what they find

    def fits(self, service: str) -> bool:
        """Whether they may be shown."""
        return service in self._fit

    def again(self) -> list[str]:
        now = self._clock()
        found = [service for service, due in self._due.items() if due <= now]
        for service in found:
            del self._due[service]
        return found

    def nodes(self, service: str, listing: Listing, own: Iterable[URL]) -> list[str]:
        """The names of their nodes, beside those that are the sidecar's ``own``."""
        names: list[str] = []
        kept: set[_Key] = set()
        urls = {_key(service, one.parameters, one.protocol): one for one in own} if service in self._fit else {}
        strays = next(filter(None, (_strays(one.parameters) for one in urls.values())), "")
        if strays:
            urls = {}
            self._refuse(service, f"its providers say {strays}")
        elif service in self._fit:
            self.unfit.pop(service, None)
        self._due.pop(service, None)
        for offer in listing:
            for protocol in dict.fromkeys(one.protocol for one in offer.instances):
                key = service, offer.group, offer.version, protocol
                if key in urls and key not in kept:
                    kept.add(key)
                    names += [_node(service, offer, one) for one in self._choose(key, self._able(offer, protocol))]
        for key in [key for key in self._chosen if key[0] == service and key not in kept]:
            del self._chosen[key]
        return names

    def _able(self, offer: Offer, protocol: str) -> list[Instance]:
        """Those of the same protocol that calls of this workload could be for: of each label what has its value, else
        what has none."""
        found = [
            one
            for one in offer.instances
            if one.protocol == protocol and ":/" not in one.address and not _strays(one.parameters)
        ]
        for name, value in self._labels.items():
            alike = [one for one in found if value and _labels(one).get(name) == value]
            found = alike or [one for one in found if not _labels(one).get(name)]
        return found

    def _choose(self, key: _Key, able: list[Instance]) -> list[Instance]:
        by = {one.address: one for one in able}
        before = self._chosen.get(key)
        stay = [one for one in before.addresses if one in by] if before else []
        when = before.when if before else float("-inf")
        if len(stay) < min(self._most, len(by)):
            now = self._clock()
            if now - when >= EVERY:
                away = self._cannot_be_called(now)
                rest = sorted(by.keys() - set(stay), key=lambda one: self._rank(by[one], away))
                stay += rest[: self._most - len(stay)]
                when = now
            else:
                self._due[key[0]] = min(when + EVERY, self._due.get(key[0], float("inf")))
        self._chosen[key] = _Choice(tuple(stay), when)
        return [by[one] for one in stay]

    def _rank(self, one: Instance, away: Collection[str]) -> tuple[bool, bytes]:
        last = one.address in away or one.parameters.get("weight") == "0"
        return last, hashlib.blake2b(f"{self._pod} {one.address}".encode(), digest_size=8).digest()

    def _cannot_be_called(self, now: float) -> Collection[str]:
        if now - self._away[0] >= RECENT:
            self._away = now, self._unavailable()
        return self._away[1]


def unfit(consumer: URL | None) -> str:
    """Why a consumer may call instances that have weight 0; "": it does not while there is another."""
    if consumer is None:
        return "a consumer cannot be read"
    release = consumer.parameters.get("release", "")
    found = _RELEASE.match(release)
    if found is None or (int(found[1]), int(found[2])) < (2, 7):
        return f"a consumer is not Dubbo for Java 2.7 or later, but {release or 'of no release'!r}"
    why = _strays(consumer.parameters)
    return f"a consumer says {why}" if why else ""


def _strays(parameters: Mapping[str, str]) -> str:
    """The parameter, of all methods or of one, by which weight 0 may be called."""
    for name, value in parameters.items():
        if value.lower() not in _KEPT.get(name.rpartition(".")[2], (value.lower(),)):
            return f"{name}={value}"
    return ""


def _key(service: str, of: Mapping[str, str], protocol: str) -> _Key:
    return service, of.get("group", ""), of.get("version", ""), protocol


def _labels(one: Instance) -> Mapping[str, str]:
    return one.labels if isinstance(one, Labelled) else one.parameters


def _node(service: str, offer: Offer, one: Instance) -> str:
    own = {
        name: value
        for name, value in one.parameters.items()
        if name not in _UNSHOWN and not name.endswith(".weight") and "&" not in value
    }
    found = {**own, **said(offer), "weight": "0", "lazy": "true"}
    host, _, port = one.address.rpartition(":")
    return URL(one.protocol, "", "", host, int(port), own.get("path", service), found).encoded()
