"""What a rule asks of a call -> conditions of the table, or a truth that is known now."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from meshfast.config import dfa
from meshfast.config.document import Refused
from meshfast.config.dubbo.parties import Consumer
from meshfast.config.dubbo.step import ALWAYS, Alternatives
from meshfast.config.dubbo.wanted import AnyOf, Glob, Wanted, either
from meshfast.config.regex import MAX_TEXT, BadRegex
from meshfast.model import Condition, Field, Op

UNVERSIONED = "0.0.0"  # what Dubbo sends for no version
MAX_ALTERNATIVES = 256  # of one rule's match
_LONG = MAX_TEXT - 64  # of an expression for some values, to which more is put
NOT_FOUND = "dubbo_internal_not_found_argument_condition_value"  # what Dubbo compares in place of what is not there

_ARGUMENT = re.compile(r"arguments\[([0-9]+)\]", re.ASCII)

Place = tuple[Field, str]  # of a call, and the key there


def both(*all_of: Alternatives) -> Alternatives:
    """True where each of them is."""
    out: Alternatives = ALWAYS
    for one in all_of:
        out = tuple(dict.fromkeys((*a, *b) for a in out for b in one))
        if len(out) > MAX_ALTERNATIVES:
            raise Refused(f"more than {MAX_ALTERNATIVES} combinations", "ask for less in one rule")
    return out


def place(key: str) -> Place | None:
    """What of a call a key of a condition rule means; None: nothing of it. An empty key: what no call has."""
    if key in ("method", "methods"):
        return Field.PATH, ""
    if key in ("version", "group"):
        return Field.HEADER, key
    if key.startswith("attachments"):
        _, _, name = key.partition(".")[0].partition("attachments[")
        return Field.HEADER, name.rpartition("]")[0]
    if key.startswith("arguments"):
        found = _ARGUMENT.search(key.partition(".")[0])
        return Field.ARGUMENT, found[1].lstrip("0") or "0" if found else ""
    return None


def key_meets(
    key: str, wanted: Sequence[Wanted], unwanted: Sequence[Wanted], consumer: Consumer, shown: str
) -> Alternatives:  # fmt: skip
    """One key of the left side: of those unwanted none, of those wanted any (``AbstractConditionMatcher.isMatch``)."""
    if not wanted and not unwanted:
        return ()
    there = place(key)
    if there is None:
        if key == "host" and not consumer.host:
            raise Refused(
                "the address of this workload is not known", "say it in the Sidecar: workload: {address: ...}"
            )
        text = consumer.get(key)
        return ALWAYS if text is not None and meets(text, wanted, unwanted) else ()
    field, name = there
    if field is not Field.PATH and not name:
        return ALWAYS if meets(NOT_FOUND, wanted, unwanted) else ()
    none = tuple(_condition(field, name, some, shown, not_=True) for some in _some(unwanted))
    asked = tuple((_condition(field, name, some, shown), *none) for some in _some(wanted))
    out: Alternatives = asked if wanted else (none,)
    missing = field is Field.ARGUMENT and meets(NOT_FOUND, wanted, unwanted)
    return (*out, (Condition(field, Op.ABSENT, name, "", shown),)) if missing else out


def _some(wanted: Sequence[Wanted]) -> Iterator[list[Wanted]]:
    """A few at once: an expression may only be so long."""
    some: list[Wanted] = []
    length = 0
    for one in wanted:
        more = len(one.expression()) + len("(?:)|")
        if some and length + more > _LONG:
            yield some
            some, length = [], 0
        some.append(one)
        length += more
    if some:
        yield some


def meets(text: str, wanted: Sequence[Wanted], unwanted: Sequence[Wanted]) -> bool:
    """The same of a text that is known."""
    return meets_any(text, AnyOf(wanted), AnyOf(unwanted))


def meets_any(text: str, wanted: AnyOf, unwanted: AnyOf) -> bool:
    """The same of what is asked often."""
    if unwanted.fits(text):
        return False
    return wanted.fits(text) if wanted else bool(unwanted)


def _condition(field: Field, key: str, wanted: Sequence[Wanted], shown: str, *, not_: bool = False) -> Condition:
    if not not_ and len(wanted) == 1 and field is not Field.PATH:
        only = wanted[0]
        if isinstance(only, Glob) and only.text and "*" not in only.text:
            return Condition(field, Op.EXACT, key, only.text, shown)
        if isinstance(only, Glob) and only.text == "*":
            return Condition(field, Op.PRESENT, key, "", shown)
    return matching(field, key, either(list(wanted)), shown, not_=not_)


def matching(field: Field, key: str, expression: str, shown: str, *, not_: bool = False) -> Condition:
    """That what is there is a text of an expression, or there and none. Of the path its last part: the method."""
    if field is Field.PATH:
        expression = f"(?s:.*)/(?:{expression})"
    elif not_ and key == "version":
        expression = f"{expression}|{UNVERSIONED}"
    try:
        blob = dfa.compile(expression)
    except BadRegex as bad:
        raise Refused(bad.message, bad.hint) from None
    return Condition(field, Op.REGEX, key, dfa.complement(blob) if not_ else blob, shown)
