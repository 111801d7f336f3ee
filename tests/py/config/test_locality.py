"""localityLbSetting as Istio has it: which level and which weight each instance gets as seen from here."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from meshfast import model, policies
from meshfast.config import locality, place
from meshfast.config.document import Document, Place, Report, Text
from meshfast.config.field import checked
from meshfast.config.place import Own, Parts

WHERE = {"A": "r1/z1/s1", "B": "r1/z1/s2", "C": "r1/z2/s1", "D": "r2/z1/s1", "E": "r3/z1/s1"}
VERSIONS = {"v1": "ABD", "v2": "CE"}
LABELS = {name: {"version": v} for v, names in VERSIONS.items() for name in names}
CLIENT = place.own(model.Sidecar(locality="r1/z1/s1", labels={"app": "consumer", "version": "v1"}))
FAILOVER = {"failover": [{"from": "r1", "to": "r2"}]}


def endpoints(names: str = "ABCDE") -> list[model.Endpoint]:
    return [
        model.Endpoint(f"10.0.0.{i}:1", LABELS[name], 2 if name == "E" else 1, WHERE[name])
        for i, name in enumerate(names)
    ]


def setting(found: Any, report: Report | None = None, *, ejecting: bool = True) -> locality.LocalityLbSetting | None:
    if found is None:
        return None
    report = report or Report()
    node = yaml.compose(yaml.safe_dump(found))
    root = Place(Document(Text("f", b" " * 10_000)), node)
    read = checked(locality.LOCALITY, tagged(node), root, "", report)
    locality.check(read, ejecting, report)
    return read


def tagged(node: Any) -> Any:
    """As the loader tags nodes."""
    for child in node.value if isinstance(node.value, list) else ():
        for each in child if isinstance(child, tuple) else (child,):
            tagged(each)
    kinds = {yaml.MappingNode: "mapping", yaml.SequenceNode: "sequence"}
    node.tag = kinds.get(type(node), "quoted" if getattr(node, "style", None) else "plain")
    return node


def places(made: policies.Locality | None, there: list[model.Endpoint]) -> list[policies.Place]:
    assert made is not None
    return [made.place(one.locality, one.labels) for one in there]


def built(found: Any, *, ejecting: bool = True, names: str = "ABCDE", own: Own = CLIENT) -> policies.Locality | None:
    said = None if found is None else locality.settle(setting(found))
    return locality.build(said, 0 if ejecting else None, endpoints(names), own)


def levels(found: Any, *, ejecting: bool = True, names: str = "ABCDE", own: Own = CLIENT) -> list[int]:
    """As they are once nothing is between them."""
    made = built(found, ejecting=ejecting, names=names, own=own)
    raw = [one.level for one in places(made, endpoints(names))] if made is not None else [0] * len(names)
    return [sorted(set(raw)).index(level) for level in raw]


def test_levels_need_outlier_detection_and_nothing_else() -> None:
    assert built(None, ejecting=False) is None
    assert built(FAILOVER, ejecting=False) is None
    assert levels(None) == [0, 1, 2, 3, 3]
    assert levels(FAILOVER) == [0, 1, 2, 3, 4]
    assert built({"enabled": False, **FAILOVER}) is None


def test_failover_priority() -> None:
    own = place.own(model.Sidecar(locality="r1/z1/s1", labels={"version": "v1"}))
    region, zone = place.REGION, place.ZONE
    assert levels({"failoverPriority": [region, zone]}, own=own) == [0, 0, 1, 2, 2]
    assert levels({"failoverPriority": ["version=v1", region]}) == [0, 0, 2, 1, 2]
    assert levels({"failoverPriority": ["nolabel"]}) == [0, 0, 0, 0, 0]
    both = {"failoverPriority": ["version=v1"], "failover": [{"from": "r1", "to": "r3"}]}
    assert levels(both) == [0, 1, 3, 2, 4]
    assert levels({"failoverPriority": [locality.NETWORK, region]}) == [0, 0, 0, 1, 1]
    assert levels({"failoverPriority": ["version=v2"]}, own=Own()) == [0, 0, 0, 0, 0]


def test_the_network_label_is_worth_all_others() -> None:
    near = {"version": "v1", locality.NETWORK: "n1"}
    own = place.own(model.Sidecar(labels=near))
    found = locality.settle(setting({"failoverPriority": [locality.NETWORK, "version"]}))
    there = [
        model.Endpoint(f"10.0.0.{i}:1", {locality.NETWORK: network, "version": version})
        for i, (network, version) in enumerate([("n1", "v1"), ("n1", "v2"), ("n2", "v1"), ("n2", "v2")])
    ]
    made = locality.build(found, 0, there, own)
    assert [one.level for one in places(made, there)] == [0, 1, 2, 3]


def test_distribute() -> None:
    first = {"distribute": [{"from": "r1/z1/*", "to": {"r1/z1/*": 80, "r1/z2/*": 20}}]}
    made = built(first, ejecting=False)
    none = policies.NO_SHARE
    assert made is not None and made.weighted and made.shares == (80, 20)
    assert [one.share for one in places(made, endpoints())] == [0, 0, 1, none, none]
    assert {one.level for one in made.places.values()} == {0}
    second = built({"distribute": [{"from": "r1/z1/*", "to": {"r1/*": 60, "r2/*": 40}}]})
    assert second is not None and [one.share for one in places(second, endpoints())] == [0, 0, 0, 1, none]
    elsewhere = built({"distribute": [{"from": "r9/*", "to": {"r1/*": 60, "r2/*": 40}}]})
    assert elsewhere is not None and elsewhere.weighted and elsewhere.shares == ()


def test_subsets_are_filtered_first() -> None:
    assert levels(None, names=VERSIONS["v1"]) == [0, 1, 2]
    assert built({"enabled": False}, names=VERSIONS["v1"]) is None


def test_weights_of_localities_count_where_something_is_written() -> None:
    default, written = built(None), built(FAILOVER)
    assert default is not None and not default.weighted
    assert written is not None and written.weighted


def test_nothing_is_made_of_one_pool() -> None:
    assert built(None, names="A") is None
    assert built(None, names="DE") is None  # all are as far away
    with_panic = locality.build(None, 50, endpoints("AB"), CLIENT)
    assert with_panic is not None and with_panic.panic == 50


@pytest.mark.parametrize(
    ("said", "labels", "where"),
    [
        ("r1/z1/s1", {place.REGION: "r2"}, "r1/z1/s1"),
        ("", {place.REGION: "r1", place.ZONE: "z1", place.SUBZONE: "s1"}, "r1/z1/s1"),
        ("", {place.REGION: "r1", place.SUBZONE: "s1"}, "r1//s1"),
        ("", {place.REGION: "r1", place.WHOLE: "r2.z2"}, "r1"),
        ("", {place.WHOLE: "r1.z1.s1"}, "r1/z1/s1"),
        ("", {}, ""),
    ],
)
def test_where_a_workload_is(said: str, labels: dict[str, str], where: str) -> None:
    assert place.said(said, labels) == where


def test_missing_parts_are_compared_as_such() -> None:
    own = place.parts("r1/z1/s1")
    assert [own.nearness(place.parts(text)) for text in ("r1/z1", "r1", "", "r1/z1/s1/x")] == [1, 2, 3, 1]
    assert place.parts("").nearness(Parts()) == 0


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"distribute": [{"from": "r1", "to": {"r1": 100}}], **FAILOVER}, "distribute and failover exclude each other"),
        ({"failoverPriority": [place.ZONE], **FAILOVER}, f"failover and the label {place.ZONE} exclude each other"),
        ({"distribute": [{"from": "r1", "to": {"r1": 60, "r2": 30}}]}, "the weights add up to 90"),
        ({"distribute": [{"from": "r1", "to": {"r1": 0, "r2": 100}}]}, "0 is not from 1 to 100"),
        ({"distribute": [{"from": "r1", "to": {"r1/*": 60, "r1/z1": 40}}]}, "r1/* and r1/z1 have places in common"),
        ({"distribute": [{"from": "r*", "to": {"r1": 100}}]}, '"r*" is not a locality'),
        ({"distribute": [{"from": "r1//s1", "to": {"r1": 100}}]}, '"r1//s1" is not a locality'),
        ({"distribute": [{"from": "r1", "to": {"*/z1": 100}}]}, '"*/z1" is not a locality'),
        (
            {"distribute": [{"from": "*", "to": {"r1": 100}}, {"from": "r1", "to": {"r2": 100}}]},
            "* and r1 have places in common",
        ),
        ({"failover": [{"from": "r1", "to": "r1"}]}, "from and to are the same region"),
        ({"failover": [{"from": "r1/z1", "to": "r2"}]}, '"r1/z1" is not a region'),
        ({"failover": [{"from": "r1", "to": "*"}]}, '"*" is not a region'),
    ],
)
def test_refused(found: Any, message: str) -> None:
    report = Report()
    setting(found, report)
    assert [problem.message for problem in report.problems] == [message]


def test_warned() -> None:
    report = Report(warn=True)
    setting({"failoverPriority": ["a"], **FAILOVER}, report, ejecting=False)
    assert [one.message for one in report.warnings or ()] == [
        "failover does nothing without outlierDetection",
        "failoverPriority does nothing without outlierDetection",
    ]
    report = Report(warn=True)
    setting({"distribute": [{"from": "r1", "to": {"r1": 100}}], "failoverPriority": ["a"]}, report)
    assert [one.message for one in report.warnings or ()] == ["failoverPriority does nothing beside distribute"]
