"""DestinationRules that ask for encryption, which is not done here: what becomes of them and of their hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshfast.config.cluster import Clusters
from meshfast.config.document import Place, Report
from meshfast.config.policy import Policy, TrafficPolicy
from meshfast.config.read import Resource
from meshfast.config.sidecar import SidecarSpec

MESH = "ISTIO_MUTUAL"
_REFUSED = "calls would go out in plain text"
_TAKEN = {"plain": "its calls go out in plain text", "close": "calls to its host are refused"}


def check(found: Iterable[Resource], clusters: Clusters, own: SidecarSpec | None, report: Report) -> None:
    """Refuses them, or does with their hosts what the Sidecar says."""
    way = own.tls if own is not None else "refuse"
    secured = [resource for resource in found if resource.secured]
    taken = [one for one in secured if way == "close" or (way == "plain" and one.secured <= {MESH})]
    for resource in taken if way == "close" else ():
        for name in clusters.ruled_by(resource):
            clusters.close(name)
    if taken and own is not None and report.warnings is None:
        # Without their places, for which they would have to be read again.
        words = f"{len(taken)} DestinationRules ask for encryption: {_TAKEN[way].removeprefix('its ')}"
        report.note(own.at.at("tls"), words)
    for resource in secured:
        if resource not in taken or report.warnings is not None:
            for mode, at in _asked(resource):
                if way == "close" or (way == "plain" and mode == MESH):
                    report.warn(at, f"{mode}: {_TAKEN[way]}", f"as the Sidecar says: tls: {way}")
                else:
                    also = "tls: plain or close" if mode == MESH else "tls: close"
                    hint = f"{_REFUSED}; where the Sidecar says {also}, the document is taken"
                    report.add(at, f"{mode} is not supported", hint)


def _asked(resource: Resource) -> Iterator[tuple[str, Place]]:
    rule = resource.spec
    for policy in (rule.traffic_policy, *(subset.traffic_policy for subset in rule.subsets)):
        for block in _blocks(policy):
            if block.tls is not None and block.tls.mode != "DISABLE":
                yield block.tls.mode, block.tls.at.at("mode")


def _blocks(policy: TrafficPolicy | None) -> tuple[Policy, ...]:
    return () if policy is None else (policy, *policy.port_level)
