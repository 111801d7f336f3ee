"""Rules that no call ever reaches, as earlier ones take all that they match: a warning, since Istio drops them."""

from __future__ import annotations

from collections.abc import Sequence

from meshfast.config import match
from meshfast.config.document import Report
from meshfast.config.resource import HttpRoute
from meshfast.model import GATEWAYS, Condition

MAX_COMPARED = 2_000_000  # pairs of matches compared to find shadows; beyond, only rules without a match are seen

Alternatives = tuple[tuple[Condition, ...], ...]


def report_shadows(routes: Sequence[HttpRoute], rules: list[Alternatives], report: Report) -> None:
    """A rule is never reached when each of its matches has a wider one before it."""
    if report.warnings is None:
        return
    earlier: list[tuple[tuple[Condition, ...], HttpRoute]] = []
    every: HttpRoute | None = None
    total = sum(map(len, rules))
    for route, alternatives in zip(routes, rules, strict=True):
        if route.at.bad and (any(m.at.bad for m in route.match) or not route.match):
            continue
        if alternatives and all(any(c.key == GATEWAYS for c in one) for one in alternatives):
            continue  # it is for gateways
        mine: Alternatives = alternatives if route.match else ((),)
        shadow = every
        if shadow is None and total * total <= MAX_COMPARED * 2:
            found = [next((r for seen, r in earlier if match.wider(seen, one)), None) for one in mine]
            shadow = found[0] if found and all(f is not None for f in found) else None
        if shadow is not None:
            name = f"{shadow.name} " if shadow.name else ""
            report.warn(
                route.at,
                f"this rule is never reached: rule {name}at {shadow.at.origin()} takes all that it matches",
                "put the narrower rule first",
            )
            continue
        earlier.extend((one, route) for one in mine)
        if () in mine:
            every = route
