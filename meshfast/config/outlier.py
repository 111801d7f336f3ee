"""A DestinationRule's ``outlierDetection``: which instances rest because they answered errors."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast import model, policies
from meshfast.config import value
from meshfast.config.document import Place, Report
from meshfast.config.field import Bool, Int, ListOf, Parsed, Record, Struct, spec

_COUNT = Int(0, 2**32 - 1)
_PERCENT = Int(0, 100)
_WAIT = Parsed("a duration", value.duration, 0)


@dataclass(slots=True, kw_only=True)
class OutlierDetection(Record):
    consecutive_errors: int | None = spec(
        _COUNT, "Nothing comes of it, as with Istio.", None, name="consecutiveErrors", shown="none", on=""
    )
    errors: int = spec(
        _COUNT, "So many errors in a row eject an instance: statuses of HTTP from 500 on, and what stands for them "
        "([below](#ejection)). 0: none do.", 5, name="consecutive5xxErrors",
    )  # fmt: skip
    gateway: int = spec(
        _COUNT, "The same for 502, 503 and 504 alone. 0: none do.", 0, name="consecutiveGatewayErrors"
    )
    split: bool = spec(
        Bool(), "true: what failed on our side (no connection, connection lost, timeout) is counted apart.", False,
        name="splitExternalLocalOriginErrors", shown="false",
    )  # fmt: skip
    local: int | None = spec(
        _COUNT, "So many of those in a row eject an instance; 0: 5.", None, name="consecutiveLocalOriginFailures",
        shown="5",
    )  # fmt: skip
    interval: int = spec(
        _WAIT, "An ejected instance comes back at a multiple of it, and each that it stays forgives one ejection.",
        10_000, shown="10s",
    )  # fmt: skip
    base: int = spec(
        _WAIT, "So long an instance is out the first time, twice as long the second time, and so on up to 300 s.",
        30_000, name="baseEjectionTime", shown="30s",
    )  # fmt: skip
    max_percent: int = spec(
        _PERCENT, "So many of the instances may be out at once; 0: 10. Of fewer than 10 instances that is none.", 10,
        name="maxEjectionPercent",
    )  # fmt: skip
    least_percent: int = spec(
        _PERCENT, "With fewer healthy instances than that all are used, the ejected ones too. 0: never.", 0,
        name="minHealthPercent",
    )  # fmt: skip
    codes: tuple[int, ...] = spec(
        ListOf(Int(100, 599)), "Statuses that are errors, in place of those from 500 on.", (),
        name="outlierDetectionHttpErrorCodes", shown="from 500 on",
    )  # fmt: skip


OUTLIER = Struct(OutlierDetection, "OutlierDetection")


def check(block: OutlierDetection, report: Report) -> None:
    """Judges a block by itself."""
    if block.local and not block.split:
        hint = "without splitExternalLocalOriginErrors: true there is nothing that it counts"
        report.add(block.at.at("consecutiveLocalOriginFailures"), "consecutiveLocalOriginFailures needs a split", hint)
    for name, wait in (("interval", block.interval), ("baseEjectionTime", block.base)):
        if not wait:
            report.add(block.at.at(name), f"{name} must be at least 1ms")
    if block.consecutive_errors is not None:
        hint = "write consecutive5xxErrors or consecutiveGatewayErrors"
        message = "consecutiveErrors does nothing, nor with Istio of today"
        report.warn(block.at.key_of("consecutiveErrors"), message, hint)
    if not block.errors and not block.gateway and not block.split:
        report.warn(block.at, "nothing ejects an instance", "write consecutive5xxErrors above 0")


def advise(cluster: model.Cluster, at: Place, report: Report) -> None:
    """Warns of a cluster or subset that has too few instances for its percentage."""
    subsets = ((f"{cluster.name}, subset {s.name},", s.policy, s) for s in cluster.subsets)
    for name, policy, subset in ((cluster.name, cluster.policy, None), *subsets):
        said = policy.outlier if policy is not None else None
        n = sum(subset is None or subset.has(one) for one in cluster.endpoints)
        if said is not None and 0 < n and 100 > said.max_percent * n:
            hint = f"{said.max_percent} % of {n} is less than one: write maxEjectionPercent: {-(-100 // n)} or more"
            report.warn(at, f"no instance of {name} is ever ejected", hint)


def build(block: OutlierDetection) -> policies.Outlier:
    """What the core is given."""
    return policies.Outlier(
        errors=block.errors,
        gateway=block.gateway,
        local=block.local or 5,
        split=block.split,
        interval_ms=block.interval,
        base_ms=block.base,
        longest_ms=max(300_000, block.base),
        max_percent=block.max_percent or 10,
        least_percent=block.least_percent,
        codes=tuple(sorted(set(block.codes))),
    )
