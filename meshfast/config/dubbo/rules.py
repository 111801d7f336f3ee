"""Which of Dubbo's rules are for a service, as they are stored: by service, by who offers it and by who calls it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshfast import model
from meshfast.config import fqdn
from meshfast.config.cluster import Clusters
from meshfast.config.document import Report, listed
from meshfast.config.dubbo import affinity, condition, configure, mesh, tag
from meshfast.config.dubbo.keys import Key, told_apart
from meshfast.config.dubbo.parties import Consumer, Provider
from meshfast.config.dubbo.step import Step
from meshfast.config.read import Resource

KINDS = frozenset(("TagRule", "ConditionRule", "AffinityRule", "Configurator", "DubboVirtualService",
                   "DubboDestinationRule"))  # fmt: skip


@dataclass(slots=True)
class Chain:
    """The rules for one service as one application offers it, in the order in which Dubbo follows them."""

    services: list[Resource] = field(default_factory=list)  # of mesh rules
    subsets: list[Resource] = field(default_factory=list)
    tag: Resource | None = None
    affinities: list[Resource] = field(default_factory=list)
    conditions: list[Resource] = field(default_factory=list)
    configurators: list[Resource] = field(default_factory=list)

    def all(self) -> list[Resource]:
        """Every one."""
        found = [*self.services, *self.subsets, *([self.tag] if self.tag else ())]
        return [*found, *self.affinities, *self.conditions, *self.configurators]

    def steps(self, providers: Sequence[Provider], consumer: Consumer, own: Key, report: Report) -> list[Step]:
        """What they do to the calls of ``consumer``; ``own``: what the service is called under."""
        found: list[Step | None] = [
            mesh.step(_specs(self.services), _specs(self.subsets), consumer, report),
            tag.step(self.tag.spec if self.tag is not None else None, providers, consumer, report),
        ]
        found += [_meant(one, affinity.step(one.spec, consumer), own) for one in self.affinities]
        for one in self.conditions:
            steps = list(condition.steps(one.spec, consumer, report))
            if report.warnings is not None:
                _advise(one, steps, providers, report)
            found += [_meant(one, step, own) for step in steps]
        found += configure.steps(_specs(self.configurators), consumer, own, report)
        return [one for one in found if one is not None and one.cases]


def _advise(found: Resource, steps: Iterable[Step], providers: Sequence[Provider], report: Report) -> None:
    """Warns of what no instance meets."""
    outcomes = [case.outcome for step in steps for case in step.cases]
    for test in (one for outcome in outcomes for picks in outcome.tries for pick in picks for one in pick.tests):
        if not any(map(test.fits, providers)):
            hint = "nobody may be called" if found.spec.force else "as if the condition were not there"
            report.warn(found.at.at("conditions"), f'no instance meets "{test.shown}"', hint)


def _specs(found: Iterable[Resource]) -> list[Any]:
    return [one.spec for one in found]


def _meant(found: Resource, step: Step | None, own: Key) -> Step | None:
    """For the calls alone that the key of a rule for a service means."""
    if step is None or found.spec.scope != "service":
        return step
    return step.only(told_apart(Key.colons(found.spec.key), own))


class Rules:
    """All rules that are enabled, by whom they are for."""

    def __init__(self, found: Iterable[Resource], clusters: Clusters, own: model.Sidecar, report: Report) -> None:
        self._clusters, self._own = clusters, own
        self._of_service: dict[str, list[Resource]] = {}
        self._of_provider: dict[str, list[Resource]] = {}
        self._of_consumer: list[Resource] = []
        mine = [one for one in found if one.kind in KINDS]
        every = clusters.by_service if mine else ()
        self._others = {alias: name for name in every for alias in fqdn.aliases(name, own.namespace)}
        for one in mine:
            self._take(one, report)

    @property
    def empty(self) -> bool:
        return not (self._of_service or self._of_provider or self._of_consumer)

    def whole(self, service: str) -> str:
        """A service as it is listed, by any of its names."""
        return service if service in self._clusters.by_service else self._others.get(service, service)

    def _take(self, one: Resource, report: Report) -> None:
        if one.kind in ("DubboVirtualService", "DubboDestinationRule"):
            if "." in one.name:
                hint = "Dubbo gives such a one to a router of that ending, and brings none"
                report.warn(one.at, f"{one.name} has a dot in its name: it does nothing", hint)
                return
            for host in one.hosts or (one.host,):
                self._for_provider(one, host, report)
            return
        if one.kind in ("ConditionRule", "AffinityRule") and not one.spec.holds:
            return
        if one.kind == "Configurator":
            configure.advise(one.spec, report)
        if one.kind != "TagRule" and one.spec.scope == "service":
            key = Key.slashed(one.spec.key) if one.kind == "Configurator" else Key.colons(one.spec.key)
            service = self.whole(key.service)
            self._of_service.setdefault(service, []).append(one)
            if service not in self._clusters.by_service and not report.incomplete:
                words = listed("listed are", list(self._clusters.by_service), "no service is listed", most=4)
                report.warn(one.at.at("key"), f"no service that is listed is {key.service}", words)
            return
        calling = one.kind in ("ConditionRule", "Configurator") and one.spec.key == self._own.app
        if calling:
            self._of_consumer.append(one)
        if one.kind != "Configurator":
            self._for_provider(one, one.spec.key, report, known=calling)

    def _for_provider(self, one: Resource, name: str, report: Report, *, known: bool = False) -> None:
        clusters = dict.fromkeys((*self._clusters.named(name), *self._clusters.offered_by(name)))
        for cluster in clusters:
            self._of_provider.setdefault(cluster, []).append(one)
        if not clusters and not known and not report.incomplete:
            report.warn(one.at, f"no application that is listed is {name}", "it does nothing here")

    def chain(self, service: str, cluster: str) -> Chain:
        """Those for a service that a cluster offers."""
        out = Chain()
        of_service = self._of_service.get(self.whole(service), ())
        of_provider = self._of_provider.get(cluster, ())
        for one in of_provider:
            match one.kind:
                case "DubboVirtualService":
                    out.services.append(one)
                case "DubboDestinationRule":
                    out.subsets.append(one)
                case "TagRule":
                    out.tag = one
        every = (*of_service, *of_provider, *self._of_consumer)
        out.affinities = [one for one in every if one.kind == "AffinityRule"]
        out.conditions = [one for one in every if one.kind == "ConditionRule"]
        called = (*self._of_consumer, *of_service)  # of a service over those of the application
        out.configurators = [one for one in called if one.kind == "Configurator"]
        return out

    def __iter__(self) -> Iterator[Resource]:
        seen = [one for some in (*self._of_service.values(), *self._of_provider.values()) for one in some]
        yield from dict.fromkeys((*seen, *self._of_consumer))
