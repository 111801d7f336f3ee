"""Affinity rules (``AffinityStateRouter``): instances that share a label with this workload, where they are enough."""

from __future__ import annotations

from meshfast.config.dubbo.document import AffinityRule
from meshfast.config.dubbo.parties import Consumer
from meshfast.config.dubbo.step import ALWAYS, Case, Outcome, Pick, Step, Test


def step(rule: AffinityRule, consumer: Consumer) -> Step | None:
    """What it does to the calls of ``consumer``; None: nothing."""
    said = rule.affinity
    own = consumer.get(said.key) if said is not None else None
    if said is None or own is None or not 0 <= said.ratio <= 100:
        return None
    key = said.key
    alike = Test(lambda one: one.get(key) == own, f"{key}={own}")
    outcome = Outcome(((Pick((alike,)),),), percent=said.ratio)
    return Step((Case(ALWAYS, outcome, f"affinity {key}", rule.at.origin()),))
