"""The label table: where a request goes, and why.

>>> from meshfast import config, routing
>>> table = routing.Table()
>>> table.publish(config.load(["policy/"]))         # doctest: +SKIP
>>> table.lookup("com.x.Cart", labels={"env": "dev1"}).address  # doctest: +SKIP
'10.0.0.8:20880'
"""

from __future__ import annotations

import random as _random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from meshfast import _core
from meshfast.apply import Applied, Writer
from meshfast.model import Family, Http, Label, Mesh, Pattern, Rule, Service
from meshfast.shared import Bound, Mirrored

__all__ = ["Decision", "Route", "Step", "Table"]

Headers = Mapping[str, str | None] | Iterable[tuple[str, str | None]]


class Route(NamedTuple):
    """Where a request goes: the instance's address, the index of the rule (from 0), how many targets were passed over,
    and the rule's timeout in milliseconds (0: none)."""

    address: str
    rule: int
    fallbacks: int
    timeout_ms: int


class Level(NamedTuple):
    """What is so of one locality of an application's instances now. ``moved``: of the calls that a switch moves;
    ``level``: from 0; ``well``: how many of its ``members`` calls go to; ``load``: percent of calls for the level;
    ``panic``: so few are well that all are used; ``share``: percent of all calls."""

    moved: bool
    level: int
    locality: str
    members: int
    well: int
    load: int
    panic: bool
    share: float


@dataclass(frozen=True, slots=True)
class Step:
    """One thing looked at on the way: ``kind`` as in ``enum mf_route_step_kind``, and the indexes it names."""

    kind: str
    rule: int
    match: int
    condition: int
    target: int
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """A route, or why there is none (``error``, "" when there is one), and every step to it."""

    route: Route | None
    error: str
    steps: tuple[Step, ...]
    service: Service | None


def _view(http: Http | None) -> tuple[str | None, str | None, str | None, str | None, str | None] | None:
    if http is None:
        return None
    path, mark, query = http.path.partition("?")
    return http.method or None, http.scheme or None, http.authority or None, path or None, query if mark else None


class Table:
    """A table to publish meshes in and to ask. One thread uses it; native workers read it at any time."""

    def __init__(self) -> None:
        self.native = _core.Table()
        self._writer = Writer(self.native)
        self._mesh = Mesh()

    def __len__(self) -> int:
        """How many services there are."""
        return len(self.native)

    def publish(self, mesh: Mesh) -> Applied:
        """Puts a mesh in force, all or nothing; only what changed is published.

        :raises MeshfastError: something in it cannot be built; nothing has changed
        """
        applied = self._writer.apply(mesh)
        self._mesh = mesh
        return applied

    def lookup(
        self, service: str, headers: Headers = (), labels: Mapping[str, str] | None = None, *, method: str = "",
        http: Http | None = None, random: int | None = None, arguments: Sequence[str | None] = (),
    ) -> Route:  # fmt: skip
        """Where such a request goes now: what a worker would decide for it.

        It is counted nowhere and sent nowhere. About a microsecond; in the thread that publishes.

        :param service: the interface's name, as callers name it
        :param headers: attachments, ``group`` and ``version``: a mapping, or pairs, of which the last of a name counts;
            names are compared as they are; None stands for a value that is there and no text (a number, a list)
        :param labels: the request's labels by name, as TrafficLabels would find them (they are not looked for in
            ``headers``); one that no TrafficLabel and no rule names changes nothing
        :param method: its name
        :param http: of an HTTP request, which is matched by that, and by headers whose names ignore case
        :param random: 64 bits, to choose among weights and instances; without: drawn anew
        :param arguments: of a call of Dubbo, as Java's ``String.valueOf`` says them; None stands for an object
        :raises StateError: no such service, no rule that matches, no instance, or none available; ``code`` tells which
        """
        draw = _random.getrandbits(64) if random is None else random
        return Route(*self.native.lookup(service, method, headers, labels, draw, _view(http), arguments))

    def explain(
        self, service: str, headers: Headers = (), labels: Mapping[str, str] | None = None, *, method: str = "",
        http: Http | None = None, random: int | None = None, branch: int | None = None,
        arguments: Sequence[str | None] = (),
    ) -> Decision:  # fmt: skip
        """The same decision with every step written down.

        :param random: 64 bits, to choose among weights and instances; without: drawn anew
        :param branch: the index (from 0) of the rule's target that the weights are to pick; without: as drawn
        """
        draw = _random.getrandbits(64) if random is None else random
        first = 0 if branch is None else branch + 1
        answer = self.native.explain(service, method, headers, labels or {}, draw, first, _view(http), arguments)
        code, address, rule, timeout_ms, fallbacks, raw = answer
        steps = tuple(Step(*one) for one in raw)
        route = None if code else Route(address, rule, fallbacks, timeout_ms)
        return Decision(route, _core.error_text(code) if code else "", steps, self._find(steps))

    def levels(self, cluster: str, subset: str = "", family: Family = Family.DUBBO) -> list[Level]:
        """The localities of an application's instances, or of a subset's, the nearest first, by their health now; none
        where no policy tells them apart.

        :raises KeyError: no such application
        """
        found = self._mesh.clusters[cluster]
        policy = next((one.policy for one in found.subsets if one.name == subset), found.policy)
        names = policy.locality.names if policy is not None and policy.locality is not None else ()
        told = self.native.levels(self._writer.cluster(cluster), subset, family)
        return [Level(bool(one[0]), one[1], names[one[2]], *one[3:]) for one in told]

    def _find(self, steps: tuple[Step, ...]) -> Service | None:
        if not steps or steps[0].kind != "service":
            return None
        services = self._writer.services
        name = steps[0].text
        if name == "*":
            return services.get(("", Pattern.ANY)) or services.get(("*", Pattern.ANY))
        if name.endswith("*"):
            return services.get((name[:-1], Pattern.PREFIX))
        if name.startswith("*"):
            return services.get((name[1:], Pattern.SUFFIX))
        return services.get((name, Pattern.EXACT))

    def rule(self, decision: Decision) -> Rule | None:
        """The rule that decided, as the mesh has it."""
        if decision.route is None or decision.service is None:
            return None
        return decision.service.rules[decision.route.rule]

    def mesh(self) -> Mesh:
        """The mesh in force."""
        return self._mesh

    def labels(self) -> tuple[Label, ...]:
        """The traffic labels of the mesh in force."""
        return self._mesh.labels

    def stats(self, used: bool = True) -> list[dict[str, Any]]:
        """Counts per service, application and subset; ``used``: only those where a call was ever counted."""
        return self.native.stats(used)

    def stats_in_pieces(self, size: int = 256, used: bool = True) -> Iterator[list[dict[str, Any]]]:
        """The same in lists of about ``size``, or empty ones, so that whoever walks them can do other things between.
        The table may change meanwhile: what is there all the time is told once."""
        return self.native.stats_in_pieces(size, used)

    def peers(self) -> dict[str, bool]:
        """Every instance's address -> whether it is available now."""
        return self.native.peers()

    def limits(self) -> list[Bound]:
        """The rate limits in force, and what they have counted."""
        return self._writer.shared.limits()

    def mirrors(self) -> list[Mirrored]:
        """Whom copies of calls go to, and what became of them."""
        return self._writer.shared.mirrors()

    def counted(
        self, service: str, headers: Headers = (), labels: Mapping[str, str] | None = None, *, method: str = "",
        http: Http | None = None, arguments: Sequence[str | None] = (),
    ) -> list[str]:  # fmt: skip
        """The names of the rate limits that such a request counts against; it is counted nowhere."""
        return self.native.counted(service, method, headers, labels or {}, 0, _view(http), arguments)

    def reclaim(self) -> int:
        """Frees what no worker can see any more; call it now and then."""
        return self.native.reclaim()
