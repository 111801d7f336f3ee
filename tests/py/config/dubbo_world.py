"""Instances of one application, a caller, Dubbo's rules as text, and where the caller's calls go."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from meshfast import config
from meshfast.config.document import Report, Text
from meshfast.errors import Problem
from meshfast.model import Http, Mesh, TargetKind
from meshfast.routing import Table

CART = "com.x.Cart"
Shares = dict[str, Fraction]  # of the calls, by the names of the instances that they go to: "HS", "" nobody


@dataclass(frozen=True)
class World:
    """``instances``: by a letter, the address and labels of each."""

    instances: Mapping[str, tuple[str, Mapping[str, str]]]
    app: str = "web"
    host: str = "10.9.9.9"
    labels: Mapping[str, str] = field(default_factory=dict)
    more: tuple[Mapping[str, Any], ...] = ()
    hosts: tuple[str, ...] = (CART,)
    resolution: str = "STATIC"

    def base(self) -> str:
        workload = {"app": self.app, "labels": dict(self.labels)} | ({"address": self.host} if self.host else {})
        sidecar = {"apiVersion": "meshfast.io/v1", "kind": "Sidecar", "spec": {"workload": workload}}
        endpoints = []
        for address, labels in self.instances.values():
            host, _, port = address.rpartition(":")
            endpoints.append({"address": host, "ports": {"dubbo": int(port)}, "labels": dict(labels)})
        entry = {
            "apiVersion": "networking.istio.io/v1",
            "kind": "ServiceEntry",
            "metadata": {"name": "cart"},
            "spec": {
                "hosts": list(self.hosts),
                "resolution": self.resolution,
                "ports": [{"number": 20880, "name": "dubbo", "protocol": "TCP"}],
                "endpoints": endpoints,
            },
        }
        return "\n---\n".join(map(json.dumps, (sidecar, entry, *self.more)))

    def texts(self, rules: Sequence[str]) -> list[tuple[str, bytes]]:
        return [("base.yaml", self.base().encode()), *((f"{i}.yaml", one.encode()) for i, one in enumerate(rules))]

    def mesh(self, *rules: str) -> Mesh:
        return config.load_texts(self.texts(rules))

    def warnings(self, *rules: str) -> list[Problem]:
        report = Report(warn=True)
        config.build([Text(*one) for one in self.texts(rules)], report)
        return report.warnings or []

    def ask(self, *rules: str) -> Asked:
        return Asked(self, self.mesh(*rules))


class Asked:
    """Rules in force."""

    def __init__(self, world: World, mesh: Mesh) -> None:
        self.world, self.mesh, self.table = world, mesh, Table()
        self.table.publish(mesh)
        self._names = {address: name for name, (address, _) in world.instances.items()}

    def names(self, cluster: str, kind: TargetKind, text: str) -> str:
        found = self.mesh.clusters[cluster]
        members = {one.address for one in found.endpoints}
        if kind is TargetKind.SUBSET:
            subset = next(one for one in found.subsets if one.name == text)
            if subset.members is not None:
                members &= subset.members
            else:
                members = {one.address for one in found.endpoints if subset.labels.items() <= one.labels.items()}
        return "".join(sorted(self._names[one] for one in members))

    def __call__(
        self, method: str = "add", attachments: Mapping[str, str] | None = None, arguments: Sequence[str] = ("7",),
        service: str = CART, http: bool = False,
    ) -> Shares:  # fmt: skip
        """Who gets which share of such calls, while every instance is up."""
        headers = {"uid": "1"} | dict(attachments or {})
        asked = Http(path=f"/{service}/{method}") if http else None
        said: Any = {"method": method, "http": asked, "arguments": () if http else arguments}
        for draw in range(300):  # a share of the calls may go to nobody
            found = self.table.explain(service, headers, random=draw * 0x9E3779B97F4A7C15 % 2**64, **said)
            if found.route is not None:
                break
        if found.route is None:
            return {"": Fraction(1)}
        assert found.service is not None
        targets = found.service.rules[found.route.rule].targets
        whole, out = sum(t.weight for t in targets), {}
        for target in targets:
            if target.weight:
                names = self.names(target.cluster, target.kind, target.text)
                at: Any = target
                while not names and at.fallback is not None:
                    at = targets[at.fallback]
                    names = self.names(at.cluster, at.kind, at.text)
                out[names] = out.get(names, Fraction(0)) + Fraction(target.weight, whole)
        return out

    def one(self, *args: Any, **more: Any) -> str:
        """The same where all calls go to the same instances."""
        ((names, _),) = self(*args, **more).items()
        return names

    def timeout(self, *args: Any, method: str = "add", **more: Any) -> int:
        found = self.table.explain(CART, {"uid": "1"} | more, method=method, arguments=("7",))
        assert found.route is not None
        return found.route.timeout_ms
