"""What is listed for services, put together: node names into providers, providers into listings. Nothing waits here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from meshfast.registry import Instance, Listing, Offer
from meshfast.registry.url import Provider, Refused, provider

__all__ = ["MOST_INSTANCES", "Listed", "listing", "read"]

#: Instances of one service.
MOST_INSTANCES = 10_000
#: Texts that are kept once, before they are forgotten and gathered anew.
SHARED_TEXTS = 20_000


@dataclass(frozen=True, slots=True)
class Listed:
    """The nodes of ``providers``, None for what is none or cannot be read. ``refused``: by reason, how many of them are
    new; "instances" are those beyond the limit."""

    nodes: Mapping[str, Provider | None]
    refused: Mapping[str, int] = field(default_factory=dict)


def read(names: Iterable[str], before: Listed | None, service: str, share: dict[str, str]) -> Listed:
    """Only names that were not there ``before`` are read."""
    known = before.nodes if before is not None else {}
    nodes: dict[str, Provider | None] = {}
    refused: dict[str, int] = {}
    if len(share) > SHARED_TEXTS:
        share.clear()
    ordered = sorted(names)
    for name in ordered[:MOST_INSTANCES]:
        if name in known:
            nodes[name] = known[name]
            continue
        try:
            nodes[name] = provider(name, service, share)
        except Refused as error:
            nodes[name] = None
            refused[error.reason] = refused.get(error.reason, 0) + 1
    if len(ordered) > MOST_INSTANCES:
        refused["instances"] = len(ordered) - MOST_INSTANCES
    return Listed(nodes, refused)


def listing(found: Iterable[Provider]) -> Listing:
    """By group and version, in one order whatever the registry's; of the same address and protocol the first."""
    offers: dict[tuple[str, str, str], dict[tuple[str, str], Instance]] = {}
    room = MOST_INSTANCES
    for one in found:
        instances = offers.setdefault((one.service, one.group, one.version), {})
        if room and instances.setdefault((one.instance.address, one.instance.protocol), one.instance) is one.instance:
            room -= 1
    return tuple(
        Offer(*key, tuple(instances[each] for each in sorted(instances)))
        for key, instances in sorted(offers.items())
        if instances
    )
