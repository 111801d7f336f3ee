"""OpenSergo's TrafficRouter -> the VirtualService that it is, but for where a destination's fallback stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from meshfast.config import compose
from meshfast.config.field import Record

CASE = "noinstances"


@dataclass(slots=True, kw_only=True)
class TrafficRouter(Record):
    fields: dict[str, tuple[Node, Node]]  # read once it is written as a VirtualService


def virtual_service(router: TrafficRouter) -> MappingNode:
    """The spec of the VirtualService, of the nodes that there are."""
    pairs = [(key, _each(value, _rule) if name == "http" else value) for name, (key, value) in router.fields.items()]
    at = router.at.node
    return MappingNode(compose.MAPPING, pairs, at.start_mark, at.end_mark)


def _each(node: Node, change: Callable[[MappingNode], MappingNode]) -> Node:
    if not isinstance(node, SequenceNode):
        return node
    values = [change(one) if isinstance(one, MappingNode) else one for one in node.value]
    return SequenceNode(node.tag, values, node.start_mark, node.end_mark)


def _rule(node: MappingNode) -> MappingNode:
    pairs = [(key, _each(value, _route) if key.value == "route" else value) for key, value in node.value]
    return MappingNode(node.tag, pairs, node.start_mark, node.end_mark)


def _route(node: MappingNode) -> MappingNode:
    """``destination: {host, fallback: {host, subset}}`` with the fallback beside it."""
    out: list[tuple[Node, Node]] = []
    for key, value in node.value:
        if key.value != "destination" or not isinstance(value, MappingNode):
            out.append((key, value))
            continue
        own = [pair for pair in value.value if pair[0].value != "fallback"]
        out.append((key, MappingNode(value.tag, own, value.start_mark, value.end_mark)))
        for name, target in value.value:
            if name.value == "fallback":
                out.append((name, _fallback(target)))
    return MappingNode(node.tag, out, node.start_mark, node.end_mark)


def _fallback(target: Node) -> MappingNode:
    marks = target.start_mark, target.end_mark
    pairs = [
        (ScalarNode(compose.PLAIN, "target", *marks), target),
        (ScalarNode(compose.PLAIN, "case", *marks), ScalarNode(compose.PLAIN, CASE, *marks)),
    ]
    return MappingNode(compose.MAPPING, pairs, *marks)
