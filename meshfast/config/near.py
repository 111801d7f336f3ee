"""Clusters as they are seen from this workload: the policies that depend on where it is, and what moves their calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from meshfast import model, policies
from meshfast.config import locality, place, policy, switch
from meshfast.config.document import Place, Report, listed
from meshfast.config.locality import Move, Setting
from meshfast.config.read import Resource


@dataclass(frozen=True, slots=True)
class Seen:
    """A policy, and all that it rests on."""

    endpoints: tuple[model.Endpoint, ...]
    named: tuple[model.Named, ...]
    host: policy.Levels
    subset: policy.Levels | None
    rest: tuple[object, ...]
    policy: policies.Policy | None


Known = dict[tuple[str, str, int], Seen]  # by cluster, subset and port


class Near:
    """``asked``: clusters of which a rule asks for instances of the own region; filled later."""

    def __init__(self, sidecar: model.Sidecar) -> None:
        self.own = place.own(sidecar)
        self.asked: set[str] = set()
        self._moves: dict[str, tuple[Resource, Move | None]] = {}

    def take(
        self, found: Iterable[Resource], told: Callable[[Resource, str, str, Report], tuple[str, ...]], report: Report
    ) -> None:  # fmt: skip
        """Takes in the RegionSwitches; ``told``: the clusters that a document's field means."""
        for one in found:
            if one.kind == "RegionSwitch":
                self._switch(one, told(one, "app", one.spec.app, report), report)

    def _switch(self, found: Resource, clusters: tuple[str, ...], report: Report) -> None:
        move = found.draft = found.memo or switch.read(found.spec, found.name, report)
        for name in clusters:
            before = self._moves.setdefault(name, (found, move))[0]
            if before is not found:
                hint = f"change the one at {before.at.origin()}, or remove it"
                report.add(found.at.at("app"), f"the calls of {name} are switched by RegionSwitch {before.name}", hint)

    @property
    def moved(self) -> Iterable[str]:
        """The clusters that switches name."""
        return self._moves.keys()

    def concerns(self, cluster: str) -> bool:
        """Whether anything is said of it besides DestinationRules."""
        return cluster in self._moves or cluster in self.asked

    def ruled(
        self, known: Known, cluster: model.Cluster, name: str, host: policy.Levels,
        subsets: Iterable[tuple[model.Subset, policy.Levels | None]], port: int,
    ) -> model.Cluster:  # fmt: skip
        """A cluster with what holds for it and its subsets."""
        own = self.policy(known, cluster, name, "", host, None, port)
        made = (replace(one, policy=self.policy(known, cluster, name, one.name, host, of, port)) for one, of in subsets)
        return with_policies(cluster, tuple(made), own)

    def policy(
        self, known: Known, cluster: model.Cluster, name: str, subset: str, host: policy.Levels,
        own: policy.Levels | None, port: int,
    ) -> policies.Policy | None:  # fmt: skip
        """What holds for ``cluster``, which is ``name`` or one port of it, or for a subset; the one that is ``known``
        where nothing has changed."""
        move = self._moves[name][1] if name in self._moves else None
        rest = (self.own, move, name in self.asked)
        seen = known.get((cluster.name, subset, port))
        if (
            seen is None
            or seen.endpoints is not cluster.endpoints
            or seen.named is not cluster.named
            or seen.host is not host
            or seen.subset is not own
            or seen.rest != rest
        ):

            def look(blocks: policy.Blocks) -> policies.Locality | None:
                there = (*cluster.endpoints, *(one.endpoint for one in cluster.named))
                panic = blocks.outlier.least_percent if blocks.outlier is not None else None
                return locality.build(blocks.locality, panic, there, self.own, move, name in self.asked)

            made = policy.effective(host, own, port, look)
            seen = Seen(cluster.endpoints, cluster.named, host, own, rest, made)
            known[cluster.name, subset, port] = seen
        return seen.policy

    def advise(self, clusters: Mapping[str, model.Cluster], ruled: Mapping[str, Resource], report: Report) -> None:
        """Warns of places that nobody is in; ``ruled``: by cluster, its DestinationRule."""
        asks: list[Place] = []
        for cluster, found in ((clusters[name], rule) for name, rule in ruled.items() if name in clusters):
            there = _parts(cluster)
            for at, setting in _settings(found):
                asks.append(at)
                for name, key in _named(setting):
                    if there and not any(one.fits(place.parts(name)) for one in there):
                        known = sorted({"/".join(one).rstrip("/") for one in there if one.region})
                        hint = listed("its instances are in", known, "none of its instances says where it is")
                        report.warn(at.at(key), f"no instance of {cluster.name} is in {name}", hint)
        if asks and not self.own.parts.region:
            hint = "workload: {locality: region/zone} in the Sidecar, or labels topology.kubernetes.io/region and zone"
            report.warn(asks[0], "where this workload is, is not known: localities are not told apart", hint)
        self._advise_switches(clusters, report)

    def _advise_switches(self, clusters: Mapping[str, model.Cluster], report: Report) -> None:
        """Warns of switches that move nothing."""
        for name, (found, move) in self._moves.items():
            there = _parts(clusters[name]) if name in clusters else []
            for key, wanted in (("from", move.origin), ("to", move.to)) if move is not None else ():
                if not any(one.fits(wanted) for one in there):
                    where = "/".join(filter(None, wanted))
                    report.warn(found.at.at(key), f"no instance of {name} is in {where}", "its calls stay as they are")


def with_policies(
    cluster: model.Cluster, subsets: tuple[model.Subset, ...], own: policies.Policy | None
) -> model.Cluster:  # fmt: skip
    """The same cluster where it has them already."""
    if cluster.subsets == subsets and cluster.policy == own:
        return cluster
    return replace(cluster, subsets=subsets, policy=own)


def _parts(cluster: model.Cluster) -> list[place.Parts]:
    """Where its instances are."""
    return [place.parts(one.locality) for one in (*cluster.endpoints, *(named.endpoint for named in cluster.named))]


def _settings(found: Resource) -> Iterator[tuple[Place, Setting]]:
    """The settings of a DestinationRule and where they are written."""
    rule = found.spec
    for one in (rule.traffic_policy, *(each.traffic_policy for each in rule.subsets)):
        for level in (one, *one.port_level) if one is not None else ():
            balancer = level.load_balancer
            if balancer is not None and balancer.locality is not None and balancer.locality.enabled:
                yield balancer.locality.at, locality.settle(balancer.locality)


def _named(setting: Setting) -> Iterator[tuple[str, str]]:
    """The places that calls are to go to, and the field that says so."""
    for _, shares in setting.distribute:
        yield from ((name, "distribute") for name in shares)
    for _, region in setting.failover:
        yield region, "failover"
