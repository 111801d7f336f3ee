"""What a mesh says no longer that the one before it said: where that was said, by file.

Told by what is there and how much of it, not by values: another weight takes nothing away, a rule without its fallback
does. What both meshes share is passed over by identity.
"""

from __future__ import annotations

from collections.abc import Iterator

from meshfast.model import (
    Cluster,
    Endpoint,
    FallbackCase,
    Family,
    Label,
    Mesh,
    Origin,
    Rule,
    Service,
    Subset,
    TargetKind,
)

__all__ = ["lost"]


def lost(old: Mesh, new: Mesh) -> set[str]:
    """The files of ``old`` in which stood what ``new`` has not; "" for what has no place."""
    return {origin.file if origin else "" for origin in _lost(old, new)}


def _lost(old: Mesh, new: Mesh) -> Iterator[Origin | None]:
    for name, cluster in old.clusters.items():
        there = new.clusters.get(name)
        if there is None:
            yield cluster.origin
        elif there is not cluster:
            yield from _of_cluster(cluster, there)
    if old.services is not new.services:
        yield from _of_services(old, new)
    labels = {label.name: label for label in new.labels}
    for label in old.labels:
        if _less_label(label, labels.get(label.name)):
            yield label.origin


def _of_services(old: Mesh, new: Mesh) -> Iterator[Origin | None]:
    documents: set[str] = set()
    services = {(service.name, service.pattern): service for service in new.services}
    for service in old.services:
        same = services.get((service.name, service.pattern))
        if same is None:
            yield service.origin
        elif same.rules is not service.rules:
            documents = documents or _documents(new)
            yield from _of_service(service, same, documents)


def _of_cluster(old: Cluster, new: Cluster) -> Iterator[Origin | None]:
    if not set(old.hosts) <= set(new.hosts):
        yield old.origin
    if old.endpoints is not new.endpoints:
        there: dict[str, list[Endpoint]] = {}
        for endpoint in new.endpoints:
            there.setdefault(endpoint.address, []).append(endpoint)
        for endpoint in old.endpoints:
            if not any(_covers(one, endpoint) for one in there.get(endpoint.address, ())):
                yield endpoint.origin or old.origin
    if not {one.host for one in old.named} <= {one.host for one in new.named}:
        yield old.origin
    subsets = {subset.name: subset for subset in new.subsets}
    for subset in old.subsets:
        same = subsets.get(subset.name)
        if same is None or _less_subset(subset, same):
            yield subset.origin or old.origin


def _less_subset(old: Subset, new: Subset) -> bool:
    if old.members is None or new.members is None:
        return old.members is not new.members or not old.labels.keys() <= new.labels.keys()
    return bool(old.members) and not new.members


def _covers(new: Endpoint, old: Endpoint) -> bool:
    """An instance that lost a label, a port or its weight, is chosen for what it was not, or not for what it was."""
    there = all(new.at(family) == old.at(family) for family in Family if old.at(family))
    told = old.speaks is None or new.speaks is not None  # else a port does not say yet what is spoken there
    return there and told and old.labels.keys() <= new.labels.keys() and not (new.weight == 1 != old.weight)


def _documents(mesh: Mesh) -> set[str]:
    """Those that routes come from."""
    origins = [cluster.origin for cluster in mesh.clusters.values()]
    origins += [rule.origin for service in mesh.services for rule in service.rules]
    return {origin.document for origin in origins if origin}


def _of_service(old: Service, new: Service, documents: set[str]) -> Iterator[Origin | None]:
    for i, rule in enumerate(old.rules):
        gone = rule.origin is not None and rule.origin.document not in documents
        if gone or i >= len(new.rules) or _less(rule, new.rules[i]):
            yield rule.origin


def _less(old: Rule, new: Rule) -> bool:
    return any(now < was for was, now in zip(_size(old), _size(new), strict=True))


def _size(rule: Rule) -> tuple[int, ...]:
    targets = rule.targets
    return (
        sum(len(match.conditions) for match in rule.matches),
        sum(target.kind is not TargetKind.ALL for target in targets),
        sum(target.weight > 0 for target in targets),
        sum(t.fallback is not None and targets[t.fallback].kind is not TargetKind.BASELINE for t in targets),
        sum(target.on is FallbackCase.NO_INSTANCE for target in targets),
        int(rule.timeout_ms > 0),
    )


def _less_label(old: Label, new: Label | None) -> bool:
    return new is not old and (new is None or len(new.sources) < len(old.sources))
