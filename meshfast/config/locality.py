"""``localityLbSetting``: its schema, what of it contradicts itself, and the levels and weights that it gives instances.

Which of them a call goes to is decided by their live health, in ``csrc/table/level.c``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from meshfast import model, policies
from meshfast.config import place
from meshfast.config.document import Place, Refused, Report
from meshfast.config.field import Bool, Int, ListOf, MapOf, Parsed, Record, Struct, Text, spec
from meshfast.config.place import Own, Parts

NETWORK = "topology.istio.io/network"
WHERE = Parsed("a locality", place.pattern, "")
REGION = Parsed("a region", place.region, "")


@dataclass(slots=True, kw_only=True)
class Distribute(Record):
    origin: str = spec(WHERE, "Whose calls: `region`, `region/zone/*`, `*`.", name="from")
    to: dict[str, int] = spec(MapOf(Int(1, 100)), "Where they go: percent by locality, 100 in all. No other gets any.")


@dataclass(slots=True, kw_only=True)
class Failover(Record):
    origin: str = spec(REGION, "A region.", name="from")
    to: str = spec(REGION, "The region whose instances come before those of all others.")


@dataclass(slots=True, kw_only=True)
class LocalityLbSetting(Record):
    enabled: bool = spec(Bool(), "false: no locality is preferred.", True, shown="true")
    distribute: tuple[Distribute, ...] = spec(
        ListOf(Struct(Distribute)), "Fixed shares; the first whose `from` means this workload holds.", (), shown="none"
    )
    failover: tuple[Failover, ...] = spec(
        ListOf(Struct(Failover)),
        "With `outlierDetection`: the region that is next. Without one: same sub-zone, zone, region, then all others.",
        (),
        shown="none",
    )
    failover_priority: tuple[str, ...] = spec(
        ListOf(Text()),
        "With `outlierDetection`: labels, the most important first, that instances should have as this workload has "
        "them; `key=value`: that value.",
        (),
        name="failoverPriority",
        shown="none",
    )


LOCALITY = Struct(LocalityLbSetting, "LocalityLbSetting")


def check(found: LocalityLbSetting | None, ejecting: bool, report: Report) -> None:
    """Judges a setting; ``ejecting``: beside ``outlierDetection``."""
    if found is None or found.at.bad:
        return
    if found.distribute and found.failover:
        hint = "keep one of them, as with Istio"
        report.add(found.at.key_of("failover"), "distribute and failover exclude each other", hint)
    keys = [label.partition("=")[0] for label in found.failover_priority]
    if found.failover and (topology := next((key for key in keys if key in place.TOPOLOGY), "")):
        report.add(
            found.at.at("failoverPriority", keys.index(topology)),
            f"failover and the label {topology} exclude each other",
            "both order by locality: keep one of them",
        )
    if found.distribute and found.failover_priority:
        report.warn(found.at.key_of("failoverPriority"), "failoverPriority does nothing beside distribute")
    _check_distribute(found, report)
    for i, one in enumerate(found.failover):
        if not one.at.bad and one.origin == one.to:
            report.add(found.at.at("failover", i, "to"), "from and to are the same region", "name another one")
    for name in ("failover", "failoverPriority") if found.enabled and not ejecting else ():
        if found.failover if name == "failover" else found.failover_priority:
            message = f"{name} does nothing without outlierDetection"
            report.warn(found.at.key_of(name), message, "nor does it with Istio")


def _check_distribute(found: LocalityLbSetting, report: Report) -> None:
    for i, one in enumerate(found.distribute):
        if one.at.bad:
            continue
        at = found.at.at("distribute", i, "to")
        for name in one.to:
            try:
                place.pattern(name)
            except Refused as no:
                report.add(at.key_of(name), no.message, no.hint)
        if sum(one.to.values()) != 100:
            report.add(at, f"the weights add up to {sum(one.to.values())}", "they are percent: 100 in all")
        _check_overlap(list(one.to), at, report)
    at = found.at.at("distribute")
    if not at.bad:
        _check_overlap([one.origin for one in found.distribute], at, report)


def _check_overlap(names: Sequence[str], at: Place, report: Report) -> None:
    both = place.overlap(names) if not at.bad else None
    if both is not None:
        report.add(at, f"{both[0]} and {both[1]} have places in common", "keep one of them")


@dataclass(frozen=True, slots=True)
class Setting:
    """What a setting says, without the places where."""

    enabled: bool = True
    distribute: tuple[tuple[str, Mapping[str, int]], ...] = ()
    failover: tuple[tuple[str, str], ...] = ()
    priority: tuple[str, ...] = ()


def settle(found: LocalityLbSetting | None) -> Setting:
    """Of a ``loadBalancer`` that is written: what it does not say is as by default, whatever is said for the host."""
    if found is None:
        return Setting()
    return Setting(
        found.enabled,
        tuple((one.origin, one.to) for one in found.distribute),
        tuple((one.origin, one.to) for one in found.failover),
        found.failover_priority,
    )


@dataclass(frozen=True, slots=True)
class Move:
    """Calls for instances in one data centre that go to another: ``percent`` of them. ``name``: who says so."""

    origin: Parts
    to: Parts
    percent: int
    name: str = ""


def build(
    found: Setting | None, panic: int | None, endpoints: Sequence[model.Endpoint], own: Own,
    move: Move | None = None, near: bool = False,
) -> policies.Locality | None:  # fmt: skip
    """The levels and weights of instances as seen from ``own``; None: all of them are one pool.

    ``panic``: percent of a level's instances that must be well, or all of them are used; None: there is no
    ``outlierDetection``. ``near``: a rule asks for instances of the own region.
    """
    setting = found if found is not None and found.enabled else Setting()
    enabled, ejecting = found is None or found.enabled, panic is not None
    levelled = enabled and ejecting and not setting.distribute
    weighted = bool(setting.distribute) or (levelled and bool(setting.failover or setting.priority))
    if not (levelled or weighted or move or near):
        return None
    fixed = next((to for origin, to in setting.distribute if own.parts.fits(place.parts(origin))), {})
    targets = [place.parts(name) for name in fixed]
    numbers: dict[str, int] = {}
    known: dict[policies.Where, policies.Place] = {}
    by_labels = levelled and bool(setting.priority)
    for one in endpoints:
        key = policies.where(one.locality, one.labels, by_labels)
        if key not in known:
            there = place.parts(one.locality)
            gives = move is not None and there.fits(move.origin)
            known[key] = policies.Place(
                _level(setting, there, one.labels, own) if levelled else 0,
                numbers.setdefault(one.locality, len(numbers)),
                next((i for i, wanted in enumerate(targets) if there.fits(wanted)), policies.NO_SHARE),
                not own.parts.region or there.region == own.parts.region,
                gives,
                move is not None and not gives and there.fits(move.to),
            )
    apart = len({each.level for each in known.values()}) > 1 or (weighted and len(numbers) > 1)
    if not (apart or move or near):
        return None
    moved, mover = (move.percent, move.name) if move is not None else (0, "")
    return policies.Locality(
        tuple(numbers), known, by_labels, tuple(fixed.values()), weighted, panic or 0, moved, mover
    )


def _level(setting: Setting, there: Parts, labels: Mapping[str, str], own: Own) -> int:
    """Numbers in the order of the levels; those of a group are made to follow each other by the core."""
    if not setting.priority:
        return _nearness(setting, there, own)
    differs = _differs(setting.priority, place.shown(labels, there), own.labels) if own.labels else 0
    return differs * 5 + _nearness(setting, there, own) if setting.failover else differs


def _nearness(setting: Setting, there: Parts, own: Own) -> int:
    near = own.parts.nearness(there)
    to = next((to for origin, to in setting.failover if origin == own.parts.region), there.region)
    return 4 if near == 3 and there.region != to else near


def _differs(wanted: Sequence[str], labels: Mapping[str, str], own: Mapping[str, str]) -> int:
    """0 where all labels are as wanted; the earlier the first one that is not, the more."""
    away = 0
    for i, text in enumerate(wanted):
        key, given, value = text.partition("=")
        if labels.get(key, "") == (value if given else own.get(key, "")):
            continue
        if i == 0 and key == NETWORK:
            away = len(wanted)
            continue
        return away + len(wanted) - i
    return away
