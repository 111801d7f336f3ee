"""``mirror`` and ``mirrors`` of a rule: whom copies of its calls go to, and of how many."""

from __future__ import annotations

from collections.abc import Iterator

from meshfast.config.document import Report
from meshfast.config.resource import Destination, HttpRoute

MOST = 8  # of one rule
ALL = 1_000_000


def wanted(route: HttpRoute, report: Report) -> Iterator[tuple[Destination, int]]:
    """Each destination of copies, and its share of the calls in millionths."""
    old = route.mirror_percent if route.mirror_percent is not None else route.mirror_percent_old
    if route.mirror is not None and route.mirrors:
        report.add(route.at.at("mirrors"), "mirror and mirrors exclude each other", "keep one of them")
        return
    if route.mirror is None:
        for name in ("mirrorPercentage", "mirrorPercent", "mirror_percent"):
            if route.at.at(name) is not route.at:
                words = "each of mirrors has its own" if route.mirrors else "nor does it with Istio"
                report.warn(route.at.key_of(name), f"{name} does nothing without mirror", words)
    if len(route.mirrors) > MOST:
        report.add(route.at.at("mirrors"), f"{len(route.mirrors)} mirrors; the limit is {MOST}")
    if route.mirror is not None:
        if route.mirror_percentage is not None:
            yield route.mirror, _share(route.mirror_percentage.value)
        else:
            yield route.mirror, ALL if old is None else old * 10_000
    for one in route.mirrors:
        if one.destination is not None:
            yield one.destination, ALL if one.percentage is None else _share(one.percentage.value)


def _share(percent_: float) -> int:
    return int(round(percent_ * 1_000_000) // 100)  # cut off behind the fourth place, as Envoy does
