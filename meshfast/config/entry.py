"""A ServiceEntry -> its clusters: mostly one; where its hosts are names to be resolved, one for each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from meshfast import model
from meshfast.config import hostname, value
from meshfast.config.called import by_authority
from meshfast.config.document import Place, Refused, Report
from meshfast.config.instance import outward, own_names
from meshfast.config.near import Known
from meshfast.config.offer import Part, Variant, variant
from meshfast.config.place import said
from meshfast.config.port import Ports, choose
from meshfast.config.read import Resource
from meshfast.config.resource import Instance, Port, ServiceEntry
from meshfast.model import Family, TargetKind


@dataclass(slots=True)
class Entry:
    """What becomes of a ServiceEntry, and the services of its cluster that no VirtualService is for."""

    called_as: str
    cluster: model.Cluster  # with the subsets that were declared for it
    hosts: tuple[str, ...]
    rules: tuple[model.Rule, ...]
    variant: Variant
    called: dict[Family, int]  # the service's port for each
    apart: dict[int, model.Cluster]  # by port, where there are several: the cluster with that one alone
    more: tuple[int, ...]  # further ports of HTTP
    picked: tuple[Resource, ...]  # the WorkloadEntries that are its instances
    passes: bool  # its calls go where they were dialled
    unread: Mapping[int, str] = field(default_factory=dict)  # ports of which protocols are not read
    listed: bool = False  # by a registry: whatever port is called
    offered_by: frozenset[str] = frozenset()  # the applications that a registry lists its instances of
    named: dict[int, model.Cluster] = field(default_factory=dict)  # the clusters of one port, as they were last
    services: dict[str, model.Service] = field(default_factory=dict)
    shared: dict[str, tuple[list[Part], model.Service]] = field(default_factory=dict)  # of which it is the first
    known: Known = field(default_factory=dict)  # its policies, as they were last
    united: tuple[list[Entry], Entry] | None = None  # with others of its hosts, and what came of it


@dataclass(slots=True)
class _Members:
    """The instances of a cluster, those that are named by a host apart."""

    endpoints: list[model.Endpoint] = field(default_factory=list)
    named: list[model.Named] = field(default_factory=list)

    def add(self, endpoint: model.Endpoint, host: str, single: bool) -> None:
        if host:
            self.named.append(model.Named(host, endpoint, single))
        else:
            self.endpoints.append(endpoint)

    def cluster(self, name: str, hosts: tuple[str, ...], origin: model.Origin) -> model.Cluster:
        return model.Cluster(name, hosts, tuple(self.endpoints), (), origin, named=tuple(self.named))


def entries(found: Resource, picked: tuple[Resource, ...], report: Report) -> tuple[Entry, ...]:
    """What becomes of a ServiceEntry and the WorkloadEntries that it selects."""
    entry: ServiceEntry = found.spec
    passes = outward(entry, report)
    ports = choose(replace(entry, ports=()) if passes else entry, report)
    hosts = tuple(dict.fromkeys(entry.hosts))
    if passes or not own_names(entry):
        selected = [replace(each.spec, labels=each.labels) for each in picked]
        instances = () if passes else (*entry.endpoints, *selected)
        return (_entry(found, found.called, hosts, instances, ports, picked, passes, report),)
    names = [found.called, *(f"{found.called}/{host}" for host in hosts[1:])]
    return tuple(
        _entry(found, name, (host,), (Instance(at=entry.at, address=host),), ports, picked, False, report)
        for name, host in zip(names, hosts, strict=True)
    )


def _entry(
    found: Resource, name: str, hosts: tuple[str, ...], instances: tuple[Instance, ...], ports: Ports,
    picked: tuple[Resource, ...], passes: bool, report: Report,
) -> Entry:  # fmt: skip
    resolution, origin = found.spec.resolution, found.spec.at.origin()
    single = resolution == "DNS_ROUND_ROBIN"
    members = _Members()
    by_port: dict[int, _Members] = {port.number: _Members() for port in ports.given}
    seen: dict[str, Place] = {}
    for instance in instances:
        host = instance.address if resolution in hostname.BY_DNS and hostname.is_name(instance.address) else ""
        endpoint = _endpoint(instance, bool(host), ports, report)
        if endpoint is None:
            continue
        for address in filter(None, (endpoint.address, endpoint.http)):
            if address in seen:
                report.add(instance.at, f"{address} is listed twice", f"first at {seen[address].origin()}")
            seen[address] = instance.at
        members.add(endpoint, host.lower(), single)
        for port in ports.given if len(ports.given) > 1 else ():
            if (one := _endpoint(instance, bool(host), ports, report, port)) is not None:
                by_port[port.number].add(one, host.lower(), single)
    own = variant(found.meta.annotations, (instance.labels for instance in instances))
    apart = {number: each.cluster("", (), origin) for number, each in by_port.items()}
    cluster = replace(members.cluster(name, hosts, origin), group=own.group, version=own.version)
    made = rules(name, ports.more, origin)
    called = ports.called()
    return Entry(found.called, cluster, hosts, made, own, called, apart, ports.more, picked, passes, ports.unread)


def rules(name: str, more: tuple[int, ...], origin: model.Origin | None) -> tuple[model.Rule, ...]:
    """Those of a service without a VirtualService: to all instances, at the port that its authority names."""
    target = model.Target(name, TargetKind.ALL, weight=100, origin=origin)
    named = tuple(
        model.Rule("", (model.Match((by_authority(number),), origin=origin),), (to,), origin=origin)
        for number in more
        for to in (replace(target, cluster=f"{name}:{number}"),)
    )
    return (*named, model.Rule("", (), (target,), origin=origin))


def _endpoint(
    instance: Instance, named: bool, ports: Ports, report: Report, port: Port | None = None
) -> model.Endpoint | None:
    """An instance, at one of the ports or at those that are for what callers speak. ``named``: by a host."""
    at = instance.at
    if at.bad:
        return None
    try:
        if instance.address.startswith("unix://"):
            if instance.ports:
                report.add(at.at("ports"), "a UNIX socket has no port", "remove ports")
            places = dict.fromkeys(ports.families(), value.unix(instance.address))
        else:
            host = hostname.host(instance.address) if named else value.ip(instance.address)
            numbers = ports.numbers(instance, report) if port is None else ports.at(port, instance)
            if numbers is None:
                return None
            places = {family: value.join(host, number) for family, number in numbers.items()}
    except Refused as no:
        hint = no.hint + (", or resolution: DNS for names" if no.hint == value.WRITE_IP else "")
        report.add(at.at("address"), no.message, hint)
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
        said(instance.locality, instance.labels),
        at.origin(),
        speaks,
        other if other != places[first] else "",
    )
