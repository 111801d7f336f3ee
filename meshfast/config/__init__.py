"""YAML -> ``model.Mesh``. Every mistake of every file is found in one go, with its line, column and path.

The way of a document: ``file`` reads bytes, ``compose`` makes nodes with marks, ``read`` finds kind and name, ``field``
and ``resource`` say what may be in it, ``resolve`` puts the documents together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

from meshfast import collector
from meshfast.config import file
from meshfast.config.document import Passed, Report, Text
from meshfast.config.kept import Kept, split
from meshfast.config.listed import Listed
from meshfast.config.read import Resource, resources
from meshfast.config.resolve import resolve
from meshfast.errors import ConfigError, Problem
from meshfast.model import Mesh

# Kinds whose nodes are not kept.
MANY = frozenset(("ServiceEntry", "WorkloadEntry", "DestinationRule", "VirtualService"))

__all__ = ["Loader", "Passed", "Report", "Text", "build", "check", "load", "load_texts"]


def load(paths: Iterable[str | os.PathLike[str]]) -> Mesh:
    """The mesh that files and directories describe.

    A directory means its ``*.yaml`` and ``*.yml``. Raises ConfigError with every problem found, also for a file that
    cannot be read.
    """
    report = Report()
    return build(file.read(paths, report), report)


def check(paths: Iterable[str | os.PathLike[str]], report: Report | None = None) -> tuple[Mesh, list[Problem]]:
    """The same, with what is allowed and hardly meant: branches and rules that no call or no instance is for.
    ``report``: one that warns; afterwards it also has the documents that were passed over."""
    report = report or Report(warn=True)
    mesh = build(file.read(paths, report), report)
    return mesh, report.warnings or []


def load_texts(texts: Iterable[tuple[str, bytes]]) -> Mesh:
    """The same for (name, bytes) pairs that are at hand already."""
    return build([Text(name, data) for name, data in texts], Report())


def build(texts: list[Text], report: Report) -> Mesh:
    """The mesh of texts that were read; ``report`` has what went wrong on the way here."""
    return Loader().build(texts, report)


class Loader:
    """Makes meshes of the same texts again and again, of which few have changed.

    A text that is as it was is not parsed again, and what was made of its documents stays where all that it rests on
    has stayed, too: it is the same object in the new mesh. Everything is checked against everything as ever.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, list[Resource]]] = {}
        self._kept: Kept | None = None
        self._asked: dict[str, Listed] = {}
        self.asked: frozenset[str] = frozenset()  # the services that rules name and no file offers
        self.left_out: dict[Listed, str] = {}  # what is listed and a file says otherwise, and why

    def build(self, texts: list[Text], report: Report, listed: Sequence[Listed] = ()) -> Mesh:
        """The mesh of texts and of what registries list; ``report`` has what went wrong on the way here. Of what is
        listed the same objects come again, but for what changed."""
        with collector.paused():
            known, self._known = self._known, {}
            found: list[Resource] = []
            made = found
            good = False
            try:
                for text in texts:
                    found += self._resources(text, known.pop(text.name, None), report)
                found += listed
                rest, switches = split(found)
                mesh = self._kept.switched(rest, switches, report) if self._kept is not None else None
                if mesh is not None:
                    made = switches
                else:
                    self._kept, noted = None, len(report.noted)
                    mesh, clusters = resolve(found, report, self._asked)
                    made = [*found, *self._asked.values()]
                    if not report.problems:
                        self.asked, self.left_out = report.asked, report.left_out
                        self._kept = Kept(rest, clusters, mesh, report.noted[noted:])
                _settle(texts, report)
                good = True
                return mesh
            finally:
                for resource in made:
                    if good:
                        resource.memo = resource.draft
                    if not good or resource.kind in MANY:
                        resource.forget()
                    resource.draft = None

    def _resources(self, text: Text, before: tuple[bytes, list[Resource]] | None, report: Report) -> list[Resource]:
        if before is not None and before[0] == text.data:
            self._known[text.name] = before
            return before[1]
        problems = len(report.problems)
        found = resources(text, report)
        if len(report.problems) == problems:
            self._known[text.name] = (text.data, found)
        return found


def _settle(texts: list[Text], report: Report) -> None:
    """Raises what was found, in order."""
    if not report.problems and not report.warnings:
        return
    order = {text.name: i for i, text in enumerate(texts)}

    def place(problem: Problem) -> tuple[int, int, int]:
        return order.get(problem.origin.file, -1), problem.origin.line, problem.origin.column

    if report.problems:
        raise ConfigError(sorted(dict.fromkeys(report.problems), key=place))
    if report.warnings:
        report.warnings.sort(key=place)
