"""The schema of the policy resources: Istio's and ASM's, as far as this release goes. Field names are theirs.

Units and defaults are in each field's text; the reference page is checked against this file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from yaml.nodes import Node

from meshfast.config import change, fault, value
from meshfast.config.document import Refused
from meshfast.config.field import Bool, Choice, Int, ListOf, MapOf, OneOf, Parsed, Record, Struct, Text, Unread, spec
from meshfast.config.mirror import Percent
from meshfast.config.opaque import RULES, OpaqueRule
from meshfast.config.policy import TRAFFIC_POLICY, PortSelector, TrafficPolicy
from meshfast.config.retry import HttpRetry

MAX_WEIGHT = 2**31 - 1  # Istio's own type
LABELS = MapOf(Text(empty=True))
WAIT = Parsed("a duration", value.duration, 0)


def _host(text: str) -> str:
    if not text or not text.isprintable() or any(c in text for c in " ,\t"):
        raise Refused(f'"{text}" is not a name', "begin each item with a - of the same indent" if " - " in text else "")
    return text


_TOKEN = re.compile(r"[A-Za-z0-9!#%&'*+.^_`|~-]+")  # RFC 9110 section 5.6.2, without $


# What Triple for Java keeps from its applications: by its own names, as headers of HTTP, or as gRPC's.
_DROPPED = frozenset(
    "group interface path application remote.application serialization http-status accept accept-charset "
    "accept-datetime accept-encoding accept-language access-control-request-headers access-control-request-method "
    "authorization cache-control connection content-length content-md5 content-type cookie date dnt expect forwarded "
    "from host http2-settings if-match if-modified-since if-none-match if-range if-unmodified-since max-forwards "
    "origin pragma proxy-authorization range referer te trailer upgrade upgrade-insecure-requests user-agent "
    "x-csrf-token x-forwarded-for x-forwarded-host x-forwarded-proto x-http-method-override x-real-ip x-request-id "
    "x-requested-with keep-alive proxy-connection transfer-encoding baggage".split()
)
_RESERVED = ("grpc-", "tri-", "rest-service-", "sec-fetch-")


def _label(text: str) -> str:
    if not _TOKEN.fullmatch(text):
        raise Refused(f'"{text}" cannot be the name of a header', "use letters, digits, - . and _")
    name = text.lower()
    if name in _DROPPED or name.startswith(_RESERVED) or name.endswith("-bin"):
        raise Refused(f'"{text}" cannot be a label: receivers of gRPC or Triple keep it for themselves',
                      "the next hop would not see it; use a name of your own")  # fmt: skip
    return text


OPAQUE = frozenset("HTTPS TLS MONGO MYSQL REDIS".split())  # connections that are not read
_NOT_SPOKEN = {"GRPC-WEB": "it is for browsers, whose gateway speaks GRPC to the instance: write GRPC"}
LABEL = Parsed("the name of a header", _label, "")
HOST = Parsed("a name", _host, "", many="names")
EXPORT_TO = ListOf(Text())
EXPORTED = "The namespaces that it is for: `*` all, `.` its own, `~` none, or names."


@dataclass(slots=True, kw_only=True)
class Port(Record):
    number: int = spec(Int(1, 65535), "The port.")
    name: str = spec(Text(), "Its name, by which endpoints give a port of their own.", "")
    protocol: str = spec(
        Choice(
            "DUBBO", "HTTP2", "GRPC", "TRI", "TRIPLE", "HTTP", "TCP", *sorted(OPAQUE),
            never=_NOT_SPOKEN, fold=True, blank="TCP",
        ),
        "What is spoken there. TCP: whatever comes. From HTTPS on: what is not read, and goes on to where it was "
        "dialled.",
        "TCP",
    )
    target_port: int = spec(
        Int(1, 65535), "The port on the instances, where it differs.", 0, name="targetPort", shown="number"
    )


@dataclass(slots=True, kw_only=True)
class Instance(Record):
    address: str = spec(
        Text(), "An IP address, or `unix:///path` for a socket; with `resolution: DNS` the name of a host."
    )
    ports: dict[str, int] = spec(MapOf(Int(1, 65535)), "By port name, where this instance differs.", {}, shown="ports")
    labels: dict[str, str] = spec(LABELS, "What subsets and `$label` routes pick by.", {}, shown="none")
    locality: str = spec(Text(), "`region/zone/sub-zone`.", "")
    weight: int = spec(
        Int(0, 65535), "Its share of the calls among the instances that are picked from; 0 counts as 1.", 1
    )
    service_account: bool = spec(
        Unread(), "Accepted, without effect: of certificates.", False, name="serviceAccount", shown="none", on=""
    )


@dataclass(slots=True, kw_only=True)
class WorkloadSelector(Record):
    labels: dict[str, str] = spec(LABELS, "Labels that the workload must carry.", {}, shown="none: every workload")


@dataclass(slots=True, kw_only=True)
class ServiceEntry(Record):
    hosts: tuple[str, ...] = spec(
        ListOf(HOST, least=1),
        "The services (interfaces, hosts) that the application offers; `*.suffix`: all that end so.",
    )
    ports: tuple[Port, ...] = spec(
        ListOf(Struct(Port)), "One for the calls of Dubbo, one for those of HTTP/2, or one for both.", (), shown="none"
    )
    endpoints: tuple[Instance, ...] = spec(ListOf(Struct(Instance, "Endpoint")), "The instances.", (), shown="none")
    location: str = spec(
        Choice("MESH_INTERNAL", "MESH_EXTERNAL"), "Accepted, without effect.", "MESH_INTERNAL", on=""
    )
    resolution: str = spec(
        Choice("STATIC", "NONE", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"),
        "Where calls go. STATIC: to the instances listed or selected. NONE: where they were dialled, which a "
        "transparent listener knows. DNS: to all addresses of the names in `endpoints`, else of the hosts themselves; "
        "DNS_ROUND_ROBIN: to one of them. DYNAMIC_DNS: as DNS.",
        "",
        shown="STATIC with instances or without `ports`, else NONE",
    )
    workload_selector: WorkloadSelector | None = spec(
        Struct(WorkloadSelector),
        "In place of `endpoints`: the WorkloadEntries of its namespace that carry these labels.",
        None,
        name="workloadSelector",
        shown="none",
    )
    export_to: tuple[str, ...] = spec(EXPORT_TO, EXPORTED, (), name="exportTo", shown="`*`")
    addresses: bool = spec(
        Unread(), "Accepted, without effect: calls are told apart by service and host.", False, shown="none", on=""
    )
    subject_alt_names: bool = spec(
        Unread(), "Accepted, without effect: of certificates.", False, name="subjectAltNames", shown="none", on=""
    )


@dataclass(slots=True, kw_only=True)
class SubsetSpec(Record):
    name: str = spec(HOST, "Its name, for `destination.subset`.")
    labels: dict[str, str] = spec(LABELS, "An instance that carries all of them is in it.", {}, shown="none: all")
    traffic_policy: TrafficPolicy | None = spec(
        TRAFFIC_POLICY, "Its own, block by block before the host's.", None, name="trafficPolicy", shown="the host's"
    )


@dataclass(slots=True, kw_only=True)
class MatchLabels(Record):
    match_labels: dict[str, str] = spec(
        LABELS, "Labels that the workload must carry.", {}, name="matchLabels", shown="none: every workload"
    )


@dataclass(slots=True, kw_only=True)
class DestinationRule(Record):
    host: str = spec(HOST, "A service, an application (its ServiceEntry's name, or `app/*`), or `*.suffix`.")
    subsets: tuple[SubsetSpec, ...] = spec(ListOf(Struct(SubsetSpec, "Subset")), "Its subsets.", (), shown="none")
    traffic_policy: TrafficPolicy | None = spec(
        TRAFFIC_POLICY, "How its instances are used.", None, name="trafficPolicy", shown="none"
    )
    export_to: tuple[str, ...] = spec(EXPORT_TO, EXPORTED, (), name="exportTo", shown="`*`")
    workload_selector: MatchLabels | None = spec(
        Struct(MatchLabels),
        "The workloads whose sidecars it is for; there, before one without it.",
        None,
        name="workloadSelector",
        shown="every workload",
    )


@dataclass(slots=True, kw_only=True)
class StringMatch(Record):
    exact: str | None = spec(Text(empty=True), "The whole text.", None, shown="-")
    prefix: str | None = spec(Text(empty=True), "How it starts.", None, shown="-")
    regex: str | None = spec(Text(empty=True), "RE2 syntax; matches the whole text.", None, shown="-")


STRING_MATCH = Struct(StringMatch, words="exact, prefix or regex")


@dataclass(slots=True, kw_only=True)
class HttpMatch(Record):
    name: str = spec(Text(), "A name for explain.", "")
    uri: StringMatch | None = spec(
        STRING_MATCH, "The path: `/service/method`; of HTTP without the query.", None, shown="any"
    )
    ignore_uri_case: bool = spec(
        Bool(), "`uri` exact or prefix: case of ASCII letters is ignored.", False, name="ignoreUriCase", shown="false"
    )
    method: StringMatch | None = spec(STRING_MATCH, "HTTP: its method. Dubbo: the method called.", None, shown="any")
    scheme: StringMatch | None = spec(
        STRING_MATCH, "HTTP: its scheme. Dubbo has none.", None, shown="any", on="HTTP"
    )
    authority: StringMatch | None = spec(
        STRING_MATCH,
        "HTTP: its authority, in any case. Dubbo: the attachment `target-host`, else the service.",
        None,
        shown="any",
    )
    headers: dict[str, StringMatch] = spec(
        MapOf(STRING_MATCH), "Headers or attachments, `group` and `version`. `{}`: it is there.", {}, shown="any"
    )
    query_params: dict[str, StringMatch] = spec(
        MapOf(STRING_MATCH),
        "HTTP: parameters of its query. `{}`: it is there. Dubbo has none.",
        {},
        name="queryParams",
        shown="any",
        on="HTTP",
    )
    without_headers: dict[str, StringMatch] = spec(
        MapOf(STRING_MATCH), "Not there, or there and not so. `{}`: not there.", {}, name="withoutHeaders", shown="any"
    )
    source_labels: dict[str, str] = spec(
        LABELS, "Labels that this sidecar's workload must carry.", {}, name="sourceLabels", shown="any"
    )
    port: int = spec(
        Int(1, 65535), "The port called: the service's for what the caller speaks.", 0, shown="any"
    )
    source_namespace: str = spec(
        Text(), "The namespace that this sidecar's workload must be in.", "", name="sourceNamespace", shown="any"
    )
    gateways: tuple[str, ...] = spec(
        ListOf(Text()),
        "`mesh` among them: it holds here, whatever `sourceLabels` and `sourceNamespace` say. Else it never does.",
        (),
        shown="the VirtualService's",
    )
    stat_prefix: str = spec(Text(), "Accepted, without effect.", "", name="statPrefix", shown="none", on="")
    labels: dict[str, tuple[Node, Node]]  # of other names: a traffic label each, once those are known


@dataclass(slots=True, kw_only=True)
class Destination(Record):
    host: str = spec(
        HOST, "A service or an application; `*/*`: the called service's own.", "", shown="the called service's own"
    )
    subset: str = spec(HOST, "A declared subset, or `$label`.", "", shown="all instances")
    port: PortSelector | None = spec(
        Struct(PortSelector), "One of its ports.", None, shown="the one for what the caller speaks"
    )


@dataclass(slots=True, kw_only=True)
class Fallback(Record):
    target: str | Destination = spec(
        OneOf(HOST, Struct(Destination, "Destination")),
        "A subset, or `{host, subset}`. Where another entry of the rule names it, its own fallback goes on from there.",
    )
    case: str = spec(
        Choice("noinstances", "noavailabled", "noavailable", "nolocal"),
        "`noinstances`: no instance is listed. `noavailabled`: none is listed or none is up. `nolocal`: none in "
        "this workload's region is up; where no fallback has any, those of other regions are taken.",
        "noavailabled",
    )


@dataclass(slots=True, kw_only=True)
class RouteDestination(Record):
    destination: Destination | None = spec(Struct(Destination, "Destination"), "Where to.")
    weight: int | None = spec(
        Int(0, MAX_WEIGHT),
        "Its share of the sum of them. 0: by fallback only.",
        None,
        shown="100 for a single route, else 0",
    )
    fallback: Fallback | None = spec(Struct(Fallback), "Where to when nothing is there.", None, shown="none")
    headers: change.HeaderChanges | None = spec(
        change.HEADERS,
        "What changes for calls to it: of several destinations before what the rule itself changes, of one after it.",
        None,
        shown="none",
    )


@dataclass(slots=True, kw_only=True)
class Delegate(Record):
    name: str = spec(Text(), "Its name.")
    namespace: str = spec(Text(), "Its namespace.", "", shown="the same")


@dataclass(slots=True, kw_only=True)
class MirrorSpec(Record):
    destination: Destination | None = spec(Struct(Destination, "Destination"), "Whom copies go to.")
    percentage: Percent | None = spec(Struct(Percent), "Of how many calls.", None, shown="of all")


@dataclass(slots=True, kw_only=True)
class HttpRoute(Record):
    name: str = spec(Text(), "A name for explain and statistics.", "")
    match: tuple[HttpMatch, ...] = spec(
        ListOf(Struct(HttpMatch, "HTTPMatch", rest="labels")),
        "Any of them will do; each is all of its fields.",
        (),
        shown="always",
    )
    route: tuple[RouteDestination, ...] = spec(
        ListOf(Struct(RouteDestination, "HTTPRouteDestination"), least=1),
        "Destinations; each gets its weight's share of the calls.",
        (),
        shown="required, or one of the next three",
    )
    redirect: fault.HttpRedirect | None = spec(
        Struct(fault.HttpRedirect), "Callers are told to ask elsewhere.", None, shown="none"
    )
    direct: fault.DirectResponse | None = spec(
        Struct(fault.DirectResponse), "Callers are answered here.", None, name="directResponse", shown="none"
    )
    delegate: Delegate | None = spec(
        Struct(Delegate), "The VirtualService without hosts whose rules stand in for this one.", None, shown="none"
    )
    retries: HttpRetry | None = spec(
        Struct(HttpRetry, "HTTPRetry"), "When a call is tried again that may have been executed.", None, shown="never"
    )
    timeout: int = spec(WAIT, "Of a call that names no shorter one; 0s: none.", 0, shown="none")
    mirror: Destination | None = spec(
        Struct(Destination, "Destination"),
        "Whom copies of the calls go to. Nobody waits for them; their answers are dropped.",
        None,
        shown="none",
    )
    mirrors: tuple[MirrorSpec, ...] = spec(
        ListOf(Struct(MirrorSpec)), "The same, for several; not beside `mirror`.", (), shown="none"
    )
    mirror_percentage: Percent | None = spec(
        Struct(Percent), "Of how many calls `mirror` gets a copy.", None, name="mirrorPercentage", shown="of all"
    )
    mirror_percent: int | None = spec(Int(0, 100), "The old form.", None, name="mirrorPercent", shown="of all")
    mirror_percent_old: int | None = spec(
        Int(0, 100), "The same, as it was once spelt.", None, name="mirror_percent", shown="of all"
    )
    websocket_upgrade: bool = spec(
        Unread(), "Accepted, without effect, as with Istio.", False, name="websocketUpgrade", on=""
    )
    fault: fault.HttpFault | None = spec(Struct(fault.HttpFault), "Calls that wait or fail here.", None, shown="none")
    headers: change.HeaderChanges | None = spec(change.HEADERS, "Headers that change.", None, shown="none")
    rewrite: change.HttpRewrite | None = spec(
        change.REWRITE, "Another path or authority. What Dubbo calls is not changed.", None, shown="none", on="HTTP"
    )


@dataclass(slots=True, kw_only=True)
class VirtualService(Record):
    hosts: tuple[str, ...] = spec(
        ListOf(HOST, least=1),
        "Services, applications (`app` or `app/*`), `prefix.*`, `*.suffix`, or `*` (`*/*`).",
        (),
        shown="none: for `delegate`",
    )
    gateways: tuple[str, ...] = spec(
        ListOf(Text()), "Without `mesh` among them it is not for sidecars, and passed over.", (), shown="`mesh`"
    )
    export_to: tuple[str, ...] = spec(EXPORT_TO, EXPORTED, (), name="exportTo", shown="`*`")
    http: tuple[HttpRoute, ...] = spec(
        ListOf(Struct(HttpRoute, "HTTPRoute"), least=1),
        "Rules; the first that matches decides.",
        (),
        shown="required, or `tls` or `tcp`",
    )
    tls: tuple[OpaqueRule, ...] = spec(
        RULES, "Of connections, by server name. Only what sends them where they were dialled.", (), shown="none", on=""
    )
    tcp: tuple[OpaqueRule, ...] = spec(RULES, "Of connections. The same.", (), shown="none", on="")
