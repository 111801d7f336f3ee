"""The steps of a decision in words, for explain."""

from __future__ import annotations

from meshfast.model import Origin, Rule, Service, Target, TargetKind
from meshfast.routing import Step
from meshfast.words import Asked, differs, holds, quoted


def say(outcome: str, about: str, text: str, origin: Origin | None = None) -> dict[str, str]:
    """One line of an answer: "+" or "-", what it is about, and where that is written."""
    return {"outcome": outcome, "about": about, "text": text, "origin": str(origin or "")}


def step_words(asked: Asked, step: Step, service: Service | None) -> dict[str, str]:
    """What one step of a decision means."""
    if service is None:
        return say("-", "service", f"{step.text} is not in the mesh" if step.kind == "no_service" else step.text)
    if step.kind == "service":
        return say("+", "service", f"service {step.text}", service.origin)
    rule = service.rules[step.rule]
    if step.kind in ("match", "no_match"):
        return _compared(asked, step, rule)
    target = rule.targets[step.target]
    instances, label = f"of {target.cluster}", target.text
    texts = {
        "target": ("+", meaning(target, step.text)), "no_label": ("-", f"no label {label}"),
        "no_subset": ("-", f"no instance {instances} labelled {_labelled(target, step.text)}"),
        "empty": ("-", f"no instance {instances}{_among(target, step.text)}"),
        "no_port": ("-", f"no instance {instances}{_among(target, step.text)} has a port for {_spoken(asked)}"),
        "down": ("-", f"no available instance {instances}{_among(target, step.text)}"),
        "far": ("-", f"no available instance {instances}{_among(target, step.text)} in this region"),
        "end": ("-", "no further fallback"), "anywhere": ("+", "none in any fallback: instances of other regions, too"),
        "hash": ("+", f'hashed: "{step.text}"'),
        "no_hash": ("+", "it has not what is hashed: any instance"),
        "peer": ("+", f"instance {step.text}"),
    }
    outcome, text = texts[step.kind]
    return say(outcome, "target", text, target.origin)


def _spoken(asked: Asked) -> str:
    return "Dubbo" if asked.http is None else "HTTP/2"


def _labelled(target: Target, value: str) -> str:
    return f"{target.text}={value}" if target.kind == TargetKind.LABEL else quoted(value)


def _among(target: Target, name: str) -> str:
    if target.kind == TargetKind.BASELINE:
        return f" without label {target.text}"
    if target.kind == TargetKind.LABEL:
        return f" labelled {target.text}={name}"
    return f" in subset {quoted(name)}" if name else ""


def meaning(target: Target, value: str) -> str:
    """Which instances a target means, for a value of its label."""
    if target.kind == TargetKind.LABEL:
        return f"{target.cluster}: by label {target.text}" + (f" = {value}" if value else "")
    if target.kind == TargetKind.BASELINE:
        return f"{target.cluster}: baseline, instances without label {target.text}"
    if target.kind == TargetKind.SUBSET:
        return f"{target.cluster}: subset {quoted(value)}"
    return f"{target.cluster}: every instance"


def _compared(asked: Asked, step: Step, rule: Rule) -> dict[str, str]:
    name = rule.name or f"rule {step.rule + 1}"
    if step.kind == "match" and not rule.matches:
        return say("+", "rule", f"{name}: matches every request", rule.origin)
    match = rule.matches[step.match]
    if step.kind == "match":
        said = ", ".join(dict.fromkeys(map(holds, match.conditions))) or "matches every request"
        return say("+", "rule", f"{name}: {said}", match.origin or rule.origin)
    condition = match.conditions[step.condition]
    return say("-", "rule", f"{name}: {differs(condition, asked, step.text)}", match.origin or rule.origin)
