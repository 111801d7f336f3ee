"""Several ServiceEntries of one namespace for the same hosts: their instances are those of one application."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from meshfast import model
from meshfast.config.entry import Entry, rules
from meshfast.model import Family


def united(name: str, entries: Sequence[Entry]) -> Entry:
    """One entry of all, whose ports are told apart by their numbers; the first says which are called. The same where
    nothing changed."""
    first = entries[0]
    known = first.united
    if known is None or known[1].cluster.name != name or [*map(id, known[0])] != [*map(id, entries)]:
        first.united = known = list(entries), _united(name, entries)
    return known[1]


def _united(name: str, entries: Sequence[Entry]) -> Entry:
    first = entries[0]
    called: dict[Family, int] = {}
    for entry in entries:
        called = {**entry.called, **called}
    numbers = dict.fromkeys(n for entry in entries for n in (*entry.called.values(), *entry.apart))
    apart = {number: _joined(first.cluster, _at(entries, number)) for number in numbers}
    whole = [entry.cluster for entry in entries if entry.called.items() <= called.items()]
    http = [n for entry in entries for n in (*entry.more, *_of(entry, Family.HTTP)) if n != called.get(Family.HTTP)]
    more = tuple(dict.fromkeys(http))
    cluster = replace(_joined(first.cluster, whole), name=name, hosts=first.hosts)
    return Entry(
        name, cluster, first.hosts, rules(name, more, cluster.origin), first.variant, called,
        apart if len(numbers) > 1 else {}, more, first.picked, False,
    )  # fmt: skip


def _of(entry: Entry, family: Family) -> list[int]:
    return [entry.called[family]] if family in entry.called else []


def _at(entries: Iterable[Entry], number: int) -> list[model.Cluster]:
    """The instances at a port: those of an entry that has no other are all of its own."""
    out = []
    for entry in entries:
        if set(entry.called.values()) == {number}:
            out.append(entry.cluster)
        elif number in entry.apart:
            out.append(entry.apart[number])
    return out


def _joined(like: model.Cluster, clusters: Iterable[model.Cluster]) -> model.Cluster:
    """The instances of all, each address once."""
    endpoints: dict[tuple[str, str], model.Endpoint] = {}
    named: dict[tuple[str, str], model.Named] = {}
    for cluster in clusters:
        for one in cluster.endpoints:
            endpoints.setdefault((one.address, one.http), one)
        for each in cluster.named:
            named.setdefault((each.endpoint.address, each.endpoint.http), each)
    return replace(like, hosts=(), endpoints=tuple(endpoints.values()), subsets=(), named=tuple(named.values()))
