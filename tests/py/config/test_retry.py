"""``retries`` of routes and ``retryBudget`` of policies: what is taken, with which meaning, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from config_mesh import Doc, entry, load, rule, to, virtual
from test_istio import ONE, checked, having

from meshfast.errors import ConfigError
from meshfast.explain import explain
from meshfast.retries import Budget, Retries, RetryOn
from meshfast.routing import Table

SHOP = entry("shop", ("a.Cart",), ports=[{"number": 1}], endpoints=ONE)
LIST = RetryOn.REFUSED | RetryOn.UNAVAILABLE | RetryOn.CANCELLED | RetryOn.CODES


def retries(written: Any) -> Retries | None:
    mesh = load(SHOP, virtual(["a.Cart"], {"route": [to()], "retries": written}))
    actions = mesh.services[0].rules[0].actions
    return actions.retries if actions else None


def test_what_is_written() -> None:
    made = retries({"attempts": 3})
    assert made is not None
    assert (made.attempts, made.on, made.codes, made.try_ms, made.backoff_ms) == (3, LIST, (), 0, 25)
    assert (made.remote, made.other_peers) == (False, True)
    made = retries({
        "attempts": 1, "perTryTimeout": "2s", "retryOn": "503,reset", "backoff": "100ms",
        "retryRemoteLocalities": True, "retryIgnorePreviousHosts": False,
    })  # fmt: skip
    assert made == Retries(1, RetryOn.RESET | RetryOn.CODES, (503,), 2000, 100, True, False, "503,reset")


def test_none() -> None:
    assert retries({}) is None and retries({"attempts": 0}) is None
    assert load(SHOP, virtual(["a.Cart"], {"route": [to()]})).services[0].rules[0].actions is None


@pytest.mark.parametrize(
    ("name", "on"),
    [
        ("5xx", RetryOn.SERVER_ERROR), ("gateway-error", RetryOn.GATEWAY), ("reset", RetryOn.RESET),
        ("reset-before-request", 0), ("connect-failure", 0), ("refused-stream", RetryOn.REFUSED),
        ("retriable-4xx", RetryOn.CONFLICT), ("retriable-status-codes", RetryOn.CODES), ("retriable-headers", 0),
        ("http3-post-connect-failure", 0), ("envoy-ratelimited", RetryOn.LIMITED), ("cancelled", RetryOn.CANCELLED),
        ("deadline-exceeded", RetryOn.DEADLINE), ("resource-exhausted", RetryOn.EXHAUSTED),
        ("internal", RetryOn.INTERNAL), ("unavailable", RetryOn.UNAVAILABLE), ("70", RetryOn.CODES),
    ],
)  # fmt: skip
def test_every_name_of_istio_and_statuses(name: str, on: RetryOn) -> None:
    made = retries({"attempts": 1, "retryOn": name})
    assert made is not None and made.on == on and made.text == name


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"attempts": 1, "retryOn": "5xx, reset"}, '" reset" is not a reason'),
        ({"attempts": 1, "retryOn": "sometimes"}, '"sometimes" is not a reason'),
        ({"attempts": 1, "retryOn": "20"}, '"20" is not a reason'),
        ({"attempts": 1, "retryOn": "999"}, '"999" is not a reason'),
        ({"attempts": 0, "perTryTimeout": "1s"}, "perTryTimeout beside attempts: 0"),
        ({"retryOn": "5xx"}, "retryOn beside attempts: 0"),
        ({"attempts": 1, "perTryTimeout": "0s"}, "perTryTimeout of less than a millisecond"),
        ({"attempts": 1, "backoff": "0s"}, "backoff of less than a millisecond"),
        ({"attempts": -1}, "-1 is not from 0"),
    ],
)  # fmt: skip
def test_what_is_refused(written: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        retries(written)


def _budget(written: Any) -> Doc:
    return having(rule("shop"), trafficPolicy={"retryBudget": written})


def test_a_budget(tmp_path: Path) -> None:
    assert load(SHOP, _budget({})).clusters["shop"].policy.budget == Budget(2000, 3)  # type: ignore[union-attr]
    some = load(SHOP, _budget({"percent": 12.5, "minRetryConcurrency": 7})).clusters["shop"].policy
    assert some is not None and some.budget == Budget(1250, 7)
    for wrong in (101, -1, "x"):
        with pytest.raises(ConfigError, match=r"is not (from 0 to 100|a number)"):
            load(SHOP, _budget({"percent": wrong}))
    assert checked(tmp_path, SHOP, _budget({"percent": 0, "minRetryConcurrency": 0}))[1] == [
        "a budget of 0: no call is tried again"
    ]


def test_it_is_explained() -> None:
    policy = having(rule("shop"), trafficPolicy={"retryBudget": {"percent": 30}})
    written = {"attempts": 3, "retryOn": "5xx,reset", "perTryTimeout": "1500ms"}
    table = Table()
    two = entry("shop", ("a.Cart",), ports=[{"number": 1}], endpoints=[*ONE, {"address": "10.0.0.2"}])
    table.publish(load(two, policy, virtual(["a.Cart"], {"route": [to()], "retries": written})))
    said = [step["text"] for step in explain(table, "a.Cart")["steps"]]
    assert "tried again at most 3 times, after 5xx,reset, 1.5 s each, first within 25 ms" in said
    assert any("tried again at once: 30 % of its calls, at least 3" in text for text in said), said
