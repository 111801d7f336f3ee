"""Tag rules (``TagStateRouter``): calls with a tag go to the instances that have it, those without to those with none.

It holds without a rule, too, where an instance is labelled ``dubbo.tag``.
"""

from __future__ import annotations

from collections.abc import Iterable

from meshfast.config.document import Refused, Report
from meshfast.config.dubbo import asking, texts
from meshfast.config.dubbo.document import Tag, TagRule
from meshfast.config.dubbo.parties import Addresses, Consumer, Provider
from meshfast.config.dubbo.step import ALWAYS, Alternatives, Case, Outcome, Pick, Step, Test
from meshfast.config.dubbo.wanted import literal
from meshfast.model import Condition, Field, Op

TAG = "dubbo.tag"
FORCE = "dubbo.force.tag"


def step(rule: TagRule | None, providers: Iterable[Provider], consumer: Consumer, report: Report) -> Step:
    """What tags do to the calls of ``consumer``."""
    listed = list(providers)
    groups = _groups(rule, listed, report) if rule is not None and rule.holds else {}
    static = {tag: None for one in listed if (tag := one.params.get(TAG))}
    at = rule.at.origin() if rule is not None else None
    plain = Test(lambda one: not one.params.get(TAG) and not any(test.fits(one) for test in groups.values()), "no tag")
    forced = rule is not None and rule.force
    own = consumer.get(TAG) or ""
    cases: list[Case] = []

    def case(said: Alternatives, shown: str, *tests: Test) -> None:
        tries = tuple((Pick((one,)),) for one in tests)
        cases.append(Case(said, Outcome(tries, closed=True), shown, at))

    def insisting(said: Alternatives) -> Alternatives:
        return asking.both(said, _insisting(consumer))

    exact = {name: _said(literal(name), own == name, f"tag {name}") for name in (*groups, *static)}
    for name, said in exact.items():
        case(insisting(said), f"tag {name}, forced", groups[name] if name in groups else _carries(name))
    case(insisting(_said("(?s:.+)", bool(own), "another tag")), "another tag, forced")
    for name in sorted(groups, key=lambda one: -len(one)):
        case(_named(name, own), f"tag {name}", groups[name], *(() if forced else (plain,)))
    for name in static:
        if name not in groups:
            case(exact[name], f"tag {name}", _carries(name), plain)
    if groups or static:
        case(ALWAYS, "no tag", plain)
    return Step(tuple(one for one in cases if one.when))


def _carries(name: str) -> Test:
    return Test(lambda one: one.params.get(TAG) == name, f"tag {name}")


def _groups(rule: TagRule, providers: list[Provider], report: Report) -> dict[str, Test]:
    """By their names. One that matches nobody is none: then it may be a tag of instances."""
    out: dict[str, Test] = {}
    for tag in rule.tags:
        try:
            for param in tag.match or ():
                texts.check(param.value)
        except Refused as no:
            report.add(tag.at.at("match"), no.message, no.hint)
        else:
            group = _group(tag, rule.config_version)
            if tag.addresses or any(map(group.fits, providers)):
                out[tag.name] = group
    return out


def _group(tag: Tag, version: str) -> Test:
    """The instances of a tag. What it matches counts from v3.0 on, and beside addresses does not."""
    if tag.match is not None and not tag.addresses and version.startswith("v3"):
        wanted = tag.match
        return Test(lambda one: all(texts.meets(p.value, one.get(p.key)) for p in wanted), f"tag {tag.name}")
    addresses = Addresses(tag.addresses)
    return Test(lambda one: addresses.meet(one.host, one.port), f"tag {tag.name}")


def _named(name: str, own: str) -> Alternatives:
    """The calls whose tag is this one, or begins with it and goes on with others: ``gray|blue``."""
    return _said(literal(name) + r"(?:\|(?s:.*))?", own == name or own.startswith(f"{name}|"), f"tag {name}")


def _said(expression: str, own: bool, shown: str) -> Alternatives:
    """The calls that carry such a tag, or none where this workload's own is one (``own``)."""
    out: Alternatives = ((asking.matching(Field.HEADER, TAG, expression, shown),),)
    if own:
        for missing in _missing():
            out = (*out, (missing,))
    return out


def _missing() -> tuple[Condition, ...]:
    return Condition(Field.HEADER, Op.ABSENT, TAG, "", f"no {TAG}"), Condition(Field.HEADER, Op.EXACT, TAG, "", TAG)


def _insisting(consumer: Consumer) -> Alternatives:
    """The calls whose tag is all or nothing."""
    said: Alternatives = ((asking.matching(Field.HEADER, FORCE, "(?i:true)", f"{FORCE}: true"),),)
    if (consumer.get(FORCE) or "").lower() == "true":
        said = (*said, (Condition(Field.HEADER, Op.ABSENT, FORCE, "", f"no {FORCE}"),))
    return said
