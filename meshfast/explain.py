"""A decision of the table in words: what ``meshfast explain`` and the admin page ``/explain`` show.

The answer is plain data:

``service``, ``method``, ``headers``, ``labels``  what was asked
``address``                                       where the call goes; "" when it goes nowhere
``error``                                         why it goes nowhere; "" otherwise
``subset``                                        the subset that took it
``rule``, ``origin``                              the rule that decided, and where it was written
``fallbacks``                                     how many targets were passed over
``timeout_ms``                                    the rule's; 0: none
``why``                                           one line: the targets passed over and the reasons
``steps``                                         every step: ``text``, ``origin``, ``outcome`` (+ taken, - passed over)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from meshfast.model import Condition, Field, Label, LabelKind, Match, Op, Origin, Rule, Service, Target, TargetKind
from meshfast.routing import Decision, Step, Table

__all__ = ["explain"]

_FIELDS = {Field.PATH: "uri", Field.METHOD: "method", Field.AUTHORITY: "authority"}
_OPS = {Op.EXACT: "is", Op.PREFIX: "starts with", Op.REGEX: "matches", Op.PRESENT: "is present", Op.ABSENT: "is absent"}


def explain(
    table: Table, service: str, method: str = "", headers: Mapping[str, str] | None = None,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Asks the table and puts the answer in words."""
    headers, labels = dict(headers or {}), dict(labels or {})
    found = {label.name: value for label in table.labels() if (value := _carried(label, headers))} | labels
    decision = table.explain(service, headers, found, method=method)
    rule = table.rule(decision)
    steps = list(_steps(decision))
    return {
        "service": service,
        "method": method,
        "headers": headers,
        "labels": found,
        "address": decision.route.address if decision.route else "",
        "error": decision.error,
        "subset": _subset(decision),
        "rule": (rule.name or f"rule {decision.route.rule + 1}") if rule and decision.route else "",
        "origin": str(rule.origin or "") if rule else "",
        "fallbacks": decision.route.fallbacks if decision.route else 0,
        "timeout_ms": decision.route.timeout_ms if decision.route else 0,
        "why": "; ".join(step["text"] for step in steps if step["outcome"] == "-" and step["about"] == "target"),
        "steps": steps,
    }


def _carried(label: Label, headers: Mapping[str, str]) -> str:
    """The label's value as a call would have it; what is remembered by trace id only a call can find."""
    lower = {key.lower(): value for key, value in headers.items()}
    for source in label.sources:
        if source.kind == LabelKind.HEADER and lower.get(source.text.lower()):
            return lower[source.text.lower()]
        if source.kind == LabelKind.LOCAL and source.text:
            return source.text
    return ""


def _subset(decision: Decision) -> str:
    """The name of the last target resolved: the subset, the label's value, or "baseline"."""
    if decision.route is None or decision.service is None:
        return ""
    last = next(step for step in reversed(decision.steps) if step.kind == "target")
    target = decision.service.rules[last.rule].targets[last.target]
    return {TargetKind.ALL: "", TargetKind.BASELINE: "baseline"}.get(target.kind, last.text)


def _steps(decision: Decision) -> Iterator[dict[str, str]]:
    for step in decision.steps:
        service = decision.service
        if service is None:
            yield _step("-", "service", f"{step.text} is not in the mesh" if step.kind == "no_service" else step.text)
            continue
        yield from _told(step, service)


def _step(outcome: str, about: str, text: str, origin: Origin | None = None) -> dict[str, str]:
    return {"outcome": outcome, "about": about, "text": text, "origin": str(origin or "")}


def _told(step: Step, service: Service) -> Iterator[dict[str, str]]:
    if step.kind == "service":
        yield _step("+", "service", f"service {step.text}", service.origin)
        return
    rule = service.rules[step.rule]
    if step.kind in ("match", "no_match"):
        yield _matched(step, rule)
        return
    target = rule.targets[step.target]
    instances, label = f"of {target.cluster}", target.text
    texts = {
        "target": ("+", _meaning(target, step.text)),
        "no_label": ("-", f"no label {label}"),
        "no_subset": ("-", f"no instance {instances} labelled {_labelled(target, step.text)}"),
        "empty": ("-", f"no instance {instances}{_among(target, step.text)}"),
        "down": ("-", f"no available instance {instances}{_among(target, step.text)}"),
        "end": ("-", "no further fallback"),
        "peer": ("+", f"instance {step.text}"),
    }
    outcome, text = texts[step.kind]
    yield _step(outcome, "target", text, target.origin)


def _labelled(target: Target, value: str) -> str:
    return f"{target.text}={value}" if target.kind == TargetKind.LABEL else value


def _among(target: Target, name: str) -> str:
    if target.kind == TargetKind.BASELINE:
        return f" without label {target.text}"
    if target.kind == TargetKind.LABEL:
        return f" labelled {target.text}={name}"
    return f" in subset {name}" if name else ""


def _meaning(target: Target, value: str) -> str:
    if target.kind == TargetKind.LABEL:
        return f"{target.cluster}: by label {target.text}" + (f" = {value}" if value else "")
    if target.kind == TargetKind.BASELINE:
        return f"{target.cluster}: baseline, instances without label {target.text}"
    if target.kind == TargetKind.SUBSET:
        return f"{target.cluster}: subset {value}"
    return f"{target.cluster}: every instance"


def _matched(step: Step, rule: Rule) -> dict[str, str]:
    name = rule.name or f"rule {step.rule + 1}"
    if step.kind == "match":
        if not rule.matches:
            return _step("+", "rule", f"{name}: matches every request", rule.origin)
        match = rule.matches[step.match]
        return _step("+", "rule", f"{name}: {_said(match)}", match.origin or rule.origin)
    match = rule.matches[step.match]
    condition = match.conditions[step.condition]
    seen = f", it is {step.text!r}" if step.text else ", there is none"
    if condition.field == Field.NEVER:
        seen = ", this workload's labels differ"
    return _step("-", "rule", f"{name}: {_condition(condition)} does not hold{seen}", match.origin or rule.origin)


def _said(match: Match) -> str:
    return ", ".join(map(_condition, match.conditions)) or "matches every request"


def _condition(condition: Condition) -> str:
    if condition.field == Field.NEVER:
        return condition.source or "sourceLabels"
    what = _FIELDS.get(condition.field) or f"{condition.field.name.lower()} {condition.key}"
    value = condition.source or (condition.value if isinstance(condition.value, str) else "")
    return f"{what} {_OPS[condition.op]}" + (f" {value}" if condition.op < Op.PRESENT else "")
