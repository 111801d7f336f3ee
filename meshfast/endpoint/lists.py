"""What a consumer is shown of a service: one provider for each group, version and protocol, which is the sidecar."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from meshfast.registry import Instance, Listing, Offer
from meshfast.registry.registered import BEHIND, MARK
from meshfast.registry.url import URL

__all__ = ["Token", "nodes", "said"]

#: What says something of one instance alone, or of the way to it.
OWN = frozenset(
    ("anyhost", "bind.ip", "bind.port", "category", "dubbo.tag", "enabled", "disabled", MARK, BEHIND, "pid", "qos.port")
    + ("remote.timestamp", "timestamp", "warmup", "weight", "zone", "region")
)
#: Lists of what an instance understands, the best first.
CHOICES = ("prefer.serialization", "serialization")
_SIGNS = re.compile("[&;]")
_NUMBER = re.compile(r"\d+")


class Token(ValueError):
    """Instances want a token each, which nobody can show for all of them."""


def nodes(
    service: str, listing: Listing, address: str, parameters: Mapping[str, str]
) -> tuple[dict[str, URL], list[Offer]]:
    """The nodes by their names, and the offers that cannot be shown. ``address``: where the sidecar takes calls;
    ``parameters``: win over the instances'."""
    host, _, port = address.rpartition(":")
    names: dict[str, URL] = {}
    refused: list[Offer] = []
    for offer in listing:
        for protocol in dict.fromkeys(one.protocol for one in offer.instances):
            alike = [one for one in offer.instances if one.protocol == protocol]
            try:
                found = {**_shared(alike), **said(offer), "weight": "100", "meshfast": "1", **parameters}
            except Token:
                refused.append(offer)
                continue
            url = URL(protocol, "", "", host, int(port), found.get("path", service), found)
            names[url.encoded()] = url
    return names, refused


def said(offer: Offer) -> dict[str, str]:
    """What whoever is a provider of it says."""
    found = {"interface": offer.service, "side": "provider", "dynamic": "true"}
    if offer.group:
        found["group"] = offer.group
    if offer.version:
        found["version"] = offer.version
    return found


def _shared(instances: Sequence[Instance]) -> dict[str, str]:
    """What holds for all: what they agree on, of lists what all have, of versions the lowest, of methods all."""
    all = [one.parameters for one in instances]
    found = {
        name: value
        for name, value in all[0].items()
        if name not in OWN and all_equal(one.get(name) for one in all)
    }
    for name in ("group", "version"):
        found.pop(name, None)
    if "token" not in found and any("token" in one for one in all):
        raise Token
    for name in CHOICES:
        if name not in found and (choice := _common([one.get(name, "") for one in all])):
            found[name] = choice
    for name in ("release", "dubbo"):
        if name not in found and (texts := [one.get(name, "") for one in all]) and "" not in texts:
            found[name] = min(texts, key=_number)
    if "methods" not in found and (texts := [one.get("methods", "") for one in all]):
        methods = dict.fromkeys(method for text in texts for method in text.split(",") if method)
        if methods:
            found["methods"] = "*" if "*" in methods or "" in texts else ",".join(sorted(methods))
    return {name: value for name, value in found.items() if _sayable(name, value)}


def _sayable(name: str, value: str) -> bool:
    """An application's metadata is no URL, and may have signs in it that say something else there."""
    return not (_SIGNS.search(value) or _SIGNS.search(name) or "=" in name or (name == "path" and "?" in value))


def all_equal(values: Iterable[str | None]) -> bool:
    return len(set(values)) == 1


def _common(lists: Sequence[str]) -> str:
    rest = [set(text.split(",")) for text in lists[1:]]
    return ",".join(one for one in lists[0].split(",") if one and all(one in other for other in rest))


def _number(text: str) -> list[int]:
    return [int(digits[:9]) for digits in _NUMBER.findall(text[:64])]
