"""Condition rules: ``when => then`` (``ConditionStateRouter``), and from v3.1 on with several destinations
(``MultiDestConditionRouter``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from meshfast.config.document import Place, Refused, Report
from meshfast.config.dubbo import asking
from meshfast.config.dubbo.document import ConditionRule, Destinations, Weighted
from meshfast.config.dubbo.parties import Consumer, Provider
from meshfast.config.dubbo.step import ALWAYS, Alternatives, Case, Outcome, Pick, Step, Test
from meshfast.config.dubbo.wanted import AnyOf, Wanted, value

WEIGHT = 100  # of a destination that has none
LAST = "v3.1"  # later ones are passed over

_HERE = re.compile(r"\$([^&!=,\s]+)")
_WORD = re.compile(r"[^&!=,\s]+")
_SIGNS = "&!=,"


@dataclass(slots=True)
class Pair:
    """What one key must be and must not be."""

    wanted: list[str] = field(default_factory=list)
    unwanted: list[str] = field(default_factory=list)


def parse(text: str) -> dict[str, Pair]:
    """One side of a condition.

    :raises Refused: it is none; Dubbo would drop the whole rule
    """
    out: dict[str, Pair] = {}
    pair: Pair | None = None
    values: list[str] | None = None
    end = 0
    for found in _WORD.finditer(text):
        word, before, end = found[0], text[end : found.start()].rstrip(), found.end()
        sign = before[len(before.rstrip(_SIGNS)) :]
        if sign in ("", "&"):
            pair = out.setdefault(word, Pair()) if sign else Pair()
            out[word] = pair
        elif sign in ("=", "!=") and pair is not None:
            values = pair.wanted if sign == "=" else pair.unwanted
            values.append(word)
        elif sign == "," and values:
            values.append(word)
        else:
            hint = "write it as key=value1,value2 & other!=value => key=value"
            raise Refused(f'"{sign}" before {word} has no meaning in a condition', hint)
    return out


def _plain(text: str) -> str:
    """Without what Dubbo takes out wherever it stands."""
    return text.replace("consumer.", "").replace("provider.", "")


def when(text: str, consumer: Consumer) -> Alternatives:
    """The calls that the left side is true of.

    :raises Refused: it is no condition, or asks for what is not known
    """
    if text in ("", "true"):
        return ALWAYS
    out = ALWAYS
    for key, pair in parse(text).items():
        wanted, unwanted = _values(pair, consumer, instance=False)
        out = asking.both(out, asking.key_meets(key, wanted, unwanted, consumer, f"{key} of {text}"))
    return out


def then(text: str, consumer: Consumer) -> Test:
    """The instances that the right side is true of.

    :raises Refused: it is no condition, or asks for what is not known
    """
    asked: list[tuple[str, AnyOf, AnyOf]] = []
    for key, pair in parse(text).items():
        if asking.place(key) is not None and key not in ("version", "group"):
            raise Refused(f"{key} is of the call, not of an instance", "it belongs before =>")
        if "$host" in (*pair.wanted, *pair.unwanted) and not consumer.host:
            raise Refused(
                "the address of this workload is not known", "say it in the Sidecar: workload: {address: ...}"
            )
        wanted, unwanted = _values(pair, consumer, instance=True)
        asked.append((key, AnyOf(wanted), AnyOf(unwanted)))

    def fits(one: Provider) -> bool:
        return all(
            (text := one.get(key)) is not None and asking.meets_any(text, wanted, unwanted)
            for key, wanted, unwanted in asked
        )

    return Test(fits, _HERE.sub(lambda found: consumer.get(found[1]) or "", text))


def _values(pair: Pair, consumer: Consumer, *, instance: bool) -> tuple[list[Wanted], list[Wanted]]:
    wanted, unwanted = (
        [value(one, consumer.get, instance=instance) for one in every] for every in (pair.wanted, pair.unwanted)
    )
    return wanted, unwanted


def steps(rule: ConditionRule, consumer: Consumer, report: Report) -> Iterator[Step]:
    """A rule's conditions, each a step: what one leaves is what the next one sees."""
    if rule.config_version.lower() > LAST:
        report.warn(rule.at.at("configVersion"), f"{rule.config_version} is not read", f"Dubbo for Java reads {LAST}")
        return
    for i, one in enumerate(rule.conditions):
        at = rule.at.at("conditions", i)
        try:
            if rule.config_version.lower().startswith(LAST) is isinstance(one, str):
                raise Refused(
                    f"configVersion {rule.config_version} has other conditions",
                    "v3.0: when => then; v3.1: from and to",
                )
            case = _single(one, rule, consumer, at) if isinstance(one, str) else _several(one, rule, consumer)
        except Refused as no:
            report.add(at, no.message, no.hint)
            continue
        if case.when:
            yield Step((case,))


def _single(text: str, rule: ConditionRule, consumer: Consumer, at: Place) -> Case:
    first, arrow, last = _plain(text).partition("=>")
    left, right = (first.strip(), last.strip()) if arrow else ("", first.strip())
    nobody = right in ("", "false")
    outcome = Outcome(closed=True) if nobody else Outcome(((Pick((then(right, consumer),)),),), rule.force)
    return Case(when(left, consumer), outcome, text.strip(), at.origin())


def _several(one: Destinations, rule: ConditionRule, consumer: Consumer) -> Case:
    picks = tuple(_pick(each, consumer) for each in one.to)
    outcome = Outcome((picks,), rule.force, skewed=True) if picks else Outcome(closed=True)
    asked = _plain(one.origin.match).strip() if one.origin is not None else ""
    return Case(when(asked, consumer), outcome, asked or "any call", one.at.origin())


def _pick(to: Weighted, consumer: Consumer) -> Pick:
    wanted = _plain(to.match).strip()
    test = EVERY if wanted in ("", "false") else then(wanted, consumer)
    return Pick((test,), to.weight if to.weight > 0 else WEIGHT)


EVERY = Test(lambda _: True, "")
