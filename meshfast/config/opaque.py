"""What a VirtualService says of connections that are not read (``tls``, ``tcp``). They go on to where they were
dialled, which is what rules ask for that name no other host than the one dialled.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from meshfast.config import foreign
from meshfast.config.document import Report
from meshfast.config.field import Int, ListOf, MapOf, Record, Struct, Text, spec
from meshfast.config.policy import PortSelector

_ELSEWHERE = "connections are not read beyond their protocol: they go on to where they were dialled"


@dataclass(slots=True, kw_only=True)
class OpaqueDestination(Record):
    host: str = spec(Text(), "The host.")
    subset: str = spec(Text(), "Refused: whichever instance was dialled is used.", "", shown="all instances")
    port: PortSelector | None = spec(Struct(PortSelector), "The port that was dialled.", None, shown="the same")


@dataclass(slots=True, kw_only=True)
class OpaqueRoute(Record):
    destination: OpaqueDestination | None = spec(Struct(OpaqueDestination), "Where to.")
    weight: int = spec(Int(0, 2**31 - 1), "Accepted, without effect.", 0, on="")


@dataclass(slots=True, kw_only=True)
class OpaqueMatch(Record):
    sni_hosts: tuple[str, ...] = spec(ListOf(Text()), "The server's name.", (), name="sniHosts", shown="any")
    port: int = spec(Int(1, 65535), "The port.", 0, shown="any")
    gateways: tuple[str, ...] = spec(ListOf(Text()), "Without `mesh` among them it is for others.", (), shown="all")
    subnets: tuple[str, ...] = spec(ListOf(Text()), "Its addresses.", (), name="destinationSubnets", shown="any")
    source_labels: dict[str, str] = spec(MapOf(Text()), "The workload's.", {}, name="sourceLabels", shown="any")
    source_namespace: str = spec(Text(), "The workload's.", "", name="sourceNamespace", shown="any")


@dataclass(slots=True, kw_only=True)
class OpaqueRule(Record):
    name: str = spec(Text(), "Accepted, without effect.", "", on="")
    match: tuple[OpaqueMatch, ...] = spec(ListOf(Struct(OpaqueMatch)), "Which connections.", (), shown="all")
    route: tuple[OpaqueRoute, ...] = spec(ListOf(Struct(OpaqueRoute), least=1), "One destination, which is dialled.")


RULES = ListOf(Struct(OpaqueRule))


def check(hosts: Iterable[str], rules: Iterable[OpaqueRule], report: Report) -> None:
    """Refuses rules that send connections elsewhere than they were dialled. ``hosts``: those that they are for."""
    for rule in rules:
        for one in rule.route if _ours(rule) else ():
            to = one.destination
            if rule.at.bad or to is None:
                continue
            names = {name for match in rule.match for name in match.sni_hosts} or set(hosts)
            if len(rule.route) > 1 or to.subset or names != {to.host}:
                report.add(to.at, f"connections would go to {to.host}, and no other is dialled for them", _ELSEWHERE)


def _ours(rule: OpaqueRule) -> bool:
    return not rule.match or any(not one.gateways or foreign.MESH in one.gateways for one in rule.match)
