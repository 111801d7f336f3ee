"""The schema of a TrafficLabel, as ASM has it."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast.config.field import Choice, ListOf, Record, Struct, Text, spec
from meshfast.config.resource import HOST, LABEL, WorkloadSelector


@dataclass(slots=True, kw_only=True)
class LabelRule(Record):
    name: str = spec(LABEL, "The label; also the header or attachment that carries it.")
    value_from: tuple[str, ...] = spec(ListOf(Text()), "Further sources, in order.", (), name="valueFrom", shown="none")


@dataclass(slots=True, kw_only=True)
class LabelRules(Record):
    labels: tuple[LabelRule, ...] = spec(ListOf(Struct(LabelRule), least=1), "The labels.")


@dataclass(slots=True, kw_only=True)
class LabelRulesBeta(LabelRules):
    attach_to: tuple[str, ...] = spec(
        ListOf(Choice("opentracing")), "Accepted, without effect.", (), name="attachTo", shown="none"
    )
    hosts: tuple[str, ...] = spec(
        ListOf(HOST),
        "The hosts whose calls they are put into: services, applications, `prefix.*`, `*.suffix`, or `*`.",
        (),
        shown="all",
    )
    protocols: str = spec(
        Text(empty=True),
        'Whose requests carry it: `"*"`, or names with commas: `dubbo` (Dubbo2, Triple), `triple`, `grpc` (and Triple),'
        " `http` (all of these but Dubbo2); another, or none: nobody's.",
        "*",
    )


@dataclass(slots=True, kw_only=True)
class TrafficLabel(Record):
    rules: tuple[LabelRules, ...] = spec(ListOf(Struct(LabelRules), least=1), "The rules.")
    workload_selector: WorkloadSelector | None = spec(
        Struct(WorkloadSelector), "Which workloads it is for.", None, name="workloadSelector", shown="every workload"
    )


@dataclass(slots=True, kw_only=True)
class TrafficLabelBeta(TrafficLabel):
    rules: tuple[LabelRules, ...] = spec(ListOf(Struct(LabelRulesBeta), least=1), "The rules.")
