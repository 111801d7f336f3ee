"""``loadBalancer: {simple: PASSTHROUGH}``: calls go where they were dialled, whatever instances are listed."""

from __future__ import annotations

from collections.abc import Iterable

from meshfast import model
from meshfast.config.cluster import Clusters
from meshfast.config.document import Report
from meshfast.config.instance import unfit
from meshfast.config.policy import said_passing as said
from meshfast.config.read import Resource


def let_pass(found: Iterable[Resource], clusters: Clusters, own: model.Sidecar, report: Report) -> None:
    """Takes the hosts of such rules out of what is routed, once all of them are declared."""
    for resource in found:
        if resource.kind != "DestinationRule" or not resource.draft.passes:
            continue
        names = [name for name, ruled in clusters.ruled.items() if ruled is resource]
        if not names:
            continue
        if (why := unfit(own)) is not None:
            there = said(resource.spec.traffic_policy)
            assert there is not None
            report.add(there, *why)
        for name in names:
            clusters.release(name)
