"""Generated policies, for two proxies: twin_istio.py writes one as documents of Istio, twin_envoy.py as istiod makes it
for Envoy. And how alike what comes of them is."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

OWN = ("r1", "z1", "s1")  # where the caller is


@dataclass(frozen=True)
class Instance:
    """One endpoint of a case. ``number``: which instance, None: a dead one."""

    number: int | None
    labels: Mapping[str, str]
    weight: int
    locality: tuple[str, ...]


@dataclass(frozen=True)
class Destination:
    subset: str
    weight: int


@dataclass(frozen=True)
class Route:
    """A rule: a test of the header ``x-a`` or of the path, or none; then its destinations."""

    field: str  # "header", "path", ""
    how: str  # "exact", "prefix", "regex"
    value: str
    destinations: tuple[Destination, ...]


@dataclass(frozen=True)
class Case:
    """One service with its policy."""

    name: str
    instances: tuple[Instance, ...]
    subsets: Mapping[str, Mapping[str, str]]
    routes: tuple[Route, ...]
    balancer: str  # of loadBalancer.simple; "": none is written
    failover: bool = False  # localities are preferred, as outlierDetection is there
    distribute: tuple[tuple[str, int], ...] = ()  # from all of the own region: to, share
    attempts: int = 0
    retry_on: str = ""
    requests: tuple[tuple[str, str], ...] = field(default=(("", "/a"),))  # x-a ("": none) and path of each kind

    @property
    def host(self) -> str:
        return f"{self.name}.twins"

    def requests_of(self, calls: int) -> Iterator[list[object]]:
        """h2load's options for each kind of request."""
        for header, path in self.requests:
            yield ["-n", calls, *(["-H", f"x-a: {header}"] if header else []), path]


SUBSETS = {"v1": {"version": "v1"}, "v2": {"version": "v2"}, "none": {"version": "v9"}}
LOCALITIES = (OWN, ("r1", "z1", "s2"), ("r1", "z2", "s1"), ("r2", "z1", "s1"), ("r3", "z1", "s1"))


def cases(seed: int, n: int, good: int, bad: int) -> list[Case]:
    """Generated ones, of each kind in turn."""
    draw = random.Random(seed)
    kinds = (_plain, _plain, _local, _distributed, _retried)
    return [kinds[i % len(kinds)](draw, f"c{i}", good, bad) for i in range(n)]


def _instances(draw: random.Random, good: int, *, weights: bool, local: bool, dead: float = 0.0) -> list[Instance]:
    numbers = draw.sample(range(good), draw.randint(3, good))
    found = [
        Instance(
            None if draw.random() < dead else number,
            {"version": draw.choice(("v1", "v2"))},
            draw.choice((1, 1, 2, 5)) if weights else 1,
            draw.choice(LOCALITIES) if local else (),
        )
        for number in numbers
    ]
    return found if sum(one.number is None for one in found) <= 1 else _instances(
        draw, good, weights=weights, local=local, dead=dead
    )


def _destinations(draw: random.Random) -> tuple[Destination, ...]:
    subsets = draw.sample(["", "v1", "v2", "none"], draw.choice((1, 1, 2, 3)))
    return tuple(Destination(subset, draw.choice((1, 2, 3, 10))) for subset in subsets)


def _plain(draw: random.Random, name: str, good: int, bad: int) -> Case:
    """Matches, weights of destinations, subsets, weights of instances."""
    tests = [
        ("header", "exact", "one"),
        ("header", "prefix", "on"),
        ("header", "regex", "o.e|two"),
        ("path", "prefix", "/a/"),
        ("path", "exact", "/a"),
        ("path", "regex", "/[bc]+"),
    ]
    picked = sorted(draw.sample(range(len(tests)), draw.randint(1, 3)))  # the narrower first, as they stand
    routes = [Route(*tests[i], _destinations(draw)) for i in picked]
    routes += [Route("", "", "", _destinations(draw))] if draw.random() < 0.8 else []
    return Case(
        name,
        tuple(_instances(draw, good, weights=True, local=False)),
        SUBSETS,
        tuple(routes),
        draw.choice(("", "ROUND_ROBIN", "LEAST_REQUEST", "RANDOM")),
        requests=(("one", "/x"), ("two", "/a"), ("once", "/bcb"), ("", "/a/b")),
    )


def _local(draw: random.Random, name: str, good: int, bad: int) -> Case:
    """Levels by locality, some instances dead."""
    return Case(
        name,
        tuple(_instances(draw, good, weights=False, local=True, dead=0.25)),
        SUBSETS,
        (Route("", "", "", (Destination(draw.choice(("", "v1")), 1),)),),
        draw.choice(("", "ROUND_ROBIN", "RANDOM")),
        failover=True,
    )


def _distributed(draw: random.Random, name: str, good: int, bad: int) -> Case:
    share = draw.choice((20, 50, 80))
    to = draw.choice((("r1/z1/*", "r1/z2/*"), ("r1/*", "r2/*"), ("r1/z1/s1", "r3/*")))
    return Case(
        name,
        tuple(_instances(draw, good, weights=False, local=True)),
        SUBSETS,
        (Route("", "", "", (Destination("", 1),)),),
        draw.choice(("", "ROUND_ROBIN")),
        distribute=((to[0], share), (to[1], 100 - share)),
    )


def _retried(draw: random.Random, name: str, good: int, bad: int) -> Case:
    """Instances of which some answer 503, and a policy that asks others then, or does not."""
    failing = [Instance(good + draw.randrange(bad), {"version": "v1"}, 1, ())]
    return Case(
        name,
        (*_instances(draw, good, weights=False, local=False), *failing),
        SUBSETS,
        (Route("", "", "", (Destination("", 1),)),),
        draw.choice(("ROUND_ROBIN", "RANDOM")),
        attempts=draw.choice((0, 1, 2)),
        retry_on=draw.choice(("5xx", "gateway-error", "503", "connect-failure", "retriable-4xx,reset")),
    )


def unlike(first: Sequence[int], second: Sequence[int]) -> float:
    """How unlikely it is that both are drawn from one distribution: a normal deviate (of chi-squared, by Wilson and
    Hilferty)."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a + b]
    n, m = sum(a for a, _ in pairs), sum(b for _, b in pairs)
    if n == 0 or m == 0 or len(pairs) < 2:
        return 0.0 if (n == 0) == (m == 0) else 99.0
    apart = sum((a * (m / n) ** 0.5 - b * (n / m) ** 0.5) ** 2 / (a + b) for a, b in pairs)
    free = len(pairs) - 1
    spread = 2 / (9 * free)
    return float(((apart / free) ** (1 / 3) - (1 - spread)) / spread**0.5)
