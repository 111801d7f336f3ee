"""How the localities of applications are, and how many calls each has had: of those whose policy tells them apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from meshfast import _core
from meshfast.exposition import Family, Metric
from meshfast.model import Cluster
from meshfast.model import Family as Speaks
from meshfast.routing import Table

__all__ = ["METRICS", "Localities"]

_WHERE = ("host", "locality")
_CALLS = Metric("meshfast_locality_calls_total", "counter", "calls to an application's instances, by locality", _WHERE)
_SHARE = Metric(
    "meshfast_locality_share", "gauge", "percent of the calls to all instances that go there now",
    ("host", "locality", "protocol"),
)  # fmt: skip
_MEMBERS = Metric("meshfast_locality_instances", "gauge", "instances", _WHERE)
_WELL = Metric("meshfast_locality_well", "gauge", "instances that calls go to", _WHERE)

METRICS = (_CALLS, _SHARE, _MEMBERS, _WELL)


@dataclass
class Localities:
    """Adds up what peers count, so that an instance may go and its calls stay counted. Looked at before each change of
    the mesh, and where the figures are asked for."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    _seen: dict[str, int] = field(default_factory=dict)  # calls by address
    _listed: tuple[Cluster, ...] = ()  # those that are told apart
    _where: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # by address: clusters, and localities there

    def look(self, table: Table) -> None:
        """Takes in what the peers have counted since."""
        clusters = tuple(_told_apart(table))
        if not clusters and not self._seen:
            return
        self._list(clusters)
        found = table.native.calls()
        for address, calls in found.items():
            more = calls - self._seen.get(address, 0)
            for where in self._where.get(address, ()) if more > 0 else ():
                self.calls[where] += more
        self._seen = found

    def _list(self, clusters: tuple[Cluster, ...]) -> None:
        """There may be very many instances: only those of clusters that are other ones are looked at."""
        gone, came = _core.differing(self._listed, clusters)
        for cluster in gone:
            for address, where in _places(cluster):
                self._where[address].remove(where)
                if not self._where[address]:
                    del self._where[address]
        for cluster in came:
            for address, where in _places(cluster):
                self._where.setdefault(address, []).append(where)
                self.calls[where] += 0
        self._listed = clusters

    def families(self, table: Table) -> Iterator[Family]:
        """The metrics as they are now."""
        self.look(table)
        shares: Counter[tuple[str, str, str]] = Counter()
        members: Counter[tuple[str, str]] = Counter()
        well: Counter[tuple[str, str]] = Counter()
        for cluster in _told_apart(table):
            for family, protocol in ((Speaks.DUBBO, "dubbo"), (Speaks.HTTP, "http")):
                for one in table.levels(cluster.name, "", family):
                    shares[cluster.name, one.locality, protocol] += round(one.share, 2)  # type: ignore[assignment]
                    if not one.moved:
                        where = cluster.name, one.locality
                        members[where], well[where] = max(members[where], one.members), max(well[where], one.well)
        yield _CALLS, [[_CALLS.line(where, n) for where, n in self.calls.items()]]
        yield _SHARE, [[_SHARE.line(where, n) for where, n in shares.items()]]
        yield _MEMBERS, [[_MEMBERS.line(where, n) for where, n in members.items()]]
        yield _WELL, [[_WELL.line(where, n) for where, n in well.items()]]


def _places(cluster: Cluster) -> Iterator[tuple[str, tuple[str, str]]]:
    for one in cluster.endpoints:
        for address in {one.address, one.http} - {""}:
            yield address.removeprefix("tcp://"), (cluster.name, one.locality)


def _told_apart(table: Table) -> Iterator[Cluster]:
    for cluster in table.mesh().clusters.values():
        if cluster.policy is not None and cluster.policy.locality is not None:
            yield cluster
