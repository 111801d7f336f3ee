"""Mesh rules (``MeshRuleRouter``): the first detail that fits a call decides to which subset it goes."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from meshfast.config.document import Refused, Report
from meshfast.config.dubbo import asking, texts
from meshfast.config.dubbo.meshrule import (
    ArgumentMatch,
    MeshDestination,
    MeshDestinationRule,
    MeshMatch,
    MeshVirtualService,
    NumberMatch,
    RouteDetail,
)
from meshfast.config.dubbo.parties import Consumer
from meshfast.config.dubbo.step import ALWAYS, Alternatives, Case, Outcome, Pick, Step, Test
from meshfast.config.dubbo.wanted import literal, whole
from meshfast.model import Field

LARGEST = 2**63  # of whole numbers
_DEPTH = 16  # of fallbacks

Declared = dict[str, list[dict[str, str]]]  # by the name of a subset: what any of its instances carries


def step(
    services: Sequence[MeshVirtualService], subsets: Sequence[MeshDestinationRule], consumer: Consumer, report: Report
) -> Step | None:  # fmt: skip
    """What an application's rules do to the calls of ``consumer``; None: nothing."""
    declared: Declared = {}
    for subset in (one for rule in subsets for one in rule.subsets):
        declared.setdefault(subset.name, []).append(subset.labels)
    if not subsets:
        return None
    for rule in services:
        for entry in rule.dubbo:
            if entry.services and not any(texts.meets(one, consumer.service) for one in entry.services):
                continue
            cases = [_case(detail, declared, consumer, report) for detail in entry.detail]
            return Step(tuple(one for one in cases if one is not None and one.when))
    return None


def _case(
    detail: RouteDetail, declared: Declared, consumer: Consumer, report: Report
) -> Case | None:  # fmt: skip
    try:
        when = asking.both(*(_match(one, consumer, report) for one in detail.match))
    except Refused as no:
        report.add(detail.at.at("match"), no.message, no.hint)
        return None
    picks = tuple(
        Pick(tuple(_tests(one.destination, declared, report)), max(1, one.weight)) for one in detail.route
    )
    outcome = Outcome((picks,), passing=True) if picks else Outcome()
    return Case(when, outcome, f"mesh rule {detail.name}".rstrip(), detail.at.origin())


def _tests(to: MeshDestination | None, declared: Declared, report: Report) -> list[Test]:
    """A destination's subset, and its fallbacks."""
    out: list[Test] = []
    while to is not None and len(out) < _DEPTH:
        if to.subset not in declared and not report.incomplete:
            report.warn(to.at.at("subset"), f"no DestinationRule declares the subset {to.subset}", "it has no instance")
        out.append(_subset(to.subset, declared.get(to.subset, [])))
        to = to.fallback.destination if to.fallback is not None else None
    return out


def _subset(name: str, labels: list[dict[str, str]]) -> Test:
    return Test(
        lambda one: any(all(one.get(key) == text for key, text in each.items()) for each in labels), f"subset {name}"
    )


def _match(one: MeshMatch, consumer: Consumer, report: Report) -> Alternatives:
    if any(consumer.get(key) != text for key, text in one.source_labels.items()):
        return ()
    out = ALWAYS
    if one.method is not None:
        if one.method.argc is not None or one.method.argp:
            raise Refused("argc and argp are not supported", "calls are told apart by args, not by how many there are")
        if one.method.name_match is not None:
            shown = f"method {texts.shown(one.method.name_match)}"
            out = asking.both(out, texts.alternatives(one.method.name_match, Field.PATH, "", shown))
        out = asking.both(out, *map(_argument, one.method.args))
    if one.attachments is not None:
        for key, want in one.attachments.dubbo.items():
            shown = f"attachment {key} {texts.shown(want)}"
            out = asking.both(out, texts.alternatives(want, Field.HEADER, key, shown))
        if one.attachments.tracing:
            report.warn(one.attachments.at.at("tracingContext"), "tracingContext is never true", "use dubboContext")
            return ()
    return out


def _argument(one: ArgumentMatch) -> Alternatives:
    """The first kind that is written counts."""
    key, shown = str(one.index), f"argument {one.index}"
    if one.str_value is not None:
        wanted = one.str_value.oneof
        return tuple(each for want in wanted for each in texts.alternatives(want, Field.ARGUMENT, key, shown))
    if one.num_value is not None:
        found = [_number(want) for want in one.num_value.oneof]
        return tuple((asking.matching(Field.ARGUMENT, key, each, shown),) for each in found)
    if one.bool_value is not None and one.bool_value.exact is not None:
        return ((asking.matching(Field.ARGUMENT, key, literal(one.bool_value.exact.lower()), shown),),)
    return ()


def _number(want: NumberMatch) -> str:
    """RE2 for the whole numbers that are meant. Dubbo compares doubles: of a range the end is not in it."""
    if want.mod is not None:
        raise Refused("mod is not supported", "numbers are compared by their digits: write exact or range")
    try:
        if want.exact is not None:
            number = float(want.exact)
            if number != int(number):
                raise Refused(f"{want.exact} is no whole number", "arguments are compared as whole numbers")
            return whole(int(number), int(number))
        if want.range is not None:
            start = ceil(float(want.range.start)) if want.range.start is not None else -LARGEST
            end = ceil(float(want.range.end)) - 1 if want.range.end is not None else LARGEST
            return whole(start, end)
    except (ValueError, OverflowError):
        raise Refused("no number is written here", "write exact: 7.0, or range: {start: 1.0, end: 10.0}") from None
    raise Refused("a number without exact and range", "write exact: 7.0, or range: {start: 1.0, end: 10.0}")


