"""A ``StringMatch`` of Dubbo's mesh and tag rules: of what is written the first decides, and what is not there is a
text to ``empty`` and ``noempty`` alone.
"""

from __future__ import annotations

from meshfast.config import dfa, regex
from meshfast.config.document import Refused
from meshfast.config.dubbo import asking
from meshfast.config.dubbo.document import StringMatch
from meshfast.config.dubbo.step import ALWAYS, Alternatives
from meshfast.config.dubbo.wanted import literal
from meshfast.model import Condition, Field, Op


def meets(want: StringMatch | None, text: str | None) -> bool:
    """Whether a text that is known is meant; None: there is none."""
    if want is None:
        return False
    if text is not None:
        if want.exact is not None:
            return text == want.exact
        if want.prefix is not None:
            return text.startswith(want.prefix)
        if want.regex is not None:
            return dfa.match(_compiled(want.regex), text.encode())
        if want.wildcard is not None:
            return want.wildcard in ("*", text)
    if want.empty is not None:
        return not text
    return bool(text) if want.noempty is not None else False


def alternatives(want: StringMatch | None, field: Field, key: str, shown: str) -> Alternatives:
    """The same of a text of calls.

    :raises Refused: an expression cannot be read
    """
    if want is None:
        return ()
    there: Alternatives = ()
    if want.exact is not None:
        there = ((asking.matching(field, key, literal(want.exact), shown),),)
    elif want.prefix is not None:
        there = ((asking.matching(field, key, f"{literal(want.prefix)}(?s:.*)", shown),),)
    elif want.regex is not None:
        _compiled(want.regex)
        there = ((asking.matching(field, key, f"(?:{want.regex})", shown),),)
    elif want.wildcard == "*":
        there = ALWAYS if field is Field.PATH else ((Condition(field, Op.PRESENT, key, "", shown),),)
    elif want.wildcard is not None:
        there = ((asking.matching(field, key, literal(want.wildcard), shown),),)
    elif want.noempty is not None and want.empty is None:
        return ((asking.matching(field, key, "(?s:.+)", shown),),)
    elif want.empty is not None:
        there = ((asking.matching(field, key, "", shown),),) if field is not Field.PATH else ()
    if want.empty is not None and field is not Field.PATH:
        there = (*there, (Condition(field, Op.ABSENT, key, "", shown),))
    return there


def check(want: StringMatch | None) -> None:
    """:raises Refused: its expression cannot be read"""
    if want is not None and want.regex is not None:
        _compiled(want.regex)


def shown(want: StringMatch | None) -> str:
    """What is written, for explain."""
    for name in ("exact", "prefix", "regex", "wildcard"):
        text = getattr(want, name, None)
        if text is not None:
            return f"{name} {text}"
    return "empty" if want is not None and want.empty is not None else "noempty"


def _compiled(text: str) -> bytes:
    try:
        return dfa.compile(text)
    except regex.BadRegex as bad:
        raise Refused(bad.message, bad.hint) from None
