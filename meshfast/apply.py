"""A mesh into native tables: the only writer of them.

All or nothing: everything is built aside first, then published service by service; a call meets either the old rules of
its service or the new ones. What did not change is not published again, so a change costs what it changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Set
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, TypeVar

from meshfast import _core, shared
from meshfast.errors import LimitError
from meshfast.model import Cluster, Endpoint, Family, Field, Mesh, Pattern, Rule, Service, Speaks, TargetKind

__all__ = ["Applied", "Writer"]

MAX_LABELS = 16  # MF_PLAN_LABELS: names of labels that a mesh uses, in its TrafficLabels or rules alone

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
    _names: Counter[str] = field(default_factory=Counter)  # of labels: how many services name each
    shared: shared.Shared = field(default_factory=shared.Shared)

    def apply(self, mesh: Mesh) -> Applied:
        """Puts ``mesh`` in force.

        :raises MeshfastError: something in it cannot be built; the table is as it was
        :raises MemoryError: the same for want of memory
        """
        self.shared.begin()
        listed = _core.listed(mesh.clusters, self._listed[0]), mesh.services
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
            if known is None or not _alike(known, service) or not renewed.isdisjoint(_cluster_names(service)):
                changed[key] = self._prepare(service, built, lost)

        names = self._names.copy()
        for key in gone | changed.keys():
            if key in self.services:
                names.subtract(_label_names(self.services[key]))
        for key in changed:
            names.update(_label_names(services[key]))
        names = +names
        _check_labels(mesh, names)
        labels = _labels_picture(mesh)
        if labels != self._labels:
            self.table.publish_labels(*labels)
        for prepared in changed.values():
            self.table.publish(prepared)
        for key in gone:
            self.table.remove(*key)
        self._remember(services, changed.keys(), gone)
        self._names = names
        for name in lost:
            del self._clusters[name]
        self._clusters.update(built)
        self._listed, self._labels = listed, labels
        self.table.reclaim()
        self.shared.commit()
        return Applied(len(changed), len(gone), len(self.services) - len(changed))

    def cluster(self, name: str) -> _core.Cluster:
        """What was made of a cluster; KeyError: there is none of that name."""
        return self._clusters[name][1]

    def _remember(self, services: dict[Key, Service], changed: Set[Key], gone: set[Key]) -> None:
        for key in gone:
            self._forget_users(key, _cluster_names(self.services.pop(key)))
        for key in changed:
            names = _cluster_names(services[key])
            if key in self.services:
                self._forget_users(key, _cluster_names(self.services[key]) - names)
            for name in names:
                self._users.setdefault(name, set()).add(key)
        self.services.update(services)

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
        endpoints = [
            (seen[0], e.labels, e.weight, e.locality) for seen, e in zip(picture[0], cluster.endpoints, strict=True)
        ]
        subsets = [(s.name, s.labels, s.policy, m) for s, m in zip(cluster.subsets, _members(cluster), strict=True)]
        return picture, self.table.cluster(cluster.name, endpoints, subsets, cluster.policy)

    def _prepare(self, service: Service, built: dict[str, Built], lost: set[str]) -> _core.Prepared:
        names = _cluster_names(service)
        clusters = {name: (built.get(name) or self._clusters[name])[1] for name in names if name not in lost}
        rules = [
            (
                rule.timeout_ms,
                [[(c.field, c.key, c.op, c.value) for c in match.conditions] for match in rule.matches],
                [(clusters[one[0]], *one[1:]) for one in (*map(_target, rule.targets), *shared.targets(rule))],
                rule.actions,
                self.shared.aside(rule),
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
    if len(known) - len(gone) + more != len(new):
        # One was or is listed twice, where the last holds: only a look at all of them can tell.
        touched = {key(one): one for one in new}
        gone = known.keys() - touched.keys()
    return touched, gone


def _name(cluster: Cluster) -> str:
    return cluster.name


def _key(service: Service) -> Key:
    return service.name, service.pattern


def _cluster_names(service: Service) -> set[str]:
    found = {target.cluster for rule in service.rules for target in rule.targets}
    for rule in service.rules:
        if rule.actions is not None and rule.actions.mirrors:
            found.update([one.cluster for one in rule.actions.mirrors])
    return found


def _alike(old: Service, new: Service) -> bool:
    """Whether they route alike. Names and places are for explain; the table does not have them."""
    if old.rules is new.rules:
        return True
    return len(old.rules) == len(new.rules) and all(map(_alike_rule, old.rules, new.rules))


def _alike_rule(old: Rule, new: Rule) -> bool:
    return old is new or (
        old.timeout_ms == new.timeout_ms
        and old.actions == new.actions
        and (old.targets is new.targets or [*map(_target, old.targets)] == [*map(_target, new.targets)])
        and (old.matches is new.matches or _matches_picture(old) == _matches_picture(new))
    )


def _label_names(service: Service) -> set[str]:
    """The labels that it asks for or goes by."""
    names: set[str] = set()
    for rule in service.rules:
        for match in rule.matches:
            names.update(c.key for c in match.conditions if c.field == Field.LABEL)
        names.update(t.text for t in rule.targets if t.kind in (TargetKind.LABEL, TargetKind.BASELINE))
        if rule.actions is None:
            continue
        for mirror in rule.actions.mirrors:
            if mirror.kind == TargetKind.LABEL:
                names.add(mirror.text)
        for limit in rule.actions.limits:
            for match in limit.matches:
                names.update(c.key for c in match.conditions if c.field == Field.LABEL)
    return names


def _check_labels(mesh: Mesh, names: Counter[str]) -> None:
    found = names.keys() | {label.name for label in mesh.labels}
    if len(found) > MAX_LABELS and len(mesh.labels) <= MAX_LABELS:
        listed = ", ".join(sorted(found))
        raise LimitError(f"{len(found)} names of labels are used, {listed}; the limit is {MAX_LABELS}")


def _places(endpoint: Endpoint) -> str | tuple[str, str]:
    """One address for any call, or one for Dubbo and one for HTTP."""
    if endpoint.speaks is None and not endpoint.http:
        return endpoint.address
    return endpoint.at(Family.DUBBO), endpoint.at(Family.HTTP)


def _members(cluster: Cluster) -> list[tuple[int, ...] | None]:
    """Of each subset the numbers of its instances, where it has a list of them."""
    if all(subset.members is None for subset in cluster.subsets):
        return [None] * len(cluster.subsets)
    at: dict[str, list[int]] = {}
    for i, endpoint in enumerate(cluster.endpoints):
        at.setdefault(endpoint.address, []).append(i)
    return [
        None if subset.members is None
        else tuple(sorted(i for address in subset.members for i in at.get(address, ())))
        for subset in cluster.subsets
    ]  # fmt: skip


# Pictures: what can be compared, without the places where it was said.


def _cluster_picture(cluster: Cluster) -> tuple[tuple[tuple[Any, ...], ...], Hashable, Hashable, Hashable]:
    endpoints = tuple((_places(e), tuple(sorted(e.labels.items())), e.weight) for e in cluster.endpoints)
    subsets = tuple((s.name, tuple(sorted(s.labels.items())), s.policy) for s in cluster.subsets)
    return endpoints, subsets, cluster.policy, tuple(_members(cluster))


_condition = attrgetter("field", "key", "op", "value")
_target = attrgetter("cluster", "kind", "text", "weight", "on", "fallback")


def _matches_picture(rule: Rule) -> object:
    return [[*map(_condition, match.conditions)] for match in rule.matches]


def _labels_picture(mesh: Mesh) -> tuple[tuple, tuple]:  # type: ignore[type-arg]
    labels = tuple(
        (
            label.name, int(~label.protocols & Speaks.ANY),
            tuple((s.kind, s.text, s.format) for s in label.sources), label.goes,
        )
        for label in mesh.labels
    )  # fmt: skip
    return labels, tuple((s.kind, s.text, s.format) for s in mesh.traces)
