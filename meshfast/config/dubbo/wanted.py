"""What a rule compares a text with. A text that is known now is compared here; one of a call by an expression, which
says the same of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

INT_MAX = 2**31 - 1
_ANY = r"[\x00-\x{10FFFF}]*"
_NEVER = r"[^\x00-\x{10FFFF}]"


class Wanted(Protocol):
    """Which texts a rule means."""

    def fits(self, text: str) -> bool: ...

    def expression(self) -> str:
        """RE2 for the whole text."""


@dataclass(frozen=True, slots=True)
class Glob:
    """``ConditionRule``'s plain value: a text in which the last * stands for any (``UrlUtils.isMatchGlobPattern``)."""

    text: str

    def fits(self, text: str) -> bool:
        if self.text == "*" or not (self.text or text):
            return True
        before, star, after = self.text.rpartition("*")
        if not self.text or not text:
            return False
        return text.startswith(before) and text.endswith(after) if star else text == after

    def expression(self) -> str:
        if self.text == "*":
            return _ANY
        before, star, after = self.text.rpartition("*")
        if not star:
            return _literal(after)
        if not before and after:
            return _ANY + _literal(after)
        shared = [before + after[n:] for n in range(1, len(after) + 1) if before[-n:] == after[:n]]
        return "|".join([_literal(before) + _ANY + _literal(after), *map(_literal, shared)])


@dataclass(frozen=True, slots=True)
class Range:
    """``1~10``: whole numbers of 31 bits, both ends included (``RangeValuePattern``). What is no run of digits is 0."""

    least: int
    most: int
    beyond: bool = False  # what holds for more than 31 bits

    def fits(self, text: str) -> bool:
        number = _integer(text)
        return self.beyond if number > INT_MAX else self.least <= number <= self.most

    def expression(self) -> str:
        parts = [rf"0*(?:{one})" for one in _between(self.least, min(self.most, INT_MAX))]
        if self.least <= 0 <= self.most:
            parts.append(r"(?s:.*)[^0-9](?s:.*)|")
        return "|".join(parts) or _NEVER


@dataclass(frozen=True, slots=True)
class Fixed:
    """A range that Dubbo cannot read, as ``5~``: whatever the text is."""

    holds: bool

    def fits(self, text: str) -> bool:
        return self.holds

    def expression(self) -> str:
        return _ANY if self.holds else _NEVER


def _literal(text: str) -> str:
    return "".join(c if c.isalnum() or c in " _/:=,-" else rf"\x{{{ord(c):X}}}" for c in text)


def whole(least: int, most: int) -> str:
    """RE2 for the decimal forms of the whole numbers from ``least`` to ``most``."""
    parts = [rf"\+?0*(?:{one})" for one in _between(max(0, least), most)]
    parts += [rf"-0*(?:{one})" for one in _between(max(0, -most), -least)]
    return "|".join(parts) or _NEVER


def literal(text: str) -> str:
    """RE2 for this text alone."""
    return _literal(text)


class AnyOf:
    """Many at once: those that are texts without a * are looked up."""

    def __init__(self, wanted: Iterable[Wanted]) -> None:
        self._texts: set[str] = set()
        self._others: list[Wanted] = []
        for one in wanted:
            if isinstance(one, Glob) and one.text and "*" not in one.text:
                self._texts.add(one.text)
            else:
                self._others.append(one)

    def __bool__(self) -> bool:
        return bool(self._texts or self._others)

    def fits(self, text: str) -> bool:
        return text in self._texts or any(one.fits(text) for one in self._others)


def either(wanted: list[Wanted]) -> str:
    """RE2 for the texts that any of them means."""
    return "|".join(f"(?:{one.expression()})" for one in wanted)


def _between(least: int, most: int) -> list[str]:
    """Expressions for the decimal forms, without zeros before them, of the numbers from ``least`` to ``most``."""
    out: list[str] = []
    while least <= most:
        end = min(most, 10 ** len(str(least)) - 1)
        out.append(_alike(str(least), str(end)))
        least = end + 1
    return out


def _alike(least: str, most: str) -> str:
    """The same for numbers of one length."""
    if not least:
        return ""
    if least[0] == most[0]:
        return least[0] + _alike(least[1:], most[1:])
    rest = len(least) - 1
    any_ = f"[0-9]{{{rest}}}" if rest else ""
    low, high = int(least[0]), int(most[0])
    parts: list[str] = []
    if rest and int(least[1:]) > 0:
        parts.append(least[0] + _alike(least[1:], "9" * rest))
        low += 1
    if rest and most[1:] != "9" * rest:
        parts.append(most[0] + _alike("0" * rest, most[1:]))
        high -= 1
    if low <= high:
        parts.append(f"[{low}-{high}]{any_}")
    return f"(?:{'|'.join(parts)})"


def value(text: str, param: Callable[[str], str | None], *, instance: bool) -> Wanted:
    """One value of a condition rule; ``param``: of the consumer, which ``$name`` stands for; ``instance``: instances
    are compared with it, not calls."""
    if "~" not in text:
        return Glob(param(text[1:]) or "" if text.startswith("$") else text)
    first, _, rest = text.partition("~")
    last = rest.partition("~")[0]
    least, most = _integer(first), _integer(last)
    if not last or max(least, most) > INT_MAX:
        return Fixed(instance)
    return Range(least if first else 0, most, instance)


def _integer(text: str) -> int:
    digits = text.lstrip("0")
    if not digits.isascii() or not digits.isdigit():
        return 0
    return int(digits) if len(digits) <= len(str(INT_MAX)) else INT_MAX + 1
