"""TrafficLabels -> where each label of a request is looked for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from meshfast import model
from meshfast.config import dfa, fqdn, hint
from meshfast.config.cluster import Clusters
from meshfast.config.document import Place, Report, did_you_mean
from meshfast.config.read import Resource
from meshfast.config.regex import BadRegex
from meshfast.config.traffic_label import LabelRule, LabelRules, LabelRulesBeta, TrafficLabel
from meshfast.model import LabelKind, LabelSource, Speaks, TraceFormat

MAX_LABELS = 16  # MF_PLAN_LABELS
MAX_SOURCES = 8  # MF_LABEL_SOURCES
MAX_TEXT = 63  # MF_LABEL_TEXT: what may be added to a request has a bound, as Kubernetes' labels have
LOCAL_TAG = "ASM_TRAFFIC_TAG"  # the workload's label that $(localLabel) means

TRACES = ("traceparent", "b3", "x-b3-traceid", "x-request-id", "EagleEye-TraceID", "sw8")
_FORMATS = {"traceparent": TraceFormat.TRACEPARENT, "b3": TraceFormat.B3, "sw8": TraceFormat.SW8}
_CALL = re.compile(r"\$(?:\(([A-Za-z]+)\)|([A-Za-z]+)(?:\(([^()]*)\))?)")

#: Dubbo is Dubbo2 and Triple; Triple is a gRPC, and that is HTTP.
PROTOCOLS = {
    "*": Speaks.ANY, "dubbo": Speaks.DUBBO | Speaks.TRIPLE, "tri": Speaks.TRIPLE, "triple": Speaks.TRIPLE,
    "grpc": Speaks.GRPC | Speaks.TRIPLE, "http": Speaks.HTTP | Speaks.GRPC | Speaks.TRIPLE,
    "http2": Speaks.HTTP | Speaks.GRPC | Speaks.TRIPLE,
}  # fmt: skip

# By function: the number of its arguments.
FUNCTIONS = {
    "localLabel": 0, "getContext": 1, "getInboundRequestHeader": 1, "getExternalInboundRequestHeader": 2,
    "getLocalOutboundRequestHeader": 1, "getLabel": 1,
}  # fmt: skip


def trace(key: str) -> LabelSource:
    """Trace ids under a key, in the format that goes with its name."""
    return LabelSource(LabelKind.CONTEXT, key, _FORMATS.get(key.lower(), TraceFormat.PLAIN))


@dataclass(frozen=True, slots=True)
class _Hosts:
    """Those that labels go on to, as they are written and compiled."""

    given: tuple[str, ...] = ()
    goes: bytes = b""


class Labels:
    """What the TrafficLabels say for this workload. ``known``: every label that any of them names."""

    def __init__(self, workload: Mapping[str, str], clusters: Clusters) -> None:
        self.workload, self._clusters = workload, clusters
        self.known: set[str] = set()
        self.labels: dict[str, model.Label] = {}
        self.idle: list[model.IdleLabel] = []
        self.traces: dict[str, LabelSource] = {key: trace(key) for key in TRACES}
        self.last: Place | None = None
        self._selected: dict[str, tuple[bool, Place]] = {}

    def add(self, found: Resource, report: Report) -> None:
        spec: TrafficLabel = found.spec
        selector = spec.workload_selector.labels if spec.workload_selector else {}
        here = all(self.workload.get(k) == v for k, v in selector.items())
        for rules in spec.rules:
            beta = rules if isinstance(rules, LabelRulesBeta) else None
            carried = _carried(beta.protocols) if beta is not None else Speaks.ANY
            hosts = _Hosts(beta.hosts, self._goes(beta, found.meta.namespace, report)) if beta is not None else _Hosts()
            for rule in rules.labels:
                if not rule.name:
                    continue
                self.known.add(rule.name)
                sources = self._sources(rule, report)
                if here and carried:
                    self._define(rule, sources, carried, hosts, bool(selector), report)
                else:
                    self.idle.append(model.IdleLabel(rule.name, _why(here, selector, rules), rule.at.origin()))

    def check_count(self, used: set[str], report: Report) -> None:
        """The core numbers those that are found here or asked for; what is for others alone takes no number."""
        count = len(used | self.labels.keys())
        if count > MAX_LABELS and self.last is not None:
            report.add(self.last, f"{count} labels are defined; the limit is {MAX_LABELS}")

    def _define(
        self, rule: LabelRule, sources: tuple[LabelSource, ...], carried: Speaks, hosts: _Hosts, selects: bool,
        report: Report,
    ) -> None:  # fmt: skip
        """The definition for selected workloads beats the one for all."""
        before = self._selected.get(rule.name)
        if before is not None and before[0] == selects:
            report.add(rule.at, f"the label {rule.name} is defined twice", f"first at {before[1].origin()}")
        elif before is None or selects:
            self._selected[rule.name] = selects, rule.at
            origin = rule.at.origin()
            self.labels[rule.name] = model.Label(rule.name, sources, origin, carried, hosts.given, hosts.goes)
            for source in sources:
                if source.kind is LabelKind.CONTEXT:
                    self.traces.setdefault(source.text, source)

    def _goes(self, rules: LabelRulesBeta, namespace: str, report: Report) -> bytes:
        """The hosts that labels go on to, as one expression; b"" for all."""
        if not rules.hosts or not {"*", "*/*"}.isdisjoint(rules.hosts):
            return b""
        parts: dict[str, None] = {}
        for host in rules.hosts:
            parts.update(dict.fromkeys(self._names(host, namespace)))
        try:
            return dfa.compile(f"({'|'.join(parts)})(:[0-9]+)?")
        except BadRegex as bad:
            report.add(rules.at.at("hosts"), f"{len(parts)} names are too many", f"{bad.message}: name them by pattern")
            return b""

    def _names(self, host: str, namespace: str) -> list[str]:
        """A host as expressions, for Dubbo and as authorities have it."""
        if host.startswith("*."):
            names = [".*" + _quoted(host[1:])]
        elif host.endswith(".*"):
            names = [_quoted(host[:-1]) + ".*"]
        else:
            meant = self._clusters.meant(host, namespace)
            listed = [meant] if meant in self._clusters.by_service else self._clusters.hosts(meant) or [host]
            names = [_quoted(one) for each in listed for one in (each, *fqdn.aliases(each, ""))]
        return [*names, *(name.lower() for name in names)]

    def _sources(self, rule: LabelRule, report: Report) -> tuple[LabelSource, ...]:
        """The request's own header first, then what valueFrom says."""
        out = [LabelSource(LabelKind.HEADER, rule.name)]
        if len(rule.name) > MAX_TEXT:
            report.add(rule.at.at("name"), f"the name is {len(rule.name)} bytes long; the limit is {MAX_TEXT}")
        for i, text in enumerate(rule.value_from):
            at = rule.at.at("valueFrom", i)
            call = _CALL.fullmatch(text) if text else None
            name = (call[1] or call[2]) if call else ""
            if not text:
                continue
            if call is None or name not in FUNCTIONS:
                known = [f"${n}" for n in FUNCTIONS]
                words = did_you_mean(text.partition("(")[0], known, f"known: {', '.join(known)}")
                report.add(at, f'"{text}" is not a source of labels', hint.comment(text) or words)
                continue
            given = [a.strip() for a in call[3].split(",")] if call[3] else []
            if len(given) != FUNCTIONS[name] or not all(given):
                report.add(at, f"${name}: {len(given)} names are given, {FUNCTIONS[name]} needed")
                continue
            found = self._source(name, given, rule.name)
            for source in found:
                if source.kind is not LabelKind.CONTEXT and (length := len(source.text.encode())) > MAX_TEXT:
                    what = "this workload's label" if source.kind is LabelKind.LOCAL else f"the header {source.text}"
                    report.add(at, f"{what} is {length} bytes long; the limit is {MAX_TEXT}")
            out += found
        out = list(dict.fromkeys(out))
        if len(out) > MAX_SOURCES:
            report.add(rule.at.at("valueFrom"), f"{len(out)} sources; the limit is {MAX_SOURCES}")
        return tuple(out)

    def _source(self, name: str, given: list[str], label: str) -> list[LabelSource]:
        match name:
            case "localLabel":
                own = self.workload.get(LOCAL_TAG) or self.workload.get(label)
                return [LabelSource(LabelKind.LOCAL, own)] if own else []
            case "getLabel":
                own = self.workload.get(given[0])
                return [LabelSource(LabelKind.LOCAL, own)] if own else []
            case "getContext":
                return [trace(given[0])]
            case "getExternalInboundRequestHeader":
                return [LabelSource(LabelKind.HEADER, given[1]), trace(given[0])]
        return [LabelSource(LabelKind.HEADER, given[0])]


def _why(here: bool, selector: Mapping[str, str], rules: LabelRules) -> str:
    if not here:
        return f"workloads labelled {', '.join(f'{k}={v}' for k, v in selector.items())}"
    assert isinstance(rules, LabelRulesBeta)
    return f"the protocols {rules.protocols}" if rules.protocols else "no protocol"


def _carried(protocols: str) -> Speaks:
    """Whose requests carry it, of the protocols that are known; none of them: nobody's."""
    found = Speaks(0)
    for name in protocols.split(","):
        found |= PROTOCOLS.get(name.strip().lower(), Speaks(0))
    return found


def _quoted(text: str) -> str:
    return "".join(c if c.isalnum() or c == "_" else f"\\{c}" for c in text)


def build(found: Iterable[Resource], clusters: Clusters, workload: Mapping[str, str], report: Report) -> Labels:
    """The labels of all TrafficLabels, as this workload sees them."""
    labels = Labels(workload, clusters)
    for resource in found:
        if resource.kind == "TrafficLabel":
            labels.add(resource, report)
            labels.last = resource.at
    if labels.last is not None and len(labels.traces) > MAX_SOURCES:
        message = f"{len(labels.traces)} trace keys, with the {len(TRACES)} that are always looked for"
        report.add(labels.last, message, f"the limit is {MAX_SOURCES}")
    return labels
