"""What a soak must show, from its samples alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from soak.fit import Line, blocks, theil_sen
from soak.side import Sample, descriptors_left

MIB = 1 << 20
WARMUP = 0.25  # of the run: pools, pages of slots and the allocator's own heaps fill up first
WARMUP_S = 3600.0  # more is not left out
BLOCK_S = 10.0
LEAST_BLOCKS = 24  # of ten seconds: a line through less says nothing of an hour
SLOPE_MIB_H = 1.0  # the demand: memory grows by less than this an hour, after an hour
RSS_SHORT_MIB_H = 6.0  # resident memory of a run under two hours: it still creeps towards the highest load
OBJECTS_H = 2000.0  # Python's own: about 100 bytes each
FDS_H = 6.0  # descriptors, connections apart: the median of a number that hardly moves
SHORT_GROWTH_MIB = 48.0  # all that a run too short for a slope can be held to: warm-up and nothing else

Claim = tuple[str, bool]


def after_warmup(samples: Sequence[Sample]) -> list[Sample]:
    """The samples that count for the fit."""
    begin = min(samples[-1]["at"] * WARMUP, WARMUP_S) if samples else 0.0
    return [sample for sample in samples if sample["at"] >= begin]


def slope(samples: Sequence[Sample], key: str) -> Line | None:
    """Per second, after warm-up; None where there are too few samples."""
    points = [(s["at"], s[key]) for s in after_warmup(samples) if not math.isnan(s[key])]
    thin = blocks(points, BLOCK_S)
    return theil_sen(thin) if len(thin) >= LEAST_BLOCKS else None


MIB_H = 3600 / MIB
SCALES = {"allocated": MIB_H, "rss": MIB_H, "pss": MIB_H, "objects": 3600.0, "fds": 3600.0, "fds_apart": 3600.0}


def fit(samples: Sequence[Sample]) -> dict[str, dict[str, float] | None]:
    """The slopes as they are reported: MiB, objects and descriptors an hour."""
    found = {key: slope(samples, key) for key in SCALES}
    return {key: line.as_dict(SCALES[key]) if line else None for key, line in found.items()}


def growth(what: str, unit: str, line: dict[str, float] | None, limit: float) -> Claim:
    """The interval, not the slope alone, decides: what it does not exclude is not called a leak, nor called flat."""
    if line is None:
        return f"{what}: too short a run for a slope", True
    text = f"{what}: {line['slope']:+.2f} {unit}/h [{line['low']:+.2f}, {line['high']:+.2f}] at 95 %"
    if line["high"] < limit:
        return f"{text}: under {limit:g}", True
    if line["low"] < limit:
        return f"{text}: {limit:g} is neither shown nor excluded: run longer for that", True
    return f"{text}: it grows, by more than {limit:g}", False


def memory(samples: Sequence[Sample], idle: Sample) -> list[Claim]:
    """What is allocated, what is resident, and how far it got."""
    fitted = fit(samples)
    grown = (max(s["rss"] for s in samples) - idle["rss"]) / MIB
    long = samples[-1]["at"] >= 2 * WARMUP_S
    return [
        growth("allocated memory", "MiB", fitted["allocated"], SLOPE_MIB_H),
        growth("Python's objects", "objects", fitted["objects"], OBJECTS_H),
        growth("resident memory", "MiB", fitted["rss"], SLOPE_MIB_H if long else RSS_SHORT_MIB_H),
        (f"resident memory grew by {grown:.1f} MiB in all, under {SHORT_GROWTH_MIB:g}", grown < SHORT_GROWTH_MIB),
    ]


def claims(
    samples: Sequence[Sample], idle: Sample, settled: Sample, totals: dict[str, Any], code: int, *, timed: bool = True
) -> list[Claim]:
    """Every claim in words, and whether it holds. ``timed``: rates of churn, too; else that there was any."""
    lost = {key: totals[key] for key in ("lost", "crossed", "twice")}
    grpc = totals["grpc"]
    failed = {key: n for key, n in grpc.items() if key not in ("sent", "right", "goaways", "statuses")}
    left = descriptors_left(idle, settled)
    least_churn = 0.5 * samples[-1]["at"] if timed else 2.0
    return [
        (f"of {totals['begun']:,} calls none was lost, crossed or answered twice {lost}", not any(lost.values())),
        (f"callers saw no status but 20, 35 and 80: {totals['status']}", set(totals["status"]) <= {"35", "80"}),
        (f"of {grpc['sent']:,} gRPC calls all were answered right through {grpc['goaways']} GOAWAYs {failed}",
         grpc["sent"] == grpc["right"] > 0 and grpc["goaways"] > 0),
        ("callers ended well", totals["asker_codes"] == [0] * len(totals["asker_codes"])),
        *memory(samples, idle),
        growth("descriptors, connections apart", "descriptors", fit(samples)["fds_apart"], FDS_H),
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
