"""The YAML that the demonstration's sidecars run by, written to be read."""

from __future__ import annotations

from collections.abc import Iterable

from meshfast.demo import documents
from meshfast.demo.topology import APPS, LABEL, Gateway, Place

RULES = f"""\
# One rule for every service: the instances that carry the request's own label, else those that carry none.
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: by-label}}
spec:
  hosts: ["*"]
  http:
  - name: by-label
    route:
    - destination: {{subset: ${LABEL}}}
---
# Where the label is found: in the request, else remembered for its trace id, else this workload's own.
apiVersion: istio.alibabacloud.com/v1beta1
kind: TrafficLabel
metadata: {{name: environment}}
spec:
  rules:
  - labels:
    - name: {LABEL}
      valueFrom: ["$getContext(x-request-id)", "$(localLabel)"]
    protocols: "*"
"""


def _carried(place: Place) -> str:
    env = place.instance.env
    return f", labels: {{{LABEL}: {env}}}" if env else ""


def mesh(places: Iterable[Place]) -> str:
    """The whole mesh: who runs where, and the rules. Every sidecar watches this one."""
    listed = list(places)
    entries = [documents.entry(app, [(p, _carried(p)) for p in listed if p.instance.app == app]) for app in APPS]
    return "---\n".join([*entries, RULES])


def sidecar(place: Place, loop: str) -> str:
    """The configuration of the sidecar beside one instance."""
    instance = place.instance
    labels = f"{{{LABEL}: {instance.env}}}" if instance.env else "{}"
    workload = f"app: {instance.app.lower()}, labels: {labels}"
    return documents.sidecar(place, f"The sidecar beside {instance}.", instance.file, workload, loop)


def gateway(place: Gateway, loop: str) -> str:
    """The configuration of the sidecar where calls come in."""
    return documents.sidecar(place, "Where calls from outside come in.", "gateway", "app: gateway", loop)
