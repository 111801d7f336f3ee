"""Dubbo's application level: an instance of an application as Curator's discovery writes it, and the MetadataInfo that
says what the application offers. Any bytes give a value or ``Refused``, in time that grows with their length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec

from meshfast.registry import Instance
from meshfast.registry.url import (
    MOST_PARAMETERS,
    PROTOCOLS,
    SERVICE,
    Provider,
    Refused,
    address,
    listed,
    named,
    version,
)

__all__ = [
    "MOST_SERVICES", "MOST_VALUES", "Info", "Node", "Service", "applications", "info", "info_of", "node", "offered",
]  # fmt: skip

#: Bytes of an instance, of a mapping, of a MetadataInfo.
LONGEST_INSTANCE = 256 * 1024
LONGEST_MAPPING = 256 * 1024
LONGEST_INFO = 4 * 1024 * 1024
#: Values within values of a MetadataInfo that comes as Hessian2 or protobuf, where each may be a single byte.
MOST_VALUES = 400_000
#: Services of one application; applications of one service.
MOST_SERVICES = 10_000
MOST_APPLICATIONS = 1_000
#: Characters of endpoints that are remembered as they were read.
MEMORABLE = 256

#: The revision of an application that offers nothing.
EMPTY_REVISION = "0"

#: What an instance says to those who read it, not of itself.
_OWN = (
    "dubbo.metadata.",
    "dubbo.metadata-service.",
    "dubbo.endpoints",
    "dubbo.exported-services.",
    "dubbo.subscribed-services.",
    "meta-v",
    "registry.id",
)


@dataclass(frozen=True, slots=True)
class Node:
    """An instance of an application. ``endpoints``: its port by protocol, where it differs; ``remote``: its
    MetadataInfo is in the registry, else it is asked by ``teller``: "dubbo" or "tri", "" where by neither, and a port,
    0 where that is the protocol's."""

    application: str
    host: str
    port: int
    revision: str
    remote: bool = False
    teller: tuple[str, int] = ("dubbo", 0)
    endpoints: Mapping[str, int] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> tuple[str, int]:
        """By what it is asked, and at which port; port 0: it cannot be."""
        protocol, port = self.teller
        return (protocol, port or self.endpoints.get(protocol) or self.port) if protocol else ("", 0)


@dataclass(frozen=True, slots=True)
class Service:
    """A service of an application under one protocol; port 0: the instance's."""

    name: str
    group: str
    version: str
    protocol: str
    port: int
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Info:
    """What an application offers: a MetadataInfo. ``refused``: services that cannot be read, by reason."""

    revision: str
    services: Mapping[str, tuple[Service, ...]]
    refused: Mapping[str, int] = field(default_factory=dict)


def _json(data: bytes | str, longest: int) -> Any:
    if len(data) > longest:
        raise Refused("too_long")
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise Refused("json") from None


def _map(value: Any) -> Mapping[Any, Any]:
    if not isinstance(value, dict):
        raise Refused("shape")
    return value


def _text(value: Any) -> str:
    """As Java prints it; "" for what is no text, number or truth."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) and abs(value) < 1 << 64 else ""


def _port(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 5:
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 65535 else 0


def _texts(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    found = _map(value)
    if len(found) > MOST_PARAMETERS:
        raise Refused("parameters")
    return {name: text for name, one in found.items() if isinstance(name, str) and (text := _text(one))}


def _ports(text: str) -> Mapping[str, int]:
    """All instances of an application have mostly the same."""
    return _known(text) if len(text) <= MEMORABLE else _endpoints(text)


def _endpoints(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    listed = _json(text, LONGEST_INSTANCE) if text else []
    for each in listed if isinstance(listed, list) else []:
        if isinstance(each, dict) and (port := _port(each.get("port"))) and isinstance(each.get("protocol"), str):
            found.setdefault(each["protocol"], port)
        if len(found) >= MOST_PARAMETERS:
            break
    return found


@lru_cache(maxsize=256)
def _known(text: str) -> Mapping[str, int]:
    return _endpoints(text)


def node(data: bytes, share: dict[str, str] | None = None) -> Node | None:
    """The data of ``/services/{app}/{id}``, as Curator writes it, or dubbo-go into etcd; None for an instance that is
    not enabled, or offers nothing. ``share``: texts that are kept once."""
    found = _map(_json(data, LONGEST_INSTANCE))
    if "ServiceName" in found:
        found = _of_go(found)
    payload = found.get("payload")
    metadata = _texts(_map(payload).get("metadata")) if payload is not None else {}
    application = named(_text(found.get("name")))
    host, port = _text(found.get("address")), _port(found.get("port"))
    revision = metadata.get("dubbo.metadata.revision", "")
    if found.get("enabled") is False or not listed(metadata) or revision == EMPTY_REVISION:
        return None
    if not revision:
        raise Refused("no_revision")  # of Spring Cloud, say
    if "/" in revision or len(revision) > 256:
        raise Refused("revision")
    address(host, port or 1)  # it must be one
    endpoints = _ports(metadata.get("dubbo.endpoints", ""))
    plain = {name: value for name, value in metadata.items() if not name.startswith(_OWN)}
    if share is not None:
        application, revision = share.setdefault(application, application), share.setdefault(revision, revision)
        plain = {share.setdefault(name, name): share.setdefault(value, value) for name, value in plain.items()}
    return Node(
        application,
        host,
        port,
        revision,
        metadata.get("dubbo.metadata.storage-type") == "remote",
        _teller(metadata),
        endpoints,
        plain,
    )


def _of_go(found: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """What dubbo-go writes as its program has it, in the form of Curator's."""
    return {
        "name": found.get("ServiceName"),
        "address": found.get("Host"),
        "port": found.get("Port"),
        "payload": {"metadata": found.get("Metadata")},
        "enabled": found.get("Enable") is not False and found.get("Healthy") is not False,
    }


def _teller(metadata: Mapping[str, str]) -> tuple[str, int]:
    """All instances of an application have mostly the same."""
    text, second = metadata.get("dubbo.metadata-service.url-params", ""), metadata.get("meta-v", "").startswith("2")
    return _known_teller(text, second) if len(text) <= MEMORABLE else _told_by(text, second)


def _told_by(text: str, second: bool) -> tuple[str, int]:
    """By Triple only what speaks protobuf there, version 2; the one before wraps Hessian2 in it."""
    url = _map(_json(text, LONGEST_INSTANCE)) if text else {}
    protocol = _text(url.get("protocol")) or ("tri" if second else "dubbo")
    if protocol not in PROTOCOLS or (protocol == "tri" and not second):
        return "", 0
    return protocol, _port(url.get("port"))


@lru_cache(maxsize=256)
def _known_teller(text: str, second: bool) -> tuple[str, int]:
    return _told_by(text, second)


def applications(data: bytes) -> tuple[str, ...]:
    """The data of a mapping: the applications that offer a service, each once, in the order written."""
    if len(data) > LONGEST_MAPPING:
        raise Refused("too_long")
    names = (each.strip() for each in data.decode(errors="replace").split(","))
    found = dict.fromkeys(name for name in names if SERVICE.fullmatch(name))
    if len(found) > MOST_APPLICATIONS:
        raise Refused("applications")
    return tuple(found)


def info(data: bytes | str) -> Info:
    """A MetadataInfo from its JSON."""
    return info_of(_json(data, LONGEST_INFO))


def info_of(value: Any) -> Info:
    """A MetadataInfo from what was decoded, of JSON or of Hessian2. A service that cannot be read is left out."""
    found = _map(value)
    services = found.get("services")
    if services is None:
        services = {}
    if len(_map(services)) > MOST_SERVICES:
        raise Refused("services")
    out: dict[str, list[Service]] = {}
    refused: dict[str, int] = {}
    for each in services.values():
        try:
            one = _service(each)
        except Refused as error:
            refused[error.reason] = refused.get(error.reason, 0) + 1
        else:
            out.setdefault(one.name, []).append(one)
    return Info(_text(found.get("revision")), {name: tuple(each) for name, each in out.items()}, refused)


def _service(value: Any) -> Service:
    found = _map(value)
    protocol = _text(found.get("protocol"))
    if protocol not in PROTOCOLS:
        raise Refused("protocol")
    name, path = named(_text(found.get("name"))), _text(found.get("path"))
    parameters = _texts(found.get("params"))
    if path and path != name:
        parameters.setdefault("path", path)
    group, its = _text(found.get("group")), version(_text(found.get("version")))
    return Service(name, group, its, protocol, _port(found.get("port")), parameters)


def offered(node: Node, service: Service) -> Provider:
    """What an instance offers of a service: the service's own port before that of its protocol before the instance's,
    and the service's parameters before the instance's. Raises Refused."""
    port = service.port or node.endpoints.get(service.protocol) or node.port
    parameters = {**node.parameters, **service.parameters}
    instance = Instance(address(node.host, port), service.protocol, node.application, parameters)
    return Provider(service.name, service.group, service.version, instance)


def providers(node: Node, info: Info, service: str) -> Iterator[Provider]:
    """All that an instance offers of a service; what cannot be called is left out."""
    for each in info.services.get(service, ()):
        try:
            one = offered(node, each)
        except Refused:
            continue
        if listed(one.instance.parameters):
            yield one
