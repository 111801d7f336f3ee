"""Metrics of what rules share: rate limits, and mirrors."""

from __future__ import annotations

from collections.abc import Iterator

from meshfast.exposition import Family, Metric
from meshfast.routing import Table

_LIMITS = {
    key: Metric(f"meshfast_rate_limit_{name}", kind, text, ("limit",))
    for key, name, kind, text in (
        ("passed", "passed_total", "counter", "calls that counted against a RateLimit and went on"),
        ("limited", "refused_total", "counter", "calls that a RateLimit refused"),
        ("left", "left", "gauge", "calls that a RateLimit would let go on at once now"),
    )
}
_MIRRORED = Metric(
    "meshfast_mirrored_calls_total", "counter",
    "copies of calls by whom they were for and what became of them: `ok`, `error` (so it was answered), `failed`, "
    "`skipped`", ("host", "subset", "result"),
)  # fmt: skip

METRICS = (*_LIMITS.values(), _MIRRORED)


def families(table: Table) -> Iterator[Family]:
    """Those in force."""
    limits = table.limits()
    for key, metric in _LIMITS.items():
        yield metric, [[metric.line((one.name,), getattr(one, key)) for one in limits]]
    rows = [(one, result, count) for one in table.mirrors() for result, count in one.counts.items()]
    yield _MIRRORED, [[_MIRRORED.line((one.cluster, one.subset, result), count) for one, result, count in rows]]
