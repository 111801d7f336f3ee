"""What outlierDetection and connectionPool come to, and which of them are hardly meant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from config_mesh import Doc, entry, load, rule
from test_istio import checked, having

from meshfast.errors import ConfigError
from meshfast.policies import Breaker, Outlier, Policy

ONE = [{"address": "10.0.0.1", "ports": {"dubbo": 1}}]
TEN = [{"address": f"10.0.0.{i}", "ports": {"dubbo": 1}} for i in range(1, 11)]


def shop(endpoints: list[Doc] = TEN) -> Doc:
    return entry("shop", ports=[{"number": 1, "name": "dubbo"}], endpoints=endpoints)


def policy(text: str, *subsets: str) -> Policy | None:
    document = having(rule("shop", *subsets), trafficPolicy=yaml.safe_load(text))
    return load(shop(), document).clusters["shop"].policy


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{}", Outlier()),
        ("{consecutive5xxErrors: 0}", Outlier(errors=0)),
        ("{consecutive5xxErrors: 7}", Outlier(errors=7)),
        ("{consecutiveGatewayErrors: 0}", Outlier(gateway=0)),
        ("{consecutiveGatewayErrors: 3}", Outlier(gateway=3)),
        ("{maxEjectionPercent: 0}", Outlier(max_percent=10)),
        ("{maxEjectionPercent: 34}", Outlier(max_percent=34)),
        ("{minHealthPercent: 50}", Outlier(least_percent=50)),
        ("{interval: 1ms, baseEjectionTime: 1.5s}", Outlier(interval_ms=1, base_ms=1500)),
        ("{baseEjectionTime: 10m}", Outlier(base_ms=600_000, longest_ms=600_000)),
        ("{splitExternalLocalOriginErrors: true}", Outlier(split=True)),
        ("{splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2}", Outlier(split=True, local=2)),
        ("{splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 0}", Outlier(split=True, local=5)),
        ("{consecutiveErrors: 2}", Outlier()),
        ("{outlierDetectionHttpErrorCodes: [503, 429, 503]}", Outlier(codes=(429, 503))),
    ],
)
def test_outlier_detection(text: str, made: Outlier) -> None:
    assert policy(f"outlierDetection: {text}") == Policy(outlier=made)


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("{tcp: {maxConnections: 100, connectTimeout: 250ms}}", Breaker(connections=100, connect_ms=250)),
        (
            "{http: {http1MaxPendingRequests: 3, http2MaxRequests: 4, maxRetries: 5}}",
            Breaker(pending=3, requests=4, retries=5),
        ),
        ("{http: {http2MaxRequests: 0, maxRetries: 0}, tcp: {maxConnections: 0}}", None),
        ("{http: {useClientProtocol: true, h2UpgradePolicy: DEFAULT}}", None),
    ],
)
def test_connection_pool(text: str, made: Breaker | None) -> None:
    assert policy(f"connectionPool: {text}") == (Policy(breaker=made) if made else None)


@pytest.mark.parametrize(
    ("text", "where", "message"),
    [
        ("outlierDetection: {consecutiveLocalOriginFailures: 3}", "consecutiveLocalOriginFailures", "needs"),
        ("outlierDetection: {interval: 0s}", "interval", "at least 1ms"),
        ("outlierDetection: {baseEjectionTime: 0s}", "baseEjectionTime", "at least 1ms"),
        ("outlierDetection: {maxEjectionPercent: 101}", "maxEjectionPercent", "not from 0 to 100"),
        ("outlierDetection: {minHealthPercent: -1}", "minHealthPercent", "not from 0 to 100"),
        ("outlierDetection: {outlierDetectionHttpErrorCodes: [99]}", "outlierDetectionHttpErrorCodes[0]", "from 100"),
        ("connectionPool: {}", "connectionPool", "nothing is written here"),
        ("connectionPool: {tcp: {connectTimeout: 0s}}", "tcp.connectTimeout", "at least 1ms"),
        ("connectionPool: {http: {http2MaxRequests: -1}}", "http.http2MaxRequests", "not from 0"),
        ("connectionPool: {http: {h2UpgradePolicy: MAYBE}}", "http.h2UpgradePolicy", "expected DEFAULT"),
    ],
)
def test_refused(text: str, where: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        policy(text)
    (problem,) = caught.value.problems
    assert problem.path.endswith(where) and message in problem.message


@pytest.mark.parametrize(
    ("text", "n", "warned"),
    [
        ("outlierDetection: {consecutiveErrors: 2, maxEjectionPercent: 100}", 1, ["consecutiveErrors does nothing"]),
        ("outlierDetection: {consecutive5xxErrors: 0, maxEjectionPercent: 100}", 1, ["nothing ejects an instance"]),
        ("outlierDetection: {}", 9, ["no instance of shop is ever ejected"]),
        ("outlierDetection: {}", 10, []),
        ("outlierDetection: {maxEjectionPercent: 33}", 3, ["no instance of shop is ever ejected"]),
        ("outlierDetection: {maxEjectionPercent: 34}", 3, []),
        ("connectionPool: {http: {h2UpgradePolicy: UPGRADE}}", 1, ["UPGRADE is not done"]),
        (
            "connectionPool: {tcp: {idleTimeout: 1s, tcpKeepalive: {time: 1s}, maxConnectionDuration: 1s}}", 1,
            [f"{name} is not done yet" for name in ("idleTimeout", "maxConnectionDuration", "tcpKeepalive")],
        ),
        (
            "connectionPool: {http: {idleTimeout: 1s, maxConcurrentStreams: 1, maxRequestsPerConnection: 1}}", 1,
            [f"{name} is not done yet" for name in ("idleTimeout", "maxConcurrentStreams", "maxRequestsPerConnection")],
        ),
    ],
)  # fmt: skip
def test_warned(tmp_path: Path, text: str, n: int, warned: list[str]) -> None:
    document = having(rule("shop"), trafficPolicy=yaml.safe_load(text))
    _, warnings, _ = checked(tmp_path, shop(TEN[:n]), document)
    assert len(warnings) == len(warned)
    assert all(any(one.startswith(w) for one in warnings) for w in warned), warnings


def test_a_small_subset_is_warned_of(tmp_path: Path) -> None:
    endpoints: list[dict[str, Any]] = [{**one, "labels": {"v": "v1"}} for one in TEN[:2]] + TEN[2:]
    document = having(rule("shop", "v1"), trafficPolicy={"outlierDetection": {}})
    _, warnings, _ = checked(tmp_path, shop(endpoints), document)
    assert warnings == ["no instance of shop, subset v1, is ever ejected"]


def test_a_subsets_blocks_are_before_the_hosts() -> None:
    """As run on a real istiod: whole blocks, and what is said for a port stands alone."""
    document = rule("shop", "v1", "v2")
    document["spec"]["trafficPolicy"] = {
        "connectionPool": {"http": {"http2MaxRequests": 9}}, "outlierDetection": {"consecutive5xxErrors": 3}
    }  # fmt: skip
    document["spec"]["subsets"][0]["trafficPolicy"] = {"connectionPool": {"tcp": {"maxConnections": 4}}}
    made = load(shop(), document).clusters["shop"]
    assert made.policy == Policy(outlier=Outlier(errors=3), breaker=Breaker(requests=9))
    assert made.subsets[0].policy == Policy(outlier=Outlier(errors=3), breaker=Breaker(connections=4))
    assert made.subsets[1].policy == made.policy

    document["spec"]["trafficPolicy"]["portLevelSettings"] = [
        {"port": {"number": 1}, "loadBalancer": {"simple": "RANDOM"}}
    ]
    at_port = load(shop(), document).clusters["shop"].policy
    assert at_port is not None and at_port.outlier is None and at_port.breaker is None
