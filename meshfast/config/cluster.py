"""ServiceEntries and DestinationRules -> clusters, and what each name of theirs means."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from meshfast import model
from meshfast.config import fqdn, near, policy
from meshfast.config import hint as hints
from meshfast.config.declared import Declared, declared, subset_at
from meshfast.config.document import Report
from meshfast.config.entry import Entry, entries
from meshfast.config.instance import select
from meshfast.config.narrowed import Narrowed
from meshfast.config.near import Near
from meshfast.config.offer import Variant, together
from meshfast.config.read import Resource
from meshfast.config.ruling import EXACT, Candidate, chosen
from meshfast.config.unite import united
from meshfast.model import Family, Pattern, TargetKind

Offer = tuple[Resource, int, str]  # of a host: by whom, as which of his, in which cluster


class Clusters:
    """Every cluster, and the ways to name it: a service it offers, its own name, or its name with ``/*``."""

    def __init__(self, own: model.Sidecar) -> None:
        self.near = Near(own)
        self._own = own.namespace
        self.by_name: dict[str, model.Cluster] = {}
        self.by_service: dict[str, tuple[str, ...]] = {}  # service -> the clusters that offer it
        self.subsets: dict[str, dict[str, model.Subset]] = {}
        self._declared: dict[tuple[str, str], Resource] = {}  # cluster and subset -> by which DestinationRule
        self.ruled: dict[str, Resource] = {}  # cluster -> the DestinationRule whose trafficPolicy holds
        self._rulers: dict[str, list[Resource]] = {}  # cluster -> all of those that say something of it
        self._apart: dict[str, model.Cluster] = {}  # of one port alone, as rules ask for them
        self._parents: dict[str, str] = {}
        self.narrowed = Narrowed()
        self._applications: dict[str, tuple[str, ...]] = {}  # name, or namespace/name -> its clusters, mostly one
        self._whole: dict[tuple[str, str], str] = {}  # service and its namespace, or "" -> its whole name
        self.passing: dict[str, str] = {}  # services whose calls go where they were dialled -> who says so
        self._entries: dict[str, Entry] = {}
        self._offered: dict[str, list[Offer]] = {}
        self._firsts: dict[str, Resource] = {}  # cluster -> the entry that it is named by
        self._further: dict[str, list[tuple[Resource, Entry]]] = {}  # and others for the same hosts
        self._by_application: dict[str, list[str]] = {}  # as registries list them

    def meant(self, host: str, namespace: str = "") -> str:
        """A host as it is listed: short and whole names of Kubernetes are the same. ``namespace``: where it stands."""
        if host in self.by_service or host.removesuffix("/*") in self._applications:
            return host
        if fqdn.is_short(host):
            return self._whole.get((host, namespace), host)
        service, inside = fqdn.parts(host.removesuffix("/*"))
        for name in (f"{inside}/{service}", service):
            there = self.by_service.get(name) or self._applications.get(name, ())
            if there and self._firsts[there[0]].meta.namespace in ("", inside):
                return name
        return host

    def named(self, host: str, namespace: str = "") -> tuple[str, ...]:
        """The names of the clusters that a host means; several where a service is offered by several."""
        host = self.meant(host, namespace)
        if host in self.by_service:
            return self.by_service[host]
        names = self._applications.get(host.removesuffix("/*"), ())
        return tuple(name for name in names if name in self.by_name)

    def find(self, host: str, own: str | None = None, namespace: str = "") -> str | None:
        """The name of the cluster that a host means in the rules of ``own``, or None."""
        found = self.named(host, namespace)
        if own in found:
            return own
        return found[0] if found and len(found := self._plainest(found)) == 1 else None

    def _plainest(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Of several one, where registries list some, so that none makes a rule ambiguous: a file's, else the first."""
        given = tuple(name for name in names if not self._entries[name].listed)
        return given or (min(names, key=lambda name: (self.variant(name) != Variant(), name)),)

    def release(self, name: str) -> None:
        """Takes a cluster out of what is routed: its calls go where they were dialled."""
        for host in self.by_name.pop(name).hosts:
            left = tuple(one for one in self.by_service.get(host, ()) if one != name)
            if left:
                self.by_service[host] = left
            elif self.by_service.pop(host, None) is not None:
                self.passing[host] = name
        for called, clusters in [*self._applications.items()]:
            if name in clusters:
                self._applications[called] = tuple(one for one in clusters if one != name)
        self.passing[name] = name

    def hosts(self, host: str) -> list[str]:
        """The services that an application offers."""
        return [one for name in self.named(host) for one in self.by_name[name].hosts]

    def names(self) -> Iterator[str]:
        """Everything that ``find`` knows, for a hint."""
        yield from self.by_service
        yield from self._applications

    def hint(self, host: str, report: Report) -> str:
        """What may have been meant by a host that nothing here is."""
        return hints.unknown(host, self.passing, self.named, [*self.names()], report)

    def called(self, cluster: str) -> dict[Family, int]:
        """The port of its services that calls of each family go to."""
        return self._entries[cluster].called

    def ports(self, cluster: str) -> list[int]:
        """All the ports that are given for its services."""
        return list(self._entries[cluster].apart)

    def unread(self, cluster: str, port: int) -> str:
        """The protocol of a port that is not read, or ""."""
        return self._entries[cluster].unread.get(port, "")

    def at_port(self, cluster: str, number: int) -> str | None:
        """The name of the cluster that has the same instances at this port alone; None where it has no such port."""
        entry = self._entries.get(cluster)
        if entry is not None and (entry.listed or set(entry.called.values()) == {number}):
            return cluster
        if entry is None or number not in entry.apart:
            return None
        name = f"{cluster}:{number}"
        if name not in self._apart:
            before = entry.named.get(number)
            made = replace(entry.apart[number], name=name)
            self._apart[name] = before if before is not None and replace(before, subsets=()) == made else made
            self._parents[name] = cluster
            self.subsets[name] = self.subsets[cluster]
        return name

    def parent(self, cluster: str) -> str:
        """The whole cluster that one port of it belongs to."""
        return self._parents.get(cluster, cluster)

    def listed(self, cluster: str) -> model.Cluster:
        """A cluster by its name, or one port of it."""
        return self._apart[cluster] if cluster in self._apart else self.by_name[cluster]

    def variant(self, cluster: str) -> Variant:
        """What its services are called under."""
        return self._entries[cluster].variant

    def more(self, cluster: str) -> tuple[int, ...]:
        """Its further ports of HTTP, which a call names in its authority; none where it is gone."""
        return self._entries[cluster].more if cluster in self._entries else ()

    def plain(self, host: str, cluster: str) -> model.Service:
        """A service that is offered, as it is without a VirtualService: every instance of its cluster."""
        entry = self._entries[cluster]
        for number in entry.more:
            self.at_port(cluster, number)
        if host not in entry.services:
            suffix = host[0] == "*"
            pattern = Pattern.SUFFIX if suffix else Pattern.EXACT
            entry.services[host] = model.Service(host[suffix:], entry.rules, pattern, entry.cluster.origin)
        return entry.services[host]

    def together(self, host: str, services: list[model.Service]) -> model.Service:
        """One service of those that its clusters make of it, in their order."""
        clusters = self.by_service[host]
        parts = [(self._entries[name].variant, one.rules) for name, one in zip(clusters, services, strict=True)]
        first = self._entries[clusters[0]]
        known = first.shared.get(host)
        if (
            known is None
            or len(known[0]) != len(parts)
            or any(was[0] != now[0] or was[1] is not now[1] for was, now in zip(known[0], parts, strict=True))
        ):
            known = parts, replace(services[0], rules=together(parts))
        first.shared[host] = known
        return known[1]

    def add(self, found: Resource, workloads: Sequence[Resource], report: Report) -> None:
        """Takes in a ServiceEntry, and of the WorkloadEntries those that it selects."""
        made: tuple[Entry, ...] = found.memo or ()
        picked = select(found, workloads)
        if not made or made[0].called_as != found.called or [*map(id, made[0].picked)] != [*map(id, picked)]:
            made = entries(found, picked, report)
        found.draft = made
        if made[0].passes:
            self.passing.update(dict.fromkeys(made[0].hosts, found.called))
            return
        names = tuple(self._take(found, entry, report) for entry in made)
        self._applications[found.called] = names
        if found.meta.namespace:
            self._applications[f"{found.meta.namespace}/{found.name}"] = names

    def offer(self, found: Resource, entry: Entry) -> str:
        """Takes in what a registry lists; why not, where a file says another thing."""
        host, name = entry.hosts[0], entry.cluster.name
        if self._same(host, entry.variant) is not None:
            return "a ServiceEntry of a file offers it"
        if not self._applications.keys().isdisjoint((host, name)):
            return "a ServiceEntry of a file is called so"
        self._entries[name], self._firsts[name], self.subsets[name] = entry, found, {}
        self.by_name[name] = entry.cluster
        self.by_service[host] = (*self.by_service.get(host, ()), name)
        self._offered.setdefault(host, []).append((found, 0, name))
        for each in entry.offered_by:
            self._by_application.setdefault(each, []).append(name)
        return ""

    def offered_by(self, application: str) -> list[str]:
        """The clusters that registries list instances of an application in."""
        return self._by_application.get(application, [])

    def _take(self, found: Resource, entry: Entry, report: Report) -> str:
        """The name of the cluster that an entry's instances are in: its own, or that of others for its hosts."""
        name = entry.cluster.name
        self._entries[name] = entry
        for i, host in enumerate(found.hosts):
            if not host or host not in entry.hosts:
                continue
            if "*" in host[1:] or host[0] == "*" and (host[1:2] != "." or len(host) < 3):
                at = found.at.at("hosts", i)
                report.add(at, f'"{host}" is not a host', "write a service, or *.suffix")
            elif (same := self._same(host, entry.variant)) is not None:
                other, number, there = same
                if other is not found and found.meta.namespace == other.meta.namespace and self._alike(there, entry):
                    self._further.setdefault(there, []).append((found, entry))
                    del self._entries[name]
                    return there
                if other.meta.namespace and found.meta.namespace not in ("", other.meta.namespace):
                    self._prefer(host, same, (found, i, name), report)
                    continue
                hint = "list its instances in one ServiceEntry, or tell them apart by the annotations group and version"
                at = found.at.at("hosts", i)
                report.add(at, f"{host} is offered twice", f"{hint}; first at {other.at.at('hosts', number).origin()}")
            else:
                self.by_service[host] = (*self.by_service.get(host, ()), name)
                if (short := fqdn.split(host)) is not None:
                    self._whole[short] = host
                    first = self._whole.setdefault((short[0], ""), host)
                    if first != host:
                        self._whole[short[0], ""] = short[0]  # of several namespaces none is meant
                self._offered.setdefault(host, []).append((found, i, name))
        self._firsts[name] = found
        self.by_name[name] = entry.cluster
        self.subsets[name] = {}
        return name

    def _prefer(self, host: str, before: Offer, now: Offer, report: Report) -> None:
        """Of two namespaces that offer a host the workload's own is meant, else the older one's."""
        first, later = sorted((before, now), key=lambda one: (one[0].meta.namespace != self._own, *one[0].age()))
        self.by_service[host] = tuple(first[2] if name == before[2] else name for name in self.by_service[host])
        self._offered[host] = [first if one is before else one for one in self._offered[host]]
        if report.warnings is not None:
            what = f"{host} is that of {first[0].meta.namespace}/{first[0].name}, this one is never asked"
            report.warn(later[0].at.at("hosts", later[1]), what, "the own namespace's comes first, then the oldest")

    def _same(self, host: str, variant: Variant) -> Offer | None:
        """Who offers the same service under the same group and version, as which of his hosts, in which cluster."""
        for each in self._offered.get(host, ()):
            if self._entries[each[2]].variant == variant:
                return each
        return None

    def _alike(self, name: str, entry: Entry) -> bool:
        return set(self._entries[name].hosts) == set(entry.hosts)

    def unite(self) -> None:
        """Puts entries for the same hosts together, once all are there. The oldest says what differs."""
        for name, more in self._further.items():
            every = sorted([(self._firsts[name], self._entries[name]), *more], key=lambda each: each[0].age())
            self._entries[name] = made = united(name, [entry for _, entry in every])
            self.by_name[name] = made.cluster

    def check_names(self, report: Report) -> None:
        """A name means one cluster, whichever way it is read."""
        for host, offered in self._offered.items():
            other = next((each for each in offered if each[0].called != host), None)
            if other is not None and self._applications.get(host, self.by_service[host]) != self.by_service[host]:
                hint = "rename one of them: as a host, both would be meant"
                message = f"the service {host} is offered here and is another ServiceEntry's name"
                report.add(other[0].at.at("hosts", other[1]), message, hint)

    def declare(self, found: Iterable[Resource], own: str, report: Report) -> None:
        """Takes in the DestinationRules, after every ServiceEntry. ``own``: the workload's namespace."""
        candidates: dict[str, list[Candidate]] = {}
        for one in found:
            made: Declared = one.memo or declared(one.spec, report)
            one.draft = made
            for cluster, narrow in self._ruled_by(one, made.host, report):
                candidates.setdefault(cluster, []).append(Candidate(one, made, narrow))
        for cluster, some in candidates.items():
            for each in chosen(some, self._firsts[cluster].meta.namespace, own, report):
                self._declare(each.found, each.made, cluster, report)
                ruled = self.ruled.get(cluster, each.found)
                self.ruled[cluster] = min(ruled, each.found, key=Resource.age)
                self._rulers.setdefault(cluster, []).append(each.found)

    def ruled_by(self, rule: Resource) -> list[str]:
        """The clusters for which a DestinationRule holds, or part of it."""
        return [name for name, rulers in self._rulers.items() if rule in rulers]

    def close(self, name: str) -> None:
        """Leaves a cluster without instances, so that calls to it are refused."""
        entry = self._entries[name]
        apart = {number: replace(one, endpoints=(), named=()) for number, one in entry.apart.items()}
        emptied = replace(entry.cluster, endpoints=(), named=())
        self._entries[name] = entry = replace(entry, cluster=emptied, apart=apart, named={})
        self.by_name[name] = entry.cluster

    def _ruled_by(self, found: Resource, host: str, report: Report) -> list[tuple[str, int]]:
        """The clusters that the host of a DestinationRule means, and how narrow it is."""
        if host == "*" or host.startswith("*."):
            fits = [n for n, entry in self._entries.items() if any(one.endswith(host[1:]) for one in entry.hosts)]
            if not fits and not any(one.endswith(host[1:]) for one in self.passing):
                report.warn(found.at.at("host"), f"no service that is listed is {host}")
            return [(name, len(host)) for name in fits]
        return [(name, EXACT) for name in self.told(found, "host", host, report)]

    def told(self, found: Resource, key: str, host: str, report: Report) -> tuple[str, ...]:
        """The clusters that a document is about; none is reported."""
        clusters = dict.fromkeys((*self.named(host, found.meta.namespace), *self.offered_by(host)) if host else ())
        if not clusters and host and host not in self.passing and not report.incomplete:
            report.add(found.at.at(key), f"unknown host {host}", self.hint(host, report))
        return tuple(clusters)

    def _declare(self, found: Resource, made: Declared, cluster: str, report: Report) -> None:
        declared = self.subsets[cluster]
        for i, subset in enumerate(made.subsets):
            if subset.name.startswith("$"):
                at = found.spec.subsets[i].at.at("name")
                report.add(at, "a declared subset cannot start with $", "$ is for labels: they need no declaration")
            elif subset.name in declared:
                before = self._declared[cluster, subset.name]
                if before is found:
                    hint = f"first at {declared[subset.name].origin}"
                    at = found.spec.subsets[i].at.at("name")
                    report.add(at, f"subset {subset.name} of {cluster} is declared twice", hint)
                    continue
                older = min(before, found, key=Resource.age)
                if older is found:
                    declared[subset.name], self._declared[cluster, subset.name] = subset, found
                if report.warnings is not None:
                    later = found if older is before else before
                    said = f"subset {subset.name} of {cluster} is that of DestinationRule {older.name}, not this one"
                    hint = "the older one or the first by name decides, as with Istio"
                    report.warn(subset_at(later.spec, subset.name), said, hint)
            elif subset.name:
                declared[subset.name], self._declared[cluster, subset.name] = subset, found

    def instances(self, cluster: str, kind: TargetKind, text: str) -> int:
        """How many a target means; of one by label, those of all values."""
        found = self.listed(cluster)
        every = [*found.endpoints, *(named.endpoint for named in found.named)]
        match kind:
            case TargetKind.SUBSET:
                return sum(map(self.subsets[cluster][text].has, every))
            case TargetKind.BASELINE:
                return sum(text not in one.labels for one in every)
        return len(every)

    def sealed(self) -> dict[str, model.Cluster]:
        """The clusters with their subsets."""
        return self._sealed({}, self._entries)

    def resealed(self, near: Near, before: Mapping[str, model.Cluster]) -> dict[str, model.Cluster]:
        """The clusters where nothing is new but ``near``, in their order: those that no switch named or names stay."""
        touched, self.near = {*self.near.moved, *near.moved}, near
        return self._sealed(dict(before), touched)

    def _sealed(self, out: dict[str, model.Cluster], names: Collection[str]) -> dict[str, model.Cluster]:
        for name in names:
            out[name] = self._entries[name].cluster = self._guarded(self._entries[name].cluster, name, self._port(name))
        for name, parent in self._parents.items():
            if parent in names:
                out[name] = self._guarded(self._apart[name], parent, self._port(name))
                self._entries[parent].named[self._port(name)] = out[name]
        for of, cluster in self.narrowed.weighed.values():
            if self.parent(of) in names:
                out[cluster.name] = self._guarded(cluster, self.parent(of), self._port(of))
        return out

    def _port(self, name: str) -> int:
        """The one that a cluster is called at; 0: not told apart."""
        if name in self._apart:
            return int(name.rpartition(":")[2])
        called = set(self._entries[name].called.values())
        return called.pop() if len(called) == 1 else 0

    def _guarded(self, cluster: model.Cluster, name: str, port: int = 0) -> model.Cluster:
        """A cluster with its subsets and what holds for them, as those of ``name``. ``port``: called at that alone."""
        more = self.narrowed.of(cluster.name)
        subsets = self.subsets[name].values()
        if name not in self.ruled and not self.near.concerns(name):
            return near.with_policies(cluster, (*subsets, *more), None)
        host = self.ruled[name].made.levels if name in self.ruled else policy.NOTHING
        own: list[tuple[model.Subset, policy.Levels | None]] = [
            (one, self._declared[name, one.name].made.own[one.name]) for one in subsets
        ]
        own += [(one, None) for one in more]
        return self.near.ruled(self._entries[name].known, cluster, name, host, own, port)
