"""What becomes of a VirtualService: its rules as far as they depend on it alone, and what all of them rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshfast import model
from meshfast.config.cluster import Clusters
from meshfast.config.delegate import Delegates, Key
from meshfast.config.read import Resource
from meshfast.config.resource import Destination, HttpRoute, StringMatch
from meshfast.model import Condition, Family, Field, Op, Pattern


@dataclass(slots=True)
class Prepared:
    """What of a rule does not depend on the service that it is for."""

    route: HttpRoute
    matches: tuple[model.Match, ...]
    weights: tuple[int, ...]
    strips: tuple[int, ...] = ()  # as long as matches: how much of the path each of them has seen


@dataclass(slots=True)
class Compiled:
    """What became of a VirtualService, and all that it rests on."""

    hosts: tuple[str, ...]
    explicit: bool
    labels: set[str]
    workload: Mapping[str, str]
    serves: bool = False  # whether it has any rule that this workload may take
    delegates: dict[Key, Resource | None] = field(default_factory=dict)
    more: dict[str, tuple[int, ...]] = field(default_factory=dict)  # cluster -> its further ports of HTTP
    ports: dict[str | None, Mapping[Family, int] | None] = field(default_factory=dict)  # by the cluster that is called
    apart: dict[tuple[str, int], str | None] = field(default_factory=dict)  # cluster, its port -> the cluster of that
    found: dict[tuple[str, str | None, str], str | None] = field(default_factory=dict)  # host, for which, where written
    declared: set[tuple[str, str]] = field(default_factory=set)  # the subsets that there are: (cluster, name)
    used: set[str] = field(default_factory=set)  # the labels that its rules ask for
    near: set[str] = field(default_factory=set)  # the clusters of which it asks for instances of the own region
    rules: dict[str | None, tuple[model.Rule, ...]] = field(default_factory=dict)  # by the cluster that it is for
    services: dict[tuple[str, Pattern, int, str | None], model.Service] = field(default_factory=dict)

    def holds(
        self, clusters: Clusters, labels: set[str], workload: Mapping[str, str], delegates: Delegates
    ) -> bool:  # fmt: skip
        """Whether it would come out the same."""
        return (
            self.labels == labels
            and self.workload == workload
            and all(clusters.find(*host) == cluster for host, cluster in self.found.items())
            and all(name in clusters.subsets.get(cluster, ()) for cluster, name in self.declared)
            and (not self.delegates or all([delegates.find(key) is one for key, one in self.delegates.items()]))
            and (not (self.more or self.ports or self.apart) or self._ports_hold(clusters))
        )

    def _ports_hold(self, clusters: Clusters) -> bool:
        return (
            all(clusters.more(name) == more for name, more in self.more.items())
            and all(cluster is None or ports_of(clusters, cluster) == ports for cluster, ports in self.ports.items())
            and all(clusters.at_port(*wanted) == cluster for wanted, cluster in self.apart.items())
        )


def is_named(destination: Destination | None) -> bool:
    """Whether it names a host, and not the called service's own."""
    return destination is not None and destination.host not in ("", "*", "*/*")


def ports_of(clusters: Clusters, cluster: str | None) -> Mapping[Family, int] | None:
    return clusters.called(cluster) if cluster in clusters.by_name else None


def serves(prepared: Prepared) -> bool:
    """Whether this workload may take it, for some call."""
    asked = [[c for c in m.conditions if c.field is Field.NEVER and c.key != model.PORT] for m in prepared.matches]
    return not prepared.matches or not all(asked)


def takes_all(prepared: Prepared) -> bool:
    return not prepared.route.match or any(
        all(c.field is Field.PATH and c.op is Op.PREFIX and c.value == "/" for c in match.conditions)
        for match in prepared.matches
    )


def strips_of(route: HttpRoute, made: tuple[list[tuple[Condition, ...]], ...]) -> tuple[int, ...]:
    if route.rewrite is None:
        return ()
    good = [m for m in route.match if not m.at.bad]
    return tuple(_strip(one.uri) for one, found in zip(good, made, strict=False) for _ in found)


def _strip(uri: StringMatch | None) -> int:
    """How many bytes of the path it has seen the beginning by; -1: all of it."""
    if uri is None or (uri.prefix is None and uri.exact is None and uri.regex is None):
        return 1
    return -1 if uri.prefix is None else max(1, len(uri.prefix.encode()))


def matches_of(
    route: HttpRoute, made: tuple[list[tuple[Condition, ...]], ...], workload: Mapping[str, str]
) -> tuple[model.Match, ...]:
    good = [m for m in route.match if not m.at.bad]
    out: list[model.Match] = []
    for one, found in zip(good, made, strict=False):
        for conditions in found:
            kept = tuple(c for c in conditions if c.field is not Field.NEVER or workload.get(c.key) != c.value)
            out.append(model.Match(kept, one.name, one.at.origin()))
    return tuple(out)
