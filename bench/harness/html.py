"""The result of a comparison as one page of HTML."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.draw.axis import short
from bench.draw.page import Html, bullets, figure, key, row, section, table, tag
from bench.draw.page import page as whole_page
from bench.draw.plot import Bar, bars, percentiles
from bench.harness.measure import Sample
from bench.harness.report import COLUMNS, counted
from bench.harness.rivals import LAYER4, RIVALS
from bench.harness.spread import BUSY, Spread, cell, choose_base, failures, notes, ratio_text, spread
from bench.harness.suites import SUITES, best_layer4, best_layer7, verdicts

CUT = 6  # a bar longer than so many times the median of its plot is broken off

def page(result: dict[str, Any], base: str = "") -> str:
    """The whole page."""
    rivals: list[str] = result["options"]["rivals"]
    base = choose_base(rivals, base)
    suite = SUITES.get(result["suite"])
    facts = result["facts"]
    judged = verdicts(result)
    asked = any(one.asked for one in judged)
    lead = (
        f"{suite.what if suite else ''}. {facts['date']}, revision {facts['revision']}, {facts['cpu']}, "
        f"{facts['cpus']} CPUs{', virtual' if facts.get('virtual') else ''}, Linux {facts['kernel']}."
    )
    failed, remembered = failures(result), notes(result, base)
    parts = [
        key(("blue", "meshfast"), ("grey", "layer 4: bytes passed on unread"), ("orange", "layer 7")),
        *section("Failures", *([bullets(failed, "no")] if failed else [])),
        *section("Asked and reached" if asked else "Ratios", *([_verdicts(result)] if judged else [])),
        *(part for point in result["options"]["points"] for part in _point(result, point, rivals, base)),
        *section("Measured apart", *_measures(result["measures"])),
        *section("To keep in mind", *([bullets(remembered)] if remembered else [])),
        *section("Who and how", *_who(result)),
    ]
    return whole_page(f"meshfast against others: {result['suite']}", lead, parts)


def _colour(rival: str) -> str:
    return "blue" if rival.startswith(("meshfast", "engine")) else "grey" if rival in (*LAYER4, "direct") else "orange"


def _bar(rival: str, value: Spread, said: str) -> Bar:
    return Bar(rival, _colour(rival), value.median, value.low, value.high, said)


def _range(value: Spread) -> str:
    return f"{short(value.low)}–{short(value.high)}"


def _cell(value: Spread) -> Html:
    return Html(f"{short(value.median)} {tag('span', 'range', _range(value))}")


def _verdicts(result: dict[str, Any]) -> Html:
    judged = verdicts(result)
    if not any(one.asked for one in judged):
        return table(("what", "ratio"), [row(one.what, one.reached) for one in judged])
    rows = [row(one.what, one.asked, one.reached, tag("span", one.word, one.word), words=4) for one in judged]
    return table(("what", "asked", "reached", "met"), rows, words=4)


HEADINGS = ("proxy", "CPU us/call", "ratio", "to best rival", "calls/s", "p50 us", "p99 us", "p99.9 us",
            "max us", "busy", "RSS MiB", "syscalls", "instructions")  # fmt: skip


def _point(result: dict[str, Any], point: str, rivals: Sequence[str], base: str) -> list[Html]:
    samples: list[Sample] = result["samples"]
    cells = {rival: cell(samples, point, rival) for rival in rivals}
    shown = [rival for rival in rivals if cells[rival]]
    best = best_layer4(result, point) or best_layer7(result, point)
    if not shown:
        return section(point, tag("p", "no", "nothing could be measured"))
    cpu = {rival: spread(cells[rival], "cpu_us") for rival in shown}
    cut = CUT * Spread.of([one.median for one in cpu.values()]).median
    keys = ("p50_us", "p99_us", "p99_9_us", "max_us")
    waits = [(r, _colour(r), [_typical(cells[r], key) for key in keys]) for r in shown]
    return section(
        point,
        figure(
            "CPU a call: median, least and most of the rounds; » goes on",
            bars([_bar(r, cpu[r], _range(cpu[r])) for r in shown], f"CPU per call at {point}", "us", cut),
        ),
        figure(
            "Latency, logarithmic: p50, p99, p99.9 and the greatest; beside it the first three",
            percentiles(waits, f"latency at {point}", "us"),
        ),
        table(HEADINGS, (_point_row(result, point, r, cells, base, best) for r in rivals)),
    )


def _typical(cells: Sequence[Sample], key: str) -> float:
    value = spread(cells, key)
    return value.high if key == "max_us" else value.median


def _point_row(
    result: dict[str, Any], point: str, rival: str, all_cells: dict[str, list[Sample]], base: str, best: str | None
) -> Html:
    cells = all_cells[rival]
    if not cells:
        return row(rival, tag("span", "no", "failed"), kind=_colour(rival), words=2)
    cpu, busy = spread(cells, "cpu_us"), spread(cells, "busy")

    def against(other: str | None) -> str:
        if other is None or not all_cells.get(other):
            return ""
        return "1" if other == rival else ratio_text(cpu, spread(all_cells[other], "cpu_us"))

    rate = short(spread(cells, "calls_per_s").median)
    return row(
        rival,
        _cell(cpu),
        against(base),
        against(best),
        rate if busy.median >= BUSY else tag("span", "faint", f"({rate})"),
        short(spread(cells, "p50_us").median),
        *(_cell(spread(cells, key)) for key in ("p99_us", "p99_9_us")),
        short(spread(cells, "max_us").high),
        f"{busy.median:.0%}",
        short(spread(cells, "rss_mib").high),
        *(counted(result, what, point, rival) for what in COLUMNS),
        kind=_colour(rival),
    )


def _measures(measures: Sequence[dict[str, Any]]) -> list[Html]:
    parts = []
    shown = [one for one in measures if one["what"] not in COLUMNS and one["values"]]
    for what, point, unit in dict.fromkeys((one["what"], one["point"], one["unit"]) for one in shown):
        rows = []
        for one in shown:
            if (one["what"], one["point"]) == (what, point):
                value = Spread.of(one["values"])
                rows.append(_bar(one["rival"], value, f"{_range(value)}, n={value.n}" if value.n > 1 else ""))
        title = f"{what}{', ' + point if point else ''}"
        parts.append(figure(title, bars(rows, title, unit)))
    return parts


def _who(result: dict[str, Any]) -> list[Html]:
    rows = []
    for name in result["options"]["rivals"]:
        what = RIVALS[name].what if name in RIVALS else ""
        rows.append(row(name, what, result["versions"].get(name, ""), kind=_colour(name), words=3))
    hidden = ("rivals", "points")
    options = ", ".join(f"{k} {v}" for k, v in result["options"].items() if k not in hidden)
    facts = ", ".join(f"{k} {v}" for k, v in result["facts"].items())
    return [
        table(("name", "what", "version"), rows, words=3),
        bullets([f"Options: {options}.", f"Machine: {facts}."]),
    ]
