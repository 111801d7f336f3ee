"""Short ways to write a mesh down and to look at one."""

from __future__ import annotations

from typing import Any

import yaml

from meshfast import config
from meshfast.model import Match, Mesh, Rule, Target

Doc = dict[str, Any]


def entry(name: str = "shop", hosts: tuple[str, ...] = ("a.Cart",), **spec: Any) -> Doc:
    return _doc("networking.istio.io/v1", "ServiceEntry", name, {"hosts": list(hosts), **spec})


def rule(host: str, *subsets: str, name: str = "") -> Doc:
    spec = {"host": host, "subsets": [{"name": s, "labels": {"v": s}} for s in subsets]}
    return _doc("networking.istio.io/v1beta1", "DestinationRule", name or f"{host}-rule", spec)


def virtual(hosts: list[str], *http: Doc, name: str = "") -> Doc:
    spec = {"hosts": hosts, "http": list(http)}
    return _doc("networking.istio.io/v1alpha3", "VirtualService", name or f"vs-{'-'.join(hosts)}", spec)


def to(subset: str = "", *, host: str = "", weight: int | None = None, **fallback: Any) -> Doc:
    out: Doc = {"destination": {k: v for k, v in {"host": host, "subset": subset}.items() if v}}
    if weight is not None:
        out["weight"] = weight
    if fallback:
        out["fallback"] = fallback
    return out


def label(*names: str, value_from: tuple[str, ...] = (), **spec: Any) -> Doc:
    labels = [{"name": n, "valueFrom": list(value_from)} for n in names]
    spec = {"rules": [{"labels": labels}], **spec}
    return _doc("istio.alibabacloud.com/v1", "TrafficLabel", "-".join(names), spec)


def sidecar(**spec: Any) -> Doc:
    return {"apiVersion": "meshfast.io/v1", "kind": "Sidecar", "spec": spec}


def _doc(api: str, kind: str, name: str, spec: Doc) -> Doc:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name}, "spec": spec}


def load(*documents: Doc) -> Mesh:
    return config.load_texts([("f", yaml.safe_dump_all(documents, sort_keys=False).encode())])


def targets(rule_: Rule) -> list[tuple[Any, ...]]:
    return [_target(t) for t in rule_.targets]


def _target(t: Target) -> tuple[Any, ...]:
    return (t.cluster, t.kind.name, t.text, t.weight, t.on.name if t.fallback is not None else "-", t.fallback)


def conditions(match: Match) -> list[tuple[Any, ...]]:
    return [(c.field.name, c.op.name, c.key, c.value) for c in match.conditions]


def rules(mesh: Mesh, service: str) -> tuple[Rule, ...]:
    (found,) = [s for s in mesh.services if s.name == service]
    return found.rules
