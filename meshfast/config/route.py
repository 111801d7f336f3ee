"""A VirtualService's rules -> the rules of a service: targets, weights, fallbacks, and what is never reached."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from meshfast import model
from meshfast.config import actions, called, match, mirroring, opaque
from meshfast.config.cluster import Clusters
from meshfast.config.delegate import Delegates
from meshfast.config.document import Place, Report, listed
from meshfast.config.draft import Draft, find, shown
from meshfast.config.prepared import Compiled, Prepared, is_named, matches_of, ports_of, serves, strips_of, takes_all
from meshfast.config.read import Resource
from meshfast.config.resource import Destination, HttpRoute, RouteDestination, VirtualService
from meshfast.config.shadow import report_shadows
from meshfast.model import NAMESPACE, FallbackCase, Family, Field, Pattern, TargetKind
from meshfast.policies import Mirror

MAX_RULES = 65_535  # the core numbers rules, matches and targets in 16 bits

_CASES = {
    "noinstances": FallbackCase.NO_INSTANCE,
    "noavailabled": FallbackCase.NO_AVAILABLE,
    "noavailable": FallbackCase.NO_AVAILABLE,
    "nolocal": FallbackCase.NO_LOCAL,
}


class Routes:
    """Compiles one VirtualService, once for each cluster that it is used for; what holds from the load before, stays.

    ``hosts``: its own; ``explicit``: each of its destinations names one.
    """

    def __init__(
        self, resource: Resource, clusters: Clusters, labels: set[str], workload: Mapping[str, str],
        delegates: Delegates, report: Report,
    ) -> None:  # fmt: skip
        self._delegates = delegates
        self._resource, self._clusters, self._labels, self._report = resource, clusters, labels, report
        self._undeclared: dict[tuple[int, int], tuple[Place, str, dict[str, None]]] = {}
        self._cyclic: set[tuple[int, int]] = set()
        self._barren: dict[tuple[int, int, TargetKind], tuple[Draft, list[str]]] = {}
        self._prepared: list[Prepared] | None = None
        before: Compiled | None = resource.memo
        if before is not None and before.holds(clusters, labels, workload, delegates):
            self._before = before
            self._done = replace(
                before,
                found=dict(before.found),
                declared=set(before.declared),
                rules={},
                services={},
            )
        else:
            spec: VirtualService = resource.spec
            self._before = self._done = Compiled(spec.hosts, False, set(labels), dict(workload))
            made = self._prepare()
            self._done.explicit = all(is_named(r.destination) for p in made for r in p.route.route)
            self._done.serves = any(serves(p) for p in made)
        resource.draft = self._done
        self.hosts, self.explicit, self.used = self._done.hosts, self._done.explicit, self._done.used
        self.near = self._done.near

    @property
    def serves(self) -> bool:
        """Whether it has any rule that this workload may take. Without, hosts are as they were, as with Istio."""
        return self._done.serves

    @property
    def order(self) -> tuple[bool, int, str, str, str]:
        """Of several for one host the first decides, as with Istio: those for this namespace before those for all."""
        return not self._done.serves, self._resource.reach(self._done.workload[NAMESPACE]), *self._resource.age()

    @property
    def namespace(self) -> str:
        return self._resource.meta.namespace

    @property
    def label(self) -> str:
        return f"VirtualService {self._resource.name}"

    def host_at(self, number: int) -> Place:
        """Where one of its own hosts is written."""
        return self._resource.at.at("hosts", number)

    def service(
        self, name: str, pattern: Pattern, own: str | None, number: int, plain: tuple[model.Rule, ...] = ()
    ) -> model.Service:  # fmt: skip
        """The service that its rules make for one of its hosts, and behind them the ``plain`` ones."""
        rules = self.rules(own) + plain
        key = (name, pattern, number, own)
        service = self._before.services.get(key)
        if service is None or (service.rules is not rules and [*map(id, service.rules)] != [*map(id, rules)]):
            service = model.Service(name, rules, pattern, self.host_at(number).origin())
        self._done.services[key] = service
        return service

    def rules(self, own: str | None) -> tuple[model.Rule, ...]:
        """The rules for a service of the cluster ``own``; None: of no cluster, so that every host must be written."""
        done = self._done.rules
        if own not in done:
            done[own] = self._before.rules[own] if own in self._before.rules else self._compile(own)
        return done[own]

    def _compile(self, own: str | None) -> tuple[model.Rule, ...]:
        more: tuple[int, ...] = ()
        if own is not None:
            more = self._done.more[own] = self._clusters.more(own)
        return tuple(
            rule
            for port in (*more, 0)
            for p in self._prepared or self._prepare()
            if (targets := self._targets(p, own, port)) or actions.answers(p.route)
            for rule in actions.spread(
                model.Rule(
                    p.route.name,
                    self._matches(p, own, port),
                    targets,
                    p.route.timeout,
                    p.route.at.origin(),
                    actions.build(p.route, len(targets), self._mirrors(p, own, port)),
                ),
                p,
            )
        )

    def _matches(self, prepared: Prepared, own: str | None, port: int) -> tuple[model.Match, ...]:
        """``port``: the one that an authority must name, if any."""
        matches = prepared.matches
        if called.asks(matches):
            ports = self._done.ports[own] = ports_of(self._clusters, own)
            matches = called.resolve(matches, ports if ports is None or not port else {**ports, Family.HTTP: port})
        if not port:
            return matches
        asked = called.by_authority(port)
        every = matches or (model.Match((), origin=prepared.route.at.origin()),)
        return tuple(replace(each, conditions=(asked, *each.conditions)) for each in every)

    def _prepare(self) -> list[Prepared]:
        spec: VirtualService = self._resource.spec
        report, workload = self._report, self._done.workload
        opaque.check(spec.hosts, (*spec.tls, *spec.tcp), report)
        if not spec.http and not spec.at.bad and not (spec.tls or spec.tcp):
            report.add(spec.at, "http is missing", "http: a list of mappings")
        routes = self._delegates.expand(self._resource, spec.http, self._done.delegates, report)
        conditions = [
            tuple(match.alternatives(m, self._labels, report) for m in route.match if not m.at.bad) for route in routes
        ]
        self._prepared = [
            Prepared(route, matches_of(route, made, workload), self._weights(route), strips_of(route, made))
            for route, made in zip(routes, conditions, strict=True)
        ]
        for route in routes:
            actions.check(route, report)
        self._done.used |= {
            c.key for p in self._prepared for m in p.matches for c in m.conditions if c.field is Field.LABEL
        }
        if max(len(routes), *(len(p.matches) + 2 * len(p.route.route) for p in self._prepared), 0) > MAX_RULES:
            report.add(spec.at.at("http"), f"more than {MAX_RULES} rules, matches or destinations")
        report_shadows(routes, [tuple(a for m in made for a in m) for made in conditions], report)
        return self._prepared

    def finish(self) -> None:
        """Reports the subsets that some cluster does not declare, each place once; then what is hardly meant."""
        if self._report.warnings is not None and not self._report.problems:
            self._advise()
        for at, name, clusters in self._undeclared.values():
            if self._report.incomplete:
                continue
            some = ", ".join(list(clusters)[:3]) + (f" and {len(clusters) - 3} more" if len(clusters) > 3 else "")
            known = {s for c in clusters for s in self._clusters.subsets[c]} | {f"${label}" for label in self._labels}
            if name.startswith("$"):
                otherwise = listed(
                    "defined are", sorted(self._labels), "add a TrafficLabel with rules: [{labels: [{name: ...}]}]"
                )
                self._report.add(
                    at, f"no TrafficLabel defines the label {name[1:]}", self._report.near(name, known, otherwise)
                )
            else:
                declared = dict.fromkeys(s for c in clusters for s in self._clusters.subsets[c])
                otherwise = listed("declared are", declared, "declare it in a DestinationRule")
                self._report.add(
                    at, f"subset {name} is not declared for {some}", self._report.near(name, known, otherwise)
                )

    def _weights(self, route: HttpRoute) -> tuple[int, ...]:
        given = [r.weight for r in route.route]
        if len(given) == 1:
            return (given[0] or 100,)  # whatever it is
        at = route.at.at("route")
        whole = given and len(given) == len(at.node.value) and not any(r.at.bad for r in route.route)
        total = sum(w or 0 for w in given)
        if whole and all(w is None for w in given):
            self._report.add(
                at, f"{len(given)} destinations and no weight", "give each a weight: its share of their sum"
            )
        elif whole and total == 0:
            self._report.add(at, "the weights add up to 0", "give a weight to those that calls go to")
        return tuple(w or 0 for w in given)

    def _cluster(self, destination: Destination, own: str | None, port: int = 0) -> str | None:
        """The cluster of a destination; None when it cannot be told, which is reported. ``port``: the one called, which
        holds for the called application where the destination names none."""
        found = self._host(destination, own) if is_named(destination) else own
        if found is not None and found == own and destination.port is None and port:
            self._done.apart[found, port] = self._clusters.at_port(found, port)
            return self._done.apart[found, port]
        if found is None or destination.port is None:
            return found
        wanted = (found, destination.port.number)
        apart = self._done.apart[wanted] = self._clusters.at_port(*wanted)
        if apart is None and not destination.at.bad:
            ports = listed("its ports are", list(map(str, self._clusters.ports(found))), "it has one for all calls")
            unread = self._clusters.unread(*wanted)
            why = f"it is for {unread}, which is not read: calls would go there as they are" if unread else ports
            self._report.add(destination.port.at.at("number"), f"{found} has no port {wanted[1]} for calls", why)
        return apart

    def _host(self, destination: Destination, own: str | None) -> str | None:
        wanted = (destination.host, own, self._resource.meta.namespace)
        found = self._done.found[wanted] = self._clusters.find(*wanted)
        if found is None and not self._report.incomplete and not destination.at.bad:
            several = self._clusters.named(destination.host, wanted[2])
            if several:
                message = f"{destination.host} is offered by {' and '.join(several)}: which one is meant?"
                self._report.add(destination.at.at("host"), message, f"name the application: host: {several[0]}")
            else:
                hint = self._clusters.hint(destination.host, self._report)
                self._report.add(destination.at.at("host"), f"unknown host {destination.host}", hint)
        return found

    def _draft(self, cluster: str, subset: str, at: Place) -> Draft:
        if not subset:
            return Draft(cluster, TargetKind.ALL, "", at)
        known = subset[1:] in self._labels if subset.startswith("$") else subset in self._clusters.subsets[cluster]
        if known and not subset.startswith("$"):
            self._done.declared.add((cluster, subset))
        if not known:
            mark = at.node.start_mark
            entry = self._undeclared.setdefault((mark.line, mark.column), (at, subset, {}))
            entry[2][cluster] = None
        if subset.startswith("$"):
            self._done.used.add(subset[1:])
            return Draft(cluster, TargetKind.LABEL, subset[1:], at)
        return Draft(cluster, TargetKind.SUBSET, subset, at)

    def _targets(self, prepared: Prepared, own: str | None, port: int) -> tuple[model.Target, ...]:
        drafts: list[Draft] = []
        entries: list[RouteDestination] = []
        for entry, weight in zip(prepared.route.route, prepared.weights, strict=False):
            destination = entry.destination
            cluster = self._cluster(destination, own, port) if destination is not None and not entry.at.bad else None
            if destination is None or cluster is None:
                continue
            draft = self._draft(cluster, destination.subset, destination.at.at("subset"))
            draft.weight = weight
            drafts.append(draft)
            entries.append(entry)
        for number, entry in enumerate(entries):
            if entry.fallback is not None:
                drafts[number].on = _CASES[entry.fallback.case]
                if drafts[number].on is FallbackCase.NO_LOCAL:
                    self.near.add(drafts[number].cluster)
                drafts[number].fallback = self._fallback(drafts, number, entry, own)
        self._report_cycles(drafts, entries)
        for draft in list(drafts):
            if draft.kind is TargetKind.LABEL and draft.fallback is None:
                draft.on = FallbackCase.NO_AVAILABLE
                baseline = Draft(draft.cluster, TargetKind.BASELINE, draft.text, draft.at)
                draft.fallback = find(drafts, baseline)
        self._note_barren(drafts)
        return tuple(model.Target(d.cluster, d.kind, d.text, d.weight, d.on, d.fallback, d.at.origin()) for d in drafts)

    def _mirrors(self, prepared: Prepared, own: str | None, port: int) -> tuple[Mirror, ...]:
        """Whom copies of a rule's calls go to. A copy is no call: where its host is not known there is none."""
        out: list[Mirror] = []
        for destination, share in mirroring.wanted(prepared.route, self._report):
            if destination.at.bad or not share:
                continue
            wanted = (destination.host, own, self._resource.meta.namespace)
            if is_named(destination) and self._clusters.find(*wanted) is None:
                self._done.found[wanted] = None
                if not self._report.incomplete:
                    hint = self._clusters.hint(destination.host, self._report)
                    what = f"no copy is sent: unknown host {destination.host}"
                    self._report.warn(destination.at.at("host"), what, hint)
                continue
            cluster = self._cluster(destination, own, port)
            if cluster is not None:
                draft = self._draft(cluster, destination.subset, destination.at.at("subset"))
                out.append(Mirror(cluster, draft.kind, draft.text, share, destination.at.origin()))
        return tuple(out)

    def _note_barren(self, drafts: list[Draft]) -> None:
        """Notes the subsets that nothing is in. What a label's value picks only a call can tell."""
        for draft in drafts if self._report.warnings is not None and not self._report.problems else ():
            mark, kind = draft.at.node.start_mark, draft.kind
            if kind not in (TargetKind.SUBSET, TargetKind.BASELINE) or draft.text not in (
                self._clusters.subsets[draft.cluster] if kind is TargetKind.SUBSET else self._labels
            ):
                continue
            has_any = self._clusters.instances(draft.cluster, TargetKind.ALL, "")
            if has_any and not self._clusters.instances(draft.cluster, kind, draft.text):
                clusters = self._barren.setdefault((mark.line, mark.column, kind), (draft, []))[1]
                clusters += [draft.cluster] if draft.cluster not in clusters else []

    def _advise(self) -> None:
        """Warns of branches that end nowhere, and of calls that no rule takes."""
        for draft, clusters in self._barren.values():
            some = listed("", clusters, most=3).strip()
            if draft.kind is TargetKind.BASELINE:
                message = f"every instance of {some} has the label {draft.text}: calls without it find none"
                self._report.warn(draft.at, message, "add a fallback, or instances without it")
            else:
                labels = self._clusters.subsets[clusters[0]][draft.text].labels
                wanted = ", ".join(f"{k}={v}" for k, v in labels.items())
                hint = f"none is labelled {wanted}" if len(clusters) == 1 else ""
                self._report.warn(draft.at, f"subset {draft.text} of {some} has no instance", hint)
        prepared = self._prepared or self._prepare()
        if self._resource.bare or not self._done.serves:
            return
        if not any(takes_all(p) for p in prepared):
            hint = "what matches none is answered with status 60: end with a rule without match"
            self._report.warn(self._resource.at.at("http"), "no rule takes every call", hint)

    def _fallback(self, drafts: list[Draft], number: int, entry: RouteDestination, own: str | None) -> int | None:
        """The number of the target that an entry falls back to, which may be added for it."""
        assert entry.fallback is not None
        wanted = entry.fallback.target
        if isinstance(wanted, Destination):
            at, subset = wanted.at.at("subset"), wanted.subset
            cluster = self._cluster(wanted, own) if is_named(wanted) else drafts[number].cluster
        else:
            at, subset = entry.fallback.at.at("target"), wanted
            cluster = drafts[number].cluster
            kind = TargetKind.LABEL if subset.startswith("$") else TargetKind.SUBSET
            named = [i for i, d in enumerate(drafts) if (d.kind, d.text) == (kind, subset.removeprefix("$"))]
            near = [i for i in named if drafts[i].cluster == cluster]
            if near or named:
                return (near or named)[0]
        return None if cluster is None else find(drafts, self._draft(cluster, subset, at))

    def _report_cycles(self, drafts: list[Draft], entries: list[RouteDestination]) -> None:
        for start, entry in enumerate(entries):
            seen: list[int] = []
            at: int | None = start
            while at is not None and at not in seen:
                seen.append(at)
                at = drafts[at].fallback
            if at != start or start != min(seen) or entry.fallback is None:
                continue
            place = entry.fallback.at.at("target")
            mark = place.node.start_mark
            if (mark.line, mark.column) not in self._cyclic:
                self._cyclic.add((mark.line, mark.column))
                names = [shown(drafts[i]) for i in [*seen, start]]
                self._report.add(place, f"the fallbacks go in a circle: {' -> '.join(names)}", "the last names none")
