"""The schema of swim lanes: ASMSwimLaneGroup and ASMSwimLane."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast.config.field import Bool, ListOf, MapOf, Record, Struct, Text, Unread, spec
from meshfast.config.resource import HOST, LABEL, LABELS


@dataclass(slots=True, kw_only=True)
class LaneService(Record):
    name: str = spec(HOST, "A service or an application.")
    namespace: str = spec(Text(), "Its namespace.", "")
    cluster: bool = spec(Unread(), "Accepted, without effect.", False, on="")


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
    ingress: bool = spec(Unread(), "Accepted: it is for the gateway.", False, on="")
    auto_update: bool = spec(Unread(), "Accepted, without effect.", False, name="autoUpdate", on="")


@dataclass(slots=True, kw_only=True)
class Lane(Record):
    label_selector: dict[str, str] = spec(LABELS, "What its instances are labelled.", name="labelSelector")
    services: bool = spec(Unread(), "Accepted, without effect: who carries its labels is in it.", False, on="")
    ingress_rules: bool = spec(Unread(), "Accepted: they are for the gateway.", False, name="ingressRules", on="")
    ingress_weight: bool = spec(Unread(), "Accepted: it is for the gateway.", False, name="ingressWeight", on="")
