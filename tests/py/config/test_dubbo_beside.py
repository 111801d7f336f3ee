"""Dubbo's own rules beside Istio's documents, which hold as they are written."""

from __future__ import annotations

from fractions import Fraction

import pytest
from dubbo_world import CART, World
from test_dubbo_vectors import CONFIG, HZ_SH, conditions, several

from meshfast.errors import ConfigError


def istio(kind: str, spec: object) -> dict[str, object]:
    return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": "cart"}, "spec": spec}


SUBSETS = istio(
    "DestinationRule", {"host": "cart", "subsets": [{"name": n, "labels": {"region": n}} for n in ("hz", "sh")]}
)


def test_what_a_virtual_service_says_of_shares_holds():
    to = [{"destination": {"subset": name}, "weight": weight} for name, weight in (("hz", 90), ("sh", 10))]
    world = World(HZ_SH.instances, more=(SUBSETS, istio("VirtualService", {"hosts": [CART], "http": [{"route": to}]})))
    ninety = {"H": Fraction(9, 10), "S": Fraction(1, 10)}
    assert world.ask(conditions("method=add => host=10.*"))() == ninety
    assert world.ask(conditions("method=del => host=10.*"))() == ninety
    assert world.ask(conditions("=> weight=5"))() == ninety  # whoever of a share meets it; of the other nobody does
    assert world.ask(conditions("=> weight=5", force=True))() == {"H": Fraction(9, 10), "": Fraction(1, 10)}
    assert world.ask(several("-> host=10.1.* 49, host=10.2.* 51"))() == ninety


@pytest.mark.parametrize(("case", "after"), [("noinstances", ["H"]), ("noavailable", ["H", "S"]), ("nolocal", None)])
def test_what_a_virtual_service_says_of_fallbacks_holds(case, after):
    to = {"destination": {"subset": "hz"}, "weight": 100, "fallback": {"target": "sh", "case": case}}
    routes = istio("VirtualService", {"hosts": [CART], "http": [{"route": [to]}]})
    world = World(HZ_SH.instances, more=(SUBSETS, routes))
    if after is None:
        with pytest.raises(ConfigError, match="a fallback of case nolocal"):
            world.mesh(conditions("method=add => host=10.*"))
        return
    asked = world.ask(conditions("method=add => host=10.*"))
    rule = asked.mesh.services[0].rules[-1]  # of calls that are neither tagged nor asked for
    target, names = next(one for one in rule.targets if one.weight), []
    while target is not None:
        names.append(asked.names(target.cluster, target.kind, target.text))
        target = rule.targets[target.fallback] if target.fallback is not None else None
    assert names == after


def test_a_service_of_kubernetes_by_all_of_its_names():
    whole = "cart.shop.svc.cluster.local"
    world = World(HZ_SH.instances, hosts=(whole,))
    for key in (whole, "cart.shop"):
        timeout = CONFIG % ("service", key, "{side: consumer, parameters: {timeout: 500}}")
        asked = world.ask(timeout, conditions("=> region=hz", key=key))
        for name in (whole, "cart.shop", "cart.shop.svc"):
            assert asked.one(service=name) == "H", (key, name)
            assert {rule.timeout_ms for one in asked.mesh.services for rule in one.rules} == {500}
