"""The schema's building blocks: what a field may hold, read from nodes, and what to call it in the reference.

A resource is a dataclass of ``spec`` fields. Reading one never stops at the first mistake: what is refused is reported,
its place marked bad, and an empty value of the right type stands in.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from meshfast.config import compose, hint, istio
from meshfast.config.document import Key, Place, Refused, Report, did_you_mean

_BOOL_LIKE = {"true", "false", "yes", "no", "on", "off"}
_NULL = {"", "~", "null", "Null", "NULL"}


class Type(ABC):
    """What a value may be. ``words`` names it in messages and in the reference."""

    words = "a value"
    many = ""  # the same for several; empty: as for one

    @abstractmethod
    def read(self, node: Node, place: Place, key: Key, report: Report) -> Any:
        """The value; raises Refused, or reports what is wrong further down."""

    @abstractmethod
    def empty(self) -> Any:
        """What stands in for a value that was refused."""


def not_a(words: str, node: Node, hint: str = "") -> Refused:
    if node.tag not in (compose.PLAIN, compose.QUOTED, compose.MAPPING, compose.SEQUENCE):
        return Refused(f"the tag {node.tag.replace('tag:yaml.org,2002:', '!!')} is not supported", "remove it")
    found = compose.kind_of(node)
    if found == "nothing":
        return Refused(f"nothing is written here; it takes {words}", "remove the field or give it a value")
    return Refused(f"expected {words}, found {found}", hint)


def is_number(text: str) -> bool:
    try:
        float(text.replace("_", ""))
    except ValueError:
        return text[:2].lower() in ("0x", "0o", "0b") and text[2:].isalnum()
    return True


class Text(Type):
    """Text. A plain scalar that YAML takes for a number, a truth or nothing must be quoted, as Kubernetes has it."""

    words = "text"

    def __init__(self, *, empty: bool = False) -> None:
        self._empty = empty

    def read(self, node: Node, place: Place, key: Key, report: Report) -> str:
        if not isinstance(node, ScalarNode) or node.tag not in (compose.PLAIN, compose.QUOTED):
            raise not_a(self.words, node)
        value: str = node.value
        if node.tag == compose.PLAIN:
            if value in _NULL:
                raise not_a(self.words, node)
            if value.lower() in _BOOL_LIKE:
                raise Refused(f"expected {self.words}, found a truth value", f'quote it: "{value}"')
            if value[0] in "0123456789.+-" and is_number(value):
                raise Refused(f"expected {self.words}, found a number", f'quote it: "{value}"')
        elif not value and not self._empty:
            raise Refused(f"expected {self.words}, found an empty one")
        return value

    def empty(self) -> str:
        return ""


class Int(Type):
    """A whole number. ``zero``: what to say to those who write 0 where that is too little."""

    def __init__(self, least: int, most: int, *, zero: str = "") -> None:
        self.least, self.most, self._zero = least, most, zero
        self.words = f"a whole number from {least} to {most}"

    def read(self, node: Node, place: Place, key: Key, report: Report) -> int:
        if not isinstance(node, ScalarNode) or node.tag != compose.PLAIN:
            raise not_a(self.words, node, "remove the quotes" if node.tag == compose.QUOTED else "")
        value: str = node.value
        if value.endswith("%") and value[:-1].isdigit():
            raise not_a(self.words, node, f"write {value[:-1]}")
        digits = value[1:] if value[:1] in ("-", "+") else value
        if not digits.isascii() or not digits.isdigit() or len(digits) > 20:
            raise not_a(self.words, node)
        number = int(value)
        if not self.least <= number <= self.most:
            raise Refused(f"{number} is not from {self.least} to {self.most}", self._zero if number == 0 else "")
        return number

    def empty(self) -> int:
        return self.least


class Unread(Type):
    """Whatever is written, where it has no effect or only that it is there counts."""

    words = "anything"

    def read(self, node: Node, place: Place, key: Key, report: Report) -> bool:
        return True

    def empty(self) -> bool:
        return False


class Raw(Type):
    """Whatever is written, as it is written, for a document that is made of this one."""

    words = "a mapping"

    def read(self, node: Node, place: Place, key: Key, report: Report) -> MappingNode:
        if not isinstance(node, MappingNode) or node.tag != compose.MAPPING:
            raise not_a(self.words, node, hint.no_list(node))
        return node

    def empty(self) -> None:
        return None


class Bool(Type):
    words = "true or false"

    def read(self, node: Node, place: Place, key: Key, report: Report) -> bool:
        if not isinstance(node, ScalarNode) or node.tag != compose.PLAIN or node.value not in ("true", "false"):
            raise not_a(self.words, node)
        return bool(node.value == "true")

    def empty(self) -> bool:
        return False


class Choice(Type):
    """One of a few words. ``never``: words that are known and refused, and what to do instead or why. ``fold``: in any
    case of letters. ``blank``: the word that an empty text stands for."""

    def __init__(
        self, *choices: str, never: Mapping[str, str] | None = None, fold: bool = False, blank: str = ""
    ) -> None:  # fmt: skip
        self.choices, self.never, self._fold, self._blank = choices, never or {}, fold, blank
        self.words = " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))

    def read(self, node: Node, place: Place, key: Key, report: Report) -> str:
        if not isinstance(node, ScalarNode) or node.tag not in (compose.PLAIN, compose.QUOTED):
            raise not_a(self.words, node)
        if self._blank and node.tag == compose.QUOTED and not node.value:
            return self._blank
        word = node.value.upper() if self._fold else node.value
        if word in self.never:
            raise Refused(f"{word} is not supported", self.never[word])
        if word not in self.choices:
            raise not_a(self.words, node, did_you_mean(word, self.choices))
        return str(word)

    def empty(self) -> str:
        return self.choices[0]


class Parsed(Type):
    """A scalar whose text a function of value.py understands."""

    def __init__(self, words: str, parse: Callable[[str], Any], empty: Any, many: str = "") -> None:
        self.words, self._parse, self._empty, self.many = words, parse, empty, many

    def read(self, node: Node, place: Place, key: Key, report: Report) -> Any:
        if not isinstance(node, ScalarNode) or node.tag not in (compose.PLAIN, compose.QUOTED):
            raise not_a(self.words, node)
        if node.tag == compose.PLAIN and node.value in _NULL:
            raise not_a(self.words, node)
        return self._parse(node.value)

    def empty(self) -> Any:
        return self._empty


class ListOf(Type):
    def __init__(self, item: Type, *, least: int = 0) -> None:
        self.item, self._least = item, least
        self.words = f"a list of {item.many or item.words}"

    def read(self, node: Node, place: Place, key: Key, report: Report) -> tuple[Any, ...]:
        if not isinstance(node, SequenceNode) or node.tag != compose.SEQUENCE:
            single = (
                'put "- " before it, or [ ] around it' if isinstance(node, MappingNode) else "write it as a list: - ..."
            )
            raise not_a(self.words, node, single)
        if len(node.value) < self._least:
            raise Refused("an empty list")
        here = Place(place.document, node, place, key)
        place.document.spend(len(node.value))
        read = [checked(self.item, child, here, i, report) for i, child in enumerate(node.value)]
        return tuple(value for value in read if value is not None)

    def empty(self) -> tuple[Any, ...]:
        return ()


class MapOf(Type):
    """Names that the user chooses, each with a value of one type."""

    def __init__(self, item: Type) -> None:
        self.item = item
        self.words = f"a mapping of names to {item.many or item.words}"

    def read(self, node: Node, place: Place, key: Key, report: Report) -> dict[str, Any]:
        if not isinstance(node, MappingNode) or node.tag != compose.MAPPING:
            raise not_a(self.words, node, hint.no_list(node))
        here = Place(place.document, node, place, key)
        place.document.spend(len(node.value))
        out: dict[str, Any] = {}
        for name_node, value in node.value:
            name = field_name(name_node, here, out, report)
            if name is not None and (read := checked(self.item, value, here, name, report)) is not None:
                out[name] = read
        return out

    def empty(self) -> dict[str, Any]:
        return {}


class OneOf(Type):
    """A scalar of one type or a mapping of another."""

    def __init__(self, scalar: Type, mapping: Type) -> None:
        self._scalar, self._mapping = scalar, mapping
        self.words = f"{scalar.words} or {mapping.words}"

    def read(self, node: Node, place: Place, key: Key, report: Report) -> Any:
        if isinstance(node, SequenceNode):
            raise not_a(self.words, node)
        return (self._mapping if isinstance(node, MappingNode) else self._scalar).read(node, place, key, report)

    def empty(self) -> Any:
        return self._scalar.empty()


@dataclasses.dataclass(slots=True, kw_only=True)
class Record:
    """What was read from one mapping. ``at`` is where it stands."""

    at: Place


def spec(
    type_: Type, doc: str, default: Any = dataclasses.MISSING, *, name: str = "", shown: str = "", on: str = "all"
) -> Any:
    """A field of a resource. Without a default it is required. ``shown``: the default in the reference's words; ``on``:
    the protocols that it acts on, "" where it has no effect."""
    metadata = {"type": type_, "doc": doc, "name": name, "shown": shown, "on": on}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class Struct(Type):
    """A mapping with known fields, read into a Record.

    ``known_as``: its name in istio.py, for fields that are known there and not done here. ``rest``: the attribute that
    takes the fields of other names, unread, as {name: (name's node, value's node)}.
    """

    def __init__(self, record: type[Record], known_as: str = "", *, rest: str = "", words: str = "a mapping") -> None:
        self.record, self._rest, self.words = record, rest, words
        self.open = bool(rest)
        self.many = "mappings" if words == "a mapping" else ""
        self.later = istio.UNSUPPORTED.get(known_as, {})
        self.quality = istio.QUALITY.get(known_as, {})
        self.fields: dict[str, tuple[str, Type]] = {}
        self._required: list[str] = []
        for field in dataclasses.fields(record):
            if "type" not in field.metadata:
                continue
            name = field.metadata["name"] or field.name
            self.fields[name] = (field.name, field.metadata["type"])
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                self._required.append(name)

    def read(self, node: Node, place: Place, key: Key, report: Report) -> Any:
        if not isinstance(node, MappingNode) or node.tag != compose.MAPPING:
            raise not_a(self.words, node, hint.no_list(node) or self._short(node))
        here = Place(place.document, node, place, key)
        here.fields = self.fields.keys()
        place.document.spend(len(node.value))
        fields, values, rest = self.fields, {}, {}
        seen: dict[str, Any] = {}
        strange: list[tuple[str, Node]] = []
        for name_node, value in node.value:
            name = field_name(name_node, here, seen, report)
            if name is None:
                continue
            seen[name] = True
            known = fields.get(name)
            if known is not None:
                values[known[0]] = checked(known[1], value, here, name, report)
            elif name in self.quality:
                report.note(Place(here.document, name_node, here, name), f"{name} is not done yet", self.quality[name])
            elif self._rest and name not in self.later:
                rest[name] = (name_node, value)
            else:
                strange.append((name, name_node))
        missing = [name for name in self._required if name not in seen]
        lone = missing[0] if len(missing) == len(strange) == 1 else ""
        instead = {n for name, at in strange for n in self.unknown(name, at, here, report, lone=lone)}
        for name in missing:
            values[fields[name][0]] = fields[name][1].empty()
            if name not in instead:
                report.add(here, f"{name} is missing", f"{name}: {fields[name][1].words}")
        if self._rest:
            values[self._rest] = rest
        return self.record(at=here, **values)

    def unknown(
        self, name: str, node: Node, here: Place, report: Report, also: tuple[str, ...] = (), lone: str = ""
    ) -> set[str]:  # fmt: skip
        """Reports a field that is not supported, or not known at all. The fields that it was likely meant to be: one
        that is missing besides is not worth a word. ``lone``: the only one that is missing."""
        there = Place(here.document, node, here, name)
        fields = (*self.fields, *also)
        if name == "<<":
            report.add(there, "merge keys are not supported", "write the fields out, or use an alias for the value")
            return set()
        if name in self.later:
            report.add(there, f"{name} is not supported yet", self.later[name])
            return set(self.fields)
        inside = self._inside(name)
        words = istio.MISPLACED.get(name) or hint.elsewhere(name, here)
        words = words or (f"it belongs one level down, into {inside}" if inside else "")
        words = words or hint.comment(name) or did_you_mean(name, fields)
        if not words and name[0] == "-" and name[1:].isidentifier():
            words = 'a space is missing behind the "-"'
        if not words:
            words = f"did you mean {lone}?" if lone else f"known: {', '.join(fields)}"
        report.add(there, f"unknown field {name}", words)
        return {inside} | {f for f in fields if words == f"did you mean {f}?"}

    def _inside(self, name: str) -> str:
        """The field whose mapping has a field of that name."""
        for own, (_, type_) in self.fields.items():
            type_ = type_.item if isinstance(type_, ListOf) else type_
            if isinstance(type_, Struct) and name in type_.fields and not type_.open:
                return own
        return ""

    def _short(self, node: Node) -> str:
        """A hint for a text where a mapping was meant: the field that it is likely for."""
        if not isinstance(node, ScalarNode) or not node.value:
            return ""
        first = next((name for name in (*self._required, "exact", "host", "labels") if name in self.fields), "")
        simple = first and not isinstance(self.fields[first][1], (ListOf, MapOf, Struct))
        return f"write it as {{{first}: {node.value}}}" if simple and len(node.value) < 100 else ""

    def empty(self) -> Any:
        return None


def checked(type_: Type, node: Node, place: Place, key: Key, report: Report) -> Any:
    """Reads a value; a refusal is reported at it and an empty one stands in."""
    try:
        return type_.read(node, place, key, report)
    except Refused as no:
        plain = isinstance(node, ScalarNode) and node.tag == compose.PLAIN
        report.add(Place(place.document, node, place, key), no.message, (plain and hint.comment(node.value)) or no.hint)
        return type_.empty()


def field_name(node: Node, here: Place, seen: Mapping[str, object], report: Report) -> str | None:
    """The name in a mapping, or None when it is none or was there before."""
    if not isinstance(node, ScalarNode) or node.tag not in (compose.PLAIN, compose.QUOTED) or not node.value:
        report.add(Place(here.document, node, here), f"a field's name is text, not {compose.kind_of(node)}")
        return None
    if node.value in seen:
        report.add(Place(here.document, node, here, node.value), f"{node.value} is written twice")
        return None
    return str(node.value)
