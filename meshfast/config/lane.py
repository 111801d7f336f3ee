"""The schema of swim lanes, and of what carries them: ASMSwimLaneGroup, ASMSwimLane and ASMHeaderPropagation."""

from __future__ import annotations

from dataclasses import dataclass

from yaml.nodes import MappingNode

from meshfast.config.field import Bool, ListOf, MapOf, Raw, Record, Struct, Text, Unread, spec
from meshfast.config.resource import HOST, LABEL, LABELS, WorkloadSelector


@dataclass(slots=True, kw_only=True)
class LaneService(Record):
    name: str = spec(HOST, "A service or an application.")
    namespace: str = spec(Text(), "Its namespace.", "")
    cluster: bool = spec(Unread(), "Accepted, without effect.", False, on="")
    traffic_policy: MappingNode | None = spec(
        Raw(), "The `trafficPolicy` of its DestinationRule.", None, name="trafficPolicyPatch", shown="the group's"
    )
    http_route: MappingNode | None = spec(
        Raw(), "More fields of each of its rules, as `timeout`.", None, name="httpRoutePatch", shown="the group's"
    )


@dataclass(slots=True, kw_only=True)
class Permissive(Record):
    fallback_target: str = spec(HOST, "The base lane: all of the services are in it.", name="fallbackTarget")
    service_level: dict[str, str] = spec(
        MapOf(HOST), "By `namespace/name`, the base lane of one service.", {}, name="serviceLevelFallbackTarget",
        shown="none",
    )  # fmt: skip
    trace_header: str = spec(
        Text(), "Where the trace id is, under which the lane is remembered; `baggage`: none.", "", name="traceHeader"
    )
    route_header: str = spec(LABEL, "The label that names the lane.", name="routeHeader")


@dataclass(slots=True, kw_only=True)
class LaneGroup(Record):
    services: tuple[LaneService, ...] = spec(ListOf(Struct(LaneService, "LaneService"), least=1), "What has lanes.")
    permissive: bool = spec(Bool(), "Whether the base lane stands in.", False, name="isPermissive", shown="false")
    mode: Permissive | None = spec(
        Struct(Permissive), "With isPermissive.", None, name="permissiveModeConfiguration", shown="none"
    )
    traffic_policy: MappingNode | None = spec(
        Raw(), "That of services that have none.", None, name="defaultTrafficPolicyPatch", shown="none"
    )
    http_route: MappingNode | None = spec(
        Raw(), "That of services that have none.", None, name="defaultHttpRoutePatch", shown="none"
    )
    ingress: bool = spec(Unread(), "Accepted: it is for the gateway.", False, on="")
    auto_update: bool = spec(Unread(), "Accepted, without effect.", False, name="autoUpdate", on="")


@dataclass(slots=True, kw_only=True)
class Lane(Record):
    label_selector: dict[str, str] = spec(LABELS, "What its instances are labelled.", name="labelSelector")
    services: bool = spec(Unread(), "Accepted, without effect: who carries its labels is in it.", False, on="")
    ingress_rules: bool = spec(Unread(), "Accepted: they are for the gateway.", False, name="ingressRules", on="")
    ingress_weight: bool = spec(Unread(), "Accepted: it is for the gateway.", False, name="ingressWeight", on="")


@dataclass(slots=True, kw_only=True)
class HeaderPropagation(Record):
    headers: tuple[str, ...] = spec(
        ListOf(LABEL, least=1), "Headers that go on from a call that comes in to those that are made for it."
    )
    workload_selector: WorkloadSelector | None = spec(
        Struct(WorkloadSelector), "Which workloads it is for.", None, name="workloadSelector", shown="every workload"
    )
