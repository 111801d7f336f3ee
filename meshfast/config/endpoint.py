"""``endpoint`` of a Sidecar: the registry that it is for its application."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from meshfast import model, registers
from meshfast.config import value
from meshfast.config.document import Refused, Report
from meshfast.config.field import Int, MapOf, Parsed, Record, Text, spec
from meshfast.config.resource import HOST

MOST_PARAMETERS = 64
MOST_STANDBYS = 8
MOST_PROPERTIES = 256
LONGEST_NAME, LONGEST_PROPERTY = 512, 4096
#: Ports: from that of a Nacos to that of its gRPC, and the last there is.
OFFSET, HIGHEST = 1000, 65535


def _bind(text: str, usual: int = 2181) -> str:
    found = value.address(text, listen=True)
    if found.startswith("unix://") or not value.is_local(found):
        raise Refused(f"{text}: other machines could reach it", f"write tcp://127.0.0.1:{usual}")
    return found


def _nacos(text: str) -> str:
    found = _bind(text, 8848)
    if int(found.rpartition(":")[2]) > HIGHEST - OFFSET:
        raise Refused(f"{text}: clients go to a port that is {OFFSET} higher", "write tcp://127.0.0.1:8848")
    return found


def grpc_of(nacos: str) -> str:
    """Where gRPC is of a Nacos, which is told by its other port; "" of none, and of one whose port is to be found."""
    host, _, port = nacos.rpartition(":")
    return f"{host}:{int(port) + OFFSET}" if nacos and int(port) else ""


def _plain(text: str) -> str:
    if set(text) & set("&?#%= \t\r\n") or not text.isprintable():
        raise Refused(f'"{text[:80]}" cannot be a parameter of a URL', "leave out blanks and & ? # % =")
    return text


def _unix(text: str) -> str:
    found = value.address(text, listen=True)
    if not found.startswith("unix://"):
        raise Refused(f"{text}: that is no UNIX socket", "write unix:///run/meshfast/shop.api")
    return found


BIND = Parsed("an address", _bind, "")
NACOS = Parsed("an address", _nacos, "")
UNIX = Parsed("an address", _unix, "")
PARAMETERS = MapOf(Parsed("text", _plain, ""))


@dataclass(slots=True, kw_only=True)
class EndpointSpec(Record):
    zookeeper: str = spec(
        BIND,
        "Where it is a ZooKeeper for the application, a loopback address: `-Ddubbo.registry.address=zookeeper://...`.",
        "", shown="none",
    )  # fmt: skip
    nacos: str = spec(
        NACOS,
        "Where it is a Nacos 2, a loopback address, with gRPC 1000 ports on: `-Ddubbo.registry.address=nacos://...`.",
        "", shown="none",
    )  # fmt: skip
    http: str = spec(UNIX, "Where SDKs of meshfast say what they offer and call: `unix:///path`.", "", shown="none")
    listener: str = spec(
        HOST, "The outbound listener that the application finds in the place of providers.", "", shown="the first one"
    )
    parameters: dict[str, str] = spec(
        PARAMETERS, "Of the providers that are shown; they win over what instances say.", {}, shown="none"
    )
    standby: int = spec(
        Int(0, MOST_STANDBYS), "How many instances of a service are shown beside the sidecar, for when it is dead.", 0
    )
    properties: dict[str, str] = spec(
        MapOf(Text(empty=True)), "`dubbo.*` properties of the application, which reads them as it starts.", {},
        shown="none",
    )  # fmt: skip


def resolve(
    found: EndpointSpec | None, listeners: Sequence[model.Listener], report: Report
) -> registers.EndpointSpec | None:  # fmt: skip
    """What it is in the model."""
    if found is None or found.at.bad:
        return None
    if not found.zookeeper and not found.nacos:
        return _without(found, report)
    outbound = [one for one in listeners if one.direction == "outbound" and one.protocol != "tcp"]
    able = [one for one in outbound if not one.bind.startswith("unix://")]
    if len(found.parameters) > MOST_PARAMETERS:
        report.add(found.at.at("parameters"), f"{len(found.parameters)} parameters; the limit is {MOST_PARAMETERS}")
    if found.standby and not found.zookeeper:
        hint = "a consumer does not tell Nacos whether it keeps to weight 0: remove standby, or add zookeeper"
        report.add(found.at.at("standby"), "standby is of what a ZooKeeper shows", hint)
    if found.standby and found.parameters.get("weight") == "0":
        report.add(found.at.at("parameters"), "with weight 0 the sidecar would be one of its standbys", "remove weight")
    _check_properties(found, report)
    named = [one for one in able if found.listener in ("", one.name)]
    if named and value.is_local(named[0].bind):
        hint = "Dubbo for Java replaces 127.0.0.1 by its machine's address: bind that, or 0.0.0.0"
        report.warn(found.at, f"{named[0].bind} is reached by no application of Dubbo for Java", hint)
    if named:
        return registers.EndpointSpec(
            found.zookeeper, named[0].name, found.parameters, found.standby, found.properties, found.http,
            found.nacos,
        )  # fmt: skip
    at = found.at.at("listener") if found.listener else found.at
    hint = f"outbound listeners at a TCP port: {', '.join(one.name for one in able) or 'none'}"
    report.add(at, f"{found.listener or 'the endpoint'} has no listener that applications could call", hint)
    return None


def _without(found: EndpointSpec, report: Report) -> registers.EndpointSpec | None:
    """The one that is neither a ZooKeeper nor a Nacos."""
    if not found.http:
        report.add(found.at, "the endpoint has no address", "add zookeeper: tcp://127.0.0.1:2181, nacos or http")
    for name in ("listener", "parameters", "standby", "properties"):
        if getattr(found, name):
            who, more = ("ZooKeeper", "zookeeper") if name == "standby" else ("registry", "zookeeper or nacos")
            report.add(found.at.at(name), f"{name} is of what a {who} shows", f"add {more}, or remove {name}")
    return registers.EndpointSpec(http=found.http) if found.http else None


def _check_properties(found: EndpointSpec, report: Report) -> None:
    at = found.at.at("properties")
    if len(found.properties) > MOST_PROPERTIES:
        report.add(at, f"{len(found.properties)} properties; the limit is {MOST_PROPERTIES}")
    for name, text in found.properties.items():
        if not name.startswith("dubbo.") or not name.isprintable() or len(name) > LONGEST_NAME:
            report.add(at, f'"{name[:80]}" is no property of Dubbo', "write dubbo.consumer.timeout, for example")
        elif len(text) > LONGEST_PROPERTY:
            report.add(at, f"{name[:80]} has {len(text)} characters; the limit is {LONGEST_PROPERTY}")
