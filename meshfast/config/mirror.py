"""Shares in percent, as ``mirrorPercentage`` has them."""

from __future__ import annotations

from dataclasses import dataclass

from meshfast.config.document import Refused
from meshfast.config.field import Parsed, Record, spec


def percent(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise Refused(f'"{text}" is not a number', "write 25 or 0.5") from None
    if not 0 <= number <= 100:
        raise Refused(f"{text} is not from 0 to 100")
    return number


PERCENT = Parsed("a number from 0 to 100", percent, 0.0)


@dataclass(slots=True, kw_only=True)
class Percent(Record):
    value: float = spec(PERCENT, "The share, in percent.", 0.0, shown="0")
