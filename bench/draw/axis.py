"""From values to places on a drawing, and the round values that are written beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence

FLAT = 0.02  # of the value: a line that moves by less is not blown up to the height of its plot
STEPS = (1, 2, 2.5, 5)
MOST = 5  # steps of a linear axis
FEW, MANY = 1.5, 7  # decades: with fewer, 2 and 5 are written too; with more, only every second decade


def short(value: float) -> str:
    """Three digits, as many as are worth reading."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def plain(value: float) -> str:
    """A round value as it is."""
    return f"{value:,.10g}"


class Axis:
    """A linear axis between two places, from one round value to another; from 0 where that costs little room."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.start, self.end = start, end
        self._span(min(values), max(values))

    def _span(self, low: float, high: float) -> None:
        if 0 < low < 0.5 * high or low == high == 0:
            low = 0.0
        if high - low < FLAT * abs(high):
            low, high = low - FLAT * abs(high), high + FLAT * abs(high)
        size = 10.0 ** math.floor(math.log10((high - low or 1) / MOST))
        self.step = next(step for step in (size * n for n in (*STEPS, 10)) if (high - low) / step <= MOST)
        self.low = math.floor(low / self.step + 1e-9) * self.step
        self.high = max(math.ceil(high / self.step - 1e-9) * self.step, self.low + self.step)

    def share(self, value: float) -> float:
        """0 at the beginning of the axis, 1 at its end."""
        return (value - self.low) / (self.high - self.low)

    def __call__(self, value: float) -> float:
        """Where a value lies; one beyond an end lies at that end."""
        return self.start + min(max(self.share(value), 0.0), 1.0) * (self.end - self.start)

    def ticks(self) -> list[float]:
        return [self.low + self.step * i for i in range(round((self.high - self.low) / self.step) + 1)]


class LogAxis(Axis):
    """A logarithmic axis of one decade or more, from one of 1, 2, 5, 10, 20... to another."""

    def _span(self, low: float, high: float) -> None:
        self.low = _round_log(low, down=True)
        self.high = max(_round_log(high, down=False), 10 * self.low)
        self.decades = math.log10(self.high / self.low)

    def share(self, value: float) -> float:
        return math.log10(max(value, self.low) / self.low) / self.decades

    def ticks(self) -> list[float]:
        written = (1, 2, 5) if self.decades < FEW else (1,)
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        every = 2 if self.decades > MANY else 1
        values = (n * 10.0**power for power in powers if power % every == 0 for n in written)
        return [value for value in values if self.low * 0.999 < value < self.high * 1.001]


def _round_log(value: float, down: bool) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    near = [power * n for n in (1, 2, 5, 10)]
    if down:
        return max(one for one in near if one <= value * 1.000001)
    return min(one for one in near if one >= value * 0.999999)
