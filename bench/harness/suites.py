"""The suites: which proxies, at which points, and what is asked of the figures.

A demand compares medians of one run. Where the ranges of the two figures overlap, it says ≈: the two cannot be told
apart, and whether a bound on their ratio holds is judged by the medians.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.harness.rivals import LAYER4
from bench.harness.rivals_grpc import LAYER7
from bench.harness.spread import LEAST, Spread, cell, ratio_text, spread

Result = dict[str, Any]

ALL_POINTS = "1x1,1x64,64x1,64x16,64x64"
SOME_POINTS = "1x64,64x1,64x16,64x64"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One demand: what is asked, what was reached, and whether that is enough; None: it could not be told."""

    what: str
    asked: str
    reached: str
    met: bool | None

    @property
    def word(self) -> str:
        return "" if not self.asked else "?" if self.met is None else "yes" if self.met else "no"


@dataclass(frozen=True, slots=True)
class Suite:
    """What to measure by default, and what is asked of it. ``kind``: "calls", or a measurement of its own.
    ``rivals`` empty: those that are measured by default."""

    name: str
    what: str
    judge: Callable[[Result], Iterator[Verdict]]
    points: str = ALL_POINTS
    smoke: str = "8x4"  # the points of a smoke run
    rivals: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)  # of the plan
    kind: str = "calls"


def best_layer4(result: Result, point: str, key: str = "cpu_us", most: bool = False) -> str | None:
    """The layer-4 proxy whose median at the point is the least (or, with ``most``, the most)."""
    return _best(LAYER4, result, point, key, most)


def best_layer7(result: Result, point: str, key: str = "cpu_us", most: bool = False) -> str | None:
    """The same of those that read gRPC calls."""
    return _best(LAYER7, result, point, key, most)


def _best(names: Sequence[str], result: Result, point: str, key: str, most: bool) -> str | None:
    found = {name: cell(result["samples"], point, name) for name in names}
    medians = {name: spread(cells, key).median for name, cells in found.items() if cells}
    return (max if most else min)(medians, key=lambda name: medians[name]) if medians else None


def _at_most(result: Result, point: str, one: str, other: str, limit: float, key: str = "cpu_us") -> Verdict:
    """That ``one`` costs at most ``limit`` times as much as ``other``."""
    return _ratio(result, point, one, other, key, f"≤ {limit:g}x", lambda ratio: ratio <= limit)


def _ratio(
    result: Result, point: str, one: str, other: str, key: str, asked: str, enough: Callable[[float], bool]
) -> Verdict:
    names = {"cpu_us": "CPU a call", "calls_per_s": "calls a second", "worker_us": "CPU a call of the worker alone",
             "p99_us": "p99"}
    what = f"{point}: {names[key]}, {one} / {other}"
    cells = [cell(result["samples"], point, name) for name in (one, other)]
    if not all(cells):
        return Verdict(what, asked, "not measured", None)
    if key == "worker_us":
        values = [Spread.of([s["cpu_us"] - s["main_us"] for s in some]) for some in cells]
    else:
        values = [spread(some, key) for some in cells]
    if not values[1].median:
        return Verdict(what, asked, "not measured", None)
    ratio = values[0].median / values[1].median
    text = f"{ratio:.2f}x"
    if ratio_text(*values) == "≈":
        text = f"≈ (medians {text})" if asked else "≈"
    told = min(value.n for value in values) >= LEAST
    return Verdict(what, asked, text, enough(ratio) if told else None)


def _plain(result: Result) -> Iterator[Verdict]:
    """No demand of its own: meshfast against the best that does not read, and against Envoy, at each point."""
    for point in result["options"]["points"]:
        best = best_layer4(result, point)
        for name in ("meshfast-epoll", "meshfast-uring"):
            for other in (best, "envoy"):
                if other and name in result["options"]["rivals"] and cell(result["samples"], point, other):
                    yield _ratio(result, point, name, other, "cpu_us", "", lambda ratio: True)


def _label(result: Result) -> Iterator[Verdict]:
    for point in result["options"]["points"]:
        yield _at_most(result, point, "meshfast-label", "meshfast-epoll", 1.3)
        yield _at_most(result, point, "meshfast-header", "meshfast-epoll", 1.3)


def _opaque(result: Result) -> Iterator[Verdict]:
    for point in result["options"]["points"]:
        best = best_layer4(result, point)
        yield _at_most(result, point, "meshfast-opaque", best or "relay", 1.1)


def _large(result: Result) -> Iterator[Verdict]:
    for point in result["options"]["points"]:
        best = best_layer4(result, point, "calls_per_s", most=True) or "relay"
        for name in ("meshfast-epoll", "meshfast-uring"):
            if name in result["options"]["rivals"]:
                yield _ratio(result, point, name, best, "calls_per_s", "≥ 0.9x", lambda ratio: ratio >= 0.9)
    yield from _copying(result)


def _churn(result: Result) -> Iterator[Verdict]:
    for point in result["options"]["points"]:
        for kind in ("engine", "meshfast"):
            yield _at_most(result, point, f"{kind}-churn", f"{kind}-table", 1.1)
        yield _at_most(result, point, "meshfast-churn", "meshfast-table", 1.1, "worker_us")
    for name in ("engine-churn", "meshfast-churn"):
        made = [s["updates_per_s"] for s in result["samples"] if s["rival"] == name and "updates_per_s" in s]
        if made:
            rate = Spread.of(made)
            yield Verdict(f"updates a second, {name}", "≥ 950", f"{rate.median:.0f}", rate.median >= 950)


def _rates(result: Result) -> Iterator[Verdict]:
    for point in result["options"]["points"]:
        cells = cell(result["samples"], point, "meshfast-epoll")
        unsent = sum(s["raw"]["unsent"] for s in cells)
        if cells:
            yield Verdict(f"{point}: meshfast-epoll, calls due and never sent", "0", f"{unsent}", unsent == 0)


def _memory(result: Result) -> Iterator[Verdict]:
    for one in _measures(result, "idle"):
        if one["rival"].startswith("meshfast"):
            yield _bound(one, 40.0, "resident, idle")
    for one in _measures(result, "a connection"):
        if one["rival"].startswith("meshfast"):
            yield _bound(one, 3.0, f"resident, of each of {one['point']} idle connections")


def _grpc_memory(result: Result) -> Iterator[Verdict]:
    yield from _memory(result)
    for one in _measures(result, "a quiet stream"):
        if one["rival"].startswith("meshfast"):
            yield _bound(one, 1.0, f"resident, of each quiet stream beside {one['point']} idle connections")


def _startup(result: Result) -> Iterator[Verdict]:
    limits = {"exec to ready": 300.0, "check, large": 2000.0, "exec to ready, large": 2000.0}
    for what, limit in limits.items():
        for one in _measures(result, what):
            if one["rival"].startswith("meshfast"):
                yield _bound(one, limit, what)


def _measures(result: Result, what: str) -> list[dict[str, Any]]:
    return [one for one in result.get("measures", ()) if one["what"] == what and one["values"]]


def _bound(one: dict[str, Any], limit: float, what: str) -> Verdict:
    median = Spread.of(one["values"]).median
    reached = f"{median:.2f}" if median < 10 else f"{median:.1f}"
    return Verdict(f"{one['rival']}: {what}", f"≤ {limit:g} {one['unit']}", reached, median <= limit)


#: Of the best rival's CPU a call, and of Envoy's.
_GRPC_LIMITS = {
    "1x1": (0.85, 0.4),
    "1x100": (1 / 5, 1 / 20),
    "64x1": (1 / 1.7, 1 / 4),
    "64x10": (1 / 5, 1 / 25),
    "64x100": (1 / 20, 1 / 80),
}
GRPC_OURS = ("meshfast-h2-epoll", "meshfast-h2-uring")


def _grpc(result: Result, share: float = 1.0) -> Iterator[Verdict]:
    """``share``: how much of each factor is asked for."""
    for point in result["options"]["points"]:
        best = best_layer7(result, point)
        for name in GRPC_OURS:
            limits = _GRPC_LIMITS.get(point, (1.0, 1.0))
            for other, limit in zip((best, "envoy-h2"), limits, strict=True):
                if other and name in result["options"]["rivals"]:
                    yield _at_most(result, point, name, other, round(limit / share, 4))


def _grpc_trace(result: Result) -> Iterator[Verdict]:
    return _grpc(result, share=0.5)


def _grpc_label(result: Result) -> Iterator[Verdict]:
    for point in result["options"]["points"]:
        yield _at_most(result, point, "meshfast-h2-label", "meshfast-h2-epoll", 1.15)


def _grpc_rates(result: Result) -> Iterator[Verdict]:
    for point in result["options"]["points"]:
        best = best_layer7(result, point, "p99_us")
        for name in GRPC_OURS:
            if best and name in result["options"]["rivals"]:
                yield _at_most(result, point, name, best, 1.0, "p99_us")


def _grpc_bytes(result: Result) -> Iterator[Verdict]:
    for point in result["options"]["points"]:
        best = best_layer7(result, point, "calls_per_s", most=True)
        for name in GRPC_OURS:
            if best and name in result["options"]["rivals"]:
                yield _ratio(result, point, name, best, "calls_per_s", "≥ 1x", lambda ratio: ratio >= 1.0)
    yield from _copying(result)


def _copying(result: Result) -> Iterator[Verdict]:
    for one in _measures(result, "user-space copying, share of CPU"):
        share = one["values"][0]
        what = f"{one['point']}: {one['rival']}, copying in user space"
        yield Verdict(what, "≤ 2% of CPU", f"{share:.1%}", share <= 0.02)


_OURS = ("meshfast-epoll", "meshfast-uring")
_GRPC_ALL = (*GRPC_OURS, "direct", *LAYER7)
GRPC_POINTS = "1x1,1x100,64x1,64x10,64x100"
SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("plain", "one service, one instance, as fast as answers come", _plain),
        Suite(
            "rates", "at fixed rates: latency", _rates, "1x1@10k,64x1@10k,64x16@10k,1x64@50k,64x16@50k,64x64@50k",
            "8x4@500",
        ),
        Suite(
            "label", "an attachment matched and a label stamped", _label, SOME_POINTS,
            rivals=("meshfast-epoll", "meshfast-label", "meshfast-header"),
            options={"attach": ("x-stage=beta", "dubbo.tag=none")},
        ),
        Suite(
            "opaque", "bodies in a serialization that is not read", _opaque, ALL_POINTS,
            rivals=("meshfast-opaque", *LAYER4), options={"serialization": 12},
        ),
        Suite(
            "large", "bodies of 64 KiB and 1 MiB both ways", _large, "1x4/64k,16x4/64k,1x2/1m,4x4/1m",
            "1x2/1m", (*_OURS, *LAYER4),
        ),
        Suite(
            "churn", "10,000 services, 1,000 of them changed in a second", _churn, "1x64,64x16",
            rivals=("engine-table", "engine-churn", "meshfast-table", "meshfast-churn"),
        ),
        Suite(
            "memory", "resident memory, idle and of an idle connection", _memory, "", "",
            (*_OURS, "relay", "nginx", "haproxy", "envoy", "mosn"), kind="memory",
        ),
        Suite(
            "startup", "from exec to ready", _startup, "", "",
            ("meshfast-epoll", "nginx", "haproxy", "envoy", "mosn"), kind="startup",
        ),
        Suite(
            "grpc", "gRPC: a POST of 100 bytes, as fast as answers come", _grpc, GRPC_POINTS, "8x4",
            _GRPC_ALL, {"protocol": "grpc", "payload": 100},
        ),
        Suite(
            "grpc-rates", "gRPC at fixed rates: latency", _grpc_rates, "64x1@10k,64x10@10k,64x10@50k,64x100@50k",
            "8x4@500", _GRPC_ALL, {"protocol": "grpc", "payload": 100},
        ),
        Suite(
            "grpc-trace", "gRPC with a fresh trace id in each request, which stays out of the header table",
            _grpc_trace, GRPC_POINTS, "8x4", _GRPC_ALL, {"protocol": "grpc", "payload": 100, "trace": "once"},
        ),
        Suite(
            "grpc-trace-indexed", "gRPC with a fresh trace id in each request, which goes into the header table",
            _grpc_trace, GRPC_POINTS, "8x4", _GRPC_ALL, {"protocol": "grpc", "payload": 100, "trace": "indexed"},
        ),
        Suite(
            "grpc-label", "gRPC: a header matched and a label stamped", _grpc_label, GRPC_POINTS, "8x4",
            ("meshfast-h2-epoll", "meshfast-h2-label", "direct"),
            {"protocol": "grpc", "payload": 100, "attach": ("x-stage=beta",)},
        ),
        Suite(
            "grpc-stream", "gRPC: answers of 1,000 messages of 1 KiB; figures are for a message", _grpc_bytes,
            "1x1/1k,1x10/1k,16x4/1k", "2x2/1k", _GRPC_ALL, {"protocol": "grpc", "messages": 1000},
        ),
        Suite(
            "grpc-memory", "resident memory, idle, of an idle HTTP/2 connection and of an open quiet stream",
            _grpc_memory, "", "", _GRPC_ALL, {"protocol": "grpc", "payload": 100}, kind="memory",
        ),
        Suite(
            "grpc-large", "gRPC: bodies of 1 MiB both ways", _grpc_bytes, "1x2/1m,4x4/1m", "1x2/1m",
            _GRPC_ALL, {"protocol": "grpc"},
        ),
    )
}  # fmt: skip


def verdicts(result: Result) -> Sequence[Verdict]:
    """What was asked of this result's suite."""
    suite = SUITES.get(result.get("suite", "plain"))
    return list(suite.judge(result)) if suite else []
