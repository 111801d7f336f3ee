"""Which of several DestinationRules holds for an application, as Istio looks them up: those of the caller's namespace
before those of the application's before those of the root's; there the narrowest host. What is left is put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meshfast.config.document import Report
from meshfast.config.read import Resource

ROOT = "istio-system"
EXACT = 1 << 30  # longer than any pattern


@dataclass(frozen=True, slots=True)
class Candidate:
    """A DestinationRule whose host is or fits an application. ``narrow``: the length of its pattern."""

    found: Resource
    made: Any
    narrow: int = EXACT


def chosen(candidates: Sequence[Candidate], namespace: str, own: str, report: Report) -> list[Candidate]:
    """Those that hold. ``namespace``: the application's; ``own``: the workload's; "" is not known."""
    if len(candidates) == 1 and not own:
        return list(candidates)
    tiers = [(_tier(one.found.meta.namespace, namespace, own), -one.narrow) for one in candidates]
    best = min(tiers)
    if best[0] == _NEVER:
        return []
    out = [one for one, tier in zip(candidates, tiers, strict=True) if tier == best]
    if report.warnings is not None:
        for one in candidates:
            if one not in out and one.narrow == EXACT:
                what = f"DestinationRule {out[0].found.name} is asked for {one.found.host}, not this one"
                hint = "those of the caller's namespace come first, then those of the application's, as with Istio"
                report.warn(one.found.at.at("host"), what, hint)
    return out


_NEVER = 3


def _tier(namespace: str, service: str, own: str) -> int:
    if not own or namespace in ("", own):
        return 0
    if namespace == service or not service:
        return 1
    return 2 if namespace == ROOT else _NEVER
