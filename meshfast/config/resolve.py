"""Resources -> the mesh: the checks that need more than one document, and the picture they leave."""

from __future__ import annotations

from collections.abc import Sequence

from meshfast import model
from meshfast.config import (
    balancer,
    cluster,
    expand,
    gather,
    instance,
    label,
    limiting,
    outlier,
    passing,
    scope,
    service,
    sidecar,
    tls,
)
from meshfast.config.document import Report
from meshfast.config.dubbo import govern
from meshfast.config.listed import Listed
from meshfast.config.read import Resource


def resolve(
    found: Sequence[Resource], report: Report, asked: gather.Asked | None = None
) -> tuple[model.Mesh, cluster.Clusters]:  # fmt: skip
    """The mesh of all resources, and what its clusters were made by. Only good when the report is empty afterwards.
    ``asked``: what is kept from load to load of services that registries are asked for."""
    specs = [resource.spec for resource in found if resource.kind == "Sidecar"]
    own = sidecar.resolve(specs[0] if specs else None, report)
    written = [one for one in found if not isinstance(one, Listed)]
    offered = [one for one in found if isinstance(one, Listed)] if len(written) < len(found) else []
    unique = expand.documents([*scope.ours(written, own, report), *offered], own.labels, report)
    clusters = gather.build(unique, own, report, {} if asked is None else asked)
    tls.check(unique, clusters, specs[0] if specs else None, report)
    passing.let_pass(unique, clusters, own, report)
    labels = label.build(unique, clusters, own.labels, report)
    services, used, clusters.near.asked = service.build(unique, clusters, labels.known, own, report)
    services = govern.apply(services, unique, clusters, own, report)
    services, more = limiting.apply(services, unique, clusters, labels.known, own, report)
    labels.check_count(used | more, report)
    sidecar.check_services(specs[0] if specs else None, {s.name: s for s in services if s.name}, report)
    instance.check_listeners(unique, own, report)
    if report.warnings is not None and not report.problems:
        instance.advise(unique, sidecar.routing(own), report)
        clusters.near.advise(clusters.by_name, clusters.ruled, report)
        sidecar.advise(specs[0] if specs else None, report)
    sealed = clusters.sealed()
    if report.warnings is not None and not report.problems:
        for resource in unique:
            if resource.kind == "ServiceEntry" and resource.called in sealed and resource not in report.left_out:
                balancer.advise(sealed[resource.called], resource.at.at("endpoints"), report)
                outlier.advise(sealed[resource.called], resource.at.at("endpoints"), report)
    mesh = model.Mesh(
        clusters=sealed,
        services=services,
        labels=tuple(labels.labels.values()),
        traces=tuple(labels.traces.values()),
        sidecar=own,
        idle=tuple(labels.idle),
    )
    return mesh, clusters
