"""Resources -> the mesh: the checks that need more than one document, and the picture they leave."""

from __future__ import annotations

from collections.abc import Sequence

from meshfast import model
from meshfast.config import cluster, expand, instance, label, scope, service, sidecar
from meshfast.config.document import Report
from meshfast.config.read import Resource


def resolve(found: Sequence[Resource], report: Report) -> model.Mesh:
    """The mesh of all resources. Only good when the report is empty afterwards."""
    specs = [resource.spec for resource in found if resource.kind == "Sidecar"]
    own = sidecar.resolve(specs[0] if specs else None, report)
    unique = expand.documents(scope.ours(found, own, report), report)
    clusters = cluster.build(unique, report)
    labels = label.build(unique, own.labels, report)
    services, used = service.build(unique, clusters, labels.known, own, report)
    labels.check_count(used, report)
    sidecar.check_services(specs[0] if specs else None, {s.name: s for s in services if s.name}, report)
    instance.check_listeners(unique, own, report)
    if report.warnings is not None and not report.problems:
        cluster.advise(unique, sidecar.routing(own), report)
        sidecar.advise(specs[0] if specs else None, report)
    return model.Mesh(
        clusters=clusters.sealed(),
        services=services,
        labels=tuple(labels.labels.values()),
        traces=tuple(labels.traces.values()),
        sidecar=own,
        idle=tuple(labels.idle),
    )
