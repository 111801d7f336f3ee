"""YAML text -> nodes with marks, by libyaml where it is there. No tag makes an object: nodes are all there is.

A scalar's tag says only whether it was written plain or quoted; what it means is for the field that it fills.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from meshfast.config import hint
from meshfast.config.document import Report, Text

MAX_BYTES = 16 << 20  # of one file
MAX_NODES = 2_000_000  # of one file; compose takes a few microseconds for each
MAX_DEPTH = 100  # an older libyaml's composer recurses on the C stack without a bound of its own
TOO_DEEP = f"the file is nested deeper than {MAX_DEPTH} levels"

PLAIN, QUOTED, MAPPING, SEQUENCE = "plain", "quoted", "mapping", "sequence"


class _TooMuch(Exception):
    pass


class _Marking:
    """In place of PyYAML's resolver: tags nodes by how they were written, counts them and their depth."""

    count = 0
    depth = 0

    def descend_resolver(self, parent: object, index: object) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise _TooMuch(TOO_DEEP)

    def ascend_resolver(self) -> None:
        self.depth -= 1

    def check_resolver_prefix(self, depth: object, path: object, node: object, index: object) -> bool:
        return False

    def resolve(self, kind: type[Node], value: object, implicit: Any) -> str:
        self.count += 1
        if self.count > MAX_NODES:
            raise _TooMuch(f"the file has more than {MAX_NODES} YAML nodes")
        if kind is ScalarNode:
            return PLAIN if implicit[0] else QUOTED
        return MAPPING if kind is MappingNode else SEQUENCE


if TYPE_CHECKING or not yaml.__with_libyaml__:
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Composer(_Marking, Reader, Scanner, Parser, Composer):
        def __init__(self, data: bytes) -> None:
            Reader.__init__(self, data)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)
else:
    from yaml.cyaml import CParser

    class _Composer(_Marking, CParser):
        def __init__(self, data: bytes) -> None:
            CParser.__init__(self, data)


def compose(text: Text, report: Report) -> list[Node]:
    """The documents of a text that are whole; what is wrong with the others is in the report."""
    if len(text.data) > MAX_BYTES:
        report.add_at(text, 1, 1, f"the file has {len(text.data)} bytes; the limit is {MAX_BYTES}", "split it")
        return []
    if not text.data.strip():
        # Also what a file is for a moment while it is written anew: not to be taken for "no services any more".
        report.add_at(text, 1, 1, "the file is empty", "remove it, or leave a comment in it")
        return []
    try:
        decoded = text.data.decode("utf-8")
    except UnicodeDecodeError as bad:
        before = text.data[: bad.start].decode("utf-8")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        report.add_at(text, line, column, f"byte 0x{text.data[bad.start]:02x} is not UTF-8", "save the file as UTF-8")
        return []
    out: list[Node] = []
    try:
        composer = _Composer(text.data)
        while composer.check_node():
            node = composer.get_node()
            if node is not None and not (isinstance(node, ScalarNode) and node.tag == PLAIN and node.value == ""):
                out.append(node)
    except _TooMuch as much:
        report.add_at(text, 1, 1, str(much))
    except yaml.reader.ReaderError:
        report.add_at(text, *_position(decoded), "a control character; YAML has only printable ones")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        said = " ".join(filter(None, [error.context, error.problem])) or "not YAML"
        if "maximum nesting depth" in said:  # a newer libyaml's own bound, met before ours is asked
            report.add_at(text, 1, 1, TOO_DEEP)
            return out
        report.add_at(text, line, column, f"not YAML: {said}", hint.yaml_error(text, error))
    except yaml.YAMLError as error:
        report.add_at(text, 1, 1, f"not YAML: {error}")
    return out


def _position(text: str) -> tuple[int, int]:
    """Line and column of the first character that YAML has not."""
    for number, line in enumerate(text.split("\n"), 1):
        for column, c in enumerate(line, 1):
            printable = c in "\t\r\x85\ufeff" or " " <= c <= "~" or c >= "\xa0"
            if not printable or c in "\ufffe\uffff" or "\ud800" <= c <= "\udfff":
                return number, column
    return 1, 1


def kind_of(node: Node) -> str:
    """What a node is, in words for a message."""
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if node.tag == PLAIN and node.value in ("", "~", "null", "Null", "NULL"):
        return "nothing"
    return f'"{node.value}"' if len(node.value) <= 60 else f'"{node.value[:57]}..."'
