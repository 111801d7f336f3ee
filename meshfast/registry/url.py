"""Dubbo's URLs, as they are written into registries, and the providers that they tell of.

Reading and escaping follow Dubbo 3's ``URLStrParser`` and Java's ``URLEncoder``: the whole URL is escaped once, its
values are not. Any text gives a value or ``Refused``, in time that grows with its length.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple
from urllib.parse import quote_plus, unquote_plus

from meshfast.registry import Instance

__all__ = [
    "LONGEST_URL", "MOST_PARAMETERS", "URL", "Provider", "Refused", "address", "decode", "encode", "provided",
    "provider",
]  # fmt: skip

#: Characters of a URL as it is listed, escapes and all.
LONGEST_URL = 64 * 1024
#: Parameters of one URL, or of one service of an application.
MOST_PARAMETERS = 256

#: The protocols whose providers can be called.
PROTOCOLS = frozenset(("dubbo", "tri"))
#: What else stands in registries.
NO_PROVIDERS = frozenset(("empty", "override", "consumer", "route", "condition", "script"))
#: What stands for "no version" on the wire.
NO_VERSION = "0.0.0"

#: What Java's trim takes away.
BLANK = "".join(map(chr, range(0x21)))

_BROKEN = re.compile("%(?![0-9A-Fa-f]{2})")
_SEPARATOR = re.compile("[&;]")
#: An IPv4 address as most are written; whatever else is one is looked at at length.
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?", re.ASCII)
#: The name of a service, or of an application.
SERVICE = re.compile(r"[^\s/\x00-\x20\x7f*?]{1,512}")
#: What those begin with that are looked at at length, as they may be no hosts: 0.0.0.0, and 224 to 239.
_NO_HOSTS = ("0.", *(f"{first}." for first in range(224, 240)))


class Refused(ValueError):
    """What was listed cannot be read. ``reason`` is one of few short words, to count by."""

    def __init__(self, reason: str, text: str = "") -> None:
        super().__init__(text or reason)
        self.reason = reason


class Provider(NamedTuple):
    """One provider of one service under one group and version; "" is none."""

    service: str
    group: str
    version: str
    instance: Instance


@dataclass(frozen=True, slots=True)
class URL:
    """``protocol://user:password@host:port/path?name=value&...``; what is not there is "", a port 0. An IPv6 host keeps
    the brackets that it was written in."""

    protocol: str = ""
    user: str = ""
    password: str = ""
    host: str = ""
    port: int = 0
    path: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> URL:
        """From plain text, see ``decode``. Raises Refused."""
        if len(text) > LONGEST_URL:
            raise Refused("too_long")
        body, _, query = text.strip(BLANK).partition("?")
        parameters = _parameters(query)
        protocol, slashes, rest = body.partition("://")
        if not slashes:  # as in file:/a/path
            protocol, slashes, rest = body.partition(":/")
            rest = "/" + rest if slashes else body
        if slashes and not protocol:
            raise Refused("no_protocol")
        if not slashes:
            protocol = ""
        rest, _, path = rest.partition("/")
        path = path.lstrip("/")
        user, _, rest = rest.rpartition("@")
        user, _, password = user.partition(":")
        host, port = _host_port(rest)
        return cls(protocol, user, password, host, port, path, parameters)

    def __str__(self) -> str:
        out = f"{self.protocol}://" if self.protocol else ""
        if self.user:
            out += self.user + (f":{self.password}" if self.password else "") + "@"
        out += self.host + (f":{self.port}" if self.port else "")
        if self.path:
            out += f"/{self.path}"
        if self.parameters:
            out += "?" + "&".join(
                f"{name}={self.parameters[name].strip(BLANK)}" for name in sorted(self.parameters) if name
            )
        return out

    def encoded(self) -> str:
        """As a node is named after it."""
        return encode(str(self))


def encode(text: str) -> str:
    """As Java's URLEncoder: letters, digits and ``.-*_`` stay, a space becomes ``+``."""
    return quote_plus(text, safe="*", errors="replace").replace("~", "%7E")


def decode(text: str) -> str:
    """What ``encode`` was given. What is no UTF-8 is replaced, a broken escape is Refused."""
    if "%" not in text:
        return text.replace("+", " ")
    if _BROKEN.search(text):
        raise Refused("escape")
    return unquote_plus(text, errors="replace")


def _parameters(query: str) -> dict[str, str]:
    found: dict[str, str] = {}
    if not query:
        return found
    if query.count("&") + query.count(";") >= 2 * MOST_PARAMETERS:  # before anything is made of them
        raise Refused("parameters")
    late = []
    for part in _SEPARATOR.split(query):
        name, _, value = part.lstrip("=").partition("=")
        if not name:
            continue
        # Dubbo 2.6 writes what holds for all methods of a service so; what is said without it wins.
        if name.startswith("default.") and len(name) > 8:
            late.append((name[8:], value))
        else:
            found[name] = value
    for name, value in late:
        found.setdefault(name, value)
    if len(found) > MOST_PARAMETERS:
        raise Refused("parameters")
    return found


def _host_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port or "%" in port or text.endswith("]"):
        return text, 0  # none, or an IPv6 address with a zone, or one alone in brackets
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise Refused("port")
    return host, int(port)


def address(host: str, port: int) -> str:
    """``10.0.0.7:20880``, ``[::1]:20880`` or ``name:20880``, where that can be called; else Refused."""
    if not 0 < port <= 65535:
        raise Refused("port")
    if _IPV4.fullmatch(host) and not host.startswith(_NO_HOSTS):
        return f"{host}:{port}"
    bare = host[1:-1] if host[:1] == "[" and host[-1:] == "]" else host
    try:
        found = ipaddress.ip_address(bare)
    except ValueError:
        last = bare.rpartition(".")[2]
        if not _NAME.fullmatch(bare) or last.isdigit() or ".." in bare:
            raise Refused("host") from None
        return f"{bare}:{port}"
    if found.is_unspecified or found.is_multicast or getattr(found, "scope_id", None) is not None:
        raise Refused("host")
    return f"[{found}]:{port}" if found.version == 6 else f"{found}:{port}"


def listed(parameters: Mapping[str, str]) -> bool:
    """Whether the provider may be called at all; what is neither true nor false is false, as in Java."""
    if parameters.get("disabled", "").lower() == "true":
        return False
    return (parameters.get("enabled") or "true").lower() == "true"


def named(service: str) -> str:
    """The service, if it can be the name of one; else Refused."""
    if not SERVICE.fullmatch(service):
        raise Refused("service")
    return service


def version(text: str) -> str:
    return "" if text == NO_VERSION else text


def provider(node: str, service: str = "", share: dict[str, str] | None = None) -> Provider | None:
    """The provider that a node of ``providers`` is named after, escaped as ``encode`` does; None for what is none: a
    rule, a consumer, one that is not enabled.

    ``service`` is whose node it is: one that says it is another's is Refused. ``share``: texts that are kept once.
    """
    if len(node) > LONGEST_URL:
        raise Refused("too_long")
    return provided(URL.parse(node if "://" in node else decode(node)), service, share)


def provided(url: URL, service: str = "", share: dict[str, str] | None = None) -> Provider | None:
    """As ``provider``, of a URL that was read."""
    parameters = dict(url.parameters)
    if (parameters.get("category") or "providers") != "providers" or url.protocol in NO_PROVIDERS:
        return None
    if not listed(parameters):
        return None
    if url.protocol not in PROTOCOLS:
        raise Refused("protocol")
    own = parameters.get("interface") or parameters.get("service") or url.path
    if own == "*" and service:
        own = service
    elif service and own != service and own:
        raise Refused("other_service")
    own = named(own or service)
    if url.path and url.path != own:
        parameters.setdefault("path", url.path)
    if share is not None:
        parameters = {share.setdefault(k, k): share.setdefault(v, v) for k, v in parameters.items()}
    instance = Instance(address(url.host, url.port), url.protocol, parameters.get("application", ""), parameters)
    return Provider(own, parameters.get("group", ""), version(parameters.get("version", "")), instance)
