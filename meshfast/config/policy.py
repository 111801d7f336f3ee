"""A DestinationRule's ``trafficPolicy``: its schema, and what of it is hardly meant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace

from meshfast import policies
from meshfast.balance import Balancer
from meshfast.config import balancer, outlier, pools, retry
from meshfast.config.document import Place, Report
from meshfast.config.field import Choice, Int, ListOf, Record, Struct, Unread, spec
from meshfast.config.locality import LOCALITY, LocalityLbSetting, Setting, settle
from meshfast.config.locality import check as check_locality
from meshfast.config.retry import RetryBudget
from meshfast.retries import Budget


@dataclass(slots=True, kw_only=True)
class LoadBalancer(balancer.Choosing):
    locality: LocalityLbSetting | None = spec(
        LOCALITY,
        "Which localities are preferred.",
        None,
        name="localityLbSetting",
        shown="none is",
    )


@dataclass(slots=True, kw_only=True)
class Tls(Record):
    mode: str = spec(
        Choice("DISABLE", "ISTIO_MUTUAL", "SIMPLE", "MUTUAL"),
        "How connections to instances begin: always in plain text. All but DISABLE is refused, unless the Sidecar says "
        "what else becomes of it (`tls`).",
        "DISABLE",
    )
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
    retry_budget: RetryBudget | None = spec(
        Struct(RetryBudget, "RetryBudget"),
        "Calls that may be tried again at once; `limits.retryPercent` and `retryRate` hold besides.",
        None,
        name="retryBudget",
        shown="none of its own",
    )
    tls: Tls | None = spec(Struct(Tls), "What protects connections.", None, shown="plain text")
    outlier: outlier.OutlierDetection | None = spec(
        outlier.OUTLIER, "Which instances rest because they answered errors.", None, name="outlierDetection",
        shown="none",
    )  # fmt: skip
    pool: pools.ConnectionPool | None = spec(
        pools.POOL, "How much may be under way at once.", None, name="connectionPool", shown="any number"
    )


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


@dataclass(frozen=True, slots=True)
class Blocks:
    """What each block of a policy comes to; None where it is not written."""

    locality: Setting | None = None
    balancer: Balancer | None = None
    outlier: policies.Outlier | None = None
    breaker: policies.Breaker | None = None
    budget: Budget | None = None


@dataclass(frozen=True, slots=True)
class Levels:
    """A policy's blocks, and in place of all of them those for single ports."""

    blocks: Blocks = Blocks()
    ports: Mapping[int, Blocks] = field(default_factory=dict)


NOTHING = Levels()
_NOTHING = policies.Policy()
_UNBOUND = policies.Breaker()


def levels(policy: TrafficPolicy | None, report: Report) -> Levels:
    """What a policy comes to, before it is known what else holds beside it."""
    if policy is None:
        return Levels()
    ports = {each.port.number: _blocks(each, report) for each in policy.port_level if each.port is not None}
    return Levels(_blocks(policy, report), ports)


def _blocks(policy: Policy, report: Report) -> Blocks:
    found = policy.load_balancer
    return Blocks(
        locality=None if found is None else settle(found.locality),
        balancer=balancer.build(found),
        outlier=outlier.build(policy.outlier) if policy.outlier else None,
        breaker=pools.build(policy.pool) if policy.pool else None,
        budget=retry.budget(policy.retry_budget, report),
    )


def effective(
    host: Levels, subset: Levels | None, port: int = 0, seen: Callable[[Blocks], policies.Locality | None] | None = None
) -> policies.Policy | None:  # fmt: skip
    """What holds for a host, or a ``subset`` of it, at one of its ports (0: not told apart); None: nothing is said.
    ``seen``: what instances are as seen from here.

    Block by block the subset's is before the host's; what is said for a port stands alone, as with Istio.
    """
    found = host.ports.get(port, host.blocks)
    if subset is not None:
        found = subset.ports[port] if port in subset.ports else _before(subset.blocks, found)
    made = replace(_policy(found), locality=seen(found)) if seen is not None else _policy(found)
    return None if made == _NOTHING else made


def _before(first: Blocks, other: Blocks) -> Blocks:
    written = {f.name: value for f in fields(Blocks) if (value := getattr(first, f.name)) is not None}
    return replace(other, **written)


def _policy(blocks: Blocks) -> policies.Policy:
    breaker = blocks.breaker if blocks.breaker != _UNBOUND else None
    said = balancer.said(blocks.balancer)
    return policies.Policy(balancer=said, outlier=blocks.outlier, breaker=breaker, budget=blocks.budget)


def said_passing(policy: Policy | None) -> Place | None:
    """Where it says PASSTHROUGH, if it does."""
    block = policy.load_balancer if policy is not None else None
    return block.at.at("simple") if block is not None and block.simple == "PASSTHROUGH" else None


def check(
    policy: TrafficPolicy | None, host: TrafficPolicy | None, report: Report, *, subset: bool = False
) -> None:  # fmt: skip
    """Judges a policy; ``host``: the one that its blocks are before, if any; ``subset``: it is a subset's."""
    for each in () if policy is None else (*([policy] if subset else []), *policy.port_level):
        if (there := said_passing(each)) is not None:
            hint = "write it for the host: its calls can go to instances or where they were dialled"
            report.add(there, "PASSTHROUGH is not supported for a subset or a port", hint)
    ejecting = _has(host, "outlierDetection")
    if policy is not None:
        _check(policy, ejecting or _has(policy, "outlierDetection"), report)
        for each in policy.port_level:
            _check(each, _has(each, "outlierDetection"), report)


def _has(policy: Policy | None, name: str) -> bool:
    return policy is not None and policy.at.at(name) is not policy.at


def _check(policy: Policy, ejecting: bool, report: Report) -> None:
    if policy.outlier is not None:
        outlier.check(policy.outlier, report)
    if policy.pool is not None:
        pools.check(policy.pool, report)
    if policy.load_balancer is None:
        return
    balancer.check(policy.load_balancer, report)
    check_locality(policy.load_balancer.locality, ejecting, report)
