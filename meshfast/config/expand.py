"""Swim lanes (ASMSwimLaneGroup, ASMSwimLane) -> the subsets, rules and label that they stand for, as documents.

Permissive: the route header's value is a label that names the lane; who is not there is replaced by the base lane's.
Strict: each call stays in the lane of its caller. How calls enter a lane is for the gateway. A header that an
ASMHeaderPropagation carries on is a label that is remembered by any trace id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from meshfast.config import compose, opensergo
from meshfast.config.document import Place, Report
from meshfast.config.field import checked
from meshfast.config.label import TRACES
from meshfast.config.lane import HeaderPropagation, LaneGroup, LaneService, Permissive
from meshfast.config.read import KINDS, Resource

GROUP = "swimlane-group"  # the label by which a lane names its group
BAGGAGE = "baggage"

Made = dict[str, Any]


def documents(found: Sequence[Resource], workload: Mapping[str, str], report: Report) -> list[Resource]:
    """All documents, and what the groups and headers stand for. ``workload``: its labels."""
    groups = [one for one in found if one.kind == "ASMSwimLaneGroup"]
    lanes = [one for one in found if one.kind == "ASMSwimLane"]
    for lane in lanes:
        name = lane.meta.labels.get(GROUP, "")
        if not report.incomplete and name not in [group.name for group in groups]:
            words = f"no ASMSwimLaneGroup {name} is there" if name else f"the label {GROUP} is missing"
            report.add(lane.named_at, words, f"metadata: {{labels: {{{GROUP}: ...}}}}")
    out = list(found)
    for one in found:
        if one.kind == "ASMHeaderPropagation" and not one.at.bad:
            out += _propagation(one, _defined(out, workload), report)
    for one in found:
        if one.kind == "TrafficRouter" and not one.at.bad:
            made = _made(one, "VirtualService", one.name, opensergo.virtual_service(one.spec), report)
            out += [made] if made is not None else []
    for group in groups:
        own = [lane for lane in lanes if lane.meta.labels.get(GROUP) == group.name and lane.spec.label_selector]
        if own and not group.at.bad:
            out += _group(group, own, out, _defined(out, workload), report)
    return out


def _group(
    group: Resource, lanes: list[Resource], found: Iterable[Resource], defined: set[str], report: Report
) -> list[Resource]:
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
    out = [_label(group, mode)] if mode is not None and mode.route_header not in defined else []
    known = {name for one in found if one.kind == "ServiceEntry" for name in (one.called, *one.hosts)}
    subsets = [{"name": lane.name, "labels": dict(lane.spec.label_selector)} for lane in lanes]
    for service in wanted.services:
        full = f"{service.name}.{service.namespace}.svc.cluster.local"
        host = next((name for name in (service.name, full) if name in known), "")
        if not host:
            report.warn(service.at, f"no ServiceEntry is or offers {service.name}", "its lanes are left out")
            continue
        rules = _strict(lanes) if mode is None else _permissive(lanes, mode, service)
        name, policy = f"{group.name}-{service.name}", service.traffic_policy or wanted.traffic_policy
        rules = [_patched(rule, service.http_route or wanted.http_route) for rule in rules]
        declared = {"host": host, "subsets": subsets} | ({"trafficPolicy": policy} if policy else {})
        out.append(_made(group, "DestinationRule", name, declared, report))
        out.append(_made(group, "VirtualService", name, {"hosts": [host], "http": rules}, report))
    return [one for one in out if one is not None]


def _patched(rule: Made, patch: MappingNode | None) -> Made:
    """A rule with fields that it does not have itself."""
    more = {key.value: value for key, value in patch.value} if patch is not None else {}
    return more | rule


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


def _propagation(found: Resource, defined: set[str], report: Report) -> list[Resource]:
    wanted: HeaderPropagation = found.spec
    sources = [f"$getContext({key})" for key in TRACES]
    labels = [{"name": name, "valueFrom": sources} for name in dict.fromkeys(wanted.headers) if name not in defined]
    selector = {"labels": dict(wanted.workload_selector.labels)} if wanted.workload_selector else {}
    made = _made(
        found, "TrafficLabel", found.name,
        {"rules": [{"labels": labels}]} | ({"workloadSelector": selector} if selector else {}), report,
    ) if labels else None  # fmt: skip
    return [made] if made is not None else []


def _defined(found: Iterable[Resource], workload: Mapping[str, str]) -> set[str]:
    """The labels that this workload has by TrafficLabels."""
    ours = [one for one in found if one.kind == "TrafficLabel" and one.selector.items() <= workload.items()]
    return {label.name for one in ours for rules in one.spec.rules for label in rules.labels}


def _made(group: Resource, kind: str, name: str, spec_: Made | Node, report: Report) -> Resource | None:
    """A document as if it had been written where the group stands."""
    root = Place(group.named_at.document, group.at.node)
    read = checked(next(iter(KINDS[kind][1].values())), _node(spec_, group.at.node), root, "spec", report)
    return None if read is None else Resource(kind, name, group.meta, read, group.named_at)


def _node(value: Any, at: Node) -> Node:
    marks = at.start_mark, at.end_mark
    if isinstance(value, Node):
        return value
    if isinstance(value, dict):
        pairs = [(_node(k, at), _node(v, at)) for k, v in value.items()]
        return MappingNode(compose.MAPPING, pairs, *marks)
    if isinstance(value, list):
        return SequenceNode(compose.SEQUENCE, [_node(one, at) for one in value], *marks)
    return ScalarNode(compose.QUOTED, value, *marks)
