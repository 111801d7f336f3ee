"""Nodes -> resources: which kind a document is, what it is called, and its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from meshfast.config import asks, compose, foreign, hint, istio
from meshfast.config.document import COMPARED, Document, Place, Report, Text, TooLarge, did_you_mean
from meshfast.config.dubbo import meshrule
from meshfast.config.dubbo.document import kind as rule_kind
from meshfast.config.field import Struct, checked, field_name, not_a
from meshfast.config.field import Text as TextType
from meshfast.config.lane import HeaderPropagation, Lane, LaneGroup
from meshfast.config.opensergo import TrafficRouter
from meshfast.config.ratelimit import RateLimit
from meshfast.config.resource import (
    DestinationRule,
    Instance,
    ServiceEntry,
    VirtualService,
)
from meshfast.config.sidecar import SidecarSpec
from meshfast.config.switch import RegionSwitch
from meshfast.config.traffic_label import TrafficLabel, TrafficLabelBeta

_SERVICE_ENTRY = Struct(ServiceEntry, "ServiceEntry")
_DESTINATION_RULE = Struct(DestinationRule, "DestinationRule")
_VIRTUAL_SERVICE = Struct(VirtualService, "VirtualService")
_ISTIO = ("v1", "v1beta1", "v1alpha3")

# By kind: the API's group, and the schema of each of its versions.
KINDS: dict[str, tuple[str, dict[str, Struct]]] = {
    "Sidecar": ("meshfast.io", {"v1": Struct(SidecarSpec)}),
    "RegionSwitch": ("meshfast.io", {"v1": Struct(RegionSwitch)}),
    "RateLimit": ("meshfast.io", {"v1": Struct(RateLimit)}),
    "ServiceEntry": ("networking.istio.io", dict.fromkeys(_ISTIO, _SERVICE_ENTRY)),
    "WorkloadEntry": ("networking.istio.io", dict.fromkeys(_ISTIO, Struct(Instance, "Endpoint"))),
    "DestinationRule": ("networking.istio.io", dict.fromkeys(_ISTIO, _DESTINATION_RULE)),
    "VirtualService": ("networking.istio.io", dict.fromkeys(_ISTIO, _VIRTUAL_SERVICE)),
    "TrafficLabel": (
        "istio.alibabacloud.com",
        {"v1": Struct(TrafficLabel), "v1beta1": Struct(TrafficLabelBeta)},
    ),
    "ASMSwimLaneGroup": ("istio.alibabacloud.com", {"v1": Struct(LaneGroup, "ASMSwimLaneGroup")}),
    "ASMHeaderPropagation": (
        "istio.alibabacloud.com",
        dict.fromkeys(("v1", "v1beta1"), Struct(HeaderPropagation, "ASMHeaderPropagation")),
    ),
    "TrafficRouter": ("traffic.opensergo.io", {"v1alpha1": Struct(TrafficRouter, rest="fields")}),
    "ASMSwimLane": ("istio.alibabacloud.com", {"v1": Struct(Lane)}),
}
ANNOTATIONS = ("group", "version")  # of a ServiceEntry: of the services that it offers, as Dubbo has them
_TEXT = TextType(empty=True)
_TOP = ("apiVersion", "kind", "metadata", "spec", "status")
_METADATA = (
    "name namespace labels annotations generateName uid resourceVersion generation creationTimestamp "
    "deletionTimestamp deletionGracePeriodSeconds ownerReferences finalizers managedFields selfLink"
).split()


@dataclass(frozen=True, slots=True)
class Metadata:
    """What ``metadata`` says besides the name, as far as it counts here. ``created``: as text, "" first."""

    namespace: str = ""
    created: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


class Resource:
    """One document that could be read. ``spec`` is the record of its kind; ``at`` the place of its spec.

    ``called``: its name where others of the same name are in other namespaces.

    ``memo`` is what was made of it in the last load that was good, for the module of its kind, which puts what it makes
    now into ``draft``. Nodes take ten times the memory of what is made of them, so a load may forget them; they are
    read from the text again when a place is asked for after all.
    """

    __slots__ = (
        "kind", "name", "called", "meta", "export_to", "selector", "host", "hosts", "labels", "secured", "asks",
        "memo", "draft", "_text", "_all", "_read",
    )  # fmt: skip

    def __init__(self, kind: str, name: str, meta: Metadata, spec: Any, named_at: Place) -> None:
        self.kind, self.name, self.called, self.meta = kind, name, name, meta
        self.export_to: tuple[str, ...] = getattr(spec, "export_to", ())
        self.host: str = getattr(spec, "host", "")
        self.hosts: tuple[str, ...] = getattr(spec, "hosts", ())
        selector = getattr(spec, "workload_selector", None)
        found = getattr(selector, "match_labels", None)
        self.selector: Mapping[str, str] = found if found is not None else getattr(selector, "labels", {})
        own = getattr(spec, "labels", {})
        self.labels: Mapping[str, str] = {**own, **meta.labels} if kind == "WorkloadEntry" else {}
        self.secured = _secured(spec) if kind == "DestinationRule" else frozenset()
        self.asks = asks.hosts(kind, spec)
        self.memo: Any = None
        self.draft: Any = None
        self._text = named_at.document.text
        self._all: list[Resource] = []
        self._read: tuple[Any, Place] | None = (spec, named_at)

    @property
    def made(self) -> Any:
        """What was made of it, now or in the last load."""
        return self.memo if self.draft is None else self.draft

    @property
    def bare(self) -> bool:
        """Of a VirtualService: without hosts, so that it is for others to hand rules on to."""
        return not self.hosts

    def age(self) -> tuple[str, str, str]:
        """Of several for one thing the least one decides: the oldest, then by name."""
        return self.meta.created, self.name, self.meta.namespace

    def reach(self, own: str) -> int:
        """How widely it is exported, as far as the namespace ``own`` can tell: to its own alone, to some, to all."""
        if not own or not self.export_to or "*" in self.export_to:
            return 2
        return 0 if "." in self.export_to and self.meta.namespace in ("", own) else 1

    @property
    def spec(self) -> Any:
        return self._nodes()[0]

    @property
    def at(self) -> Place:
        place: Place = self.spec.at
        return place

    @property
    def named_at(self) -> Place:
        return self._nodes()[1]

    def _nodes(self) -> tuple[Any, Place]:
        if self._read is None:
            for one, again in zip(self._all, resources(self._text, Report()), strict=True):
                one._read = one._read or again._read
        assert self._read is not None
        return self._read

    def forget(self) -> None:
        self._read, self._text.lines = None, None


def _secured(rule: DestinationRule | None) -> frozenset[str]:
    """The ways of encryption that it asks for anywhere."""
    policies = [rule.traffic_policy, *(subset.traffic_policy for subset in rule.subsets)] if rule is not None else []
    blocks = [block for one in policies if one is not None for block in (one, *one.port_level)]
    return frozenset(block.tls.mode for block in blocks if block.tls is not None) - {"DISABLE"}


def resources(text: Text, report: Report) -> list[Resource]:
    """Every resource of a text."""
    out: list[Resource] = []
    for node in compose.compose(text, report):
        for one in _items(node):
            document = Document(text)
            report.opened(document, one)
            try:
                found = _resource(document, one, report)
            except TooLarge:
                report.incomplete = True
                report.add(Place(document, one), "its aliases unfold to more than the file could hold")
            else:
                if found is not None:
                    found._all = out
                    out.append(found)
    return out


def _items(node: Node) -> list[Node]:
    """The documents in a Kubernetes List; else the one there is."""
    if isinstance(node, MappingNode):
        fields = {k.value: v for k, v in node.value if isinstance(k, ScalarNode)}
        kind, items = fields.get("kind"), fields.get("items")
        if kind is not None and kind.value == "List" and isinstance(items, SequenceNode):
            return list(items.value)
    return [node]


def _resource(document: Document, node: Node, report: Report) -> Resource | None:
    root = Place(document, node)
    before = len(report.problems)
    if not isinstance(node, MappingNode) or node.tag != compose.MAPPING:
        report.add(root, not_a("a resource: apiVersion, kind, metadata, spec", node).message)
        report.incomplete = True
        return None
    fields: dict[str, tuple[Node, Node]] = {}
    again: list[Node] = []
    for name_node, value in node.value:
        if isinstance(name_node, ScalarNode) and name_node.value in _TOP and name_node.value in fields:
            again.append(name_node)
            continue
        name = field_name(name_node, root, fields, report)
        if name is None:
            continue
        fields[name] = (name_node, value)
    if _ignored(fields):
        return None
    if (rule := rule_kind(fields)) is not None:
        return _dubbo_rule(rule, document, node, root, report)
    if again:
        there = Place(document, again[0], root, again[0].value)
        missing = "is a --- missing before this line?" if len(again) > 1 else ""
        report.add(there, f"{again[0].value} is written twice", missing)
        if missing:
            report.incomplete = True
            return None
    schema = _schema(root, fields, report)
    if schema is None:
        report.incomplete = report.incomplete or len(report.problems) > before
        return None
    root.fields = _TOP
    kind = fields["kind"][1].value
    if fields["apiVersion"][1].value.startswith(f"{meshrule.GROUP}/"):
        kind = f"Dubbo{kind}"
    name, meta = _metadata(root, kind, fields, report)
    document.label = f"{kind}/{name}" if name else kind
    for unknown in fields.keys() - set(_TOP):
        report.add(
            Place(document, fields[unknown][0], root, unknown), f"unknown field {unknown}", _belongs(unknown, schema)
        )
    if "spec" not in fields:
        inside = "metadata" in fields and "spec" in [k.value for k, _ in _pairs(fields["metadata"][1])]
        meant = ("did you mean spec?", "it belongs under spec")
        if not inside and not any(_belongs(f, schema) in meant for f in fields.keys() - set(_TOP)):
            report.add(root, "spec is missing")
        report.incomplete = True
        return None
    if kind == "VirtualService" and (gateways := _gateways(fields["spec"][1])) and foreign.MESH not in gateways:
        report.pass_over(root, kind, f"for {' and '.join(gateways)}")
        return None
    spec = checked(schema, fields["spec"][1], root, "spec", report)
    if len(report.problems) > before and (spec is None or (not name and kind != "Sidecar")):
        report.incomplete = True
        return None
    return Resource(kind, name, meta, spec, root.at("metadata", "name"))


def _dubbo_rule(
    rule: tuple[str, Struct], document: Document, node: Node, root: Place, report: Report
) -> Resource | None:  # fmt: skip
    """One of Dubbo's rules that have no kind: all of the document is its spec, and its key its name."""
    kind, schema = rule
    before = len(report.problems)
    spec = checked(schema, node, root, "", report)
    document.label = f"{kind}/{spec.key}" if spec is not None else kind
    if spec is None or len(report.problems) > before:
        report.incomplete = report.incomplete or spec is None
        return None
    scope = getattr(spec, "scope", "")
    return Resource(kind, f"{scope} {spec.key}", Metadata(), spec, root.at("key"))


def _pairs(node: Node | None) -> list[tuple[Any, Any]]:
    return list(node.value) if isinstance(node, MappingNode) else []


def _gateways(spec: Node) -> list[str]:
    """Those that a VirtualService is for; none where it does not say so, or not as it should."""
    found = next((value for key, value in _pairs(spec) if key.value == "gateways"), None)
    named = found.value if isinstance(found, SequenceNode) else []
    return [str(one.value) for one in named] if all(isinstance(one, ScalarNode) for one in named) else []


def _ignored(fields: dict[str, tuple[Node, Node]]) -> bool:
    """Whether the document asks not to be read."""
    metadata = _pairs(fields["metadata"][1]) if "metadata" in fields else []
    annotations = next((value for key, value in metadata if key.value == "annotations"), None)
    found = (
        next((value for key, value in _pairs(annotations) if key.value == foreign.IGNORE), None)
        if annotations
        else None
    )
    return found is not None and found.value == "true"


def _belongs(unknown: str, schema: Struct) -> str:
    """A hint for a field of the document that is none."""
    if unknown in schema.fields:
        return "it belongs under spec"
    if unknown in _METADATA:
        return "it belongs under metadata"
    return did_you_mean(unknown, _TOP, hint.comment(unknown) or "the resource's own fields go under spec")


def _schema(root: Place, fields: dict[str, tuple[Node, Node]], report: Report) -> Struct | None:
    for name in ("apiVersion", "kind"):
        if name not in fields:
            otherwise = "apiVersion: networking.istio.io/v1, kind: VirtualService, ..."
            near = [word for word in fields if did_you_mean(word, (name,))] if len(fields) < COMPARED else []
            words = f"is it {near[0]}?" if near and near[0] not in _TOP else otherwise
            report.add(root, *(foreign.dubbo_rule(fields) or (f"{name} is missing", words)))
            return None
        if not isinstance(fields[name][1], ScalarNode):
            there = Place(root.document, fields[name][1], root, name)
            report.add(there, not_a("text", fields[name][1]).message)
            return None
    api, kind = fields["apiVersion"][1].value, fields["kind"][1].value
    at_kind = Place(root.document, fields["kind"][1], root, "kind")
    at_api = Place(root.document, fields["apiVersion"][1], root, "apiVersion")
    group, _, version = api.rpartition("/")
    if group == meshrule.GROUP and kind in meshrule.KINDS:
        return meshrule.KINDS[kind]
    if kind in istio.PASSED_KINDS.get(group, ()):
        report.pass_over(root, kind, "")
        return None
    if kind in istio.UNSUPPORTED_KINDS.get(group, ()):
        words = "meshfast's own Sidecar is of meshfast.io/v1" if kind == "Sidecar" else foreign.SKIP
        report.add(at_kind, f"{kind} of {group} is not supported yet", words)
    elif (kind not in KINDS or group.endswith("dubbo.apache.org")) and (other := foreign.kind(group, kind)):
        report.add(at_kind, *other)
    elif kind not in KINDS:
        report.add(
            at_kind, f"unknown kind {kind}", did_you_mean(kind, KINDS, f"known: {', '.join(KINDS)}; {foreign.SKIP}")
        )
    elif group != KINDS[kind][0] or version not in KINDS[kind][1]:
        known = " or ".join(f"{KINDS[kind][0]}/{v}" for v in KINDS[kind][1])
        report.add(at_api, f"unknown apiVersion {api}", f"{kind} is of {known}")
    else:
        return KINDS[kind][1][version]
    return None


def _metadata(
    root: Place, kind: str, fields: dict[str, tuple[Node, Node]], report: Report
) -> tuple[str, Metadata]:  # fmt: skip
    """``metadata.name``, without which only a Sidecar may go, and what else of it counts."""
    if "metadata" not in fields:
        if kind != "Sidecar":
            report.add(root, "metadata is missing", "metadata: {name: ...}")
        return "", Metadata()
    node = fields["metadata"][1]
    at = Place(root.document, node, root, "metadata")
    if not isinstance(node, MappingNode):
        report.add(at, not_a("a mapping", node).message)
        return "", Metadata()
    seen: dict[str, Node] = {}
    for name_node, value in node.value:
        name = field_name(name_node, at, seen, report)
        if name is None:
            continue
        seen[name] = value
        if name not in _METADATA:
            there = Place(root.document, name_node, at, name)
            words = "it belongs one level up, beside metadata" if name in _TOP else did_you_mean(name, _METADATA)
            report.add(there, f"unknown field {name}", words)
    meta = Metadata(
        _word(seen.get("namespace")),
        _word(seen.get("creationTimestamp")),
        {str(k.value): _word(v) for k, v in _pairs(seen["labels"])} if "labels" in seen else {},
        _annotations(at, seen.get("annotations"), report) if kind == "ServiceEntry" else {},
    )
    if "name" not in seen:
        if kind != "Sidecar":
            report.add(at, "name is missing", "every resource has a name of its own")
        return "", meta
    found = seen["name"]
    if not isinstance(found, ScalarNode) or not found.value:
        report.add(Place(root.document, found, at, "name"), not_a("text", found).message)
        return "", meta
    return str(found.value), meta


def _word(node: Node | None) -> str:
    return str(node.value) if isinstance(node, ScalarNode) else ""


def _annotations(at: Place, node: Node | None, report: Report) -> dict[str, str]:
    """Those that say something here, as text."""
    out: dict[str, str] = {}
    here = Place(at.document, node, at, "annotations") if node is not None else at
    for key, value in _pairs(node) if node is not None else []:
        if key.value in ANNOTATIONS:
            out[key.value] = checked(_TEXT, value, here, key.value, report)
    return out
