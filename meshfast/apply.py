"""A mesh into native tables: the only writer of them.

All or nothing: everything is built aside first, then published service by service; a call meets either the old rules of
its service or the new ones. What did not change is not published again, so a change costs what it changes.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from meshfast import _core
from meshfast.model import Cluster, Mesh, Pattern, Rule, Service

__all__ = ["Applied", "Writer"]

Key = tuple[str, Pattern]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a mesh changed: counts of services."""

    published: int
    removed: int
    unchanged: int


@dataclass
class Writer:
    """Remembers what is in a table, to find out what a new mesh changes. Used by one thread."""

    table: _core.Table
    _clusters: dict[str, tuple[Hashable, _core.Cluster]] = field(default_factory=dict)
    _services: dict[Key, Hashable] = field(default_factory=dict)
    _labels: Hashable = None

    def apply(self, mesh: Mesh) -> Applied:
        """Puts ``mesh`` in force.

        :raises MeshfastError: something in it cannot be built; the table is as it was
        :raises MemoryError: the same for want of memory
        """
        clusters = {name: self._cluster(cluster) for name, cluster in mesh.clusters.items()}
        services: dict[Key, Hashable] = {}
        changed: list[_core.Prepared] = []
        for service in mesh.services:
            key = (service.name, service.pattern)
            services[key] = picture = _service_picture(service, clusters)
            if self._services.get(key) != picture:
                changed.append(self._prepare(service, clusters))
        gone = [key for key in self._services if key not in services]

        labels = _labels_picture(mesh)
        if labels != self._labels:
            self.table.publish_labels(*labels)
        for prepared in changed:
            self.table.publish(prepared)
        for name, pattern in gone:
            self.table.remove(name, pattern)
        self._clusters, self._services, self._labels = clusters, services, labels
        self.table.reclaim()
        return Applied(len(changed), len(gone), len(services) - len(changed))

    def _cluster(self, cluster: Cluster) -> tuple[Hashable, _core.Cluster]:
        picture = _cluster_picture(cluster)
        known = self._clusters.get(cluster.name)
        if known and known[0] == picture:
            return known
        endpoints = [(e.address, e.labels, e.weight) for e in cluster.endpoints]
        return picture, self.table.cluster(cluster.name, endpoints, [(s.name, s.labels) for s in cluster.subsets])

    def _prepare(self, service: Service, clusters: dict[str, tuple[Hashable, _core.Cluster]]) -> _core.Prepared:
        rules = [
            (
                rule.timeout_ms,
                [[(c.field, c.key, c.op, c.value) for c in match.conditions] for match in rule.matches],
                [(clusters[t.cluster][1], t.kind, t.text, t.weight, t.on, t.fallback) for t in rule.targets],
            )
            for rule in service.rules
        ]
        return self.table.service(service.name, service.pattern, rules)


# Pictures: what can be compared, without the places where it was said.


def _cluster_picture(cluster: Cluster) -> Hashable:
    endpoints = tuple((e.address, tuple(sorted(e.labels.items())), e.weight) for e in cluster.endpoints)
    return endpoints, tuple((s.name, tuple(sorted(s.labels.items()))) for s in cluster.subsets)


def _rule_picture(rule: Rule) -> Hashable:
    matches = tuple(tuple((c.field, c.key, c.op, c.value) for c in match.conditions) for match in rule.matches)
    targets = tuple((t.cluster, t.kind, t.text, t.weight, t.on, t.fallback) for t in rule.targets)
    return rule.timeout_ms, matches, targets


def _service_picture(service: Service, clusters: dict[str, tuple[Hashable, _core.Cluster]]) -> Hashable:
    names = sorted({t.cluster for rule in service.rules for t in rule.targets})
    # A cluster that was built anew is another object: its services must be published again.
    return tuple(map(_rule_picture, service.rules)), tuple((name, id(clusters[name][1])) for name in names)


def _labels_picture(mesh: Mesh) -> tuple[tuple, tuple]:  # type: ignore[type-arg]
    labels = tuple((label.name, tuple((s.kind, s.text, s.format) for s in label.sources)) for label in mesh.labels)
    return labels, tuple((s.kind, s.text, s.format) for s in mesh.traces)
