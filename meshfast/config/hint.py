"""What was likely meant where a text is not YAML, or where something else was written in a place of policy's."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping

import yaml
from yaml.nodes import MappingNode, Node, SequenceNode

from meshfast.config.document import Place, Report, Text, listed

_COMMENT = re.compile(r"(?:^|\s)(?://|/\*)")
COMMENT = "a comment begins with #"
QUOTE = "quote it if it is text"


def comment(text: str) -> str:
    """A hint when a text that was refused has a comment of another language in it."""
    return COMMENT if _COMMENT.search(text) else ""


def unknown(
    host: str, passing: Mapping[str, str], named: Callable[[str], object], names: Collection[str], report: Report
) -> str:  # fmt: skip
    """What may have been meant by a host that nothing is. ``passing``: whose calls go where they were dialled, by who
    says so; ``named``: whether something is called so; ``names``: of all that is."""
    if host in passing:
        return f"calls of {passing[host]} go where they were dialled, not to instances"
    if "*" in host.removesuffix("/*"):
        return "patterns are for the hosts of a VirtualService"
    alone = host.partition(".svc.")[0].partition(".")[0] if ".svc." in host else host.rpartition("/")[2]
    if alone != host and named(alone):
        return f"did you mean {alone}? it is in another namespace"
    there = listed("no ServiceEntry offers it or is called so; there are", names, "no ServiceEntry is there")
    return report.near(host, names, there)


def odd(text: str) -> str:
    """A hint for a text that is hardly meant as it stands."""
    if text[:1] in "\u201c\u2018\u201d" and text:
        return "quotes of a word processor are part of the text: write \""
    if "*" in text:
        return "* is no pattern here: write regex, where .* is any text"
    return comment(text)


def no_list(node: Node) -> str:
    """A hint for a list where a mapping was meant."""
    lone = isinstance(node, SequenceNode) and len(node.value) == 1 and isinstance(node.value[0], MappingNode)
    return 'not a list: remove the "- " or the [ ]' if lone else ""


def elsewhere(name: str, here: Place) -> str:
    """A hint for a field that belongs into a mapping further out."""
    levels, place, inner = 0, here.parent, here
    while place is not None and levels < 2:
        if place.fields:
            levels += 1
            if name in place.fields:
                return f"it belongs {'one level' if levels == 1 else 'two levels'} up, beside {inner.key}"
        if not isinstance(place.key, int):
            inner = place
        place = place.parent
    return ""


def yaml_error(text: Text, error: yaml.MarkedYAMLError) -> str:
    """A hint for what the parser stumbled over, or nothing."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        return ""
    said = f"{error.context or ''} {error.problem or ''}"
    line, column = text.line(mark.line + 1), mark.column
    begun = error.context_mark
    for number in (mark.line + 1, mark.line, (begun.line if begun else mark.line) + 1):
        if text.line(number).lstrip().startswith(("//", "/*")):
            return COMMENT
    if "{{" in line:
        return "a template must be rendered first"
    if "\uff1a" in line and ":" not in line:
        return 'a full-width colon: write ":"'
    if "alias" in said:
        return _alias(line, column, "undefined" in said)
    if "anchor" in said:
        return f"& names a value for aliases; {QUOTE}"
    if "cannot start any token" in said:
        return (
            "indent with spaces"
            if "\t" in line[: column + 1]
            else f"quote it: text cannot begin with {line[column : column + 1]}"
        )
    if "flow sequence" in said or "flow mapping" in said:
        return f"the {'[' if 'sequence' in said else '{'} at {_place(begun)} is not closed" if begun else ""
    if "unknown escape" in said:
        return "in double quotes a backslash is written \\\\; single quotes take it as it is"
    if "quoted scalar" in said:
        return f"the quote at {_place(begun)} is not closed" if begun else ""
    if "could not find expected ':'" in said:
        number = (begun or mark).line + 1
        if set(text.line(number).strip()) == {"-"}:
            return "documents are separated by ---"
        if "\uff1a" in text.line(number):
            return 'a full-width colon: write ":"'
        return f'line {number} has no ": "'
    if "sequence entries are not allowed" in said:
        return f'"- " begins an item on a line of its own; {QUOTE}'
    if "mapping values are not allowed" in said:
        return _colon(text, mark.line, line[:column])
    if "expected key" in said or "'-' indicator" in said:
        if re.match(r"\s*(- )?[\w.-]+:[\[{]", line):
            return "a space is missing behind the colon"
        if line[:column].strip():
            return f"a value that begins with {{ or [ ends where that is closed; {QUOTE}"
        return _indent(text, mark.line)
    return ""


def _place(mark: yaml.Mark) -> str:
    return f"{mark.line + 1}:{mark.column + 1}"


def _alias(line: str, column: int, whole: bool) -> str:
    """A star begins an alias; mostly it was meant as it is."""
    begin = line.rfind("*", 0, column + 1)
    if begin < 0:
        return ""
    ends = r"[,\]}]|\s#" if re.search(r"[\[{]", line[:begin]) else r"\s#"
    word = re.split(ends, line[begin:])[0].strip()
    return f'quote it: "{word}"' + (
        f"; unquoted it repeats what &{word[1:]} names, which is not there" if whole else ""
    )


def _colon(text: Text, at: int, before: str) -> str:
    """``key: value`` where a value was under way."""
    if ": " in before.strip():
        return 'text with ": " in it must be quoted'
    above = _above(text, at)
    if above is not None and re.fullmatch(r"\s*(- )?[^\s:]+:[^\s:/][^:]*", text.line(above + 1)):
        return f"a space is missing behind the colon in line {above + 1}"
    return _indent(text, at)


def _above(text: Text, at: int) -> int | None:
    """The line before, from 0, that says something."""
    for number in range(at - 1, max(-1, at - 50), -1):
        line = text.line(number + 1).strip()
        if line and not line.startswith("#"):
            return number
    return None


def _indent(text: Text, at: int) -> str:
    """Which of the lines above this one was meant to stand below."""
    line = text.line(at + 1)
    mine = len(line) - len(line.lstrip(" "))
    item = line.lstrip().startswith("- ")
    nearest: tuple[int, int, int] | None = None  # how far, the line, its column
    above, least = _above(text, at), 1 << 30
    while above is not None:
        there = text.line(above + 1)
        column = len(there) - len(there.lstrip(" "))
        inner = (
            column + len(there.lstrip()) - len(there.lstrip().lstrip("- "))
            if there.lstrip().startswith("- ")
            else column
        )
        for at_column, is_item in ((column, inner != column), (inner, False)):
            far = abs(at_column - mine)
            if at_column < least and is_item == item and far and (nearest is None or far < nearest[0]):
                nearest = far, above, at_column
        least = min(least, column + 1)
        above = _above(text, above) if column else None
    if nearest is None:
        return ""
    return f"the indent of the item above, in line {nearest[1] + 1}, is {nearest[2]}; here it is {mine}"
