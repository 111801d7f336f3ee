"""Meshes of texts and listings, made so that no listing can make one fail.

What a registry lists is what others have said of themselves. Where it contradicts policy, the listing of that service
stays as it was, and everything else goes on.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from meshfast import config
from meshfast.config import Report, Text
from meshfast.config.listed import Listed
from meshfast.errors import ConfigError
from meshfast.model import Mesh

__all__ = ["Accepting", "Offers"]

ATTEMPTS = 40  # meshes made to find out which listings do not fit
NAMED = 8  # services that are suspected first, as what is wrong names them

Offers = Mapping[str, tuple[Listed, ...]]  # by service


class Accepting:
    """Used by one thread at a time. ``held``: the services whose listing stays as it was, and why."""

    def __init__(self, loader: config.Loader | None = None) -> None:
        self.held: dict[str, str] = {}
        self._loader = loader or config.Loader()
        self._lock = threading.Lock()
        self._good: dict[str, tuple[Listed, ...]] = {}
        self._refused: dict[str, tuple[Listed, ...]] = {}
        self._digest: tuple[tuple[str, bytes], ...] = ()

    @property
    def asked(self) -> frozenset[str]:
        """The services that rules name and no file offers."""
        return self._loader.asked

    @property
    def left_out(self) -> dict[Listed, str]:
        """What is listed and a file says otherwise, and why."""
        return self._loader.left_out

    def build(self, texts: list[Text], report: Report, offers: Offers) -> Mesh:
        """:raises ConfigError: the texts are not good, whatever is listed"""
        with self._lock:
            digest = tuple((text.name, text.data) for text in texts)
            if digest != self._digest:
                self._digest, self._refused = digest, {}  # other policy may bear what this one did not
            self._refused = {name: one for name, one in self._refused.items() if offers.get(name) is one}
            wanted = dict(offers)
            for name in self._refused:
                wanted.pop(name)
                if name in self._good:
                    wanted[name] = self._good[name]
            before = _copy(report)
            try:
                mesh = self._once(texts, report, wanted)
            except ConfigError as error:
                if before.problems:
                    raise  # some file cannot even be read
                mesh = self._narrowed(texts, before, wanted, error)
            self.held = {name: why for name, why in self.held.items() if name in self._refused}
            return mesh

    def _once(self, texts: list[Text], report: Report, offers: Offers) -> Mesh:
        mesh = self._loader.build(texts, report, [one for some in offers.values() for one in some])
        self._good = dict(offers)
        return mesh

    def _narrowed(self, texts: list[Text], report: Report, wanted: Offers, why: ConfigError) -> Mesh:
        """The mesh with as much of what is wanted as fits. Those that ``why`` names are looked at one by one."""
        try:
            mesh, fitting = self._once(texts, _copy(report), self._good), dict(self._good)
        except ConfigError:
            mesh, fitting = self._once(texts, _copy(report), {}), {}
        other = sorted(name for name in {*wanted, *fitting} if wanted.get(name) is not fitting.get(name))
        said = " ".join(problem.message for problem in why.problems)
        named = [name for name in other if name in said][:NAMED]
        groups = [*([name] for name in named), [name for name in other if name not in named]]
        groups = [group for group in groups if group]
        whole, attempts = not named, 0
        while groups:
            group = groups.pop()
            if whole and len(group) > 1:
                whole = False  # that all of it does not fit is known
                groups += _halves(group)
                continue
            tried = {name: one for name, one in fitting.items() if name not in group}
            tried |= {name: wanted[name] for name in group if name in wanted}
            attempts += 1
            try:
                if attempts > ATTEMPTS:
                    raise ConfigError([])
                mesh, fitting = self._once(texts, _copy(report), tried), tried
            except ConfigError as error:
                if len(group) > 1 and attempts <= ATTEMPTS:
                    groups += _halves(group)
                    continue
                for name in group:
                    self._refuse(name, wanted, error)
        return mesh

    def _refuse(self, name: str, wanted: Offers, error: ConfigError) -> None:
        if name in wanted:  # else it is one that went
            self._refused[name] = wanted[name]
        first = error.problems[0] if error.problems else None
        self.held[name] = f"{first.origin}: {first.message}" if first is not None else "too many do not fit"


def _halves(group: list[str]) -> list[list[str]]:
    middle = len(group) // 2
    return [group[middle:], group[:middle]]


def _copy(report: Report) -> Report:
    """One that says the same so far."""
    out = Report()
    out.problems, out.incomplete = list(report.problems), report.incomplete
    return out
