"""The YAML that every demonstration has: where the instances of an application are, and a sidecar's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from meshfast.demo.topology import HOST, Gateway, Place, service


def entry(app: str, endpoints: Iterable[tuple[Place, str]]) -> str:
    """The ServiceEntry of one application: the sidecars in front of its instances, each with more to say of it."""
    return "\n".join(
        [
            "apiVersion: networking.istio.io/v1",
            "kind: ServiceEntry",
            f"metadata: {{name: {app.lower()}}}",
            "spec:",
            f"  hosts: [{service(app)}]",
            "  ports: [{name: rpc, number: 20880, protocol: TCP}]  # Dubbo2 and Triple, told apart by what comes",
            "  endpoints:",
            *(f"  - {{address: {HOST}, ports: {{rpc: {place.inbound}}}{more}}}" for place, more in endpoints),
            "",
        ]
    )


def sidecar(place: Place | Gateway, about: str, name: str, workload: str, loop: str) -> str:
    """The configuration of one sidecar; a gateway has nobody behind it."""
    lines = [
        f"# {about}",
        "apiVersion: meshfast.io/v1",
        "kind: Sidecar",
        f"metadata: {{name: {name}}}",
        "spec:",
        f"  workload: {{{workload}}}",
        "  workers: 1",
        f"  loop: {loop}",
        "  listeners:",
    ]
    if isinstance(place, Place):
        bind, app = f"tcp://{HOST}:{place.inbound}", f"tcp://{HOST}:{place.app}"
        lines.append(f'  - {{name: in, bind: "{bind}", direction: inbound, forward: "{app}"}}')
    lines += [
        f'  - {{name: out, bind: "tcp://{HOST}:{place.outbound}", direction: outbound}}',
        f'  admin: "tcp://{HOST}:{place.admin}"',
        "",
    ]
    return "\n".join(lines)


def write(path: Path, text: str) -> None:
    """Replaces the file in one step, so that nobody reads half of it."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    os.replace(new, path)
