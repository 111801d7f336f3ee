"""The YAML that the sidecars of this demonstration run by, written to be read: no instance is in it."""

from __future__ import annotations

from meshfast.demo.registry.topology import LABEL, Seat
from meshfast.demo.topology import HOST

RULES = f"""\
# Instances come from the registry. One rule for every service: those that carry the request's label, else those that
# carry none.
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: by-label}}
spec:
  hosts: ["*"]
  http:
  - route:
    - destination: {{subset: ${LABEL}}}
    # So that requests are kept: one that an instance says it has not executed goes on to another.
    retries: {{attempts: 1, retryOn: resource-exhausted}}
---
# Where the label is found: in the request, else this workload's own.
apiVersion: istio.alibabacloud.com/v1beta1
kind: TrafficLabel
metadata: {{name: environment}}
spec:
  rules:
  - labels: [{{name: {LABEL}, valueFrom: ["$(localLabel)"]}}]
    protocols: "*"
"""


def sidecar(one: Seat, registry: str, loop: str) -> str:
    """The configuration of the sidecar beside one instance."""
    instance = one.instance
    labels = f", labels: {{{LABEL}: {instance.env}}}" if instance.env else ""
    return f"""\
# The sidecar beside {instance}: it reads the registry, and registers what its application offers.
apiVersion: meshfast.io/v1
kind: Sidecar
metadata: {{name: {instance.file}}}
spec:
  workload: {{app: {instance.app}{labels}}}
  workers: 1
  loop: {loop}
  state: {one.state}
  listeners:
  - {{name: in, bind: "tcp://{one.address}", direction: inbound, forward: "tcp://{HOST}:{one.app}"}}
  - {{name: sdk, bind: "{one.door}", direction: outbound}}
  registries:
  - {{name: main, address: "{registry}", register: true, session: 2m}}
  endpoint: {{http: "{one.api}"}}
  advertise: {{address: {HOST}, propagation: 500ms}}
  admin: "tcp://{HOST}:{one.admin}"
"""
