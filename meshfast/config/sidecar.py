"""The Sidecar resource: its schema, its checks, and what becomes of it in the model."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from yaml.nodes import MappingNode, Node

from meshfast import model, record
from meshfast.config import endpoint, hostname, registration, registry, value
from meshfast.config.document import Key, Place, Refused, Report, did_you_mean
from meshfast.config.endpoint import EndpointSpec
from meshfast.config.field import (
    Bool,
    Choice,
    Int,
    ListOf,
    Parsed,
    Record,
    Struct,
    Text,
    Type,
    checked,
    field_name,
    not_a,
    spec,
)
from meshfast.config.hostname import DnsSpec
from meshfast.config.limit import LIMITS, LimitValue, check_pairs
from meshfast.config.resource import HOST, LABELS, WAIT

MAX_WORKERS = 32  # MF_WORKERS_MAX
MAX_LISTENERS = 32  # MF_LISTENERS_MAX

BIND = Parsed("an address", lambda text: value.address(text, listen=True), "")
DIAL = Parsed("an address", value.address, "")


def _log(text: str) -> str:
    if text != "stderr" and not text.startswith("/"):
        raise Refused(f'"{text}" is no absolute path', "write it as /path/to/file, or stderr")
    return text


def _mode(text: str) -> int:
    if re.fullmatch(r"0?[0-7]{3}", text) is None or int(text, 8) & 0o600 != 0o600:
        raise Refused(f'"{text}" is no mode', "write three octal digits, 0600 or 0660: its owner reads and writes")
    return int(text, 8)


def _format(text: str) -> str:
    try:
        record.parse(text)
    except ValueError as error:
        raise Refused(str(error), f"fields: {', '.join(record.FIELDS)}") from None
    if text not in ("text", "json") and "{" not in text:
        raise Refused(f'the format "{text}" has no field', "write json, text, or text with fields: {service} {status}")
    return text


def _share(text: str) -> float:
    if re.fullmatch(r"0?\.\d+|1(\.0*)?", text) is None or float(text) == 0:
        raise Refused(f'"{text}" is not above 0 and up to 1', "write 0.1 for every tenth")
    return float(text)


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise Refused(f'"{text}" is no IP address', "write it without a port: 10.0.0.7") from None


IP = Parsed("an IP address", _ip, "")
LOG = Parsed("a path or stderr", _log, "")
FORMAT = Parsed("text, json or text with fields", _format, "text")
FIELD = Choice(*record.FIELDS)
FIELD.many = "its fields"
MODE = Parsed("a mode in octal", _mode, 0)
SHARE = Parsed("a number above 0 and up to 1", _share, 1.0)


class Limits(Type):
    """The mapping of limits -> {name: value in its unit}."""

    words = "a mapping of limits"
    fields = {limit.name: limit for limit in LIMITS}

    def read(self, node: Node, place: Place, key: Key, report: Report) -> dict[str, int]:
        if not isinstance(node, MappingNode):
            raise not_a(self.words, node)
        here = Place(place.document, node, place, key)
        seen: dict[str, Node] = {}
        out: dict[str, int] = {}
        for name_node, given in node.value:
            name = field_name(name_node, here, seen, report)
            if name is None:
                continue
            seen[name] = given
            if name not in self.fields:
                there = Place(here.document, name_node, here, name)
                report.add(there, f"unknown limit {name}", did_you_mean(name, self.fields, "see docs/configuration.md"))
            else:
                out[name] = checked(LimitValue(self.fields[name]), given, here, name, report)
        return out

    def empty(self) -> dict[str, int]:
        return {}


@dataclass(slots=True, kw_only=True)
class Workload(Record):
    app: str = spec(HOST, "The application beside this sidecar.", "")
    labels: dict[str, str] = spec(LABELS, "Its labels: `sourceLabels` and local traffic labels.", {}, shown="none")
    namespace: str = spec(HOST, "The namespace it is in, for `exportTo` and `sourceNamespace`.", "", shown="not known")
    locality: str = spec(Text(), "`region/zone/sub-zone`.", "")
    address: str = spec(IP, "Its IP address, for Dubbo's rules that ask for `host`.", "", shown="not known")


@dataclass(slots=True, kw_only=True)
class ListenerSpec(Record):
    name: str = spec(HOST, "Its name, in the log.")
    bind: str = spec(BIND, "Where it listens. Port 0: any free one.")
    direction: str = spec(
        Choice("outbound", "inbound"), "outbound: the application's calls; inbound: calls to it.", "outbound"
    )
    transparent: bool = spec(
        Bool(), "What is not routed goes on to the address that the caller dialled.", False, shown="false"
    )
    forward: str = spec(DIAL, "inbound: the application. outbound: where what is not routed goes.", "", shown="none")
    protocol: str = spec(
        Choice("auto", "dubbo", "http2", "tcp"),
        "auto: Dubbo, HTTP/2 or HTTP/1 by its first bytes, else TCP. dubbo, http2: nothing else comes in.",
        "auto",
    )
    labels: str | None = spec(
        Choice("trust", "keep-first", "strip"),
        "inbound: what callers' labels do. keep-first: within its time to live a trace keeps the label it had first. "
        "strip: they are not looked at.",
        None,
        shown="`keep-first`",
    )
    unknown: str | None = spec(
        Choice("forward", "refuse"),
        "outbound, with forward or transparent: where a call to a service goes that is not listed.",
        None,
        shown="`forward`",
    )
    mode: int | None = spec(
        MODE,
        "bind is a UNIX socket: the permissions of its file, whatever the umask. Who may write may connect.",
        None,
        shown="0600",
    )
    service: str = spec(HOST, "outbound: the service whose routes calls take that cannot be read.", "", shown="none")


@dataclass(slots=True, kw_only=True)
class TraceMemory(Record):
    entries: int = spec(Int(16, 1 << 24), "Trace ids remembered.", 65536)
    ttl: int = spec(WAIT, "How long each is.", 300_000, shown="5m")


@dataclass(slots=True, kw_only=True)
class AccessLogSpec(Record):
    path: str = spec(LOG, "A file, or `stderr`. Opened anew on SIGHUP and SIGUSR1.")
    format: str = spec(FORMAT, "`text`, `json`, or text of one's own with fields: `{service} {status}`.", "text")
    fields: tuple[str, ...] = spec(ListOf(FIELD), "Those of JSON, in this order.", (), shown="all")
    sample: float = spec(SHARE, "The share of calls that is written.", 1.0, shown="1")


@dataclass(slots=True, kw_only=True)
class SidecarSpec(Record):
    workload: Workload | None = spec(Struct(Workload), "What it stands beside.", None, shown="none")
    workers: int = spec(
        Int(1, MAX_WORKERS, zero="leave it out for 1; without threads runs only an engine in a program's own loop"),
        "Native threads.",
        1,
    )
    loop: str = spec(Choice("auto", "epoll", "io_uring"), "auto: io_uring where the kernel offers it.", "auto")
    listeners: tuple[ListenerSpec, ...] = spec(ListOf(Struct(ListenerSpec)), "Where calls come in.", (), shown="none")
    admin: str = spec(BIND, "Where the admin pages listen: a loopback address or a UNIX socket.", "", shown="none")
    limits: dict[str, int] = spec(Limits(), "See the table of limits.", {}, shown="the table's")
    trace_memory: TraceMemory | None = spec(
        Struct(TraceMemory), "The labels remembered by trace id.", None, name="traceMemory", shown="the defaults"
    )
    access_log: AccessLogSpec | None = spec(
        Struct(AccessLogSpec), "A line for each call.", None, name="accessLog", shown="none"
    )
    tls: str = spec(
        Choice("refuse", "close", "plain"),
        "What becomes of a DestinationRule that asks for encryption, which is not done here. refuse: it is refused. "
        "close: calls to its host are, and all else goes on. plain: calls of ISTIO_MUTUAL go out in plain text, where "
        "the network encrypts or instances take both; other modes are refused. The last two with a warning.",
        "refuse",
    )
    dns: DnsSpec | None = spec(Struct(DnsSpec), "How names of hosts are resolved.", None, shown="the defaults")
    registries: tuple[registry.RegistryRecord, ...] = spec(
        ListOf(Struct(registry.RegistryRecord)), "Where instances are taken from besides files.", (), shown="none"
    )
    registrations: tuple[registration.RegistrationRecord, ...] = spec(
        ListOf(Struct(registration.RegistrationRecord)),
        "What is registered for the application, while it takes calls.",
        (),
        shown="none",
    )
    advertise: registration.AdvertiseSpec | None = spec(
        Struct(registration.AdvertiseSpec), "As what it is registered.", None, shown="the defaults"
    )
    state: str = spec(
        registry.STATE, "A directory of its own, where it keeps what registries listed last.", "", shown="none"
    )
    endpoint: EndpointSpec | None = spec(
        Struct(EndpointSpec), "The registry that it is for its application.", None, shown="none"
    )


def resolve(found: SidecarSpec | None, report: Report) -> model.Sidecar:
    """The sidecar of the mesh; the default one when no document says."""
    if found is None:
        return model.Sidecar()
    workload, memory = found.workload, found.trace_memory
    listeners = tuple(_listener(listener, report) for listener in found.listeners if not listener.at.bad)
    registries = registry.resolve(found.registries, found.at.at("registries"), report)
    advertise = registration.advertise(found.advertise, report)
    _check_addresses(found, report)
    if found.admin and not value.is_local(found.admin):
        report.add(
            found.at.at("admin"),
            f"{found.admin}: other machines could reach it",
            "use 127.0.0.1, [::1] or unix:///path",
        )
    if len(found.listeners) > MAX_LISTENERS:
        report.add(found.at.at("listeners"), f"{len(found.listeners)} listeners; the limit is {MAX_LISTENERS}")
    check_pairs(found.limits, found.at.at("limits"), report)
    if memory is not None and not memory.at.bad and memory.ttl == 0:
        report.add(memory.at.at("ttl"), "a ttl of 0 remembers nothing")
    return model.Sidecar(
        app=workload.app if workload else "",
        labels=workload.labels if workload else {},
        namespace=workload.namespace if workload else "",
        locality=workload.locality if workload else "",
        address=workload.address if workload else "",
        workers=found.workers,
        loop=found.loop,
        listeners=listeners,
        admin=found.admin,
        limits=found.limits,
        trace_entries=memory.entries if memory else 65536,
        trace_ttl_ms=memory.ttl if memory else 300_000,
        access_log=_access_log(found.access_log, report),
        dns=hostname.resolve(found.dns, report),
        registries=registries,
        registrations=registration.resolve(
            found.registrations, advertise, listeners, registries, workload.app if workload else "",
            found.at.at("registrations"), report,
        ),
        advertise=advertise,
        state=found.state,
        endpoint=endpoint.resolve(found.endpoint, listeners, report),
        origin=found.at.origin(),
        said_at={name: (shown, found.at.at(*shown.split(".")).origin()) for name, shown in _names().items()},
    )


def _names() -> dict[str, str]:
    """The model's fields by their names in the configuration."""
    own = {
        field.name: field.metadata["name"] or field.name for field in fields(SidecarSpec) if "type" in field.metadata
    }
    return own | {"trace_entries": "traceMemory.entries", "trace_ttl_ms": "traceMemory.ttl"}
def _access_log(found: AccessLogSpec | None, report: Report) -> model.AccessLog | None:
    if found is None or found.at.bad:
        return None
    if found.fields and found.format != "json":
        report.add(found.at.at("fields"), "fields is for format: json", "put them into the format: {service} {status}")
    return model.AccessLog(found.path, found.format, found.fields, found.sample)


def _listener(listener: ListenerSpec, report: Report) -> model.Listener:
    at = listener.at
    if listener.transparent and listener.forward:
        report.add(at.at("forward"), "transparent and forward exclude each other", "keep one of them")
    if listener.transparent and listener.bind.startswith("unix://"):
        report.add(at.at("transparent"), "a UNIX socket has no address that its caller dialled", "use forward")
    if listener.mode is not None and not listener.bind.startswith("unix://"):
        report.add(at.at("mode"), "mode is for a UNIX socket", "remove it")
    if listener.direction == "inbound":
        if not listener.forward and not listener.transparent:
            report.add(at, "an inbound listener needs forward", "forward: the application's own address")
        if listener.service:
            report.add(at.at("service"), "service is for outbound listeners", "remove it")
        if listener.unknown is not None:
            report.add(at.at("unknown"), "unknown is for outbound listeners", "remove it")
    elif listener.protocol == "tcp" and not (listener.forward or listener.transparent):
        report.add(at, "nothing says where plain TCP goes", "add forward or transparent")
    if listener.direction == "outbound":
        if listener.labels is not None:
            report.add(at.at("labels"), "labels is for inbound listeners", "remove it")
        if listener.unknown == "forward" and not (listener.forward or listener.transparent):
            report.add(at.at("unknown"), "nothing says where what is not listed goes", "add forward or transparent")
    if listener.forward and value.collide(listener.bind, listener.forward):
        report.add(at.at("forward"), "it would forward to itself", "forward: where somebody else listens")
    return model.Listener(
        listener.name,
        listener.bind,
        listener.direction,
        listener.transparent,
        listener.forward,
        listener.protocol,
        listener.service,
        listener.labels or "keep-first",
        listener.unknown or "forward",
        listener.mode if listener.mode is not None else 0o600,
        at.origin(),
    )


def _check_addresses(found: SidecarSpec, report: Report) -> None:
    names: dict[str, Place] = {}
    taken: list[tuple[str, str, Place]] = []
    for listener in found.listeners:
        at = listener.at.at("name")
        if listener.name and listener.name in names:
            report.add(at, f"the name {listener.name} is taken", f"by the listener at {names[listener.name].origin()}")
        names.setdefault(listener.name, at)
        taken.append((listener.bind, f"listener {listener.name}", listener.at.at("bind")))
    taken.append((found.admin, "admin", found.at.at("admin")))
    if found.endpoint is not None:
        taken.append((found.endpoint.zookeeper, "endpoint", found.endpoint.at.at("zookeeper")))
        taken.append((found.endpoint.http, "endpoint", found.endpoint.at.at("http")))
        for one in (found.endpoint.nacos, endpoint.grpc_of(found.endpoint.nacos)):
            taken.append((one, "endpoint", found.endpoint.at.at("nacos")))
    for i, (bind, _, at) in enumerate(taken):
        for other, who, there in taken[:i]:
            if bind and other and value.collide(bind, other):
                report.add(at, f"{bind} is taken", f"by {who} at {there.origin()}")
                break


def advise(found: SidecarSpec | None, report: Report) -> None:
    """Warns of a sidecar that could not start."""
    if found is not None and not found.listeners:
        report.warn(found.at, "no listener: meshfast proxy needs one", "add listeners")


def routing(own: model.Sidecar) -> list[model.Listener]:
    """The listeners that send what comes in where policy says; of inbound ones, those that forward to such a one."""
    out = [one for one in own.listeners if one.direction == "outbound" and one.protocol != "tcp"]
    through = [
        one
        for one in own.listeners
        if one.direction == "inbound" and one.forward and any(value.reaches(one.forward, o.bind) for o in out)
    ]
    return out + through


def check_services(found: SidecarSpec | None, known: Mapping[str, Any], report: Report) -> None:
    """``service`` of a listener names one that exists."""
    for listener in found.listeners if found else ():
        if listener.service and listener.service not in known and not report.incomplete:
            hint = report.near(listener.service, known, "no ServiceEntry or VirtualService has it")
            report.add(listener.at.at("service"), f"unknown service {listener.service}", hint)
