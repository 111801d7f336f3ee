"""A DestinationRule's ``trafficPolicy``: its schema, and what of it is hardly meant."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast.config import istio
from meshfast.config.document import Report
from meshfast.config.field import Bool, Choice, Int, ListOf, Record, Struct, Unread, spec

_DRAWN = "instances are drawn at random, by their weights"


@dataclass(slots=True, kw_only=True)
class LocalityLbSetting(Record):
    enabled: bool = spec(Bool(), "false: no locality is preferred.", True, shown="true")
    failover: bool = spec(Unread(), "Refused beside `outlierDetection`; without it nothing comes of it.", False, on="")
    failover_priority: bool = spec(Unread(), "The same.", False, name="failoverPriority", on="")


@dataclass(slots=True, kw_only=True)
class LoadBalancer(Record):
    simple: str = spec(
        Choice(
            "RANDOM", "ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN", "UNSPECIFIED",
            never=istio.BALANCERS,
        ),
        f"All but RANDOM are taken with a warning: {_DRAWN}.",
        "RANDOM",
    )  # fmt: skip
    locality: LocalityLbSetting | None = spec(
        Struct(LocalityLbSetting, "LocalityLbSetting"),
        "Which localities are preferred.",
        None,
        name="localityLbSetting",
        shown="none is",
    )


@dataclass(slots=True, kw_only=True)
class Tls(Record):
    mode: str = spec(Choice("DISABLE", never=istio.TLS_MODES), "How connections to instances begin.", "DISABLE")
    client_certificate: bool = spec(Unread(), "Of modes that are refused.", False, name="clientCertificate", on="")
    private_key: bool = spec(Unread(), "The same.", False, name="privateKey", on="")
    ca_certificates: bool = spec(Unread(), "The same.", False, name="caCertificates", on="")
    ca_crl: bool = spec(Unread(), "The same.", False, name="caCrl", on="")
    credential_name: bool = spec(Unread(), "The same.", False, name="credentialName", on="")
    subject_alt_names: bool = spec(Unread(), "The same.", False, name="subjectAltNames", on="")
    sni: bool = spec(Unread(), "The same.", False, on="")
    insecure_skip_verify: bool = spec(Unread(), "The same.", False, name="insecureSkipVerify", on="")


@dataclass(slots=True, kw_only=True)
class Policy(Record):
    load_balancer: LoadBalancer | None = spec(
        Struct(LoadBalancer, "LoadBalancer"),
        "How an instance is chosen.",
        None,
        name="loadBalancer",
        shown="by weight",
    )
    tls: Tls | None = spec(Struct(Tls), "What protects connections.", None, shown="plain text")


@dataclass(slots=True, kw_only=True)
class PortSelector(Record):
    number: int = spec(Int(1, 65535), "The port.")


@dataclass(slots=True, kw_only=True)
class PortPolicy(Policy):
    port: PortSelector | None = spec(Struct(PortSelector), "The service's port that it is for.", None, shown="none")


@dataclass(slots=True, kw_only=True)
class TrafficPolicy(Policy):
    port_level: tuple[PortPolicy, ...] = spec(
        ListOf(Struct(PortPolicy, "TrafficPolicy")),
        "For one port, in place of all of the above.",
        (),
        name="portLevelSettings",
        shown="none",
    )


TRAFFIC_POLICY = Struct(TrafficPolicy, "TrafficPolicy")


def check(policy: TrafficPolicy | None, host: TrafficPolicy | None, report: Report) -> None:
    """Judges a policy; ``host``: the one that its blocks are before, if any."""
    ejecting = _has(host, "outlierDetection")
    if policy is not None:
        _check(policy, ejecting or _has(policy, "outlierDetection"), report)
        for each in policy.port_level:
            _check(each, _has(each, "outlierDetection"), report)


def _has(policy: Policy | None, name: str) -> bool:
    return policy is not None and policy.at.at(name) is not policy.at


def _check(policy: Policy, ejecting: bool, report: Report) -> None:
    balancer = policy.load_balancer
    if balancer is None:
        return
    if balancer.simple in ("ROUND_ROBIN", "LEAST_REQUEST", "LEAST_CONN"):
        report.warn(balancer.at.at("simple"), f"{balancer.simple} is not done yet", _DRAWN)
    locality = balancer.locality
    for name in ("failover", "failoverPriority"):
        if locality is None or not locality.enabled or not _has_field(locality, name):
            continue
        there = locality.at.key_of(name)
        if ejecting:
            report.add(there, f"{name} is not supported yet", "calls would go to all localities alike")
        else:
            report.warn(there, f"{name} does nothing without outlierDetection", "nor does it with Istio")


def _has_field(locality: LocalityLbSetting, name: str) -> bool:
    return locality.failover if name == "failover" else locality.failover_priority
