"""A registration as Dubbo 3 names its node, and what of others in the same folder is in its way."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Mapping
from functools import lru_cache

from meshfast.registry import Key, Registration
from meshfast.registry.url import URL, Refused, encode, provider

__all__ = ["BEHIND", "MARK", "besides", "is_own", "key_of", "marks_of", "node", "readable", "same", "url"]

#: The parameter of what a sidecar registered.
MARK = "meshfast"
#: And of the application's own port behind it.
BEHIND = "meshfast.behind"
#: What a provider says of itself that has not said otherwise.
USUAL: Mapping[str, str] = {
    "deprecated": "false",
    "dubbo": "2.0.2",
    "dynamic": "true",
    "generic": "false",
    "methods": "*",
    "prefer.serialization": "hessian2",
    "release": "3.3.6",
}


def url(registration: Registration, timestamp: str = "") -> URL:
    """The provider's URL; ``timestamp`` where it has none of its own."""
    parameters = {**USUAL, **({"timestamp": timestamp} if timestamp else {}), **registration.parameters}
    parameters.pop(BEHIND, None)
    parameters |= {"interface": registration.service, "side": "provider", **marks_of(registration)}
    for name, value in (("group", registration.group), ("version", registration.version)):
        parameters.pop(name, None)
        if value:
            parameters[name] = value
    path = parameters.pop("path", "") or registration.service
    host, _, port = registration.address.rpartition(":")
    path = path if not set(path) & set("?&;#") else registration.service
    return URL(registration.protocol, "", "", host, int(port), path, parameters)


def marks_of(registration: Registration) -> dict[str, str]:
    """By which what a sidecar registered is known."""
    return {MARK: "1", **({BEHIND: registration.behind.rpartition(":")[2]} if registration.behind else {})}


def readable(registration: Registration) -> bool:
    """Whether who reads its node reads the same: a name with signs of a URL in it could say anything at all."""
    return key_of(f"/{node(registration)}") == registration.key


def node(registration: Registration, timestamp: str = "") -> str:
    """The name of its node."""
    return url(registration, timestamp).encoded()


def same(name: str, registration: Registration) -> bool:
    """Whether a node says just this of the registration; one without a timestamp is of any time."""
    try:
        found = provider(name, registration.service)
    except Refused:
        return False
    if found is None:
        return False
    return name == node(registration, found.instance.parameters.get("timestamp", ""))


def key_of(path: str) -> Key | None:
    """Whose node a path is; None: of none that a sidecar wrote."""
    try:
        found = provider(path.rpartition("/")[2])
    except Refused:
        return None
    if found is None or found.instance.parameters.get(MARK) != "1":
        return None
    return Key(found.service, found.group, found.version, found.instance.protocol, found.instance.address)


def besides(names: Iterable[str], registration: Registration) -> list[str]:
    """The addresses under which the application registered itself besides its sidecar: its own port, or the sidecar's,
    without the mark. One behind a loopback address has all addresses of this machine."""
    ports = {registration.address.rpartition(":")[2], registration.behind.rpartition(":")[2]} - {""}
    parts = {encode(f":{port}/") for port in ports}
    found = set()
    for name in names:
        if not any(part in name for part in parts):
            continue
        try:
            one = provider(name, registration.service)
        except Refused:
            continue
        if one is None or one.instance.parameters.get(MARK) == "1":
            continue
        if (one.group, one.version) != (registration.group, registration.version):
            continue
        if is_own(one.instance.address, registration):
            found.add(one.instance.address)
    return sorted(found)


def is_own(address: str, registration: Registration) -> bool:
    """Whether it is the application's own address, or its sidecar's."""
    host = registration.address.rpartition(":")[0]
    behind, _, port = registration.behind.rpartition(":")
    if address == registration.address or (port and address in (f"{behind}:{port}", f"{host}:{port}")):
        return True
    where, _, its = address.rpartition(":")
    return bool(port) and its == port and _loopback(behind) and _here(where)


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


@lru_cache(maxsize=16384)
def _here(host: str) -> bool:
    """Whether an address is one of this machine's: it could be bound."""
    bare = host.strip("[]")
    try:
        with socket.socket(socket.AF_INET6 if ":" in bare else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            ipaddress.ip_address(bare)  # a name is not looked up
            probe.bind((bare, 0))
    except (OSError, ValueError):
        return False
    return True
