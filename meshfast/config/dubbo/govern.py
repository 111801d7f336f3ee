"""The services of a mesh as Dubbo's rules leave them: each of their rules, case by case, with targets of its own."""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import lcm

from meshfast import changes, model
from meshfast.config.cluster import Clusters
from meshfast.config.document import Refused, Report
from meshfast.config.dubbo import configure
from meshfast.config.dubbo.cases import MAX_CASES, TooManyCases, Way, ways
from meshfast.config.dubbo.keys import Key
from meshfast.config.dubbo.narrow import MAX_SHARES, Narrow, Share, Some, TooMany, apart
from meshfast.config.dubbo.parties import Consumer, Provider, provider
from meshfast.config.dubbo.rules import Chain, Rules
from meshfast.config.dubbo.step import ALWAYS, Outcome
from meshfast.config.read import Resource
from meshfast.model import FallbackCase, Pattern, TargetKind

NOBODY = "nobody"
MAX_MATCHES = 1000  # of one rule
_WHOLE = 1 << 24  # of weights that have no common measure

Weighted = tuple[tuple[int, Fraction, tuple[Some, ...]], ...]  # the target that it was, its share, who has it
ServiceKey = tuple[str, Pattern]


@dataclass(slots=True)
class Made:
    """What targets name besides the clusters that there are."""

    subsets: dict[str, dict[str, model.Subset]] = field(default_factory=dict)  # by cluster and name
    weighed: dict[str, tuple[str, model.Cluster]] = field(default_factory=dict)  # by name: of which cluster


@dataclass(slots=True)
class Governed:
    """What became of services in a load: kept by the first of the rules that are for them."""

    made: dict[ServiceKey, tuple[tuple[object, ...], model.Service, Made]] = field(default_factory=dict)


def apply(
    services: tuple[model.Service, ...], found: Iterable[Resource], clusters: Clusters, own: model.Sidecar,
    report: Report,
) -> tuple[model.Service, ...]:  # fmt: skip
    """The services as Dubbo's rules leave them; the subsets that they ask for are declared to ``clusters``."""
    rules = Rules(found, clusters, own, report)
    if rules.empty:
        return services
    for one in rules:
        one.draft = Governed()
    return tuple(_governed(service, rules, clusters, own, report) for service in services)


def _governed(
    service: model.Service, rules: Rules, clusters: Clusters, own: model.Sidecar, report: Report
) -> model.Service:  # fmt: skip
    names = {clusters.parent(target.cluster) for rule in service.rules for target in rule.targets}
    chains = {name: chain for name in sorted(names) if (chain := rules.chain(service.name, name)).all()}
    if not chains:
        return service
    first = next(iter(chains.values())).all()[0]
    name = rules.whole(service.name)  # callers may say another
    asked = [(one, clusters.listed(one)) for one in _asked(service)]
    rest: tuple[object, ...] = (
        service, name, own.app, own.address, own.labels,
        *((app, *chain.all()) for app, chain in chains.items()),
        *((clusters.variant(app).version, clusters.variant(app).group) for app in chains),
        *(_rests(each, clusters.subsets[one].values()) for one, each in asked),
    )  # fmt: skip
    key = (service.name, service.pattern)
    before: Governed | None = first.memo
    known = before.made.get(key) if before is not None else None
    if known is None or known[0] != rest:
        made = Made()
        out = [
            new
            for rule in service.rules
            for new in _Rule(service, rule, chains, clusters, own, name, report).made(made)
        ]
        known = rest, replace(service, rules=tuple(out)), made
    first.draft.made[key] = known
    if subset := clusters.narrowed.take(known[2].subsets, known[2].weighed):
        report.add(first.at, f"two rules mean different instances by {subset}", "write one of them in other words")
    return known[1]


def _rests(cluster: model.Cluster, subsets: Iterable[model.Subset]) -> tuple[object, ...]:
    """What of a cluster is asked, which later has more."""
    return cluster.name, cluster.hosts, cluster.origin, cluster.endpoints, cluster.named, *subsets


def _asked(service: model.Service) -> list[str]:
    return list(dict.fromkeys(target.cluster for rule in service.rules for target in rule.targets))


class _Rule:
    """One rule of a service, and what it comes to."""

    def __init__(
        self, service: model.Service, rule: model.Rule, chains: dict[str, Chain], clusters: Clusters,
        own: model.Sidecar, name: str, report: Report,
    ) -> None:  # fmt: skip
        self._service, self._rule, self._clusters, self._report = service, rule, clusters, report
        self._chains, self._own, self._name = chains, own, name

    def made(self, out: Made) -> list[model.Rule]:
        """The rules in its place."""
        asked = {target.cluster for target in self._rule.targets}
        names = {self._clusters.parent(name) for name in asked}
        chain = next((self._chains[name] for name in sorted(names) if name in self._chains), None)
        if chain is None:
            return [self._rule]
        first = chain.all()[0]
        try:
            if len(asked) > 1:
                raise Refused(
                    f"{self._service.name} is routed to several applications or ports, which Dubbo's rules are not for",
                    "write one destination in each route of its VirtualService",
                )
            (cluster,) = asked
            return self._made(chain, cluster, names.pop(), out)
        except (TooMany, TooManyCases) as many:
            what, hint = f"more than {MAX_CASES} cases", "let fewer conditions depend on the call, or put them into one"
            if isinstance(many, TooMany):
                what = f"more than {MAX_SHARES} shares, or sets of instances that stand in for one another"
                hint = "let fewer conditions follow one another, or put them into one"
            self._report.add(first.at, f"the rules for {self._service.name} come to {what}", hint)
        except Refused as no:
            self._report.add(first.at, no.message, no.hint)
        return [self._rule]

    def _made(self, chain: Chain, cluster: str, app: str, out: Made) -> list[model.Rule]:
        listed = self._clusters.listed(cluster)
        consumer = Consumer(self._name, self._own.app, self._own.address, self._own.labels)
        variant = self._clusters.variant(app)
        key = Key(self._name, variant.version, variant.group)
        providers = _providers(listed, app)
        rules = [one.spec for one in chain.configurators]
        weights = configure.weights(rules, providers, consumer, key, self._report)
        if weights:
            listed = _weighed(listed, weights, self._service.name)
            out.weighed[listed.name] = cluster, listed
            providers = _providers(listed, app)
        narrow = Narrow(providers)
        base = [self._base(narrow, number, cluster) for number, t in enumerate(self._rule.targets) if t.weight]

        whole = sum(target.weight for target in self._rule.targets)

        def make(outcomes: tuple[Outcome, ...]) -> Weighted:
            return tuple(
                (number, share * Fraction(self._rule.targets[number].weight, whole), way)
                for number, every in base
                for share, way in _shares(narrow, every, outcomes)
            )

        subsets = out.subsets.setdefault(listed.name, {})
        steps = chain.steps(providers, consumer, key, self._report)
        declared = self._clusters.subsets[cluster]
        return [self._one(way, listed.name, narrow, subsets, declared) for way in ways(steps, make)]

    def _base(self, narrow: Narrow, number: int, cluster: str) -> tuple[int, list[Some]]:
        """A target's instances and those of its fallbacks, as they are before any of Dubbo's rules."""
        out: list[Some] = []
        at: int | None = number
        while at is not None:
            target = self._rule.targets[at]
            if target.kind is TargetKind.ALL:
                out.append(Some(narrow.all))
            elif target.kind is TargetKind.SUBSET:
                declared = self._clusters.subsets[cluster].get(target.text)  # if none does, that is reported
                members = narrow.carrying(declared.labels) if declared is not None else frozenset()
                out.append(Some(members, target.text))
            else:
                raise Refused(
                    f"{self._service.name} is routed by the label {target.text}, which Dubbo's rules are not for",
                    "keep one of them: the rule, or subset: $label",
                )
            at = target.fallback
            if at is not None and target.on is FallbackCase.NO_LOCAL:
                raise Refused(
                    f"{self._service.name} has a fallback of case nolocal, which Dubbo's rules are not for",
                    "keep one of them: the rule, or the case",
                )
            if target.on is FallbackCase.NO_INSTANCE and out[-1].members:
                break  # whether they are up or not
        return number, out

    def _one(
        self, way: Way, cluster: str, narrow: Narrow, subsets: dict[str, model.Subset], declared: Container[str]
    ) -> model.Rule:  # fmt: skip
        rule, origin = self._rule, way.origin or self._rule.origin
        targets = _Targets(cluster, narrow, subsets, declared, way.origin)
        made: Weighted = way.made
        measure = lcm(*(share.denominator for _, share, _ in made))
        for number, share, every in made:
            weight = share * measure if measure <= _WHOLE else max(1, round(share * _WHOLE))
            targets.add(number, int(weight), every)
        matches = rule.matches
        if way.when != ALWAYS:
            matches = tuple(
                model.Match((*one.conditions, *more), one.name, origin)
                for one in rule.matches or (model.Match(()),)
                for more in way.when
            )
            if len(matches) > MAX_MATCHES:
                raise Refused(f"one rule for {self._service.name} comes to more than {MAX_MATCHES} matches")
        actions = rule.actions
        if actions is not None and actions.headers:
            actions = replace(actions, headers=targets.by_target(actions.headers))
        name = "; ".join(filter(None, (rule.name, *way.shown)))
        return model.Rule(name, matches, targets.made(), way.timeout_ms or rule.timeout_ms, origin, actions)


def _providers(cluster: model.Cluster, app: str) -> list[Provider]:
    """Its instances; those that are known by a name are one."""
    return [provider(one, app) for one in (*cluster.endpoints, *(named.endpoint for named in cluster.named))]


def _weighed(cluster: model.Cluster, weights: dict[str, int], service: str) -> model.Cluster:
    """The same instances with weights of their own for one service."""

    def weigh(one: model.Endpoint) -> model.Endpoint:
        return replace(one, weight=weights.get(one.address, one.weight))

    named = tuple(replace(one, endpoint=weigh(one.endpoint)) for one in cluster.named)
    endpoints = tuple(map(weigh, cluster.endpoints))
    return replace(cluster, name=f"{cluster.name} for {service}", endpoints=endpoints, named=named)


def _shares(narrow: Narrow, every: list[Some], outcomes: Sequence[Outcome]) -> list[Share]:
    """How the calls of one target are shared, whose instances and then those of its fallbacks these are."""
    there = [one for one in every if one.members]
    found: list[Share] = narrow.shares(there[0], outcomes) if there else []
    if not found:
        return [(Fraction(1), ())]
    behind = narrow.way(there[1:], outcomes)
    return [(share, apart((*way, *behind)) if way else ()) for share, way in found]


class _Targets:
    """The targets of one rule; those that go on alike are one."""

    def __init__(
        self, cluster: str, narrow: Narrow, subsets: dict[str, model.Subset], declared: Container[str],
        origin: model.Origin | None,
    ) -> None:  # fmt: skip
        self._cluster, self._narrow, self._origin = cluster, narrow, origin
        self._subsets, self._declared = subsets, declared
        self._known: dict[tuple[int, frozenset[str], int | None], int] = {}
        self._made: list[model.Target] = []
        self._of: list[int] = []  # the target that each was

    def add(self, number: int, weight: int, every: tuple[Some, ...]) -> None:
        """A share of the calls, to the first of these that has an instance up."""
        at: int | None = None
        for some in reversed(every or (Some(frozenset(), NOBODY),)):
            at = self._place(number, some, at)
        assert at is not None
        self._made[at] = replace(self._made[at], weight=self._made[at].weight + weight)

    def _place(self, number: int, some: Some, behind: int | None) -> int:
        key = number, some.members, behind
        if key not in self._known:
            kind, text = self._named(some)
            self._known[key] = len(self._made)
            self._of.append(number)
            self._made.append(
                model.Target(self._cluster, kind, text, 0, FallbackCase.NO_AVAILABLE, behind, self._origin)
            )
        return self._known[key]

    def _named(self, some: Some) -> tuple[TargetKind, str]:
        if some.members == self._narrow.all and some.members:
            return TargetKind.ALL, ""
        name = next((name for name, one in self._subsets.items() if one.members == some.members), "")
        if not name:
            shown, n = "".join(c if c.isprintable() else "?" for c in some.name), 1
            name = shown
            while name in self._subsets or name in self._declared:
                n += 1
                name = f"{shown} ({n})"
            self._subsets[name] = model.Subset(name, {}, self._origin, members=some.members)
        return TargetKind.SUBSET, name

    def by_target(self, headers: tuple[changes.Headers, ...]) -> tuple[changes.Headers, ...]:
        return tuple(headers[number] for number in self._of)

    def made(self) -> tuple[model.Target, ...]:
        return tuple(self._made)
