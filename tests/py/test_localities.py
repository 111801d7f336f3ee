"""Calls by locality: what instances have counted stays counted, whatever becomes of them."""

from __future__ import annotations

from types import SimpleNamespace

from meshfast.localities import Localities
from meshfast.model import Cluster, Endpoint
from meshfast.policies import Locality, Policy

POLICY = Policy(locality=Locality((), {}))


class Told:
    """A table as Localities asks it."""

    def __init__(self) -> None:
        self.had: dict[str, int] = {}
        self.clusters: dict[str, Cluster] = {}
        self.native = SimpleNamespace(calls=lambda: dict(self.had))

    def mesh(self) -> SimpleNamespace:
        return SimpleNamespace(clusters=self.clusters)


def cluster(name: str, policy: Policy | None = POLICY, **places: str) -> Cluster:
    ends = tuple(Endpoint(one.replace("_", ":"), {}, 1, where) for one, where in places.items())
    return Cluster(name, (), ends, policy=policy)


def test_calls_by_locality() -> None:
    table, seen = Told(), Localities()
    seen.look(table)  # type: ignore[arg-type]
    assert not seen.calls
    listed = cluster("a", a_1="hz", b_1="sh"), cluster("b", b_1="bj"), cluster("c", None, c_1="hz")
    table.clusters = {one.name: one for one in listed}
    table.had = {"a:1": 5, "b:1": 7, "c:1": 9}
    seen.look(table)  # type: ignore[arg-type]
    wanted = {("a", "hz"): 5, ("a", "sh"): 7, ("b", "bj"): 7}
    assert seen.calls == wanted
    seen.look(table)  # type: ignore[arg-type]
    assert seen.calls == wanted
    table.clusters = {**table.clusters, "a": cluster("a", d_1="hz")}  # those that went stay counted
    table.had = {"b:1": 8, "d:1": 2}
    seen.look(table)  # type: ignore[arg-type]
    assert seen.calls == wanted | {("a", "hz"): 7, ("b", "bj"): 8}
    table.had = {"b:1": 3, "d:1": 2}  # one that came back counts from 0
    seen.look(table)  # type: ignore[arg-type]
    table.had["b:1"] = 4
    seen.look(table)  # type: ignore[arg-type]
    assert seen.calls[("b", "bj")] == 9
    table.clusters = {}
    table.had = {"b:1": 40}
    seen.look(table)  # type: ignore[arg-type]
    assert seen.calls[("b", "bj")] == 9
