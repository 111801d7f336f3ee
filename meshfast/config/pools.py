"""A DestinationRule's ``connectionPool``: how much may be under way at once, and how connections are used."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast import policies
from meshfast.config import value
from meshfast.config.document import Report
from meshfast.config.field import Bool, Choice, Int, Parsed, Record, Struct, spec

_COUNT = Int(0, 2**31 - 1)
_WAIT = Parsed("a duration", value.duration, 0)


@dataclass(slots=True, kw_only=True)
class TcpSettings(Record):
    connections: int = spec(
        _COUNT, "HTTP/1 connections at once; what many callers share is one connection of each worker to an instance "
        "anyhow. 0: any number.", 0, name="maxConnections", on="HTTP/1",
    )  # fmt: skip
    connect: int | None = spec(
        _WAIT, "A call waits so long for a connection, then it goes elsewhere; at most the Sidecar's.", None,
        name="connectTimeout", shown="the Sidecar's",
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class HttpSettings(Record):
    pending: int = spec(
        _COUNT, "Calls that wait for a connection. 0: any number.", 0, name="http1MaxPendingRequests"
    )
    requests: int = spec(_COUNT, "Calls in flight, of any protocol. 0: any number.", 0, name="http2MaxRequests")
    retries: int = spec(
        _COUNT, "Calls tried again at once, unless `retryBudget` is written. 0: any number.", 0, name="maxRetries"
    )
    upgrade: str = spec(
        Choice("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"),
        "UPGRADE is taken with a warning: calls go out as they came in.", "DEFAULT", name="h2UpgradePolicy",
    )  # fmt: skip
    same_protocol: bool = spec(
        Bool(), "Calls go out in the protocol that they came in, in either case.", True, name="useClientProtocol",
        shown="true", on="",
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class ConnectionPool(Record):
    tcp: TcpSettings | None = spec(Struct(TcpSettings, "TCPSettings"), "Of any connection.", None, shown="none")
    http: HttpSettings | None = spec(Struct(HttpSettings, "HTTPSettings"), "Of calls.", None, shown="none")


POOL = Struct(ConnectionPool, "ConnectionPool")


def check(block: ConnectionPool, report: Report) -> None:
    """Judges a block by itself."""
    if block.tcp is None and block.http is None and not block.at.bad:
        report.add(block.at, "nothing is written here", "write tcp or http")
    if block.tcp is not None and block.tcp.connect == 0:
        report.add(block.tcp.at.at("connectTimeout"), "connectTimeout must be at least 1ms")
    if block.http is not None and block.http.upgrade == "UPGRADE":
        hint = "calls go out in the protocol that they came in"
        report.warn(block.http.at.at("h2UpgradePolicy"), "UPGRADE is not done", hint)


def build(block: ConnectionPool) -> policies.Breaker:
    """What the core is given."""
    tcp, http = block.tcp, block.http
    return policies.Breaker(
        requests=http.requests if http else 0,
        pending=http.pending if http else 0,
        connections=tcp.connections if tcp else 0,
        retries=http.retries if http else 0,
        connect_ms=(tcp.connect or 0) if tcp else 0,
    )
