"""A mesh into native tables: the only writer of them.

All or nothing: everything is built aside first, then published service by service; a call meets either the old rules of
its service or the new ones. What did not change is not published again, so a change costs what it changes.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import compress, count
from operator import is_not
from typing import TypeVar

from meshfast import _core
from meshfast.model import Cluster, Mesh, Pattern, Rule, Service

__all__ = ["Applied", "Writer"]

T = TypeVar("T")
Key = tuple[str, Pattern]
Built = tuple[Hashable, _core.Cluster]  # its picture, and what was made of it


@dataclass(frozen=True, slots=True)
class Applied:
    """What a mesh changed: counts of services."""

    published: int
    removed: int
    unchanged: int


@dataclass
class Writer:
    """Remembers what is in a table, to find out what a new mesh changes. Used by one thread.

    A mesh that shares what did not change with the one before costs what did: everything between the first and the last
    service (and cluster) that is another object is compared, and whatever uses a cluster that was built anew.
    """

    table: _core.Table
    _listed: tuple[tuple[Cluster, ...], tuple[Service, ...]] = ((), ())  # by the last mesh
    _clusters: dict[str, Built] = field(default_factory=dict)
    _services: dict[Key, tuple[Service, Hashable]] = field(default_factory=dict)
    _users: dict[str, set[Key]] = field(default_factory=dict)
    _labels: Hashable = None

    def apply(self, mesh: Mesh) -> Applied:
        """Puts ``mesh`` in force.

        :raises MeshfastError: something in it cannot be built; the table is as it was
        :raises MemoryError: the same for want of memory
        """
        listed = tuple(mesh.clusters.values()), mesh.services
        was, now = _between(self._listed[0], listed[0])
        clusters = {cluster.name: self._cluster(cluster) for cluster in now}
        lost = {cluster.name for cluster in was} - clusters.keys()
        services, gone = self._touched(mesh)
        for name in [*lost, *(name for name, built in clusters.items() if built is not self._clusters.get(name))]:
            for key in self._users.get(name, ()):
                if key not in gone:
                    services.setdefault(key, self._services[key][0])

        known = {**dict.fromkeys(lost), **clusters}
        names = {name for service in services.values() for name in _cluster_names(service)}
        used = {name: built for name in names if (built := known.get(name, self._clusters.get(name)))}
        changed: dict[Key, _core.Prepared] = {}
        pictures: dict[Key, tuple[Service, Hashable]] = {}
        for key, service in services.items():
            pictures[key] = (service, _service_picture(service, used))
            if key not in self._services or self._services[key][1] != pictures[key][1]:
                changed[key] = self._prepare(service, used)

        labels = _labels_picture(mesh)
        if labels != self._labels:
            self.table.publish_labels(*labels)
        for prepared in changed.values():
            self.table.publish(prepared)
        for name, pattern in gone:
            self.table.remove(name, pattern)
        self._remember(pictures, gone)
        for name in lost:
            del self._clusters[name]
        self._clusters.update(clusters)
        self._listed, self._labels = listed, labels
        self.table.reclaim()
        return Applied(len(changed), len(gone), len(self._services) - len(changed))

    def _touched(self, mesh: Mesh) -> tuple[dict[Key, Service], set[Key]]:
        """The services that may have changed, and the keys of those that are gone."""
        old = self._listed[1]
        for was, now in (_between(old, mesh.services), (old, mesh.services)):
            services = {(service.name, service.pattern): service for service in now}
            gone = {(service.name, service.pattern) for service in was} - services.keys()
            more = len(services.keys() - self._services.keys())
            # One that is listed twice, where the last holds: only a look at all of them can tell.
            if len(old) == len(self._services) and len(old) - len(gone) + more == len(mesh.services):
                break
        return services, gone

    def _remember(self, pictures: dict[Key, tuple[Service, Hashable]], gone: set[Key]) -> None:
        for key in [*gone, *pictures]:
            if known := self._services.pop(key, None):
                for name in _cluster_names(known[0]):
                    self._users[name].discard(key)
                    if not self._users[name]:
                        del self._users[name]
        for key, (service, picture) in pictures.items():
            self._services[key] = (service, picture)
            for name in _cluster_names(service):
                self._users.setdefault(name, set()).add(key)

    def _cluster(self, cluster: Cluster) -> Built:
        picture = _cluster_picture(cluster)
        known = self._clusters.get(cluster.name)
        if known and known[0] == picture:
            return known
        endpoints = [(e.address, e.labels, e.weight) for e in cluster.endpoints]
        return picture, self.table.cluster(cluster.name, endpoints, [(s.name, s.labels) for s in cluster.subsets])

    def _prepare(self, service: Service, clusters: dict[str, Built]) -> _core.Prepared:
        rules = [
            (
                rule.timeout_ms,
                [[(c.field, c.key, c.op, c.value) for c in match.conditions] for match in rule.matches],
                [(clusters[t.cluster][1], t.kind, t.text, t.weight, t.on, t.fallback) for t in rule.targets],
            )
            for rule in service.rules
        ]
        return self.table.service(service.name, service.pattern, rules)


def _between(old: tuple[T, ...], new: tuple[T, ...]) -> tuple[tuple[T, ...], tuple[T, ...]]:
    """Both without the objects that they begin and end with alike."""
    shorter = min(len(old), len(new))
    first = next(compress(count(), map(is_not, old, new)), shorter)
    if first == len(old) == len(new):
        return (), ()
    last = next(compress(count(), map(is_not, reversed(old), reversed(new))), shorter)
    last = min(last, shorter - first)
    return old[first : len(old) - last], new[first : len(new) - last]


def _cluster_names(service: Service) -> set[str]:
    return {target.cluster for rule in service.rules for target in rule.targets}


# Pictures: what can be compared, without the places where it was said.


def _cluster_picture(cluster: Cluster) -> Hashable:
    endpoints = tuple((e.address, tuple(sorted(e.labels.items())), e.weight) for e in cluster.endpoints)
    return endpoints, tuple((s.name, tuple(sorted(s.labels.items()))) for s in cluster.subsets)


def _rule_picture(rule: Rule) -> Hashable:
    matches = tuple(tuple((c.field, c.key, c.op, c.value) for c in match.conditions) for match in rule.matches)
    targets = tuple((t.cluster, t.kind, t.text, t.weight, t.on, t.fallback) for t in rule.targets)
    return rule.timeout_ms, matches, targets


def _service_picture(service: Service, clusters: dict[str, Built]) -> Hashable:
    # A cluster that was built anew is another object: its services must be published again.
    built = tuple((name, id(clusters[name][1])) for name in sorted(_cluster_names(service)))
    return tuple(map(_rule_picture, service.rules)), built


def _labels_picture(mesh: Mesh) -> tuple[tuple, tuple]:  # type: ignore[type-arg]
    labels = tuple((label.name, tuple((s.kind, s.text, s.format) for s in label.sources)) for label in mesh.labels)
    return labels, tuple((s.kind, s.text, s.format) for s in mesh.traces)
