"""Swim lanes (ASMSwimLaneGroup, ASMSwimLane) -> the subsets, rules and label that they stand for, as documents.

Permissive: the route header's value is a label that names the lane; who is not there is replaced by the base lane's.
Strict: each call stays in the lane of its caller. How calls enter a lane is for the gateway.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from meshfast.config import compose
from meshfast.config.document import Place, Report
from meshfast.config.field import checked
from meshfast.config.lane import LaneGroup, LaneService, Permissive
from meshfast.config.read import KINDS, Resource

GROUP = "swimlane-group"  # the label by which a lane names its group
BAGGAGE = "baggage"

Made = dict[str, Any]


def documents(found: Sequence[Resource], report: Report) -> list[Resource]:
    """All documents, with what the groups stand for in their place."""
    groups = [one for one in found if one.kind == "ASMSwimLaneGroup"]
    lanes = [one for one in found if one.kind == "ASMSwimLane"]
    for lane in lanes:
        name = lane.meta.labels.get(GROUP, "")
        if not report.incomplete and name not in [group.name for group in groups]:
            words = f"no ASMSwimLaneGroup {name} is there" if name else f"the label {GROUP} is missing"
            report.add(lane.named_at, words, f"metadata: {{labels: {{{GROUP}: ...}}}}")
    out = list(found)
    for group in groups:
        own = [lane for lane in lanes if lane.meta.labels.get(GROUP) == group.name and lane.spec.label_selector]
        if own and not group.at.bad:
            out += _group(group, own, out, report)
    return out


def _group(group: Resource, lanes: list[Resource], found: Iterable[Resource], report: Report) -> list[Resource]:
    wanted: LaneGroup = group.spec
    mode = wanted.mode if wanted.permissive else None
    names = [lane.name for lane in lanes]
    if wanted.permissive and mode is None:
        report.add(group.at, "permissiveModeConfiguration is missing", "it names the base lane and the route header")
        return []
    base = [mode.fallback_target, *mode.service_level.values()] if mode is not None else []
    for name in base:
        if name not in names and not report.incomplete:
            report.add(group.at, f"no lane {name} is in the group", f"its lanes are {', '.join(names)}")
            return []
    out = [_label(group, mode)] if mode is not None and mode.route_header not in _defined(found) else []
    known = {name for one in found if one.kind == "ServiceEntry" for name in (one.called, *one.hosts)}
    subsets = [{"name": lane.name, "labels": dict(lane.spec.label_selector)} for lane in lanes]
    for service in wanted.services:
        full = f"{service.name}.{service.namespace}.svc.cluster.local"
        host = next((name for name in (service.name, full) if name in known), "")
        if not host:
            report.warn(service.at, f"no ServiceEntry is or offers {service.name}", "its lanes are left out")
            continue
        rules = _strict(lanes) if mode is None else _permissive(lanes, mode, service)
        name = f"{group.name}-{service.name}"
        out.append(_made(group, "DestinationRule", name, {"host": host, "subsets": subsets}, report))
        out.append(_made(group, "VirtualService", name, {"hosts": [host], "http": rules}, report))
    return [one for one in out if one is not None]


def _strict(lanes: list[Resource]) -> list[Made]:
    return [
        {
            "name": lane.name,
            "match": [{"sourceLabels": dict(lane.spec.label_selector)}],
            "route": [{"destination": {"subset": lane.name}}],
        }
        for lane in lanes
    ]


def _permissive(lanes: list[Resource], mode: Permissive, service: LaneService) -> list[Made]:
    base = mode.service_level.get(f"{service.namespace}/{service.name}", mode.fallback_target)
    back = {"fallback": {"target": base, "case": "noavailabled"}}
    out = [
        {
            "name": lane.name,
            "match": [{mode.route_header: [{"exact": lane.name}]}],
            "route": [{"destination": {"subset": lane.name}, **back}],
        }
        for lane in lanes
        if lane.name != base
    ]
    return [*out, {"name": base, "route": [{"destination": {"subset": base}}]}]


def _label(group: Resource, mode: Permissive) -> Resource | None:
    sources = []
    if mode.trace_header and mode.trace_header not in (mode.route_header, BAGGAGE):
        sources = [f"$getExternalInboundRequestHeader({mode.trace_header}, {mode.route_header})"]
    label = {"name": mode.route_header, "valueFrom": sources}
    return _made(group, "TrafficLabel", group.name, {"rules": [{"labels": [label]}]}, Report())


def _defined(found: Iterable[Resource]) -> set[str]:
    return {
        label.name for one in found if one.kind == "TrafficLabel" for rules in one.spec.rules for label in rules.labels
    }


def _made(group: Resource, kind: str, name: str, spec_: Made, report: Report) -> Resource | None:
    """A document as if it had been written where the group stands."""
    root = Place(group.named_at.document, group.at.node)
    read = checked(next(iter(KINDS[kind][1].values())), _node(spec_, group.at.node), root, "spec", report)
    return None if read is None else Resource(kind, name, group.meta, read, group.named_at)


def _node(value: Any, at: Node) -> Node:
    marks = at.start_mark, at.end_mark
    if isinstance(value, dict):
        pairs = [(_node(k, at), _node(v, at)) for k, v in value.items()]
        return MappingNode(compose.MAPPING, pairs, *marks)
    if isinstance(value, list):
        return SequenceNode(compose.SEQUENCE, [_node(one, at) for one in value], *marks)
    return ScalarNode(compose.QUOTED, value, *marks)
