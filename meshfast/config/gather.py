"""All clusters: those of ServiceEntries, those that registries list, and empty ones that registries are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping

from meshfast import model
from meshfast.config import asks
from meshfast.config.cluster import Clusters
from meshfast.config.document import Place, Report
from meshfast.config.listed import Listed, entry, nobody
from meshfast.config.read import Resource

__all__ = ["Asked", "build"]

Asked = MutableMapping[str, Listed]  # by service, those that nobody lists


def build(found: Iterable[Resource], own: model.Sidecar, report: Report, asked: Asked) -> Clusters:
    """As seen from the workload beside this sidecar. ``asked``: from load to load the services that rules name."""
    clusters = Clusters(own)
    resources = list(found)
    workloads = [resource for resource in resources if resource.kind == "WorkloadEntry"]
    for resource in (one for one in resources if one.kind == "ServiceEntry" and not isinstance(one, Listed)):
        clusters.add(resource, workloads, report)
    clusters.unite()
    report.asked = _asked(resources, clusters, own)
    for resource in resources:
        if isinstance(resource, Listed):
            _offer(resource, clusters, report)
    _ask(resources, clusters, own, report, asked)
    clusters.check_names(report)
    clusters.declare((one for one in resources if one.kind == "DestinationRule"), own.namespace, report)
    clusters.near.take(resources, clusters.told, report)
    return clusters


def _offer(found: Listed, clusters: Clusters, report: Report) -> None:
    found.draft = found.memo or (entry(found),)
    host = found.hosts[0]
    passes = clusters.passing.get(host, "")
    why = f"calls go where they were dialled, says {passes}" if passes else clusters.offer(found, found.draft[0])
    if why:
        report.left_out[found] = why


def _asked(found: Iterable[Resource], clusters: Clusters, own: model.Sidecar) -> frozenset[str]:
    """The services that rules name and no file offers."""
    if not any(one.subscribe for one in own.registries):
        return frozenset()
    return frozenset(
        host
        for one in found
        for host in one.asks
        if host not in clusters.passing and not clusters.named(host, one.meta.namespace)
    )


def _ask(found: Iterable[Resource], clusters: Clusters, own: model.Sidecar, report: Report, asked: Asked) -> None:
    """A service without instances for each that nobody lists."""
    for host in list(asked):
        if host not in report.asked:
            del asked[host]
    missing = {host for host in report.asked if host not in clusters.by_service}
    for host in sorted(missing):
        one = asked.get(host) or asked.setdefault(host, nobody(host))
        one.draft = one.memo or (entry(one),)
        clusters.offer(one, one.draft[0])
    if report.warnings is not None and missing:
        names = [one.name for one in own.registries if one.subscribe]
        hint = f"{'registries' if len(names) > 1 else 'registry'} {' and '.join(names)} {_are(names)} asked for it"
        for host, place in _places(found):
            if host in missing:
                report.warn(place, f"{host} is not known here", hint)


def _are(names: list[str]) -> str:
    return "are" if len(names) > 1 else "is"


def _places(found: Iterable[Resource]) -> Iterator[tuple[str, Place]]:
    for one in found:
        if one.asks:
            yield from asks.places(one.kind, one.spec)
