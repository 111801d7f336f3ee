"""What a soak must show, from its samples alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from soak.fit import Line, blocks, theil_sen
from soak.side import Sample, descriptors_left

MIB = 1 << 20
WARMUP = 0.25  # of the run: pools, pages of slots and the allocator's own heaps fill up first
BLOCK_S = 10.0
SLOPE_MIB_H = 1.0  # the demand: resident memory grows by less than this an hour
FDS_H = 60.0  # descriptors: less than one a minute, on the median of a number that goes up and down
LEAST_BLOCKS = 24  # of ten seconds: a line through less says nothing of an hour
SHORT_GROWTH_MIB = 48.0  # all that a run too short for a slope can be held to: warm-up and nothing else


def after_warmup(samples: Sequence[Sample]) -> list[Sample]:
    """The samples that count for the fit."""
    end = samples[-1]["at"] if samples else 0.0
    return [sample for sample in samples if sample["at"] >= end * WARMUP]


def slope(samples: Sequence[Sample], key: str) -> Line | None:
    """Per second, after warm-up; None where there are too few samples."""
    points = [(s["at"], s[key]) for s in after_warmup(samples) if not math.isnan(s[key])]
    thin = blocks(points, BLOCK_S)
    return theil_sen(thin) if len(thin) >= LEAST_BLOCKS else None


def fit(samples: Sequence[Sample]) -> dict[str, Any]:
    """The slopes as they are reported: MiB and descriptors an hour."""
    found: dict[str, Any] = {}
    for key, scale in (("rss", 3600 / MIB), ("pss", 3600 / MIB), ("fds", 3600.0), ("table_retired", 3600.0)):
        line = slope(samples, key)
        found[key] = line.as_dict(scale) if line else None
    return found


def memory_claim(rss: dict[str, float] | None, samples: Sequence[Sample], idle: Sample) -> tuple[str, bool]:
    """The interval, not the slope alone, decides: what it does not exclude is not called a leak, nor called flat."""
    if rss is None:
        grown = (max(s["rss"] for s in samples) - idle["rss"]) / MIB
        return f"memory grew by {grown:.1f} MiB, under {SHORT_GROWTH_MIB:g} (too short a run for a slope)", (
            grown < SHORT_GROWTH_MIB
        )
    text = f"{rss['slope']:+.2f} MiB/h [{rss['low']:+.2f}, {rss['high']:+.2f}] at 95 %"
    if rss["high"] < SLOPE_MIB_H:
        return f"memory is flat: {text}, under {SLOPE_MIB_H:g} MiB/h", True
    if rss["low"] < SLOPE_MIB_H:
        return f"memory: {text}: no leak is shown, nor is {SLOPE_MIB_H:g} MiB/h excluded: run longer for that", True
    return f"memory grows: {text}, over {SLOPE_MIB_H:g} MiB/h", False


def claims(
    samples: Sequence[Sample], idle: Sample, settled: Sample, totals: dict[str, Any], code: int
) -> list[tuple[str, bool]]:
    """Every claim in words, and whether it holds."""
    fitted = fit(samples)
    lost = {key: totals[key] for key in ("lost", "crossed", "twice")}
    fds = fitted["fds"]
    left = descriptors_left(idle, settled)
    least_churn = 0.5 * samples[-1]["at"]
    return [
        (f"of {totals['begun']:,} calls none was lost, crossed or answered twice {lost}", not any(lost.values())),
        (f"callers saw no status but 20, 35 and 80: {totals['status']}", set(totals["status"]) <= {"35", "80"}),
        ("callers ended well", totals["asker_codes"] == [0] * len(totals["asker_codes"])),
        memory_claim(fitted["rss"], samples, idle),
        (
            "descriptors: too short a run for a slope"
            if fds is None
            else f"descriptors are flat: {fds['slope']:+.1f} an hour [{fds['low']:+.1f}, {fds['high']:+.1f}]",
            fds is None or fds["low"] < FDS_H,
        ),
        (f"descriptors came back: {left:+.0f} against before the load, upstreams apart", left <= 0),
        ("no call and no caller is left", not settled["calls_active"] and not settled["downstream_active"]),
        (f"no replaced table is left: {settled['table_retired']:.0f}", not settled["table_retired"]),
        (f"replaced tables never piled up: at most {max(s['table_retired'] for s in samples):.0f}",
         max(s["table_retired"] for s in samples) < 2000),
        ("no good policy was refused", not settled["config_rejected"]),
        (f"{totals['policies_written']} policies were written", totals["policies_written"] >= least_churn),
        (f"they were taken up: {settled['config_version']:.0f}", settled["config_version"] >= least_churn / 2),
        (f"{totals['providers_killed']} providers were killed, churn went on {totals['churn_error']}",
         totals["providers_killed"] >= 1 and not totals["churn_error"]),
        (f"{totals['nonsense_sent']} connections of nonsense, {settled['bad_connections']:.0f} refused as such",
         settled["bad_connections"] > 0),
        ("memory was never short", not settled["out_of_memory"]),
        (f"the proxy ended with {code}", code == 0),
    ]  # fmt: skip
