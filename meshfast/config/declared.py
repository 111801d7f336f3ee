"""What becomes of a DestinationRule, before it is known which clusters it is for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from meshfast import model
from meshfast.config import policy
from meshfast.config.document import Place, Report
from meshfast.config.resource import DestinationRule


@dataclass(slots=True)
class Declared:
    """What becomes of a DestinationRule."""

    host: str
    subsets: tuple[model.Subset, ...]
    levels: policy.Levels
    own: Mapping[str, policy.Levels]  # of its subsets
    passes: bool  # calls go where they were dialled


def declared(rule: DestinationRule, report: Report) -> Declared:
    """Judges it, too."""
    policy.check(rule.traffic_policy, None, report)
    for each in rule.subsets:
        policy.check(each.traffic_policy, rule.traffic_policy, report, subset=True)
    subsets = tuple(model.Subset(subset.name, subset.labels, subset.at.origin()) for subset in rule.subsets)
    own = {subset.name: policy.levels(subset.traffic_policy, report) for subset in rule.subsets}
    passes = policy.said_passing(rule.traffic_policy) is not None
    return Declared(rule.host, subsets, policy.levels(rule.traffic_policy, report), own, passes)


def subset_at(rule: DestinationRule, name: str) -> Place:
    """Where the name of a subset is written."""
    return next(one.at.at("name") for one in rule.subsets if one.name == name)
