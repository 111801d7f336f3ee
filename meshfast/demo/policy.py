"""The YAML that the demonstration's sidecars run by, written to be read."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from meshfast.demo.topology import APPS, HOST, LABEL, Gateway, Place, service

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


def entry(app: str, places: Iterable[Place]) -> str:
    """The ServiceEntry of one application: the sidecars in front of its instances, with their labels."""
    lines = [
        "apiVersion: networking.istio.io/v1",
        "kind: ServiceEntry",
        f"metadata: {{name: {app.lower()}}}",
        "spec:",
        f"  hosts: [{service(app)}]",
        "  ports: [{name: rpc, number: 20880, protocol: TCP}]  # Dubbo2 and Triple, told apart by what comes",
        "  endpoints:",
    ]
    for place in places:
        labels = f", labels: {{{LABEL}: {place.instance.env}}}" if place.instance.env else ""
        lines.append(f"  - {{address: {HOST}, ports: {{rpc: {place.inbound}}}{labels}}}")
    return "\n".join(lines) + "\n"


def mesh(places: Iterable[Place]) -> str:
    """The whole mesh: who runs where, and the rules. Every sidecar watches this one."""
    listed = list(places)
    return "---\n".join([*(entry(app, [p for p in listed if p.instance.app == app]) for app in APPS), RULES])


def sidecar(place: Place, loop: str) -> str:
    """The configuration of the sidecar beside one instance."""
    instance = place.instance
    labels = f"{{{LABEL}: {instance.env}}}" if instance.env else "{}"
    return f"""\
# The sidecar beside {instance}.
apiVersion: meshfast.io/v1
kind: Sidecar
metadata: {{name: {instance.file}}}
spec:
  workload: {{app: {instance.app.lower()}, labels: {labels}}}
  workers: 1
  loop: {loop}
  listeners:
  - {{name: in, bind: "tcp://{HOST}:{place.inbound}", direction: inbound, forward: "tcp://{HOST}:{place.app}"}}
  - {{name: out, bind: "tcp://{HOST}:{place.outbound}", direction: outbound}}
  admin: "tcp://{HOST}:{place.admin}"
"""


def gateway(place: Gateway, loop: str) -> str:
    """The configuration of the sidecar where calls come in."""
    return f"""\
# Where calls from outside come in.
apiVersion: meshfast.io/v1
kind: Sidecar
metadata: {{name: gateway}}
spec:
  workload: {{app: gateway}}
  workers: 1
  loop: {loop}
  listeners:
  - {{name: out, bind: "tcp://{HOST}:{place.outbound}", direction: outbound}}
  admin: "tcp://{HOST}:{place.admin}"
"""


def write(path: Path, text: str) -> None:
    """Replaces the file in one step, so that nobody reads half of it."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)
