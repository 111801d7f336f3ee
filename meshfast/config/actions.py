"""What a route does besides choosing where calls go -> the actions of a rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from meshfast import model, policies
from meshfast.config import change, fault, retry
from meshfast.config.document import Report
from meshfast.config.prepared import Prepared
from meshfast.config.resource import HttpRoute

_NOTHING = policies.Actions()


def check(route: HttpRoute, report: Report) -> None:
    """Judges what is written, each once."""
    fault.fault(route.fault, report)
    fault.redirect(route.redirect, report)
    fault.direct(route.direct, report)
    change.check(route.headers, [entry.headers for entry in route.route], report)
    change.program(route.rewrite, report)
    retry.build(route.retries, report)


def build(
    route: HttpRoute, n_targets: int, mirrors: tuple[policies.Mirror, ...] = ()
) -> policies.Actions | None:  # fmt: skip
    """The actions of one route; None: none. ``mirrors``: its own, whose hosts are found."""
    judged = Report()
    made = policies.Actions(
        retries=retry.build(route.retries, judged),
        fault=fault.fault(route.fault, judged) if route.fault else None,
        direct=fault.direct(route.direct, judged) if route.direct else None,
        redirect=fault.redirect(route.redirect, judged) if route.redirect else None,
        rewrite=change.rewrite(route.rewrite, change.program(route.rewrite, judged), -1) if route.rewrite else None,
        headers=change.headers(route.headers, [entry.headers for entry in route.route], n_targets),
        mirrors=mirrors,
    )
    return None if made == _NOTHING else made


def answers(route: HttpRoute) -> bool:
    """Whether it needs no destination."""
    return route.redirect is not None or route.direct is not None


def spread(rule: model.Rule, prepared: Prepared) -> Iterator[model.Rule]:
    """The rule, in several where what it rewrites is what each of its matches has seen."""
    given = prepared.route.rewrite
    if given is None or given.path is None or rule.actions is None:
        yield rule
        return
    strips = prepared.strips or (1,) * max(1, len(rule.matches))
    begin = 0
    for end in range(1, len(strips) + 1):
        if end < len(strips) and strips[end] == strips[begin]:
            continue
        rewrite = change.rewrite(given, b"", strips[begin])
        made = replace(rule.actions, rewrite=rewrite)
        yield replace(rule, matches=rule.matches[begin:end], actions=made)
        begin = end
