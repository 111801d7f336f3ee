"""The parts of a page of HTML: sections, tables, lists, figures, and the page around them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

COLOURS = {
    "blue": "#1668b8", "sky": "#6db3ea", "orange": "#d0813a", "grey": "#8a97a5", "red": "#c22f2f", "green": "#6a9e58",
    "violet": "#8f6bb3", "brown": "#8a6a4f",
}  # fmt: skip
INK, SOFT = "#1d2733", "#66727f"
_NAMES = " ".join(f".{name} {{ --c: {value}; }}" for name, value in COLOURS.items())
STYLE = f"""
:root {{ --ink: {INK}; --soft: {SOFT}; --rule: #dde3e9; }}
{_NAMES}""" + """
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; color: var(--ink); margin: 0 auto;
       max-width: 1240px; padding: 28px; background: #fff; }
h1 { font-size: 26px; margin: 0 0 2px; } a { color: inherit; }
h2 { font-size: 20px; margin: 40px 0 8px; border-bottom: 2px solid var(--rule); }
h3 { font-size: 16px; margin: 26px 0 4px; }
.lead { color: var(--soft); margin: 0 0 14px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 8px 0 4px; font-size: 12.5px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--rule); padding: 3px 8px; }
td { padding: 3px 8px; border-bottom: 1px solid #eef1f4; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; } td:first-child { white-space: nowrap; }
tr.blue td:first-child { color: var(--c); font-weight: 600; } tr.no { background: #fdeeee; }
.range { color: var(--soft); font-size: 11px; } .faint { color: var(--soft); }
.yes { color: #18794e; font-weight: 600; } td .no, li.no, p.no { color: #c22f2f; font-weight: 600; }
.key { margin: 0; } .key span { display: inline-block; margin-right: 18px; font-size: 13px; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 5px;
  background: var(--c); }
.plots { display: flex; flex-wrap: wrap; gap: 22px; margin: 10px 0; } figure { margin: 10px 0 4px; }
.plots figure { margin: 0; width: min-content; } .plots svg { max-width: none; }
figcaption { font-size: 14px; font-weight: 600; color: var(--soft); }
figure .said { font-size: 13px; margin: 0; }
svg { display: block; max-width: 100%; height: auto; font: 12px system-ui, "DejaVu Sans", sans-serif; }
svg .grid { stroke: #e8ecf0; } svg .axis { fill: var(--soft); font-size: 11px; } svg .said { fill: var(--soft); }
svg .value { font-weight: 600; fill: var(--ink); } svg .cut { fill: #fff; font-weight: 700; }
svg .name { fill: var(--ink); } svg .name.blue { fill: var(--c); font-weight: 600; }
svg .whisker { stroke: #10202f; stroke-width: 1.2; } svg .shade { fill: #f2f4f6; }
svg .bar, svg .dot { fill: var(--c); } svg .span { stroke: var(--c); stroke-width: 2; opacity: .45; }
svg .line { stroke: var(--c); stroke-width: 1.4; fill: none; } svg .dashed { stroke-dasharray: 5 4; }
"""


class Html(str):
    """What is HTML already. Any other text is escaped where it is put into a page."""

    __slots__ = ()


def html(text: object) -> Html:
    """Text as it may stand in a page."""
    return text if isinstance(text, Html) else Html(escape(str(text)))


def tag(name: str, kind: str, *inside: object) -> Html:
    """An element of a class."""
    return Html(f'<{name} class="{kind}">{"".join(map(html, inside))}</{name}>')


def page(title: str, lead: object, parts: Iterable[Html]) -> str:
    """The whole page."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    body = [f"<h1>{escape(title)}</h1>", tag("p", "lead", lead), *parts]
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n' + "\n".join(body) + "\n</body></html>\n"


def section(title: str, *parts: Html) -> list[Html]:
    """A heading and what is below it; nothing where there is nothing."""
    return [Html(f"<h2>{escape(title)}</h2>"), *parts] if parts else []


def paragraph(text: object) -> Html:
    return Html(f"<p>{html(text)}</p>")


def bullets(lines: Iterable[object], kind: str = "") -> Html:
    return tag("ul", "", *(tag("li", kind, line) for line in lines))


def row(*cells: object, kind: str = "", words: int = 1) -> Html:
    """A row of a table. The first ``words`` columns are words, the others figures."""
    return tag("tr", kind, *(tag("td", "" if i < words else "n", cell) for i, cell in enumerate(cells)))


def table(headings: Sequence[str], rows: Iterable[Html], words: int = 1) -> Html:
    """``words`` as in the rows."""
    heads = (tag("th", "" if i < words else "n", one) for i, one in enumerate(headings))
    return tag("div", "wide", Html(f"<table><tr>{''.join(heads)}</tr>{''.join(rows)}</table>"))


def key(*pairs: tuple[str, str]) -> Html:
    """What the colours mean: a colour's class and its name."""
    return tag("p", "key", *(tag("span", kind, Html("<i></i>"), name) for kind, name in pairs))


def figure(title: object, drawing: Html, *below: object, legend: object = "") -> Html:
    """A drawing with its title and its legend above, and what is said to it below."""
    said = tag("p", "said", *below) if below else ""
    return Html(f"<figure><figcaption>{html(title)}</figcaption>{html(legend)}{drawing}{said}</figure>")
