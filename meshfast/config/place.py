"""Where a workload is, as Istio tells it: region, zone and sub-zone, and what is written of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meshfast import model
from meshfast.config.document import Refused

REGION, ZONE, SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"
TOPOLOGY = (REGION, ZONE, SUBZONE)
WHOLE = "istio-locality"  # with dots for slashes


class Parts(NamedTuple):
    """Region, zone and sub-zone; what is not known is ""."""

    region: str = ""
    zone: str = ""
    subzone: str = ""

    def fits(self, pattern: Parts) -> bool:
        """Whether it is one of those that ``pattern`` means."""
        return all(
            want == "*" or want == have or (not want and i > 0)
            for i, (have, want) in enumerate(zip(self, pattern, strict=True))
        )

    def nearness(self, other: Parts) -> int:
        """0: the same place; 1: the same zone; 2: the same region; 3: another."""
        same = [mine == theirs for mine, theirs in zip(self, other, strict=True)]
        return 3 if not same[0] else 2 if not same[1] else 0 if same[2] else 1


class Own(NamedTuple):
    """This workload's place, and its labels with those of its place."""

    parts: Parts = Parts()
    labels: Mapping[str, str] = {}


def parts(text: str) -> Parts:
    """Of ``region/zone/sub-zone``, which may end early."""
    return Parts(*(*text.split("/", 2), "", "")[:3])


def said(text: str, labels: Mapping[str, str]) -> str:
    """Where a workload is: by its own word, else by its labels."""
    if text:
        return text
    if REGION in labels:
        return "/".join(labels.get(key, "") for key in TOPOLOGY).rstrip("/")
    return labels.get(WHOLE, "").replace(".", "/")


def shown(labels: Mapping[str, str], there: Parts) -> Mapping[str, str]:
    """A workload's labels with those of its place."""
    known = {key: text for key, text in zip(TOPOLOGY, there, strict=True) if text}
    return {**labels, **known} if known else labels


def own(sidecar: model.Sidecar) -> Own:
    """Of the workload beside this sidecar."""
    there = parts(said(sidecar.locality, sidecar.labels))
    return Own(there, shown(sidecar.labels, there))


def pattern(text: str) -> str:
    """A locality as rules name it: in whole segments, a star for the last one alone."""
    if "" in text.split("/") or text.count("/") > 2:
        raise Refused(f'"{text}" is not a locality', "write region, region/zone or region/zone/sub-zone")
    if "*" in text[:-1] or (text[-1] == "*" and text not in ("*",) and text[-2] != "/"):
        raise Refused(f'"{text}" is not a locality', "a * stands for the last part alone: region/*")
    return text


def region(text: str) -> str:
    """A region's name alone."""
    if "/" in text or "*" in text or not text:
        raise Refused(f'"{text}" is not a region', "failover goes from region to region: no zone and no *")
    return text


def overlap(patterns: Iterable[str]) -> tuple[str, str] | None:
    """The first two that mean a common place."""
    seen: list[str] = []
    for one in patterns:
        for other in seen:
            if all(a in ("", "*") or b in ("", "*") or a == b for a, b in zip(parts(one), parts(other), strict=True)):
                return other, one
        seen.append(one)
    return None
