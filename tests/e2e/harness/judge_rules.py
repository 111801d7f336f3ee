"""Dubbo's rule documents, as texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from .judge import SERVICE, Document

API = "service.dubbo.apache.org/v1alpha1"


def document(kind: str, key: str, fields: Mapping[str, Any]) -> Document:
    """A rule with its scope and key written into it."""
    scope = "service" if "." in key else "application"
    return Document(kind, key, dump({"scope": scope, "key": key, **fields}))


def dump(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=200)


def condition(*lines: str, key: str = SERVICE, **fields: Any) -> Document:
    whole = {"configVersion": "v3.0", "force": False, "enabled": True, **fields}
    return document("condition-router", key, {**whole, "conditions": list(lines)})


def spread(*conditions: tuple[str | None, Sequence[Mapping[str, Any]]], key: str = SERVICE, **fields: Any) -> Document:
    """Conditions of several targets each: what they are for (None: absent), and the targets."""
    made = [{**({} if when is None else {"from": {"match": when}}), "to": [*to]} for when, to in conditions]
    whole = {"configVersion": "v3.1", "force": False, "enabled": True, **fields}
    return document("condition-router", key, {**whole, "conditions": made})


def to(match: str, weight: int | None = None) -> dict[str, Any]:
    return {"match": match} if weight is None else {"match": match, "weight": weight}


def tags(*groups: Mapping[str, Any], key: str = "cart", **fields: Any) -> Document:
    whole = {"configVersion": "v3.0", "force": False, "enabled": True, **fields}
    return document("tag-router", key, {**whole, "tags": list(groups)})


def affinity(param: str, ratio: float, key: str = SERVICE, **fields: Any) -> Document:
    whole = {"configVersion": "v3.1", "enabled": True, **fields}
    return document("affinity-router", key, {**whole, "affinityAware": {"key": param, "ratio": ratio}})


def configurator(*items: Mapping[str, Any], key: str = SERVICE, **fields: Any) -> Document:
    return document("configurators", key, {"configVersion": "v3.0", "enabled": True, **fields, "configs": list(items)})


def mesh(
    subsets: Mapping[str, Mapping[str, str]], *routes: Mapping[str, Any], app: str = "cart", name: str = ""
) -> Document:
    """A DestinationRule with these subsets, and a VirtualService with these entries of ``dubbo``."""
    return meshes(subsets, routes, app=app, name=name)


def meshes(
    subsets: Mapping[str, Mapping[str, str]], *services: Sequence[Mapping[str, Any]], app: str = "cart", name: str = ""
) -> Document:
    """The same with several VirtualServices."""

    def one(kind: str, spec: Mapping[str, Any], number: int = 0) -> str:
        named = (name or app) + (f"-{number}" if number else "")
        return dump({"apiVersion": API, "kind": kind, "metadata": {"name": named}, "spec": dict(spec)})

    rules = {"host": app, "subsets": [{"name": name, "labels": dict(labels)} for name, labels in subsets.items()]}
    made = [one("VirtualService", {"hosts": [app], "dubbo": list(routes)}, i) for i, routes in enumerate(services)]
    return Document("MESHAPPRULE", app, "---\n".join([one("DestinationRule", rules), *made]))


def route(*details: Mapping[str, Any], services: Sequence[Mapping[str, str]] | None = None) -> dict[str, Any]:
    whole: dict[str, Any] = {"name": "any"}
    if services is not None:
        whole["services"] = list(services)
    return {**whole, "routedetail": list(details)}


def detail(*targets: Mapping[str, Any], match: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Any]:
    whole: dict[str, Any] = {"name": "one"}
    if match is not None:
        whole["match"] = list(match)
    return {**whole, "route": list(targets)}


def subset(name: str, weight: int | None = None, fallback: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A target of a mesh rule."""
    destination: dict[str, Any] = {"host": "cart", "subset": name}
    if fallback is not None:
        destination["fallback"] = dict(fallback)
    return {"destination": destination} if weight is None else {"destination": destination, "weight": weight}
