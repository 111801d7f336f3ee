"""A rule's ``match`` -> conditions, and whether one match is wider than another."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

from yaml.error import Mark
from yaml.nodes import ScalarNode

from meshfast.config import dfa, foreign, hint
from meshfast.config.document import Place, Report
from meshfast.config.field import ListOf, Struct, checked
from meshfast.config.regex import BadRegex
from meshfast.config.resource import STRING_MATCH, HttpMatch, StringMatch
from meshfast.model import GATEWAYS, NAMESPACE, PORT, Condition, Field, Op

MAX_ALTERNATIVES = 1000  # of one match, when labels list several values each

_LIST = ListOf(STRING_MATCH, least=1)
_MATCH = Struct(HttpMatch, "HTTPMatch", rest="labels")


def alternatives(match: HttpMatch, labels: set[str], report: Report) -> list[tuple[Condition, ...]]:
    """The conditions of a match, several times over where a label lists values. What only the workload or the service
    can tell (sourceLabels, port) becomes Field.NEVER, each with its key and value; those that hold are for the caller
    to drop."""
    fixed: list[Condition | None] = []
    if match.uri is not None:
        if match.uri.prefix != "" or match.uri.exact is not None or match.uri.regex is not None:
            # An empty prefix is for any path.
            fixed.append(_uri(match.uri, match.ignore_uri_case, report))
        text = match.uri.exact if match.uri.exact is not None else match.uri.prefix
        if text and not text.startswith("/") and not match.uri.at.bad:
            at = match.uri.at.at("exact" if match.uri.exact is not None else "prefix")
            report.add(at, f'no path starts as "{text}"', "a path is /service/method")
    elif match.ignore_uri_case:
        report.warn(match.at.at("ignoreUriCase"), "ignoreUriCase without uri", "it changes nothing")
    for field, shown, one in (
        (Field.METHOD, "method", match.method),
        (Field.SCHEME, "scheme", match.scheme),
        (Field.AUTHORITY, "authority", match.authority),
    ):
        if one is not None:
            fixed.append(_condition(field, "", shown, one, report))
    for name, wanted in match.headers.items():
        fixed.append(_condition(Field.HEADER, name, f"headers.{name}", wanted, report, present=True))
    for name, wanted in match.query_params.items():
        fixed.append(_condition(Field.PARAM, name, f"queryParams.{name}", wanted, report, present=True))
    fixed += _source(match, report)
    if match.port:
        fixed.append(Condition(Field.NEVER, Op.EXACT, PORT, str(match.port), f"port: {match.port}"))

    lists: list[list[Condition | None]] = [
        _without(name, wanted, report) for name, wanted in match.without_headers.items()
    ]
    for name, (name_node, value) in match.labels.items():
        if name in labels:
            wanted_list: tuple[StringMatch, ...] = checked(_LIST, value, match.at, name, report)
            lists.append([_condition(Field.LABEL, name, name, w, report, present=True) for w in wanted_list])
        elif name == "trafficLabel":
            there = Place(match.at.document, name_node, match.at, name)
            if not report.incomplete:
                report.add(there, "no TrafficLabel defines the label trafficLabel", _DEFINE)
        else:
            _MATCH.unknown(name, name_node, match.at, report, also=tuple(sorted(labels)))
    count = math.prod(len(each) for each in lists)
    if count > MAX_ALTERNATIVES:
        report.add(match.at, f"{count} combinations of values; the limit is {MAX_ALTERNATIVES}")
        return []
    out = [(*fixed, *chosen) for chosen in itertools.product(*lists)]
    return [tuple(c for c in one if c is not None) for one in out]


def _source(match: HttpMatch, report: Report) -> list[Condition]:
    """What it asks of the workload. A match with gateways of its own looks at nothing else, as with Istio."""
    if match.gateways:
        if match.source_labels or match.source_namespace:
            what = "sourceLabels" if match.source_labels else "sourceNamespace"
            report.warn(match.at.at(what), f"{what} does nothing beside gateways", "nor does it with Istio")
        if foreign.MESH in match.gateways:
            return []
        names = ", ".join(match.gateways)
        return [Condition(Field.NEVER, Op.EXACT, GATEWAYS, names, f"gateways: [{names}]")]
    out = [
        Condition(Field.NEVER, Op.EXACT, name, text, f"sourceLabels: {{{name}: {text}}}")
        for name, text in match.source_labels.items()
    ]
    if match.source_namespace:
        text = match.source_namespace
        out.append(Condition(Field.NEVER, Op.EXACT, NAMESPACE, text, f"sourceNamespace: {text}"))
    return out


def _uri(wanted: StringMatch, fold: bool, report: Report) -> Condition | None:
    made = _condition(Field.PATH, "", "uri", wanted, report)
    if made is None or not fold or not isinstance(made.value, str):
        return made
    text = made.value.encode()
    if len(text) > dfa.MAX_FOLDED:
        at = wanted.at.at(made.op.name.lower())
        report.add(at, f"{len(text)} bytes are too long for ignoreUriCase", f"use at most {dfa.MAX_FOLDED}")
        return None
    blob = dfa.folded(text, prefix=made.op is Op.PREFIX)
    return replace(made, op=Op.REGEX, value=blob, source=f"{made.source}, ignoreUriCase")


def _without(name: str, wanted: StringMatch, report: Report) -> list[Condition | None]:
    """Either it is not there, or what is there is something else."""
    if wanted.regex == "*" and wanted.exact is None and wanted.prefix is None:
        wanted = replace(wanted, regex=None)  # Istio's word for presence, here alone
    seen = _condition(Field.HEADER, name, name, wanted, report, present=True)
    if seen is None:
        return [None]
    source = f"withoutHeaders: {{{seen.source}}}"
    absent = Condition(Field.HEADER, Op.ABSENT, name, "", source)
    if seen.op is Op.PRESENT:
        return [absent]
    if isinstance(seen.value, bytes):
        other, empty = dfa.complement(seen.value), dfa.match(seen.value, b"")
    else:
        other, empty = dfa.other(seen.value.encode(), prefix=seen.op is Op.PREFIX), not seen.value
    differs = Condition(Field.HEADER, Op.REGEX, name, other, source)
    return [differs] if empty else [absent, differs]  # what is not there counts as an empty text, as with Istio


_DEFINE = "add a TrafficLabel with rules: [{labels: [{name: ...}]}]"


def _condition(
    field: Field, key: str, shown: str, wanted: StringMatch, report: Report, *, present: bool = False
) -> Condition | None:
    if wanted.at.bad:
        return None
    given = [(op, text) for op in ("exact", "prefix", "regex") if (text := getattr(wanted, op)) is not None]
    if len(given) > 1:
        report.add(wanted.at, f"{given[0][0]} and {given[1][0]} exclude each other", "keep one of them")
        return None
    if not given:
        if present:
            return Condition(field, Op.PRESENT, key, "", f"{shown}: {{}}")
        report.add(wanted.at, "exact, prefix or regex is missing", "leave the field out to match anything")
        return None
    op, text = given[0]
    source = f"{shown}: {{{op}: {text}}}"
    odd = hint.odd(text) if op != "regex" else ""
    if odd:
        report.warn(wanted.at.at(op), f"{op}: {text} is compared as it is written", odd)
    if op == "exact":
        return Condition(field, Op.EXACT, key, text, source)
    if op == "prefix":
        if not text:
            report.add(wanted.at.at(op), "an empty prefix", "leave the field out to match anything")
        return Condition(field, Op.PREFIX, key, text, source)
    if not text:
        report.add(wanted.at.at(op), "an empty regex", "leave the field out to match anything")
        return None
    try:
        return Condition(field, Op.REGEX, key, dfa.compile(text), source)
    except BadRegex as bad:
        _report_regex(wanted.at.at(op), bad, _glob(text, present) or bad.hint, report)
        return None


def _glob(text: str, present: bool) -> str:
    """A hint for what is no expression, but a pattern of the shell's kind."""
    if text.strip("*"):
        return f"* is not any text: did you mean .{text}?" if text[0] == "*" else ""
    return "did you mean {} (it is there)?" if present else "did you mean .* (any text)?"


def _report_regex(at: Place, bad: BadRegex, words: str, report: Report) -> None:
    """Points into the expression where its text stands in the file as it is."""
    node = at.node
    assert isinstance(node, ScalarNode)
    mark = node.start_mark
    column = mark.column + (1 if node.style in ("'", '"') else 0)
    line = at.document.text.line(mark.line + 1)
    if line[column : column + len(node.value)] == node.value:
        moved_mark = Mark(mark.name, mark.index, mark.line, column + bad.column - 1, None, 0)
        moved = ScalarNode(node.tag, node.value, moved_mark, node.end_mark)
        at = Place(at.document, moved, at.parent, at.key)
    report.add(at, bad.message, words)


def wider(a: tuple[Condition, ...], b: tuple[Condition, ...]) -> bool:
    """Whether whatever meets all of ``b`` meets all of ``a``. False when that cannot be told."""
    return all(any(_implied(want, have) for have in b) for want in a)


def _implied(want: Condition, have: Condition) -> bool:
    if (want.field, want.key) != (have.field, have.key):
        return False
    if want.op == have.op and want.value == have.value:
        return True
    if want.op is Op.PRESENT:
        return have.op is not Op.ABSENT
    if want.op is Op.PREFIX and have.op in (Op.EXACT, Op.PREFIX):
        return str(have.value).startswith(str(want.value))
    if want.op is Op.REGEX and have.op is Op.EXACT:
        return isinstance(want.value, bytes) and dfa.match(want.value, str(have.value).encode())
    return False
