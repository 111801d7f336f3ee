"""Where things are said: texts, documents, places in them, and the report that collects what is wrong with them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from yaml.nodes import MappingNode, Node

from meshfast.errors import Problem
from meshfast.model import Origin

COMPARED = 1000  # words that a hint is chosen from
HINTED = 20  # problems of a load that get such a hint; whoever has more has another problem

_SECRET = re.compile(r"(://[^\s/@:]*:)([^\s/]+)(?=@)")  # of an address, which no problem shows

Key = str | int  # a field's name, or the number of a list's element


class Refused(Exception):
    """A value that cannot be what it should be. ``hint`` says what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class TooLarge(Exception):
    """Aliases unfold to more than a text of this size can say by itself."""


class Text:
    """The bytes of one file and the name it is known by."""

    __slots__ = ("name", "data", "lines")

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.data = data
        self.lines: list[str] | None = None

    def line(self, number: int) -> str:
        """The text of a line, from 1; empty past the end."""
        if self.lines is None:
            text = self.data.decode("utf-8", errors="replace").removeprefix("\ufeff")
            self.lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


class Document:
    """One YAML document. ``label`` ("VirtualService/by-label") is known once its kind and name are read."""

    __slots__ = ("text", "label", "_left")

    def __init__(self, text: Text) -> None:
        self.text = text
        self.label = ""
        # Every node takes a byte or more of the text, so only aliases can spend more than this.
        self._left = len(text.data) + 100_000

    def spend(self, nodes: int) -> None:
        """Counts nodes read; raises TooLarge when aliases unfold without end."""
        self._left -= nodes
        if self._left < 0:
            raise TooLarge


class Place:
    """A node in a document and the way there. ``bad``: something at or below it was refused, so what is read from it
    is not to be judged further. ``fields``: those that a mapping may have here."""

    __slots__ = ("document", "node", "parent", "key", "bad", "fields")

    def __init__(self, document: Document, node: Node, parent: Place | None = None, key: Key = "") -> None:
        self.document = document
        self.node = node
        self.parent = parent
        self.key = key
        self.bad = False
        self.fields: Collection[str] = ()

    def spoil(self) -> None:
        """Marks this place and all around it as bad."""
        place: Place | None = self
        while place is not None and not place.bad:
            place.bad = True
            place = place.parent

    def path(self) -> str:
        """The way from the document's root: ``spec.http[0].route[1].weight``."""
        keys: list[Key] = []
        place: Place | None = self
        while place is not None:
            keys.append(place.key)
            place = place.parent
        out = ""
        for key in reversed(keys):
            if isinstance(key, int):
                out += f"[{key}]"
            elif key:
                out += f".{key}" if out else key
        return out

    def field(self) -> str:
        """The same for all places of its kind: numbers and names that the user chose are left out."""
        out = ""
        place: Place | None = self
        while place is not None:
            key, place = place.key, place.parent
            chosen = place is not None and place.parent is not None and not place.fields
            if isinstance(key, int):
                out = f"[]{out}"
            elif key:
                out = f".{'*' if chosen else key}{out}"
        return out.removeprefix(".")

    def origin(self) -> Origin:
        mark = self.node.start_mark
        return Origin(self.document.text.name, mark.line + 1, mark.column + 1, self.document.label)

    def at(self, *keys: Key) -> Place:
        """The place of a value below this one, or of the nearest thing that is there."""
        place = self
        for key in keys:
            node = place.node
            if isinstance(key, int):
                found = node.value[key] if not isinstance(node, MappingNode) and key < len(node.value) else None
            else:
                pairs = node.value if isinstance(node, MappingNode) else []
                found = next((v for k, v in pairs if k.value == key), None)
            if found is None:
                return place
            place = Place(place.document, found, place, key)
        return place

    def key_of(self, key: str) -> Place:
        """The place of a field's name in this mapping."""
        pairs = self.node.value if isinstance(self.node, MappingNode) else []
        found = next((k for k, _ in pairs if k.value == key), None)
        return Place(self.document, found, self, key) if found is not None else self


@dataclass(frozen=True, slots=True)
class Passed:
    """A document that is not for this sidecar, and why."""

    kind: str
    why: str
    origin: Origin


class Report:
    """Collects problems. ``incomplete``: some document could not be read at all, so a name that is not found proves
    nothing. ``warnings``: what is allowed and hardly meant; collected once it is a list. ``noted``: those of them that
    whoever runs it should know, too, of what was read now and was not known before. ``asked``: the services that rules
    name and no file offers, where there are registries; ``left_out``: what those list and a file says otherwise, and
    why."""

    def __init__(self, *, warn: bool = False) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] | None = [] if warn else None
        self.incomplete = False
        self.noted: list[Problem] = []
        self.passed: list[Passed] = []
        self.asked: frozenset[str] = frozenset()
        self.left_out: dict[Any, str] = {}

    def opened(self, document: Document, node: Node) -> None:
        """Hears of each document before it is read."""

    def pass_over(self, place: Place, kind: str, why: str) -> None:
        """Notes a document that is good and not for this sidecar."""
        self.passed.append(Passed(kind, why, place.origin()))

    def add(self, place: Place, message: str, hint: str = "") -> None:
        """Reports a problem at a place and spoils it."""
        place.spoil()
        self.problems.append(_problem(place, message, hint))

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        """Notes what is allowed and hardly meant, once a place."""
        if self.warnings is None:
            return
        problem = _problem(place, message, hint)
        if problem not in self.warnings:
            self.warnings.append(problem)

    def note(self, place: Place, message: str, hint: str = "") -> None:
        """Notes what is taken and not done."""
        self.noted.append(_problem(place, message, hint))
        self.warn(place, message, hint)

    def near(self, word: str, known: Iterable[str], otherwise: str = "") -> str:
        """``did_you_mean`` for words of the user's own, of which there may be very many."""
        return did_you_mean(word, known, otherwise) if len(self.problems) < HINTED else otherwise

    def add_at(self, text: Text, line: int, column: int, message: str, hint: str = "") -> None:
        """Reports a problem of a text that did not become a document; counts from 1."""
        self.incomplete = True
        self.problems.append(Problem(Origin(text.name, line, column), message, hint, text.line(line)))


def _problem(place: Place, message: str, hint: str) -> Problem:
    origin = place.origin()
    return Problem(origin, message, hint, _SECRET.sub(_hidden, place.document.text.line(origin.line)), place.path())


def _hidden(found: re.Match[str]) -> str:
    return found[1] + "*" * len(found[2])


def listed(what: str, known: Collection[str], otherwise: str = "", most: int = 8) -> str:
    """``what`` and the first of the words that are known, for a hint; ``otherwise`` where there is none."""
    if not known:
        return otherwise
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return f"{what} {', '.join(list(known)[:most])}{more}"


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """A hint naming the known word that is nearest, else ``otherwise``. Of very many, a like one is looked for only
    among those that begin alike: each comparison takes microseconds."""
    lower = {w.lower(): w for w in known}
    wanted = word.lower()
    for begin in range(len(wanted)):
        if len(lower) <= COMPARED:
            break
        lower = {w: shown for w, shown in lower.items() if w[: begin + 1] == wanted[: begin + 1]}
    near = difflib.get_close_matches(wanted, list(lower), n=1, cutoff=0.6) if len(lower) <= COMPARED else []
    return f"did you mean {lower[near[0]]}?" if near else otherwise
