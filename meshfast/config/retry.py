"""When a call is tried again: a route's ``retries``, and what a policy's ``retryBudget`` lets its calls have of it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from meshfast.config import value
from meshfast.config.document import Refused, Report, did_you_mean
from meshfast.config.field import Bool, Int, Parsed, Record, spec
from meshfast.retries import Budget, Retries, RetryOn

BACKOFF_MS = 25
DUBBO = (25, 30, 31, 35, 40, 50, 60, 70, 80, 90, 100)

#: Istio's names; those of None are taken, and add nothing.
NAMES: dict[str, RetryOn | None] = {
    "5xx": RetryOn.SERVER_ERROR,
    "gateway-error": RetryOn.GATEWAY,
    "reset": RetryOn.RESET,
    "reset-before-request": None,
    "connect-failure": None,
    "refused-stream": RetryOn.REFUSED,
    "retriable-4xx": RetryOn.CONFLICT,
    "retriable-status-codes": RetryOn.CODES,
    "retriable-headers": None,
    "http3-post-connect-failure": None,
    "envoy-ratelimited": RetryOn.LIMITED,
    "cancelled": RetryOn.CANCELLED,
    "deadline-exceeded": RetryOn.DEADLINE,
    "resource-exhausted": RetryOn.EXHAUSTED,
    "internal": RetryOn.INTERNAL,
    "unavailable": RetryOn.UNAVAILABLE,
}
DEFAULT = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_CODES = frozenset(str(code) for code in (*DUBBO, *(int(s) for s in HTTPStatus if s >= 200)))


def _names(text: str) -> str:
    for name in text.split(",") if text else ():
        if name in NAMES or name in _CODES:
            continue
        if name.strip() in NAMES or name.strip() in _CODES:
            raise Refused(f'"{name}" is not a reason to try again', "write no blanks between the names")
        hint = did_you_mean(name, NAMES, f"there are {', '.join(NAMES)}, and statuses of HTTP and Dubbo2")
        raise Refused(f'"{name}" is not a reason to try again', hint)
    return text


def _percent(text: str) -> int:
    try:
        share = float(text)
    except ValueError:
        raise Refused(f'"{text}" is not a number', "write it as 20 or 12.5") from None
    if not 0 <= share <= 100:
        raise Refused(f"{text} is not from 0 to 100")
    return round(share * 100)


_WAIT = Parsed("a duration", value.duration, 0)


@dataclass(slots=True, kw_only=True)
class HttpRetry(Record):
    attempts: int = spec(Int(0, 65535), "How often at most a call is tried again; 0: never.", 0)
    per_try_timeout: int = spec(
        _WAIT,
        "Of one try; no less than the call's is none.",
        0,
        name="perTryTimeout",
        shown="the call's",
    )
    retry_on: str = spec(
        Parsed("names with commas", _names, ""),
        "After what: Istio's names, and statuses of HTTP, or below 101 of Dubbo2.",
        "",
        name="retryOn",
        shown=f"`{DEFAULT}`",
    )
    backoff: int = spec(
        _WAIT,
        "Before the first any wait up to this, then up to twice as much each time, at most 10 times.",
        BACKOFF_MS,
        shown="25ms",
    )
    remote: bool = spec(
        Bool(),
        "After each two tries, localities that were tried are left out.",
        False,
        name="retryRemoteLocalities",
        shown="false",
    )
    ignore_previous: bool = spec(
        Bool(),
        "An instance that was tried is tried again only for want of another.",
        True,
        name="retryIgnorePreviousHosts",
        shown="true",
    )


@dataclass(slots=True, kw_only=True)
class RetryBudget(Record):
    percent: int = spec(
        Parsed("a number from 0 to 100", _percent, 0),
        "Of the calls in flight so many, in percent, may be tried again at once.",
        2000,
        shown="20",
    )
    least: int = spec(
        Int(0, 2**32 - 1), "So many may whatever that comes to.", 3, name="minRetryConcurrency", shown="3"
    )


def build(block: HttpRetry | None, report: Report) -> Retries | None:
    """What a route says of it; None: nothing beyond what always holds."""
    if block is None:
        return None
    others = [
        name for name in ("perTryTimeout", "retryOn", "backoff", "retryRemoteLocalities") if _written(block, name)
    ]
    if block.attempts == 0:
        if others:
            message = f"{others[0]} beside attempts: 0"
            report.add(block.at.at(others[0]), message, "nothing is tried again: remove it, or raise attempts")
        return None
    for name, wait in (("perTryTimeout", block.per_try_timeout), ("backoff", block.backoff)):
        if wait == 0 and _written(block, name):
            report.add(block.at.at(name), f"{name} of less than a millisecond", "leave it out for none")
    reasons = (block.retry_on or DEFAULT).split(",")
    on, codes = RetryOn(0), []
    for name in reasons:
        if name in NAMES:
            on |= NAMES[name] or RetryOn(0)
        elif name in _CODES:
            codes.append(int(name))
    return Retries(
        attempts=block.attempts,
        on=on | (RetryOn.CODES if codes else RetryOn(0)),
        codes=tuple(sorted(set(codes))),
        try_ms=block.per_try_timeout,
        backoff_ms=block.backoff,
        remote=block.remote,
        other_peers=block.ignore_previous,
        text=",".join(reasons),
    )


def _written(record: Record, name: str) -> bool:
    return record.at.at(name) is not record.at


def budget(block: RetryBudget | None, report: Report) -> Budget | None:
    """What a policy says of it; None: nothing."""
    if block is None:
        return None
    if block.percent == 0 and block.least == 0:
        report.warn(block.at, "a budget of 0: no call is tried again", "write a percent, or minRetryConcurrency")
    return Budget(block.percent, block.least)
