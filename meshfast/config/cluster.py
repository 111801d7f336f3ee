"""ServiceEntries and DestinationRules -> clusters, and what each name of theirs means."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from meshfast import model
from meshfast.config import policy, value
from meshfast.config.called import by_authority
from meshfast.config.document import Place, Refused, Report, listed
from meshfast.config.instance import outward, select
from meshfast.config.offer import Part, Variant, together, variant
from meshfast.config.port import Ports, choose
from meshfast.config.read import Resource
from meshfast.config.resource import DestinationRule, Instance, Port, ServiceEntry
from meshfast.model import Family, Pattern, TargetKind


@dataclass(slots=True)
class _Entry:
    """What becomes of a ServiceEntry, and the services of its cluster that no VirtualService is for."""

    cluster: model.Cluster  # with the subsets that were declared for it
    hosts: tuple[str, ...]
    rules: tuple[model.Rule, ...]
    variant: Variant
    called: dict[Family, int]  # the service's port for each
    apart: dict[int, tuple[model.Endpoint, ...]]  # by port, where there are several
    more: tuple[int, ...]  # further ports of HTTP
    picked: tuple[Resource, ...]  # the WorkloadEntries that are its instances
    passes: bool  # its calls go where they were dialled
    named: dict[int, model.Cluster] = field(default_factory=dict)  # the clusters of one port, as they were last
    services: dict[str, model.Service] = field(default_factory=dict)
    shared: dict[str, tuple[list[Part], model.Service]] = field(default_factory=dict)  # of which it is the first


@dataclass(slots=True)
class _Declared:
    """What becomes of a DestinationRule."""

    host: str
    subsets: tuple[model.Subset, ...]


class Clusters:
    """Every cluster, and the ways to name it: a service it offers, its own name, or its name with ``/*``."""

    def __init__(self) -> None:
        self.by_name: dict[str, model.Cluster] = {}
        self.by_service: dict[str, tuple[str, ...]] = {}  # service -> the clusters that offer it
        self.subsets: dict[str, dict[str, model.Subset]] = {}
        self._declared: dict[tuple[str, str], Resource] = {}  # cluster and subset -> by which DestinationRule
        self._apart: dict[str, model.Cluster] = {}  # of one port alone, as rules ask for them
        self._parents: dict[str, str] = {}
        self._qualified: dict[str, str] = {}  # namespace/name -> the cluster
        self.passing: dict[str, str] = {}  # services whose calls go where they were dialled -> who says so
        self._entries: dict[str, _Entry] = {}
        self._offered: dict[str, list[tuple[Resource, int]]] = {}  # by which entries, as which of their hosts

    def named(self, host: str) -> tuple[str, ...]:
        """The names of the clusters that a host means; several where a service is offered by several."""
        if host in self.by_service:
            return self.by_service[host]
        name = host.removesuffix("/*")
        name = self._qualified.get(name, name)
        return (name,) if name in self.by_name else ()

    def find(self, host: str, own: str | None = None) -> str | None:
        """The name of the cluster that a host means in the rules of ``own``, or None."""
        found = self.named(host)
        if own in found:
            return own
        return found[0] if len(found) == 1 else None

    def names(self) -> Iterator[str]:
        """Everything that ``find`` knows, for a hint."""
        yield from self.by_service
        yield from self.by_name

    def hint(self, host: str, report: Report) -> str:
        """What may have been meant by a host that nothing here is."""
        if host in self.passing:
            return f"{self.passing[host]} lists no instances: its calls go where they were dialled"
        if "*" in host.removesuffix("/*"):
            return "patterns are for the hosts of a VirtualService"
        alone = host.partition(".svc.")[0].partition(".")[0] if ".svc." in host else host.rpartition("/")[2]
        if alone != host and self.named(alone):
            return f"did you mean {alone}? namespaces and domains are not looked at"
        names = list(self.names())
        return report.near(
            host,
            names,
            listed("no ServiceEntry offers it or is called so; there are", names, "no ServiceEntry is there"),
        )

    def called(self, cluster: str) -> dict[Family, int]:
        """The port of its services that calls of each family go to."""
        return self._entries[cluster].called

    def ports(self, cluster: str) -> list[int]:
        """All the ports that are given for its services."""
        return list(self._entries[cluster].apart)

    def at_port(self, cluster: str, number: int) -> str | None:
        """The name of the cluster that has the same instances at this port alone; None where it has no such port."""
        entry = self._entries.get(cluster)
        if entry is not None and set(entry.called.values()) == {number}:
            return cluster
        if entry is None or number not in entry.apart:
            return None
        name = f"{cluster}:{number}"
        if name not in self._apart:
            before = entry.named.get(number)
            made = replace(entry.cluster, name=name, hosts=(), endpoints=entry.apart[number], subsets=())
            self._apart[name] = before if before is not None and replace(before, subsets=()) == made else made
            self._parents[name] = cluster
            self.subsets[name] = self.subsets[cluster]
        return name

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
        made: _Entry = found.memo
        picked = select(found, workloads)
        if made is None or made.cluster.name != found.called or [*map(id, made.picked)] != [*map(id, picked)]:
            made = _entry(found, picked, report)
        found.draft = made
        if made.passes:
            self.passing.update(dict.fromkeys(made.hosts, found.called))
            return
        for i, host in enumerate(made.hosts):
            if not host:
                continue
            if "*" in host[1:] or host[0] == "*" and (host[1:2] != "." or len(host) < 3):
                at = _host_at(found, i)
                report.add(at, f'"{host}" is not a host', "write a service, or *.suffix")
            elif (there := self._same(host, made.variant)) is not None:
                hint = "list its instances in one ServiceEntry, or tell them apart by the annotations group and version"
                report.add(_host_at(found, i), f"{host} is offered twice", f"{hint}; first at {there.origin()}")
            else:
                self.by_service[host] = (*self.by_service.get(host, ()), found.called)
                self._offered.setdefault(host, []).append((found, i))
        self._entries[found.called] = made
        self.by_name[found.called] = made.cluster
        if found.meta.namespace:
            self._qualified[f"{found.meta.namespace}/{found.name}"] = found.called
        self.subsets[found.called] = {}

    def _same(self, host: str, variant: Variant) -> Place | None:
        """Where an entry offers the same service under the same group and version."""
        for other, i in self._offered.get(host, ()):
            if other.draft.variant == variant:
                return _host_at(other, i)
        return None

    def check_names(self, report: Report) -> None:
        """A name means one cluster, whichever way it is read."""
        for host, offered in self._offered.items():
            other = next((each for each in offered if each[0].called != host), None)
            if host in self.by_name and other is not None:
                hint = "rename one of them: as a host, both would be meant"
                message = f"the service {host} is offered here and is another ServiceEntry's name"
                report.add(_host_at(*other), message, hint)

    def declare(self, found: Resource, report: Report) -> None:
        """Takes in a DestinationRule, after every ServiceEntry."""
        made: _Declared = found.memo or _declared(found.spec, report)
        found.draft = made
        clusters = self.named(made.host) if made.host else ()
        if not clusters and made.host and made.host not in self.passing and not report.incomplete:
            report.add(found.at.at("host"), f"unknown host {made.host}", self.hint(made.host, report))
        for cluster in clusters:
            self._declare(found, made, cluster, report)

    def _declare(self, found: Resource, made: _Declared, cluster: str, report: Report) -> None:
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
                    report.warn(_subset_at(later, subset.name), said, hint)
            elif subset.name:
                declared[subset.name], self._declared[cluster, subset.name] = subset, found

    def instances(self, cluster: str, kind: TargetKind, text: str) -> int:
        """How many a target means; of one by label, those of all values."""
        found = self._apart[cluster] if cluster in self._apart else self.by_name[cluster]
        carried = [endpoint.labels for endpoint in found.endpoints]
        match kind:
            case TargetKind.SUBSET:
                wanted = self.subsets[cluster][text].labels.items()
                return sum(wanted <= labels.items() for labels in carried)
            case TargetKind.BASELINE:
                return sum(text not in labels for labels in carried)
        return len(carried)

    def sealed(self) -> dict[str, model.Cluster]:
        """The clusters with their subsets."""
        for name, entry in self._entries.items():
            subsets = tuple(self.subsets[name].values())
            if entry.cluster.subsets != subsets:
                entry.cluster = replace(entry.cluster, subsets=subsets)
        out = {name: entry.cluster for name, entry in self._entries.items()}
        for name, cluster in self._apart.items():
            parent = out[self._parents[name]]
            out[name] = cluster if cluster.subsets == parent.subsets else replace(cluster, subsets=parent.subsets)
            self._entries[parent.name].named[int(name.rpartition(":")[2])] = out[name]
        return out


def _subset_at(found: Resource, name: str) -> Place:
    rule: DestinationRule = found.spec
    return next(one.at.at("name") for one in rule.subsets if one.name == name)


def _host_at(found: Resource, number: int) -> Place:
    return found.at.at("hosts", number)


def _entry(found: Resource, picked: tuple[Resource, ...], report: Report) -> _Entry:
    entry: ServiceEntry = found.spec
    passes = outward(entry, report)
    ports = choose(replace(entry, ports=()) if passes else entry, report)
    selected = [replace(each.spec, labels=each.labels) for each in picked]
    instances = () if passes else (*entry.endpoints, *selected)
    endpoints: list[model.Endpoint] = []
    by_port: dict[int, list[model.Endpoint]] = {port.number: [] for port in ports.given}
    seen: dict[str, Place] = {}
    for instance in instances:
        endpoint = _endpoint(instance, ports, report)
        if endpoint is None:
            continue
        for address in filter(None, (endpoint.address, endpoint.http)):
            if address in seen:
                report.add(instance.at, f"{address} is listed twice", f"first at {seen[address].origin()}")
            seen[address] = instance.at
        endpoints.append(endpoint)
        for port in ports.given if len(ports.given) > 1 else ():
            if (one := _endpoint(instance, ports, report, port)) is not None:
                by_port[port.number].append(one)
    origin = entry.at.origin()
    hosts = tuple(dict.fromkeys(entry.hosts))
    cluster = model.Cluster(found.called, hosts, tuple(endpoints), (), origin)
    target = model.Target(found.called, TargetKind.ALL, weight=100, origin=origin)
    own = variant(found.meta.annotations, (instance.labels for instance in instances))
    apart = {number: tuple(found) for number, found in by_port.items()}
    rules = tuple(
        model.Rule("", (model.Match((by_authority(number),), origin=origin),), (to,), origin=origin)
        for number in ports.more
        for to in (replace(target, cluster=f"{found.called}:{number}"),)
    )
    rules += (model.Rule("", (), (target,), origin=origin),)
    return _Entry(cluster, entry.hosts, rules, own, ports.called(), apart, ports.more, picked, passes)


def _declared(rule: DestinationRule, report: Report) -> _Declared:
    policy.check(rule.traffic_policy, None, report)
    for each in rule.subsets:
        policy.check(each.traffic_policy, rule.traffic_policy, report)
    subsets = tuple(model.Subset(subset.name, subset.labels, subset.at.origin()) for subset in rule.subsets)
    return _Declared(rule.host, subsets)


def _endpoint(instance: Instance, ports: Ports, report: Report, port: Port | None = None) -> model.Endpoint | None:
    """An instance, at one of the ports or at those that are for what callers speak."""
    at = instance.at
    if at.bad:
        return None
    try:
        if instance.address.startswith("unix://"):
            if instance.ports:
                report.add(at.at("ports"), "a UNIX socket has no port", "remove ports")
            places = dict.fromkeys(ports.families(), value.unix(instance.address))
        else:
            host = value.ip(instance.address)
            numbers = ports.numbers(instance, report) if port is None else ports.at(port, instance)
            if numbers is None:
                return None
            places = {family: value.join(host, number) for family, number in numbers.items()}
    except Refused as no:
        report.add(at.at("address"), no.message, no.hint)
        return None
    if not places:
        return None  # which port is meant was asked already
    first = min(places)
    other = places.get(Family.HTTP, "")
    speaks = None if len(places) > 1 and other == places[first] else first
    return model.Endpoint(
        places[first],
        instance.labels,
        instance.weight or 1,
        instance.locality,
        at.origin(),
        speaks,
        other if other != places[first] else "",
    )


def advise(found: Iterable[Resource], listeners: Iterable[model.Listener], report: Report) -> None:
    """Warns of applications that have no instance, and of instances that are ``listeners``, which route calls again."""
    binds = [(listener.name, listener.bind) for listener in listeners]
    for resource in found:
        if resource.kind != "ServiceEntry" or resource.draft.passes:
            continue
        endpoints = resource.draft.cluster.endpoints
        if not endpoints:
            hint = "its calls are answered with status 80: add endpoints"
            report.warn(resource.at.at("endpoints"), f"{resource.called} has no instance", hint)
        listed_here = not resource.draft.picked
        for i, endpoint in enumerate(endpoints if binds and listed_here else ()):
            places = [address for address in (endpoint.address, endpoint.http) if address]
            met = next(((p, name) for p in places for name, bind in binds if value.reaches(p, bind)), None)
            if met is not None:
                address, name = met
                message = f"{address} is this sidecar's own listener {name}: a call would be routed again"
                report.warn(resource.at.at("endpoints", i), message, "name the application's own address")


def build(found: Iterable[Resource], report: Report) -> Clusters:
    """All clusters of the documents."""
    clusters = Clusters()
    resources = list(found)
    workloads = [resource for resource in resources if resource.kind == "WorkloadEntry"]
    for resource in resources:
        if resource.kind == "ServiceEntry":
            clusters.add(resource, workloads, report)
    clusters.check_names(report)
    for resource in resources:
        if resource.kind == "DestinationRule":
            clusters.declare(resource, report)
    return clusters
