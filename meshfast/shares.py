"""How the calls of one application are shared among its data centres now: what ``meshfast explain --app`` shows.

The answer is plain data:

``app``              the application's name, as its ServiceEntry has it
``error``, ``hint``  why there is nothing to say, and what may have been meant; "" otherwise
``from``             where this workload is
``why``              lines: what moves calls, and what they go by
``regions``          each region's ``share`` in percent, its ``instances``, and how many of them are ``well``
``groups``           the same for all instances and each subset, and for HTTP/2 apart where that goes elsewhere:
                     ``subset``, ``protocol`` ("" for both), ``regions``, and ``levels``: ``level`` from 1,
                     ``locality``, ``instances``, ``well``, ``load`` (percent for the level), ``panic``, ``moved``,
                     ``share`` (percent)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from meshfast.config import place
from meshfast.config.document import did_you_mean, listed
from meshfast.model import Cluster, Endpoint, Family, Subset
from meshfast.policies import Locality
from meshfast.routing import Table

__all__ = ["shares"]

NOWHERE = "nowhere"  # the region of those that do not say


def shares(table: Table, app: str) -> dict[str, Any]:
    """Asks the table."""
    mesh = table.mesh()
    own = place.own(mesh.sidecar).parts
    found = mesh.clusters.get(app) or next((one for one in mesh.clusters.values() if app in one.hosts), None)
    here = "/".join(own).rstrip("/")
    answer: dict[str, Any] = {"app": found.name if found else app, "error": "", "hint": "", "from": here}
    if found is None:
        names = [name for name in mesh.clusters if ":" not in name]
        hint = did_you_mean(app, names, listed("there are", names, "none is listed"))
        nothing: dict[str, Any] = {"why": [], "regions": [], "groups": []}
        return answer | nothing | {"error": f"there is no application {app}", "hint": hint}
    groups = [
        _group(table, found, subset, family, apart)
        for subset in (None, *found.subsets)
        for apart in (any(one.at(Family.DUBBO) != one.at(Family.HTTP) for one in found.endpoints),)
        for family in ((Family.DUBBO, Family.HTTP) if apart else (Family.DUBBO,))
    ]
    groups = [one for one in groups if one["regions"]] or groups[:1]
    if len({one["protocol"] for one in groups}) == 1:
        groups = [one | {"protocol": ""} for one in groups]
    return answer | {"why": list(_why(found, own)), "regions": groups[0]["regions"], "groups": groups}


def _policy(cluster: Cluster, subset: Subset | None) -> Locality | None:
    policy = cluster.policy if subset is None else subset.policy
    return policy.locality if policy is not None else None


def _group(table: Table, cluster: Cluster, subset: Subset | None, family: Family, apart: bool) -> dict[str, Any]:
    name = subset.name if subset else ""
    levels = [_level(one._asdict()) for one in table.levels(cluster.name, name, family)]
    if not levels:
        levels = list(_alike(table, cluster, subset, family))
    protocol = "" if not apart else "http" if family is Family.HTTP else "dubbo"
    return {"subset": name, "protocol": protocol, "regions": _regions(levels), "levels": levels}


def _level(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "level": told["level"] + 1, "locality": told["locality"], "instances": told["members"], "well": told["well"],
        "load": told["load"], "panic": told["panic"], "moved": told["moved"], "share": round(told["share"], 2),
    }  # fmt: skip


def _alike(table: Table, cluster: Cluster, subset: Subset | None, family: Family) -> Iterator[dict[str, Any]]:
    """Where no policy tells localities apart: by the weights of those that calls go to."""
    there = [one for one in cluster.endpoints if one.at(family) and (subset is None or subset.has(one))]
    peers = table.peers()

    def well(one: Endpoint) -> bool:
        return peers.get(one.at(family).removeprefix("tcp://"), True)

    total = sum(one.weight for one in there if well(one))
    for locality in dict.fromkeys(one.locality for one in there):
        some = [one for one in there if one.locality == locality]
        weight = sum(one.weight for one in some if well(one))
        yield {
            "level": 1, "locality": locality, "instances": len(some), "well": sum(map(well, some)),
            "load": 100, "panic": False, "moved": False, "share": round(100 * weight / total, 2) if total else 0.0,
        }  # fmt: skip


def _regions(levels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By share; an instance that two views have is one."""
    out: dict[str, dict[str, Any]] = {}
    for one in levels:
        region = place.parts(one["locality"]).region or NOWHERE
        known = out.setdefault(region, {"region": region, "share": 0.0, "instances": 0, "well": 0})
        known["share"] = round(known["share"] + one["share"], 2)
        if not one["moved"]:
            known["instances"] += one["instances"]
            known["well"] += one["well"]
    return sorted(out.values(), key=lambda one: (-one["share"], one["region"]))


def _why(cluster: Cluster, own: place.Parts) -> Iterator[str]:
    locality = _policy(cluster, None)
    if locality is None:
        yield "no policy tells localities apart: all instances are one pool"
        return
    if locality.mover:
        yield locality.mover
    if locality.shares:
        yield f"distribute: {', '.join(map(str, locality.shares))} percent, as far as its instances are well"
    elif len({one.level for one in locality.places.values()}) > 1:
        here = "/".join(own).rstrip("/") or "here"
        yield f"outlierDetection: the nearest to {here} first, while enough is well there"
    elif locality.weighted:
        yield "localities by the weights of their instances"
    else:
        yield "all localities alike"
