"""What a rule does with a request besides choosing where it goes, in words: for explain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from meshfast.model import Http, Origin, Rule, TargetKind
from meshfast.policies import Limit, Mirror
from meshfast.routing import Table
from meshfast.shared import Bound
from meshfast.words import quoted

Told = tuple[str, str, str, Origin | None]  # outcome, about, text, origin


def told(
    table: Table, rule: Rule, service: str, headers: Iterable[tuple[str, str | None]], labels: Mapping[str, str],
    method: str, http: Http | None, arguments: Sequence[str] = (),
) -> list[Told]:  # fmt: skip
    """All of it."""
    if rule.actions is None:
        return []
    out: list[Told] = []
    if rule.actions.limits:
        counted = table.counted(service, list(headers), labels, method=method, http=http, arguments=arguments)
        in_force = {one.name: one for one in table.limits()}
        out += [_limit(one, in_force.get(one.name), one.name in counted) for one in rule.actions.limits]
    return out + [_mirror(one) for one in rule.actions.mirrors]


def _limit(limit: Limit, bound: Bound | None, counts: bool) -> Told:
    rate = f"{limit.requests} a {limit.per or f'{limit.unit} ns'}, {limit.burst} at once"
    if not counts:
        return "-", "limit", f"does not count against the rate limit {limit.name}", limit.origin
    left = f"; {bound.left} left now" if bound is not None else ""
    text = f"counts against the rate limit {limit.name}: {rate}{left}"
    return "+" if bound is None or bound.left else "-", "limit", text, limit.origin


def _mirror(mirror: Mirror) -> Told:
    subset = {TargetKind.ALL: "", TargetKind.LABEL: f" subset ${mirror.text}"}.get(
        TargetKind(mirror.kind), f" subset {quoted(mirror.text)}"
    )
    share = f"{mirror.share / 10_000:g} %"
    return "+", "mirror", f"mirrored to {mirror.cluster}{subset}: {share} of the calls", mirror.origin
