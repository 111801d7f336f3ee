"""A mesh into native tables: the only writer of them.

All or nothing: everything is built aside first, then published service by service; a call meets either the old rules of
its service or the new ones. What did not change is not published again, so a change costs what it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from meshfast import _core
from meshfast.model import Cluster, Mesh, Pattern, Rule, Service

__all__ = ["Applied", "Writer"]

T = TypeVar("T")
K = TypeVar("K")
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

    A mesh that shares what did not change with the one before costs what did. To find it, clusters and services are
    passed over by identity (``_core.differing``): about a nanosecond each, where building one takes 20 us.
    """

    table: _core.Table
    services: dict[Key, Service] = field(default_factory=dict)  # those in force
    _listed: tuple[tuple[Cluster, ...], tuple[Service, ...]] = ((), ())  # by the last mesh
    _clusters: dict[str, Built] = field(default_factory=dict)
    _users: dict[str, set[Key]] = field(default_factory=dict)
    _labels: Hashable = None

    def apply(self, mesh: Mesh) -> Applied:
        """Puts ``mesh`` in force.

        :raises MeshfastError: something in it cannot be built; the table is as it was
        :raises MemoryError: the same for want of memory
        """
        listed = tuple(mesh.clusters.values()), mesh.services
        clusters, lost = _touched(self._listed[0], listed[0], self._clusters, _name)
        services, gone = _touched(self._listed[1], listed[1], self.services, _key)
        built = {name: self._cluster(cluster) for name, cluster in clusters.items()}
        renewed = {name for name, one in built.items() if one is not self._clusters.get(name)} | lost
        for name in renewed:
            for key in self._users.get(name, ()):
                if key not in gone:
                    services.setdefault(key, self.services[key])

        changed: dict[Key, _core.Prepared] = {}
        for key, service in services.items():
            known = self.services.get(key)
            names = _cluster_names(service)
            if known is None or not renewed.isdisjoint(names) or not _alike(known, service):
                used = {name: built.get(name) or self._clusters[name] for name in names if name not in lost}
                changed[key] = self._prepare(service, used)

        labels = _labels_picture(mesh)
        if labels != self._labels:
            self.table.publish_labels(*labels)
        for prepared in changed.values():
            self.table.publish(prepared)
        for key in gone:
            self.table.remove(*key)
        self._remember(services, gone)
        for name in lost:
            del self._clusters[name]
        self._clusters.update(built)
        self._listed, self._labels = listed, labels
        self.table.reclaim()
        return Applied(len(changed), len(gone), len(self.services) - len(changed))

    def _remember(self, services: dict[Key, Service], gone: set[Key]) -> None:
        for key in gone:
            self._forget_users(key, _cluster_names(self.services.pop(key)))
        for key, service in services.items():
            known, names = self.services.get(key), _cluster_names(service)
            self.services[key] = service
            if known is not None:
                self._forget_users(key, _cluster_names(known) - names)
            for name in names:
                self._users.setdefault(name, set()).add(key)

    def _forget_users(self, key: Key, names: set[str]) -> None:
        for name in names:
            self._users[name].discard(key)
            if not self._users[name]:
                del self._users[name]

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


def _touched(
    old: tuple[T, ...], new: tuple[T, ...], known: Mapping[K, object], key: Callable[[T], K]
) -> tuple[dict[K, T], set[K]]:
    """What of ``new`` may have changed, and the keys of ``old`` (those of ``known``) that are gone."""
    was, now = _core.differing(old, new)
    touched = {key(one): one for one in now}
    gone = {key(one) for one in was} - touched.keys()
    more = sum(one not in known for one in touched)
    if len(old) != len(known) or len(known) - len(gone) + more != len(new):
        # One is listed twice, and the last holds: only a look at all of them can tell.
        touched = {key(one): one for one in new}
        gone = known.keys() - touched.keys()
    return touched, gone


def _name(cluster: Cluster) -> str:
    return cluster.name


def _key(service: Service) -> Key:
    return service.name, service.pattern


def _cluster_names(service: Service) -> set[str]:
    return {target.cluster for rule in service.rules for target in rule.targets}


def _alike(old: Service, new: Service) -> bool:
    """Whether they route alike. Names and places are for explain; the table does not have them."""
    if old.rules is new.rules:
        return True
    return len(old.rules) == len(new.rules) and all(
        a is b
        or a.timeout_ms == b.timeout_ms
        and (a.matches is b.matches or _matches_picture(a) == _matches_picture(b))
        and (a.targets is b.targets or _targets_picture(a) == _targets_picture(b))
        for a, b in zip(old.rules, new.rules, strict=True)
    )


# Pictures: what can be compared, without the places where it was said.


def _cluster_picture(cluster: Cluster) -> Hashable:
    endpoints = tuple((e.address, tuple(sorted(e.labels.items())), e.weight) for e in cluster.endpoints)
    return endpoints, tuple((s.name, tuple(sorted(s.labels.items()))) for s in cluster.subsets)


def _matches_picture(rule: Rule) -> object:
    return [[(c.field, c.key, c.op, c.value) for c in match.conditions] for match in rule.matches]


def _targets_picture(rule: Rule) -> object:
    return [(t.cluster, t.kind, t.text, t.weight, t.on, t.fallback) for t in rule.targets]


def _labels_picture(mesh: Mesh) -> tuple[tuple, tuple]:  # type: ignore[type-arg]
    labels = tuple((label.name, tuple((s.kind, s.text, s.format) for s in label.sources)) for label in mesh.labels)
    return labels, tuple((s.kind, s.text, s.format) for s in mesh.traces)
