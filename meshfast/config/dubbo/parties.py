"""The two ends of a call as Dubbo's rules see them: URLs with a host, a port and parameters."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from meshfast import model


@dataclass(frozen=True, slots=True)
class Provider:
    """An instance. ``address``: as the model has it; ``params``: of its URL, most of which are its ``labels``."""

    address: str
    host: str
    port: str
    params: Mapping[str, str]
    labels: Mapping[str, str]

    def get(self, key: str) -> str | None:
        """What a rule finds under a key of the instance's URL."""
        match key:
            case "address":
                return self.address
            case "host":
                return self.host or None
            case "port":
                return self.port or None
        return self.params.get(key)


def provider(endpoint: model.Endpoint, app: str) -> Provider:
    host, _, port = ("", "", "") if endpoint.address.startswith("unix:") else endpoint.address.rpartition(":")
    params = {"application": app, "side": "provider", **endpoint.labels}
    if endpoint.weight != 1:
        params.setdefault("weight", str(endpoint.weight))
    return Provider(endpoint.address, host.strip("[]"), port, params, endpoint.labels)


@dataclass(frozen=True, slots=True)
class Consumer:
    """The workload beside this sidecar, as a caller of ``service``. ``host``: its address, "" where none is said."""

    service: str
    app: str
    host: str
    labels: Mapping[str, str]

    def get(self, key: str) -> str | None:
        """What a rule finds under a key of the caller's URL. What differs from call to call is not here."""
        match key:
            case "host":
                return self.host or None
            case "application" if self.app:
                return self.app
            case "interface" | "path":
                return self.service
            case "side":
                return "consumer"
        return self.labels.get(key)


_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})", re.ASCII)


@lru_cache(maxsize=4096)
def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


@lru_cache(maxsize=1 << 16)  # more than a cluster mostly has
def _ip(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def is_address(text: str) -> bool:
    """Whether it is an address as rules write it: one that ``meets_address`` understands."""
    if "/" in text:
        return _network(text) is not None
    host, port = _parts(text)
    parts = host.split(":" if ":" in host else ".")
    good = host == "*" or (len(parts) in (4, 8) and all(map(_part_good, parts)))
    return (good or _ip(host) is not None) and (not port or port.isdigit())


def _part_good(part: str) -> bool:
    return part == "*" or _RANGE.fullmatch(part) is not None or re.fullmatch(r"[0-9A-Fa-f]{1,4}", part) is not None


def _parts(text: str) -> tuple[str, str]:
    """Host and port of ``10.0.0.7:20880``, ``[::1]:20880`` or the host alone."""
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        return host, port.removeprefix(":")
    host, colon, port = text.partition(":")
    return (text, "") if ":" in port else (host, port)


def meets_address(wanted: str, host: str, port: str) -> bool:
    """Whether an instance is at an address as rules write it: one, a pattern or range in one of its parts, or a
    network; with a port or for any (``NetUtils.matchIpExpression``); ``0.0.0.0:port`` is that port anywhere."""
    if wanted == f"0.0.0.0:{port}":
        return True
    ip = _ip(host)
    if ip is None:
        return wanted in (host, f"{host}:{port}")
    if "/" in wanted:
        network = _network(wanted)
        return network is not None and ip in network
    asked, at = _parts(wanted)
    if at and at != port:
        return False
    if asked in ("*", "*.*.*.*"):
        return True
    other = _ip(asked)
    if other is not None:
        return other == ip
    dot = "." if ip.version == 4 else ":"
    want = asked.split(dot)
    have = host.split(".") if ip.version == 4 else [f"{int(one, 16):x}" for one in ip.exploded.split(":")]
    return len(want) == len(have) and all(_part_meets(w, h) for w, h in zip(want, have, strict=True))


class Addresses:
    """Many addresses, as rules write them; those without a pattern are looked up."""

    def __init__(self, wanted: Iterable[str]) -> None:
        self._texts = frozenset(wanted)
        self._exact: set[tuple[object, str]] = set()
        self._others: list[str] = []
        for text in self._texts:
            asked, at = _parts(text)
            ip = _ip(asked)
            if ip is not None and "/" not in text:
                self._exact.add((ip, at))
            else:
                self._others.append(text)

    def meet(self, host: str, port: str) -> bool:
        """Whether an instance is at any of them."""
        ip = _ip(host)
        if ip is None:
            return not self._texts.isdisjoint((host, f"{host}:{port}", f"0.0.0.0:{port}"))
        if (ip, "") in self._exact or (ip, port) in self._exact or f"0.0.0.0:{port}" in self._texts:
            return True
        return any(meets_address(one, host, port) for one in self._others)


def _part_meets(want: str, have: str) -> bool:
    if want in ("*", have):
        return True
    found = _RANGE.fullmatch(want)
    return found is not None and have.isdigit() and int(found[1]) <= int(have) <= int(found[2])
