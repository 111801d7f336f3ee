"""What samples mean: medians with their ranges, and ratios where ranges do not overlap."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.draw.axis import short
from bench.harness.measure import Sample

BUSY = 0.9  # below, the proxy was not the limit, so calls a second say nothing about it
LEAST = 3  # samples without which two figures are not told apart at all
ROUNDS = 7  # fewer do not show how far a figure spreads
NOISY = 0.05  # of a core used by strangers or stolen


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and most of some samples."""

    median: float
    low: float
    high: float
    n: int = LEAST

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values), len(values))

    def above(self, other: Spread) -> bool:
        """Greater beyond the ranges of both, which must be of enough samples to be ranges."""
        return min(self.n, other.n) >= LEAST and self.low > other.high

    def text(self) -> str:
        return f"{short(self.median)} [dim]{short(self.low)}–{short(self.high)}[/]"


def ratio_text(value: Spread, base: Spread) -> str:
    """``value`` as a multiple of ``base``, or "≈" where a difference cannot be told."""
    if not (value.above(base) or base.above(value)) or not base.median:
        return "≈"
    return f"{value.median / base.median:.2f}x"


def good(samples: Sequence[Sample], point: str, rival: str) -> list[Sample]:
    """The samples of one cell in which every answer was right."""
    return [s for s in samples if s["point"] == point and s["rival"] == rival and "error" not in s]


def cell(samples: Sequence[Sample], point: str, rival: str) -> list[Sample]:
    """The samples of one cell; none when one of them failed: what is left would be the lucky ones."""
    failed = any(s["point"] == point and s["rival"] == rival and "error" in s for s in samples)
    return [] if failed else good(samples, point, rival)


def spread(samples: Sequence[Sample], key: str) -> Spread:
    return Spread.of([sample[key] for sample in samples])


def choose_base(rivals: Sequence[str], wanted: str = "") -> str:
    """Whom ratios refer to: the one asked for, else the first meshfast, else the first."""
    if wanted in rivals:
        return wanted
    return next((name for name in rivals if name.startswith("meshfast")), rivals[0])


def notes(result: dict[str, Any], base: str) -> list[str]:
    """What to keep in mind about the figures; then what failed."""
    samples: list[Sample] = result["samples"]
    said = []
    if samples:
        said.append(f"Ratios are CPU per call against {base}; ≈: ranges overlap, or there are under {LEAST} rounds.")
        said.append(f"Calls a second in brackets: the proxy was under {BUSY:.0%} busy, so they are no measure of it.")
    if samples and result["options"]["rounds"] < ROUNDS:
        said.append(f"Under {ROUNDS} rounds: the ranges are too narrow to believe the ratios.")
    noisy = sum(1 for s in samples if s.get("foreign", 0) > NOISY or s.get("steal", 0) > NOISY)
    if noisy:
        said.append(f"{noisy} of {len(samples)} windows lost over {NOISY:.0%} of a core to others.")
    return list(dict.fromkeys([*said, *result.get("notes", ())]))


def failures(result: dict[str, Any]) -> list[str]:
    found = [f"{s['rival']} at {s['point']}: {s['error']}" for s in result["samples"] if "error" in s]
    return list(dict.fromkeys([*found, *result.get("failures", ())]))
