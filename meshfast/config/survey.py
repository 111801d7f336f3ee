"""How many documents of a folder are taken, and which fields refuse the others.

Each file is judged alone, as folders of examples hold the same thing many times over. What a file names and does not
have (hosts, subsets, labels) counts as there, since its companions may lie anywhere. A Sidecar in a file that is named
itself holds for all of them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from meshfast.config import file
from meshfast.config.document import Document, Place, Report, Text
from meshfast.config.read import Resource, resources
from meshfast.config.resolve import resolve
from meshfast.errors import Problem
from meshfast.model import Origin

EXAMPLES = 3


@dataclass(slots=True)
class Judged:
    """What is made of one document. ``problems`` and ``warnings``: by the field that they are about."""

    kind: str
    digest: bytes
    origin: Origin
    problems: list[tuple[str, Problem]] = dataclasses.field(default_factory=list)
    warnings: list[tuple[str, Problem]] = dataclasses.field(default_factory=list)
    passed: bool = False

    @property
    def verdict(self) -> str:
        if self.problems or self.passed:
            return "refused" if self.problems else "passed"
        return "warned" if self.warnings else "accepted"


@dataclass(slots=True)
class Complaint:
    """What is said of a field, how many documents it is said of, and where first."""

    kind: str
    field: str
    message: str
    documents: int = 0
    examples: list[Origin] = dataclasses.field(default_factory=list)


@dataclass(slots=True)
class Survey:
    """The verdicts of all documents; ``unread``: what is no YAML."""

    files: int = 0
    copies: int = 0
    judged: list[Judged] = dataclasses.field(default_factory=list)
    unread: list[Problem] = dataclasses.field(default_factory=list)

    def kinds(self) -> dict[str, dict[str, int]]:
        """By kind, how many documents there are of each verdict; most first."""
        out: dict[str, dict[str, int]] = {}
        for one in self.judged:
            row = out.setdefault(one.kind, dict.fromkeys(VERDICTS, 0))
            row[one.verdict] += 1
        return dict(sorted(out.items(), key=lambda each: (-sum(each[1].values()), each[0])))

    def complaints(self, verdict: str) -> list[Complaint]:
        """What documents of a verdict were told, by kind and field; what most of them were told first."""
        out: dict[tuple[str, str], Complaint] = {}
        for one in self.judged:
            said = one.problems if verdict == "refused" else one.warnings
            for name, problem in {name: problem for name, problem in reversed(said)}.items():
                row = out.setdefault((one.kind, name), Complaint(one.kind, name, problem.message))
                row.documents += 1
                if len(row.examples) < EXAMPLES:
                    row.examples.append(problem.origin)
        return sorted(out.values(), key=lambda row: (-row.documents, row.kind, row.field))


VERDICTS = ("accepted", "warned", "refused", "passed")  # passed over: good, and not for this sidecar


class _Judging(Report):
    """A report that knows of which document each word is."""

    def __init__(self, unread: Report) -> None:
        super().__init__(warn=True)
        self.incomplete = True  # so that no name is missed
        self.judged: list[tuple[Document, Judged]] = []
        self._unread = unread

    def opened(self, document: Document, node: Node) -> None:
        mark = node.start_mark
        origin = Origin(document.text.name, mark.line + 1, mark.column + 1)
        self.judged.append((document, Judged(_kind(node), _digest(node), origin)))

    def add(self, place: Place, message: str, hint: str = "") -> None:
        super().add(place, message, hint)
        self._of(place).problems.append((place.field(), self.problems[-1]))

    def warn(self, place: Place, message: str, hint: str = "") -> None:
        before = len(self.warnings or ())
        super().warn(place, message, hint)
        if self.warnings and len(self.warnings) > before:
            self._of(place).warnings.append((place.field(), self.warnings[-1]))

    def pass_over(self, place: Place, kind: str, why: str) -> None:
        self._of(place).passed = True

    def add_at(self, text: Text, line: int, column: int, message: str, hint: str = "") -> None:
        self._unread.add_at(text, line, column, message, hint)

    def _of(self, place: Place) -> Judged:
        found = next((judged for document, judged in self.judged if document is place.document), None)
        return found if found is not None else Judged("", b"", place.origin())  # the Sidecar's, which is not judged


def survey(
    paths: Iterable[str | os.PathLike[str]], step: Callable[[int, int], None] = lambda done, every: None
) -> Survey:
    """Judges every document of files and folders, of sub-folders, too. ``step`` hears how many files are done, and of
    how many."""
    out = Survey()
    unread = Report()
    paths = list(paths)
    own = _sidecar(paths)
    found = list(_files(paths, unread))
    seen: set[tuple[str, bytes]] = set()
    for done, path in enumerate(found):
        step(done, len(found))
        for text in file.read([path], unread):
            out.files += 1
            for judged in _judge(text, own, unread):
                if (judged.kind, judged.digest) in seen:
                    out.copies += 1
                else:
                    seen.add((judged.kind, judged.digest))
                    out.judged.append(judged)
    step(len(found), len(found))
    out.unread = unread.problems
    return out


def _files(paths: Iterable[str | os.PathLike[str]], report: Report) -> Iterator[Path]:
    for path in map(Path, paths):
        if not path.is_dir():
            yield path
        for folder, folders, names in os.walk(path):
            folders[:] = sorted(name for name in folders if name[0] != ".")
            if any(name.endswith(file.SUFFIXES) for name in names):
                yield from map(Path, file.files([folder]))


def _sidecar(paths: Iterable[str | os.PathLike[str]]) -> Resource | None:
    texts = file.read([path for path in paths if Path(path).is_file()], Report())
    every = (one for text in texts for one in resources(text, Report()))
    return next((one for one in every if one.kind == "Sidecar"), None)


def _judge(text: Text, own: Resource | None, unread: Report) -> list[Judged]:
    report = _Judging(unread)
    left = resources(text, report)
    while left:  # several examples of one name: each is one that could be in force
        found: dict[tuple[str, str, str], Resource] = {}
        for one in left:
            found.setdefault((one.kind, one.meta.namespace, one.name), one)
        left = [one for one in left if one not in found.values()]
        with_own = [own] if own is not None and not any(one.kind == "Sidecar" for one in found.values()) else []
        resolve([*found.values(), *with_own], report)
    return [judged for _, judged in report.judged]


def _kind(node: Node) -> str:
    pairs = node.value if isinstance(node, MappingNode) else []
    found = next((value for key, value in pairs if key.value == "kind"), None)
    return str(found.value) if isinstance(found, ScalarNode) else "without kind"


def _digest(node: Node) -> bytes:
    """The same for documents that say the same in other words, comments and blanks."""
    digest = sha256()
    stack = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, ScalarNode):
            digest.update(f"{one.tag} {len(one.value)} {one.value}".encode("utf-8", "replace"))
        elif isinstance(one, (MappingNode, SequenceNode)):
            digest.update(f"{one.tag} {len(one.value)} ".encode())
            for each in reversed(one.value):
                stack += [each] if isinstance(one, SequenceNode) else reversed(each)
    return digest.digest()
