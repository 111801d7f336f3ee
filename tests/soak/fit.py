"""A straight line through noisy samples that a few outliers cannot bend: Theil and Sen's median of all slopes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from statistics import median

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """A slope with the interval that holds it at 95 % confidence, and how many points it rests on."""

    slope: float
    low: float
    high: float
    points: int

    def as_dict(self, scale: float) -> dict[str, float]:
        """Its fields in another unit."""
        found = asdict(self)
        return {key: value * (1 if key == "points" else scale) for key, value in found.items()}


def blocks(points: Sequence[Point], seconds: float) -> list[Point]:
    """The median of each stretch of ``seconds``: samples a second apart are no witnesses of their own."""
    found: list[list[Point]] = []
    for point in points:
        if not found or point[0] - found[-1][0][0] >= seconds:
            found.append([])
        found[-1].append(point)
    return [(median(x for x, _ in block), median(y for _, y in block)) for block in found]


def theil_sen(points: Sequence[Point]) -> Line:
    """The median slope. Its interval is Sen's (1968), by the spread of Kendall's tau without ties.

    :raises ValueError: fewer than three points say nothing
    """
    if len(points) < 3:
        raise ValueError("a line needs three points")
    slopes = sorted((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if b[0] != a[0])
    n = len(points)
    spread = 1.96 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    return Line(median(slopes), slopes[low], slopes[high], n)
