"""Instances that are named by a host: which may be, and how the Sidecar has their names resolved."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from meshfast import model
from meshfast.config import value
from meshfast.config.document import Refused, Report
from meshfast.config.field import Int, ListOf, Parsed, Record, spec

BY_DNS = ("DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS")
MAX_NAME = 253  # RFC 1035 section 2.3.4, without the last dot
_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def _server(text: str) -> str:
    try:
        return value.join(str(ipaddress.ip_address(text)), 53)
    except ValueError:
        found = value.address(text)
    if found.startswith("unix://"):
        raise Refused(f'"{text}" is no server of DNS', "write its IP address, with a port where that is not 53")
    return found


@dataclass(slots=True, kw_only=True)
class DnsSpec(Record):
    servers: tuple[str, ...] = spec(
        ListOf(Parsed("an address", _server, "")), "Who is asked: `10.0.0.53` or `127.0.0.1:8600`.", (),
        shown="those of /etc/resolv.conf",
    )  # fmt: skip
    timeout: int = spec(
        Parsed("a duration", value.duration, 0),
        "How long one name is asked for, and how long the start waits for first answers.",
        5000,
        shown="5s",
    )
    refresh: int = spec(
        Parsed("a duration", value.duration, 0),
        "When a name is asked for again whose answer says no time to live; after failures at the latest.",
        60_000,
        shown="1m",
    )
    least: int = spec(
        Parsed("a duration", value.duration, 0), "The shortest time that an answer is kept.", 1000, shown="1s"
    )
    addresses: int = spec(Int(1, 4096), "Of one name; what is over is left out and counted.", 256)


def resolve(found: DnsSpec | None, report: Report) -> model.Dns:
    if found is None or found.at.bad:
        return model.Dns()
    for name in ("timeout", "refresh", "least"):
        if getattr(found, name) < 100:
            report.add(found.at.at(name), f"{name} is less than 100ms")
    if found.least > found.refresh:
        report.add(found.at.at("least"), "least is longer than refresh")
    return model.Dns(found.servers, found.timeout, found.refresh, found.least, found.addresses)


def is_name(text: str) -> bool:
    """Whether it is not an address, and may be the name of a host."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return not text.startswith("unix://")
    return False


def host(text: str) -> str:
    """A name that DNS may know."""
    labels = text.removesuffix(".").split(".")
    if len(text) > MAX_NAME or not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
        raise Refused(f'"{text}" is neither an IP address nor the name of a host', "write one address for each entry")
    return text.lower()
