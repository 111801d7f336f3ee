"""The instances of a cluster, narrowed by one outcome after another: who gets which share of the calls, and who stands
in for whom when none of those is up.

What has instances is judged by those that are listed. Where all of them are down at the time of a call, the targets'
fallbacks stand in as Dubbo would, which does not list them then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from meshfast.config.dubbo.parties import Provider
from meshfast.config.dubbo.step import Outcome, Pick, Test

MAX_SHARES = 256  # of the calls of one rule, where several weighted rules follow each other
MAX_SETS = 1024  # of instances, that one rule's outcomes may come by
MAX_STANDING = 512  # sets of instances that stand in for one another in one rule
MAX_WORK = 1 << 23  # comparisons of sets for one rule of a service: some seconds


@dataclass(frozen=True, slots=True)
class Some:
    """Instances, by address, and what they are called."""

    members: frozenset[str]
    name: str = ""


Share = tuple[Fraction, tuple[Some, ...]]  # of the calls: to the first of these that has any up; none: to nobody
Known = dict[tuple[frozenset[str], int], list[Share]]  # by what is left, and how many outcomes are ahead


_NOBODY: list[Share] = [(Fraction(1), ())]


class TooMany(Exception):
    """More than one of the limits above."""


class Narrow:
    """Follows outcomes through one cluster."""

    def __init__(self, providers: Iterable[Provider]) -> None:
        self._providers = list(providers)
        self._met: dict[Test, frozenset[str]] = {}
        self._work = 0
        self.all = frozenset(one.address for one in self._providers)

    def members(self, test: Test) -> frozenset[str]:
        """All instances that meet a test."""
        if test not in self._met:
            self._met[test] = frozenset(one.address for one in self._providers if test.fits(one))
        return self._met[test]

    def carrying(self, labels: Mapping[str, str]) -> frozenset[str]:
        """All instances that carry all of these labels."""
        return frozenset(one.address for one in self._providers if labels.items() <= one.labels.items())

    def shares(self, some: Some, outcomes: Sequence[Outcome]) -> list[Share]:
        """How the calls that would go to ``some`` are shared.

        :raises TooMany: in more ways than can be
        """
        return self._shares(some, tuple(outcomes), {})

    def way(self, every: Iterable[Some], outcomes: Sequence[Outcome]) -> tuple[Some, ...]:
        """The same without shares: those to go to, the first of which any is up.

        :raises TooMany: in more ways than can be
        """
        return self._apart(self._flat(every, tuple(outcomes), {}))

    def _shares(self, some: Some, outcomes: Sequence[Outcome], known: Known) -> list[Share]:
        key = (some.members, len(outcomes))
        if key not in known:
            if len(known) >= MAX_SETS:
                raise TooMany
            known[key] = self._narrowed(some, outcomes, known)
        return known[key]

    def _narrowed(self, some: Some, outcomes: Sequence[Outcome], known: Known) -> list[Share]:
        if not outcomes:
            return [(Fraction(1), (some,))]
        first, rest = outcomes[0], outcomes[1:]
        later = self._tries(some, first)
        while later:
            picks = later.pop(0)
            if not picks:
                continue
            if not any(found for _, found in picks):
                return []  # meant are none of those that there are
            out: list[Share] = []
            whole = sum(weight for weight, _ in picks)
            stand_ins = [each for more in later for _, found in more for each in found]
            behind = self._flat(stand_ins, rest, known) + ([] if first.closed else self._flat([some], rest, known))
            for i, (weight, found) in enumerate(picks):
                others = [each for _, more in (*picks[i + 1 :], *picks[:i]) for each in more]
                for share, way in (self._shares(found[0], rest, known) or _NOBODY) if weight else ():
                    on = way and self._apart((*way, *self._flat([*found[1:], *others], rest, known), *behind))
                    out.append((share * Fraction(weight, whole), on))
                if len(out) > MAX_SHARES:
                    raise TooMany
            return out
        return [] if first.closed else self._shares(some, rest, known)

    def _apart(self, way: Iterable[Some]) -> tuple[Some, ...]:
        listed = list(way)
        out = apart(listed)
        self._work += 1 + len(listed) * len(out)
        if len(out) > MAX_STANDING or self._work > MAX_WORK:
            raise TooMany
        return out

    def _flat(self, every: Iterable[Some], outcomes: Sequence[Outcome], known: Known) -> list[Some]:
        out: list[Some] = []
        for some in every:
            for _, way in self._shares(some, outcomes, known):
                out += way
        return out

    def _tries(self, some: Some, outcome: Outcome) -> list[list[tuple[int, list[Some]]]]:
        """What each try of an outcome has here: of its picks that have instances the weight and those."""
        out: list[list[tuple[int, list[Some]]]] = []
        for picks in outcome.tries:
            found = [(pick.weight, self._picked(some, pick)) for pick in picks]
            if outcome.percent is not None:
                met = found[0][1][0].members if found[0][1] else frozenset()
                if 100 * len(met) < outcome.percent * len(some.members):
                    continue
                if not met:
                    return [[(1, [])]]
            if outcome.passing:
                found = _passed_on(_skewed(found))
            else:
                found = [(weight, each) for weight, each in found if each]
                found = _skewed(found) if outcome.skewed else found
            out.append(found)
        return out

    def _picked(self, some: Some, pick: Pick) -> list[Some]:
        out: list[Some] = []
        for test in pick.tests:
            members = self.members(test) & some.members
            if members:
                name = " & ".join(filter(None, (some.name, test.shown)))
                out.append(some if members == some.members else Some(members, name))
        return out


def _skewed(found: list[tuple[int, list[Some]]]) -> list[tuple[int, list[Some]]]:
    """The first has one more of the whole, the last one less."""
    if len(found) < 2:
        return found
    (first, a), *between, (last, z) = found
    return [(first + 1, a), *between, (last - 1, z)]


def _passed_on(found: list[tuple[int, list[Some]]]) -> list[tuple[int, list[Some]]]:
    """What nobody is there for is the next one's; behind the last, the first one's."""
    out: list[tuple[int, list[Some]]] = []
    left = 0
    for weight, each in found:
        left += weight
        if each:
            out.append((left, each))
            left = 0
    if out and left:
        out[0] = out[0][0] + left, out[0][1]
    return out


def apart(way: Iterable[Some]) -> tuple[Some, ...]:
    """Without those whose instances have all been asked for before."""
    out: list[Some] = []
    for each in way:
        if not any(each.members <= before.members for before in out):
            out.append(each)
    return tuple(out)
