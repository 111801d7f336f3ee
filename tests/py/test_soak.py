"""The soak's own judgement: what it must call a leak, and what it must not."""

from __future__ import annotations

import html.parser
import math
import random
from typing import Any

import pytest
from soak import judge, report
from soak.fit import blocks, theil_sen
from soak.side import ASKED, COUNTERS, Sample, burst

MIB = 1 << 20


def samples(slope_mib_h: float, seconds: int = 1200, noise: float = 0.3) -> list[Sample]:
    """A run with a warm-up, noise and single peaks, on a line of that slope."""
    chance = random.Random(1)
    found = []
    for at in range(seconds):
        warm = 10 * (1 - math.exp(-at / 40))
        peak = 20.0 if chance.random() < 0.02 else 0.0
        rss = 40 + warm + slope_mib_h * at / 3600 + chance.gauss(0, noise) + peak
        sample = {name: 0.0 for name in COUNTERS} | {f"asked_{name}": float(at) for name in ASKED}
        memory = {key: rss * MIB for key in ("rss", "pss", "allocated", "free")}
        found.append(sample | memory | {"at": float(at), "objects": 9e4, "fds": 80.0 + at % 7, "fds_apart": 15.0})
    return found


def grpc(**other: Any) -> dict[str, Any]:
    return {"sent": 9, "right": 9, "errors": 0, "crossed": 0, "cut": 0, "lost": 0, "goaways": 2, "statuses": {}} | other


def totals(**other: Any) -> dict[str, Any]:
    counts: dict[str, Any] = {name: 0 for name in ASKED} | {"begun": 1000, "status": {"35": 3}, "first": ""}
    churn = {"policies_written": 1200, "providers_killed": 5, "nonsense_sent": 9, "churn_error": "", "asker_codes": [0]}
    return counts | churn | {"grpc": grpc()} | other


def broken(run: list[Sample], settled: dict[str, float] | None = None, code: int = 0, **other: Any) -> list[str]:
    """The claims that do not hold."""
    end = run[-1] | {"config_version": 1200.0, "bad_connections": 3.0, "fds": 20.0} | (settled or {})
    idle = run[0] | {"fds": 20.0}
    return [text for text, holds in judge.claims(run, idle, end, totals(**other), code) if not holds]


@pytest.mark.parametrize("slope", [-3.0, 0.0, 0.5, 2.0, 50.0])
def test_the_line_finds_the_slope(slope: float) -> None:
    line = judge.slope(samples(slope), "rss")
    assert line
    found = line.as_dict(3600 / MIB)
    assert found["low"] <= slope + 0.6 and found["high"] >= slope - 0.6
    assert abs(found["slope"] - slope) < 0.6


def test_a_line_by_hand() -> None:
    line = theil_sen([(0, 1), (1, 3), (2, 5), (3, 7), (4, 100)])
    assert line.slope == 2 and line.low <= 2 <= line.high and line.points == 5
    assert blocks([(0, 1), (1, 9), (2, 2), (10, 5), (12, 7)], 10) == [(1, 2), (11, 6)]
    with pytest.raises(ValueError):
        theil_sen([(0, 1), (1, 2)])


@pytest.mark.parametrize(("seconds", "lasts"), [(12, 1), (60, 6), (1200, 60), (36000, 60)])
def test_the_burst_is_part_of_the_warm_up(seconds: float, lasts: int) -> None:
    run = [{"at": float(at)} for at in range(int(seconds))]
    assert burst(seconds) == lasts < judge.after_warmup(run)[0]["at"] + 1


def test_a_flat_run_holds() -> None:
    assert broken(samples(0.0)) == []
    assert judge.growth("x", "MiB", {"slope": 0.1, "low": -0.2, "high": 0.4}, 1.0) == (
        "x: +0.10 MiB/h [-0.20, +0.40] at 95 %: under 1", True,
    )  # fmt: skip


def test_a_leak_does_not() -> None:
    def names(run: list[Sample], **other: Any) -> list[str]:
        return [text.split(":")[0] for text in broken(run, {"config_version": 9000.0}, **other)]

    assert names(samples(4.0)) == ["allocated memory"]
    assert names(samples(9.0)) == ["allocated memory", "resident memory"]
    assert names(samples(8.0, 7300), policies_written=7300) == ["allocated memory", "resident memory"]  # two hours
    assert names([one | {"objects": 9e4 + one["at"]} for one in samples(0.0)]) == ["Python's objects"]
    leaky = [one | {"fds_apart": 15.0 + one["at"] // 100} for one in samples(0.0)]
    assert names(leaky) == ["descriptors, connections apart"]
    grown = [one | {"rss": 100.0 * MIB} for one in samples(0.0, 60)]
    grown[0]["rss"] = 40.0 * MIB
    assert len(broken(grown)) == 1


def test_a_short_noisy_run_claims_neither() -> None:
    run = samples(1.0, 400, noise=3.0)
    assert broken(run, policies_written=400) == []
    assert any("neither shown nor excluded" in text for text, _ in judge.claims(run, run[0], run[-1], totals(), 0))


def test_a_rate_decides_only_where_it_is_asked_to() -> None:
    run = samples(0.0)
    end = run[-1] | {"config_version": 30.0, "bad_connections": 3.0, "fds": 20.0}
    idle, slow = run[0] | {"fds": 20.0}, totals(policies_written=60)
    told = [text for text, holds in judge.claims(run, idle, end, slow, 0) if not holds]
    assert len(told) == 2 and all("written" in text or "taken up" in text for text in told)
    assert [text for text, holds in judge.claims(run, idle, end, slow, 0, timed=False) if not holds] == []


@pytest.mark.parametrize(
    ("settled", "other"),
    [
        ({}, {"lost": 1}), ({}, {"crossed": 1}), ({}, {"twice": 1}), ({}, {"status": {"100": 1}}),
        ({}, {"grpc": grpc(right=8, lost=1)}), ({}, {"grpc": grpc(goaways=0)}), ({}, {"grpc": grpc(sent=0, right=0)}),
        ({}, {"asker_codes": [0, 1]}), ({}, {"churn_error": "OSError"}), ({}, {"policies_written": 3}),
        ({"fds": 21.0}, {}), ({"calls_active": 1.0}, {}), ({"table_retired": 1.0}, {}), ({"config_rejected": 1.0}, {}),
        ({"out_of_memory": 1.0}, {}), ({"bad_connections": 0.0}, {}), ({"config_version": 5.0}, {}), ({}, {"code": 1}),
    ],
)  # fmt: skip
def test_each_wrong_is_seen(settled: dict[str, float], other: dict[str, Any]) -> None:
    assert len(broken(samples(0.0), settled, **other)) == 1


def test_the_page_is_whole_and_needs_nothing() -> None:
    run = samples(0.0, 60)
    found = {"claims": [("a < b", True), ("c", False)]}
    facts = {"revision": "r", "machine": "m", "kernel": "k"}
    page = report.page({"minutes": 1, "facts": facts, "sides": {"epoll": found}}, {"epoll": run})
    seen: list[tuple[str, dict[str, str | None]]] = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append((tag, dict(attrs)))

    Reader().feed(page)
    lines = [attrs["points"] for tag, attrs in seen if tag == "polyline"]
    assert len(lines) == sum(len(plot) for *_, plot in report.PLOTS)
    assert all(line and "nan" not in line for line in lines)
    assert not {"src", "href"} & {key for _, attrs in seen for key in attrs}
    assert "a &lt; b" in page
