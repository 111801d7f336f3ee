"""``loadBalancer`` of a trafficPolicy, but for its localities: how one of the instances is chosen."""

from __future__ import annotations

import re
from dataclasses import dataclass

from meshfast import model
from meshfast.balance import Balancer, By, Kind
from meshfast.config import value
from meshfast.config.document import Place, Refused, Report
from meshfast.config.field import Bool, Choice, Int, Parsed, Record, Struct, Text, spec

MOST_PLACES = 5_000_011  # MF_MAGLEV_MOST
MUCH = 65_537  # places, from which on a table is worth a word
MOST_ARGUMENT = 254
MOST_PATH = 1024
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")  # RFC 6265 section 4.1.1
SIMPLE = {
    "RANDOM": Kind.RANDOM,
    "ROUND_ROBIN": Kind.ROUND_ROBIN,
    "LEAST_REQUEST": Kind.LEAST_REQUEST,
    "LEAST_CONN": Kind.LEAST_REQUEST,
    "UNSPECIFIED": Kind.LEAST_REQUEST,
}
_COUNTED = (Kind.WEIGHTED, Kind.ROUND_ROBIN, Kind.LEAST_REQUEST)  # that weights, and so a warm-up, act on


def _prime(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 2 <= number < MOST_PLACES:
        raise Refused(f"{text} is not a prime below {MOST_PLACES}", f"the default suits nearly all; Envoy's is {MUCH}")
    if any(number % part == 0 for part in range(2, int(number**0.5) + 1)):
        raise Refused(f"{text} is not a prime", "calls could not be spread over all instances")
    return number


def _decimal(least: float, most: float) -> Parsed:
    words = f"a number from {least:g} to {most:g}"

    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = -1
        if not text.isascii() or not least <= number <= most:
            raise Refused(f'"{text}" is not {words}')
        return number

    return Parsed(words, parse, least)


def _cookie_path(text: str) -> str:
    if len(text) > MOST_PATH or any(not " " < char < "\x7f" or char == ";" for char in text):
        raise Refused(f'"{text[:80]}" is no path of a cookie', "write it as /path, without blanks or semicolons")
    return text


_WAIT = Parsed("a duration", value.duration, 0)
COOKIE_PATH = Parsed("a path", _cookie_path, "")


@dataclass(slots=True, kw_only=True)
class HttpCookie(Record):
    name: str = spec(Text(), "Its name.", on="HTTP")
    path: str = spec(COOKIE_PATH, "Of cookies that are made here.", "", shown="none", on="HTTP/2")
    ttl: int | None = spec(
        _WAIT,
        "Written, a call without it is given one by its answer, for so long; 0s: until its caller forgets it. Not to "
        "callers of HTTP/1, whose answers are not read.",
        None,
        shown="none is made",
        on="HTTP/2",
    )


@dataclass(slots=True, kw_only=True)
class RingHash(Record):
    minimum_ring_size: int = spec(
        Int(0, 8_388_608), "Taken with a warning: there is no ring.", 0, name="minimumRingSize", shown="none", on=""
    )


@dataclass(slots=True, kw_only=True)
class Maglev(Record):
    table_size: int = spec(
        Parsed("a prime", _prime, 0),
        "Places in the table of a group. Each group of instances has one; written, it holds for groups of any size.",
        0,
        name="tableSize",
        shown="4093 up to 128 instances, 32749 up to 1024, else 262139",
    )


@dataclass(slots=True, kw_only=True)
class ConsistentHash(Record):
    header: str = spec(
        Text(), "A header or attachment by its name; of HTTP also `:authority`, `:path`, `:method`.", "",
        name="httpHeaderName",
    )  # fmt: skip
    cookie: HttpCookie | None = spec(Struct(HttpCookie), "A cookie.", None, name="httpCookie", shown="none", on="HTTP")
    source: bool = spec(
        Bool(), "The address that the call comes from: to a sidecar mostly its own workload's.", False,
        name="useSourceIp", shown="false",
    )  # fmt: skip
    param: str = spec(Text(), "A parameter of the query.", "", name="httpQueryParameterName", on="HTTP")
    argument: int | None = spec(
        Int(0, MOST_ARGUMENT),
        "Ours. An argument of the call by its number from 0, if it is a text, a whole number, a boolean or null; not "
        "of generic calls.",
        None,
        name="dubboArgument",
        shown="none",
        on="Dubbo",
    )
    ring: RingHash | None = spec(
        Struct(RingHash), "As `maglev`, by whose table it is done.", None, name="ringHash", shown="none"
    )
    maglev: Maglev | None = spec(Struct(Maglev), "The table.", None, shown="as long as is good")
    minimum_ring_size: int = spec(
        Int(0, 8_388_608), "As in `ringHash`.", 0, name="minimumRingSize", shown="none", on=""
    )


@dataclass(slots=True, kw_only=True)
class Warmup(Record):
    duration: int = spec(_WAIT, "How long it takes.")
    least: float = spec(_decimal(0, 100), "Percent of its weight that it has at first.", 10.0, name="minimumPercent")
    aggression: float = spec(
        _decimal(1, 1000), "Above 1 it gets more at first: its share grows with the root of the time.", 1.0
    )


@dataclass(slots=True, kw_only=True)
class Choosing(Record):
    """``loadBalancer`` without what is said of localities."""

    simple: str = spec(
        Choice(*SIMPLE, "PASSTHROUGH"),
        "RANDOM: at random, whatever the weights. ROUND_ROBIN: in turn, by weight. LEAST_REQUEST, LEAST_CONN and "
        "UNSPECIFIED: by calls in flight and weight. PASSTHROUGH, for a host alone: where they were dialled, which a "
        "transparent listener knows.",
        "",
        shown="at random, by weight",
    )
    consistent_hash: ConsistentHash | None = spec(
        Struct(ConsistentHash),
        "In place of `simple`: equal calls go to one instance.",
        None,
        name="consistentHash",
        shown="none",
    )
    warmup: Warmup | None = spec(
        Struct(Warmup), "An instance that has just come, or is back, gets less at first.", None, shown="none"
    )
    warmup_secs: int = spec(_WAIT, "The old form of `warmup.duration`.", 0, name="warmupDurationSecs", shown="none")


def build(block: Choosing | None) -> Balancer | None:
    """What a block says; None where none is written."""
    if block is None:
        return None
    hashed = block.consistent_hash
    kind = Kind.HASH if hashed is not None else SIMPLE.get(block.simple, Kind.WEIGHTED)
    warmup = block.warmup_secs, 10.0, 1.0
    if block.warmup is not None:
        warmup = block.warmup.duration, block.warmup.least, block.warmup.aggression
    if not warmup[0] or kind not in _COUNTED:
        warmup = 0, 10.0, 1.0
    made = Balancer(kind, warmup_ms=warmup[0], least=warmup[1], aggression=warmup[2])
    return made if hashed is None else _hash(hashed)


def said(balancer: Balancer | None) -> Balancer | None:
    """None where instances are drawn by weight, as they are where nothing is said."""
    return None if balancer == Balancer() else balancer


def _hash(hashed: ConsistentHash) -> Balancer:
    places = hashed.maglev.table_size if hashed.maglev is not None else 0
    if hashed.cookie is not None:
        return Balancer(Kind.HASH, By.COOKIE, hashed.cookie.name, places=places, makes=_made(hashed.cookie))
    if hashed.param:
        return Balancer(Kind.HASH, By.PARAM, hashed.param, places=places)
    if hashed.argument is not None:
        return Balancer(Kind.HASH, By.ARGUMENT, argument=hashed.argument, places=places)
    if hashed.source:
        return Balancer(Kind.HASH, By.SOURCE, places=places)
    return Balancer(Kind.HASH, By.HEADER, hashed.header, places=places)


def _made(cookie: HttpCookie) -> str:
    """What follows the value of one that is made here; "" where none is."""
    if cookie.ttl is None:
        return ""
    age = f"; Max-Age={cookie.ttl // 1000}" if cookie.ttl >= 1000 else ""
    return age + (f"; Path={cookie.path}" if cookie.path else "") + "; HttpOnly"


def check(block: Choosing, report: Report) -> None:
    """What is contradictory, and what is hardly meant."""
    if block.consistent_hash is not None:
        _check_hash(block, block.consistent_hash, report)
    if block.warmup is not None or block.warmup_secs:
        name = "warmup" if block.warmup is not None else "warmupDurationSecs"
        if block.consistent_hash is not None or block.simple in ("RANDOM", "PASSTHROUGH"):
            hint = "it acts on ROUND_ROBIN and LEAST_REQUEST, as with Istio"
            report.warn(block.at.key_of(name), f"{name} does nothing here", hint)
        if block.warmup is not None and block.warmup_secs:
            report.add(block.at.key_of("warmupDurationSecs"), "warmup is written twice", "keep warmup")


def advise(cluster: model.Cluster, at: Place, report: Report) -> None:
    """Warns where weights are given that nothing comes of."""
    for policy, subset in ((cluster.policy, None), *((s.policy, s) for s in cluster.subsets)):
        kind = policy.balancer.kind if policy is not None and policy.balancer is not None else Kind.WEIGHTED
        weights = {one.weight for one in cluster.endpoints if subset is None or subset.has(one)}
        if kind is Kind.RANDOM and len(weights) > 1:
            hint = "it draws whatever the weights, as with Istio: write ROUND_ROBIN, or leave simple out"
            report.warn(at, f"weights of {cluster.name} do nothing with RANDOM", hint)
            return


def _check_hash(block: Choosing, hashed: ConsistentHash, report: Report) -> None:
    if block.simple:
        report.add(block.at.key_of("simple"), "simple and consistentHash exclude each other", "remove one of them")
    said = [name for name in _KEYS if _written(hashed.at, name)]
    if hashed.source is False and "useSourceIp" in said:
        said.remove("useSourceIp")
    if not said:
        report.add(hashed.at, "consistentHash does not say what is hashed", f"write one of {', '.join(_KEYS)}")
    elif len(said) > 1:
        report.add(hashed.at.key_of(said[1]), f"{said[1]} and {said[0]} exclude each other", "keep one of them")
    if hashed.ring is not None and hashed.maglev is not None:
        report.add(hashed.at.key_of("maglev"), "maglev and ringHash exclude each other", "keep maglev")
    if hashed.ring is not None or hashed.minimum_ring_size:
        name = "ringHash" if hashed.ring is not None else "minimumRingSize"
        hint = "a key keeps its instance, which is another than with Envoy's ring; shares are nearer to the weights"
        report.warn(hashed.at.key_of(name), f"{name} is done by Maglev's table", hint)
    if hashed.cookie is not None and hashed.cookie.ttl is not None and not _TOKEN.fullmatch(hashed.cookie.name):
        hint = "letters, digits and !#$%&'*+-.^_`|~"
        report.add(hashed.cookie.at.at("name"), "a cookie that is made here cannot have that name", hint)
    if hashed.maglev is not None and hashed.maglev.table_size > MUCH:
        hint = "each group of instances has a table of so many places, of 1 to 4 bytes"
        report.warn(hashed.maglev.at.key_of("tableSize"), "a large table", hint)


_KEYS = ("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName", "dubboArgument")


def _written(at: Place, name: str) -> bool:
    return at.at(name) is not at
