"""The schema of Dubbo's rules that have no kind: tag, condition and affinity rules, configurators."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

from yaml.nodes import Node, ScalarNode

from meshfast.config import compose
from meshfast.config.document import Key, Place, Refused, Report
from meshfast.config.dubbo.parties import is_address
from meshfast.config.field import (
    Bool,
    Choice,
    Int,
    ListOf,
    MapOf,
    OneOf,
    Parsed,
    Record,
    Struct,
    Type,
    Unread,
    not_a,
    spec,
)

_LARGE = 2**31 - 1


class Word(Type):
    """A scalar's text, however it is written."""

    words = "text"

    def read(self, node: Node, place: Place, key: Key, report: Report) -> str:
        if not isinstance(node, ScalarNode) or node.tag not in (compose.PLAIN, compose.QUOTED):
            raise not_a(self.words, node)
        return str(node.value)

    def empty(self) -> str:
        return ""


class Maybe(Type):
    """A list that may be written as nothing."""

    def __init__(self, item: Type) -> None:
        self._list = ListOf(item)
        self.words = self._list.words

    def read(self, node: Node, place: Place, key: Key, report: Report) -> tuple[object, ...]:
        if isinstance(node, ScalarNode) and node.tag == compose.PLAIN and node.value in ("", "~", "null"):
            return ()
        return self._list.read(node, place, key, report)

    def empty(self) -> tuple[object, ...]:
        return ()


class Address(Word):
    """Where instances are, as Dubbo's rules write it."""

    words = "an address"
    many = "addresses"

    def read(self, node: Node, place: Place, key: Key, report: Report) -> str:
        text = super().read(node, place, key, report)
        if not is_address(text):
            raise Refused(f'"{text}" is no address', "write 10.0.0.7:20880, 10.0.0.*, 10.0.0.2-9 or 10.0.0.0/24")
        return text


WORD, WORDS = Word(), ListOf(Word())
ADDRESSES = Maybe(Address())


@dataclass(slots=True, kw_only=True)
class StringMatch(Record):
    exact: str | None = spec(WORD, "The whole text.", None, shown="-")
    prefix: str | None = spec(WORD, "How it starts.", None, shown="-")
    regex: str | None = spec(WORD, "RE2 syntax; matches the whole text.", None, shown="-")
    wildcard: str | None = spec(WORD, "`*`, or the whole text.", None, shown="-")
    empty: str | None = spec(WORD, "Nothing is there, or an empty text.", None, shown="-")
    noempty: str | None = spec(WORD, "Something is there.", None, shown="-")


STRING = Struct(StringMatch)


@dataclass(slots=True, kw_only=True)
class ParamMatch(Record):
    key: str = spec(WORD, "A parameter: a label of the instance.")
    value: StringMatch | None = spec(STRING, "What it must be.", None, shown="none: nothing is that")


@dataclass(slots=True, kw_only=True)
class Rule(Record):
    config_version: str = spec(WORD, "`v3.0`, `v3.1`: what is written in which form.", "v2.7", name="configVersion")
    key: str = spec(WORD, "Whom it is for.")
    enabled: bool = spec(Bool(), "false: as if it were not there.", True, shown="true")
    dynamic: bool = spec(Unread(), "Accepted, without effect, as in Dubbo.", False, on="")
    runtime: bool = spec(Unread(), "The same.", False, on="")
    priority: bool = spec(Unread(), "The same.", False, on="")


@dataclass(slots=True, kw_only=True)
class Router(Rule):
    valid: bool = spec(Bool(), "The same.", True, shown="true")

    @property
    def holds(self) -> bool:
        return self.enabled and self.valid


def _percent(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise Refused(f'"{text}" is no number', "write percent: 33.4")
    return number


PERCENT = Parsed("a number", _percent, 0.0)
SCOPE = Choice("service", "application")


@dataclass(slots=True, kw_only=True)
class Tag(Record):
    name: str = spec(WORD, "The tag.")
    addresses: tuple[str, ...] = spec(
        ADDRESSES, "Its instances: `ip:port`, an IP address, `10.0.0.*`, `10.0.0.2-9`, a network.", (), shown="none"
    )
    match: tuple[ParamMatch, ...] | None = spec(
        ListOf(Struct(ParamMatch)), "v3.0, without `addresses`: its instances are those of which all of this is true.",
        None, shown="none",
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class TagRule(Router):
    scope: str = spec(SCOPE, "Accepted, without effect: it is for an application.", "application", on="")
    force: bool = spec(Bool(), "Calls with a tag of this rule that has no instance go to nobody.", False, shown="false")
    tags: tuple[Tag, ...] = spec(Maybe(Struct(Tag)), "The tags that are given here.", (), shown="none")


@dataclass(slots=True, kw_only=True)
class From(Record):
    match: str = spec(WORD, "The calls, as before `=>`.", "", shown="all")


@dataclass(slots=True, kw_only=True)
class Weighted(Record):
    match: str = spec(WORD, "The instances, as behind `=>`.", "", shown="all")
    weight: int = spec(Int(-_LARGE, _LARGE), "Its share of the sum of them; 0 and less count as 100.", 100)


@dataclass(slots=True, kw_only=True)
class Destinations(Record):
    origin: From | None = spec(Struct(From), "Which calls.", None, name="from", shown="all")
    to: tuple[Weighted, ...] = spec(Maybe(Struct(Weighted)), "Where to; none: to nobody.", (), shown="none")
    priority: bool = spec(Unread(), "Accepted, without effect, as in Dubbo for Java.", False, on="")
    ratio: bool = spec(Unread(), "The same.", False, on="")
    force: bool = spec(Unread(), "The same: that of the rule holds.", False, on="")
    disable: bool = spec(Unread(), "The same.", False, on="")
    traffic_disable: bool = spec(Unread(), "The same.", False, name="trafficDisable", on="")


@dataclass(slots=True, kw_only=True)
class ConditionRule(Router):
    scope: str = spec(SCOPE, "What `key` is: `interface[:version[:group]]`, or a calling or called application.")
    force: bool = spec(Bool(), "Where a condition leaves no instance, nobody is called; else it is passed over.", False,
                       shown="false")  # fmt: skip
    conditions: tuple[str | Destinations, ...] = spec(
        Maybe(OneOf(WORD, Struct(Destinations))), "One after another, each on what the one before left.", (),
        shown="none",
    )  # fmt: skip


@dataclass(slots=True, kw_only=True)
class AffinityAware(Record):
    key: str = spec(WORD, "A label that this workload and instances may share.")
    ratio: float = spec(PERCENT, "Percent of the instances that must share it; else all are called.", 0.0, shown="0")


@dataclass(slots=True, kw_only=True)
class AffinityRule(Router):
    scope: str = spec(SCOPE, "What `key` is: `interface[:version[:group]]`, or the called application.")
    force: bool = spec(Unread(), "Accepted, without effect, as in Dubbo.", False, on="")
    affinity: AffinityAware | None = spec(
        Struct(AffinityAware), "Which instances are preferred.", None, name="affinityAware", shown="none"
    )


@dataclass(slots=True, kw_only=True)
class AddressMatch(Record):
    wildcard: str | None = spec(WORD, "`10.1.0.1:*`, `10.0.*.*`, or any other form of an address.", None, shown="-")
    cidr: str | None = spec(WORD, "A network, `cird` as Dubbo spells it.", None, name="cird", shown="-")
    exact: str | None = spec(WORD, "The whole of it.", None, shown="-")


@dataclass(slots=True, kw_only=True)
class ListMatch(Record):
    oneof: tuple[StringMatch, ...] = spec(ListOf(STRING), "Any of these.", (), shown="none")


@dataclass(slots=True, kw_only=True)
class ConfigMatch(Record):
    address: AddressMatch | None = spec(Struct(AddressMatch), "The caller's address.", None, shown="any")
    provider_address: AddressMatch | None = spec(
        Struct(AddressMatch), "The instance's.", None, name="providerAddress", shown="any"
    )
    service: ListMatch | None = spec(Struct(ListMatch), "The service.", None, shown="any")
    app: ListMatch | None = spec(Struct(ListMatch), "The calling application.", None, shown="any")
    param: tuple[ParamMatch, ...] = spec(ListOf(Struct(ParamMatch)), "Labels of the instance, all of them.", (),
                                         shown="any")  # fmt: skip


@dataclass(slots=True, kw_only=True)
class Config(Record):
    side: str = spec(Choice("consumer", "provider"), "`provider` is for the instances' own SDK, and passed over.", "",
                     shown="provider")  # fmt: skip
    addresses: tuple[str, ...] = spec(WORDS, "Of callers: their IP addresses; `0.0.0.0` is any.", (), shown="any")
    provider_addresses: tuple[str, ...] = spec(
        WORDS, "Of instances, `ip:port`.", (), name="providerAddresses", shown="any"
    )
    services: tuple[str, ...] = spec(WORDS, "With scope application: the services; `*` is any.", (), shown="any")
    applications: tuple[str, ...] = spec(WORDS, "With scope service: the callers; `*` is any.", (), shown="any")
    parameters: dict[str, str] = spec(MapOf(WORD), "What is set.", {}, shown="none: nothing is")
    match: ConfigMatch | None = spec(Struct(ConfigMatch), "v3.0: who it is for, all of it.", None, shown="anybody")
    enabled: bool = spec(Bool(), "false: as if it were not there, where a `type` is written.", True, shown="true")
    type: str = spec(WORD, "`general` counts as none written.", "", shown="none")


@dataclass(slots=True, kw_only=True)
class Configurator(Rule):
    valid: bool = spec(Unread(), "Accepted, without effect, as in Dubbo.", False, on="")
    force: bool = spec(Unread(), "The same.", False, on="")
    scope: str = spec(SCOPE, "What `key` is: `[group/]interface[:version]`, or the calling application.")
    configs: tuple[Config, ...] = spec(
        Maybe(Struct(Config)),
        "What is set, later ones over earlier, and last those that name the caller's address.",
        (),
        shown="none",
    )


KINDS: dict[str, tuple[str, Struct]] = {
    "tags": ("TagRule", Struct(TagRule)),
    "conditions": ("ConditionRule", Struct(ConditionRule)),
    "affinityAware": ("AffinityRule", Struct(AffinityRule)),
    "configs": ("Configurator", Struct(Configurator)),
}
_COMMON = frozenset("configVersion scope force runtime enabled priority key valid dynamic".split())


def kind(fields: Collection[str]) -> tuple[str, Struct] | None:
    """Which of Dubbo's rules a document without a kind is, by its fields; None: none."""
    if "kind" in fields or "apiVersion" in fields:
        return None
    return next((KINDS[name] for name in KINDS if name in fields and _COMMON & set(fields)), None)
