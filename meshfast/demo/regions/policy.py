"""The YAML of the demonstration of data centres, written to be read."""

from __future__ import annotations

from collections.abc import Iterable

from meshfast.demo import documents
from meshfast.demo.regions.topology import APPS, FAR, HOME, MOVED, NEXT, region
from meshfast.demo.topology import Gateway, Place

OUTLIERS = "{interval: 1s, baseEjectionTime: 1s, maxEjectionPercent: 100}"


def rule(app: str) -> str:
    """Near first, and where to go on to."""
    return f"""\
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: {app}}}
spec:
  host: {app}
  trafficPolicy:
    loadBalancer: {{localityLbSetting: {{failover: [{{from: {HOME}, to: {NEXT}}}]}}}}
    outlierDetection: {OUTLIERS}
"""


def mesh(places: Iterable[Place]) -> str:
    """The whole mesh. Every sidecar watches this one, and the folder that it is in."""
    listed = list(places)
    entries = [
        documents.entry(app, [(p, f", locality: {region(p.instance)}") for p in listed if p.instance.app == app])
        for app in APPS
    ]
    return "---\n".join([*entries, *map(rule, APPS)])


def switch(percent: int) -> str:
    """The small document."""
    return f"""\
apiVersion: meshfast.io/v1
kind: RegionSwitch
metadata: {{name: {MOVED}-leaves-{HOME}}}
spec: {{app: {MOVED}, from: {HOME}, to: {FAR}, percent: {percent}}}
"""


def sidecar(place: Place, loop: str) -> str:
    """The configuration of the sidecar beside one instance."""
    instance = place.instance
    workload = f"app: {instance.app}, locality: {region(instance)}"
    return documents.sidecar(place, f"The sidecar beside {instance}.", instance.file, workload, loop)


def caller(place: Gateway, loop: str) -> str:
    """The configuration of the sidecar beside the callers."""
    about, workload = f"The sidecar beside those who call; they are in {HOME}.", f"app: caller, locality: {HOME}"
    return documents.sidecar(place, about, "caller", workload, loop)
