"""``headers`` and ``rewrite`` of a rule: what of a request or an answer goes on otherwise than it came."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from meshfast.changes import Headers, Level, Rewrite
from meshfast.config import replace, uri
from meshfast.config.document import Place, Refused, Report
from meshfast.config.field import ListOf, MapOf, Parsed, Record, Struct, Text, spec
from meshfast.config.regex import BadRegex

MAX_PUTS = 64  # MF_CHANGE_FIELDS, of a rule and one destination together
MAX_BYTES = 8192  # of their names and values

_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_FRAMING = frozenset(
    "connection content-length keep-alive proxy-connection te trailer transfer-encoding upgrade http2-settings".split()
)
_HOST = ("host", ":authority")


def _value(text: str) -> str:
    bad = next((c for c in text if (c < " " and c != "\t") or c == "\x7f"), "")
    if bad:
        raise Refused("a header's value cannot have a line's end" if bad in "\r\n" else
                      "a header's value cannot have control characters")  # fmt: skip
    if text != text.strip(" \t"):
        raise Refused("a header's value neither begins nor ends with a space")
    return text


class _Value(Text):
    def read(self, node, place, key, report):  # type: ignore[no-untyped-def]
        return _value(super().read(node, place, key, report))


def _remove(text: str) -> str:
    if text.lower() in _HOST:
        raise Refused(f"{text} cannot be removed: every request has one", "set it to another one")
    if not _NAME.fullmatch(text):
        words = "names with : stay as they are" if text[:1] == ":" else ""
        raise Refused(f'"{text}" is not the name of a header', words)
    return text


_SET = MapOf(_Value(empty=True))


@dataclass(slots=True, kw_only=True)
class HeaderOperations(Record):
    set: dict[str, str] = spec(_SET, "Put in place of what is there.", {}, shown="none")
    add: dict[str, str] = spec(_SET, "Put beside what is there. Dubbo, which has one of each name: as `set`.", {},
                               shown="none")  # fmt: skip
    remove: tuple[str, ...] = spec(
        ListOf(Parsed("the name of a header", _remove, "", many="names")), "Taken out first.", (), shown="none"
    )


@dataclass(slots=True, kw_only=True)
class HeaderChanges(Record):
    request: HeaderOperations | None = spec(
        Struct(HeaderOperations), "Of what instances are sent; of Dubbo attachments.", None, shown="none"
    )
    response: HeaderOperations | None = spec(
        Struct(HeaderOperations), "Of what callers are sent.", None, shown="none", on="HTTP"
    )


@dataclass(slots=True, kw_only=True)
class RegexRewrite(Record):
    match: str = spec(Text(), "RE2 syntax; every part of the path that it matches.")
    rewrite: str = spec(Text(empty=True), "In place of each of them; `\\1` is its first group, `\\0` all of it.")


@dataclass(slots=True, kw_only=True)
class HttpRewrite(Record):
    path: str | None = spec(
        uri.PATH,
        "In place of what `match.uri` matched: the prefix, or the whole path. The query stays.",
        None, name="uri", shown="as it was",
    )  # fmt: skip
    regex: RegexRewrite | None = spec(
        Struct(RegexRewrite), "Part by part of the path.", None, name="uriRegexRewrite", shown="none"
    )
    authority: str = spec(uri.AUTHORITY, "In place of the authority.", "", shown="as it was")


HEADERS = Struct(HeaderChanges)
REWRITE = Struct(HttpRewrite)


# --- headers


def _checked(changes: HeaderChanges, report: Report) -> None:
    for answers, ops in ((False, changes.request), (True, changes.response)):
        for kind, given in (("set", ops.set), ("add", ops.add)) if ops is not None else ():
            assert ops is not None
            for name, text in given.items():
                _check_put(ops.at.at(kind).key_of(name), ops.at.at(kind, name), name, text, answers, report)


def _check_put(at: Place, value_at: Place, name: str, text: str, answers: bool, report: Report) -> None:
    lower = name.lower()
    if lower in _HOST and not answers:
        try:
            uri.authority(text)
        except Refused as refused:
            report.add(value_at, refused.message, refused.hint)
    elif lower in _HOST or lower.startswith(":"):
        words = "an answer has no host" if lower in _HOST else "of names with : only :authority can be set"
        report.add(at, f"{name} cannot be set here", words)
    elif not _NAME.fullmatch(name):
        report.add(at, f'"{name}" is not the name of a header')
    elif lower in _FRAMING:
        report.add(at, f"{name} says how messages are framed, which each connection says for itself", "leave it out")
    try:
        _plain(text)
    except Refused as refused:
        report.add(value_at, refused.message, refused.hint)


def _plain(text: str) -> str:
    """The text without what Envoy's formatter means by %."""
    out = text.replace("%%", "")
    if "%" in out:
        words = "%% is a percent sign"
        found = re.search(r"%[A-Z_]+(\([^)]*\))?%", text)
        raise Refused(f"{found[0]} is not filled in" if found else "a single %", words)
    return text.replace("%%", "%")


def _level(ops: HeaderOperations | None, more: HeaderOperations | None = None) -> Level:
    """One block, and behind it another one as if they were one."""
    both = [each for each in (ops, more) if each is not None]
    removes = tuple(name for each in both for name in each.remove)
    puts = tuple(
        (name, text.replace("%%", "%"), beside)
        for each in both
        for given, beside in ((each.set, False), (each.add, True))
        for name, text in sorted(given.items(), key=lambda pair: pair[0])
        if name.lower() not in _HOST
    )
    return Level(removes, puts)


def _host(*blocks: HeaderChanges | None) -> str:
    """What the last of them sets it to."""
    found = ""
    for block in blocks:
        ops = block.request if block is not None else None
        for given in (ops.set, ops.add) if ops is not None else ():
            found = next((text for name, text in given.items() if name.lower() in _HOST), found)
    return found


def _some(*levels: Level) -> tuple[Level, ...]:
    return tuple(level for level in levels if level.removes or level.puts)


def check(own: HeaderChanges | None, entries: Sequence[HeaderChanges | None], report: Report) -> None:
    """Judges the header operations of a rule and of its destinations, each once."""
    blocks = [block for block in (own, *entries) if block is not None]
    for block in blocks:
        _checked(block, report)
    for one in headers(own, entries, len(entries)):
        puts = [put for level in (*one.request, *one.response) for put in level.puts]
        size = sum(len(name.encode()) + len(text.encode()) for name, text, _ in puts)
        removed = sum(len(level.removes) for level in (*one.request, *one.response))
        if len(puts) > MAX_PUTS or removed > MAX_PUTS or size > MAX_BYTES:
            report.add(blocks[0].at, f"more than {MAX_PUTS} headers, or {MAX_BYTES} bytes of them")
            return


def headers(
    own: HeaderChanges | None, entries: Sequence[HeaderChanges | None], n_targets: int
) -> tuple[Headers, ...]:  # fmt: skip
    """What calls to each target are changed by; none: nothing. ``own``: the rule's; ``entries``: its destinations',
    which are the first targets; further ones are reached by fallback alone. Istio's order: of several destinations each
    one's own comes first, so that the rule's has the last word; a single one's comes last."""
    if own is None and all(entry is None for entry in entries):
        return ()
    out = []
    for target in range(max(n_targets, 1)):
        block = entries[target] if target < len(entries) else None
        made = []
        for name in ("request", "response"):
            first, second = (getattr(each, name) if each is not None else None for each in (block, own))
            if len(entries) > 1:
                made.append(_some(_level(first), _level(second)))
            else:
                made.append(_some(_level(second, first)))
        host = _host(block, own) if len(entries) > 1 else _host(own, block)
        out.append(Headers(made[0], made[1], host))
    return tuple(out) if any(one.request or one.response or one.authority for one in out) else ()


# --- rewrite


def program(given: HttpRewrite | None, report: Report) -> bytes:
    """That of its expression, if any."""
    if given is None:
        return b""
    if given.path is not None and given.regex is not None:
        report.add(given.regex.at, "uri and uriRegexRewrite exclude each other", "keep one of them")
    if given.path is None and given.regex is None and not given.authority and not given.at.bad:
        report.add(given.at, "uri, uriRegexRewrite or authority is missing")
    if given.regex is None or given.regex.at.bad:
        return b""
    try:
        uri.part(given.regex.rewrite.replace("\\", ""))
    except Refused as refused:
        report.add(given.regex.at.at("rewrite"), refused.message, refused.hint)
        return b""
    try:
        return replace.compile(given.regex.match, given.regex.rewrite)
    except BadRegex as bad:
        report.add(given.regex.at.at("match"), bad.message, bad.hint)
    except Refused as refused:
        report.add(given.regex.at.at("rewrite"), refused.message, refused.hint)
    return b""


def rewrite(given: HttpRewrite | None, program: bytes, strip: int) -> Rewrite | None:
    if given is None:
        return None
    if given.regex is not None:
        source = f"{given.regex.match} -> {given.regex.rewrite}"
        return Rewrite(program=program, authority=given.authority, source=source)
    if given.path is None:
        return Rewrite(authority=given.authority)
    return Rewrite(given.path, strip, b"", given.authority)
