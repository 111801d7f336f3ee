"""A result as one page of HTML: tables, plots drawn here, no script, nothing fetched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from bench.harness.measure import Sample
from bench.harness.report import COLUMNS, counted
from bench.harness.rivals import LAYER4, RIVALS
from bench.harness.spread import BUSY, Spread, cell, choose_base, failures, notes, ratio_text, short, spread
from bench.harness.suites import SUITES, best_layer4, verdicts
from bench.harness.svg import Bar, bars, percentiles

CUT = 6  # a bar longer than so many times the median of its plot is broken off

STYLE = """
:root { --ink: #1d2733; --soft: #66727f; --rule: #dde3e9; --ours: #1668b8; --relay: #8a97a5; --other: #d0813a; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); margin: 0 auto;
       max-width: 1240px; padding: 28px; background: #fff; }
h1 { font-size: 26px; margin: 0 0 2px; }
h2 { font-size: 20px; margin: 40px 0 8px; border-bottom: 2px solid var(--rule); }
h3 { font-size: 14px; margin: 14px 0 0; color: var(--soft); font-weight: 600; }
.lead { color: var(--soft); margin: 0 0 14px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 8px 0 4px; font-size: 12.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--rule); padding: 3px 8px; }
td { padding: 3px 8px; border-bottom: 1px solid #eef1f4; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; } td:first-child { white-space: nowrap; }
tr.ours td:first-child { color: var(--ours); font-weight: 600; }
.range { color: var(--soft); font-size: 11px; } .faint { color: var(--soft); }
.yes { color: #18794e; font-weight: 600; } .no, .failed { color: #c22f2f; font-weight: 600; }
.key span { display: inline-block; margin-right: 18px; } .key i { display: inline-block; width: 11px; height: 11px;
  border-radius: 2px; margin-right: 5px; }
svg { display: block; max-width: 100%; height: auto; font: 12px system-ui, "DejaVu Sans", sans-serif; }
svg .grid { stroke: #e8ecf0; } svg .axis { fill: var(--soft); font-size: 10px; } svg .said { fill: var(--soft); }
svg .value { font-weight: 600; fill: var(--ink); } svg .cut { fill: #fff; font-weight: 700; }
svg .name { fill: var(--ink); } svg .name.ours { fill: var(--ours); font-weight: 600; }
svg .whisker { stroke: #10202f; stroke-width: 1.2; }
svg .bar.ours, svg .dot.ours { fill: var(--ours); } svg .bar.relay, svg .dot.relay { fill: var(--relay); }
svg .bar.other, svg .dot.other { fill: var(--other); } svg .span { stroke-width: 2; opacity: .45; }
svg .span.ours { stroke: var(--ours); } svg .span.relay { stroke: var(--relay); }
svg .span.other { stroke: var(--other); }
"""


def page(result: dict[str, Any], base: str = "") -> str:
    """The whole page."""
    rivals: list[str] = result["options"]["rivals"]
    base = choose_base(rivals, base)
    suite = SUITES.get(result["suite"])
    facts = result["facts"]
    judged = verdicts(result)
    asked = any(one.asked for one in judged)
    body = [
        f"<h1>meshfast against others: {escape(result['suite'])}</h1>",
        f'<p class="lead">{escape(suite.what if suite else "")}. {escape(str(facts["date"]))}, revision '
        f"{escape(str(facts['revision']))}, {escape(str(facts['cpu']))}, {facts['cpus']} CPUs"
        f"{', virtual' if facts.get('virtual') else ''}, Linux {escape(str(facts['kernel']))}.</p>",
        '<p class="key"><span><i style="background:var(--ours)"></i>meshfast</span>'
        '<span><i style="background:var(--relay)"></i>layer 4: bytes passed on unread</span>'
        '<span><i style="background:var(--other)"></i>layer 7</span></p>',
        *_section("Failures", [_list(failures(result), "failed")] if failures(result) else []),
        *_section("Asked and reached" if asked else "Ratios", [_verdicts(result)] if judged else []),
        *(part for point in result["options"]["points"] for part in _point(result, point, rivals, base)),
        *_section("Measured apart", _measures(result["measures"])),
        *_section("To keep in mind", [_list(notes(result, base))] if notes(result, base) else []),
        *_section("Who and how", [_who(result)]),
    ]
    title = f"meshfast: {escape(result['suite'])}"
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def _kind(rival: str) -> str:
    return "ours" if rival.startswith(("meshfast", "engine")) else "relay" if rival in LAYER4 else "other"


def _section(title: str, parts: Sequence[str]) -> list[str]:
    return [f"<h2>{escape(title)}</h2>", *parts] if parts else []


def _list(lines: Iterable[str], kind: str = "") -> str:
    return "<ul>" + "".join(f'<li class="{kind}">{escape(line)}</li>' for line in lines) + "</ul>"


def _table(headings: Sequence[str], rows: Iterable[str], numbers_from: int) -> str:
    heads = "".join(f'<th class="{"n" if i >= numbers_from else ""}">{escape(h)}</th>' for i, h in enumerate(headings))
    return f'<div class="wide"><table><tr>{heads}</tr>{"".join(rows)}</table></div>'


def _cell(value: Spread) -> str:
    return f'{short(value.median)} <span class="range">{short(value.low)}–{short(value.high)}</span>'


def _row(cells: Sequence[str], numbers_from: int, kind: str = "") -> str:
    inside = "".join(f'<td class="{"n" if i >= numbers_from else ""}">{cell}</td>' for i, cell in enumerate(cells))
    return f'<tr class="{kind}">{inside}</tr>'


def _verdicts(result: dict[str, Any]) -> str:
    judged = verdicts(result)
    asked = any(one.asked for one in judged)
    rows = []
    for one in judged:
        end = [f'<span class="{one.word}">{one.word}</span>'] if asked else []
        rows.append(_row([escape(one.what), *([escape(one.asked)] if asked else []), escape(one.reached), *end], 9))
    return _table(("what", "asked", "reached", "met") if asked else ("what", "ratio"), rows, 9)


HEADINGS = ("proxy", "CPU us/call", "ratio", "to best relay", "calls/s", "p50 us", "p99 us", "p99.9 us",
            "max us", "busy", "RSS MiB", "syscalls", "instructions")  # fmt: skip


def _point(result: dict[str, Any], point: str, rivals: Sequence[str], base: str) -> list[str]:
    samples: list[Sample] = result["samples"]
    cells = {rival: cell(samples, point, rival) for rival in rivals}
    shown = [rival for rival in rivals if cells[rival]]
    best = best_layer4(result, point)
    if not shown:
        return _section(point, ['<p class="failed">nothing could be measured</p>'])
    cpu = {rival: spread(cells[rival], "cpu_us") for rival in shown}
    cut = CUT * Spread.of([one.median for one in cpu.values()]).median
    rows = [Bar(r, _kind(r), cpu[r], f"{short(cpu[r].low)}–{short(cpu[r].high)}") for r in shown]
    keys = ("p50_us", "p99_us", "p99_9_us", "max_us")
    waits = [(r, _kind(r), [_typical(cells[r], key) for key in keys]) for r in shown]
    return _section(
        point,
        [
            "<h3>CPU microseconds a call: median, least and most of the rounds; » goes on</h3>",
            bars(rows, f"CPU per call at {point}", cut),
            "<h3>Latency, microseconds, logarithmic: p50, p99, p99.9 and the greatest; beside it the first three</h3>",
            percentiles(waits, f"latency at {point}"),
            _table(HEADINGS, (_point_row(result, point, r, cells, base, best) for r in rivals), 1),
        ],
    )


def _typical(cells: Sequence[Sample], key: str) -> float:
    value = spread(cells, key)
    return value.high if key == "max_us" else value.median


def _point_row(
    result: dict[str, Any], point: str, rival: str, all_cells: dict[str, list[Sample]], base: str, best: str | None
) -> str:
    cells = all_cells[rival]
    if not cells:
        return _row([escape(rival), '<span class="failed">failed</span>'], 9, _kind(rival))
    cpu, busy = spread(cells, "cpu_us"), spread(cells, "busy")

    def against(other: str | None) -> str:
        if other is None or not all_cells.get(other):
            return ""
        return "1" if other == rival else ratio_text(cpu, spread(all_cells[other], "cpu_us"))

    rate = short(spread(cells, "calls_per_s").median)
    texts = [
        escape(rival),
        _cell(cpu),
        against(base),
        against(best),
        rate if busy.median >= BUSY else f'<span class="faint">({rate})</span>',
        short(spread(cells, "p50_us").median),
        *(_cell(spread(cells, key)) for key in ("p99_us", "p99_9_us")),
        short(spread(cells, "max_us").high),
        f"{busy.median:.0%}",
        short(spread(cells, "rss_mib").high),
        *(counted(result, what, point, rival) for what in COLUMNS),
    ]
    return _row(texts, 1, _kind(rival))


def _measures(measures: Sequence[dict[str, Any]]) -> list[str]:
    parts = []
    shown = [one for one in measures if one["what"] not in COLUMNS and one["values"]]
    for what, point, unit in dict.fromkeys((one["what"], one["point"], one["unit"]) for one in shown):
        some = [one for one in shown if (one["what"], one["point"]) == (what, point)]
        rows = []
        for one in some:
            value = Spread.of(one["values"])
            said = f"{short(value.low)}–{short(value.high)}, n={value.n}" if value.n > 1 else ""
            rows.append(Bar(one["rival"], _kind(one["rival"]), value, said))
        title = f"{what}{', ' + point if point else ''}{', ' + unit if unit else ''}"
        parts += [f"<h3>{escape(title)}</h3>", bars(rows, title)]
    return parts


def _who(result: dict[str, Any]) -> str:
    rows = []
    for name in result["options"]["rivals"]:
        what = RIVALS[name].what if name in RIVALS else ""
        rows.append(_row([escape(name), escape(what), escape(str(result["versions"].get(name, "")))], 9, _kind(name)))
    hidden = ("rivals", "points")
    options = ", ".join(f"{k} {v}" for k, v in result["options"].items() if k not in hidden)
    facts = ", ".join(f"{k} {v}" for k, v in result["facts"].items())
    return _table(("name", "what", "version"), rows, 9) + _list([f"Options: {options}.", f"Machine: {facts}."])
