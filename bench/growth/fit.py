"""Cost over size: the points of one curve, its exponent, and whether that is the one to expect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CACHES = "the steps are the same, but what they read leaves one cache after the other"
COUNTERS = "each service counts for each label; the steps are in proportion, the counters outgrow the caches"

# Above the expected exponent before it is a surprise. From the nearest cache to far memory a read grows by a factor of
# 50 or more, over the three decades where that happens.
ALLOWED = 0.15
FAR = 0.55
PARTLY = 0.35  # where only a part of the reads go that far

# axis -> measure -> expected exponent, what is allowed above it, and what to know about it
EXPECTED: dict[str, dict[str, tuple[float, float, str]]] = {
    "services": {
        "lookup": (0, FAR, CACHES),
        "lookup_batch": (0, FAR, CACHES),
        "publish": (0, PARTLY, CACHES),
        "rebuild": (0, PARTLY, CACHES),
        "build": (1, PARTLY, "all of them"),
        "memory": (1, ALLOWED, ""),
    },
    "labels": {
        "lookup": (0, PARTLY, CACHES),
        "lookup_batch": (0, PARTLY, CACHES),
        "publish": (1, PARTLY, COUNTERS),
        "rebuild": (1, PARTLY, COUNTERS),
        "build": (1, PARTLY, COUNTERS),
        "memory": (1, ALLOWED, ""),
    },
    "endpoints": {
        "lookup": (0, PARTLY, CACHES),
        "lookup_batch": (0, PARTLY, CACHES),
        "publish": (0, ALLOWED, "the instances are shared, not copied"),
        "rebuild": (1, PARTLY, "all instances of one application"),
        "build": (1, PARTLY, ""),
        "memory": (1, ALLOWED, ""),
    },
    "connections": {
        "call": (0, ALLOWED, "falls at first, as more calls share a turn"),
        "call_beside_idle": (0, ALLOWED, "16 connections call, the others are silent"),
        "memory": (1, ALLOWED, "of the connections alone"),
    },
    "message": {
        "call": (1, ALLOWED, "the kernel copies; small ones cost what a system call does"),
        "call_of_16": (1, ALLOWED, "16 calls at once"),
    },
    "streams": {
        "call": (0, ALLOWED, "falls at first, as more calls share a turn"),
        "call_beside_quiet": (0, ALLOWED, "16 streams call, the others are quiet"),
        "memory": (1, ALLOWED, "of quiet streams alone, at both ends"),
    },
    "header_bytes": {
        "call": (0, ALLOWED, "the same each time: recalled"),
        "call_fresh": (1, ALLOWED, "another value each time"),
    },
    "header_count": {
        "call": (0, ALLOWED, "the same each time: recalled"),
        "call_fresh": (1, ALLOWED, "another value each time"),
    },
}


@dataclass(frozen=True, slots=True)
class Fit:
    """``y = scale * x ** exponent``; ``error`` is the standard error of the exponent."""

    exponent: float
    error: float
    scale: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One measure over one size. ``points``: size, least, median, most."""

    axis: str
    measure: str
    unit: str
    points: tuple[tuple[float, float, float, float], ...]

    @property
    def expected(self) -> float:
        """The exponent that the design gives it."""
        return EXPECTED[self.axis][self.measure][0]

    @property
    def note(self) -> str:
        """What to know about it."""
        return EXPECTED[self.axis][self.measure][2]

    def whole(self) -> Fit:
        """Over all sizes. Of the least, which other load disturbs least."""
        return fit([(x, low) for x, low, _, _ in self.points])

    def tail(self) -> Fit:
        """Over the larger half of the sizes, where what does not grow no longer hides what does."""
        return fit([(x, low) for x, low, _, _ in self.points[-self.half() :]])

    def half(self) -> int:
        """How many points the larger half has."""
        return max(3, (len(self.points) + 1) // 2)

    def surprise(self) -> bool:
        """It grows faster than it should, beyond what the scatter explains."""
        most = self.expected + EXPECTED[self.axis][self.measure][1]
        return any(one.exponent - 2 * one.error > most for one in (self.whole(), self.tail()))


def fit(points: Sequence[tuple[float, float]]) -> Fit:
    """Least squares on the logarithms. Needs three points of different sizes."""
    if len(points) < 3:
        raise ValueError(f"{len(points)} points are no curve")
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    n, mean_x, mean_y = len(points), sum(xs) / len(points), sum(ys) / len(points)
    spread = sum((x - mean_x) ** 2 for x in xs)
    exponent = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
    rest = sum((y - mean_y - exponent * (x - mean_x)) ** 2 for x, y in zip(xs, ys, strict=True))
    return Fit(exponent, math.sqrt(rest / (n - 2) / spread), math.exp(mean_y - exponent * mean_x))


def curves(rows: Sequence[dict[str, object]]) -> list[Curve]:
    """The curves of what ``grow`` printed, in its order; those of fewer than three sizes are left out."""
    found: dict[tuple[str, str], list[dict[str, object]]] = {}
    for row in rows:
        axis, measure, _ = str(row["name"]).split("/")
        found.setdefault((axis, measure), []).append(row)
    out = []
    for (axis, measure), each in found.items():
        points = sorted(
            (float(str(row["name"]).split("/")[2]), *(float(str(row[key])) for key in ("min", "median", "max")))
            for row in each
        )
        if len(points) >= 3:
            out.append(Curve(axis, measure, str(each[0]["unit"]), tuple(points)))  # type: ignore[arg-type]
    return out
