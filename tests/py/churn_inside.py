"""Run by test_churn.py: meshes in which every name is a new one, from YAML into a table; prints what memory is left of
them after each round: bytes that malloc has given out, Python's objects; and how many services came in it."""

from __future__ import annotations

import gc
import sys

from soak.inside import allocated

from meshfast import _core, config
from meshfast.apply import Writer
from meshfast.config import dfa

SERVICES, ENDPOINTS, MESHES = 10, 4, 20

LABELS = """\
apiVersion: istio.alibabacloud.com/v1beta1
kind: TrafficLabel
metadata: {name: labels}
spec: {rules: [{labels: [{name: env, valueFrom: [$getContext(x-request-id)]}]}]}
---
"""
SERVICE = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: app{n}}}
spec:
  hosts: [org.new{n}.Service]
  ports: [{{name: dubbo, number: 20880, protocol: DUBBO}}]
  endpoints: [{endpoints}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: route{n}}}
spec:
  hosts: [org.new{n}.Service]
  http:
  - name: rule{n}
    match: [{{headers: {{key{n}: {{regex: "v{n}.*"}}}}}}]
    route: [{{destination: {{subset: one{n}}}}}]
  - route: [{{destination: {{subset: $env}}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: subsets{n}}}
spec:
  host: org.new{n}.Service
  subsets: [{{name: one{n}, labels: {{env: value{n}}}}}]
---
"""


def text(first: int) -> str:
    """A mesh of names, labels and addresses that no other has."""
    found = [LABELS]
    for number in range(first, first + SERVICES):
        n = f"{number:06}"
        hosts = (number * ENDPOINTS + i for i in range(ENDPOINTS))
        addresses = (f"10.{at >> 16}.{at >> 8 & 255}.{at & 255}" for at in hosts)
        rest = f"ports: {{dubbo: 20880}}, labels: {{env: value{n}}}"
        endpoints = ", ".join(f"{{address: {address}, {rest}}}" for address in addresses)
        found.append(SERVICE.format(n=n, endpoints=endpoints))
    return "".join(found)


def main(rounds: int) -> None:
    dfa.MAX_KEPT = 1 << 16  # full after the first rounds; what it keeps is bounded, and no leak
    writer = Writer(_core.Table())
    first = 1
    for _ in range(rounds):
        for _ in range(MESHES):
            mesh = config.load_texts([("mesh.yaml", text(first).encode())])
            assert writer.apply(mesh).published == SERVICES
            first += SERVICES
        writer.table.reclaim()
        gc.collect()
        assert len(writer.table) == SERVICES
        print(allocated(), sys.getallocatedblocks(), MESHES * SERVICES, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
