"""The schema of Dubbo's mesh rules: VirtualService and DestinationRule of service.dubbo.apache.org."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from yaml.nodes import Node

from meshfast.config.document import Key, Place, Report
from meshfast.config.dubbo.document import STRING, WORD, WORDS, Maybe, StringMatch
from meshfast.config.field import Int, MapOf, Record, Struct, Type, Unread, spec

_LARGE = 2**31 - 1
GROUP = "service.dubbo.apache.org"
LABELS = MapOf(WORD)


class _Later(Type):
    """A mapping that has itself in it."""

    words = "a mapping"

    def __init__(self, meant: Callable[[], Struct]) -> None:
        self._meant = meant

    def read(self, node: Node, place: Place, key: Key, report: Report) -> Any:
        return self._meant().read(node, place, key, report)

    def empty(self) -> None:
        return None


@dataclass(slots=True, kw_only=True)
class MeshSubset(Record):
    name: str = spec(WORD, "Its name.")
    labels: dict[str, str] = spec(LABELS, "Parameters of its instances, all of them.", {}, shown="none: all")
    traffic_policy: bool = spec(Unread(), "Accepted, without effect.", False, name="trafficPolicy", on="")


@dataclass(slots=True, kw_only=True)
class MeshDestinationRule(Record):
    host: str = spec(WORD, "The application that offers the services.")
    subsets: tuple[MeshSubset, ...] = spec(Maybe(Struct(MeshSubset)), "Its subsets.", (), shown="none")
    traffic_policy: bool = spec(Unread(), "Accepted, without effect, as in Dubbo.", False, name="trafficPolicy", on="")


@dataclass(slots=True, kw_only=True)
class NumberRange(Record):
    start: str | None = spec(WORD, "From this number on.", None, shown="-")
    end: str | None = spec(WORD, "Below this number.", None, shown="-")


@dataclass(slots=True, kw_only=True)
class NumberMatch(Record):
    exact: str | None = spec(WORD, "This number.", None, shown="-")
    range: NumberRange | None = spec(Struct(NumberRange), "Numbers between two.", None, shown="-")
    mod: str | None = spec(WORD, "Refused: numbers are compared by their digits.", None, shown="-")


@dataclass(slots=True, kw_only=True)
class TextMatches(Record):
    oneof: tuple[StringMatch, ...] = spec(Maybe(STRING), "Any of these.", (), shown="none: no text")


@dataclass(slots=True, kw_only=True)
class NumberMatches(Record):
    oneof: tuple[NumberMatch, ...] = spec(Maybe(Struct(NumberMatch)), "Any of these.", (), shown="none: no number")


@dataclass(slots=True, kw_only=True)
class BoolMatch(Record):
    exact: str | None = spec(WORD, "`true` or `false`.", None, shown="-")


@dataclass(slots=True, kw_only=True)
class ArgumentMatch(Record):
    index: int = spec(Int(0, 255), "Which argument, from 0.", 0)
    type: bool = spec(Unread(), "Accepted, without effect, as in Dubbo.", False, on="")
    str_value: TextMatches | None = spec(Struct(TextMatches), "A text.", None, shown="-", on="DUBBO")
    num_value: NumberMatches | None = spec(Struct(NumberMatches), "A whole number.", None, shown="-", on="DUBBO")
    bool_value: BoolMatch | None = spec(Struct(BoolMatch), "A truth.", None, shown="-", on="DUBBO")


@dataclass(slots=True, kw_only=True)
class MethodMatch(Record):
    name_match: StringMatch | None = spec(STRING, "Its name.", None, shown="any")
    args: tuple[ArgumentMatch, ...] = spec(Maybe(Struct(ArgumentMatch)), "Its arguments, all of these.", (),
                                           shown="any", on="DUBBO")  # fmt: skip
    argc: int | None = spec(Int(0, 255), "Refused: how many there are is not read.", None, shown="any")
    argp: tuple[StringMatch, ...] = spec(Maybe(STRING), "Refused: their types are not read.", (), shown="any")
    headers: bool = spec(Unread(), "Accepted, without effect, as in Dubbo.", False, on="")


@dataclass(slots=True, kw_only=True)
class AttachmentMatch(Record):
    dubbo: dict[str, StringMatch] = spec(MapOf(STRING), "Attachments, all of these.", {}, name="dubboContext",
                                         shown="any")  # fmt: skip
    tracing: dict[str, StringMatch] = spec(
        MapOf(STRING), "Never true: Dubbo asks a plugin, and brings none.", {}, name="tracingContext", shown="any"
    )


@dataclass(slots=True, kw_only=True)
class MeshMatch(Record):
    name: str = spec(WORD, "A name.", "")
    method: MethodMatch | None = spec(Struct(MethodMatch), "The method.", None, shown="any")
    source_labels: dict[str, str] = spec(
        LABELS, "Labels that this sidecar's workload must carry.", {}, name="sourceLabels", shown="any"
    )
    attachments: AttachmentMatch | None = spec(Struct(AttachmentMatch), "What the call carries.", None, shown="any")
    headers: bool = spec(Unread(), "Accepted, without effect, as in Dubbo.", False, on="")


@dataclass(slots=True, kw_only=True)
class MeshDestination(Record):
    host: bool = spec(Unread(), "Accepted, without effect, as in Dubbo: only the subset counts.", False, on="")
    port: bool = spec(Unread(), "The same.", False, on="")
    subset: str = spec(WORD, "The subset.", "")
    fallback: MeshRoute | None = spec(
        _Later(lambda: MESH_ROUTE), "Where to when it has no instance: a route again.", None, shown="none"
    )


@dataclass(slots=True, kw_only=True)
class MeshRoute(Record):
    destination: MeshDestination | None = spec(Struct(MeshDestination), "Where to.", None, shown="none")
    weight: int = spec(Int(-_LARGE, _LARGE), "Its share of the sum of them; below 1 counts as 1.", 1)


MESH_ROUTE: Struct = Struct(MeshRoute)


@dataclass(slots=True, kw_only=True)
class RouteDetail(Record):
    name: str = spec(WORD, "A name for explain.", "")
    match: tuple[MeshMatch, ...] = spec(Maybe(Struct(MeshMatch)), "**All** of them must be true.", (), shown="always")
    route: tuple[MeshRoute, ...] = spec(Maybe(MESH_ROUTE), "Where to.", (), shown="none: to all instances")


@dataclass(slots=True, kw_only=True)
class MeshDubbo(Record):
    name: str = spec(WORD, "A name.", "")
    services: tuple[StringMatch, ...] = spec(Maybe(STRING), "The services it is for, any of these.", (), shown="all")
    detail: tuple[RouteDetail, ...] = spec(
        Maybe(Struct(RouteDetail)), "The first of which the match is true decides.", (), name="routedetail",
        shown="none",
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class MeshVirtualService(Record):
    hosts: tuple[str, ...] = spec(WORDS, "The application that offers the services.")
    dubbo: tuple[MeshDubbo, ...] = spec(
        Maybe(Struct(MeshDubbo)), "The first of which the services fit decides.", (), shown="none"
    )


KINDS = {
    "VirtualService": Struct(MeshVirtualService),
    "DestinationRule": Struct(MeshDestinationRule),
}
