"""RateLimits -> which calls of which services count against them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from meshfast import model
from meshfast.config import called, fqdn, match
from meshfast.config.cluster import Clusters
from meshfast.config.document import Report, listed
from meshfast.config.ratelimit import UNITS, RateLimit
from meshfast.config.read import Resource
from meshfast.model import Field, Pattern
from meshfast.policies import Actions, Limit

Key = tuple[str, Pattern]


@dataclass(slots=True)
class _Bounded:
    """What became of a RateLimit: the services that it was the first for, each as it was, its limits, and as it is."""

    made: dict[Key, tuple[model.Service, tuple[Limit, ...], model.Service]] = field(default_factory=dict)


@dataclass(slots=True)
class _Bound:
    """A RateLimit, and what of it does not depend on the service."""

    resource: Resource
    limit: Limit
    exact: frozenset[str]  # services
    prefixes: tuple[str, ...]
    suffixes: tuple[str, ...]
    covering: bool = False  # some service

    def covers(self, service: model.Service) -> bool:
        name = service.name
        if service.pattern is Pattern.EXACT:
            return name in self.exact or name.startswith(self.prefixes) or name.endswith(self.suffixes)
        if service.pattern is Pattern.SUFFIX:
            return f"*{name}" in self.exact or "" in self.prefixes or name.endswith(self.suffixes)
        return name.startswith(self.prefixes)


def apply(
    services: tuple[model.Service, ...], found: Iterable[Resource], clusters: Clusters, labels: set[str],
    own: model.Sidecar, report: Report,
) -> tuple[tuple[model.Service, ...], set[str]]:  # fmt: skip
    """The services with the limits of their calls, and the labels that those ask for."""
    workload = {**own.labels, model.NAMESPACE: own.namespace}
    bounds = [_bound(one, clusters, labels, workload, own, report) for one in found if one.kind == "RateLimit"]
    if not bounds:
        return services, set()
    used = {c.key for b in bounds for m in b.limit.matches for c in m.conditions if c.field is Field.LABEL}
    out = tuple(_bounded(service, [b for b in bounds if b.covers(service)], clusters) for service in services)
    for bound in bounds if report.warnings is not None and not report.incomplete else ():
        if not bound.covering:
            words = listed("listed are", [s.name for s in services if s.name], "no service is listed", most=4)
            report.warn(bound.resource.at.at("hosts"), "no service that is listed has such a name", words)
    return out, used


def _bound(
    found: Resource, clusters: Clusters, labels: set[str], workload: Mapping[str, str], own: model.Sidecar,
    report: Report,
) -> _Bound:  # fmt: skip
    found.draft = _Bounded()
    spec: RateLimit = found.spec
    exact: set[str] = set()
    prefixes: list[str] = []
    suffixes: list[str] = []
    for i, host in enumerate(spec.hosts):
        if host in ("*", "*/*"):
            prefixes.append("")
        elif host.endswith(".*") and "*" not in host[:-1]:
            prefixes.append(host[:-1])
        elif host.startswith("*.") and len(host) > 2 and "*" not in host[1:]:
            suffixes.append(host[1:])
        elif (meant := clusters.meant(host, found.meta.namespace)) in clusters.by_service:
            exact.add(meant)
        elif (app := clusters.find(meant)) is not None:
            exact.update(clusters.by_name[app].hosts)
        elif host and not report.incomplete:
            report.add(found.at.at("hosts", i), f"unknown host {host}", clusters.hint(host, report))
    others = {alias for name in exact for alias in fqdn.aliases(name, own.namespace)} - clusters.by_service.keys()
    matches = tuple(
        model.Match(kept, one.name, one.at.origin())
        for one in spec.match
        if not one.at.bad
        for conditions in match.alternatives(one, labels, report)
        for kept in [tuple(c for c in conditions if c.field is not Field.NEVER or workload.get(c.key) != c.value)]
    )
    name = f"{found.meta.namespace}/{found.name}" if found.meta.namespace else found.name
    limit = Limit(
        name, spec.requests, UNITS[spec.unit], spec.burst or spec.requests, matches, spec.unit, found.at.origin()
    )
    return _Bound(found, limit, frozenset(exact | others), tuple(prefixes), tuple(suffixes))


def _bounded(service: model.Service, bounds: Sequence[_Bound], clusters: Clusters) -> model.Service:
    """The service with limits; the same as the last time, where nothing of it has changed."""
    if not bounds:
        return service
    first = bounds[0].resource
    for bound in bounds:
        bound.covering = True
    limits = tuple(_of_ports(bound.limit, service, clusters) for bound in bounds)
    before: _Bounded | None = first.memo
    key = (service.name, service.pattern)
    known = before.made.get(key) if before is not None else None
    if known is None or known[0] is not service or known[1] != limits:
        rules = tuple(
            replace(rule, actions=replace(rule.actions or Actions(), limits=limits)) for rule in service.rules
        )
        known = service, limits, replace(service, rules=rules)
    draft: _Bounded = first.draft
    draft.made[key] = known
    return known[2]


def _of_ports(limit: Limit, service: model.Service, clusters: Clusters) -> Limit:
    """Where a match asks for a port: of this service."""
    if not called.asks(limit.matches):
        return limit
    apps = clusters.by_service.get(service.name, ())
    return replace(limit, matches=called.resolve(limit.matches, clusters.called(apps[0]) if apps else None))
